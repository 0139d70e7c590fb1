package sqldb

import (
	"fmt"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog/eventlogtest"

	"github.com/google/go-cmp/cmp"
)

// What is left of a log is compared, also where some of its tables are gone.
func TestAuditPassesByTablesThatAreGone(t *testing.T) {
	t.Parallel()
	end := Finding{"log", "end", "3", "nothing that can be read: log_head has the log's id and its end", 3}
	version := Finding{"book:1", "version", "2", "7", 2}
	back := Finding{"book:1", "version", "8", "3", 3}
	for what, c := range map[string]struct {
		harm string
		gone []string
		want []Finding
	}{
		"no head":           {"DELETE FROM log_head", nil, []Finding{version, back, end}},
		"no table of it":    {"DROP TABLE log_head", []string{"log_head"}, []Finding{version, back, end}},
		"no tags":           {"DROP TABLE log_tags", []string{"log_tags"}, []Finding{version, back}},
		"no tags nor units": {"DROP TABLE log_tags; DROP TABLE log_units", []string{"log_tags", "log_units"}, []Finding{version, back}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, db *database.DB) {
				log := New(db, eventlogtest.Registry(), time.Minute)
				for i := range 3 {
					if err := eventlogtest.Commit(t.Context(), log, eventlogtest.Unit(fmt.Sprint(i), map[event.Tag]int{"book:1": i})); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := db.Write.ExecContext(t.Context(), c.harm+"; UPDATE log_events SET version = 7 WHERE position = 2"); err != nil {
					t.Fatal(err)
				}
				got, gaps, err := Audit(t.Context(), db.Read, eventlogtest.Registry(), c.gone...)
				if err != nil || len(gaps) > 0 {
					t.Fatal(gaps, err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

// SQLite keeps in a column whatever it is given.
func TestAuditFindsAUnitThatCannotBeRead(t *testing.T) {
	t.Parallel()
	db := dbtest.SQLite(t)
	log := New(db, eventlogtest.Registry(), time.Minute)
	for i := range 3 {
		if err := eventlogtest.Commit(t.Context(), log, eventlogtest.Unit(fmt.Sprint(i), map[event.Tag]int{"book:1": i})); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Write.ExecContext(t.Context(), "UPDATE log_units SET events = 'some' WHERE position = 2; INSERT INTO log_units VALUES ('x', 9, 'some', NULL, NULL); DELETE FROM log_units WHERE position = 3"); err != nil {
		t.Fatal(err)
	}
	got, _, err := Audit(t.Context(), db.Read, eventlogtest.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Key != "x" {
			got[i].Key = "unit"
		}
	}
	want := []Finding{
		{"units", "unit", "1 event", "a row that cannot be read", 2},
		{"units", "unit", "1 event", "nothing", 3},
		{"units", "x", "nothing", "a row that cannot be read", 9},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
