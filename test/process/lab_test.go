//go:build unix

package process_test

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"

	"github.com/google/go-cmp/cmp"
)

// short makes a run of the lab that says nothing about speed.
func short(args ...string) []string {
	return append([]string{"lab", "--writers", "2", "--duration", "15ms"}, args...)
}

func TestTheLabWorksBesideAServerAndLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := h.serve("--sample")
	before := slices.Sorted(maps.Keys(h.files()))
	r := h.run(short("--scopes", "1,3", "--modes", "all", "--output", "json")...)
	if diff := cmp.Diff(before, slices.Sorted(maps.Keys(h.files()))); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
	if r.exit != 0 || strings.Contains(r.err, "{") || !strings.Contains(r.err, "accession-lab-") {
		t.Fatalf("exit %d, stderr:\n%s", r.exit, r.err)
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(r.out), &rows); err != nil {
		t.Fatal(err)
	}
	// The fields, in their order, are a contract.
	fields := []string{"mode", "writers", "scopes", "accepted_per_s", "rejected_per_s", "refused_per_s", "attempts_per_accepted",
		"p50_ms", "p95_ms", "p99_ms", "batch_mean", "settled_s", "duplicates", "gaps"}
	var found []string
	for _, m := range regexp.MustCompile(`"([a-z0-9_]+)":`).FindAllStringSubmatch(strings.SplitN(r.out, "\n", 2)[0], -1) {
		found = append(found, m[1])
	}
	if diff := cmp.Diff(fields, found); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	var modes []string
	for _, row := range rows {
		modes = append(modes, fmt.Sprint(row["mode"], " ", row["scopes"]))
		if row["accepted_per_s"].(float64) <= 0 || row["duplicates"] != 0.0 || row["gaps"] != 0.0 || row["writers"] != 2.0 || row["settled_s"] != nil {
			t.Errorf("%v", row)
		}
	}
	for _, mode := range []string{"sql", "reject", "retry", "lock", "queue", "adaptive"} {
		for _, scopes := range []string{" 1", " 3"} {
			if !slices.Contains(modes, mode+scopes) {
				t.Errorf("%s%s is not in %v", mode, scopes, modes)
			}
		}
	}
	s.stop(syscall.SIGINT)
	h.verified(sampleEnd)
}

func TestTheLabMakesNoDatabase(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	page := html.UnescapeString(h.do(short("--scopes", "1,2", "--modes", "sql,queue", "--http", "--output", "html")...))
	for _, want := range []string{"<!DOCTYPE html>", "<svg ", "<table>", "queue+http", "prefers-color-scheme: dark", "</html>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s:\n%.2000s", want, page)
		}
	}
	if asks := regexp.MustCompile(`(?i)https?://|<script|<link|@import|url\(`).FindString(page); asks != "" {
		t.Errorf("the page asks for more: %s", asks)
	}
	table := h.do(short("--constraint", "edition-number", "--modes", "queue,sql", "--scopes", "2")...)
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 4 || !strings.Contains(lines[0], "× sql") ||
		!strings.HasPrefix(lines[2], " queue ") || !strings.HasPrefix(lines[3], " sql ") || !strings.Contains(lines[3], " 1.00 ") {
		t.Errorf("the table is\n%s", table)
	}
	lines := h.do(short("--constraint", "category-number", "--modes", "lock", "--scopes", "1,2", "--output", "ndjson")...)
	if strings.Count(lines, "\n") != 2 || !strings.HasPrefix(lines, `{"mode":"lock"`) {
		t.Errorf("the lines are\n%s", lines)
	}
	if left := h.files(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestALabThatIsInterruptedOrKilled(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		h := newHome(t)
		labs(h, "sqlite:accession.db", func() []string {
			names, err := filepath.Glob(h.path("accession-lab-*.db"))
			if err != nil {
				t.Fatal(err)
			}
			return names
		})
		if left := h.files(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := dbtest.PostgresURL(t)
		db, err := database.Open(t.Context(), database.Config{URL: url, ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		labs(newHome(t), url, func() (names []string) {
			if err := db.Read.NewRaw(`SELECT nspname FROM pg_namespace WHERE nspname LIKE 'accession%'`).Scan(t.Context(), &names); err != nil {
				t.Fatal(err)
			}
			return names
		})
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// labs interrupts one lab and kills another, which the next one cleans up after. there lists the places that labs work in.
func labs(h *home, url string, there func() []string) {
	start := func() *process {
		p := h.start("lab", "--modes", "lock", "--scopes", "1", "--writers", "2", "--duration", "5m", "--database", url)
		for p.running() && len(there()) == 0 { // it is another process: ask again and again
		}
		return p
	}
	p := start()
	p.signal(syscall.SIGINT)
	if r := p.wait(); r.exit != 1 || r.out != "" || !strings.HasSuffix(r.err, "accession: Interrupted.\n") {
		h.Errorf("interrupted: exit %d, stdout %q, stderr:\n%s", r.exit, r.out, r.err)
	}
	if left := there(); len(left) > 0 {
		h.Errorf("the interrupted lab left %v", left)
	}
	start().kill()
	killed := there()
	if len(killed) != 1 {
		h.Errorf("the killed lab left %v", killed)
	}
	// The server may take a moment to notice that the killed one is gone; until then its place is in use.
	for late := time.Now().Add(patience); ; {
		h.do(short("--scopes", "1", "--modes", "lock", "--database", url)...)
		if left := there(); len(left) == 0 {
			break
		} else if time.Now().After(late) || !slices.Equal(left, killed) {
			h.Fatalf("labs left %v, the killed one had left %v", left, killed)
		}
	}
}

func TestWhatTheLabCannotDo(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, c := range []struct {
		exit int
		args string
		want string
	}{
		{2, "--constraint isbn", `^accession: The lab cannot run the constraint "isbn": use one of book-number, category-number, edition-number\.$`},
		{2, "--modes lock,eventuel", `book-number cannot be kept in the mode "eventuel": use some of sql, reject, retry, lock, queue, adaptive`},
		{2, "--writers 0", `0 is not a number of writers`},
		{2, "--scopes 1,x", `--scopes is "1,x": use whole numbers, with commas\. See`},
		{2, "--duration 3", `--duration is "3": use a time such as 3s\. See`},
		{2, "--output xml", `--output is "xml": use table, json, ndjson or html\. See`},
		{2, "book-number", `accession lab takes no arguments`},
		{5, "--database sqlite:nowhere/accession.db", `The directory .*nowhere does not exist`},
		{5, "--database postgres://127.0.0.1:1/accession", `cannot be reached`},
	} {
		h.refuses(c.exit, c.want, append([]string{"lab"}, strings.Fields(c.args)...)...)
	}
	// A directory that cannot be written to.
	if err := os.Mkdir(h.path("shut"), 0o555); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		h.refuses(5, `cannot be written to`, "lab", "--database", "sqlite:shut/accession.db")
	}
}
