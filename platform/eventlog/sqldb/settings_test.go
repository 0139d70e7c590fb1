package sqldb_test

import (
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// What a database is set to for whoever connects does not change what is stored.
func TestUnitsAreStoredAsTheyAreWhateverADatabaseIsSetTo(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"array_nulls = off", "bytea_output = escape", "standard_conforming_strings = off", "default_transaction_isolation = serializable"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			url := dbtest.PostgresURL(t)
			open := func() *database.DB {
				db, err := database.Open(t.Context(), database.Config{URL: url, WriteConns: 2, ReadConns: 2})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				})
				return db
			}
			db := open()
			if err := database.Migrate(t.Context(), db, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Write.ExecContext(t.Context(), `DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I SET `+setting+`', current_database()); END $do$`); err != nil {
				t.Fatal(err)
			}
			registry, err := event.NewRegistry()
			if err != nil {
				t.Fatal(err)
			}
			log := sqldb.New(open(), registry, time.Minute)
			for _, want := range []eventlog.Done{
				{Key: "bare"},
				{Key: "NULL", Fingerprint: []byte{0, '\\', 0xff, '"', '\''}, Answer: []byte("NULL")},
			} {
				tx, err := log.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := tx.Commit(t.Context(), eventlog.Unit{ID: uuid.New(), Key: want.Key, Fingerprint: want.Fingerprint, Answer: want.Answer}); err != nil {
					t.Fatal(err)
				}
				got, found, err := log.Done(t.Context(), want.Key)
				if err != nil || !found {
					t.Fatal(found, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
