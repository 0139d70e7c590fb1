// Package faults_test breaks the way to PostgreSQL, and PostgreSQL itself, at every step of a command, and checks that nobody
// is lied to: rule R26, and what a hostile database may not do (R10, R11).
package faults_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/uptrace/bun"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var modules = []module.Module{library.Module, catalogue.Module, editions.Module}

// shop is the application's log and constraints on one database.
type shop struct {
	t        *testing.T
	db       *database.DB
	log      *logdb.Log
	set      *consistency.Set
	registry *event.Registry
}

func newShop(t *testing.T, db *database.DB) *shop {
	t.Helper()
	registry, err1 := module.Registry(modules)
	set, err2 := module.Constraints(modules)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return &shop{t: t, db: db, log: logdb.New(db, registry, 5*time.Second), set: set, registry: registry}
}

func open(t *testing.T, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // its server may be gone already
	return db
}

// settings keep every constraint that can be kept so in the mode.
func (s *shop) settings(mode consistency.Mode) consistency.Settings {
	settings := consistency.DefaultSettings()
	settings.Modes = map[string]consistency.Mode{}
	for _, d := range s.set.Describe() {
		if slices.Contains(d.Modes, mode) {
			settings.Modes[d.Name] = mode
		}
	}
	return settings
}

func (s *shop) runner(mode consistency.Mode) usecase.Runner { return s.counted(mode, nil) }

// counted is a runner that tells the meter what happens.
func (s *shop) counted(mode consistency.Mode, meter consistency.Meter) usecase.Runner {
	settings := s.settings(mode)
	return consistency.NewRunner(consistency.Config{
		Log: s.log, Register: registerdb.New(s.db.Read), Set: s.set, Settings: func() consistency.Settings { return settings },
		Meter: meter,
	})
}

func (s *shop) category() libraryevents.CategoryID {
	s.t.Helper()
	lib := library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: "A library"}
	id := libraryevents.NewCategoryID()
	for _, req := range []usecase.Request{
		lib.Request("t"),
		library.CreateCategory{ID: id, Library: lib.ID, Name: "A category", Book: addBook(id)}.Request("t"),
	} {
		if _, err := s.runner(consistency.Lock).Run(s.t.Context(), req); err != nil {
			s.t.Fatal(err)
		}
	}
	return id
}

func addBook(c libraryevents.CategoryID) catalogue.AddBook {
	return catalogue.AddBook{
		ID: catalogueevents.NewBookID(), Category: c, Title: "A book",
		Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID()},
	}
}

// clean checks the log and the register against each other.
func (s *shop) clean() {
	s.t.Helper()
	findings, err := consistency.Audit(s.t.Context(), s.set, s.log, registerdb.New(s.db.Read))
	if err != nil {
		s.t.Errorf("audit: %v", err)
	}
	for _, f := range findings {
		s.t.Errorf("audit: %v", f)
	}
	next := event.Position(1)
	for e, err := range s.log.Read(s.t.Context(), eventlog.Query{}) {
		if err != nil {
			s.t.Errorf("read log: %v", err)
			return
		}
		if e.Position != next {
			s.t.Errorf("position %d after %d", e.Position, next-1)
		}
		next = e.Position + 1
	}
}

// times is how often the book is in the log.
func (s *shop) times(id catalogueevents.BookID) int {
	s.t.Helper()
	got, err := eventlog.Collect(s.log.Read(s.t.Context(), eventlog.Query{Stream: id.Tag()}))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(got)
}

