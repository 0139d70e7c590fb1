//go:build unix

package process_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"accession/platform/database"

	"github.com/google/go-cmp/cmp"
)

// finding is a line of `verify`.
type finding struct {
	Kind       string `json:"kind"`
	Constraint string `json:"constraint"`
	Projector  string `json:"projector"`
	Scope      string `json:"scope"`
	Key        string `json:"key"`
	Expected   string `json:"expected"`
	Found      string `json:"found"`
	Position   int    `json:"position"`
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	origin := small(t)
	s := origin.serve()
	all := origin.events()
	end := len(all)
	// When every read model has answered from the end of the log, all of it is projected.
	lib := list[library](s, "/libraries", end)[0]
	for _, c := range list[category](s, "/libraries/"+lib.ID+"/categories", end) {
		for _, b := range list[book](s, "/categories/"+c.ID+"/books", end) {
			list[edition](s, "/books/"+b.ID+"/editions", end)
		}
	}
	s.fetch("/libraries/"+lib.ID, end)
	s.stop(syscall.SIGTERM)
	origin.verified(end)
	if got := object[struct{ OK bool }](origin, "verify"); !got.OK {
		t.Error("verify --output json does not say ok")
	}
	if out := origin.do("verify", "--output", "ndjson"); out != "" {
		t.Errorf("without findings, verify --output ndjson prints %q", out)
	}

	// The last book that has a number above 1, with its edition behind it.
	i := len(all) - 1
	for ; all[i].Type != "catalogue.book_added" || all[i].Data.Number < 2; i-- {
	}
	b, e := all[i], all[i+1]
	scope, n := "category:"+b.Data.Category, b.Data.Number
	held := func(env storedEvent) string { return "held by " + env.Stream + " because of " + env.ID }
	in := func(env storedEvent) string {
		return held(env) + fmt.Sprintf(" in [category:%s library:%s]", b.Data.Category, b.Data.Library)
	}
	number := finding{Kind: "register", Constraint: "book-number", Scope: scope, Key: fmt.Sprint(n), Position: b.Position}
	where := fmt.Sprintf(` WHERE "constraint" = 'book-number' AND scope = '%s'`, scope)
	row := where + fmt.Sprintf(" AND key = '%d'", n)

	for _, c := range []struct {
		what string
		sql  []string
		want []finding // Found and Expected are compared by how they begin
	}{
		{"a row of the register is gone", []string{"DELETE FROM register_rows" + row}, []finding{with(number, held(b), "nothing")}},
		{"a row of the register has another owner", []string{"UPDATE register_rows SET owner = 'book:other'" + row}, []finding{
			with(number, held(b), "held by book:other because of "+b.ID),
		}},
		{"a row of the register has another key", []string{"UPDATE register_rows SET key = '77'" + row}, []finding{
			with(number, held(b), "nothing"),
			{Kind: "register", Constraint: "book-number", Scope: scope, Key: "77", Expected: "nothing", Found: held(b)},
		}},
		{"a row of a reference is gone", []string{`DELETE FROM register_rows WHERE "constraint" = 'book-exists' AND owner = '` + b.Stream + "'"}, []finding{
			{Kind: "register", Constraint: "book-exists", Scope: b.Stream, Key: "here", Expected: in(b), Found: "nothing", Position: b.Position},
		}},
		{"a row of the register is nobody's", []string{"INSERT INTO register_rows VALUES ('isbn', 'library:x', '9780306406157', 'edition:x', '" + e.ID + "', '')"}, []finding{
			{Kind: "register", Constraint: "isbn", Scope: "library:x", Key: "9780306406157", Expected: "nothing", Found: "held by edition:x because of " + e.ID},
		}},
		{"a guard is ahead", []string{"UPDATE register_guards SET last = last + 1" + where}, []finding{
			{Kind: "guard", Constraint: "book-number", Scope: scope, Expected: fmt.Sprint(n), Found: fmt.Sprint(n + 1), Position: b.Position},
		}},
		{"a guard is behind", []string{"UPDATE register_guards SET last = last - 1" + where}, []finding{
			{Kind: "guard", Constraint: "book-number", Scope: scope, Expected: fmt.Sprint(n), Found: fmt.Sprint(n - 1), Position: b.Position},
		}},
		{"a tag is gone", []string{fmt.Sprintf("DELETE FROM log_tags WHERE tag = '%s' AND position = %d", scope, b.Position)}, []finding{
			{Kind: "log", Scope: scope, Key: "tag", Expected: fmt.Sprint("at ", b.Position), Found: "nothing", Position: b.Position},
		}},
		{"a unit is gone", []string{fmt.Sprintf("DELETE FROM log_units WHERE position = %d", e.Position)}, []finding{
			{Kind: "log", Expected: "2 events", Found: "nothing", Position: e.Position},
		}},
		{"a checkpoint is beyond the end", []string{"UPDATE projectors SET position = position + 100 WHERE name = 'editions'"}, []finding{
			{Kind: "checkpoint", Projector: "editions", Scope: "projectors", Key: "position", Expected: fmt.Sprint("at most ", end), Found: fmt.Sprint(end + 100), Position: end},
		}},
		{"a projector is broken", []string{"UPDATE projectors SET state = 'broken', error = 'no such book' WHERE name = 'editions'"}, []finding{
			{Kind: "checkpoint", Projector: "editions", Scope: "projectors", Key: "state", Expected: "playing", Found: "broken: no such book", Position: end + 1},
		}},
		{"a guard is gone", []string{"DELETE FROM register_guards" + where}, []finding{
			{Kind: "guard", Constraint: "book-number", Scope: scope, Expected: fmt.Sprint(n), Found: "nothing", Position: b.Position},
		}},
		{"a row of a projection is gone", []string{"DELETE FROM " + origin.table("catalogue_books") + " WHERE id = '" + b.Data.Book + "'"}, []finding{
			{Kind: "projection", Projector: "catalogue-books", Scope: "catalogue_books", Key: "id=" + b.Data.Book, Expected: `{"authors":`, Found: "nothing", Position: end},
		}},
		{"a row of a projection is another", []string{"UPDATE " + origin.table("editions_editions") + " SET year = 1066 WHERE id = '" + e.Data.Edition + "'"}, []finding{
			{Kind: "projection", Projector: "editions", Scope: "editions_editions", Key: "id=" + e.Data.Edition, Expected: `{"base_id":`, Found: `{"base_id":`, Position: end},
		}},
		{"a row of a projection is nobody's", []string{"INSERT INTO " + origin.table("library_categories") + " SELECT '" + b.Data.Book + "', library_id, number + 100, name, withdrawn, version FROM " + origin.table("library_categories") + " WHERE number = 1"}, []finding{
			{Kind: "projection", Projector: "library-libraries", Scope: "library_categories", Key: "id=" + b.Data.Book, Expected: "nothing", Found: `{"id":`, Position: end},
		}},
		{"a stored event has another number", []string{fmt.Sprintf(`UPDATE log_events SET data = replace(data, '"number":%d,', '"number":%d,') WHERE position = %d`, n, n+5, b.Position)}, []finding{
			{Kind: "guard", Constraint: "book-number", Scope: scope, Expected: fmt.Sprint(n + 5), Found: fmt.Sprint(n), Position: b.Position},
			{Kind: "register", Constraint: "book-number", Scope: scope, Key: fmt.Sprint(n), Expected: "nothing", Found: held(b)},
			{Kind: "register", Constraint: "book-number", Scope: scope, Key: fmt.Sprint(n + 5), Expected: held(b), Found: "nothing", Position: b.Position},
			{Kind: "rule", Constraint: "book-number", Scope: scope, Key: fmt.Sprint(n + 5), Expected: fmt.Sprint(n), Found: fmt.Sprint(n + 5), Position: b.Position},
			{Kind: "projection", Projector: "catalogue-books", Scope: "catalogue_books", Key: "id=" + b.Data.Book, Expected: `{"authors":`, Found: `{"authors":`, Position: end},
			{Kind: "projection", Projector: "discovery-cards"}, {Kind: "projection", Projector: "discovery-cards"}, {Kind: "projection", Projector: "discovery-cards"},
			{Kind: "projection", Projector: "editions"},
		}},
		{"a stored event has the number of another", []string{fmt.Sprintf(`UPDATE log_events SET data = replace(data, '"number":%d,', '"number":%d,') WHERE position = %d`, n, n-1, b.Position)}, []finding{
			{Kind: "guard", Constraint: "book-number", Scope: scope, Expected: fmt.Sprint(n - 1), Found: fmt.Sprint(n), Position: b.Position},
			{Kind: "register", Constraint: "book-number", Scope: scope, Key: fmt.Sprint(n), Expected: "nothing", Found: held(b)},
			{Kind: "rule", Constraint: "book-number", Scope: scope, Key: fmt.Sprint(n - 1), Expected: "only book:", Found: "also " + b.Stream, Position: b.Position},
			{Kind: "projection"},
		}},
		{"the log has lost its last event", []string{fmt.Sprintf("DELETE FROM log_events WHERE position = %d", end)}, []finding{
			{Kind: "log", Scope: "log", Key: "end", Expected: fmt.Sprint(end - 1), Found: fmt.Sprint(end), Position: end},
			{Kind: "register"}, {Kind: "guard"}, {Kind: "projection"},
		}},
		{"the log has a gap", []string{
			fmt.Sprintf("DELETE FROM log_events WHERE position = %d", b.Position),
		}, []finding{
			{Kind: "log", Scope: "log", Key: "position", Expected: fmt.Sprint(b.Position), Found: fmt.Sprint(b.Position + 1), Position: b.Position + 1},
			{Kind: "register"}, {Kind: "guard"}, {Kind: "rule", Constraint: "book-exists"}, {Kind: "projection"},
		}},
		{"a stream has a gap", []string{fmt.Sprintf("UPDATE log_events SET version = 3 WHERE position = %d", e.Position)}, []finding{
			{Kind: "log", Scope: e.Stream, Key: "version", Expected: "1", Found: "3", Position: e.Position},
			{Kind: "projection"},
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.copyDatabase(origin)
			h.sql(c.sql...)
			before := h.files()
			r := h.run("verify", "--output", "ndjson")
			var got []finding
			for line := range strings.Lines(r.out) {
				for _, field := range []string{"kind", "scope", "key", "expected", "found", "position"} {
					if !strings.Contains(line, `"`+field+`":`) {
						t.Errorf("%s is not in %s", field, line)
					}
				}
				var f finding
				if err := json.Unmarshal([]byte(line), &f); err != nil {
					t.Fatal(err)
				}
				got = append(got, f)
			}
			count := fmt.Sprint(len(got), " differences")
			if len(got) == 1 {
				count = "1 difference"
			}
			want := fmt.Sprintf("accession: %s from the log, which was read to %d.\n", count, end)
			if r.exit != 1 || r.err != want {
				t.Errorf("exit %d, stderr %q; want 1, %q", r.exit, r.err, want)
			}
			for _, w := range c.want {
				if !slices.ContainsFunc(got, w.begins) {
					t.Errorf("not found: %+v", w)
				}
			}
			if exact := c.want[len(c.want)-1].Scope != ""; exact && len(got) != len(c.want) {
				t.Errorf("found %+v", got)
			}

			// The other formats say the same.
			var object struct {
				OK       bool
				Position int
				Findings []finding
			}
			if err := json.Unmarshal([]byte(h.run("verify", "--output", "json").out), &object); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, object.Findings); diff != "" || object.OK || object.Position != end {
				t.Errorf("json says %+v (-ndjson +json):\n%s", object, diff)
			}
			if table := h.run("verify", "--output", "table"); table.exit != 1 || strings.Count(table.out, "\n") != 2+len(got) {
				t.Errorf("the table is\n%s", table.out)
			}
			h.unchanged(before)
		})
	}
}

