package projection

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"
	"accession/platform/problem"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Finding is a row that is not what the log says it should be, a table or view that is gone or another, an event that cannot be
// played anew, or a checkpoint that is not where it can be.
type Finding struct {
	Projector string
	Table     string // "projectors" for the checkpoint, "log_events" for an event
	// Key is "id=…" of a row; of several columns "category_id=…, number=…". Of what is gone or another it is "table", "view" or
	// "columns"; of an event its stream; of a checkpoint the column: "log", "position", "timing", "state", or "version" when there
	// is none.
	Key string
	// Expected is the row as JSON, by columns; bytes are text, or \x and hexadecimal where they are not UTF-8. It is empty when there
	// should be no row. Else it is what should be there.
	Expected string
	Found    string         // the same of the row that is there, with what cannot be read as it is stored; empty when there is none
	Position event.Position // up to which the log was played; of an event its own, as where the state is Broken
}

// The tables of the findings that are not about a row.
const (
	checkpoints = "projectors"
	logEvents   = "log_events"
)

// Checkpoint reports whether the finding is about the projector's checkpoint, and not about a row.
func (f Finding) Checkpoint() bool { return f.Table == checkpoints }

// Verify plays the log anew, into a database of its own that is gone afterwards, up to where each projector is, and compares the
// tables row by row. It changes nothing, and holds a snapshot of the database only while it compares. It needs room in memory
// for the rows of the largest table. A projector that is behind is no finding; one that is Broken is, as is a checkpoint beyond the
// end of the log or in another log, one that says nothing, and one that is gone while its tables are there, unless another version
// has taken its place. Projectors that are not booted are passed by; one that cannot be checked does not keep the others from it.
//
// An event that cannot be played anew, though it was once, is a finding: what was before it in the log is damaged. It is taken for a
// gap then. Where the log cannot say its id ([uuid.Nil]), no checkpoint is of another.
//
// The gaps, sorted by position, are events of the log that cannot be read: it plays around them. What may differ because of one
// of them is no finding: rows of things that the event is about, rows that name the thing whose stream it is in, and whatever
// cannot be played without it.
func (p *Projectionist) Verify(ctx context.Context, gaps ...eventlog.Gap) (findings []Finding, err error) {
	scratch, err := database.Open(ctx, database.Config{URL: "sqlite::memory:"})
	if err != nil {
		return nil, fmt.Errorf("verify projectors: %w", err)
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	var errs []error
	for _, pl := range p.players {
		found, err := pl.verify(ctx, scratch, gaps)
		findings = append(findings, found...)
		switch {
		case err == nil:
		case sqldb.IsDamage(ctx, err) && !errors.Is(err, errAnew):
			pl.logger.DebugContext(ctx, "projector cannot be verified", "error", err)
			findings = append(findings, Finding{pl.Name, "", "", "tables that can be read", "something that cannot be: not all of them were compared", 0})
		default:
			errs = append(errs, fmt.Errorf("verify projector %s: %w", pl.Name, err))
		}
	}
	return findings, errors.Join(errs...)
}

func (p *player) verify(ctx context.Context, scratch *database.DB, gaps []eventlog.Gap) ([]Finding, error) {
	at, _, err := p.inspect(ctx, p.DB.Read)
	if errors.Is(err, errNotBooted) {
		return p.verifyUnbooted(ctx)
	}
	if err != nil {
		return nil, err
	}
	r, err := newReplica(ctx, p, scratch, gaps)
	if err != nil {
		return nil, err
	}
	if err := r.play(ctx, at.position); err != nil { // most of it, before there is a snapshot to be held
		return nil, err
	}
	var findings []Finding
	err = p.DB.Snapshot(ctx, func(ctx context.Context, db bun.IDB) error {
		if at, findings, err = p.inspect(ctx, db); err != nil && !errors.Is(err, errNotBooted) {
			return err
		}
		if err != nil || at.position >= 0 && at.position < r.at {
			return errAnew.Because(err)
		}
		if err := r.play(ctx, at.position); err != nil {
			return err
		}
		findings = append(findings, r.stuck...)
		there, err := relations(ctx, db)
		if err != nil {
			return err
		}
		for i := range p.tables {
			found, err := p.verifyTable(ctx, db, there, p.tables[i], r, r.tables[i])
			for _, f := range found {
				f.Projector, f.Table, f.Position = p.Name, p.tables[i].Name, max(at.position, 0)
				findings = append(findings, f)
			}
			if err != nil {
				return fmt.Errorf("compare %s: %w", p.tables[i].Name, err)
			}
		}
		return nil
	})
	return findings, err
}

// errAnew: what was compared with is not there any more.
var errAnew = problem.New(problem.Unavailable, "verify-again", "A read model began anew while it was compared. Verify again.")

// verifyTable compares a table with the one in the replica; or looks only whether it is there, if it cannot be told how far it is.
func (p *player) verifyTable(ctx context.Context, db bun.IDB, there map[string]bool, live *table, r *replica, replayed *table) ([]Finding, error) {
	if !there[live.physical] {
		return []Finding{{Key: "table", Expected: live.physical, Found: "nothing: the next start makes it anew, and plays the log into it"}}, nil
	}
	var findings []Finding
	view, err := live.view(ctx, db)
	if err != nil {
		return nil, err
	}
	if !live.serves(view) {
		f := Finding{Key: "view", Expected: "one of " + live.physical, Found: "another, and readers see what it shows: the next start makes it anew"}
		switch {
		case !there[live.Name]:
			f.Found = "nothing: the next start makes it anew"
		case view == "":
			f.Found = "a table, and readers see what is in it: drop it, and the next start makes the view"
		}
		findings = append(findings, f)
	}
	columns, err := live.stored(ctx, db)
	if err != nil {
		return findings, err
	}
	if !slices.Equal(columns, live.columns()) {
		return append(findings, Finding{
			Key: "columns", Expected: strings.Join(live.columns(), ", "), Found: strings.Join(columns, ", ") + ": drop the table and its view, and the next start makes them anew",
		}), nil
	}
	if r.unknown {
		return findings, nil
	}
	found, err := compare(replayed.rows(ctx, r.db.Read, r.db.Read), live.rows(ctx, p.DB.Read, db))
	for _, f := range found {
		if !r.gaps.explain(f, len(live.PKs)) {
			findings = append(findings, f)
		}
	}
	return findings, err
}

// verifyUnbooted looks whether there are tables of a projector that has no checkpoint in this version, nor in another which has
// tables in their place.
func (p *player) verifyUnbooted(ctx context.Context) (findings []Finding, err error) {
	err = p.DB.Snapshot(ctx, func(ctx context.Context, db bun.IDB) error {
		versions, err := p.versions(ctx, db)
		if err != nil {
			return err
		}
		there, err := relations(ctx, db)
		if err != nil {
			return err
		}
		var ours string
		for _, t := range p.tables {
			if there[t.physical] && ours == "" {
				ours = t.physical
			}
			for _, v := range versions {
				if there[physicalName(t.Name, v)] {
					return nil // that version has dropped ours
				}
			}
		}
		if ours == "" {
			return nil
		}
		found := "nothing"
		if len(versions) > 0 {
			found = strings.Trim(fmt.Sprint(versions), "[]") + ", of which there are no tables"
		}
		findings = []Finding{{
			p.Name, checkpoints, "version", fmt.Sprintf("%d, for there is the table %s", p.Version, ours),
			found + ": the next start begins anew, with empty tables", 0,
		}}
		return nil
	})
	return findings, err
}

// inspect reads the checkpoint with db, whatever is in it: SQLite keeps in a column whatever it is given. Its position is what the
// tables are up to in whatever timing, or -1 where that cannot be told. What is wrong with it comes as findings.
func (p *player) inspect(ctx context.Context, db bun.IDB) (at checkpoint, findings []Finding, err error) {
	head, err := p.Log.Head(ctx) // as it is now, or later than what db shows
	if err != nil {
		return at, nil, err
	}
	at = checkpoint{version: p.Version}
	var log, position string
	err = db.QueryRowContext(ctx, `SELECT CAST(log AS text), CAST(position AS text), timing, state, error FROM projectors WHERE name = ? AND version = ?`, p.Name, p.Version).
		Scan(&log, &position, &at.timing, &at.state, &at.error)
	if errors.Is(err, sql.ErrNoRows) {
		return at, nil, errNotBooted
	}
	if err != nil {
		return at, nil, fmt.Errorf("read checkpoint: %w", err)
	}
	find := func(key, expected, found string, position event.Position) {
		findings = append(findings, Finding{p.Name, checkpoints, key, expected, found, max(position, 0)})
	}
	n, notNumber := strconv.ParseInt(position, 10, 64)
	at.position = event.Position(n)
	if notNumber != nil || n < 0 {
		at.position = -1
		if at.timing != Immediate {
			position += ": nothing says how far its tables are, so they were not compared"
		}
		find("position", fmt.Sprint("0 to ", head.Position), position, 0)
	}
	if at.position > head.Position {
		find("position", fmt.Sprint("at most ", head.Position), position, head.Position)
	}
	var notID error
	if at.log, notID = uuid.Parse(log); notID != nil || at.log != head.Log && head.Log != uuid.Nil {
		find("log", head.Log.String(), log, at.position)
	}
	if at.timing != Background && at.timing != Immediate {
		find("timing", string(Background)+" or "+string(Immediate), string(at.timing), at.position)
	}
	switch at.state {
	case Playing:
	case Broken:
		find("state", string(Playing), string(Broken)+": "+at.error, at.position+1)
	default:
		find("state", string(Playing), string(at.state), at.position)
	}
	if at.timing == Immediate { // its own position must be one of the log's all the same
		if head.Log != uuid.Nil {
			head, err = sqldb.HeadOf(ctx, db)
		}
		at.position = head.Position
	}
	return at, findings, err
}

// replica is a projector in a scratch database.
type replica struct {
	*projector
	db    *database.DB
	log   eventlog.Reader
	batch int
	gaps  gaps
	at    event.Position

	unknown bool      // up to where it is to be played
	stuck   []Finding // events that could not be played, though no gap is known that they follow
}

func newReplica(ctx context.Context, p *player, db *database.DB, around []eventlog.Gap) (*replica, error) {
	pr, err := compile(p.Projector, db.Write)
	if err != nil {
		return nil, err
	}
	for _, t := range pr.tables {
		if err := errors.Join(t.make(ctx, db.Write), t.index(ctx, db.Write)); err != nil {
			return nil, err
		}
	}
	r := &replica{projector: pr, db: db, log: eventlog.PastGaps(p.Log, around), batch: p.Batch, gaps: gaps{map[string]bool{}, map[string]bool{}}}
	for _, g := range around {
		if g.Err == nil || p.listens(g.Type) { // of a type that is unknown, too: it may be another than it was when it was played
			r.gaps.add(g.Stream, g.Tags)
		}
	}
	return r, nil
}

// play goes on from where it is.
func (r *replica) play(ctx context.Context, until event.Position) error {
	r.unknown = until < 0
	if until <= r.at {
		return nil // 0 would be no bound
	}
	var events []event.Envelope
	for env, err := range r.log.Read(ctx, eventlog.Query{After: r.at, Until: until, Types: r.events}) {
		if err != nil {
			return err
		}
		if events = append(events, env); len(events) == r.batch {
			if err := r.storeAll(ctx, events); err != nil {
				return err
			}
			events = events[:0]
		}
	}
	if err := r.storeAll(ctx, events); err != nil {
		return err
	}
	r.at = until
	return nil
}

// storeAll stores the events; those that cannot be played become gaps themselves.
func (r *replica) storeAll(ctx context.Context, events []event.Envelope) error {
	err := r.store(ctx, events)
	if _, ok := errors.AsType[*failure](err); !ok {
		return err
	}
	for _, env := range events {
		err := r.store(ctx, []event.Envelope{env})
		if _, ok := errors.AsType[*failure](err); !ok {
			if err != nil {
				return err
			}
			continue
		}
		if !r.gaps.follows(env) {
			r.stuck = append(r.stuck, Finding{
				r.Name, logEvents, string(env.Stream), env.Type + ", as it was played once",
				"it cannot be played: what comes before it in the log is not all there. Rows about it were not compared", env.Position,
			})
		}
		r.gaps.add(env.Stream, env.Event.Tags())
	}
	return nil
}

func (r *replica) store(ctx context.Context, events []event.Envelope) error {
	tx, err := sqldb.Begin(ctx, r.db, commitPatience)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := r.projector.play(ctx, tx.DB(), events); err != nil {
		return err
	}
	return commit(ctx, tx, commitPatience)
}

// gaps are what the events that cannot be played are about, as rows name it: a tag, or the id in it.
type gaps struct {
	streams map[string]bool // the things in whose streams they are
	things  map[string]bool // all of them
}

func (g gaps) add(stream event.Tag, tags []event.Tag) {
	g.streams[string(stream)], g.streams[stream.ID()] = true, true
	for _, t := range tags {
		g.things[string(t)], g.things[t.ID()] = true, true
	}
}

// follows reports whether the event is about a thing whose life has a gap.
func (g gaps) follows(env event.Envelope) bool {
	return g.streams[string(env.Stream)] ||
		slices.ContainsFunc(env.Event.Tags(), func(t event.Tag) bool { return g.streams[string(t)] })
}

// explain reports whether the row, whose key has so many columns, may differ because of a gap.
func (g gaps) explain(f Finding, columns int) bool {
	if _, value, ok := strings.Cut(f.Key, "="); ok && columns == 1 && g.things[value] {
		return true
	}
	return g.named(f.Expected) || g.named(f.Found)
}

// named reports whether the row, as JSON, names a thing whose life has a gap.
func (g gaps) named(row string) bool {
	if len(g.streams) == 0 || row == "" {
		return false
	}
	var columns map[string]any
	if json.Unmarshal([]byte(row), &columns) != nil {
		return false // it is a row, so it is JSON
	}
	for _, value := range columns {
		if s, ok := value.(string); ok && g.streams[s] {
			return true
		}
	}
	return false
}

// rows calls f for each row of a table with its key and the row as JSON, which is the same for equal rows whatever the database.
type rows func(f func(key, row string)) error

// compare tells how the rows that are live differ from those expected.
func compare(expected, live rows) ([]Finding, error) {
	want := map[string]string{}
	if err := expected(func(key, row string) { want[key] = row }); err != nil {
		return nil, err
	}
	var findings []Finding
	if err := live(func(key, row string) {
		if want[key] != row {
			findings = append(findings, Finding{Key: key, Expected: want[key], Found: row})
		}
		delete(want, key)
	}); err != nil {
		return nil, err
	}
	for key, row := range want {
		findings = append(findings, Finding{Key: key, Expected: row})
	}
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	return findings, nil
}

// rows reads the table with db, which is pool or a transaction of it.
func (t *table) rows(ctx context.Context, pool *bun.DB, db bun.IDB) rows {
	return func(f func(key, row string)) (err error) {
		rs, err := db.NewSelect().Model(t.ZeroIface).ModelTableExpr("? AS ?TableAlias", bun.Ident(t.physical)).Rows(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rs.Close()) }()
		for rs.Next() {
			row := reflect.New(t.Type)
			var raw map[string]any
			if pool.ScanRow(ctx, rs, row.Interface()) != nil {
				if raw, err = t.salvage(rs, row); err != nil {
					return err
				}
			}
			text, err := t.json(row, raw)
			if err != nil {
				return err
			}
			f(t.keyText(row, raw), text)
		}
		return rs.Err()
	}
}