// TestConnectionsAreCutAtEveryMessage cuts the connection at every message of a command, before it reaches the server and after
// the server has answered, and with and without a way back.
func TestConnectionsAreCutAtEveryMessage(t *testing.T) {
	t.Parallel()
	for _, mode := range consistency.Built() {
		for _, f := range []fault{neverArrives, answerLost} {
			for _, then := range outages(mode == consistency.Lock) {
				t.Run(fmt.Sprintf("%s/%s/%s", mode, f, then), func(t *testing.T) {
					t.Parallel()
					server := dbtest.NewServer(t, "fsync=off")
					if err := server.Migrate(); err != nil {
						t.Fatal(err)
					}
					p := newProxy(t, server.URL(), server.Socket())
					cutEverywhere(t, newShop(t, open(t, database.Config{URL: p.url})), p, mode, f, then)
				})
			}
		}
	}
}

// outages are what can follow a cut. That there is no way back takes long, since whoever is in doubt is patient.
func outages(all bool) []outage {
	if all {
		return []outage{backAtOnce, backAfterTries, notBack}
	}
	return []outage{backAtOnce, backAfterTries}
}

func cutEverywhere(t *testing.T, s *shop, p *proxy, mode consistency.Mode, f fault, then outage) {
	category := s.category()
	unknown := 0
	for at := 1; ; at++ {
		cmd := addBook(category)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		p.arm(at, f, then)
		receipt, err := s.runner(mode).Run(ctx, cmd.Request("t"))
		fired := p.disarm()
		cancel()
		switch e := problem.Of(err); {
		case err == nil:
			if n := s.times(cmd.ID); n != 1 {
				t.Errorf("cut at %d: a success, but the book is there %d times", at, n)
			}
		case errors.Is(err, consistency.ErrOutcomeUnknown):
			unknown++
		case e.Kind != problem.Unavailable || e.RetryAfter == 0:
			t.Errorf("cut at %d: %v", at, err)
		default:
			if n := s.times(cmd.ID); n != 0 {
				t.Errorf("cut at %d: a failure (%v), but the book is there", at, err)
			}
		}
		again, err := s.runner(mode).Run(t.Context(), cmd.Request("t"))
		if err != nil {
			t.Errorf("cut at %d: asked again: %v", at, err)
		}
		if n := s.times(cmd.ID); n != 1 {
			t.Errorf("cut at %d: after asking again the book is there %d times", at, n)
		}
		if receipt.Position > 0 && (!again.Repeated || again.Position != receipt.Position) {
			t.Errorf("cut at %d: first %d, then %d (repeated: %v)", at, receipt.Position, again.Position, again.Repeated)
		}
		if !fired {
			if at < 6 {
				t.Errorf("the command had only %d messages: the proxy counts wrong", at-1)
			}
			break
		}
	}
	// Only a COMMIT whose answer is lost for good leaves a doubt.
	if want := map[outage]int{notBack: 1}[then]; unknown > want {
		t.Errorf("%d outcomes were unknown, at most %d can be", unknown, want)
	}
	s.clean()
}

// TestServerIsRestartedUnderLoad stops, kills and starts the server while writers go on: they wait, fail cleanly or succeed.
func TestServerIsRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	restarts(t, func(s *shop, w int) usecase.Runner { return s.runner(consistency.Built()[w%len(consistency.Built())]) })
}

// TestServerIsRestartedUnderALane is the same with writers that all line up in one lane.
func TestServerIsRestartedUnderALane(t *testing.T) {
	t.Parallel()
	var lane usecase.Runner
	restarts(t, func(s *shop, w int) usecase.Runner {
		if w == 0 {
			lane = s.runner(consistency.Queue)
		}
		return lane
	})
}

