package sqldb_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/platform/consistency"
	"accession/platform/usecase"

	"github.com/uptrace/bun"
)

// taken is a room in which somebody else is about to take the name K.
func (r room) taken(t *testing.T) (rival bun.Tx) {
	t.Helper()
	rival, err := r.db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rival.Rollback() })
	if _, err := rival.ExecContext(t.Context(),
		`INSERT INTO register_rows VALUES ('name', 'room:1', 'K', 'thing:w', gen_random_uuid(), '')`); err != nil {
		t.Fatal(err)
	}
	return rival
}

// Who has to wait for a name keeps its place: who lined up behind it for a turn does not get the earlier one.
func TestWhoWaitsForANameIsNotOvertakenByItsBatch(t *testing.T) {
	t.Parallel()
	r := newRoom(t, consistency.Queue)
	rival := r.taken(t)
	reached, release, tried := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var written atomic.Int64
	r.config.Probe = func(_ context.Context, s consistency.Stage) {
		if s != consistency.Written {
			return
		}
		switch written.Add(1) {
		case 1:
			close(reached)
			<-release
		case 4: // after both together, and who waits for the name alone
			close(tried)
		}
	}
	run := consistency.NewRunner(r.config)
	var wg sync.WaitGroup
	start := func(n int, req usecase.Request) *int {
		var turn int
		wg.Go(func() {
			receipt, err := run.Run(t.Context(), req)
			if err != nil {
				t.Error(err)
				return
			}
			turn = receipt.Events[0].Event.(*named).Turn
		})
		r.meter.WaitQueued(t.Context(), n)
		return &turn
	}
	first := start(0, naming("thing:first", "first"))
	<-reached
	waits, behind := start(1, naming("thing:x", "K")), start(2, naming("thing:y", "L"))
	close(release)
	<-tried
	if err := rival.Rollback(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if *first != 1 || *waits != 2 || *behind != 3 {
		t.Errorf("the turns are %d, %d, %d", *first, *waits, *behind)
	}
}

// A caller whom a transaction could not store, because others hold what it needs, may go while it waits for them.
func TestWhoWaitsAsideMayLeave(t *testing.T) {
	t.Parallel()
	r := newRoom(t, consistency.Queue)
	rival, run := r.taken(t), consistency.NewRunner(r.config)
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() {
		_, err := run.Run(ctx, dubbing("thing:x", "K"))
		waits <- err
	}()
	for queued := false; !queued; {
		err := r.db.Read.QueryRowContext(t.Context(),
			`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&queued)
		if err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	select {
	case err := <-waits:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("who left was told %v", err)
		}
	case <-time.After(45 * time.Second): // less than the patience of the room
		t.Error("who wants to leave still waits")
	}
	if err := rival.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Run(t.Context(), dubbing("thing:y", "K")); err != nil {
		t.Errorf("the name of who left: %v", err)
	}
}

// However many wait for what is held, and however few are stored at a time, each is told when it has waited for long enough.
func TestWhoWaitsAsideIsToldInTime(t *testing.T) {
	t.Parallel()
	const patience, writers = 5 * time.Second, 12
	r := newPatientRoom(t, consistency.Queue, patience)
	settings := r.config.Settings()
	settings.Batch = 1
	r.config.Settings = func() consistency.Settings { return settings }
	run := consistency.NewRunner(r.config)
	if _, err := run.Run(t.Context(), usecase.Request{Command: turns{"room:1"}}); err != nil {
		t.Fatal(err)
	}
	holder, err := r.db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback() }()
	if _, err := holder.ExecContext(t.Context(), `SELECT FROM register_guards FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			_, err := run.Run(t.Context(), usecase.Request{Command: turns{"room:1"}})
			if !errors.Is(err, consistency.ErrScopeBusy) {
				t.Errorf("told %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > writers*patience/2 { // one after another they would wait for twice that
		t.Errorf("the last was told after %v", took)
	}
}
