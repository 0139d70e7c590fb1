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

	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/memory"
	"accession/platform/eventlog/sqldb"
	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

func (b *bench) timed(t Timing) Config {
	c := b.config(books())
	c.Timing = t
	return c
}

func TestImmediatePlayIsReadAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		b.store(&added{Book: "before", Shelf: "a"}, &noticed{"before"})
		p := b.booted(b.timed(Immediate))
		if diff := cmp.Diff(map[string]int{"a": 1}, b.shelves()); diff != "" {
			b.Errorf("after boot: %s", diff)
		}
		if err := store(b.Context(), b.log, p.Immediate().Play, &added{Book: "emma", Shelf: "a"}, &noticed{"now"}, &retitled{Book: "emma", Title: "Emma"}); err != nil {
			b.Fatal(err)
		}
		var title string
		at, err := p.View(b.Context(), Query{Projector: "shelf-books", Min: 5}, func(ctx context.Context, db bun.IDB) error {
			return db.NewSelect().Model((*bookRow)(nil)).Column("title").Where("id = 'emma'").Scan(ctx, &title)
		})
		if err != nil || at != 5 || title != "Emma" {
			b.Errorf("it reads %q at %d, %v", title, at, err)
		}
		if err := store(b.Context(), b.log, p.Immediate().Play, &noticed{"not listened to"}); err != nil {
			b.Fatal(err)
		}
		if s := b.status(p, "shelf-books"); s.Timing != Immediate || s.Position != 6 || s.Lag != 0 {
			b.Errorf("it stands at %+v", s)
		}
		if findings, err := p.Verify(b.Context()); err != nil || len(findings) > 0 {
			b.Errorf("verify finds %v, %v", findings, err)
		}
	})
}

func TestAFailingHandlerFailsTheCommandInImmediatePlay(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		var is atomic.Bool
		is.Store(true)
		notFound := problem.New(problem.NotFound, "book-not-found", "There is no such book.")
		c := b.config(cursed(&is, func() error { return notFound }))
		c.Timing = Immediate
		p := b.booted(c)
		err := store(b.Context(), b.log, p.Immediate().Play, &added{Book: "emma", Shelf: "a"}, &added{Book: "cursed", Shelf: "a"})
		if problem.Of(err).Kind != problem.Internal || !errors.Is(err, notFound) || !strings.Contains(err.Error(), "play shelf.added: ") {
			b.Errorf("the command was told %v", err)
		}
		if head, err := p.Head(b.Context()); err != nil || head != 0 {
			b.Errorf("the log is at %d, %v", head, err)
		}
		if s := b.status(p, "shelf-books"); s.State != Playing || len(b.shelves()) != 0 {
			b.Errorf("it stands at %+v, with shelves %v", s, b.shelves())
		}
		is.Store(false)
		if err := store(b.Context(), b.log, p.Immediate().Play, &added{Book: "cursed", Shelf: "a"}); err != nil {
			b.Error(err)
		}
	})
}

func TestImmediatePlayNeedsATransactionOfTheDatabase(t *testing.T) {
	t.Parallel()
	r := registry(t)
	b := &bench{T: t, db: dbtest.SQLite(t), registry: r}
	p, err := New(b.timed(Immediate))
	if err != nil {
		t.Fatal(err)
	}
	err = store(t.Context(), memory.New(r, 0), p.Immediate().Play, &added{Book: "emma"})
	if err == nil || !strings.Contains(err.Error(), "*memory.Tx cannot hold the projectors' tables: use background timing") {
		t.Errorf("got %v", err)
	}
}

