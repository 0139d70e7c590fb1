// Package sqldb is the register in a SQL database, PostgreSQL or SQLite, on bun. Its transactions are those of
// eventlog/sqldb; its tables, register_…, are made by platform/database's migrations.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
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
	if err := l.load(ctx, q); err != nil || l.first == "" {
		return l.waiting, err
	}
	// Nothing was asked, and still the unit may have to wait for a name when it is written.
	_, err := l.db.ExecContext(ctx, l.begun(""))
	return l.waiting, logdb.Fault("hurry", err)
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
	if err := l.make(ctx, q.Guards); err != nil {
		return logdb.Fault("make guards", err)
	}
	if len(q.Owned)+len(q.Scopes) == 0 { // as a rule: then all locks are taken by one message
		if err := l.guardsAndHeld(ctx, q.Guards, q.Held); err != nil {
			return logdb.Fault("load guards and held rows", err)
		}
	} else {
		if err := l.guardsAndHeld(ctx, q.Guards, nil); err != nil {
			return logdb.Fault("load guards", err)
		}
		if err := l.lockOwned(ctx, q); err != nil {
			return logdb.Fault("load owned rows", err)
		}
		if err := l.guardsAndHeld(ctx, nil, q.Held); err != nil {
			return logdb.Fault("load held rows", err)
		}
	}
	if _, err := l.rows(ctx, q.Taken); err != nil {
		return logdb.Fault("load rows", err)
	}
	_, err := l.owned(ctx, nil, q.Listed, false)
	return logdb.Fault("list rows", err)
}

// make makes the guards that may not be there yet, if they are to be locked.
func (l *loader) make(ctx context.Context, keys []consistency.Key) error {
	if len(keys) == 0 || !l.locking || l.known.all(keys) {
		return nil
	}
	rows := database.NewValues(l.db)
	for _, k := range keys {
		rows.Row().Text(k.Constraint).Text(string(k.Scope)).Int(0)
	}
	result, err := l.db.ExecContext(ctx, l.begun(`INSERT INTO register_guards ("constraint", scope, last) VALUES `)+rows.String()+` ON CONFLICT DO NOTHING`)
	if err != nil {
		return err
	}
	made, err := result.RowsAffected()
	if err == nil && made == 0 { // all had been committed before
		l.known.add(keys)
	}
	return err
}

const rowColumns = `"constraint", scope, key, owner, cause, ancestors`

// guardsAndHeld reads guards, and rows that are to stay, locked in this order if it is locking; with one message on PostgreSQL.
func (l *loader) guardsAndHeld(ctx context.Context, guards, held []consistency.Key) error {
	var queries []string
	var read []func(*sql.Rows) error
	foundGuards, foundHeld := map[consistency.Key]bool{}, map[consistency.Key]bool{}
	for keys := range ofOneConstraint(guards) {
		for _, k := range keys {
			if !l.locking {
				l.state.SetGuard(k, 0)
			}
		}
		queries = append(queries, `SELECT "constraint", scope, last FROM register_guards WHERE `+l.among(keys)+l.lock("scope", "UPDATE"))
		read = append(read, func(rs *sql.Rows) error {
			var g consistency.Guard
			err := rs.Scan(&g.Constraint, &g.Scope, &g.Last)
			l.state.SetGuard(g.Key, g.Last)
			foundGuards[g.Key] = true
			return err
		})
	}
	for keys := range ofOneConstraint(held) {
		queries = append(queries, l.selectRows(keys)+l.lock("scope, key", "SHARE"))
		read = append(read, func(rs *sql.Rows) error { return l.scan(rs, foundHeld) })
	}
	for len(queries) > 0 {
		n := 1
		if l.locking {
			n = len(queries)
		}
		if err := l.query(ctx, strings.Join(queries[:n], "; "), read[:n]...); err != nil {
			return err
		}
		queries, read = queries[n:], read[n:]
	}
	if !l.locking {
		return nil
	}
	for _, k := range guards {
		switch {
		case foundGuards[k]:
		case l.skipping:
			l.waiting.Guards = append(l.waiting.Guards, k)
		default: // guards are never deleted: this is another database than it was
			l.known.forget()
			return eventlog.ErrAgain
		}
	}
	if !l.skipping || len(foundHeld) == len(held) {
		return nil
	}
	// What was not found is not there, or somebody else's: then it can be read all the same.
	missing := slices.DeleteFunc(slices.Clone(held), func(k consistency.Key) bool { return foundHeld[k] })
	there, err := l.rows(ctx, missing)
	for _, k := range missing {
		if there[k] {
			l.waiting.Held = append(l.waiting.Held, k)
		}
	}
	return err
}

