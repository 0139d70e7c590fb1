package sqldb

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/eventlogtest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestAuditFindsWhatDoesNotAgree(t *testing.T) {
	t.Parallel()
	const tag, other = "book:1", "book:2"
	first, second, third := uuid.New(), uuid.New(), uuid.New()
	for what, c := range map[string]struct {
		sql  string
		want []Finding
	}{
		"nothing is wrong":              {"SELECT 1", nil},
		"a tag is lost":                 {"DELETE FROM log_tags WHERE position = 2", []Finding{{"shelf:all", "tag", "at 2", "nothing", 2}}},
		"a tag is another":              {"UPDATE log_tags SET tag = 'book:9' WHERE position = 3", []Finding{{"book:9", "tag", "nothing", "at 3", 3}, {"shelf:all", "tag", "at 3", "nothing", 3}}},
		"a tag is the stream again":     {"INSERT INTO log_tags VALUES ('book:1', 2)", []Finding{{tag, "tag", "nothing", "at 2", 2}}},
		"a tag is no event's":           {"INSERT INTO log_tags VALUES ('book:9', 7)", []Finding{{"book:9", "tag", "nothing", "at 7", 7}}},
		"a unit is lost":                {"DELETE FROM log_units WHERE position = 2", []Finding{{"units", first.String(), "2 events", "nothing", 2}}},
		"a unit has another end":        {"UPDATE log_units SET position = 1 WHERE position = 2", []Finding{{"units", first.String(), "nothing", "2 events", 1}, {"units", first.String(), "2 events", "nothing", 2}}},
		"a unit has lost an event":      {"UPDATE log_units SET events = 3 WHERE position = 2", []Finding{{"units", first.String(), "2 events", "3 events", 2}}},
		"a unit is behind the end":      {"INSERT INTO log_units VALUES ('x', 9, 1, NULL, NULL)", []Finding{{"units", "x", "nothing", "1 event", 9}}},
		"a second key is fine":          {"INSERT INTO log_units VALUES ('x', 2, 2, NULL, NULL)", nil},
		"a second key is another's":     {"INSERT INTO log_units VALUES ('x', 2, 1, NULL, NULL)", []Finding{{"units", first.String(), "2 events", "1 event", 2}}},
		"a unit without events is fine": {"INSERT INTO log_units VALUES ('x', 4, 0, NULL, NULL)", nil},
		"the end is too far":            {"UPDATE log_head SET position = 9", []Finding{{"log", "end", "4", "9", 9}}},
		"a version is skipped":          {"UPDATE log_events SET version = 7 WHERE position = 4", []Finding{{tag, "version", "3", "7", 4}}},
		"the last event is lost": {"DELETE FROM log_events WHERE position = 4", []Finding{
			{"shelf:all", "tag", "nothing", "at 4", 4}, {"units", third.String(), "nothing", "1 event", 4}, {"log", "end", "3", "4", 4},
		}},
		"an event of an older schema has tags of its own": {"UPDATE log_events SET schema = 0 WHERE position = 3; UPDATE log_tags SET tag = 'book:9' WHERE position = 3", nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, db *database.DB) {
				log := New(db, eventlogtest.Registry(), time.Second)
				for _, u := range []eventlog.Unit{
					unit(first, eventlogtest.Envelope(first, tag, 1, "a"), eventlogtest.Envelope(first, tag, 2, "b")),
					unit(second, eventlogtest.Envelope(second, other, 1, "c")),
					unit(third, eventlogtest.Envelope(third, tag, 3, "d")),
				} {
					tx, err := log.Begin(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if err := tx.Commit(t.Context(), u); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := db.Write.ExecContext(t.Context(), c.sql); err != nil {
					t.Fatal(err)
				}
				got, err := Audit(t.Context(), db.Read, eventlogtest.Registry())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				// However little is compared at a time.
				small := auditor{db: db.Read, span: 1, versions: map[event.Tag]int{}}
				if err := small.read(t.Context(), log.Reader); err != nil {
					t.Fatal(err)
				}
				want := slices.DeleteFunc(slices.Clone(c.want), func(f Finding) bool { return f.Key == "end" }) // that is not looked at there
				if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(small.findings)); diff != "" {
					t.Errorf("one unit at a time (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func unit(id uuid.UUID, events ...event.Envelope) eventlog.Unit {
	return eventlog.Unit{ID: id, Key: id.String(), Events: events}
}
