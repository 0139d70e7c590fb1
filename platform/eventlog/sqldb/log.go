// Package sqldb is the log in a SQL database, PostgreSQL or SQLite, on bun.
//
// The tables, log_…, are made by platform/database's migrations. What makes positions gapless and their order the order of
// commits is one row, log_head: a transaction updates it last, and so holds it only while it commits.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Log is a log in a SQL database. It is safe for concurrent use.
type Log struct {
	Reader
	db       *database.DB
	patience time.Duration
}

// Reader reads a log in a SQL database.
type Reader struct {
	db       bun.IDB
	registry *event.Registry
}

// NewReader reads the log with db: a pool, or a snapshot, and then it is as safe for concurrent use as that is.
func NewReader(db bun.IDB, registry *event.Registry) Reader { return Reader{db, registry} }

// New is the log in db, whose migrations have run. patience bounds every wait for a lock, the log's head included.
func New(db *database.DB, registry *event.Registry, patience time.Duration) *Log {
	return &Log{Reader: NewReader(db.Read, registry), db: db, patience: patience}
}

// Head implements eventlog.Reader.
func (r Reader) Head(ctx context.Context) (eventlog.Head, error) { return HeadOf(ctx, r.db) }

// HeadOf reads the end of the log with db, which may be a transaction of the caller's.
func HeadOf(ctx context.Context, db bun.IDB) (eventlog.Head, error) {
	var h eventlog.Head
	err := db.QueryRowContext(ctx, `SELECT log, position FROM log_head`).Scan(&h.Log, &h.Position)
	return h, Fault("read log head", err)
}

// page is how many events are fetched at a time.
const page = 500

// Read implements eventlog.Reader. It reads page by page, so that no connection is held while the caller works; the prefix of
// the log is stable, so pages fit together.
func (r Reader) Read(ctx context.Context, q eventlog.Query) iter.Seq2[event.Envelope, error] {
	return func(yield func(event.Envelope, error) bool) {
		left := q.Limit
		for {
			n := page
			if q.Last > 0 {
				n = q.Last
			} else if q.Limit > 0 {
				n = min(n, left)
			}
			rows, err := fetch(ctx, r.db, q, n)
			if err != nil {
				yield(event.Envelope{}, Fault("read log", err))
				return
			}
			for _, row := range rows {
				env, err := row.envelope(r.registry)
				if !yield(env, err) || err != nil {
					return
				}
				q.After = env.Position
			}
			left -= len(rows)
			if len(rows) < n || q.Last > 0 || (q.Limit > 0 && left == 0) {
				return
			}
		}
	}
}

type eventRow struct {
	Position   event.Position
	ID         uuid.UUID
	Unit       uuid.UUID
	Stream     event.Tag
	Version    int
	Type       string
	Schema     int
	RecordedAt database.Timestamp
	Actor      string
	Data       []byte

	damaged error // a column holds what it cannot hold, and says nothing
}

func (r eventRow) envelope(registry *event.Registry) (event.Envelope, error) {
	env := event.Envelope{
		Position: r.Position, ID: r.ID, Unit: r.Unit, Stream: r.Stream, Version: r.Version, Type: r.Type, Schema: r.Schema,
		RecordedAt: r.RecordedAt.Time(), Actor: r.Actor, Data: r.Data,
	}
	err := r.damaged
	if err == nil {
		env.Event, err = registry.Decode(r.Type, r.Schema, r.Data)
	}
	if err != nil {
		return env, fmt.Errorf("read log at %d: %w", r.Position, err)
	}
	return env, nil
}

const eventColumns = "e.position, e.id, e.unit, e.stream, e.version, e.type, e.schema, e.recorded_at, e.actor, e.data"

// selection is a query for n events. What an event's own stream is need no tag say, so a thing's events are those of its stream and
// those that are tagged with it.
func selection(db bun.IDB, q eventlog.Query, n int) *bun.SelectQuery {
	if q.Tag == q.Stream {
		q.Tag = ""
	}
	if q.Tag.IsZero() || !q.Stream.IsZero() {
		return part(db, q, n)
	}
	own := q
	own.Stream, own.Tag = q.Tag, ""
	order := "e.position"
	if q.Last > 0 {
		order += " DESC"
	}
	return db.NewSelect().TableExpr("(SELECT * FROM (?) AS own UNION ALL SELECT * FROM (?) AS tagged) AS e", part(db, own, n), part(db, q, n)).
		ColumnExpr(eventColumns).OrderExpr(order).Limit(int64(n))
}

