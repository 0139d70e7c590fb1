package projectiontest

import (
	"context"
	"os"
	"testing"

	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/mutant"
	"accession/platform/projection"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// lent and returned are the events of the projectors below.
type lent struct {
	Book   string `json:"book"`
	Reader string `json:"reader"`
}

func (*lent) EventType() string   { return "desk.lent" }
func (e *lent) Tags() []event.Tag { return []event.Tag{event.NewTag("book", e.Book)} }

type returned struct {
	Book string `json:"book"`
}

func (*returned) EventType() string   { return "desk.returned" }
func (e *returned) Tags() []event.Tag { return []event.Tag{event.NewTag("book", e.Book)} }

type loan struct {
	bun.BaseModel `bun:"table:loans"`

	Book   string `bun:",pk"`
	Reader string
	Times  int // how often it was lent
}

var registry = func() *event.Registry {
	r, err := event.NewRegistry(&lent{}, &returned{})
	if err != nil {
		panic(err)
	}
	return r
}()

var history = []event.Event{
	&lent{"emma", "ann"}, &lent{"ulysses", "bob"}, &returned{"emma"}, &lent{"emma", "bob"}, &returned{"ulysses"},
	&lent{"dracula", "ann"}, &returned{"emma"}, &lent{"emma", "cid"},
}

func onReturned(ctx context.Context, w *projection.Writer, e *returned, _ event.Envelope) error {
	return projection.Change(ctx, w, &loan{Book: e.Book}, func(l *loan) { l.Reader = "" })
}

func loans(handlers ...projection.Handler) projection.Projector {
	return projection.Projector{
		Name: "desk-loans", Version: 1,
		Tables:   []projection.Table{{Model: (*loan)(nil), Indexes: []projection.Index{{Columns: []string{"reader"}}}}},
		Handlers: handlers,
	}
}

func onLent(ctx context.Context, w *projection.Writer, e *lent, _ event.Envelope) error {
	l, there, err := projection.Get(ctx, w, &loan{Book: e.Book})
	if err != nil {
		return err
	}
	if !there {
		l = &loan{Book: e.Book}
	}
	l.Reader = e.Reader
	l.Times++
	w.Put(l)
	return nil
}

func TestRunGivesTheRows(t *testing.T) {
	t.Parallel()
	played := Run(t, loans(projection.On(onLent), projection.On(onReturned)), registry, history...)
	want := []loan{{Book: "dracula", Reader: "ann", Times: 1}, {Book: "emma", Reader: "cid", Times: 3}, {Book: "ulysses", Times: 1}}
	if diff := cmp.Diff(want, Rows[loan](t, played)); diff != "" {
		t.Error(diff)
	}
}

func TestRulesCatch(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func() projection.Projector{
		"a projector that counts in the process, outside of the checkpoint's transaction": func() projection.Projector {
			times := map[string]int{}
			return loans(projection.On(func(_ context.Context, w *projection.Writer, e *lent, _ event.Envelope) error {
				times[e.Book]++
				w.Put(&loan{Book: e.Book, Reader: e.Reader, Times: times[e.Book]})
				return nil
			}), projection.On(onReturned))
		},
		"a projector that writes a row one event late, when the checkpoint has passed it": func() projection.Projector {
			var held *loan
			return loans(projection.On(func(_ context.Context, w *projection.Writer, e *lent, _ event.Envelope) error {
				if held != nil {
					w.Put(held)
				}
				held = &loan{Book: e.Book, Reader: e.Reader}
				return nil
			}), projection.On(func(_ context.Context, w *projection.Writer, e *returned, _ event.Envelope) error {
				if held != nil {
					w.Put(held)
				}
				held = nil
				return nil
			}))
		},
		"a projector that the events are not complete for": func() projection.Projector {
			return loans(projection.On(onLent), projection.On(onReturned), projection.On(func(context.Context, *projection.Writer, *never, event.Envelope) error { return nil }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := event.NewRegistry(&lent{}, &returned{}, &never{})
			if err != nil {
				t.Fatal(err)
			}
			db := dbtest.SQLite(t)
			mutant.Caught(t, func(t mutant.T) { rules(t, bench{db, wrong(), r, history}) })
		})
	}
}

// never is an event that does not happen.
type never struct{}

func (*never) EventType() string { return "desk.never" }
func (*never) Tags() []event.Tag { return nil }