// table is the table behind the name of a projection: that has the version of its projector at the end.
func (h *home) table(name string) string {
	h.Helper()
	db := h.open()
	defer db.Close()
	query := "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ? || '_v[0-9]*'"
	if db.Dialect == database.Postgres {
		query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename SIMILAR TO ? || '_v[0-9]+'"
	}
	var table string
	if err := db.Read.QueryRowContext(h.Context(), query, name).Scan(&table); err != nil {
		h.Fatal(err)
	}
	return table
}

func with(f finding, expected, found string) finding {
	f.Expected, f.Found = expected, found
	return f
}

// begins reports whether f is as w says, as far as it says anything.
func (f finding) begins(got finding) bool {
	return got.Kind == f.Kind && (f.Position == 0 || got.Position == f.Position) &&
		(f.Scope == "" || got.Scope == f.Scope && got.Constraint == f.Constraint && got.Projector == f.Projector && got.Key == f.Key) &&
		strings.HasPrefix(got.Expected, f.Expected) && strings.HasPrefix(got.Found, f.Found)
}

// aLife is a home in which everything has happened once, and its events.
func aLife(t *testing.T, empty func(*testing.T) *home) (*home, []storedEvent) {
	t.Helper()
	h := empty(t)
	h.live()
	h.settled()
	return h, h.events()
}

