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
	"accession/platform/eventlog/memory"
	"accession/platform/eventlog/sqldb"
	"accession/platform/mutant"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"
)

func TestPlayFollowsTheLog(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		c := b.config(books())
		c.Batch = 3
		p := b.booted(c)
		b.play(p)
		for i := range 10 {
			b.store(&added{Book: fmt.Sprint("b", i), Shelf: "a", Title: "T", Authors: []string{"A", "B"}}, &noticed{What: fmt.Sprint(i)})
			p.Ring()
		}
		b.store(&retitled{Book: "b3", Title: "U"}, &removed{Book: "b4"}, &removed{Book: "b4"})
		b.caughtUp(p)
		if diff := cmp.Diff(map[string]int{"a": 9}, b.shelves()); diff != "" {
			b.Error(diff)
		}
		want := bookRow{ID: "b3", Shelf: "a", Title: "U", Authors: []string{"A", "B"}, AddedAt: recorded}
		if diff := cmp.Diff(want, rowsOf[bookRow](b, "id")[3]); diff != "" {
			b.Error(diff)
		}
	})
}

func TestPlayReadsALogInMemory(t *testing.T) {
	t.Parallel()
	r := registry(t)
	b := &bench{T: t, db: dbtest.SQLite(t), registry: r}
	log := memory.New(r, time.Minute)
	c := b.config(books())
	c.Log = log
	p := b.booted(c)
	b.play(p)
	for i := range 5 {
		if err := store(t.Context(), log, p.Immediate().Play, &added{Book: fmt.Sprint(i), Shelf: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	b.caughtUp(p)
	if diff := cmp.Diff(map[string]int{"a": 5}, b.shelves()); diff != "" {
		t.Error(diff)
	}
	if findings, err := p.Verify(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("verify finds %v, %v", findings, err)
	}
}

// storing is how a player stores a batch.
type storing func(ctx context.Context, p *player, at checkpoint, events []event.Envelope, upTo event.Position) (checkpoint, error)

func asItIs(ctx context.Context, p *player, at checkpoint, events []event.Envelope, upTo event.Position) (checkpoint, error) {
	return p.store(ctx, at, events, upTo)
}

// inTransactions makes one that does each part in a transaction of its own.
func inTransactions(parts ...func(ctx context.Context, p *player, db bun.IDB, at checkpoint, events []event.Envelope, upTo event.Position) error) storing {
	return func(ctx context.Context, p *player, at checkpoint, events []event.Envelope, upTo event.Position) (checkpoint, error) {
		for i, part := range parts {
			if i > 0 {
				if err := p.probe(ctx, Moved); err != nil {
					return at, err
				}
			}
			tx, err := sqldb.Begin(ctx, p.DB, p.Patience)
			if err != nil {
				return at, err
			}
			defer tx.Rollback()
			if err := part(ctx, p, tx.DB(), at, events, upTo); err != nil {
				return at, err
			}
			if err := tx.CommitPlain(ctx); err != nil {
				return at, err
			}
		}
		return at, nil
	}
}

func moveCheckpoint(ctx context.Context, p *player, db bun.IDB, at checkpoint, _ []event.Envelope, upTo event.Position) error {
	return p.move(ctx, db, at, upTo)
}

func moveBlindly(ctx context.Context, p *player, db bun.IDB, at checkpoint, events []event.Envelope, upTo event.Position) error {
	if _, err := db.ExecContext(ctx, `UPDATE projectors SET position = ? WHERE name = ?`, upTo, p.Name); err != nil {
		return err
	}
	return p.projector.play(ctx, db, events)
}

func writeRows(ctx context.Context, p *player, db bun.IDB, _ checkpoint, events []event.Envelope, _ event.Position) error {
	return p.projector.play(ctx, db, events)
}

// R17: a fault between rows and checkpoint → neither; a stale player changes nothing; what comes again does not count twice.
func rowsAndCheckpointTogether(t mutant.T, b *bench, by storing) {
	t.Helper()
	ctx := t.Context()
	const n = 9
	for i := range n {
		if err := store(ctx, b.log, nil, &added{Book: fmt.Sprint(i), Shelf: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	var crashAt Stage
	c := b.config(books())
	c.Batch = 2
	c.Probe = func(_ context.Context, _ string, s Stage) error {
		if s == crashAt {
			return fmt.Errorf("crash when %s", s)
		}
		return nil
	}
	pr, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := pr.Boot(ctx); err != nil {
		t.Fatal(err)
	}
	p := pr.players[0]
	total := func() int {
		var rows []shelfRow
		if err := b.db.Read.NewSelect().Model(&rows).Scan(ctx); err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			return 0
		}
		return rows[0].Books
	}
	agree := func(when string) checkpoint {
		t.Helper()
		at, err := p.at(ctx, b.db.Read)
		if err != nil {
			t.Fatal(err)
		}
		if total() != int(at.position) { // every event is a book
			t.Fatalf("%s: the checkpoint is at %d, and there are %d books", when, at.position, total())
		}
		return at
	}
	for {
		at := agree("before a batch")
		next, err := p.read(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		if len(next.events) == 0 {
			break
		}
		for _, crashAt = range []Stage{Moved, Written} {
			_, _ = by(ctx, p, at, next.events, next.upTo)
			if agree("crashed when "+string(crashAt)).position != at.position {
				t.Fatalf("crashed when %s: something was stored", crashAt)
			}
		}
		crashAt = ""
		if _, err := by(ctx, p, at, next.events, next.upTo); err != nil {
			t.Fatal(err)
		}
		if _, err := by(ctx, p, at, next.events, next.upTo); !errors.Is(err, errStale) {
			t.Errorf("a stale player was told %v", err)
		}
	}
	if total() != n {
		t.Errorf("there are %d books, not %d", total(), n)
	}
}

func TestRowsAndCheckpointMoveTogether(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) { rowsAndCheckpointTogether(b.T, b, asItIs) })
}

func TestRowsAndCheckpointMutants(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]storing{
		"the checkpoint moves before the rows": inTransactions(moveCheckpoint, writeRows),
		"the rows are written first":           inTransactions(writeRows, moveCheckpoint),
		"the checkpoint is not compared":       inTransactions(moveBlindly),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				mutant.Caught(b.T, func(t mutant.T) { rowsAndCheckpointTogether(t, b, wrong) })
			})
		})
	}
}

