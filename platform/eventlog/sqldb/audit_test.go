package sqldb

import (
	"fmt"
	"slices"
	"strings"
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
		"an event cannot be decoded": {"UPDATE log_events SET data = '{bad' WHERE position = 2", []Finding{
			{tag, "data", "an event that can be read", "decode event test.noted: invalid character 'b' looking for beginning of object key string", 2},
		}},
		"an event says something else than its type": {`UPDATE log_events SET data = '{"text":7}' WHERE position = 1`, []Finding{
			{tag, "data", "an event that can be read", "decode event test.noted: json: cannot unmarshal number into Go struct field Noted.text of type string", 1},
		}},
		"an event that cannot be decoded is no reason not to look at the others": {
			"UPDATE log_events SET data = '{bad' WHERE position = 2; UPDATE log_events SET version = 7 WHERE position = 4; DELETE FROM log_tags WHERE position = 4", []Finding{
				{tag, "data", "an event that can be read", "decode event test.noted: invalid character 'b' looking for beginning of object key string", 2},
				{tag, "version", "3", "7", 4},
				{"shelf:all", "tag", "at 4", "nothing", 4},
			},
		},
		"an event is of a type that nobody knows": {"UPDATE log_events SET type = 'test.nope' WHERE position = 3", []Finding{
			{other, "type", "an event that this version of accession has", "test.nope in schema 1: 1 event", 3},
		}},
		"some are of a schema of the future": {"UPDATE log_events SET schema = 9 WHERE position IN (1, 3, 4); UPDATE log_events SET type = 'test.nope' WHERE position = 2", []Finding{
			{tag, "type", "an event that this version of accession has", "test.noted in schema 9: 3 events", 1},
			{tag, "type", "an event that this version of accession has", "test.nope in schema 1: 1 event", 2},
		}},
		"an event of an older schema has tags of its own": {"UPDATE log_events SET schema = 0 WHERE position = 3; UPDATE log_tags SET tag = 'book:9' WHERE position = 3", nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, db *database.DB) {
				log := New(db, eventlogtest.Registry(), time.Minute)
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
				got, _, err := Audit(t.Context(), db.Read, eventlogtest.Registry())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				// However little is compared at a time.
				small := newAuditor(db.Read, 1)
				if err := small.read(t.Context(), log.Reader); err != nil {
					t.Fatal(err)
				}
				slices.SortStableFunc(small.findings, func(a, b Finding) int { return int(a.Position - b.Position) })
				want := slices.DeleteFunc(slices.Clone(c.want), func(f Finding) bool { return f.Key == "end" }) // that is not looked at there
				if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(small.findings)); diff != "" {
					t.Errorf("one unit at a time (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAuditGivesTheEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		log := New(db, eventlogtest.Registry(), time.Minute)
		for i := range 4 {
			if err := eventlogtest.Commit(t.Context(), log, eventlogtest.Unit(fmt.Sprint(i), map[event.Tag]int{"book:1": i})); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.Write.ExecContext(t.Context(), "UPDATE log_events SET data = '{bad' WHERE position = 2; UPDATE log_events SET type = 'test.nope' WHERE position = 3"); err != nil {
			t.Fatal(err)
		}
		_, gaps, err := Audit(t.Context(), db.Read, eventlogtest.Registry())
		if len(gaps) != 2 || err != nil {
			t.Fatalf("it gives %+v, %v", gaps, err)
		}
		for i, g := range gaps {
			if g.Position != event.Position(i+2) || g.Stream != "book:1" || (g.Err != nil) != (i == 0) || !slices.Equal(g.Tags, []event.Tag{"book:1", "shelf:all"}) {
				t.Errorf("gap %d is %+v", i, g)
			}
		}
		got, err := eventlog.Collect(eventlog.PastGaps(log, gaps).Read(t.Context(), eventlog.Query{}))
		if len(got) != 4 || err != nil {
			t.Errorf("around them %d events are read, %v", len(got), err)
		}
	})
}

// SQLite keeps in a column whatever it is given.
func TestAuditFindsRowsThatAreDamaged(t *testing.T) {
	t.Parallel()
	for column, want := range map[string][]Finding{
		"recorded_at": {{"book:1", "data", "an event that can be read", "its recorded_at cannot be read", 2}},
		"id":          {{"book:1", "data", "an event that can be read", "its id cannot be read", 2}},
		"schema":      {{"book:1", "data", "an event that can be read", "its schema cannot be read", 2}},
		"version": {
			{"book:1", "version", "2", "0", 2}, {"book:1", "data", "an event that can be read", "its version cannot be read", 2},
			{"book:1", "version", "1", "3", 3},
		},
	} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			db := dbtest.SQLite(t)
			log := New(db, eventlogtest.Registry(), time.Minute)
			for i := range 3 {
				if err := eventlogtest.Commit(t.Context(), log, eventlogtest.Unit(fmt.Sprint(i), map[event.Tag]int{"book:1": i})); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.Write.ExecContext(t.Context(), "UPDATE log_events SET "+column+" = 'yesterday' WHERE position = 2"); err != nil {
				t.Fatal(err)
			}
			got, gaps, err := Audit(t.Context(), db.Read, eventlogtest.Registry())
			if len(gaps) != 1 || gaps[0].Position != 2 || err != nil {
				t.Errorf("gaps %+v, %v", gaps, err)
			}
			for i := range min(len(got), len(want)) {
				if strings.HasPrefix(got[i].Found, want[i].Found) {
					got[i].Found = want[i].Found
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func unit(id uuid.UUID, events ...event.Envelope) eventlog.Unit {
	return eventlog.Unit{ID: id, Key: id.String(), Events: events}
}
