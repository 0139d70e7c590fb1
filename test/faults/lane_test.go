package faults_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/uptrace/bun"
)

// lane is a runner that units line up in, and that can be held while it stores one.
type lane struct {
	*shop
	usecase.Runner
	contended bool // somebody has to lose before others line up there
	meter     consistencytest.Meter
	probe     atomic.Pointer[func(context.Context, consistency.Stage)]
}

// lane is a lane of its own on the shop's database. In adaptive, one conflict is enough to line up from then on.
func (s *shop) lane(mode consistency.Mode) *lane {
	l := &lane{shop: s, contended: mode == consistency.Adaptive}
	settings := s.settings(mode)
	settings.Attempts, settings.Contention = 5, consistency.Contention{Raise: 1, Dwell: time.Hour}
	l.Runner = consistency.NewRunner(consistency.Config{
		Log: s.log, Register: registerdb.New(s.db.Read), Set: s.set, Meter: &l.meter,
		Abreast:  registerdb.Abreast(s.db.Dialect),
		Settings: func() consistency.Settings { return settings },
		Probe: func(ctx context.Context, stage consistency.Stage) {
			if probe := l.probe.Load(); probe != nil {
				(*probe)(ctx, stage)
			}
		},
	})
	return l
}

// contend makes two meet in the category: in adaptive whoever comes next lines up there.
func (l *lane) contend(c libraryevents.CategoryID) {
	l.t.Helper()
	together := consistencytest.NewBarrier(2).At(consistency.Decided)
	l.probe.Store(&together)
	defer l.probe.Store(nil)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = l.Run(l.t.Context(), addBook(c).Request("t")) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		l.t.Fatal(err)
	}
}

// hold has the lane stop at the next transaction that has its locks: reached is closed then, and it goes on when release is.
func (l *lane) hold() (reached, release chan struct{}) {
	reached, release = make(chan struct{}), make(chan struct{})
	var once sync.Once
	stop := func(_ context.Context, s consistency.Stage) {
		if s == consistency.Locked {
			once.Do(func() {
				close(reached)
				<-release
			})
		}
	}
	l.probe.Store(&stop)
	return reached, release
}

// empty checks that nobody waits in the lane, and that all connections come back.
func (l *lane) empty() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	l.meter.WaitQueued(ctx, 0)
	if ctx.Err() != nil {
		l.t.Error("the lane does not end")
	}
	givenBack(l.t, l.db)
}

// TestALaneFailsAtEveryMessage cuts the connection at every message of a lane that has one unit to end and then several to store
// together, or makes that statement fail: each is told the truth about itself.
func TestALaneFailsAtEveryMessage(t *testing.T) {
	t.Parallel()
	for _, mode := range []consistency.Mode{consistency.Queue, consistency.Adaptive} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			server := dbtest.NewServer(t, "fsync=off")
			if err := server.Migrate(); err != nil {
				t.Fatal(err)
			}
			try := func(f fault, then outage) {
				t.Run(fmt.Sprintf("%s/%s", f, then), func(t *testing.T) {
					p := newProxy(t, server.URL(), server.Socket())
					harmLane(t, newShop(t, open(t, database.Config{URL: p.url})), p, mode, f, then, oneBehindAnother)
				})
				if then == notBack || mode != consistency.Queue {
					return
				}
				t.Run(fmt.Sprintf("%s/%s/in many places", f, then), func(t *testing.T) {
					p := newProxy(t, server.URL(), server.Socket())
					harmLane(t, newShop(t, open(t, database.Config{URL: p.url})), p, mode, f, then, inManyPlaces)
				})
			}
			for _, then := range outages(mode == consistency.Queue) {
				try(neverArrives, then)
				try(answerLost, then)
			}
			try(failsThere, backAtOnce)
		})
	}
}

// told is what a unit's caller was told.
type told struct {
	cmd     catalogue.AddBook
	receipt usecase.Receipt
	err     error
}

// oneBehindAnother has several units wait behind one that is being stored, all in one category. arm is called then.
func oneBehindAnother(ctx context.Context, l *lane, categories []libraryevents.CategoryID, arm func()) []told {
	if l.contended {
		l.contend(categories[0])
	}
	all := make([]told, 5)
	reached, release := l.hold()
	var wg sync.WaitGroup
	for i := range all {
		u := &all[i]
		u.cmd = addBook(categories[0])
		wg.Go(func() { u.receipt, u.err = l.Run(ctx, u.cmd.Request("t")) })
		if i == 0 {
			<-reached
		}
		l.meter.WaitQueued(ctx, i)
	}
	arm()
	close(release)
	wg.Wait()
	return all
}