// The database says which timing a projector has, whatever a process is configured to.
func TestATimingThatAnotherProcessChangedCounts(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		ours := b.booted(b.timed(Background))
		b.play(ours)
		b.booted(b.timed(Immediate)) // another process
		if err := store(b.Context(), b.log, ours.Immediate().Play, &added{Book: "emma", Shelf: "a"}); err != nil {
			b.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{"a": 1}, b.shelves()); diff != "" {
			b.Error(diff)
		}
		b.booted(b.timed(Background))
		if err := store(b.Context(), b.log, ours.Immediate().Play, &added{Book: "ulysses", Shelf: "a"}); err != nil {
			b.Fatal(err)
		}
		b.caughtUp(ours)
		if diff := cmp.Diff(map[string]int{"a": 2}, b.shelves()); diff != "" {
			b.Error(diff)
		}
	})
}

func TestACommandOfAnotherVersionIsRefusedWhereTimingIsImmediate(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		old := b.booted(b.timed(Immediate))
		next := books()
		next.Version = 2
		c := b.config(next)
		c.Timing = Immediate
		b.booted(c)
		if err := store(b.Context(), b.log, old.Immediate().Play, &added{Book: "emma", Shelf: "a"}); !errors.Is(err, ErrProjectorVersion) {
			b.Errorf("the command was told %v", err)
		}
		if err := store(b.Context(), b.log, old.Immediate().Play, &noticed{"which the other may listen to"}); !errors.Is(err, ErrProjectorVersion) {
			b.Errorf("of an event that it does not listen to, the command was told %v", err)
		}
		if _, err := old.View(b.Context(), Query{Projector: "shelf-books"}, func(context.Context, bun.IDB) error { return nil }); !errors.Is(err, ErrProjectorVersion) {
			b.Errorf("the reader was told %v", err)
		}
	})
}

// A command believes what the one before it has seen; the head of the log knows better.
func TestACommandThatDidNotPlayIsUndoneWhereAnotherProcessMadeAProjectorImmediate(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		ours := b.booted(b.timed(Background))
		add := func(book string) error {
			return store(b.Context(), b.log, ours.Immediate().Play, &added{Book: book, Shelf: "a"})
		}
		for range 2 {
			if err := add(uuid.NewString()); err != nil { // there is no immediate projector, and now ours knows
				b.Fatal(err)
			}
		}
		b.booted(b.timed(Immediate)) // another process
		if err := add("emma"); !errors.Is(err, eventlog.ErrAgain) {
			b.Errorf("the command was told %v, want that it should try again", err)
		}
		if head, err := ours.Head(b.Context()); err != nil || head != 2 {
			b.Errorf("the log is at %d, %v; want nothing stored", head, err)
		}
		if err := add("emma"); err != nil {
			b.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{"a": 3}, b.shelves()); diff != "" {
			b.Error(diff)
		}
		b.booted(b.timed(Background))
		for range 2 {
			if err := add(uuid.NewString()); err != nil {
				b.Fatal(err)
			}
		}
		b.play(ours)
		b.caughtUp(ours)
		if diff := cmp.Diff(map[string]int{"a": 5}, b.shelves()); diff != "" {
			b.Error(diff)
		}
	})
}

// What another version listens to only that one knows: so a command is undone whatever it stores.
func TestACommandThatHasNothingToPlayIsUndoneWhereAnotherVersionBecameImmediate(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		old := b.booted(b.timed(Background))
		look := func() error { return store(b.Context(), b.log, old.Immediate().Play, &noticed{"it"}) }
		for range 2 {
			if err := look(); err != nil {
				b.Fatal(err)
			}
		}
		next := books()
		next.Version = 2
		c := b.config(next)
		c.Timing = Immediate
		b.booted(c)
		if err := look(); !errors.Is(err, eventlog.ErrAgain) {
			b.Errorf("the command was told %v, want that it should try again", err)
		}
		if err := look(); !errors.Is(err, ErrProjectorVersion) {
			b.Errorf("the command was told %v", err)
		}
		if head, err := old.Head(b.Context()); err != nil || head != 2 {
			b.Errorf("the log is at %d, %v", head, err)
		}
	})
}