// TestVerifyReadsPastWhatItCannotRead: whichever event of a life cannot be read, it is the one finding, and what follows from it
// is none.
func TestVerifyReadsPastWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for on, empty := range homes {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			h, all := aLife(t, empty)
			h.verified(len(all))
			seen := map[string]bool{}
			for _, e := range all {
				if on == "postgres" && seen[e.Type] {
					continue // the first of each: the rest is the same
				}
				seen[e.Type] = true
				for set, want := range map[string]finding{
					"data = '{bad'":               {Key: "data", Expected: "an event that can be read", Found: "decode event " + e.Type + ": invalid character 'b'"},
					"type = 'catalogue.nope'":     {Key: "type", Expected: "an event that this version of accession has", Found: "catalogue.nope in schema 1: 1 event"},
					"schema = 9":                  {Key: "type", Expected: "an event that this version of accession has", Found: e.Type + " in schema 9: 1 event"},
					"data = '{\"library_id\":7}'": {Key: "data", Expected: "an event that can be read", Found: "decode event " + e.Type + ": json: cannot unmarshal number"},
				} {
					column, _, _ := strings.Cut(set, " ")
					restore := h.set(column, set, e.Position)
					got := h.findings(len(all))
					want.Kind, want.Scope, want.Position = "log", e.Stream, e.Position
					if len(got) != 1 || !want.begins(got[0]) {
						t.Errorf("%s of %s at %d: want %+v, got %d findings:", set, e.Type, e.Position, want, len(got))
						for _, f := range got {
							t.Logf("  %+v", f)
						}
					}
					restore()
				}
			}
			if len(seen) != 12 {
				t.Errorf("there were events of %d types, want 12", len(seen))
			}
			h.verified(len(all))
		})
	}
}