// part is a query that an index leads: the log's, a stream's or a tag's.
func part(db bun.IDB, q eventlog.Query, n int) *bun.SelectQuery {
	s := db.NewSelect().TableExpr("log_events AS e").ColumnExpr(eventColumns).Limit(int64(n))
	at, order := "e.position", "e.position"
	if !q.Tag.IsZero() {
		s = s.Join("JOIN log_tags AS t ON t.position = e.position").Where("t.tag = ?", string(q.Tag)).Where("e.stream <> ?", string(q.Tag))
		at, order = "t.position", "t.position"
	}
	if !q.Stream.IsZero() {
		s = s.Where("e.stream = ?", string(q.Stream))
		if q.Tag.IsZero() {
			order = "e.version"
		}
	}
	if q.After > 0 {
		s = s.Where(at+" > ?", int64(q.After))
	}
	if q.Until > 0 {
		s = s.Where(at+" <= ?", int64(q.Until))
	}
	if len(q.Types) > 0 {
		s = s.Where("e.type IN (?)", bun.List(q.Types))
	}
	if q.Last > 0 {
		order += " DESC"
	}
	return s.OrderExpr(order)
}

func fetch(ctx context.Context, db bun.IDB, q eventlog.Query, n int) ([]eventRow, error) {
	rs, err := selection(db, q, n).Rows(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rs.Close() }() // Err below says what went wrong
	var rows []eventRow
	for rs.Next() {
		r, err := scan(rs)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	if q.Last > 0 {
		slices.Reverse(rows)
	}
	return rows, rs.Err()
}

// scan reads a row of eventColumns. Of a damaged one it reads what can be read: SQLite keeps in a column whatever it is given.
func scan(rs *sql.Rows) (r eventRow, err error) {
	columns := []any{&r.Position, &r.ID, &r.Unit, &r.Stream, &r.Version, &r.Type, &r.Schema, &r.RecordedAt, &r.Actor, &r.Data}
	if err = rs.Scan(columns...); err == nil {
		return r, nil
	}
	r = eventRow{}
	names, namesErr := rs.Columns()
	if namesErr != nil {
		return r, namesErr
	}
	var damaged []string
	var ignored any
	for i := range columns {
		one := slices.Repeat([]any{&ignored}, len(columns))
		one[i] = columns[i]
		if err := rs.Scan(one...); err != nil && i == 0 {
			return r, err // without its position it is nothing
		} else if err != nil {
			damaged = append(damaged, names[i])
		}
	}
	r.damaged = fmt.Errorf("its %s cannot be read", strings.Join(damaged, ", "))
	return r, nil
}

// Done implements eventlog.Reader.
func (r Reader) Done(ctx context.Context, key string) (eventlog.Done, bool, error) {
	found, err := done(ctx, r.db, []string{key})
	d, ok := found[key]
	return d, ok, err
}

func done(ctx context.Context, db bun.IDB, keys []string) (map[string]eventlog.Done, error) {
	rs, err := db.QueryContext(ctx, `SELECT key, position, events, fingerprint, answer FROM log_units WHERE key IN (?)`, bun.List(keys))
	if err != nil {
		return nil, Fault("look up units", err)
	}
	defer func() { _ = rs.Close() }()
	found := map[string]eventlog.Done{}
	for rs.Next() {
		var d eventlog.Done
		if err := rs.Scan(&d.Key, &d.Position, &d.Events, &d.Fingerprint, &d.Answer); err != nil {
			return nil, Fault("look up units", err)
		}
		found[d.Key] = d
	}
	return found, Fault("look up units", rs.Err())
}

// Begin implements eventlog.Log. On SQLite it takes the one write connection and the write lock; on PostgreSQL it takes a
// connection and pins READ COMMITTED, whatever the database's default is.
func (l *Log) Begin(ctx context.Context) (eventlog.Tx, error) {
	tx, err := Begin(ctx, l.db, l.patience)
	if err != nil {
		return nil, err
	}
	return tx, nil
}

// Begin starts a transaction that need not store events: for projectors, whose rows and checkpoint move together. End it with
// CommitPlain.
func Begin(ctx context.Context, db *database.DB, patience time.Duration) (*Tx, error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := db.Write.Conn(wait)
	if err == nil {
		begin := `BEGIN IMMEDIATE`
		if db.Dialect == database.Postgres {
			begin = `BEGIN ISOLATION LEVEL READ COMMITTED; ` + setLockTimeout(patience)
		}
		t := &Tx{conn: conn, dialect: db.Dialect, patience: patience}
		if _, err = conn.ExecContext(wait, begin); err == nil {
			return t, nil
		}
		t.discard()
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("begin transaction: %w: %w", eventlog.ErrBusy, err)
	}
	return nil, Fault("begin transaction", err)
}

// Fault gives an error of the database, from anything but COMMIT, its name in the log's words: ErrBusy and ErrAgain where it is
// one, with a problem for users where it is the database's own. Nil stays nil.
func Fault(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case database.IsBusy(err):
		return fmt.Errorf("%s: %w: %w", doing, eventlog.ErrBusy, err)
	case database.IsRetryable(err), database.IsConnection(err):
		return fmt.Errorf("%s: %w: %w", doing, eventlog.ErrAgain, database.Explain(err))
	}
	return fmt.Errorf("%s: %w", doing, database.Explain(err))
}

