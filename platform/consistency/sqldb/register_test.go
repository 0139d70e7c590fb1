package sqldb_test

import (
	"testing"
	"time"

	"accession/platform/consistency/consistencytest"
	"accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	logdb "accession/platform/eventlog/sqldb"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		consistencytest.Run(t, open(dbtest.SQLite), consistencytest.Features{})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		consistencytest.Run(t, open(dbtest.Postgres), consistencytest.Features{Overlap: true})
	})
}

func open(db func(testing.TB) *database.DB) consistencytest.Open {
	return func(t *testing.T, registry *event.Registry) consistencytest.Store {
		d := db(t)
		return consistencytest.Store{Log: logdb.New(d, registry, time.Minute), Register: sqldb.New(d.Read)}
	}
}