// salvage reads of the present row, which cannot be scanned, what can be; it gives the columns that cannot, as they are stored.
func (t *table) salvage(rs *sql.Rows, row reflect.Value) (map[string]any, error) {
	columns, err := rs.Columns()
	if err != nil {
		return nil, err
	}
	stored := make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range stored {
		into[i] = &stored[i]
	}
	if err := rs.Scan(into...); err != nil {
		return nil, err
	}
	raw := map[string]any{}
	for i, name := range columns {
		if f, ok := t.FieldMap[name]; ok && f.ScanValue(row.Elem(), stored[i]) != nil {
			raw[name] = stored[i]
		}
	}
	return raw, nil
}

// json is the row by columns. Those that are raw are as they are stored.
func (t *table) json(row reflect.Value, raw map[string]any) (string, error) {
	columns := make(map[string]any, len(t.Fields))
	for _, f := range t.Fields {
		columns[f.Name] = f.Value(row.Elem()).Interface()
		if stored, ok := raw[f.Name]; ok {
			columns[f.Name] = stored
		}
		if b, ok := columns[f.Name].([]byte); ok && b != nil {
			columns[f.Name] = plain(b)
		}
	}
	b, err := json.Marshal(columns)
	if err != nil {
		return "", err
	}
	// Once more, so that JSON within is in the same form too: PostgreSQL keeps its own.
	var again map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&again); err != nil {
		return "", err
	}
	b, err = json.Marshal(again)
	return string(b), err
}

// plain is bytes for people to read, and other text for other bytes.
func plain(b []byte) string {
	if utf8.Valid(b) && !bytes.HasPrefix(b, []byte(`\x`)) {
		return string(b)
	}
	return fmt.Sprintf(`\x%x`, b)
}

func (t *table) keyText(row reflect.Value, raw map[string]any) string {
	parts := make([]string, len(t.PKs))
	for i, f := range t.PKs {
		v := reflect.Indirect(f.Value(row.Elem()))
		if stored, ok := raw[f.Name]; ok {
			v = reflect.ValueOf(&stored).Elem().Elem()
		}
		if !v.IsValid() {
			parts[i] = f.Name + "=NULL"
			continue
		}
		form := "%s=%v"
		if v.Type() == reflect.TypeFor[[]byte]() {
			form = "%s=%q"
		}
		parts[i] = fmt.Sprintf(form, f.Name, v)
	}
	return strings.Join(parts, ", ")
}
