package tally_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"accession/platform/consistency"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/problem"
	"accession/platform/tally"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// booked is an event with a number, so that there is a constraint.
type booked struct{ Number int }

func (*booked) EventType() string { return "tallytest.booked" }
func (*booked) Tags() []event.Tag { return []event.Tag{"book:1"} }

func set(t testing.TB) *consistency.Set {
	t.Helper()
	s, err := consistency.NewSet(consistency.Sequence{
		Name: "book-number", Rule: "R", Scope: "category", Taken: problem.New(problem.Conflict, "taken", "Taken."),
		Parts: consistency.Parts{consistency.Numbered(func(e *booked) consistency.Slot {
			return consistency.Slot{In: "category:1", Of: "book:1", N: &e.Number}
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clock is a time that only a test moves.
type clock struct {
	mu sync.Mutex
	is time.Time
}

func newClock() *clock { return &clock{is: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.is
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is = c.is.Add(d)
}

func open(t testing.TB, db *database.DB, c *clock) *tally.Tally {
	t.Helper()
	return tally.New(tally.Config{DB: db, Constraints: set(t), Logger: slog.New(slog.DiscardHandler), Now: c.now})
}

func attempt(t *tally.Tally, n int, scope event.Tag, mode consistency.Mode, o consistency.Outcome, number int) {
	for range n {
		t.Attempted(consistency.Attempt{Constraint: "book-number", Scope: scope, Mode: mode, Outcome: o, Number: number})
	}
}

func recent(t testing.TB, y *tally.Tally) *tally.Recent {
	t.Helper()
	r, err := y.Recent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t testing.TB, y *tally.Tally) {
	t.Helper()
	if err := y.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheFiguresOfAllProcessesAreAddedUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newClock()
		one, two, command := open(t, db, c), open(t, db, c), open(t, db, c)
		attempt(one, 8, "category:1", consistency.Retry, consistency.Accepted, 1)
		attempt(one, 2, "category:2", consistency.Retry, consistency.Retried, 1)
		one.Waited("book-number", consistency.Retry, 10*time.Millisecond)
		one.Queued(3)
		one.Batched(4)
		write(t, one)
		attempt(one, 1, "category:2", consistency.Retry, consistency.Accepted, 2) // into a row that was written already
		c.pass(3 * time.Minute)
		attempt(two, 4, "category:2", consistency.Reject, consistency.Rejected, 1)
		two.Queued(5)
		two.Queued(2)
		two.Batched(1)
		two.Attempted(consistency.Attempt{Constraint: "nobody's", Outcome: consistency.Accepted})
		two.Waited("nobody's", consistency.Lock, time.Second)
		for _, y := range []*tally.Tally{one, two, command} {
			write(t, y)
			write(t, y)
		}

		for i, y := range []*tally.Tally{one, two, command} { // everybody sees the same, also who has counted nothing
			r := recent(t, y)
			all := r.Window("book-number")
			if diff := cmp.Diff(tally.Figures{
				Outcomes: map[consistency.Outcome]int64{consistency.Accepted: 9, consistency.Retried: 2, consistency.Rejected: 4},
				Over:     tally.Window, Attempts: 15, Conflicts: 6, Tries: 2, Waits: 1, P50: all.P50, P95: all.P50,
			}, all); diff != "" {
				t.Errorf("%d: five minutes (-want +got):\n%s", i, diff)
			}
			if all.P50 < 10*time.Millisecond || all.P50 > 12500*time.Microsecond {
				t.Errorf("%d: a wait of 10 ms is counted as %v", i, all.P50)
			}
			if got := r.Minute("book-number"); got.Attempts != 4 {
				t.Errorf("%d: %d attempts in the last minute, want 4", i, got.Attempts)
			}
			if got := r.In("book-number", consistency.Retry); got.Attempts != 11 || got.Share(consistency.Retried) != 2.0/11 {
				t.Errorf("%d: in retry %+v", i, got)
			}
			if diff := cmp.Diff(tally.Lane{Depth: 5, Deepest: 5, Batches: 2, Units: 5}, r.Lane()); diff != "" || r.Lane().Mean() != 2.5 {
				t.Errorf("%d: lane (-want +got):\n%s", i, diff)
			}
			if diff := cmp.Diff([]tally.Scope{{"category:1", 8, 0}, {"category:2", 7, 6}}, r.Hottest("book-number", 5)); diff != "" {
				t.Errorf("%d: hottest (-want +got):\n%s", i, diff)
			}
			if got := r.Hottest("book-number", 1); len(got) != 1 {
				t.Errorf("%d: %d hottest, want 1", i, len(got))
			}
		}
	})
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newClock()
		one, other := open(t, db, c), open(t, db, c)
		attempt(one, 1, "", consistency.Lock, consistency.Accepted, 1)
		write(t, one)
		c.pass(tally.Window + 10*time.Second)
		for _, y := range []*tally.Tally{one, other} {
			if got := recent(t, y).Window("book-number").Attempts; got != 0 {
				t.Errorf("%d attempts are remembered", got)
			}
		}
		rows := func() int {
			var n int
			if err := db.Read.NewRaw("SELECT count(*) FROM constraint_figures").Scan(t.Context(), &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := rows(); n != 1 {
			t.Fatalf("%d rows, want 1", n)
		}
		c.pass(2 * tally.Window)
		attempt(other, 1, "", consistency.Lock, consistency.Accepted, 1)
		write(t, other)
		if n := rows(); n != 1 {
			t.Errorf("%d rows, want 1: whose process is gone is deleted by another", n)
		}
	})
}

// What is called a minute is never shorter, and says how long it is, so that a rate made of it is right.
func TestFiguresSayHowLongTheyAreOf(t *testing.T) {
	t.Parallel()
	c := newClock()
	y := open(t, dbtest.SQLite(t), c)
	for range 700 { // once a second
		attempt(y, 1, "", consistency.Lock, consistency.Accepted, 1)
		r := recent(t, y)
		for name, test := range map[string]struct {
			f     tally.Figures
			least time.Duration
		}{"minute": {r.Minute("book-number"), time.Minute}, "window": {r.Window("book-number"), tally.Window}} {
			if test.f.Over < test.least || test.f.Over >= test.least+10*time.Second {
				t.Fatalf("the %s is one of %v", name, test.f.Over)
			}
			if seconds := int64(test.f.Over/time.Second) + 1; test.f.Attempts > seconds {
				t.Fatalf("the %s has %d attempts in %d s", name, test.f.Attempts, seconds)
			}
		}
		c.pass(time.Second)
	}
	if r := recent(t, y); r.Minute("book-number").Attempts != 60 || r.Window("book-number").Attempts != 300 {
		t.Errorf("%d attempts in the last minute and %d in five, want 60 and 300", r.Minute("book-number").Attempts, r.Window("book-number").Attempts)
	}
}

// Another process's clock that is ahead must not make its last hour our last minute.
func TestAClockThatIsAheadCountsLate(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c, fast := newClock(), newClock()
		fast.pass(20 * time.Minute)
		other := open(t, db, fast)
		for range 100 { // ten minutes, one attempt every six seconds
			attempt(other, 1, "", consistency.Lock, consistency.Accepted, 1)
			fast.pass(6 * time.Second)
			write(t, other)
		}
		ours := open(t, db, c)
		for _, test := range []struct {
			after       time.Duration
			least, most int64
		}{{0, 0, 0}, {25 * time.Minute, 10, 12}, {25 * time.Minute, 0, 0}} {
			c.pass(test.after)
			if got := recent(t, ours).Minute("book-number").Attempts; got < test.least || got > test.most {
				t.Errorf("%v later there were %d attempts in the last minute, want %d to %d", test.after, got, test.least, test.most)
			}
		}
	})
}

func TestAClockThatIsPutBackForgetsWhatLiesAhead(t *testing.T) {
	t.Parallel()
	c := newClock()
	y := open(t, dbtest.SQLite(t), c)
	attempt(y, 5, "", consistency.Lock, consistency.Accepted, 1)
	y.Batched(1)
	c.pass(-time.Hour)
	if got := recent(t, y).Minute("book-number").Attempts; got != 0 {
		t.Errorf("%d attempts are said to be of the last minute, want none", got)
	}
	for range 10 {
		attempt(y, 1, "", consistency.Lock, consistency.Accepted, 1)
		c.pass(time.Minute)
	}
	if r := recent(t, y); r.Minute("book-number").Attempts != 1 || r.Window("book-number").Attempts != 5 {
		t.Errorf("%d attempts in the last minute and %d in five, want 1 and 5", r.Minute("book-number").Attempts, r.Window("book-number").Attempts)
	}
}

// While nobody comes and nobody goes, the lane says nothing; those who wait, wait nevertheless.
func TestWhoWaitsLongIsStillCounted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newClock()
		alive, dead, other := open(t, db, c), open(t, db, c), open(t, db, c)
		alive.Queued(4)
		dead.Queued(7)
		write(t, dead)
		for range 12 { // a minute
			write(t, alive)
			c.pass(5 * time.Second)
		}
		for _, y := range []*tally.Tally{alive, other} {
			if got := recent(t, y).Lane(); got.Depth != 4 || got.Deepest != 7 {
				t.Errorf("%d wait, at most %d, want the 4 of the process that lives, and 7", got.Depth, got.Deepest)
			}
		}
		alive.Queued(0)
		write(t, alive)
		if got := recent(t, other).Lane().Depth; got != 0 {
			t.Errorf("%d wait, want none", got)
		}
	})
}

