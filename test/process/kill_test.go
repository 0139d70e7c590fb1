//go:build unix

package process_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
)

// TestAnImportThatIsKilledTwentyTimes kills an import of the whole catalogue at every stage of its life: while it makes the
// database, opens the library, creates the categories, and fills them. A follower watches the log all the time.
func TestAnImportThatIsKilledTwentyTimes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.wholeFeed()
	importing := func() *process {
		return h.start("import", "pg_catalog.csv", "--workers", "8", "--report", "report.jsonl")
	}

	kills := 0
	for _, position := range []int{-1, 0, 1, 2} { // the first as soon as it is started
		p := importing()
		p.await(position)
		p.kill()
		kills++
	}
	tail := h.start("events", "tail", "--follow", "--after", "0", "--output", "ndjson")
	seen := 0
	reaches := func(position int) func(string) bool {
		return func(line string) bool {
			var e storedEvent
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Position != seen+1 {
				t.Errorf("after position %d the follower reads %q %v", seen, line, err)
			}
			seen = e.Position
			return e.Position >= position
		}
	}
	// The follower may be late on a busy machine: the last leaves a lot to import.
	for _, position := range []int{50, 100, 200, 300, 440, 445, 600, 800, 1000, 1500, 2000, 3000, 5000, 7000, 8500, 10000} {
		p := importing()
		tail.line(reaches(position))
		if !p.running() {
			t.Errorf("an import ended before it was killed at position %d", seen)
		}
		p.kill()
		kills++
	}
	if kills != 20 {
		t.Errorf("killed %d times", kills)
	}
	at := h.position("accession.db")
	if at >= wholeEnd {
		t.Errorf("nothing is left to import at position %d", at)
	}
	r := object[report](h, "import", "pg_catalog.csv", "--workers", "8")
	if got := r.Editions.Created + r.Editions.Present; got != wholeEditions || r.Editions.Present == 0 || r.Editions.Created == 0 || r.Refusals() != 0 {
		t.Errorf("the last import did %+v", r)
	}
	if r.Categories.Present != wholeCategories || r.Books.Created+r.Books.Present != wholeBooks {
		t.Errorf("the last import did %+v", r)
	}
	tail.line(reaches(wholeEnd))
	tail.signal(syscall.SIGINT)
	if r := tail.wait(); r.exit != 0 || r.err != "" {
		t.Errorf("the follower: exit %d\n%s", r.exit, r.err)
	}
	h.verified(wholeEnd)
	_, want := undisturbed(t)
	same(t, want, h.references())
}

func TestAnImportThatIsInterruptedGoesOn(t *testing.T) {
	t.Parallel()
	fresh := newHome(t)
	fresh.partOfFeed(900)
	whole := object[report](fresh, "import", "part.csv", "--dry-run")
	fresh.do("import", "part.csv")
	end := fresh.position("accession.db")
	h := inTime(t, func(h *home) bool {
		h.partOfFeed(900)
		for _, with := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			at := h.position("accession.db")
			p := h.start("import", "part.csv", "--report", "r.jsonl")
			p.await(at + 200)
			p.signal(with)
			r := p.wait()
			if at = h.position("accession.db"); at >= end {
				return false
			}
			interrupted(h, with, r)
			h.verified(at)
		}
		return true
	})
	r := object[report](h, "import", "part.csv")
	if r.Editions.Created+r.Editions.Present != whole.Editions.Created || r.Editions.Present == 0 || r.Editions.Created == 0 {
		t.Errorf("the last import did %+v, there are %+v", r, whole.Editions)
	}
	same(t, fresh.references(), h.references())
}

// interrupted checks what an import of part.csv says that a signal has ended, and its report.
func interrupted(h *home, with syscall.Signal, r result) {
	h.Helper()
	if r.exit != 1 || r.out != "" || !strings.HasPrefix(r.err, "accession: Interrupted. The import had come to ") ||
		!strings.HasSuffix(r.err, " editions: run `accession import` again, and it goes on from there.\n") || strings.Count(r.err, "\n") != 1 {
		h.Errorf("after %v: exit %d, stdout %q, stderr:\n%s", with, r.exit, r.out, r.err)
	}
	if lines := strings.Count(h.read("r.jsonl"), "\n"); lines == 0 || lines >= 900 {
		h.Errorf("the report of what was done until %v has %d lines", with, lines)
	}
}
