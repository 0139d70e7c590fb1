package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/platform/event"
	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"
)

func TestViewWaitsForWhatTheReaderWantsToSee(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.booted(b.config(books()))
		b.store(&added{Book: "emma", Shelf: "a"}, &noticed{"last"})
		type answer struct {
			at    event.Position
			books int64
			err   error
		}
		answers := make(chan answer)
		for range 3 {
			go func() {
				var a answer
				a.at, a.err = p.View(b.Context(), Query{Projector: "shelf-books", Min: 2, Wait: 30 * time.Second}, func(ctx context.Context, db bun.IDB) (err error) {
					a.books, err = db.NewSelect().Model((*bookRow)(nil)).Count(ctx)
					return err
				})
				answers <- a
			}()
		}
		b.play(p)
		for range 3 {
			if a := <-answers; a.at != 2 || a.books != 1 || a.err != nil {
				b.Errorf("a reader got %+v", a)
			}
		}
	})
}

func TestViewSaysBehind(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.booted(b.config(books()))
		b.store(&added{Book: "emma", Shelf: "a"})
		never := func(context.Context, bun.IDB) error { return errors.New("it was read") }
		for _, wait := range []time.Duration{0, 30 * time.Millisecond} {
			_, err := p.View(b.Context(), Query{Projector: "shelf-books", Min: 1, Wait: wait}, never)
			if e := problem.Of(err); !errors.Is(err, ErrBehind) || e.Kind != problem.Unavailable || e.RetryAfter != time.Second {
				b.Errorf("waiting for %v ended with %#v", wait, err)
			}
		}
		at, err := p.View(b.Context(), Query{Projector: "shelf-books"}, func(context.Context, bun.IDB) error { return nil })
		if at != 0 || err != nil {
			b.Errorf("as it is: %d, %v", at, err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		if _, err := p.View(ctx, Query{Projector: "shelf-books", Min: 1, Wait: time.Hour}, never); !errors.Is(err, context.Canceled) {
			b.Errorf("a reader who left is told %v", err)
		}
		if _, err := p.View(b.Context(), Query{Projector: "shelf-boks"}, never); problem.Of(err).Kind != problem.Internal {
			b.Errorf("who misspells a projector is told %v", err)
		}
	})
}

func TestViewDoesNotWaitForABrokenProjector(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		var is atomic.Bool
		is.Store(true)
		p := b.booted(b.config(cursed(&is, func() error { return errors.New("the stars are wrong") })))
		b.store(&added{Book: "emma", Shelf: "a"}, &added{Book: "cursed", Shelf: "a"})
		b.play(p)
		_, err := p.View(b.Context(), Query{Projector: "shelf-books", Min: 2, Wait: time.Hour}, func(context.Context, bun.IDB) error { return nil })
		if e := problem.Of(err); !errors.Is(err, ErrBehind) || !strings.Contains(e.Message, "is broken at position 1") || strings.Contains(e.Message, "stars") {
			b.Errorf("the reader is told %v", err)
		}
		at, err := p.View(b.Context(), Query{Projector: "shelf-books", Min: 1}, func(context.Context, bun.IDB) error { return nil })
		if at != 1 || err != nil {
			b.Errorf("what was played before reads %d, %v", at, err)
		}
	})
}

func TestAnErrorOfTheReaderIsGivenBackWithThePosition(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.booted(b.config(books()))
		b.store(&added{Book: "emma", Shelf: "a"})
		b.play(p)
		b.caughtUp(p)
		notFound := problem.New(problem.NotFound, "book-not-found", "There is no such book.")
		at, err := p.View(b.Context(), Query{Projector: "shelf-books"}, func(context.Context, bun.IDB) error { return notFound })
		if at != 1 || problem.Of(err) != notFound {
			b.Errorf("got %d, %v", at, err)
		}
	})
}

// R24: what is read agrees with the position that is told, whatever is played meanwhile.
func TestRowsAndPositionAreOneSnapshot(t *testing.T) {
	t.Parallel()
	for _, timing := range []Timing{Background, Immediate} {
		t.Run(string(timing), func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				const n = 60
				c := b.timed(timing)
				c.Batch, c.Poll = 5, time.Millisecond
				p := b.booted(c)
				b.play(p)
				var all sync.WaitGroup
				all.Go(func() {
					for i := range n {
						if err := store(b.Context(), b.log, p.Immediate().Play, &added{Book: fmt.Sprint(i), Shelf: "a"}); err != nil {
							b.Error(err)
							return
						}
						p.Ring()
					}
				})
				for range 3 {
					all.Go(func() {
						for at := event.Position(0); at < n; {
							var onShelves, books int64
							now, err := p.View(b.Context(), Query{Projector: "shelf-books", Min: at + 1, Wait: time.Minute}, func(ctx context.Context, db bun.IDB) (err error) {
								if err := db.NewSelect().Model((*shelfRow)(nil)).ColumnExpr("sum(books)").Scan(ctx, &onShelves); err != nil {
									return err
								}
								books, err = db.NewSelect().Model((*bookRow)(nil)).Count(ctx)
								return err
							})
							if err != nil {
								b.Error(err)
								return
							}
							if now <= at || int64(now) != onShelves || int64(now) != books {
								b.Errorf("at %d, after %d, it reads %d on shelves and %d books", now, at, onShelves, books)
								return
							}
							at = now
						}
					})
				}
				all.Wait()
			})
		})
	}
}