func restarts(t *testing.T, runner func(s *shop, writer int) usecase.Runner) {
	server := dbtest.NewServer(t) // as durable as it comes: what was acknowledged must survive a crash
	if err := server.Migrate(); err != nil {
		t.Fatal(err)
	}
	s := newShop(t, open(t, database.Config{URL: server.URL()}))
	category := s.category()
	const writers = 8
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	var acknowledged, unsure sync.Map
	var count atomic.Int64
	progress := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for w := range writers {
		run := runner(s, w)
		wg.Go(func() {
			for ctx.Err() == nil {
				cmd := addBook(category)
				_, err := run.Run(ctx, cmd.Request("t"))
				switch e := problem.Of(err); {
				case err == nil:
					acknowledged.Store(cmd.ID, true)
					count.Add(1)
					select {
					case progress <- struct{}{}:
					default:
					}
				case ctx.Err() != nil, errors.Is(err, consistency.ErrOutcomeUnknown):
					unsure.Store(cmd.ID, true)
				case errors.Is(err, catalogue.ErrBookNumberNotUnique), e.Kind == problem.Unavailable:
				default:
					t.Errorf("%v", err)
				}
			}
		})
	}
	more := func(n int64) {
		for want := count.Load() + n; count.Load() < want; {
			select {
			case <-progress:
			case <-ctx.Done():
				t.Error("nothing is stored any more")
				return
			}
		}
	}
	more(20)
	for i := range 4 {
		end := server.Stop
		if i%2 == 1 {
			end = server.Kill
		}
		if err := errors.Join(end(), server.Start()); err != nil {
			t.Error(err)
			break
		}
		more(20)
	}
	stop()
	wg.Wait()
	acknowledged.Range(func(id, _ any) bool {
		if n := s.times(id.(catalogueevents.BookID)); n != 1 {
			t.Errorf("an acknowledged book is there %d times", n)
		}
		return true
	})
	unsure.Range(func(id, _ any) bool {
		if n := s.times(id.(catalogueevents.BookID)); n > 1 {
			t.Errorf("a book is there %d times", n)
		}
		return true
	})
	s.clean()
}

// TestHostileDefaults: what a database is set to by default does not matter (rule R10).
func TestHostileDefaults(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"default_transaction_isolation": "serializable", "default_transaction_read_only": "on", "default_transaction_deferrable": "on",
		"lock_timeout": "1ms", "statement_timeout": "1ms", "idle_in_transaction_session_timeout": "1ms", "synchronous_commit": "off",
		"timezone": "Asia/Kathmandu", "datestyle": "German, DMY", "bytea_output": "escape", "standard_conforming_strings": "off",
		"extra_float_digits": "-15", "lc_messages": "C",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := dbtest.PostgresURL(t)
			set(t, url, name, value)
			db := open(t, database.Config{URL: url})
			if err := database.Migrate(t.Context(), db, nil); err != nil {
				t.Fatal(err)
			}
			s := newShop(t, db)
			category := s.category()
			for _, mode := range []consistency.Mode{consistency.Retry, consistency.Lock} {
				errs := make([]error, 8)
				var wg sync.WaitGroup
				for i := range errs {
					wg.Go(func() { _, errs[i] = s.runner(mode).Run(t.Context(), addBook(category).Request("t")) })
				}
				wg.Wait()
				if err := errors.Join(errs...); err != nil {
					t.Errorf("%s: %v", mode, err)
				}
			}
			s.clean()
		})
	}
}

