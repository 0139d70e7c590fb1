// Package projectiontest checks a projector: it plays events into it in every way in which they may come, and the rows must be
// the same.
//
//	func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
//
//	func TestBooks(t *testing.T) {
//		played := projectiontest.Run(t, Books, registry,
//			&catalogueevents.BookAdded{…},
//			&catalogueevents.BookCorrected{…},
//		)
//		want := []bookRow{{…}} // written down by hand, not folded from the same events
//		if diff := cmp.Diff(want, projectiontest.Rows[bookRow](t, played)); diff != "" {
//			t.Error(diff)
//		}
//	}
package projectiontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/memory"
	"accession/platform/eventlog/sqldb"
	"accession/platform/mutant"
	"accession/platform/projection"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Run checks the projector on SQLite, and on PostgreSQL where dbtest has one:
//
//   - batches of one event, of three and of all give the same rows;
//   - events that it does not know are passed by;
//   - the rows are those of a rebuild;
//   - starting again changes nothing;
//   - an event whose batch was lost in a crash, before or after its commit, counts once;
//   - played in the command's transaction, events give the same rows.
//
// Give at least one of each event that the projector listens to, in an order in which they can happen. They are stored one
// second apart, each in a unit of its own, in the stream of its first tag, by the actor "projectiontest".
//
// The rows are what the author has to judge: see [Rows].
func Run(t *testing.T, p projection.Projector, registry *event.Registry, events ...event.Event) *Played {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { rules(t, bench{dbtest.SQLite(t), p, registry, events}) })
	t.Run("postgres", func(t *testing.T) { rules(t, bench{dbtest.Postgres(t), p, registry, events}) })
	played := &Played{db: dbtest.SQLite(t)}
	b := bench{played.db, p, registry, events}
	if err := b.play(t.Context(), b.inMemory(t), nil); err != nil {
		t.Fatal(err)
	}
	return played
}

// Played is a database into which the events were played.
type Played struct{ db *database.DB }

// Rows reads the rows of a model as a reader does, by the primary key.
func Rows[R any](t *testing.T, p *Played) []R {
	t.Helper()
	var rows []R
	q := p.db.Read.NewSelect().Model(&rows)
	for _, pk := range p.db.Read.Table(reflect.TypeFor[R]()).PKs {
		q = q.OrderExpr("?", bun.Ident(pk.Name))
	}
	if err := q.Scan(t.Context()); err != nil {
		t.Fatalf("read rows: %v", err)
	}
	return rows
}

// bench is a database with a projector to check.
type bench struct {
	db        *database.DB
	projector projection.Projector
	registry  *event.Registry
	events    []event.Event
}

// patience is how long a rule waits for what must come: much longer than it takes.
const patience = time.Minute

