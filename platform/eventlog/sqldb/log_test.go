package sqldb_test

import (
	"testing"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/eventlogtest"
	"accession/platform/eventlog/sqldb"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		eventlogtest.Run(t, open(dbtest.SQLite), eventlogtest.Features{})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		eventlogtest.Run(t, open(dbtest.Postgres), eventlogtest.Features{Overlap: true})
	})
}

func open(db func(testing.TB) *database.DB) eventlogtest.Open {
	return func(t *testing.T) eventlog.Log {
		return sqldb.New(db(t), eventlogtest.Registry(), eventlogtest.Patience)
	}
}

// A process of a version that still stored the tag of an event's own stream may be at work.
func TestATagThatSaysTheStreamAgainDoesNotDoubleTheEvent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		log := sqldb.New(db, eventlogtest.Registry(), eventlogtest.Patience)
		if err := eventlogtest.Commit(t.Context(), log, eventlogtest.Unit("k", map[event.Tag]int{"book:1": 0})); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Write.ExecContext(t.Context(), `INSERT INTO log_tags VALUES ('book:1', 1)`); err != nil {
			t.Fatal(err)
		}
		got, err := eventlog.Collect(log.Read(t.Context(), eventlog.Query{Tag: "book:1"}))
		if len(got) != 1 || err != nil {
			t.Errorf("%d events, want 1; %v", len(got), err)
		}
	})
}
