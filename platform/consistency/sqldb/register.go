// Package sqldb is the register in a SQL database, PostgreSQL or SQLite, on bun. Its transactions are those of
// eventlog/sqldb; its tables stand in platform/database's first migration.
package sqldb

import (
	"context"
	"errors"
	"iter"
	"strings"

	"accession/platform/consistency"
	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"

	"github.com/uptrace/bun"
)

// Register is a register in a SQL database. It is safe for concurrent use.
type Register struct {
	read   bun.IDB
	guards guards
}

// New is the register that reads with db where it is given no transaction: a pool of a database whose migrations have run, or
// a snapshot of one.
func New(db bun.IDB) *Register { return &Register{read: db} }

// Load implements consistency.Register with one query for each kind of question. On PostgreSQL a guard that is not there yet
// is made before: a row that does not exist cannot be locked.
func (r *Register) Load(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	db := r.read
	locking := false
	if tx != nil {
		t := tx.(*logdb.Tx)
		db, locking = t.DB(), t.Dialect() == database.Postgres
	}
	if err := r.loadGuards(ctx, db, q.Guards, s, locking); err != nil {
		return logdb.Fault("load guards", err)
	}
	if err := loadOwned(ctx, db, q.Owned, q.Scopes, s, locking); err != nil {
		return logdb.Fault("lock owned rows", err)
	}
	if locking {
		// A statement that waited for its locks sees what there was before it waited. What is there now is read by another one.
		if err := loadOwned(ctx, db, q.Owned, q.Scopes, s, false); err != nil {
			return logdb.Fault("load owned rows", err)
		}
	}
	if err := loadRows(ctx, db, q.Held, s, locking); err != nil {
		return logdb.Fault("load held rows", err)
	}
	if err := loadRows(ctx, db, q.Taken, s, false); err != nil {
		return logdb.Fault("load rows", err)
	}
	return logdb.Fault("list rows", loadOwned(ctx, db, nil, q.Listed, s, false))
}

func (r *Register) loadGuards(ctx context.Context, db bun.IDB, keys []consistency.Key, s *consistency.State, locking bool) error {
	if len(keys) == 0 {
		return nil
	}
	if !locking {
		for _, k := range keys {
			s.SetGuard(k, 0)
		}
		_, err := selectGuards(ctx, db, keys, s, "")
		return err
	}
	made := int64(0)
	if !r.guards.all(keys) {
		rows := make([][]any, len(keys))
		for i, k := range keys {
			rows[i] = []any{k.Constraint, string(k.Scope), 0}
		}
		insert, args := values(`INSERT INTO register_guards ("constraint", scope, last) VALUES `, rows)
		result, err := db.ExecContext(ctx, insert+` ON CONFLICT DO NOTHING`, args...)
		if err == nil {
			made, err = result.RowsAffected()
		}
		if err != nil {
			return err
		}
	}
	found, err := selectGuards(ctx, db, keys, s, ` ORDER BY "constraint", scope FOR UPDATE`)
	switch {
	case err != nil:
		return err
	case found < len(keys): // guards are never deleted: this is another database than it was
		r.guards.forget()
		return eventlog.ErrAgain
	case made == 0:
		r.guards.add(keys)
	}
	return nil
}

// selectGuards reads those of the guards that are there and says how many that were.
func selectGuards(ctx context.Context, db bun.IDB, keys []consistency.Key, s *consistency.State, suffix string) (found int, _ error) {
	pairs := make([][]any, len(keys))
	for i, k := range keys {
		pairs[i] = []any{k.Constraint, string(k.Scope)}
	}
	in, args := values(`SELECT "constraint", scope, last FROM register_guards WHERE ("constraint", scope) IN (VALUES `, pairs)
	rs, err := db.QueryContext(ctx, in+")"+suffix, args...)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rs.Close() }()
	for rs.Next() {
		var g consistency.Guard
		if err := rs.Scan(&g.Constraint, &g.Scope, &g.Last); err != nil {
			return 0, err
		}
		s.SetGuard(g.Key, g.Last)
		found++
	}
	return found, rs.Err()
}