// IsTransient reports whether err is the doing of the database as it is now, or of the caller: the same may go well later.
func IsTransient(err error) bool {
	explained := database.Explain(err)
	for _, is := range []error{
		context.Canceled, context.DeadlineExceeded, eventlog.ErrBusy, eventlog.ErrAgain, eventlog.ErrInDoubt,
		database.ErrUnreachable, database.ErrSlow, database.ErrReadOnly,
	} {
		if errors.Is(err, is) || errors.Is(explained, is) {
			return true
		}
	}
	return database.IsBusy(err) || database.IsRetryable(err) || database.IsConnection(err)
}

// Tx is one transaction on a pinned connection, which goes back to the pool when it is over, or is thrown away when its state
// cannot be known.
type Tx struct {
	conn     bun.Conn
	dialect  database.Dialect
	patience time.Duration
	unplayed func() // see Unplayed
	hurried  bool   // see Hurry
	last     string // see Last
	violated func(index string) error
	kept     []database.Statement // that the last message needs
	over     bool
}

// hurry is how long a statement of a transaction in a hurry waits for a lock: longer than a rival that is getting on needs.
const hurry = 100 * time.Millisecond

// Hurry makes the rest of the transaction, up to its commit, wait for no lock longer than a moment: for one that many depend
// on. What it gives belongs before the next statement. Only PostgreSQL has such locks.
func (t *Tx) Hurry() string {
	t.hurried = true
	return setLockTimeout(hurry) + "; "
}

// Last makes the statement one of the last of the transaction: it is run when the log is appended to, on PostgreSQL in the same
// message. If it breaks a unique index, violated says what that means, nil if it is another's; that is then the error of Commit.
func (t *Tx) Last(statement string, violated func(index string) error) {
	t.last, t.violated = statement, violated
}

func setLockTimeout(d time.Duration) string {
	return fmt.Sprintf(`SET LOCAL lock_timeout = %d`, max(1, d.Milliseconds())) // 0 would be no limit
}

// DB is the transaction as bun knows it. Never commit or roll back through it.
func (t *Tx) DB() bun.IDB { return t.conn }

// Dialect is the database's.
func (t *Tx) Dialect() database.Dialect { return t.dialect }

// Done implements eventlog.Tx.
func (t *Tx) Done(ctx context.Context, keys ...string) (map[string]eventlog.Done, error) {
	return done(ctx, t.conn, keys)
}

// Unplayed says that nothing was played in the transaction because no projector is believed to be immediate. If one is when the
// head is taken (log_head says so), Commit stores nothing, calls found and is an eventlog.ErrAgain. So whoever believes it pays
// nothing for being sure.
func (t *Tx) Unplayed(found func()) { t.unplayed = found }

// Execute is the text that runs s with the arguments, for Last. Only PostgreSQL keeps statements.
func (t *Tx) Execute(s database.Statement, args string) string {
	t.kept = append(t.kept, s)
	return s.Execute(args)
}

// Rollback implements eventlog.Tx. It runs even when the caller's context is over: a connection must not go back to the pool
// with a transaction open.
func (t *Tx) Rollback() {
	if t.over {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.patience)
	defer cancel()
	if _, err := t.conn.ExecContext(ctx, `ROLLBACK`); err != nil {
		t.discard()
		return
	}
	t.over = true
	_ = t.conn.Close() // gives it back; there is nothing to do about a failure
}

// discard throws the connection away: the server ends whatever was open on it.
func (t *Tx) discard() {
	t.over = true
	_ = t.conn.Raw(func(any) error { return errBadConn })
	_ = t.conn.Close()
}

// CommitPlain commits a transaction that stores no events.
func (t *Tx) CommitPlain(ctx context.Context) error {
	return t.finish(ctx, `COMMIT`, nil)
}

// Commit implements eventlog.Tx.
func (t *Tx) Commit(ctx context.Context, units ...eventlog.Unit) error {
	if err := ctx.Err(); err != nil {
		t.Rollback()
		return err
	}
	// From here on the caller may leave: what has begun to be stored is stored to the end, so that nobody waits behind a
	// cancelled commit and its outcome is known.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.patience+commitPatience)
	defer cancel()
	b := newBatch(units)
	var err error
	if t.dialect == database.Postgres {
		err = t.commitPostgres(ctx, b)
	} else {
		err = t.commitSQLite(ctx, b)
	}
	return t.named(err, units)
}

