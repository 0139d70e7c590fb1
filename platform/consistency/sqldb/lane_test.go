package sqldb_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	"accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"

	"github.com/uptrace/bun"
)

// counter counts the messages that a database is sent.
type counter struct {
	counts atomic.Bool
	n      atomic.Int64
}

func (c *counter) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	if c.counts.Load() {
		c.n.Add(1)
	}
	return ctx
}

func (*counter) AfterQuery(context.Context, *bun.QueryEvent) {}

// What a batch costs in messages does not depend on how much is in it.
func TestTheMessagesOfABatchDoNotDependOnItsSize(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		open func(testing.TB) *database.DB
		want int64
	}{
		"sqlite":   {dbtest.SQLite, 9},   // begin, guards, held rows, register, head, three tables of the log, commit
		"postgres": {dbtest.Postgres, 3}, // begin, all locks, all that is written with the commit
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, units := range []int{1, 2, 60} {
				if got := messages(t, c.open(t), units); got != c.want {
					t.Errorf("%d units took %d messages, want %d", units, got, c.want)
				}
			}
		})
	}
}

// messages lines up so many units and counts the messages that it takes to store them.
func messages(t *testing.T, db *database.DB, units int) int64 {
	t.Helper()
	shelves := consistencytest.Shelves()
	log := logdb.New(db, shelves.Registry, time.Minute)
	var meter consistencytest.Meter
	var sent counter
	db.Write = db.Write.WithQueryHook(&sent)
	register := sqldb.New(db.Read)
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	began := 0 // transactions
	run := consistency.NewRunner(consistency.Config{
		Log: beginning{log, func() {
			if began++; began == 2 {
				sent.counts.Store(true)
			}
		}}, Register: register, Set: shelves.Set, Meter: &meter,
		Probe: func(_ context.Context, s consistency.Stage) {
			if s == consistency.Written {
				once.Do(func() {
					close(reached)
					<-release
				})
			}
		},
	})
	plain := consistency.NewRunner(consistency.Config{Log: log, Register: register, Set: shelves.Set})
	scopes, err := shelves.Prepare(t.Context(), plain, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // afterwards the register knows that the guard is there
		if _, err := plain.Run(t.Context(), shelves.Claim(scopes[0])); err != nil {
			t.Fatal(err)
		}
	}
	claim := func() {
		req := shelves.Claim(scopes[0])
		req.Fresh = true
		if _, err := run.Run(t.Context(), req); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(claim)
	<-reached
	for i := range units {
		wg.Go(claim)
		meter.WaitQueued(t.Context(), i+1)
	}
	close(release)
	wg.Wait()
	return sent.n.Load()
}

// beginning is a log that tells when a transaction is about to begin.
type beginning struct {
	eventlog.Log
	tell func()
}

func (l beginning) Begin(ctx context.Context) (eventlog.Tx, error) {
	l.tell()
	return l.Log.Begin(ctx)
}