const rowColumns = `"constraint", scope, key, owner, cause, ancestors`

func loadRows(ctx context.Context, db bun.IDB, keys []consistency.Key, s *consistency.State, locking bool) error {
	if len(keys) == 0 {
		return nil
	}
	suffix := ""
	if locking {
		suffix = ` ORDER BY "constraint", scope, key FOR SHARE`
	}
	triples := make([][]any, len(keys))
	for i, k := range keys {
		s.SetRow(k, nil)
		triples[i] = []any{k.Constraint, string(k.Scope), k.Key}
	}
	in, args := values(`SELECT `+rowColumns+` FROM register_rows WHERE ("constraint", scope, key) IN (VALUES `, triples)
	rs, err := db.QueryContext(ctx, in+")"+suffix, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rs.Close() }()
	for rs.Next() {
		row, err := scanRow(rs)
		if err != nil {
			return err
		}
		s.SetRow(row.Key, &row)
	}
	return rs.Err()
}

// loadOwned reads all rows of owners (in Key) and of scopes, in one pass, and locks them against everybody else.
func loadOwned(ctx context.Context, db bun.IDB, owners, scopes []consistency.Key, s *consistency.State, locking bool) error {
	if len(owners)+len(scopes) == 0 {
		return nil
	}
	q := db.NewSelect().TableExpr("register_rows").ColumnExpr(rowColumns).OrderExpr(`"constraint", scope, key`)
	s.Forget(owners, scopes)
	for _, k := range owners {
		s.SetOwned(k)
		q = q.WhereOr(`owner = ? AND "constraint" = ?`, k.Key, k.Constraint)
	}
	for _, k := range scopes {
		s.SetScope(k)
		q = q.WhereOr(`"constraint" = ? AND scope = ?`, k.Constraint, string(k.Scope))
	}
	if locking {
		q = q.For("UPDATE")
	}
	rs, err := q.Rows(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = rs.Close() }()
	for rs.Next() {
		row, err := scanRow(rs)
		if err != nil {
			return err
		}
		s.SetRow(row.Key, &row)
	}
	return rs.Err()
}

func scanRow(rs interface{ Scan(...any) error }) (consistency.Row, error) {
	var row consistency.Row
	var ancestors string
	err := rs.Scan(&row.Constraint, &row.Scope, &row.Key.Key, &row.Owner, &row.Cause, &ancestors)
	for a := range strings.FieldsSeq(ancestors) {
		row.Ancestors = append(row.Ancestors, event.Tag(a))
	}
	return row, err
}

// Save implements consistency.Register with one statement for what goes, one for guards and one for rows; on PostgreSQL they
// travel together.
func (r *Register) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	t := tx.(*logdb.Tx)
	var statements []string
	var args []any
	then := func(statement string, a []any) error {
		if len(statements) > 0 && t.Dialect() != database.Postgres {
			if _, err := t.DB().ExecContext(ctx, statements[0], args...); err != nil {
				return err
			}
			statements, args = nil, nil
		}
		statements, args = append(statements, statement), append(args, a...)
		return nil
	}
	var err error
	if len(d.Freed) > 0 {
		keys := make([][]any, len(d.Freed))
		for i, k := range d.Freed {
			keys[i] = []any{k.Constraint, string(k.Scope), k.Key}
		}
		in, a := values(`DELETE FROM register_rows WHERE ("constraint", scope, key) IN (VALUES `, keys)
		err = then(in+")", a)
	}
	if len(d.Changed) > 0 {
		rows := make([][]any, len(d.Changed))
		for i, row := range d.Changed {
			rows[i] = []any{row.Constraint, string(row.Scope), row.Key.Key, string(row.Owner), row.Cause.String(), ancestors(row.Ancestors)}
		}
		update, a := values(`UPDATE register_rows AS r SET owner = v.column4, cause = `+cast(t, "v.column5", "uuid")+`, ancestors = v.column6 FROM (VALUES `, rows)
		err = errors.Join(err, then(update+`) AS v WHERE r."constraint" = v.column1 AND r.scope = v.column2 AND r.key = v.column3`, a))
	}
	if len(d.Guards) > 0 {
		rows := make([][]any, len(d.Guards))
		for i, g := range d.Guards {
			rows[i] = []any{g.Constraint, string(g.Scope), g.Last}
		}
		insert, a := values(`INSERT INTO register_guards ("constraint", scope, last) VALUES `, rows)
		err = errors.Join(err, then(insert+` ON CONFLICT ("constraint", scope) DO UPDATE SET last = excluded.last`, a))
	}
	if len(d.Rows) > 0 {
		rows := make([][]any, len(d.Rows))
		for i, row := range d.Rows {
			rows[i] = []any{row.Constraint, string(row.Scope), row.Key.Key, string(row.Owner), row.Cause.String(), ancestors(row.Ancestors)}
		}
		insert, a := values(`INSERT INTO register_rows (`+rowColumns+`) VALUES `, rows)
		err = errors.Join(err, then(insert+` ON CONFLICT DO NOTHING RETURNING "constraint", scope, key`, a))
	}
	if err != nil {
		return logdb.Fault("save register", err)
	}
	if len(statements) == 0 {
		return nil
	}
	written, err := query(ctx, t.DB(), strings.Join(statements, "; "), args)
	if err != nil {
		return logdb.Fault("save register", err)
	}
	for _, row := range d.Rows {
		if !written[row.Key] {
			return &consistency.Lost{Key: row.Key}
		}
	}
	return nil
}