// commitPatience bounds how long a COMMIT may take before its connection is given up and the outcome is in doubt.
const commitPatience = 30 * time.Second

// commitSQLite appends in four statements: the transaction has the whole database to itself anyway.
func (t *Tx) commitSQLite(ctx context.Context, b batch) error {
	if t.last != "" {
		if _, err := t.conn.ExecContext(ctx, t.last); err != nil {
			t.Rollback()
			return err
		}
	}
	var last event.Position
	unless := ""
	if t.unplayed != nil {
		unless = " WHERE NOT immediate"
	}
	err := t.conn.QueryRowContext(ctx, `UPDATE log_head SET position = position + ?`+unless+` RETURNING position`, b.events).Scan(&last)
	if err != nil {
		t.Rollback()
		return err
	}
	b.place(last)
	for _, insert := range b.inserts(t.conn, last-event.Position(b.events)) {
		if _, err := t.conn.ExecContext(ctx, insert); err != nil {
			t.Rollback()
			return err
		}
	}
	return t.finish(ctx, `COMMIT`, nil)
}

// commitPostgres takes the head, appends and commits in one message, so that a client which freezes cannot hold the head: the
// server goes on to COMMIT by itself.
func (t *Tx) commitPostgres(ctx context.Context, b batch) error {
	message := t.Execute(appending, b.postgres(t.conn, t.unplayed != nil))
	if t.hurried { // the head is worth waiting for
		message = setLockTimeout(t.patience) + "; " + message
	}
	if t.last != "" {
		message = t.last + "; " + message
	}
	keep, kept, err := database.Keep(t.conn, t.kept...)
	if err != nil {
		t.discard()
		return err
	}
	return t.finish(ctx, keep+message+"; COMMIT", func(last event.Position) {
		kept()
		b.place(last)
	})
}

// finish sends a message that ends in COMMIT and gives the connection back. stored is told the position that the message
// returns, if it returns one.
func (t *Tx) finish(ctx context.Context, message string, stored func(event.Position)) error {
	t.over = true
	last, err := t.send(ctx, message)
	switch {
	case err == nil:
		if stored != nil {
			stored(last)
		}
		_ = t.conn.Close()
		return nil
	case database.IsConnection(err), ctx.Err() != nil:
		t.discard()
		return fmt.Errorf("commit: %w: %w", eventlog.ErrInDoubt, err)
	default: // the database answered: nothing was stored
		t.discard()
		return err
	}
}

// send sends the message and reads its answers to the last, COMMIT's included: an error may come with any of them.
func (t *Tx) send(ctx context.Context, message string) (last event.Position, err error) {
	rs, err := t.conn.QueryContext(ctx, message)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rs.Close()) }()
	for rs.Next() {
		if err := rs.Scan(&last); err != nil {
			return 0, err
		}
	}
	return last, rs.Err()
}

// named turns the database's refusal into the log's words.
func (t *Tx) named(err error, units []eventlog.Unit) error {
	if err == nil || errors.Is(err, eventlog.ErrInDoubt) {
		return err
	}
	// Where the head was not taken, SQLite has no row and PostgreSQL no position.
	if t.unplayed != nil && (errors.Is(err, sql.ErrNoRows) || database.IsNull(err)) {
		t.unplayed()
		return fmt.Errorf("append: a projector has become immediate: %w", eventlog.ErrAgain)
	}
	if index, ok := database.UniqueViolation(err); ok {
		if t.violated != nil {
			if meant := t.violated(index); meant != nil {
				return meant
			}
		}
		switch {
		case strings.Contains(index, "version"): // log_events_stream_version, or SQLite's "log_events.stream, log_events.version"
			return &eventlog.VersionConflict{Stream: firstStream(units)}
		case strings.Contains(index, "log_units"), strings.Contains(index, "log_events"):
			return &eventlog.KeyTaken{Key: firstKey(units)}
		}
	}
	if t.dialect == database.SQLite && database.IsBusy(err) || database.BusyIn(err, "log_head") {
		return fmt.Errorf("append: %w: %w", eventlog.ErrHeadBusy, err)
	}
	return Fault("append", err)
}

// firstStream and firstKey name what stood in the way if there is only one candidate; a database does not say which row it was.
func firstStream(units []eventlog.Unit) event.Tag {
	var s event.Tag
	for _, u := range units {
		for _, e := range u.Events {
			if s != "" && e.Stream != s {
				return ""
			}
			s = e.Stream
		}
	}
	return s
}

func firstKey(units []eventlog.Unit) string {
	if len(units) == 1 && units[0].Second.Key == "" {
		return units[0].Key
	}
	return ""
}