// TestVerifyChecksTheRestOfALogThatItCannotReadAllOf: what has nothing to do with an event that cannot be read is found.
func TestVerifyChecksTheRestOfALogThatItCannotReadAllOf(t *testing.T) {
	t.Parallel()
	for on, empty := range homes {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			h, all := aLife(t, empty)
			var added []storedEvent
			for _, e := range all {
				if e.Type == "catalogue.book_added" {
					added = append(added, e)
				}
			}
			bad, other := added[0], added[len(added)-1]
			h.set("data", "data = '{bad'", bad.Position)
			h.change(fmt.Sprintf("DELETE FROM log_tags WHERE tag = 'category:%s' AND position = %d", other.Data.Category, other.Position),
				`DELETE FROM register_rows WHERE "constraint" = 'book-number' AND owner = '`+other.Stream+"' AND scope = 'category:"+other.Data.Category+"'",
				`UPDATE register_guards SET last = 9 WHERE "constraint" = 'book-number' AND scope = 'category:`+other.Data.Category+"'",
				fmt.Sprintf("UPDATE register_rows SET key = '77' WHERE \"constraint\" = 'category-number' AND scope = 'library:%s' AND key = '1'", other.Data.Library),
				"DELETE FROM "+h.table("catalogue_books")+" WHERE id = '"+other.Data.Book+"'",
				"UPDATE "+h.table("library_libraries")+" SET name = 'x' WHERE id = '"+other.Data.Library+"'")
			category := ""
			for _, e := range all {
				if e.Type == "library.category_created" && e.Data.Library == other.Data.Library && e.Data.Number == 1 {
					category = e.Stream
				}
			}
			got := h.findings(len(all))
			for _, w := range []finding{
				{Kind: "log", Scope: bad.Stream, Key: "data", Position: bad.Position},
				{Kind: "log", Scope: "category:" + other.Data.Category, Key: "tag", Position: other.Position},
				{Kind: "register", Constraint: "book-number", Scope: "category:" + other.Data.Category, Key: fmt.Sprint(other.Data.Number), Found: "nothing", Position: other.Position},
				{Kind: "guard", Constraint: "book-number", Scope: "category:" + other.Data.Category, Expected: "2", Found: "9"},
				{Kind: "register", Constraint: "category-number", Scope: "library:" + other.Data.Library, Key: "1", Expected: "held by " + category, Found: "nothing"},
				{Kind: "register", Constraint: "category-number", Scope: "library:" + other.Data.Library, Key: "77", Expected: "nothing", Found: "held by " + category},
				{Kind: "projection", Projector: "catalogue-books", Scope: "catalogue_books", Key: "id=" + other.Data.Book, Found: "nothing"},
				{Kind: "projection", Projector: "library-libraries", Scope: "library_libraries", Key: "id=" + other.Data.Library},
			} {
				if !slices.ContainsFunc(got, w.begins) {
					t.Errorf("not found: %+v", w)
				}
			}
			for _, f := range got {
				if f.Position == 0 {
					t.Errorf("without a position: %+v", f)
				}
			}
			if len(got) != 8 {
				t.Errorf("found %d: %+v", len(got), got)
			}
		})
	}
}