// cast makes PostgreSQL take a text for what it says; SQLite keeps texts.
func cast(t *logdb.Tx, column, as string) string {
	if t.Dialect() == database.Postgres {
		return column + "::" + as
	}
	return column
}

// query runs a message whose last statement may return keys.
func query(ctx context.Context, db bun.IDB, message string, args []any) (map[consistency.Key]bool, error) {
	rs, err := db.QueryContext(ctx, message, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rs.Close() }()
	keys := map[consistency.Key]bool{}
	for rs.Next() {
		var k consistency.Key
		if err := rs.Scan(&k.Constraint, &k.Scope, &k.Key); err != nil {
			return nil, err
		}
		keys[k] = true
	}
	return keys, rs.Err()
}

func ancestors(tags []event.Tag) string {
	words := make([]string, len(tags))
	for i, t := range tags {
		words[i] = string(t)
	}
	return strings.Join(words, " ")
}

// Guards implements consistency.Register.
func (r *Register) Guards(ctx context.Context) iter.Seq2[consistency.Guard, error] {
	return all(ctx, r.read, `SELECT "constraint", scope, last FROM register_guards ORDER BY 1, 2`, func(rs interface{ Scan(...any) error }) (consistency.Guard, error) {
		var g consistency.Guard
		err := rs.Scan(&g.Constraint, &g.Scope, &g.Last)
		return g, err
	})
}

// Rows implements consistency.Register.
func (r *Register) Rows(ctx context.Context) iter.Seq2[consistency.Row, error] {
	return all(ctx, r.read, `SELECT `+rowColumns+` FROM register_rows ORDER BY 1, 2, 3`, scanRow)
}

func all[T any](ctx context.Context, db bun.IDB, query string, scan func(interface{ Scan(...any) error }) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		rs, err := db.QueryContext(ctx, query)
		if err != nil {
			yield(none, logdb.Fault("read register", err))
			return
		}
		defer func() { _ = rs.Close() }()
		for rs.Next() {
			v, err := scan(rs)
			if err != nil {
				yield(none, logdb.Fault("read register", err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := rs.Err(); err != nil {
			yield(none, logdb.Fault("read register", err))
		}
	}
}

// values writes a statement's VALUES list; bun puts the arguments into the text, so the statement takes one round trip.
func values(head string, rows [][]any) (string, []any) {
	var q strings.Builder
	q.WriteString(head)
	var args []any
	for i, row := range rows {
		if i > 0 {
			q.WriteByte(',')
		}
		q.WriteByte('(')
		for j := range row {
			if j > 0 {
				q.WriteByte(',')
			}
			q.WriteByte('?')
		}
		q.WriteByte(')')
		args = append(args, row...)
	}
	return q.String(), args
}
