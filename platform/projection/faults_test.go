package projection

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/eventlog/sqldb"
)

// A statement that runs into its time-out is the database's fault and not the event's: the projector goes on as soon as it can.
func TestAStatementThatTakesTooLongBreaksNoProjector(t *testing.T) {
	t.Parallel()
	db, err := database.Open(t.Context(), database.Config{URL: dbtest.PostgresURL(t), StatementTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := database.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	r := registry(t)
	b := &bench{T: t, db: db, log: sqldb.New(db, r, time.Minute), registry: r}
	c := b.config(books())
	var tries atomic.Int64
	c.Probe = func(_ context.Context, _ string, s Stage) error {
		if s == Moved {
			tries.Add(1)
		}
		return nil
	}
	p := b.booted(c)
	holder, err := db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback() }()
	if _, err := holder.ExecContext(t.Context(), `LOCK TABLE books_v1 IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	b.store(&added{Book: "emma", Shelf: "a"})
	b.play(p)
	for tries.Load() < 3 && b.status(p, "shelf-books").State != Broken {
	}
	if err := holder.Rollback(); err != nil {
		t.Fatal(err)
	}
	b.caughtUp(p)
}