func TestVerifyFindsTablesWithoutACheckpoint(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.do("migrate", "up")
	h.verified(0) // no projector was ever started
	s := h.serve()
	create[made](s, "/libraries", map[string]string{"name": "Town"})
	s.stop(syscall.SIGTERM)
	h.settled()
	h.verified(1)
	h.change("DELETE FROM projectors WHERE name = 'catalogue-books'")
	table := h.table("catalogue_books")
	want := []finding{{
		Kind: "checkpoint", Projector: "catalogue-books", Scope: "projectors", Key: "version",
		Expected: strings.TrimPrefix(table, "catalogue_books_v") + ", for there is the table " + table,
		Found:    "nothing: the next start begins anew, with empty tables",
	}}
	if diff := cmp.Diff(want, h.findings(1)); diff != "" {
		t.Error(diff)
	}
	h.serve().stop(syscall.SIGTERM) // which begins it anew
	h.settled()
	h.verified(1)
}

func TestVerifyPrintsWordsAsText(t *testing.T) {
	t.Parallel()
	for on, empty := range homes {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			h, _ := aLife(t, empty)
			h.change("DELETE FROM " + h.table("discovery_words") + " WHERE word = " + map[string]string{"sqlite": "x'656d6d61'", "postgres": `'\x656d6d61'`}[on])
			got := h.findings(0)
			if len(got) != 1 || !strings.Contains(got[0].Expected, `"word":"emma"`) || !strings.Contains(got[0].Key, `word="emma"`) {
				t.Errorf("found %+v", got)
			}
		})
	}
}

