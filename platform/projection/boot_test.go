package projection

import (
	"context"
	"strings"
	"sync"
	"testing"

	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog/memory"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"
)

// shelvesAt reads how many books the shelves have.
func (b *bench) shelves() map[string]int {
	b.Helper()
	got := map[string]int{}
	for _, s := range rowsOf[shelfRow](b, "name") {
		got[s.Name] = s.Books
	}
	return got
}

func TestBootingAgainDoesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		b.store(&added{Book: "emma", Shelf: "a"}, &added{Book: "ulysses", Shelf: "b"})
		p := b.booted(b.config(books()))
		stop := b.play(p)
		head := b.caughtUp(p)
		stop()
		again := b.booted(b.config(books()))
		if s := b.status(again, "shelf-books"); s.Position != head || s.State != Playing || s.Timing != Background || s.Lag != 0 {
			b.Errorf("after booting again it stands at %+v", s)
		}
		if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, b.shelves()); diff != "" {
			b.Error(diff)
		}
	})
}

func TestManyBootAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		b.store(&added{Book: "emma", Shelf: "a"})
		var all sync.WaitGroup
		gate := make(chan struct{})
		for range 8 {
			p, err := New(b.config(books()))
			if err != nil {
				b.Fatal(err)
			}
			all.Go(func() {
				<-gate
				if err := p.Boot(b.Context()); err != nil {
					b.Error(err)
				}
			})
		}
		close(gate)
		all.Wait()
		p := b.booted(b.config(books()))
		b.play(p)
		b.caughtUp(p)
	})
}

// What makes a projector begin anew.
func TestBootBeginsAnew(t *testing.T) {
	t.Parallel()
	type bookRow2 struct {
		bun.BaseModel `bun:"table:books"`

		ID    string `bun:",pk"`
		Pages int
	}
	second := Projector{
		Name: "shelf-books", Version: 2, Tables: []Table{{Model: (*bookRow2)(nil)}},
		Handlers: Handlers{On(func(_ context.Context, w *Writer, e *added, _ event.Envelope) error {
			w.Put(&bookRow2{ID: e.Book, Pages: len(e.Title)})
			return nil
		})},
	}
	onEach(t, func(b *bench) {
		b.store(&added{Book: "emma", Shelf: "a", Title: "Emma"}, &added{Book: "ulysses", Shelf: "b", Title: "Ulysses"})
		playAll := func(c Config) {
			b.Helper()
			p := b.booted(c)
			stop := b.play(p)
			defer stop()
			b.caughtUp(p)
		}
		playAll(b.config(books()))
		want := map[string]int{"a": 1, "b": 1}

		for name, harm := range map[string]string{
			"a table is gone":        `DROP TABLE shelves_v1`,
			"the checkpoint is gone": `DELETE FROM projectors`,
		} {
			if _, err := b.db.Write.ExecContext(b.Context(), `DROP VIEW shelves`); err != nil {
				b.Fatal(err)
			}
			if _, err := b.db.Write.ExecContext(b.Context(), harm); err != nil {
				b.Fatal(err)
			}
			playAll(b.config(books()))
			if diff := cmp.Diff(want, b.shelves()); diff != "" {
				b.Errorf("when %s: %s", name, diff)
			}
		}

		if _, err := b.db.Write.ExecContext(b.Context(), `DROP VIEW shelves`); err != nil {
			b.Fatal(err)
		}
		p := b.booted(b.config(books()))
		if s := b.status(p, "shelf-books"); s.Lag != 0 || len(b.shelves()) != 2 {
			b.Errorf("it began anew because a view was gone: %+v", s)
		}

		playAll(b.config(second))
		if diff := cmp.Diff([]bookRow2{{ID: "emma", Pages: 4}, {ID: "ulysses", Pages: 7}}, rowsOf[bookRow2](b, "id")); diff != "" {
			b.Errorf("in version 2: %s", diff)
		}
		there, err := relations(b.Context(), b.db.Read)
		if err != nil || there["books_v1"] {
			b.Errorf("the table of version 1 is still there: %v", err)
		}

		playAll(b.config(books()))
		if diff := cmp.Diff(want, b.shelves()); diff != "" {
			b.Errorf("back in version 1: %s", diff)
		}

		other := memory.New(b.registry, 0)
		if err := store(b.Context(), other, nil, &added{Book: "dracula", Shelf: "c"}); err != nil {
			b.Fatal(err)
		}
		c := b.config(books())
		c.Log = other
		playAll(c)
		if diff := cmp.Diff(map[string]int{"c": 1}, b.shelves()); diff != "" {
			b.Errorf("with another log: %s", diff)
		}
	})
}

func TestBootRefuses(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		b.booted(b.config(books()))
		type changed struct {
			bun.BaseModel `bun:"table:books"`

			ID    string `bun:",pk"`
			Pages int
		}
		p := books()
		p.Tables[0] = Table{Model: (*changed)(nil)}
		for name, c := range map[string]struct {
			config func() Config
			want   string
		}{
			"a model that was changed without a new version": {func() Config { return b.config(p) }, "raise the projector's version"},
			"immediate timing with the log elsewhere": {func() Config {
				c := b.config(books())
				c.Log, c.Timing = memory.New(b.registry, 0), Immediate
				return c
			}, "immediate timing needs the log to be in the projectors' own database"},
		} {
			pr, err := New(c.config())
			if err != nil {
				b.Fatal(err)
			}
			if err := pr.Boot(b.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				b.Errorf("%s: got %v, want …%s…", name, err, c.want)
			}
		}
	})
}

func TestAProjectorThatCannotBootKeepsNoOtherFromIt(t *testing.T) {
	t.Parallel()
	r := registry(t)
	b := &bench{T: t, db: dbtest.SQLite(t), registry: r}
	if _, err := b.db.Write.ExecContext(t.Context(), `CREATE TABLE books (id)`); err != nil { // in the view's place
		t.Fatal(err)
	}
	c := b.config(books(), notices("z-notices"))
	c.Log = memory.New(r, 0)
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Boot(t.Context()); err == nil || !strings.Contains(err.Error(), "boot projector shelf-books") {
		t.Errorf("got %v", err)
	}
	if s := b.status(p, "z-notices"); s.State != Playing {
		t.Errorf("the other stands at %+v", s)
	}
}

type noticeRow struct {
	bun.BaseModel `bun:"table:notices"`

	What  string `bun:",pk"`
	Times int
}

// notices counts what was noticed.
func notices(name string) Projector {
	return Projector{
		Name: name, Version: 1, Tables: []Table{{Model: (*noticeRow)(nil)}},
		Handlers: Handlers{On(func(ctx context.Context, w *Writer, e *noticed, _ event.Envelope) error {
			n, there, err := Get(ctx, w, &noticeRow{What: e.What})
			if err != nil {
				return err
			}
			if !there {
				n = &noticeRow{What: e.What}
			}
			n.Times++
			w.Put(n)
			return nil
		})},
	}
}
