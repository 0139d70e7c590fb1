// Package sqldb is the register in a SQL database, PostgreSQL or SQLite, on bun. Its transactions are those of
// eventlog/sqldb; its tables stand in platform/database's first migration.
package sqldb

import (
	"context"
	"iter"
	"slices"
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
	read  bun.IDB
	known guards
}

// New is the register that reads with db where it is given no transaction: a pool of a database whose migrations have run, or
// a snapshot of one.
func New(db bun.IDB) *Register { return &Register{read: db} }

// Load implements consistency.Register with one query for each kind of question. On PostgreSQL a guard that is not there yet
// is made before: a row that does not exist cannot be locked.
func (r *Register) Load(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	l := loader{Register: r, db: r.read, state: s}
	if tx != nil {
		t := tx.(*logdb.Tx)
		l.db, l.locking = t.DB(), t.Dialect() == database.Postgres
	}
	return l.load(ctx, q)
}

// Try implements consistency.Register. SQLite's transactions are alone anyway.
func (r *Register) Try(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) (consistency.Questions, error) {
	t := tx.(*logdb.Tx)
	if t.Dialect() != database.Postgres {
		return consistency.Questions{}, r.Load(ctx, tx, q, s)
	}
	l := loader{Register: r, db: t.DB(), state: s, locking: true, skipping: true, first: t.Hurry()}
	err := l.load(ctx, q)
	return l.waiting, err
}

// loader answers questions.
type loader struct {
	*Register
	db       bun.IDB
	state    *consistency.State
	locking  bool   // takes row locks
	skipping bool   // does not wait for them
	first    string // goes before the first statement
	waiting  consistency.Questions
}

// begun is a statement, with what has to go before the first.
func (l *loader) begun(statement string) string {
	statement = l.first + statement
	l.first = ""
	return statement
}

// lock is the end of a query that takes locks.
func (l *loader) lock(order, strength string) string {
	if !l.locking {
		return ""
	}
	suffix := " ORDER BY " + order + " FOR " + strength
	if l.skipping {
		suffix += " SKIP LOCKED"
	}
	return suffix
}

func (l *loader) load(ctx context.Context, q consistency.Questions) error {
	if err := l.guards(ctx, q.Guards); err != nil {
		return logdb.Fault("load guards", err)
	}
	locked, err := l.owned(ctx, q.Owned, q.Scopes, l.locking)
	if err != nil {
		return logdb.Fault("lock owned rows", err)
	}
	if l.locking {
		// A statement that waited for its locks sees what there was before it waited. What is there now is read by another one.
		seen, err := l.owned(ctx, q.Owned, q.Scopes, false)
		if err != nil {
			return logdb.Fault("load owned rows", err)
		}
		if l.skipping {
			l.skippedOwned(q, locked, seen)
		}
	}
	if err := l.held(ctx, q.Held); err != nil {
		return logdb.Fault("load held rows", err)
	}
	if _, err := l.rows(ctx, q.Taken, ""); err != nil {
		return logdb.Fault("load rows", err)
	}
	_, err = l.owned(ctx, nil, q.Listed, false)
	return logdb.Fault("list rows", err)
}

// guards reads guards, locked if it is locking.
func (l *loader) guards(ctx context.Context, keys []consistency.Key) error {
	if len(keys) == 0 {
		return nil
	}
	if !l.locking {
		for _, k := range keys {
			l.state.SetGuard(k, 0)
		}
		_, err := l.selectGuards(ctx, keys)
		return err
	}
	made := int64(0)
	if !l.known.all(keys) {
		rows := database.NewValues(l.db)
		for _, k := range keys {
			rows.Row().Text(k.Constraint).Text(string(k.Scope)).Int(0)
		}
		result, err := l.db.ExecContext(ctx, l.begun(`INSERT INTO register_guards ("constraint", scope, last) VALUES `)+rows.String()+` ON CONFLICT DO NOTHING`)
		if err == nil {
			made, err = result.RowsAffected()
		}
		if err != nil {
			return err
		}
	}
	found, err := l.selectGuards(ctx, keys)
	switch {
	case err != nil:
		return err
	case len(found) < len(keys) && l.skipping:
		for _, k := range keys {
			if !found[k] {
				l.waiting.Guards = append(l.waiting.Guards, k)
			}
		}
	case len(found) < len(keys): // guards are never deleted: this is another database than it was
		l.known.forget()
		return eventlog.ErrAgain
	case made == 0:
		l.known.add(keys)
	}
	return nil
}