// Whatever is damaged, each damage is a line, in no words of a driver's, and the rest is compared.
func TestVerifyNamesEachDamage(t *testing.T) {
	t.Parallel()
	origin := small(t)
	origin.settled()
	end := len(origin.events())
	origin.verified(end)
	books := origin.table("catalogue_books")
	beside := "DELETE FROM log_units WHERE position = (SELECT max(position) FROM log_units)" // which must be found, too
	also := finding{Kind: "log", Expected: "2 events", Found: "nothing", Position: end}
	schema := func(table, key, expected string) finding {
		return finding{Kind: "schema", Scope: table, Key: key, Expected: expected, Found: "nothing"}
	}
	checkpoint := func(key, expected, found string) finding {
		return finding{Kind: "checkpoint", Projector: "catalogue-books", Scope: "projectors", Key: key, Expected: expected, Found: found}
	}
	row := finding{Kind: "projection", Expected: "{", Found: "{", Position: end}
	view := finding{
		Kind: "projection", Projector: "catalogue-books", Scope: "catalogue_books", Key: "view", Expected: "one of " + books,
		Found: "another, and readers see what it shows: the next start makes it anew", Position: end,
	}
	for what, c := range map[string]struct {
		harm []string
		want []finding // Found and Expected are compared by how they begin
	}{
		"a view that shows nothing": {
			[]string{"DROP VIEW catalogue_books", "CREATE VIEW catalogue_books AS SELECT * FROM " + books + " WHERE 0"}, []finding{view},
		},
		"rows that cannot be read": {
			[]string{"UPDATE " + books + " SET authors = 'x' WHERE rowid = 1", "UPDATE " + books + " SET title = 'CHANGED' WHERE rowid = 5"}, []finding{row, row},
		},
		"numbers that are none":                  {[]string{"UPDATE " + books + " SET number = 'abc' WHERE rowid IN (1, 2, 3)"}, []finding{row, row, row}},
		"truths that are none":                   {[]string{"UPDATE " + books + " SET withdrawn = 'abc' WHERE rowid = 2"}, []finding{row}},
		"a checkpoint of no log":                 {[]string{"UPDATE projectors SET log = 'x' WHERE name = 'catalogue-books'"}, []finding{checkpoint("log", "", "x")}},
		"a checkpoint before the first":          {[]string{"UPDATE projectors SET position = -5 WHERE name = 'catalogue-books'"}, []finding{checkpoint("position", fmt.Sprint("0 to ", end), "-5: ")}},
		"a checkpoint nowhere":                   {[]string{"UPDATE projectors SET position = 'far' WHERE name = 'catalogue-books'"}, []finding{checkpoint("position", fmt.Sprint("0 to ", end), "far: ")}},
		"a checkpoint in no state":               {[]string{"UPDATE projectors SET state = 'zzz' WHERE name = 'catalogue-books'"}, []finding{checkpoint("state", "playing", "zzz")}},
		"a checkpoint of a version without rows": {[]string{"UPDATE projectors SET version = 9 WHERE name = 'catalogue-books'"}, []finding{checkpoint("version", "", "9, ")}},
		"a log without a head":                   {[]string{"DELETE FROM log_head"}, []finding{{Kind: "log", Scope: "log", Key: "end", Expected: fmt.Sprint(end), Found: "nothing that can be read", Position: end}}},
		"no table of the head": {[]string{"DROP TABLE log_head"}, []finding{
			schema("log_head", "table", "log_head"), {Kind: "log", Scope: "log", Key: "end", Expected: fmt.Sprint(end), Found: "nothing that can be read", Position: end},
		}},
		"no table of tags":         {[]string{"DROP TABLE log_tags"}, []finding{schema("log_tags", "table", "log_tags")}},
		"no table of guards":       {[]string{"DROP TABLE register_guards"}, []finding{schema("register_guards", "table", "register_guards"), {Kind: "guard", Expected: "rows that can be read", Found: "nothing that can be read"}}},
		"no table of the register": {[]string{"DROP TABLE register_rows"}, []finding{schema("register_rows", "table", "register_rows"), {Kind: "register", Expected: "rows that can be read", Found: "nothing that can be read"}}},
		"no table of checkpoints":  {[]string{"DROP TABLE projectors"}, []finding{schema("projectors", "table", "projectors")}},
		"a row of the register without a cause": {[]string{"UPDATE register_rows SET cause = 'x' WHERE \"constraint\" = 'book-number' AND key = '2' AND scope = (SELECT min(scope) FROM register_rows WHERE \"constraint\" = 'book-number' AND key = '2')"}, []finding{
			{Kind: "register", Expected: "held by book:", Found: "nothing that can be read"},
		}},
		"a guard that is no number":     {[]string{"UPDATE register_guards SET last = 'x' WHERE \"constraint\" = 'category-number'"}, []finding{{Kind: "guard", Found: "nothing that can be read"}}},
		"a unit of no number of events": {[]string{"UPDATE log_units SET events = 'x' WHERE position = (SELECT min(position) FROM log_units)"}, []finding{{Kind: "log", Found: "a row that cannot be read"}}},
		"unique indexes": {[]string{"DROP INDEX log_events_stream_version", "DROP INDEX register_rows_held"}, []finding{
			schema("log_events", "log_events_stream_version", "CREATE UNIQUE INDEX log_events_stream_version ON log_events (stream, version)"),
			schema("register_rows", "register_rows_held", `CREATE UNIQUE INDEX register_rows_held ON register_rows (owner, "constraint", cause)`),
		}},
		"no table of events": {[]string{"DROP TABLE log_events"}, []finding{schema("log_events", "table", "log_events")}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.copyDatabase(origin)
			h.harm(c.harm...)
			want := c.want
			if what != "no table of events" {
				h.harm(beside)
				want = append(want, also)
			}
			got := h.findings(0)
			for _, w := range want {
				if !slices.ContainsFunc(got, w.begins) {
					t.Errorf("not found: %+v", w)
				}
			}
			if what != "a guard that is no number" && len(got) != len(want) {
				t.Errorf("found %+v", got)
			}
			for _, f := range got {
				if line := fmt.Sprint(f); strings.Contains(line, "SQL") && f.Kind != "schema" || strings.Contains(line, "Scan") || strings.Contains(line, "converting") {
					t.Errorf("%s is a driver's", line)
				}
			}
			var object struct {
				OK       bool
				Findings []finding
			}
			if err := json.Unmarshal([]byte(h.run("verify", "--output", "json").out), &object); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, object.Findings); diff != "" || object.OK {
				t.Errorf("json says %+v (-ndjson +json):\n%s", object, diff)
			}
		})
	}
}

