package database_test

import (
	"testing"

	"accession/platform/database"
	"accession/platform/database/dbtest"

	"github.com/google/go-cmp/cmp"
)

func TestMissingTellsWhatWasDropped(t *testing.T) {
	t.Parallel()
	tags := database.Made{Table: "log_tags"}
	version := database.Made{Table: "log_events", Index: "log_events_stream_version", Columns: []string{"stream", "version"}}
	held := database.Made{Table: "register_rows", Index: "register_rows_held", Columns: []string{"owner", "constraint", "cause"}}
	for what, c := range map[string]struct {
		harm string
		want []database.Made
	}{
		"after the migrations nothing is missing": {`SELECT 1`, nil},
		"a table, with its indexes":               {`DROP TABLE log_tags`, []database.Made{tags}},
		"two unique indexes":                      {`DROP INDEX log_events_stream_version; DROP INDEX register_rows_held`, []database.Made{version, held}},
		"one that is no longer unique": {
			`DROP INDEX log_events_stream_version; CREATE INDEX log_events_stream_version ON log_events (stream, version)`, []database.Made{version},
		},
		"one that is unique of some rows only": {
			`DROP INDEX log_events_stream_version; CREATE UNIQUE INDEX log_events_stream_version ON log_events (stream, version) WHERE position < 5`, []database.Made{version},
		},
		"what is missing can be made": {`DROP INDEX register_rows_held; ` + held.SQL(), nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, db *database.DB) {
				if _, err := db.Write.ExecContext(t.Context(), c.harm); err != nil {
					t.Fatal(err)
				}
				got, err := database.Missing(t.Context(), db.Read)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

// Of a primary key SQLite cannot be rid.
func TestMissingTellsOfPrimaryKeys(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	if _, err := db.Write.ExecContext(t.Context(), `ALTER TABLE log_units DROP CONSTRAINT log_units_pkey; DROP INDEX register_rows_key`); err != nil {
		t.Fatal(err)
	}
	got, err := database.Missing(t.Context(), db.Read)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`CREATE UNIQUE INDEX log_units_key ON log_units (key)`,
		`CREATE UNIQUE INDEX register_rows_key ON register_rows ("constraint", scope, key)`,
	}
	var statements []string
	for _, m := range got {
		statements = append(statements, m.SQL())
	}
	if diff := cmp.Diff(want, statements); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