func rules(t mutant.T, b bench) {
	t.Helper()
	for _, name := range b.projector.Events() {
		if !slices.ContainsFunc(b.events, func(e event.Event) bool { return e.EventType() == name }) {
			t.Errorf("no %s is given: there must be one of each event that the projector listens to", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rule := func(name string, play func() error) (rows string) {
		t.Helper()
		err := play()
		if err == nil {
			rows, err = b.dump(ctx)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return rows
	}
	plain := b.inMemory(t)
	want := rule("in one batch", func() error { return b.play(ctx, plain, nil) })
	same := func(name string, play func() error) {
		t.Helper()
		if diff := cmp.Diff(want, rule(name, play)); diff != "" {
			t.Errorf("%s: the rows differ (-want +got):\n%s", name, diff)
		}
	}

	log := sqldb.New(b.db, b.registry, patience)
	if err := b.store(ctx, log, b.amongStrangers(), nil); err != nil {
		t.Fatal(err)
	}
	same("with events that nobody knows", func() error { return b.anew(ctx, log, nil) })
	for _, n := range []int{1, 3} {
		same(fmt.Sprintf("in batches of %d", n), func() error {
			return b.anew(ctx, log, func(c *projection.Config) { c.Batch = n })
		})
	}
	same("started again", func() error { return b.play(ctx, log, nil) })
	same("rebuilt", func() error { return b.verify(ctx, log) })
	for _, s := range []projection.Stage{projection.Moved, projection.Written, projection.Committed} {
		same("crashed when a batch was "+string(s), func() error {
			return b.anew(ctx, log, func(c *projection.Config) { c.Batch, c.Probe = 2, crashes(s) })
		})
	}
	same("played immediately", func() error { return b.immediately(ctx, log) })
}

// crashes makes every second batch that comes to the stage fail there.
func crashes(at projection.Stage) func(context.Context, string, projection.Stage) error {
	spared := true
	return func(_ context.Context, _ string, s projection.Stage) error {
		if s != at {
			return nil
		}
		if spared = !spared; spared {
			return nil
		}
		return fmt.Errorf("crash when %s", s)
	}
}

// inMemory is a log that holds the events and nothing else.
func (b bench) inMemory(t mutant.T) eventlog.Log {
	t.Helper()
	log := memory.New(b.registry, patience)
	if err := b.store(t.Context(), log, b.envelopes(), nil); err != nil {
		t.Fatal(err)
	}
	return log
}

// stranger is an event that no registry knows.
type stranger struct{ Number int }

func (*stranger) EventType() string { return "projectiontest.stranger" }
func (s *stranger) Tags() []event.Tag {
	return []event.Tag{event.NewTag("stranger", fmt.Sprint(s.Number))}
}

// began is when the first event is recorded.
var began = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// envelopes are the events as they are stored: the same each time.
func (b bench) envelopes() []event.Envelope {
	versions := map[event.Tag]int{}
	all := make([]event.Envelope, len(b.events))
	for i, e := range b.events {
		stream := e.Tags()[0]
		versions[stream]++
		id := event.Derive(uuid.NameSpaceOID, "projectiontest", fmt.Sprint(i))
		all[i] = event.Envelope{
			ID: id, Unit: id, Stream: stream, Version: versions[stream], Type: e.EventType(), Schema: event.SchemaOf(e),
			RecordedAt: began.Add(time.Duration(i) * time.Second), Actor: "projectiontest", Event: e,
		}
	}
	return all
}

// amongStrangers are the events with others between them that nobody knows.
func (b bench) amongStrangers() []event.Envelope {
	var all []event.Envelope
	for i, env := range append(b.envelopes(), event.Envelope{}) {
		s := &stranger{i}
		all = append(all, event.Envelope{ID: uuid.New(), Unit: uuid.New(), Stream: s.Tags()[0], Version: 1, Type: s.EventType(), RecordedAt: began, Event: s})
		if env.Event != nil {
			all = append(all, env)
		}
	}
	return all
}

func (b bench) config(log eventlog.Reader) projection.Config {
	return projection.Config{
		DB: b.db, Log: log, Registry: b.registry, Projectors: []projection.Projector{b.projector},
		Poll: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}
}

// play boots the projector as it is and plays to the end of the log.
func (b bench) play(ctx context.Context, log eventlog.Reader, change func(*projection.Config)) error {
	c := b.config(log)
	if change != nil {
		change(&c)
	}
	p, err := projection.New(c)
	if err != nil {
		return err
	}
	if err := p.Boot(ctx); err != nil {
		return err
	}
	head, err := p.Head(ctx)
	if err != nil {
		return err
	}
	playing, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.Play(playing)
	}()
	defer func() { stop(); <-stopped }()
	return p.Wait(ctx, b.projector.Name, head)
}

// forget makes the projector one that was never booted here.
func (b bench) forget(ctx context.Context) error {
	_, err := b.db.Write.ExecContext(ctx, `DELETE FROM projectors`)
	return err
}

func (b bench) anew(ctx context.Context, log eventlog.Reader, change func(*projection.Config)) error {
	if err := b.forget(ctx); err != nil {
		return err
	}
	return b.play(ctx, log, change)
}

func (b bench) verify(ctx context.Context, log eventlog.Reader) error {
	p, err := projection.New(b.config(log))
	if err != nil {
		return err
	}
	findings, err := p.Verify(ctx)
	for _, f := range findings {
		err = errors.Join(err, fmt.Errorf("%s %s: a rebuild has %q, the table %q", f.Table, f.Key, f.Expected, f.Found))
	}
	return err
}

// immediately stores the first half of the events anew, so that there is something to catch up with, and plays the other half
// in the transactions that store it.
func (b bench) immediately(ctx context.Context, log *sqldb.Log) error {
	for _, table := range []string{"projectors", "log_events", "log_tags", "log_units"} {
		if _, err := b.db.Write.ExecContext(ctx, `DELETE FROM ?`, bun.Ident(table)); err != nil {
			return err
		}
	}
	if _, err := b.db.Write.ExecContext(ctx, `UPDATE log_head SET position = 0`); err != nil {
		return err
	}
	events := b.envelopes()
	half := len(events) / 2
	if err := b.store(ctx, log, events[:half], nil); err != nil {
		return err
	}
	c := b.config(log)
	c.Timing = projection.Immediate
	p, err := projection.New(c)
	if err != nil {
		return err
	}
	if err := p.Boot(ctx); err != nil {
		return err
	}
	return b.store(ctx, log, events[half:], p.Immediate().Play)
}

// dump is all rows as readers see them, one a line.
func (b bench) dump(ctx context.Context) (string, error) {
	var lines []string
	for _, t := range b.projector.Tables {
		typ := reflect.TypeOf(t.Model).Elem()
		rows := reflect.New(reflect.SliceOf(typ))
		if err := b.db.Read.NewSelect().Model(rows.Interface()).Scan(ctx); err != nil {
			return "", fmt.Errorf("read rows: %w", err)
		}
		for _, row := range rows.Elem().Seq2() {
			text, err := json.Marshal(row.Interface())
			if err != nil {
				return "", fmt.Errorf("write row as JSON: %w", err)
			}
			lines = append(lines, typ.Name()+" "+string(text))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

// store stores each event in a unit of its own, in whose transaction play has its turn.
func (b bench) store(ctx context.Context, log eventlog.Log, events []event.Envelope, play func(context.Context, eventlog.Tx, []event.Envelope) error) error {
	for i := range events {
		env := events[i : i+1]
		data, err := event.Encode(env[0].Event)
		if err != nil {
			return err
		}
		env[0].Data = data
		tx, err := log.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if play != nil {
			if err := play(ctx, tx, env); err != nil {
				return err
			}
		}
		if err := tx.Commit(ctx, eventlog.Unit{ID: env[0].Unit, Key: env[0].Unit.String(), Events: env}); err != nil {
			return err
		}
	}
	return nil
}