// On each database several damages at once are told at once; and what a start mends is mended by one.
func TestVerifyNamesAllDamagesAtOnce(t *testing.T) {
	t.Parallel()
	for on, empty := range homes {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			h, all := aLife(t, empty)
			books := h.table("catalogue_books")
			h.harm(
				"DROP VIEW catalogue_books", "CREATE VIEW catalogue_books AS SELECT * FROM (SELECT * FROM "+books+" WHERE false) AS x",
				"UPDATE projectors SET version = 9 WHERE name = 'library-libraries'", "UPDATE projectors SET state = 'zzz' WHERE name = 'editions'",
			)
			want := []finding{
				{
					Kind: "projection", Projector: "catalogue-books", Scope: "catalogue_books", Key: "view", Expected: "one of " + books,
					Found: "another, and readers see what it shows: the next start makes it anew", Position: len(all),
				},
				{Kind: "checkpoint", Projector: "editions", Scope: "projectors", Key: "state", Expected: "playing", Found: "zzz", Position: len(all)},
				{
					Kind: "checkpoint", Projector: "library-libraries", Scope: "projectors", Key: "version",
					Expected: strings.TrimPrefix(h.table("library_libraries"), "library_libraries_v") + ", for there is the table ",
					Found:    "9, of which there are no tables: the next start begins anew, with empty tables",
				},
			}
			check := func(want []finding) {
				t.Helper()
				got := h.findings(len(all))
				for _, w := range want {
					if !slices.ContainsFunc(got, w.begins) {
						t.Errorf("not found: %+v", w)
					}
				}
				if len(got) != len(want) {
					t.Errorf("found %+v", got)
				}
			}
			check(want)
			h.harm("UPDATE projectors SET state = 'playing'")
			h.settled()
			h.verified(len(all))

			h.harm("DROP TABLE log_tags", "DROP TABLE register_guards", "DROP INDEX log_events_stream_version", "DELETE FROM log_head",
				"UPDATE projectors SET position = -5 WHERE name = 'editions'")
			check([]finding{
				{Kind: "schema", Scope: "log_events", Key: "log_events_stream_version", Expected: "CREATE UNIQUE INDEX log_events_stream_version ON ", Found: "nothing: make it"},
				{Kind: "schema", Scope: "log_tags", Key: "table", Expected: "log_tags", Found: "nothing: restore it from a backup"},
				{Kind: "schema", Scope: "register_guards", Key: "table", Expected: "register_guards", Found: "nothing: restore it from a backup"},
				{Kind: "guard", Expected: "rows that can be read", Found: "nothing that can be read"},
				{Kind: "log", Scope: "log", Key: "end", Expected: fmt.Sprint(len(all)), Found: "nothing that can be read", Position: len(all)},
				{Kind: "checkpoint", Projector: "editions", Scope: "projectors", Key: "position", Expected: fmt.Sprint("0 to ", len(all)), Found: "-5: "},
			})
		})
	}
}

