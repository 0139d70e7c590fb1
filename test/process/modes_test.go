//go:build unix

package process_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"accession/platform/database/dbtest"
)

// constraint is one as `constraints list` has it.
type constraint struct {
	Name, Mode, Configured string
	Live                   *struct{ Mode, By, Reason string }
	LastFiveMinutes        struct{ Attempts int } `json:"last_five_minutes"`
}

// change is what `constraints mode` prints.
type change struct {
	Constraint, From, To string
	Changed              bool
	Position             int
}

// constraint is the one with the name, as the command line sees it.
func (h *home) constraint(name string, args ...string) constraint {
	h.Helper()
	for _, c := range object[[]constraint](h, append([]string{"constraints", "list"}, args...)...) {
		if c.Name == name {
			return c
		}
	}
	h.Fatalf("there is no constraint %s", name)
	return constraint{}
}

// until asks the server to do something until its metrics have the line, which they must within two seconds of began.
func (s *server) until(began time.Time, line string, do func()) {
	s.home.Helper()
	for {
		do()
		if strings.Contains(string(s.fetch("/metrics", 0)), line) {
			break
		}
		if time.Since(began) > patience {
			s.home.Fatalf("%s does not come to %s", s, line)
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		s.home.Logf("%s came to %s after %v", s, line, took) // a busy machine is no mistake
	}
}

// addBook adds a book to the first category of the first library, which are among the first four events of an import.
func (s *server) addBook() {
	s.home.Helper()
	lib := get[page[library]](s, "/libraries", 4).Items[0]
	cat := get[page[category]](s, "/libraries/"+lib.ID+"/categories?limit=1", 4).Items[0]
	answer, err := http.Post(s.url+"/api/v1/categories/"+cat.ID+"/books", "application/json", strings.NewReader(`{"title": "Emma"}`))
	if err != nil {
		s.home.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusCreated {
		s.home.Fatalf("add a book: %s %v\n%s", answer.Status, err, body)
	}
}

const (
	retried = `accession_constraint_attempts_total{constraint="book-number",mode="retry",outcome="accepted"}`
	locked  = `accession_constraint_attempts_total{constraint="book-number",mode="lock",outcome="accepted"}`
)

// TestAModeIsChangedInEveryServer: on PostgreSQL the command line writes by itself, and every server follows.
func TestAModeIsChangedInEveryServer(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	h := newHome(t)
	h.env = append(h.env, "ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER=lock")
	h.partOfFeed(3)
	h.do("import", "part.csv", "--database", url)
	servers := []*server{h.serve("--database", url), h.serve("--database", url)}
	changed := object[change](h, "constraints", "mode", "book-number", "retry", "--reason", "a quiet day", "--database", url)
	began := time.Now()
	if changed != (change{"book-number", "default", "retry", true, changed.Position}) || changed.Position == 0 {
		t.Errorf("changed %+v", changed)
	}
	for _, s := range servers {
		s.until(began, retried, s.addBook)
	}
	again := object[change](h, "constraints", "mode", "book-number", "retry", "--reason", "again", "--database", url)
	if again != (change{"book-number", "retry", "retry", false, 0}) {
		t.Errorf("the same again: %+v", again)
	}
	for _, s := range servers {
		s.stop(syscall.SIGTERM) // the last figures are written then
	}
	c := h.constraint("book-number", "--database", url)
	if c.Mode != "retry" || c.Configured != "lock" || c.Live == nil || c.Live.Reason != "a quiet day" || !strings.HasPrefix(c.Live.By, "cli:") {
		t.Errorf("listed as %+v", c)
	}
	if c.LastFiveMinutes.Attempts < 5 { // three of the import, one of each server
		t.Errorf("%d attempts were seen, want those of all processes", c.LastFiveMinutes.Attempts)
	}
	tables := h.do("constraints", "list", "--database", url)
	for _, want := range []string{
		`(?m)^ book-number +retry \(live\) +category +sequence +reject, retry, lock, queue, adaptive +0\.0 %$`,
		`(?m)^ book-number +accepted \d+\.\d\d +accepted \d+\.\d\d`,
		`(?m)^ category-exists +category:[0-9a-f-]{36} +\d+ +0$`,
		`(?m)^In the lane: waiting 0, at most \d+ in the last five minutes; batches [1-9]\d*, commands in a batch \d+\.\d in the mean\.$`,
	} {
		if !regexp.MustCompile(want).MatchString(tables) {
			t.Errorf("the tables have no %s:\n%s", want, tables)
		}
	}
	restarted := h.serve("--database", url)
	restarted.addBook() // its first command
	if m := string(restarted.fetch("/metrics", 0)); !strings.Contains(m, retried) || strings.Contains(m, locked) {
		t.Error("the first command after a restart was not kept in the live mode")
	}
	object[change](h, "constraints", "mode", "book-number", "default", "--reason", "it is over", "--database", url)
	restarted.until(time.Now(), locked, restarted.addBook)
	if out := h.do("verify", "--database", url); !strings.HasPrefix(out, "ok at ") {
		t.Errorf("verify says %s", out)
	}
}

// A mode may be set before there is a catalogue; the sample still comes into what is empty otherwise.
func TestAModeIsChangedBeforeTheSample(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.do("migrate", "up")
	object[change](h, "constraints", "mode", "book-number", "retry", "--reason", "r")
	h.serve("--sample").stop(syscall.SIGTERM)
	h.verified(sampleEnd + 1)
	if c := h.constraint("book-number"); c.LastFiveMinutes.Attempts == 0 {
		t.Errorf("listed as %+v", c)
	}
}

// TestAModeIsChangedBesideAServer: a SQLite file has one process that writes, so the command line asks it.
func TestAModeIsChangedBesideAServer(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.env = append(h.env, "ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER=lock")
	set := func(mode string) change {
		h.Helper()
		return object[change](h, "constraints", "mode", "book-number", mode, "--reason", "r")
	}
	h.refuses(5, "There is no database at ", "constraints", "mode", "book-number", "retry", "--reason", "r")
	h.partOfFeed(3)
	h.do("import", "part.csv")
	if got := set("reject"); got.From != "default" || !got.Changed {
		t.Errorf("without a server: %+v", got)
	}
	s := h.serve()
	if got := set("retry"); got.From != "reject" || !got.Changed || got.Position == 0 {
		t.Errorf("beside a server: %+v", got)
	}
	s.addBook()
	if m := string(s.fetch("/metrics", 0)); !strings.Contains(m, retried+" 1\n") {
		t.Error("the mode was not in force when the command line had its answer")
	}
	if got := set("retry"); got.Changed {
		t.Errorf("the same again: %+v", got)
	}
	if c := h.constraint("book-number"); c.Mode != "retry" || !strings.HasPrefix(c.Live.By, "cli:") {
		t.Errorf("listed as %+v", c)
	}
	s.stop(syscall.SIGINT)
	for want, args := range map[int]string{
		2: "constraints mode book-number",
		3: "constraints mode book-numbers retry --reason r",
	} {
		if r := h.run(strings.Fields(args)...); r.exit != want {
			t.Errorf("%s: exit %d, want %d\n%s", args, r.exit, want, r.err)
		}
	}
	h.says(2, "use one of reject, retry, lock, ", "constraints", "mode", "book-number", "sometimes", "--reason", "r")
	h.says(2, "needs --reason", "constraints", "mode", "book-number", "retry")
	if out := h.do("verify"); !strings.HasPrefix(out, "ok at ") {
		t.Errorf("verify says %s", out)
	}
	if n := strings.Count(h.do("export"), "\n"); n == 0 || strings.Contains(h.do("export"), "constraint") {
		t.Error(fmt.Sprint("the export has ", n, " lines"))
	}
}
