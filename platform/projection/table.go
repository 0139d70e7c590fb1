package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

// table is a Table as one database sees it. Its rows are in physical; Name, the model's own, is a view over that, so that
// readers need not know which version is served.
type table struct {
	*schema.Table
	physical string
	indexes  []Index
}

func physicalName(name string, version int) string { return fmt.Sprintf("%s_v%d", name, version) }

// maxName is what PostgreSQL leaves of a name, less the longest ending that an index gets.
const maxName = 63 - len("_i99")

func newTable(t Table, version int, db *bun.DB) (*table, error) {
	typ := reflect.TypeOf(t.Model)
	if typ == nil || typ.Kind() != reflect.Pointer || typ.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("the model %T is not a pointer to a struct", t.Model)
	}
	st := db.Table(typ.Elem())
	made := &table{Table: st, physical: physicalName(st.Name, version), indexes: t.Indexes}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if strings.Contains(st.Name, ".") || len(made.physical) > maxName {
		wrong("the name must have at most %d bytes with its version, and no schema", maxName)
	}
	if len(st.PKs) == 0 {
		wrong("no field is the primary key: tag one with `bun:\",pk\"`")
	}
	if len(st.Unique) > 0 {
		wrong("unique columns are for constraints: rows of one batch are written in no particular order")
	}
	if st.SoftDeleteField != nil {
		wrong("soft delete hides rows from their own projector: use a column of your own")
	}
	for _, f := range st.Fields {
		if f.AutoIncrement || f.Identity || f.SQLDefault != "" {
			wrong("column %s is made by the database: rows must come out the same every time", f.Name)
		}
		if f.CreateTableSQLType == "" {
			wrong("column %s: there is no SQL type for %v; use a string, or tag it with a type", f.Name, f.StructField.Type)
		}
	}
	for _, i := range t.Indexes {
		if len(i.Columns) == 0 {
			wrong("an index has no columns")
		}
		for _, c := range i.Columns {
			if !slices.ContainsFunc(st.Fields, func(f *schema.Field) bool { return f.Name == c }) {
				wrong("an index names the column %q; there are %s", c, strings.Join(made.columns(), ", "))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("table %s: %w", st.Name, err)
	}
	return made, nil
}

func (t *table) columns() []string {
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	return names
}

// isPostgres is where statements have to differ.
func isPostgres(db bun.IDB) bool { return db.Dialect().Name() == dialect.PG }

// relations are the names of the tables and views there are.
func relations(ctx context.Context, db bun.IDB) (map[string]bool, error) {
	query := `SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')`
	if isPostgres(db) {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	rs, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer func() { _ = rs.Close() }() // Err below says what went wrong
	names := map[string]bool{}
	for rs.Next() {
		var name string
		if err := rs.Scan(&name); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		names[name] = true
	}
	if err := rs.Err(); err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return names, nil
}

// fits checks that a table which is there has the columns of its model.
func (t *table) fits(ctx context.Context, db bun.IDB) error {
	there, err := t.stored(ctx, db)
	if err == nil && !slices.Equal(there, t.columns()) {
		err = fmt.Errorf("table %s was made with the columns %s, but its model has %s: raise the projector's version",
			t.physical, strings.Join(there, ", "), strings.Join(t.columns(), ", "))
	}
	return err
}

// stored are the columns of a table which is there.
func (t *table) stored(ctx context.Context, db bun.IDB) ([]string, error) {
	rs, err := db.QueryContext(ctx, `SELECT * FROM ? WHERE 1 = 0`, bun.Ident(t.physical))
	if err != nil {
		return nil, fmt.Errorf("look at table %s: %w", t.physical, err)
	}
	defer func() { _ = rs.Close() }() // it has no rows
	there, err := rs.Columns()
	if err = errors.Join(err, rs.Err()); err != nil {
		return nil, fmt.Errorf("look at table %s: %w", t.physical, err)
	}
	return there, nil
}

// make makes the table, empty, in the place of what is there.
func (t *table) make(ctx context.Context, db bun.IDB) error {
	if err := drop(ctx, db, t.physical); err != nil {
		return err
	}
	if _, err := db.NewCreateTable().Model(t.ZeroIface).ModelTableExpr("?", bun.Ident(t.physical)).Exec(ctx); err != nil {
		return fmt.Errorf("make table %s: %w", t.physical, err)
	}
	return nil
}

// drop drops a physical table. The view over it has to go first.
func drop(ctx context.Context, db bun.IDB, physical string) error {
	if _, err := db.ExecContext(ctx, `DROP TABLE IF EXISTS ?`, bun.Ident(physical)); err != nil {
		return fmt.Errorf("drop table %s: %w", physical, err)
	}
	return nil
}

// index makes the indexes that are missing.
func (t *table) index(ctx context.Context, db bun.IDB) error {
	for n, i := range t.indexes {
		name := fmt.Sprintf("%s_i%d", t.physical, n+1)
		columns := make([]bun.Ident, len(i.Columns))
		for k, c := range i.Columns {
			columns[k] = bun.Ident(c)
		}
		if _, err := db.ExecContext(ctx, `CREATE INDEX IF NOT EXISTS ? ON ? (?)`, bun.Ident(name), bun.Ident(t.physical), bun.List(columns)); err != nil {
			return fmt.Errorf("make index %s: %w", name, err)
		}
	}
	return nil
}

// serve points the view at this table.
func (t *table) serve(ctx context.Context, db bun.IDB) error {
	if err := t.unserve(ctx, db); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `CREATE VIEW ? AS SELECT * FROM ?`, bun.Ident(t.Name), bun.Ident(t.physical)); err != nil {
		return fmt.Errorf("make view %s: %w", t.Name, err)
	}
	return nil
}

// view reads what the view is made of, in the database's words; nothing where there is none.
func (t *table) view(ctx context.Context, db bun.IDB) (definition string, err error) {
	query := `SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?`
	if isPostgres(db) {
		query = `SELECT coalesce(definition, '') FROM pg_views WHERE schemaname = current_schema() AND viewname = ?`
	}
	err = db.QueryRowContext(ctx, query, t.Name).Scan(&definition)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look at view %s: %w", t.Name, err)
	}
	return definition, nil
}

// serves reports whether the definition is that of a view as serve makes it.
func (t *table) serves(definition string) bool {
	plain := strings.NewReplacer(" ", "", "\n", "", `"`, "", t.physical+".", "") // PostgreSQL spells it out, each version in its way
	definition = plain.Replace(definition)
	return definition == plain.Replace(`CREATE VIEW `+t.Name+` AS SELECT * FROM `+t.physical) ||
		definition == plain.Replace(`SELECT `+strings.Join(t.columns(), ",")+` FROM `+t.physical+`;`)
}

func (t *table) unserve(ctx context.Context, db bun.IDB) error {
	if _, err := db.ExecContext(ctx, `DROP VIEW IF EXISTS ?`, bun.Ident(t.Name)); err != nil {
		return fmt.Errorf("drop view %s: %w", t.Name, err)
	}
	return nil
}