// set changes a default of the database.
func set(t *testing.T, url, name, value string) {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	var database string
	err = db.Write.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&database)
	if err == nil {
		_, err = db.Write.ExecContext(t.Context(), `ALTER DATABASE ? SET ? = ?`, bun.Ident(database), bun.Ident(name), value)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// impatience is how long those wait for a lock who are to wait in vain: long for those whom nobody holds up, also on a busy machine.
const impatience = time.Second

// TestAHeldScopeIsBusy: a session of somebody else's that keeps a scope locked delays that scope's writers until their time is
// up, and nobody else's; no connection is lost over it.
func TestAHeldScopeIsBusy(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	s := newShop(t, db)
	held, free := s.category(), s.category()
	s.log = logdb.New(db, s.registry, impatience)

	hostile := open(t, database.Config{URL: db.Location(), IdleInTransactionTimeout: -1})
	for constraint, lock := range map[string]string{
		"book-number":     `SELECT FROM register_guards WHERE scope = ? FOR UPDATE`,
		"category-exists": `SELECT FROM register_rows WHERE "constraint" = 'category-exists' AND scope = ? FOR UPDATE`,
	} {
		tx, err := hostile.Write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), lock, string(held.Tag())); err != nil {
			t.Fatal(err)
		}
		for _, mode := range consistency.Built() {
			var meter consistencytest.Meter
			_, err := s.counted(mode, &meter).Run(t.Context(), addBook(held).Request("t"))
			e := problem.Of(err)
			if !errors.Is(err, consistency.ErrScopeBusy) || e.RetryAfter == 0 || e.Kind != problem.Unavailable {
				t.Errorf("%s: %v", mode, err)
			}
			if e.Constraint != constraint || e.Scope != string(held.Tag()) || e.Mode == "" {
				t.Errorf("%s: %s is held, but %q in %q, kept in %q, is said to be", mode, constraint, e.Constraint, e.Scope, e.Mode)
			}
			for _, name := range []string{"book-number", "category-exists"} {
				got, want := meter.Of(name), map[consistency.Outcome]int(nil)
				if name == constraint {
					want = map[consistency.Outcome]int{consistency.Busy: 1}
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s: while %s is held %s counts (-want +got):\n%s", mode, constraint, name, diff)
				}
			}
			if _, err := s.runner(mode).Run(t.Context(), addBook(free).Request("t")); err != nil {
				t.Errorf("%s: another scope: %v", mode, err)
			}
		}
		givenBack(t, db)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.runner(consistency.Lock).Run(t.Context(), addBook(held).Request("t")); err != nil {
		t.Errorf("after it let go: %v", err)
	}
	s.clean()
}

// givenBack waits until all connections that write are: the last may be a moment after the last answer.
func givenBack(t *testing.T, db *database.DB) {
	t.Helper()
	for late := time.Now().Add(time.Minute); db.Write.Stats().InUse > 0; {
		if time.Now().After(late) {
			t.Errorf("%d connections were not given back", db.Write.Stats().InUse)
			return
		}
	}
}

// TestAHeldHeadIsLogBusy: who keeps the log itself locked is told from who keeps a scope.
func TestAHeldHeadIsLogBusy(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	s := newShop(t, db)
	category := s.category()
	s.log = logdb.New(db, s.registry, impatience)
	hostile := open(t, database.Config{URL: db.Location(), IdleInTransactionTimeout: -1})
	tx, err := hostile.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `SELECT position FROM log_head FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	for _, mode := range consistency.Built() {
		if _, err := s.runner(mode).Run(t.Context(), addBook(category).Request("t")); !errors.Is(err, consistency.ErrLogBusy) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.runner(consistency.Lock).Run(t.Context(), addBook(category).Request("t")); err != nil {
		t.Errorf("after it let go: %v", err)
	}
	s.clean()
}

// TestNoConnectionsLeft: a server that lets nobody in any more is unavailable, not broken.
func TestNoConnectionsLeft(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t, "fsync=off", "max_connections=8", "superuser_reserved_connections=0", "max_wal_senders=0")
	if err := server.Migrate(); err != nil {
		t.Fatal(err)
	}
	s := newShop(t, open(t, database.Config{URL: server.URL(), WriteConns: 2, ReadConns: 2}))
	category := s.category()
	var greedy []*database.DB
	for range 8 { // each holds one connection
		db, err := database.Open(t.Context(), database.Config{URL: server.URL(), WriteConns: 1, ReadConns: 1})
		if err != nil {
			break
		}
		greedy = append(greedy, db)
	}
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.runner(consistency.Lock).Run(t.Context(), addBook(category).Request("t")) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && problem.Of(err).Kind != problem.Unavailable {
			t.Errorf("%v", err)
		}
	}
	for _, db := range greedy {
		_ = db.Close()
	}
	if _, err := s.runner(consistency.Lock).Run(t.Context(), addBook(category).Request("t")); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	s.clean()
}
