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
	"accession/platform/database/dbtest"
)

// TestImportIntoPostgresThatIsKilled imports the whole catalogue into PostgreSQL, killed three times on the way: the counts are
// those of every other import, and the log and everything beside it agree.
func TestImportIntoPostgresThatIsKilled(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	h := newHome(t)
	h.wholeFeed()
	h.do("migrate", "up", "--database", url)
	tail := h.start("events", "tail", "--follow", "--after", "0", "--output", "ndjson", "--database", url)
	seen := 0
	for _, position := range []int{1, 600, 6000} {
		p := h.start("import", "pg_catalog.csv", "--workers", "8", "--database", url)
		tail.line(func(line string) bool {
			var e storedEvent
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Position != seen+1 {
				t.Errorf("after position %d the follower reads %q %v", seen, line, err)
			}
			seen = e.Position
			return e.Position >= position
		})
		p.kill()
	}
	tail.kill()
	r := object[report](h, "import", "pg_catalog.csv", "--workers", "8", "--database", url)
	if r.Refusals() != 0 || r.Categories.Created+r.Categories.Present != wholeCategories ||
		r.Books.Created+r.Books.Present != wholeBooks || r.Editions.Created+r.Editions.Present != wholeEditions || r.Editions.Present == 0 {
		t.Errorf("the last import did %+v", r)
	}
	if got, want := h.do("verify", "--database", url), fmt.Sprintf("ok at %d\n", wholeEnd); got != want {
		t.Errorf("verify says %q, want %q", got, want)
	}
}

func TestVerifyFindsWhatIsWrongOnPostgres(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	h := newHome(t)
	h.partOfFeed(40)
	h.do("import", "part.csv", "--database", url)
	h.serve("--database", url).stop(syscall.SIGTERM) // which makes the read models
	if r := h.run("verify", "--database", url); r.exit != 0 {
		t.Fatalf("before, verify says %s%s", r.out, r.err)
	}
	db, err := database.Open(t.Context(), database.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var at, unit, end int
	var tag string
	if err := db.Read.QueryRowContext(t.Context(), "SELECT e.position, (SELECT min(tag) FROM log_tags WHERE position = e.position), (SELECT max(position) FROM log_units WHERE events = 2), h.position FROM log_events AS e, log_head AS h WHERE e.type = 'catalogue.book_added' ORDER BY e.position LIMIT 1").Scan(&at, &tag, &unit, &end); err != nil {
		t.Fatal(err)
	}
	for _, harm := range []string{
		fmt.Sprintf("DELETE FROM log_tags WHERE tag = '%s' AND position = %d", tag, at),
		fmt.Sprintf("DELETE FROM log_units WHERE position = %d", unit),
		`UPDATE register_guards SET last = last - 1 WHERE "constraint" = 'category-number'`,
		"UPDATE projectors SET position = 9999 WHERE name = 'catalogue-books'",
		"UPDATE projectors SET state = 'broken', error = 'no such book' WHERE name = 'editions'",
	} {
		if r, err := db.Write.ExecContext(t.Context(), harm); err != nil {
			t.Fatal(err)
		} else if n, err := r.RowsAffected(); err != nil || n != 1 {
			t.Fatalf("%s: %d rows, want 1 %v", harm, n, err)
		}
	}
	r := h.run("verify", "--database", url, "--output", "ndjson")
	if r.exit != 1 {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
	var got []finding
	for line := range strings.Lines(r.out) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		got = append(got, f)
	}
	for _, w := range []finding{
		{Kind: "log", Scope: tag, Key: "tag", Expected: fmt.Sprint("at ", at), Found: "nothing", Position: at},
		{Kind: "log", Expected: "2 events", Found: "nothing", Position: unit},
		{Kind: "guard", Constraint: "category-number"},
		{Kind: "checkpoint", Projector: "catalogue-books", Scope: "projectors", Key: "position", Expected: fmt.Sprint("at most ", end), Found: "9999", Position: end},
		{Kind: "checkpoint", Projector: "editions", Scope: "projectors", Key: "state", Expected: "playing", Found: "broken: no such book"},
	} {
		if !slices.ContainsFunc(got, w.begins) {
			t.Errorf("not found: %+v", w)
		}
	}
	if t.Failed() {
		t.Log(r.out)
	}
}