func TestTwoPlayersOfOneProjectorCountEachEventOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		const writers, each = 4, 25
		var players []*Projectionist
		for range 2 {
			c := b.config(books(), notices("notices"))
			c.Batch, c.Poll = 7, time.Millisecond
			p := b.booted(c)
			b.play(p)
			players = append(players, p)
		}
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					book := fmt.Sprint(w, "-", i)
					if err := store(b.Context(), b.log, nil, &added{Book: book, Shelf: fmt.Sprint(i % 3)}, &noticed{What: book}); err != nil {
						b.Error(err)
						return
					}
					for _, p := range players {
						p.Ring()
					}
				}
			})
		}
		all.Wait()
		for _, p := range players {
			b.caughtUp(p)
		}
		total := 0
		for _, n := range b.shelves() {
			total += n
		}
		if total != writers*each {
			b.Errorf("%d books were counted, not %d", total, writers*each)
		}
		for _, n := range rowsOf[noticeRow](b, "what") {
			if n.Times != 1 {
				b.Errorf("%s was counted %d times", n.What, n.Times)
			}
		}
		if findings, err := players[0].Verify(b.Context()); err != nil || len(findings) > 0 {
			b.Errorf("verify finds %v, %v", findings, err)
		}
	})
}

// cursed is the books projector, but it fails on the book "cursed" while it is.
func cursed(is *atomic.Bool, fail func() error) Projector {
	p := books()
	p.Handlers = append(p.Handlers, On(func(_ context.Context, w *Writer, e *added, _ event.Envelope) error {
		if e.Book == "cursed" && is.Load() {
			return fail()
		}
		return nil
	}))
	return p
}

func TestAFailingHandlerBreaksItsProjectorAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail func() error
		want string
	}{
		"by an error":                    {func() error { return errors.New("the stars are wrong") }, "play shelf.added at 5: the stars are wrong"},
		"by a panic":                     {func() error { panic("help") }, "play shelf.added at 5: panic: help"},
		"by what it asks of the context": {func() error { return fmt.Errorf("asked for too much: %w", errOfItsOwn) }, "asked for too much"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				var is atomic.Bool
				is.Store(true)
				var meter gauges
				config := b.config(cursed(&is, c.fail), notices("notices"))
				config.Meter = &meter
				p := b.booted(config)
				b.store(&added{Book: "emma", Shelf: "a"}, &noticed{"1"}, &added{Book: "ulysses", Shelf: "a"}, &noticed{"2"},
					&added{Book: "cursed", Shelf: "a"}, &added{Book: "dracula", Shelf: "a"}, &noticed{"3"})
				stop := b.play(p)
				err := p.Wait(b.Context(), "shelf-books", 7)
				if !errors.Is(err, errBroken) {
					b.Fatalf("waiting ended with %v", err)
				}
				if err := p.Wait(b.Context(), "notices", 7); err != nil {
					b.Fatal(err)
				}
				s := b.status(p, "shelf-books")
				if s.State != Broken || s.Position != 4 || s.Lag != 3 || !strings.Contains(s.Error, c.want) {
					b.Errorf("it stands at %+v", s)
				}
				if diff := cmp.Diff(map[string]int{"a": 2}, b.shelves()); diff != "" {
					b.Error(diff)
				}
				if last := meter.until(b, "shelf-books", Broken); last.Lag != 3 || last.Age <= 0 {
					b.Errorf("the meter was told %+v", last)
				}
				stop()

				// It is tried again after a restart: in vain, and then not.
				p = b.booted(config)
				stop = b.play(p)
				b.store(&added{Book: "last", Shelf: "b"})
				if err := p.Wait(b.Context(), "notices", 8); err != nil {
					b.Fatal(err)
				}
				if err := p.Wait(b.Context(), "shelf-books", 8); !errors.Is(err, errBroken) {
					b.Fatalf("waiting ended with %v", err)
				}
				stop()
				is.Store(false)
				p = b.booted(config)
				b.play(p)
				waitPast(b, p, "shelf-books", 8)
				if s := b.status(p, "shelf-books"); s.State != Playing || s.Error != "" {
					b.Errorf("mended, it stands at %+v", s)
				}
				if diff := cmp.Diff(map[string]int{"a": 4, "b": 1}, b.shelves()); diff != "" {
					b.Error(diff)
				}
			})
		})
	}
}

