//go:build unix

package process_test

import (
	"encoding/json"
	"fmt"
	"testing"

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
