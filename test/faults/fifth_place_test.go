package faults_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	logdb "accession/platform/eventlog/sqldb"
)

// TestAPlaceThatIsFreeAgainIsNotHeldUp: however many places strangers keep, one that was only held for a moment goes on when it
// is free again.
func TestAPlaceThatIsFreeAgainIsNotHeldUp(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	s := newShop(t, db)
	var places []libraryevents.CategoryID
	for range 5 { // one more than transactions wait for others
		places = append(places, s.category())
	}
	last := len(places) - 1
	s.log = logdb.New(db, s.registry, 20*time.Minute)
	l := s.lane(consistency.Queue)
	hostile := open(t, database.Config{URL: db.Location(), IdleInTransactionTimeout: -1})
	stays, err1 := hostile.Write.BeginTx(t.Context(), nil)
	goes, err2 := hostile.Write.BeginTx(t.Context(), nil)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for i, c := range places {
		tx := stays
		if i == last {
			tx = goes
		}
		if _, err := tx.ExecContext(t.Context(), `SELECT last FROM register_guards WHERE scope = ? FOR UPDATE`, string(c.Tag())); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for _, c := range places[:last] {
		wg.Go(func() { _, _ = l.Run(t.Context(), addBook(c).Request("t")) })
	}
	for waiting := 0; waiting < last; {
		err := hostile.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := l.Run(ctx, addBook(places[last]).Request("t"))
		done <- err
	}()
	// Once it was tried, another unit passes through the lane behind it.
	if _, err := l.Run(t.Context(), addBook(s.category()).Request("t")); err != nil {
		t.Error(err)
	}
	if err := goes.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("in a place that is free again: %v", err)
	}
	if err := stays.Rollback(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	l.empty()
}