func TestABrokenProjectorGoesOnWhenAnotherProcessGotPastTheEvent(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		var is, isNot atomic.Bool
		is.Store(true)
		fail := func() error { return errors.New("the stars are wrong") }
		b.store(&added{Book: "cursed", Shelf: "a"})
		stuck := b.booted(b.config(cursed(&is, fail)))
		b.play(stuck)
		if err := stuck.Wait(b.Context(), "shelf-books", 1); !errors.Is(err, errBroken) {
			b.Fatalf("waiting ended with %v", err)
		}
		mended := b.booted(b.config(cursed(&isNot, fail)))
		stop := b.play(mended)
		waitPast(b, mended, "shelf-books", 1)
		stop()
		b.store(&added{Book: "emma", Shelf: "a"})
		b.caughtUp(stuck)
		if diff := cmp.Diff(map[string]int{"a": 2}, b.shelves()); diff != "" {
			b.Error(diff)
		}
	})
}

var errOfItsOwn = errors.New("more than there is")

// waitPast waits although the projector may still be noted as broken.
func waitPast(b *bench, p *Projectionist, name string, at event.Position) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for {
		err := p.Wait(ctx, name, at)
		if err == nil {
			return
		}
		if ctx.Err() != nil || !errors.Is(err, errBroken) {
			b.Fatal(err)
		}
	}
}

// gauges is a Meter that remembers.
type gauges struct {
	mu   sync.Mutex
	all  []Status
	told chan struct{} // closed with the next word; nil while nobody waits for it
}

func (g *gauges) Projector(s Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, s)
	if g.told != nil {
		close(g.told)
		g.told = nil
	}
}

// until waits for the first word of the projector in the state.
func (g *gauges) until(b *bench, name string, is State) Status {
	b.Helper()
	for {
		g.mu.Lock()
		for _, s := range g.all {
			if s.Name == name && s.State == is {
				g.mu.Unlock()
				return s
			}
		}
		if g.told == nil {
			g.told = make(chan struct{})
		}
		told := g.told
		g.mu.Unlock()
		select {
		case <-told:
		case <-b.Context().Done():
			b.Fatalf("the meter was never told that %s is %s", name, is)
		}
	}
}

func (g *gauges) last(name string) (last Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.all {
		if s.Name == name {
			last = s
		}
	}
	return last
}

func TestAnEventThatCannotBeReadBreaksTheProjector(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		b.store(&added{Book: "emma", Shelf: "a"}, &added{Book: "ulysses", Shelf: "a"}, &added{Book: "dracula", Shelf: "a"})
		if _, err := b.db.Write.ExecContext(b.Context(), `UPDATE log_events SET data = '{' WHERE position = 2`); err != nil {
			b.Fatal(err)
		}
		p := b.booted(b.config(books()))
		b.play(p)
		if err := p.Wait(b.Context(), "shelf-books", 3); !errors.Is(err, errBroken) {
			b.Fatalf("waiting ended with %v", err)
		}
		if s := b.status(p, "shelf-books"); s.Position != 1 || !strings.Contains(s.Error, "decode event shelf.added") {
			b.Errorf("it stands at %+v", s)
		}
	})
}