// inManyPlaces has units in several categories come at once. arm is called when all have decided.
func inManyPlaces(ctx context.Context, l *lane, categories []libraryevents.CategoryID, arm func()) []told {
	for _, c := range categories {
		if l.contended {
			l.contend(c)
		}
	}
	all := make([]told, 4*len(categories))
	gate := consistencytest.NewBarrier(len(all))
	var arrived atomic.Int64
	probe := func(ctx context.Context, s consistency.Stage) {
		if s == consistency.Decided {
			if arrived.Add(1) == int64(len(all)) {
				arm()
			}
			gate.Wait(ctx)
		}
	}
	l.probe.Store(&probe)
	var wg sync.WaitGroup
	for i := range all {
		u := &all[i]
		u.cmd = addBook(categories[i%len(categories)])
		wg.Go(func() { u.receipt, u.err = l.Run(ctx, u.cmd.Request("t")) })
	}
	wg.Wait()
	return all
}

func harmLane(t *testing.T, s *shop, p *proxy, mode consistency.Mode, f fault, then outage,
	load func(context.Context, *lane, []libraryevents.CategoryID, func()) []told,
) {
	var categories []libraryevents.CategoryID
	for range 4 {
		categories = append(categories, s.category())
	}
	doubts := 0 // faults after which somebody was told that the outcome is unknown
	for at := 1; ; at++ {
		l := s.lane(mode)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		all := load(ctx, l, categories, func() { p.arm(at, f, then) })
		fired := p.disarm()
		cancel()
		l.empty()

		unknown, failed := 0, 0
		for i, u := range all {
			cmd := u.cmd
			switch e := problem.Of(u.err); {
			case u.err == nil:
				if n := s.times(cmd.ID); n != 1 {
					t.Errorf("cut at %d: the %d. succeeds, but its book is there %d times", at, i, n)
				}
			case errors.Is(u.err, consistency.ErrOutcomeUnknown):
				unknown++
			case f == failsThere:
				if failed++; failed > 1 || s.times(cmd.ID) != 0 {
					t.Errorf("failure at %d: the %d., of %d: %v", at, i, failed, u.err)
				}
			case e.Kind != problem.Unavailable || e.RetryAfter == 0:
				t.Errorf("cut at %d: the %d.: %v", at, i, u.err)
			default:
				if n := s.times(cmd.ID); n != 0 {
					t.Errorf("cut at %d: the %d. fails (%v), but its book is there", at, i, u.err)
				}
			}
			again, err := s.runner(mode).Run(t.Context(), cmd.Request("t"))
			if err != nil {
				t.Errorf("cut at %d: the %d. asks again: %v", at, i, err)
			}
			if n := s.times(cmd.ID); n != 1 {
				t.Errorf("cut at %d: after asking again the book is there %d times", at, n)
			}
			if told := u.receipt.Position; told > 0 && (!again.Repeated || again.Position != told) {
				t.Errorf("cut at %d: first %d, then %d (repeated: %v)", at, told, again.Position, again.Repeated)
			}
		}
		if unknown > 0 {
			doubts++
		}
		if !fired {
			if at < 6 {
				t.Errorf("the lane sent only %d messages: the proxy counts wrong", at-1)
			}
			break
		}
	}
	// Only a COMMIT whose answer is lost for good leaves a doubt: that of the first, and that of the batch.
	if want := map[outage]int{notBack: 2}[then]; doubts != want {
		t.Errorf("%d cuts left a doubt, want %d", doubts, want)
	}
	s.clean()
}