// ofOneConstraint divides sorted keys into those of each constraint.
func ofOneConstraint(keys []consistency.Key) iter.Seq[[]consistency.Key] {
	return func(yield func([]consistency.Key) bool) {
		for len(keys) > 0 {
			n := 1
			for n < len(keys) && keys[n].Constraint == keys[0].Constraint {
				n++
			}
			if !yield(keys[:n]) {
				return
			}
			keys = keys[n:]
		}
	}
}

// among is the condition for the rows of the keys, which are of one constraint. As a rule they have one key in many scopes, or
// are guards, which have none; then it is one that costs a database little to plan.
func (l *loader) among(keys []consistency.Key) string {
	of := `"constraint" = ` + database.Literal(l.db, keys[0].Constraint)
	list := database.NewValues(l.db)
	if slices.ContainsFunc(keys, func(k consistency.Key) bool { return k.Key != keys[0].Key }) {
		for _, k := range keys {
			list.Row().Text(string(k.Scope)).Text(k.Key)
		}
		return of + " AND (scope, key) IN (VALUES " + list.String() + ")"
	}
	if keys[0].Key != "" {
		of += " AND key = " + database.Literal(l.db, keys[0].Key)
	}
	list.Row()
	for _, k := range keys {
		list.Text(string(k.Scope))
	}
	return of + " AND scope IN " + list.String()
}

// selectRows is a query for the rows of the keys, which are of one constraint, and taken not to be held until it says otherwise.
func (l *loader) selectRows(keys []consistency.Key) string {
	for _, k := range keys {
		l.state.SetRow(k, nil)
	}
	return `SELECT ` + rowColumns + ` FROM register_rows WHERE ` + l.among(keys)
}