// A projector that this process has never heard of, or not any more, is taken out of its commands, and misses nothing.
func TestAProjectorThatAProcessDoesNotHaveIsPlayedInTheBackground(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		theirs := b.booted(b.timed(Immediate))
		if err := store(b.Context(), b.log, theirs.Immediate().Play, &added{Book: "emma", Shelf: "a"}); err != nil {
			b.Fatal(err)
		}
		c := b.config(words())
		c.Timing = Immediate
		ours := b.booted(c)
		if s := b.status(theirs, "shelf-books"); s.Timing != Background || s.Position != 1 {
			b.Errorf("it stands at %+v", s)
		}
		if err := store(b.Context(), b.log, ours.Immediate().Play, &added{Book: "ulysses", Shelf: "a"}); err != nil {
			b.Fatal(err)
		}
		b.play(theirs)
		b.caughtUp(theirs)
		if diff := cmp.Diff(map[string]int{"a": 2}, b.shelves()); diff != "" {
			b.Error(diff)
		}

		b.booted(b.timed(Immediate)) // theirs once more
		if err := store(b.Context(), b.log, ours.Immediate().Play, &added{Book: "faust", Shelf: "a"}); !errors.Is(err, ErrProjectorVersion) {
			b.Errorf("the command was told %v", err)
		}
		b.booted(c)
		if err := store(b.Context(), b.log, ours.Immediate().Play, &added{Book: "faust", Shelf: "a"}); err != nil {
			b.Error(err)
		}
		for _, p := range []*Projectionist{ours, theirs} {
			b.caughtUp(p)
			if findings, err := p.Verify(b.Context()); err != nil || len(findings) > 0 {
				b.Errorf("verify finds %v, %v", findings, err)
			}
		}
	})
}

// The same where the timing changes after the command has decided not to play.
func TestATimingThatChangesUnderACommandThatDidNotPlay(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.booted(b.timed(Background))
		flip, err := New(b.timed(Immediate))
		if err != nil {
			t.Fatal(err)
		}
		flip.Patience = 20 * time.Millisecond
		if err := store(b.Context(), b.log, p.Immediate().Play, &added{Book: "first", Shelf: "a"}); err != nil {
			b.Fatal(err)
		}
		meanwhile := false
		err = store(b.Context(), b.log, func(ctx context.Context, tx eventlog.Tx, events []event.Envelope) error {
			if err := p.Immediate().Play(ctx, tx, events); err != nil {
				return err
			}
			meanwhile = flip.Boot(ctx) == nil // SQLite has only one who writes
			return nil
		}, &added{Book: "emma", Shelf: "a"})
		if meanwhile != errors.Is(err, eventlog.ErrAgain) || !meanwhile && err != nil {
			b.Fatalf("the timing changed: %v; the command was told %v", meanwhile, err)
		}
		if err := flip.Boot(b.Context()); err != nil {
			b.Fatal(err)
		}
		want := map[string]int{"a": 2}
		if meanwhile {
			want["a"] = 1
		}
		if diff := cmp.Diff(want, b.shelves()); diff != "" {
			b.Error(diff)
		}
		if findings, err := p.Verify(b.Context()); err != nil || len(findings) > 0 {
			b.Errorf("verify finds %v, %v", findings, err)
		}
	})
}

func TestWhereNoProjectorIsImmediateACommandAsksNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.booted(b.timed(Background))
		var asked atomic.Int64
		b.db.Write = b.db.Write.WithQueryHook(counter{&asked})
		log := sqldb.New(b.db, b.registry, time.Minute)
		for n, want := range []int64{2, 0, 0} { // the first finds out
			err := store(b.Context(), log, func(ctx context.Context, tx eventlog.Tx, events []event.Envelope) error {
				before := asked.Load()
				err := p.Immediate().Play(ctx, tx, events)
				if got := asked.Load() - before; got != want {
					b.Errorf("command %d asks %d times, want %d", n+1, got, want)
				}
				return err
			}, &added{Book: fmt.Sprint(n), Shelf: "a"})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

type counter struct{ n *atomic.Int64 }

func (c counter) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	c.n.Add(1)
	return ctx
}

