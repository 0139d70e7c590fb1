package sqldb_test

import (
	"testing"

	"accession/platform/database"
	"accession/platform/database/dbtest"
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
