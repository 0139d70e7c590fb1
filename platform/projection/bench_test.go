package projection

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := dbtest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// The events of these tests: books are put on shelves.
type (
	added struct {
		Book, Shelf, Title string
		Authors            []string
	}
	retitled struct{ Book, Title string }
	removed  struct{ Book string }
	noticed  struct{ What string } // nobody listens to it
)

func (*added) EventType() string    { return "shelf.added" }
func (*retitled) EventType() string { return "shelf.retitled" }
func (*removed) EventType() string  { return "shelf.removed" }
func (*noticed) EventType() string  { return "shelf.noticed" }

func (e *added) Tags() []event.Tag    { return []event.Tag{event.NewTag("book", e.Book)} }
func (e *retitled) Tags() []event.Tag { return []event.Tag{event.NewTag("book", e.Book)} }
func (e *removed) Tags() []event.Tag  { return []event.Tag{event.NewTag("book", e.Book)} }
func (e *noticed) Tags() []event.Tag  { return []event.Tag{event.NewTag("notice", e.What)} }

func registry(t testing.TB) *event.Registry {
	t.Helper()
	r, err := event.NewRegistry(&added{}, &retitled{}, &removed{}, &noticed{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type bookRow struct {
	bun.BaseModel `bun:"table:books"`

	ID      string `bun:",pk"`
	Shelf   string
	Title   string
	Authors []string
	AddedAt time.Time
}

type shelfRow struct {
	bun.BaseModel `bun:"table:shelves"`

	Name  string `bun:",pk"`
	Books int
}

// books keeps books and counts them by shelf.
func books() Projector {
	return Projector{
		Name: "shelf-books", Version: 1,
		Tables: []Table{
			{Model: (*bookRow)(nil), Indexes: []Index{{Columns: []string{"shelf", "title"}}}},
			{Model: (*shelfRow)(nil)},
		},
		Handlers: Handlers{
			On(func(ctx context.Context, w *Writer, e *added, env event.Envelope) error {
				w.Put(&bookRow{ID: e.Book, Shelf: e.Shelf, Title: e.Title, Authors: e.Authors, AddedAt: env.RecordedAt})
				return count(ctx, w, e.Shelf, 1)
			}),
			On(func(ctx context.Context, w *Writer, e *retitled, _ event.Envelope) error {
				return Change(ctx, w, &bookRow{ID: e.Book}, func(b *bookRow) { b.Title = e.Title })
			}),
			On(func(ctx context.Context, w *Writer, e *removed, _ event.Envelope) error {
				b, there, err := Get(ctx, w, &bookRow{ID: e.Book})
				if err != nil || !there {
					return err
				}
				w.Delete(b)
				return count(ctx, w, b.Shelf, -1)
			}),
		},
	}
}

func count(ctx context.Context, w *Writer, shelf string, n int) error {
	s, there, err := Get(ctx, w, &shelfRow{Name: shelf})
	if err != nil {
		return err
	}
	if !there {
		s = &shelfRow{Name: shelf}
	}
	s.Books += n
	w.Put(s)
	return nil
}

// bench is a database with a log in it.
type bench struct {
	*testing.T
	db       *database.DB
	log      *sqldb.Log
	registry *event.Registry
}

func onEach(t *testing.T, f func(b *bench)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		r := registry(t)
		f(&bench{T: t, db: db, log: sqldb.New(db, r, 20*time.Second), registry: r})
	})
}

func (b *bench) config(projectors ...Projector) Config {
	return Config{
		DB: b.db, Log: b.log, Registry: b.registry, Projectors: projectors,
		Poll: 20 * time.Millisecond, Patience: 20 * time.Second, Logger: slog.New(slog.DiscardHandler),
	}
}

// booted is a projectionist that has booted.
func (b *bench) booted(c Config) *Projectionist {
	b.Helper()
	p, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Boot(b.Context()); err != nil {
		b.Fatal(err)
	}
	return p
}

// play plays in the background until stop, which may be called again, or the end of the test.
func (b *bench) play(p *Projectionist) (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Play(ctx)
	}()
	stop = func() { cancel(); <-done }
	b.Cleanup(stop)
	return stop
}

// caughtUp waits until all projectors are at the head.
func (b *bench) caughtUp(p *Projectionist) event.Position {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	head, err := p.Head(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for _, pl := range p.players {
		if err := p.Wait(ctx, pl.Name, head); err != nil {
			b.Fatal(err)
		}
	}
	return head
}

// store stores the events, each in a unit of its own.
func (b *bench) store(events ...event.Event) {
	b.Helper()
	for _, e := range events {
		if err := store(b.Context(), b.log, nil, e); err != nil {
			b.Fatal(err)
		}
	}
}

var recorded = time.Date(2026, time.March, 4, 5, 6, 7, 123456000, time.UTC)

// versions are where the streams of all logs are; tests of one log do not write to one stream at the same time.
var versions = struct {
	sync.Mutex
	of map[eventlog.Log]map[event.Tag]int
}{of: map[eventlog.Log]map[event.Tag]int{}}

// store stores events in one unit, as a command does.
func store(ctx context.Context, log eventlog.Log, play func(context.Context, eventlog.Tx, []event.Envelope) error, events ...event.Event) error {
	unit := eventlog.Unit{ID: uuid.New()}
	unit.Key = unit.ID.String()
	versions.Lock()
	of := versions.of[log]
	if of == nil {
		of = map[event.Tag]int{}
		versions.of[log] = of
	}
	for _, e := range events {
		data, err := event.Encode(e)
		if err != nil {
			versions.Unlock()
			return err
		}
		stream := e.Tags()[0]
		of[stream]++
		unit.Events = append(unit.Events, event.Envelope{
			ID: uuid.New(), Unit: unit.ID, Stream: stream, Version: of[stream], Type: e.EventType(), Schema: 1,
			RecordedAt: recorded, Actor: "test", Data: data, Event: e,
		})
	}
	versions.Unlock()
	failed := func(err error) error {
		versions.Lock()
		defer versions.Unlock()
		for _, env := range unit.Events {
			of[env.Stream]--
		}
		return err
	}
	tx, err := log.Begin(ctx)
	if err != nil {
		return failed(err)
	}
	defer tx.Rollback()
	if play != nil {
		if err := play(ctx, tx, unit.Events); err != nil {
			return failed(err)
		}
	}
	if err := tx.Commit(ctx, unit); err != nil {
		return failed(err)
	}
	return nil
}

// rowsOf reads a table as a reader does.
func rowsOf[R any](b *bench, order string) []R {
	b.Helper()
	var rows []R
	if err := b.db.Read.NewSelect().Model(&rows).OrderExpr(order).Scan(b.Context()); err != nil {
		b.Fatal(err)
	}
	return rows
}

func (b *bench) status(p *Projectionist, name string) Status {
	b.Helper()
	all, err := p.Status(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	b.Fatalf("no status of %s", name)
	return Status{}
}