// selectGuards reads those of the guards that are there, and free if it does not wait.
func (l *loader) selectGuards(ctx context.Context, keys []consistency.Key) (map[consistency.Key]bool, error) {
	pairs := database.NewValues(l.db)
	for _, k := range keys {
		pairs.Row().Text(k.Constraint).Text(string(k.Scope))
	}
	rs, err := l.db.QueryContext(ctx, l.begun(`SELECT "constraint", scope, last FROM register_guards WHERE ("constraint", scope) IN (VALUES `)+
		pairs.String()+")"+l.lock(`"constraint", scope`, "UPDATE"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rs.Close() }()
	found := make(map[consistency.Key]bool, len(keys))
	for rs.Next() {
		var g consistency.Guard
		if err := rs.Scan(&g.Constraint, &g.Scope, &g.Last); err != nil {
			return nil, err
		}
		l.state.SetGuard(g.Key, g.Last)
		found[g.Key] = true
	}
	return found, rs.Err()
}

const rowColumns = `"constraint", scope, key, owner, cause, ancestors`

// held reads rows that are to stay, locked if it is locking.
func (l *loader) held(ctx context.Context, keys []consistency.Key) error {
	found, err := l.rows(ctx, keys, l.lock(`"constraint", scope, key`, "SHARE"))
	if err != nil || !l.skipping || len(found) == len(keys) {
		return err
	}
	// What was not found is not there, or somebody else's: then it can be read all the same.
	var missing []consistency.Key
	for _, k := range keys {
		if !found[k] {
			missing = append(missing, k)
		}
	}
	there, err := l.rows(ctx, missing, "")
	for _, k := range missing {
		if there[k] {
			l.waiting.Held = append(l.waiting.Held, k)
		}
	}
	return err
}

// rows reads rows, and says which are there.
func (l *loader) rows(ctx context.Context, keys []consistency.Key, lock string) (map[consistency.Key]bool, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	for _, k := range keys {
		l.state.SetRow(k, nil)
	}
	rs, err := l.db.QueryContext(ctx, l.begun(`SELECT `+rowColumns+` FROM register_rows WHERE ("constraint", scope, key) IN (VALUES `)+
		keyValues(l.db, keys).String()+")"+lock)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rs.Close() }()
	found := make(map[consistency.Key]bool, len(keys))
	for rs.Next() {
		row, err := scanRow(rs)
		if err != nil {
			return nil, err
		}
		l.state.SetRow(row.Key, &row)
		found[row.Key] = true
	}
	return found, rs.Err()
}

// owned reads all rows of owners (in Key) and of scopes, in one pass; locking, it locks them against everybody else.
func (l *loader) owned(ctx context.Context, owners, scopes []consistency.Key, locking bool) ([]consistency.Row, error) {
	if len(owners)+len(scopes) == 0 {
		return nil, nil
	}
	l.state.Forget(owners, scopes)
	var where []string
	var args []any
	for _, k := range owners {
		l.state.SetOwned(k)
		where, args = append(where, `owner = ? AND "constraint" = ?`), append(args, k.Key, k.Constraint)
	}
	for _, k := range scopes {
		l.state.SetScope(k)
		where, args = append(where, `"constraint" = ? AND scope = ?`), append(args, k.Constraint, string(k.Scope))
	}
	order := ` ORDER BY "constraint", scope, key`
	if locking {
		order = l.lock(`"constraint", scope, key`, "UPDATE")
	}
	rs, err := l.db.QueryContext(ctx, l.begun(`SELECT `+rowColumns+` FROM register_rows WHERE `)+strings.Join(where, " OR ")+order, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rs.Close() }()
	var rows []consistency.Row
	for rs.Next() {
		row, err := scanRow(rs)
		if err != nil {
			return nil, err
		}
		l.state.SetRow(row.Key, &row)
		rows = append(rows, row)
	}
	return rows, rs.Err()
}

