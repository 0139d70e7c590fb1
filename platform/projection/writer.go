package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Writer is what handlers write to. It remembers the rows of a batch of events by their primary keys and writes what became of
// them at the end, with one statement for each table and kind of change, however many events there were. It belongs to one
// goroutine and one batch.
//
// It writes to the tables of the projector's own version, never through the views that readers use.
type Writer struct {
	projector *projector
	db        bun.IDB
	gen       schema.QueryGen
	rows      map[*table]map[string]*remembered // by the primary key as SQL
}

// remembered is what the Writer knows of one row.
type remembered struct {
	row     reflect.Value // a pointer to the row; the zero Value when there is none
	changed bool          // the database does not have it so yet
}

func newWriter(p *projector, db bun.IDB) *Writer {
	w := &Writer{projector: p, db: db, gen: schema.NewQueryGen(db.Dialect())}
	w.forget()
	return w
}

func (w *Writer) forget() {
	w.rows = make(map[*table]map[string]*remembered, len(w.projector.tables))
	for _, t := range w.projector.tables {
		w.rows[t] = map[string]*remembered{}
	}
}

// ErrNoRow is what [Change] says when there is no such row.
var ErrNoRow = errors.New("there is no such row")

// Put writes the row, a pointer to a model of the projector's, in the place of the one with its key, if there is one. The row
// is copied, though not what it refers to.
func (w *Writer) Put(row any) {
	v := reflect.ValueOf(row)
	t := w.table(v.Type())
	kept := reflect.New(t.Type)
	kept.Elem().Set(v.Elem())
	w.rows[t][w.key(t, v)] = &remembered{row: kept, changed: true}
}

// Delete deletes the row with the key of this one, whose other fields do not matter. A row that is not there stays so.
func (w *Writer) Delete(row any) {
	v := reflect.ValueOf(row)
	t := w.table(v.Type())
	w.rows[t][w.key(t, v)] = &remembered{changed: true}
}

// Get reads the row with the key of key, whose other fields do not matter, as the events so far have left it. It is false when
// there is none. The row is a copy: to change it, [Change] or Put it.
func Get[R any](ctx context.Context, w *Writer, key *R) (*R, bool, error) {
	m, _, _, err := find(ctx, w, key)
	if err != nil || !m.row.IsValid() {
		return nil, false, err
	}
	row := *m.row.Interface().(*R)
	return &row, true, nil
}

// Change changes the row with the key of key, whose other fields do not matter. The key itself stays. Where there is no such
// row it is an [ErrNoRow]: mostly it is the key that is wrong. A handler that expects it says so, with errors.Is or by looking
// with [Get] first.
func Change[R any](ctx context.Context, w *Writer, key *R, change func(*R)) error {
	m, t, k, err := find(ctx, w, key)
	if err != nil {
		return err
	}
	if !m.row.IsValid() {
		return fmt.Errorf("change %s %s: %w", t.Name, k, ErrNoRow)
	}
	change(m.row.Interface().(*R))
	if now := w.key(t, m.row); now != k {
		return fmt.Errorf("change %s %s: its key became %s; delete it and put another", t.Name, k, now)
	}
	m.changed = true
	return nil
}

// DB writes what is pending and hands out the transaction, for a handler that needs SQL of its own. Name tables with
// [Writer.Table], and write SQL that both dialects understand. Use it before anything else of w: rows read and written through
// w later are read anew. Never commit, roll back or keep it.
func (w *Writer) DB(ctx context.Context) (bun.IDB, error) {
	if err := w.flush(ctx); err != nil {
		return nil, err
	}
	w.forget()
	return w.db, nil
}

// Table is the name under which the model's rows are written; bun takes it as
// ModelTableExpr("? AS ?TableAlias", w.Table((*row)(nil))).
func (w *Writer) Table(model any) bun.Ident {
	return bun.Ident(w.table(reflect.TypeOf(model)).physical)
}

// table panics for a model that is not the projector's own: the program is wrong.
func (w *Writer) table(pointer reflect.Type) *table {
	if pointer.Kind() == reflect.Pointer {
		if t, ok := w.projector.byModel[pointer.Elem()]; ok {
			return t
		}
	}
	panic(fmt.Sprintf("%v is not a pointer to a model of projector %s", pointer, w.projector.Name))
}

// key is the row's primary key as SQL: a value, or several in brackets.
func (w *Writer) key(t *table, row reflect.Value) string {
	var b []byte
	for i, f := range t.PKs {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = f.AppendValue(w.gen, b, row.Elem())
	}
	if len(t.PKs) > 1 {
		return "(" + string(b) + ")"
	}
	return string(b)
}

