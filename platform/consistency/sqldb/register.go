// Package sqldb is the register in a SQL database, PostgreSQL or SQLite, on bun. Its transactions are those of
// eventlog/sqldb; its tables stand in platform/database's first migration.
package sqldb

import (
	"context"
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
type Register struct{ read bun.IDB }

// New is the register that reads with db where it is given no transaction: a pool of a database whose migrations have run, or
// a snapshot of one.
func New(db bun.IDB) *Register { return &Register{db} }

// Load implements consistency.Register with at most one query for each kind of question; on PostgreSQL with one more before
// them, which makes the guard rows that are not there yet: a row that does not exist cannot be locked.
func (r *Register) Load(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	db := r.read
	locking := false
	if tx != nil {
		t := tx.(*logdb.Tx)
		db, locking = t.DB(), t.Dialect() == database.Postgres
	}
	if err := loadGuards(ctx, db, q.Guards, s, locking); err != nil {
		return logdb.Fault("load guards", err)
	}
	if err := loadRows(ctx, db, q.Held, s, locking); err != nil {
		return logdb.Fault("load held rows", err)
	}
	return logdb.Fault("load rows", loadRows(ctx, db, q.Taken, s, false))
}

func loadGuards(ctx context.Context, db bun.IDB, keys []consistency.Key, s *consistency.State, locking bool) error {
	if len(keys) == 0 {
		return nil
	}
	suffix := ""
	if locking {
		suffix = ` ORDER BY "constraint", scope FOR UPDATE`
		rows := make([][]any, len(keys))
		for i, k := range keys {
			rows[i] = []any{k.Constraint, string(k.Scope), 0}
		}
		insert, args := values(`INSERT INTO register_guards ("constraint", scope, last) VALUES `, rows)
		if _, err := db.ExecContext(ctx, insert+` ON CONFLICT DO NOTHING`, args...); err != nil {
			return err
		}
	}
	for _, k := range keys {
		s.SetGuard(k, 0)
	}
	pairs := make([][]any, len(keys))
	for i, k := range keys {
		pairs[i] = []any{k.Constraint, string(k.Scope)}
	}
	in, args := values(`SELECT "constraint", scope, last FROM register_guards WHERE ("constraint", scope) IN (VALUES `, pairs)
	rs, err := db.QueryContext(ctx, in+")"+suffix, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rs.Close() }()
	for rs.Next() {
		var g consistency.Guard
		if err := rs.Scan(&g.Constraint, &g.Scope, &g.Last); err != nil {
			return err
		}
		s.SetGuard(g.Key, g.Last)
	}
	return rs.Err()
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

func scanRow(rs interface{ Scan(...any) error }) (consistency.Row, error) {
	var row consistency.Row
	var ancestors string
	err := rs.Scan(&row.Constraint, &row.Scope, &row.Key.Key, &row.Owner, &row.Cause, &ancestors)
	for a := range strings.FieldsSeq(ancestors) {
		row.Ancestors = append(row.Ancestors, event.Tag(a))
	}
	return row, err
}

// Save implements consistency.Register with one statement for guards and one for rows.
func (r *Register) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	t := tx.(*logdb.Tx)
	if len(d.Guards) > 0 {
		rows := make([][]any, len(d.Guards))
		for i, g := range d.Guards {
			rows[i] = []any{g.Constraint, string(g.Scope), g.Last}
		}
		insert, args := values(`INSERT INTO register_guards ("constraint", scope, last) VALUES `, rows)
		if _, err := t.DB().ExecContext(ctx, insert+` ON CONFLICT ("constraint", scope) DO UPDATE SET last = excluded.last`, args...); err != nil {
			return logdb.Fault("save guards", err)
		}
	}
	if len(d.Rows) == 0 {
		return nil
	}
	rows := make([][]any, len(d.Rows))
	for i, row := range d.Rows {
		rows[i] = []any{row.Constraint, string(row.Scope), row.Key.Key, string(row.Owner), row.Cause.String(), ancestors(row.Ancestors)}
	}
	insert, args := values(`INSERT INTO register_rows (`+rowColumns+`) VALUES `, rows)
	rs, err := t.DB().QueryContext(ctx, insert+` ON CONFLICT DO NOTHING RETURNING "constraint", scope, key`, args...)
	if err != nil {
		return logdb.Fault("save rows", err)
	}
	defer func() { _ = rs.Close() }()
	written := map[consistency.Key]bool{}
	for rs.Next() {
		var k consistency.Key
		if err := rs.Scan(&k.Constraint, &k.Scope, &k.Key); err != nil {
			return logdb.Fault("save rows", err)
		}
		written[k] = true
	}
	if err := rs.Err(); err != nil {
		return logdb.Fault("save rows", err)
	}
	for _, row := range d.Rows {
		if !written[row.Key] {
			return &consistency.Lost{Key: row.Key}
		}
	}
	return nil
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