// An event that is lost leaves others that cannot be played without it; each read model is compared all the same.
func TestVerifyComparesReadModelsThatCannotBePlayed(t *testing.T) {
	t.Parallel()
	for on, empty := range homes {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			h, all := aLife(t, empty)
			at := slices.IndexFunc(all, func(e storedEvent) bool { return e.Type == "catalogue.book_added" })
			later := slices.IndexFunc(all, func(e storedEvent) bool { return e.Type == "catalogue.book_corrected" && e.Stream == all[at].Stream })
			if later < 0 {
				t.Fatal("the first book of the life was not corrected")
			}
			h.harm(fmt.Sprintf("DELETE FROM log_events WHERE position = %d", all[at].Position), "DELETE FROM "+h.table("library_libraries"))
			got := h.findings(len(all))
			for _, w := range []finding{
				{Kind: "log", Scope: "log", Key: "position", Expected: fmt.Sprint(at + 1), Found: fmt.Sprint(at + 2), Position: at + 2},
				{
					Kind: "projection", Projector: "catalogue-books", Scope: "log_events", Key: all[at].Stream, Expected: "catalogue.book_",
					Found: "it cannot be played: what comes before it in the log is not all there.",
				},
				{Kind: "projection", Projector: "library-libraries", Scope: "library_libraries", Key: "id=" + all[at].Data.Library, Expected: "{", Found: "nothing", Position: len(all)},
			} {
				if !slices.ContainsFunc(got, w.begins) {
					t.Errorf("not found: %+v, but %+v", w, got)
				}
			}
		})
	}
}

// settled lets every read model come to the end of the log.
func (h *home) settled() {
	h.Helper()
	end := len(h.events())
	s := h.serve()
	for _, lib := range list[library](s, "/libraries", end) {
		s.fetch("/libraries/"+lib.ID, end) // which is a card, too
		for _, c := range list[category](s, "/libraries/"+lib.ID+"/categories", end) {
			for _, b := range list[book](s, "/categories/"+c.ID+"/books", end) {
				list[edition](s, "/books/"+b.ID+"/editions", end)
			}
		}
	}
	s.stop(syscall.SIGTERM)
}

// findings runs verify, which must find something and read to the position, if that is not 0.
func (h *home) findings(end int) (all []finding) {
	h.Helper()
	r := h.run("verify", "--output", "ndjson")
	for line := range strings.Lines(r.out) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			h.Fatal(err)
		}
		all = append(all, f)
	}
	if r.exit != 1 || end > 0 && !strings.HasSuffix(r.err, fmt.Sprintf("from the log, which was read to %d.\n", end)) {
		h.Errorf("verify: exit %d, stderr %q", r.exit, r.err)
	}
	return all
}

// open opens the home's database.
func (h *home) open() *database.DB {
	h.Helper()
	url := "sqlite:" + h.path("accession.db")
	for _, v := range h.env {
		if name, value, _ := strings.Cut(v, "="); name == "ACCESSION_DATABASE_URL" {
			url = value
		}
	}
	db, err := database.Open(h.Context(), database.Config{URL: url})
	if err != nil {
		h.Fatal(err)
	}
	return db
}

// change runs statements, each of which must change one row.
func (h *home) change(statements ...string) {
	h.Helper()
	db := h.open()
	defer db.Close()
	for _, s := range statements {
		if r, err := db.Write.ExecContext(h.Context(), s); err != nil {
			h.Errorf("%s: %v", s, err)
		} else if n, err := r.RowsAffected(); err != nil || n != 1 {
			h.Errorf("%s: %d rows, want 1 %v", s, n, err)
		}
	}
}

// harm runs statements, whatever they do.
func (h *home) harm(statements ...string) {
	h.Helper()
	db := h.open()
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Write.ExecContext(h.Context(), s); err != nil {
			h.Errorf("%s: %v", s, err)
		}
	}
}

// set changes a column of a stored event, until restore.
func (h *home) set(column, set string, position int) (restore func()) {
	h.Helper()
	db := h.open()
	defer db.Close()
	var was any
	where := fmt.Sprintf(" WHERE position = %d", position)
	if err := db.Read.QueryRowContext(h.Context(), "SELECT "+column+" FROM log_events"+where).Scan(&was); err != nil {
		h.Fatal(err)
	}
	if b, ok := was.([]byte); ok {
		was = string(b)
	}
	if _, err := db.Write.ExecContext(h.Context(), "UPDATE log_events SET "+set+where); err != nil {
		h.Fatal(err)
	}
	return func() {
		h.Helper()
		db := h.open()
		defer db.Close()
		if _, err := db.Write.ExecContext(h.Context(), "UPDATE log_events SET "+column+" = ?"+where, was); err != nil {
			h.Fatal(err)
		}
	}
}