func TestStatusSaysHowFarBehind(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		var meter gauges
		c := b.config(books(), notices("notices"))
		c.Meter = &meter
		p := b.booted(c)
		b.store(&added{Book: "emma", Shelf: "a"}, &noticed{"x"})
		for _, s := range []string{"notices", "shelf-books"} {
			if got := b.status(p, s); got.Lag != 2 || got.Age < time.Hour || got.Position != 0 {
				b.Errorf("it stands at %+v", got)
			}
		}
		stop := b.play(p)
		b.caughtUp(p)
		stop()
		want := Status{Name: "shelf-books", Version: 1, Timing: Background, State: Playing, Position: 2}
		if diff := cmp.Diff(want, b.status(p, "shelf-books")); diff != "" {
			b.Error(diff)
		}
		if diff := cmp.Diff(want, meter.last("shelf-books")); diff != "" {
			b.Error(diff)
		}
	})
}

func TestVerifyFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.booted(b.config(books()))
		stop := b.play(p)
		b.store(&added{Book: "emma", Shelf: "a", Title: "Emma"}, &added{Book: "ulysses", Shelf: "a"}, &added{Book: "dracula", Shelf: "b"})
		b.caughtUp(p)
		stop()
		b.store(&added{Book: "later", Shelf: "b"}) // not played yet, and not missed
		if findings, err := p.Verify(b.Context()); err != nil || len(findings) > 0 {
			b.Fatalf("before, it finds %v, %v", findings, err)
		}
		for _, harm := range []string{
			`UPDATE books_v1 SET title = 'Emmo' WHERE id = 'emma'`,
			`DELETE FROM books_v1 WHERE id = 'ulysses'`,
			`INSERT INTO shelves_v1 (name, books) VALUES ('c', 7)`,
		} {
			if _, err := b.db.Write.ExecContext(b.Context(), harm); err != nil {
				b.Fatal(err)
			}
		}
		findings, err := p.Verify(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		row := func(id, title string) string {
			return fmt.Sprintf(`{"added_at":"2026-03-04T05:06:07.123456Z","authors":null,"id":"%s","shelf":"a","title":"%s"}`, id, title)
		}
		want := []Finding{
			{Projector: "shelf-books", Table: "books", Key: "id=emma", Expected: row("emma", "Emma"), Found: row("emma", "Emmo"), Position: 3},
			{Projector: "shelf-books", Table: "books", Key: "id=ulysses", Expected: row("ulysses", ""), Position: 3},
			{Projector: "shelf-books", Table: "shelves", Key: "name=c", Found: `{"books":7,"name":"c"}`, Position: 3},
		}
		if diff := cmp.Diff(want, findings); diff != "" {
			b.Error(diff)
		}
	})
}

func TestVerifyFindsCheckpointsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, sql string
		want      Finding
	}{
		{"beyond the end", "UPDATE projectors SET position = 9", Finding{Key: "position", Expected: "at most 2", Found: "9", Position: 2}},
		{"beyond the end, and immediate", "UPDATE projectors SET position = 9, timing = 'immediate'", Finding{Key: "position", Expected: "at most 2", Found: "9", Position: 2}},
		{"of another log", "UPDATE projectors SET log = '00000000-0000-4000-8000-000000000000'", Finding{Key: "log", Found: "00000000-0000-4000-8000-000000000000", Position: 2}},
		{"broken", "UPDATE projectors SET state = 'broken', error = 'no such shelf'", Finding{Key: "state", Expected: "playing", Found: "broken: no such shelf", Position: 3}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				p := b.booted(b.config(books()))
				stop := b.play(p)
				b.store(&added{Book: "emma", Shelf: "a"}, &added{Book: "ulysses", Shelf: "a"})
				b.caughtUp(p)
				stop()
				if _, err := b.db.Write.ExecContext(b.Context(), c.sql); err != nil {
					b.Fatal(err)
				}
				want := c.want
				want.Projector, want.Table = "shelf-books", "projectors"
				if want.Key == "log" {
					head, err := b.log.Head(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					want.Expected = head.Log.String()
				}
				got, err := p.Verify(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if diff := cmp.Diff([]Finding{want}, got); diff != "" {
					b.Error(diff)
				}
			})
		})
	}
}
