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
	db, err := database.Open(h.Context(), database.Config{URL: "sqlite:" + h.path("accession.db"), ReadOnly: true})
	if err != nil {
		h.Fatal(err)
	}
	defer db.Close()
	var table string
	if err := db.Read.QueryRowContext(h.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ? || '_v[0-9]*'", name).Scan(&table); err != nil {
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

func TestVerifySaysWhenItCannotReadEverything(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.serve().stop(syscall.SIGINT)
	h.sql("UPDATE log_events SET data = '{' WHERE position = 5")
	h.refuses(1, "Not everything could be checked: something in the database cannot be read.$", "verify")
}