func (counter) AfterQuery(context.Context, *bun.QueryEvent) {}

// A command that has gone by one timing must have stored its events before there is another: else they would be played never,
// or twice.
func TestAFlipWaitsForCommandsUnderWay(t *testing.T) {
	t.Parallel()
	for _, to := range []Timing{Immediate, Background} {
		t.Run("to "+string(to), func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				from := Background
				if to == Background {
					from = Immediate
				}
				p := b.booted(b.timed(from))
				flip, err := New(b.timed(to))
				if err != nil {
					b.Fatal(err)
				}
				patience := flip.Patience
				flip.Patience = 20 * time.Millisecond // in vain: the command does not end before
				meanwhile := false
				err = store(b.Context(), b.log, func(ctx context.Context, tx eventlog.Tx, events []event.Envelope) error {
					if err := p.Immediate().Play(ctx, tx, events); err != nil {
						return err
					}
					meanwhile = flip.Boot(ctx) == nil
					return nil
				}, &added{Book: "emma", Shelf: "a"})
				if err != nil {
					b.Fatal(err)
				}
				if meanwhile {
					b.Error("the timing changed while a command was under way")
				}
				flip.Patience = patience
				if err := flip.Boot(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.play(flip)
				b.caughtUp(flip)
				if diff := cmp.Diff(map[string]int{"a": 1}, b.shelves()); diff != "" {
					b.Error(diff)
				}
			})
		})
	}
}

// Somebody who appends without asking about timings (an import of a log) is kept out by the head.
func TestAFlipKeepsEverybodyFromAppending(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		tx, err := b.log.Begin(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := lockLog(b.Context(), tx.(*sqldb.Tx).DB()); err != nil {
			b.Fatal(err)
		}
		hasty := sqldb.New(b.db, b.registry, 50*time.Millisecond)
		if err := store(b.Context(), hasty, nil, &noticed{"meanwhile"}); !errors.Is(err, eventlog.ErrBusy) {
			b.Errorf("somebody who appends is told %v", err)
		}
	})
}

func TestFlipsUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		const writers, each, flips = 4, 30, 6
		p := b.booted(b.timed(Background))
		b.play(p)
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					for {
						err := store(b.Context(), b.log, p.Immediate().Play, &added{Book: fmt.Sprint(w, "-", i), Shelf: fmt.Sprint(i % 2)})
						if errors.Is(err, eventlog.ErrBusy) || errors.Is(err, eventlog.ErrAgain) {
							continue
						}
						if err != nil {
							b.Error(err)
							return
						}
						break
					}
					p.Ring()
				}
			})
		}
		timing := Background
		for range flips {
			if timing == Background {
				timing = Immediate
			} else {
				timing = Background
			}
			b.booted(b.timed(timing))
		}
		all.Wait()
		b.caughtUp(p)
		if diff := cmp.Diff(map[string]int{"0": writers * each / 2, "1": writers * each / 2}, b.shelves()); diff != "" {
			b.Error(diff)
		}
		if findings, err := p.Verify(b.Context()); err != nil || len(findings) > 0 {
			b.Errorf("verify finds %v, %v", findings, err)
		}
	})
}

// Two commands that change one row, each having read it: in immediate play one waits for the other.
func TestImmediateCommandsDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.booted(b.timed(Immediate))
		const writers, each = 6, 10
		gate := make(chan struct{})
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				<-gate
				for i := range each {
					if err := store(b.Context(), b.log, p.Immediate().Play, &added{Book: uuid.NewString(), Shelf: "a", Title: fmt.Sprint(w, i)}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		close(gate)
		all.Wait()
		if diff := cmp.Diff(map[string]int{"a": writers * each}, b.shelves()); diff != "" {
			b.Error(diff)
		}
	})
}