// find looks for the row with the key of key: among those of the batch, then in the database.
func find[R any](ctx context.Context, w *Writer, key *R) (*remembered, *table, string, error) {
	v := reflect.ValueOf(key)
	t := w.table(v.Type())
	k := w.key(t, v)
	if m, ok := w.rows[t][k]; ok {
		return m, t, k, nil
	}
	row := new(R)
	m := &remembered{row: reflect.ValueOf(row)}
	for _, f := range t.PKs {
		f.Value(m.row.Elem()).Set(f.Value(v.Elem()))
	}
	err := w.db.NewSelect().Model(row).ModelTableExpr("? AS ?TableAlias", bun.Ident(t.physical)).WherePK().Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		m.row = reflect.Value{}
	case err != nil:
		return nil, t, k, fmt.Errorf("read %s %s: %w", t.Name, k, err)
	}
	w.rows[t][k] = m
	return m, t, k, nil
}

// What one statement may hold. Longer ones gain nothing, and databases have bounds.
const (
	maxRows  = 500
	maxBytes = 1 << 18
)

// flush writes what is pending: of each table first what goes, then what stays. Within a batch only the last state of a row
// counts, so each row is written at most once. Rows are written in the order of their keys, so that two commands playing into
// the same rows queue up instead of blocking each other.
func (w *Writer) flush(ctx context.Context) error {
	for _, t := range w.projector.tables {
		var gone, kept []string
		for _, k := range slices.Sorted(maps.Keys(w.rows[t])) {
			m := w.rows[t][k]
			switch {
			case !m.changed:
				continue
			case m.row.IsValid():
				kept = append(kept, w.values(t, m.row))
			default:
				gone = append(gone, k)
			}
			m.changed = false
		}
		if err := w.delete(ctx, t, gone); err != nil {
			return err
		}
		if err := w.upsert(ctx, t, kept); err != nil {
			return err
		}
	}
	return nil
}

// values is the row as SQL, in the order of its columns.
func (w *Writer) values(t *table, row reflect.Value) string {
	b := []byte{'('}
	for i, f := range t.Fields {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = f.AppendValue(w.gen, b, row.Elem())
	}
	return string(append(b, ')'))
}

func (w *Writer) upsert(ctx context.Context, t *table, rows []string) error {
	var columns, keys, set []string
	for _, f := range t.Fields {
		columns = append(columns, string(f.SQLName))
		if f.IsPK {
			keys = append(keys, string(f.SQLName))
		} else {
			set = append(set, string(f.SQLName)+" = excluded."+string(f.SQLName))
		}
	}
	head := fmt.Sprintf(`INSERT INTO %s (%s) VALUES `, w.ident(t), strings.Join(columns, ", "))
	tail := fmt.Sprintf(` ON CONFLICT (%s) DO UPDATE SET %s`, strings.Join(keys, ", "), strings.Join(set, ", "))
	if len(set) == 0 {
		tail = ` ON CONFLICT DO NOTHING`
	}
	return w.exec(ctx, t, head, rows, tail)
}

func (w *Writer) delete(ctx context.Context, t *table, keys []string) error {
	var columns []string
	for _, f := range t.PKs {
		columns = append(columns, string(f.SQLName))
	}
	head, tail := fmt.Sprintf(`DELETE FROM %s WHERE (%s) IN (`, w.ident(t), strings.Join(columns, ", ")), `)`
	if len(columns) > 1 && !isPostgres(w.db) {
		head += `VALUES ` // SQLite knows lists of rows only as a query; in PostgreSQL that would lose the types
	}
	return w.exec(ctx, t, head, keys, tail)
}

func (w *Writer) ident(t *table) string { return string(w.gen.AppendIdent(nil, t.physical)) }

// exec runs head, items, tail with as many items at a time as one statement may hold.
func (w *Writer) exec(ctx context.Context, t *table, head string, items []string, tail string) error {
	for len(items) > 0 {
		n, bytes := 0, 0
		for n < len(items) && n < maxRows && (n == 0 || bytes+len(items[n]) <= maxBytes) {
			bytes += len(items[n])
			n++
		}
		// No arguments: bun leaves the text as it is, question marks in values included.
		if _, err := w.db.ExecContext(ctx, head+strings.Join(items[:n], ", ")+tail); err != nil {
			return fmt.Errorf("write %s: %w", t.physical, err)
		}
		items = items[n:]
	}
	return nil
}