// A newer process may know modes that this one does not.
func TestAModeThatIsUnknownHereIsCounted(t *testing.T) {
	t.Parallel()
	db, c := dbtest.SQLite(t), newClock()
	y := open(t, db, c)
	_, err := db.Write.NewRaw(`INSERT INTO constraint_figures (process, since, figures) VALUES (?, ?, ?)`, "another", database.Timestamp(c.now()),
		`{"constraints": {"book-number": {"modes": {"clairvoyant": {"outcomes": {"accepted": 3, "foreseen": 4}}}}}}`).Exec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := recent(t, y).Window("book-number"); got.Attempts != 7 {
		t.Errorf("%d attempts, want 7", got.Attempts)
	}
}

// TestFiguresThatNobodyUnderstandsHideNoOthers: they are of another version, or were damaged.
func TestFiguresThatNobodyUnderstandsHideNoOthers(t *testing.T) {
	t.Parallel()
	db, c := dbtest.SQLite(t), newClock()
	for i, figures := range []string{`{"constraints":[]}`, `{`, ``, `null`, `{"constraints":{"book-number":null},"lane":null}`, `{"constraints":{"book-number":{"modes":{"lock":null}}}}`} {
		_, err := db.Write.NewRaw(`INSERT INTO constraint_figures (process, since, figures) VALUES (?, ?, ?)`, fmt.Sprint("other ", i), database.Timestamp(c.now()), figures).Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
	}
	own := open(t, db, c)
	own.Attempted(consistency.Attempt{Constraint: "book-number", Scope: "category:1", Mode: consistency.Lock, Outcome: consistency.Accepted, Number: 1})
	r, err := own.Recent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Window("book-number").Attempts; n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

func TestManyScopesTakeLittleRoomAndTheHotOnesStay(t *testing.T) {
	t.Parallel()
	c := newClock()
	y := open(t, dbtest.SQLite(t), c)
	for i := range 10_000 {
		attempt(y, 1, event.Tag(fmt.Sprintf("category:%d", i)), consistency.Retry, consistency.Accepted, 1)
		if i%100 == 0 {
			attempt(y, 50, "category:hot", consistency.Retry, consistency.Retried, 1)
			c.pass(time.Second)
		}
	}
	r := recent(t, y)
	if got := r.Hottest("book-number", 1); len(got) != 1 || got[0] != (tally.Scope{Tag: "category:hot", Attempts: 5000, Conflicts: 5000}) {
		t.Errorf("hottest is %+v", got)
	}
	if got := r.Window("book-number").Attempts; got != 15_000 {
		t.Errorf("%d attempts, want 15000", got)
	}
	if n := len(r.Hottest("book-number", 10_000)); n > 31*16 {
		t.Errorf("%d scopes are kept", n)
	}
}

func TestADatabaseThatFailsIsLoggedOnceAndLosesNothing(t *testing.T) {
	t.Parallel()
	db := dbtest.SQLite(t)
	var log bytes.Buffer
	c := newClock()
	y := tally.New(tally.Config{DB: db, Constraints: set(t), Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: c.now})
	rename := func(from, to string) {
		t.Helper()
		if _, err := db.Write.NewRaw("ALTER TABLE " + from + " RENAME TO " + to).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rename("constraint_figures", "away")
	share := func() { // writes once
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		y.Share(ctx)
	}
	for range 3 {
		attempt(y, 1, "", consistency.Lock, consistency.Accepted, 1)
		share()
	}
	if n := strings.Count(log.String(), "cannot be shared"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.String())
	}
	rename("away", "constraint_figures")
	share()
	if got := recent(t, open(t, db, c)).Window("book-number").Attempts; got != 3 {
		t.Errorf("others see %d attempts, want 3", got)
	}
}

func TestManyCountAtOnce(t *testing.T) {
	t.Parallel()
	db := dbtest.SQLite(t)
	c := newClock()
	y := open(t, db, c)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for range 500 {
				attempt(y, 1, event.Tag(fmt.Sprint("category:", w)), consistency.Lock, consistency.Accepted, 1)
				y.Waited("book-number", consistency.Lock, time.Microsecond)
				y.Queued(w)
				c.pass(5 * time.Millisecond)
			}
		})
	}
	all.Go(func() {
		for range 20 {
			write(t, y)
		}
	})
	all.Wait()
	write(t, y)
	for _, of := range []*tally.Tally{y, open(t, db, c)} {
		if got := recent(t, of).Window("book-number"); got.Attempts != 4000 || got.Waits != 4000 {
			t.Errorf("%d attempts and %d waits, want 4000 each", got.Attempts, got.Waits)
		}
	}
}

func BenchmarkAttempted(b *testing.B) {
	y := tally.New(tally.Config{Constraints: set(b)})
	tags := make([]event.Tag, 1000)
	for i := range tags {
		tags[i] = event.Tag(fmt.Sprintf("category:0192f0c4-7d5e-7c3a-9b1f-2a6d4e8c%04d", i))
	}
	for i := 0; b.Loop(); i++ {
		attempt(y, 1, tags[i%len(tags)], consistency.Queue, consistency.Accepted, 1)
	}
}
