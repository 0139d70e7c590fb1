package projection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"

	"github.com/uptrace/bun"
)

// Finding is a row that is not what the log says it should be, a table that is gone, or a checkpoint that is not where it can be.
type Finding struct {
	Projector string
	Table     string // "projectors" for the checkpoint
	// Key is "id=…" of a row; of several columns "category_id=…, number=…". Of what is gone it is "table" or "view"; of a checkpoint
	// the column: "log", "position", "state", or "version" when there is none.
	Key string
	// Expected is the row as JSON, by columns; bytes are text, or \x and hexadecimal where they are not UTF-8. It is empty when there
	// should be no row. Of what is gone, and of a checkpoint, it is what should be there.
	Expected string
	Found    string         // the same of the row that is there; empty when there is none
	Position event.Position // up to which the log was played; where the state is Broken, the event that cannot be
}

// checkpoints is the table of the findings that are not about a row.
const checkpoints = "projectors"

// Checkpoint reports whether the finding is about the projector's checkpoint, and not about a row.
func (f Finding) Checkpoint() bool { return f.Table == checkpoints }

// Verify plays the log anew, into a database of its own that is gone afterwards, up to where each projector is, and compares the
// tables row by row. It changes nothing, and holds a snapshot of the database only while it compares. It needs room in memory
// for the rows of the largest table. A projector that is behind is no finding; one that is Broken is, as is a checkpoint beyond the
// end of the log or in another log, and one that is gone while its tables are there. Projectors that are not booted are passed
// by; one that cannot be checked does not keep the others from it.
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
		if err != nil {
			errs = append(errs, fmt.Errorf("verify projector %s: %w", pl.Name, err))
		}
		findings = append(findings, found...)
	}
	return findings, errors.Join(errs...)
}

func (p *player) verify(ctx context.Context, scratch *database.DB, gaps []eventlog.Gap) ([]Finding, error) {
	at, err := p.reached(ctx, p.DB.Read)
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
		if at, err = p.reached(ctx, db); err != nil {
			return err
		}
		if at.position < r.at {
			return errors.New("it began anew meanwhile: verify again")
		}
		if findings, err = p.verifyCheckpoint(ctx, db); err != nil {
			return err
		}
		there, err := relations(ctx, db)
		if err != nil {
			return err
		}
		if err := r.play(ctx, at.position); err != nil {
			return err
		}
		for i, live := range p.tables {
			if !there[live.physical] {
				findings = append(findings, Finding{p.Name, live.Name, "table", live.physical, "nothing: the next start makes it anew, and plays the log into it", at.position})
				continue
			}
			if !there[live.Name] {
				findings = append(findings, Finding{p.Name, live.Name, "view", "one of " + live.physical, "nothing: the next start makes it anew", at.position})
			}
			found, err := compare(r.tables[i].rows(ctx, scratch.Read, scratch.Read), live.rows(ctx, p.DB.Read, db))
			if err != nil {
				return fmt.Errorf("compare %s: %w", live.Name, err)
			}
			for _, f := range found {
				if !r.gaps.explain(f, len(live.PKs)) {
					f.Projector, f.Table, f.Position = p.Name, live.Name, at.position
					findings = append(findings, f)
				}
			}
		}
		return nil
	})
	return findings, err
}

// verifyUnbooted looks whether there are tables of a projector that has no checkpoint in any version.
func (p *player) verifyUnbooted(ctx context.Context) (findings []Finding, err error) {
	err = p.DB.Snapshot(ctx, func(ctx context.Context, db bun.IDB) error {
		versions, err := p.versions(ctx, db)
		if err != nil || len(versions) > 0 {
			return err // another version has taken its place
		}
		there, err := relations(ctx, db)
		if err != nil {
			return err
		}
		for _, t := range p.tables {
			if there[t.physical] {
				findings = []Finding{{
					p.Name, checkpoints, "version", fmt.Sprintf("%d, for there is the table %s", p.Version, t.physical),
					"nothing: the next start begins anew, with empty tables", 0,
				}}
				return nil
			}
		}
		return nil
	})
	return findings, err
}

func (p *player) verifyCheckpoint(ctx context.Context, db bun.IDB) (findings []Finding, err error) {
	at, err := p.at(ctx, db) // in immediate timing too its position must be one of the log's
	if err != nil {
		return nil, err
	}
	head, err := p.Log.Head(ctx) // as it is now, or later than what db shows
	if err != nil {
		return nil, err
	}
	find := func(key, expected, found string, position event.Position) {
		findings = append(findings, Finding{p.Name, checkpoints, key, expected, found, position})
	}
	if at.log != head.Log {
		find("log", head.Log.String(), at.log.String(), at.position)
	}
	if at.position > head.Position {
		find("position", fmt.Sprint("at most ", head.Position), fmt.Sprint(at.position), head.Position)
	}
	if at.state == Broken {
		find("state", string(Playing), string(Broken)+": "+at.error, at.position+1)
	}
	return findings, nil
}

// replica is a projector in a scratch database.
type replica struct {
	*projector
	db    *database.DB
	log   eventlog.Reader
	batch int
	gaps  gaps
	at    event.Position
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

// storeAll stores the events; those that cannot be played because of a gap become gaps themselves.
func (r *replica) storeAll(ctx context.Context, events []event.Envelope) error {
	err := r.store(ctx, events)
	if failed, ok := errors.AsType[*failure](err); !ok || !r.gaps.follows(failed.event) {
		return err
	}
	for _, env := range events {
		err := r.store(ctx, []event.Envelope{env})
		if _, ok := errors.AsType[*failure](err); ok && r.gaps.follows(env) {
			r.gaps.add(env.Stream, env.Event.Tags())
		} else if err != nil {
			return err
		}
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
			if err := pool.ScanRow(ctx, rs, row.Interface()); err != nil {
				return err
			}
			text, err := t.json(row)
			if err != nil {
				return err
			}
			f(t.keyText(row), text)
		}
		return rs.Err()
	}
}

func (t *table) json(row reflect.Value) (string, error) {
	columns := make(map[string]any, len(t.Fields))
	for _, f := range t.Fields {
		columns[f.Name] = f.Value(row.Elem()).Interface()
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

func (t *table) keyText(row reflect.Value) string {
	parts := make([]string, len(t.PKs))
	for i, f := range t.PKs {
		v := reflect.Indirect(f.Value(row.Elem()))
		form := "%s=%v"
		if v.Type() == reflect.TypeFor[[]byte]() {
			form = "%s=%q"
		}
		parts[i] = fmt.Sprintf(form, f.Name, v)
	}
	return strings.Join(parts, ", ")
}