// strangers are sessions of somebody else's that are in the way of those who write to one place.
var strangers = []struct {
	name string
	take func(ctx context.Context, tx bun.Tx, lib libraryevents.LibraryID, c libraryevents.CategoryID) error
	want func(lib libraryevents.LibraryID, c libraryevents.CategoryID) usecase.Request // what it is in the way of
}{
	{"has the guard", func(ctx context.Context, tx bun.Tx, _ libraryevents.LibraryID, c libraryevents.CategoryID) error {
		_, err := tx.ExecContext(ctx, `SELECT last FROM register_guards WHERE scope = ? FOR UPDATE`, string(c.Tag()))
		return err
	}, aBook},
	{"withdraws what is referred to", func(ctx context.Context, tx bun.Tx, _ libraryevents.LibraryID, c libraryevents.CategoryID) error {
		_, err := tx.ExecContext(ctx, `SELECT key FROM register_rows WHERE "constraint" = 'category-exists' AND scope = ? FOR UPDATE`, string(c.Tag()))
		return err
	}, aBook},
	{"has not committed the next number", func(ctx context.Context, tx bun.Tx, _ libraryevents.LibraryID, c libraryevents.CategoryID) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO register_rows ("constraint", scope, key, owner, cause, ancestors) `+
			`SELECT "constraint", scope, (last + 1)::text, 'book:nobody', gen_random_uuid(), '' FROM register_guards WHERE scope = ?`, string(c.Tag()))
		return err
	}, aBook},
	{"has not committed the guard of a new scope", func(ctx context.Context, tx bun.Tx, lib libraryevents.LibraryID, _ libraryevents.CategoryID) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO register_guards ("constraint", scope, last) VALUES ('category-number', ?, 0)`, string(lib.Tag()))
		return err
	}, func(lib libraryevents.LibraryID, _ libraryevents.CategoryID) usecase.Request {
		id := libraryevents.NewCategoryID()
		return library.CreateCategory{ID: id, Library: lib, Name: id.String(), Book: addBook(id)}.Request("t")
	}},
}

func aBook(_ libraryevents.LibraryID, c libraryevents.CategoryID) usecase.Request {
	return addBook(c).Request("t")
}

// TestAStrangerInOnePlace: whatever a session of somebody else's is in the way with, it delays those who write to that place,
// for as long as they are patient, and nobody else.
func TestAStrangerInOnePlace(t *testing.T) {
	t.Parallel()
	for _, stranger := range strangers {
		for _, mode := range consistency.Built() {
			for _, goes := range []bool{false, true} {
				t.Run(stranger.name+"/"+mode.String()+"/goes="+strconv.FormatBool(goes), func(t *testing.T) {
					t.Parallel()
					db := dbtest.Postgres(t)
					s := newShop(t, db)
					free := s.category()
					held := []libraryevents.CategoryID{s.category(), s.category()} // as many as the lane has transactions
					var empty []libraryevents.LibraryID
					for range held {
						lib := library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: "Nothing in it yet"}
						if _, err := s.runner(mode).Run(t.Context(), lib.Request("t")); err != nil {
							t.Fatal(err)
						}
						empty = append(empty, lib.ID)
					}
					patience := impatience
					if goes {
						patience = time.Minute
					}
					s.log = logdb.New(db, s.registry, patience)
					l := s.lane(mode)
					if l.contended {
						l.contend(held[0])
						l.contend(held[1])
						l.contend(free)
					}

					hostile := open(t, database.Config{URL: db.Location(), IdleInTransactionTimeout: -1})
					tx, err := hostile.Write.BeginTx(t.Context(), nil)
					if err != nil {
						t.Fatal(err)
					}
					for i := range held {
						if err := stranger.take(t.Context(), tx, empty[i], held[i]); err != nil {
							t.Fatal(err)
						}
					}
					errs := make([]error, 4)
					var wg sync.WaitGroup
					for i := range errs {
						wg.Go(func() { _, errs[i] = l.Run(t.Context(), stranger.want(empty[i%2], held[i%2])) })
					}
					if goes { // once somebody waits in each place
						for waiting := 0; waiting < len(held) && err == nil; {
							err = hostile.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
						}
					}
					for range 3 {
						if _, err := l.Run(t.Context(), addBook(free).Request("t")); err != nil {
							t.Errorf("in another place: %v", err)
						}
					}
					if goes {
						err = errors.Join(err, tx.Rollback())
					}
					wg.Wait()
					for _, err := range errs {
						switch e := problem.Of(err); {
						case !goes && (!errors.Is(err, consistency.ErrScopeBusy) || e.RetryAfter == 0 || e.Kind != problem.Unavailable):
							t.Errorf("while it stays: %v", err)
						case goes && err != nil && (mode != consistency.Reject || e.Kind != problem.Conflict): // of those who come together one gets the number
							t.Errorf("after it has gone: %v", err)
						}
					}
					l.empty()
					if !goes {
						err = errors.Join(err, tx.Rollback())
					}
					if err != nil {
						t.Fatal(err)
					}
					for i := range held {
						if _, err := l.Run(t.Context(), stranger.want(empty[i], held[i])); err != nil {
							t.Errorf("in the end: %v", err)
						}
					}
					l.empty()
					s.clean()
				})
			}
		}
	}
}