func TestWhatCannotBeWrittenBreaksTheProjector(t *testing.T) {
	t.Parallel()
	type strict struct {
		bun.BaseModel `bun:"table:books"`

		ID    string  `bun:",pk"`
		Title *string `bun:",notnull"`
	}
	onEach(t, func(b *bench) {
		p := b.booted(b.config(Projector{
			Name: "strict", Version: 1, Tables: []Table{{Model: (*strict)(nil)}},
			Handlers: Handlers{On(func(_ context.Context, w *Writer, e *added, _ event.Envelope) error {
				row := &strict{ID: e.Book}
				if e.Title != "" {
					row.Title = &e.Title
				}
				w.Put(row)
				return nil
			})},
		}))
		b.store(&added{Book: "emma", Title: "Emma"}, &added{Book: "nameless"}, &added{Book: "ulysses", Title: "Ulysses"})
		b.play(p)
		if err := p.Wait(b.Context(), "strict", 3); !errors.Is(err, errBroken) {
			b.Fatalf("waiting ended with %v", err)
		}
		if s := b.status(p, "strict"); s.Position != 1 || !strings.Contains(s.Error, "play shelf.added at 2: write books_v1") {
			b.Errorf("it stands at %+v", s)
		}
	})
}

func TestFaultsOfTheDatabaseAreWaitedOut(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		var faults atomic.Int64
		c := b.config(books())
		c.Probe = func(context.Context, string, Stage) error {
			if faults.Add(1) <= 6 {
				return errors.New("a fault")
			}
			return nil
		}
		p := b.booted(c)
		b.store(&added{Book: "emma", Shelf: "a"}, &added{Book: "ulysses", Shelf: "a"})
		b.play(p)
		b.caughtUp(p)
		if diff := cmp.Diff(map[string]int{"a": 2}, b.shelves()); diff != "" {
			b.Error(diff)
		}
	})
}

// A transaction for each event that is none of its business would cost more than playing.
func TestIdleTalkCostsNoTransactionEach(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		var transactions atomic.Int64
		looked := make(chan struct{}, 1000)
		c := b.config(books())
		c.Poll, c.Rest = time.Hour, 1
		c.Probe = func(_ context.Context, _ string, s Stage) error {
			switch s {
			case Read:
				looked <- struct{}{}
			case Moved:
				transactions.Add(1)
			}
			return nil
		}
		p := b.booted(c)
		b.play(p)
		for i := range 50 {
			b.store(&noticed{What: fmt.Sprint(i)})
			p.Ring()
			<-looked
		}
		if n := transactions.Load(); n > 2 {
			b.Errorf("50 events that it does not listen to took %d transactions", n)
		}
		at, err := p.View(b.Context(), Query{Projector: "shelf-books", Min: 50, Wait: 30 * time.Second}, func(context.Context, bun.IDB) error { return nil })
		if err != nil || at != 50 {
			b.Errorf("who waits is told %d, %v", at, err)
		}
	})
}

// Under load a batch is what has gathered, and nobody has to wait for that who says so.
func TestEventsGatherUntilSomebodyWaits(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		var batches atomic.Int64
		c := b.config(books())
		c.Poll, c.Rest = time.Hour, 1_000_000
		c.Probe = func(_ context.Context, _ string, s Stage) error {
			if s == Committed {
				batches.Add(1)
			}
			return nil
		}
		p := b.booted(c)
		b.play(p)
		const rounds = 3
		for range rounds {
			for i := range 10 {
				b.store(&added{Book: fmt.Sprint(i), Shelf: "a"})
				p.Ring()
			}
			b.caughtUp(p)
		}
		// The first event after a rest may be played at once.
		if n := batches.Load(); n > 2*rounds {
			b.Errorf("%d batches, want no more than two for each time that somebody waited", n)
		}
		if diff := cmp.Diff(map[string]int{"a": 10 * rounds}, b.shelves()); diff != "" {
			b.Error(diff)
		}
	})
}

// Who waits in another process cannot say so, and looks again and again: for them a player rests no longer than a Poll, however
// long the last batch took.
func TestWhoWaitsElsewhereWaitsForAPollAtMost(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		c := b.config(books())
		c.Rest = 1_000_000
		plays := b.booted(c)
		waits := b.booted(b.config(books()))
		b.play(plays)
		for i := range 3 {
			b.store(&added{Book: fmt.Sprint(i), Shelf: "a"})
			plays.Ring()
			b.caughtUp(waits)
		}
	})
}

func TestPlayNeedsABoot(t *testing.T) {
	t.Parallel()
	r := registry(t)
	b := &bench{T: t, db: dbtest.SQLite(t), registry: r}
	c := b.config(books())
	c.Log = memory.New(r, 0)
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if s := b.status(p, "shelf-books"); s.State != "" {
		t.Errorf("it stands at %+v", s)
	}
	if err := p.Wait(t.Context(), "shelf-books", 1); !errors.Is(err, errNotBooted) {
		t.Errorf("waiting ended with %v", err)
	}
	if findings, err := p.Verify(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("verify finds %v, %v", findings, err)
	}
	stop := b.play(p) // rests and tries again
	if err := p.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.caughtUp(p)
	stop()
}