// skippedOwned finds the owners and scopes of which a row can be seen that could not be locked.
func (l *loader) skippedOwned(q consistency.Questions, locked, seen []consistency.Row) {
	ours := make(map[consistency.Key]bool, len(locked))
	for _, r := range locked {
		ours[r.Key] = true
	}
	for _, r := range seen {
		if ours[r.Key] {
			continue
		}
		if k := (consistency.Key{Constraint: r.Constraint, Key: string(r.Owner)}); slices.Contains(q.Owned, k) {
			l.waiting.Owned = append(l.waiting.Owned, k)
		}
		if k := (consistency.Key{Constraint: r.Constraint, Scope: r.Scope}); slices.Contains(q.Scopes, k) {
			l.waiting.Scopes = append(l.waiting.Scopes, k)
		}
	}
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

// Save implements consistency.Register with one statement for what goes, one for what changes, one for guards and one for new
// rows; on PostgreSQL they travel together.
func (r *Register) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	t := tx.(*logdb.Tx)
	var statements []string
	if len(d.Freed) > 0 {
		statements = append(statements, `DELETE FROM register_rows WHERE ("constraint", scope, key) IN (VALUES `+keyValues(t.DB(), d.Freed).String()+")")
	}
	if len(d.Changed) > 0 {
		statements = append(statements, `UPDATE register_rows AS r SET owner = v.column4, cause = `+cast(t, "v.column5", "uuid")+`, ancestors = v.column6 FROM (VALUES `+
			rowValues(t.DB(), d.Changed).String()+`) AS v WHERE r."constraint" = v.column1 AND r.scope = v.column2 AND r.key = v.column3`)
	}
	if len(d.Guards) > 0 {
		guards := database.NewValues(t.DB())
		for _, g := range d.Guards {
			guards.Row().Text(g.Constraint).Text(string(g.Scope)).Int(int64(g.Last))
		}
		statements = append(statements, `INSERT INTO register_guards ("constraint", scope, last) VALUES `+guards.String()+
			` ON CONFLICT ("constraint", scope) DO UPDATE SET last = excluded.last`)
	}
	if len(d.Rows) > 0 {
		insert := `INSERT INTO register_rows (` + rowColumns + `) VALUES ` + rowValues(t.DB(), d.Rows).String()
		if !d.Several { // looking first costs more than a third of the statement
			insert += ` ON CONFLICT DO NOTHING RETURNING "constraint", scope, key`
		}
		statements = append(statements, insert)
	}
	if t.Dialect() != database.Postgres {
		for len(statements) > 1 {
			if _, err := t.DB().ExecContext(ctx, statements[0]); err != nil {
				return logdb.Fault("save register", err)
			}
			statements = statements[1:]
		}
	}
	if len(statements) == 0 {
		return nil
	}
	written, err := query(ctx, t.DB(), strings.Join(statements, "; "))
	if _, ok := database.UniqueViolation(err); ok {
		return &consistency.Lost{}
	}
	if err != nil {
		return logdb.Fault("save register", err)
	}
	for _, row := range d.Rows {
		if !d.Several && !written[row.Key] {
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
func query(ctx context.Context, db bun.IDB, message string) (map[consistency.Key]bool, error) {
	rs, err := db.QueryContext(ctx, message)
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

func keyValues(db bun.IDB, keys []consistency.Key) *database.Values {
	v := database.NewValues(db)
	for _, k := range keys {
		v.Row().Text(k.Constraint).Text(string(k.Scope)).Text(k.Key)
	}
	return v
}

func rowValues(db bun.IDB, rows []consistency.Row) *database.Values {
	v := database.NewValues(db)
	for _, r := range rows {
		v.Row().Text(r.Constraint).Text(string(r.Scope)).Text(r.Key.Key).Text(string(r.Owner)).UUID(r.Cause).Text(ancestors(r.Ancestors))
	}
	return v
}

// Abreast is how many transactions a lane may have under way at once on the dialect, for consistency.Config: SQLite has one
// writer, on PostgreSQL transactions on disjoint scopes overlap.
func Abreast(d database.Dialect) int {
	if d == database.Postgres {
		return 2
	}
	return 1
}