// rows reads rows, and says which are there.
func (l *loader) rows(ctx context.Context, keys []consistency.Key) (map[consistency.Key]bool, error) {
	found := make(map[consistency.Key]bool, len(keys))
	for some := range ofOneConstraint(keys) {
		if err := l.query(ctx, l.selectRows(some), func(rs *sql.Rows) error { return l.scan(rs, found) }); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// scan takes in one row.
func (l *loader) scan(rs *sql.Rows, found map[consistency.Key]bool) error {
	row, err := scanRow(rs)
	if err == nil {
		l.state.SetRow(row.Key, &row)
		found[row.Key] = true
	}
	return err
}

// query sends a message of as many queries as there are readers, and has each read the rows of its own.
func (l *loader) query(ctx context.Context, message string, read ...func(*sql.Rows) error) error {
	rs, err := l.db.QueryContext(ctx, l.begun(message))
	if err != nil {
		return err
	}
	defer func() { _ = rs.Close() }()
	for i, scan := range read {
		if i > 0 && !rs.NextResultSet() {
			return errors.Join(rs.Err(), errors.New("an answer is missing"))
		}
		for rs.Next() {
			if err := scan(rs); err != nil {
				return err
			}
		}
		if err := rs.Err(); err != nil {
			return err
		}
	}
	return nil
}

// lockOwned locks the rows of owners and scopes, and reads what is there then.
func (l *loader) lockOwned(ctx context.Context, q consistency.Questions) error {
	locked, err := l.owned(ctx, q.Owned, q.Scopes, l.locking)
	if err != nil || !l.locking {
		return err
	}
	// A statement that waited for its locks sees what there was before it waited. What is there now is read by another one.
	seen, err := l.owned(ctx, q.Owned, q.Scopes, false)
	if l.skipping {
		l.skippedOwned(q, locked, seen)
	}
	return err
}

// owned reads all rows of owners (in Key) and of scopes, in one pass; locking, it locks them against everybody else.
func (l *loader) owned(ctx context.Context, owners, scopes []consistency.Key, locking bool) ([]consistency.Row, error) {
	if len(owners)+len(scopes) == 0 {
		return nil, nil
	}
	l.state.Forget(owners, scopes)
	var where []string // each with an index of its own; one for each constraint, as SQLite bounds how many there may be
	for keys := range ofOneConstraint(owners) {
		list := database.NewValues(l.db)
		list.Row()
		for _, k := range keys {
			l.state.SetOwned(k)
			list.Text(k.Key)
		}
		where = append(where, `owner IN `+list.String()+` AND "constraint" = `+database.Literal(l.db, keys[0].Constraint))
	}
	for keys := range ofOneConstraint(scopes) {
		for _, k := range keys {
			l.state.SetScope(k)
		}
		where = append(where, l.among(keys))
	}
	order := ` ORDER BY "constraint", scope, key`
	if locking {
		order = l.lock(`"constraint", scope, key`, "UPDATE")
	}
	var rows []consistency.Row
	err := l.query(ctx, `SELECT `+rowColumns+` FROM register_rows WHERE `+strings.Join(where, " OR ")+order, func(rs *sql.Rows) error {
		row, err := scanRow(rs)
		if err == nil {
			l.state.SetRow(row.Key, &row)
			rows = append(rows, row)
		}
		return err
	})
	return rows, err
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
// rows. They are run when the log is appended to.
func (r *Register) Save(_ context.Context, tx eventlog.Tx, d consistency.Delta) error {
	t := tx.(*logdb.Tx)
	var statements []string
	if len(d.Freed) > 0 {
		statements = append(statements, `DELETE FROM register_rows WHERE ("constraint", scope, key) IN (VALUES `+keyValues(t.DB(), d.Freed).String()+")")
	}
	if len(d.Changed) > 0 {
		changed := database.NewValues(t.DB())
		addRows(changed, d.Changed)
		statements = append(statements, `UPDATE register_rows AS r SET owner = v.column4, cause = `+cast(t, "v.column5", "uuid")+`, ancestors = v.column6 FROM (VALUES `+
			changed.String()+`) AS v WHERE r."constraint" = v.column1 AND r.scope = v.column2 AND r.key = v.column3`)
	}
	if len(d.Guards) > 0 {
		statements = append(statements, intoGuards.rows(t, func(v *database.Values) {
			for _, g := range d.Guards {
				v.Row().Text(g.Constraint).Text(string(g.Scope)).Int(int64(g.Last))
			}
		}))
	}
	if len(d.Rows) > 0 {
		statements = append(statements, intoRows.rows(t, func(v *database.Values) { addRows(v, d.Rows) }))
	}
	if len(statements) > 0 {
		t.Last(strings.Join(statements, "; "), func(index string) error {
			if strings.Contains(index, "register_rows") {
				return &consistency.Lost{}
			}
			return nil
		})
	}
	return nil
}

// into is how many rows at once get into a table. Every command needs it, so PostgreSQL keeps the statement.
type into struct {
	insert, conflict string // what stands before and behind the rows
	arrays           int
	kept             database.Statement
}

var (
	intoGuards = newInto("register_guards", `"constraint", scope, last`, ` ON CONFLICT ("constraint", scope) DO UPDATE SET last = excluded.last`,
		"text[]", "text[]", "bigint[]")
	intoRows = newInto("register_rows", rowColumns, "", "text[]", "text[]", "text[]", "text[]", "uuid[]", "text[]")
)

// newInto inserts the columns, whose values have these types as arrays.
func newInto(table, columns, conflict string, types ...string) into {
	params := make([]string, len(types))
	for n := range params {
		params[n] = "$" + strconv.Itoa(n+1)
	}
	i := into{insert: "INSERT INTO " + table + " (" + columns + ") ", conflict: conflict, arrays: len(types)}
	i.kept = database.Statement{
		Name: table, Text: "(" + strings.Join(types, ", ") + ") AS " + i.insert + "SELECT * FROM unnest(" + strings.Join(params, ", ") + ")" + conflict,
	}
	return i
}

// rows is the statement that inserts what fill gives.
func (i into) rows(t *logdb.Tx, fill func(*database.Values)) string {
	if t.Dialect() != database.Postgres {
		rows := database.NewValues(t.DB())
		fill(rows)
		return i.insert + "VALUES " + rows.String() + i.conflict
	}
	rows := database.NewArrays(t.DB(), i.arrays)
	fill(rows)
	return t.Execute(i.kept, rows.String())
}

// cast makes PostgreSQL take a text for what it says; SQLite keeps texts.
func cast(t *logdb.Tx, column, as string) string {
	if t.Dialect() == database.Postgres {
		return column + "::" + as
	}
	return column
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
			if err != nil { // SQLite keeps in a column whatever it is given; what was read before that is the key
				err = fmt.Errorf("read register: %w: %w", eventlog.ErrUnreadable, err)
			}
			if !yield(v, err) {
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

func addRows(v *database.Values, rows []consistency.Row) {
	for _, r := range rows {
		v.Row().Text(r.Constraint).Text(string(r.Scope)).Text(r.Key.Key).Text(string(r.Owner)).UUID(r.Cause).Text(ancestors(r.Ancestors))
	}
}

// Abreast is how many transactions a lane may have under way at once on the dialect, for consistency.Config: SQLite has one
// writer, on PostgreSQL transactions on disjoint scopes overlap.
func Abreast(d database.Dialect) int {
	if d == database.Postgres {
		return 2
	}
	return 1
}
