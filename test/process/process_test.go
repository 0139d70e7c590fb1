//go:build unix

// Package process_test runs the real binary as real processes, as a user does: what it prints and where, how it exits, and
// what is left when it is stopped, interrupted or killed at any moment.
//
// TestMain builds the binary once. Every test has a directory of its own, and an environment in which nothing of accession's
// is set. Nothing here sleeps: tests wait for a line, an answer, a position of the log, or a process.
package process_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"

	"github.com/google/go-cmp/cmp"
)

// patience is how long a test waits for something that should come at once.
const patience = 8 * time.Minute

var (
	base   string // a directory for everything, which other users may look into too
	binary string
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if err := watchSources(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if base, err = os.MkdirTemp("", "accession-process-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(base)
	if err := os.Chmod(base, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(base, "accession")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "accession/cmd/accession")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build accession:", err)
		return 1
	}
	return dbtest.Main(m)
}

// watchSources looks at every file that the binary is made of. `go test` notes which, and does not take an old result for
// good when one of them has changed: it knows nothing of what is built here.
func watchSources() error {
	for _, dir := range []string{"../../cmd", "../../configs", "../../modules", "../../platform", "../../go.mod"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			_, err = os.Stat(path)
			return err
		})
		if err != nil {
			return fmt.Errorf("look at the sources: %w", err)
		}
	}
	return nil
}

// home is a directory in which the binary is run.
type home struct {
	testing.TB
	dir string
	env []string
	as  *syscall.Credential // who runs it; nil: who runs the tests
}

func newHome(t testing.TB) *home {
	t.Helper()
	dir, err := os.MkdirTemp(base, "home-") //nolint:usetesting // t.TempDir keeps other users out
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &home{TB: t, dir: dir, env: environment(dir)}
}

func environment(home string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir()}
}

// path is the path of a file in the home.
func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// write writes a file.
func (h *home) write(name, content string) {
	h.Helper()
	if err := os.WriteFile(h.path(name), []byte(content), 0o644); err != nil {
		h.Fatal(err)
	}
}

// read reads a file.
func (h *home) read(name string) string {
	h.Helper()
	b, err := os.ReadFile(h.path(name))
	if err != nil {
		h.Fatal(err)
	}
	return string(b)
}

// result is what became of a process.
type result struct {
	out, err string
	exit     int // -1 when a signal ended it
}

// run runs the binary to its end.
func (h *home) run(args ...string) result {
	h.Helper()
	return h.start(args...).wait()
}

// do runs the binary, which must succeed, and gives what it printed.
func (h *home) do(args ...string) string {
	h.Helper()
	r := h.run(args...)
	if r.exit != 0 {
		h.Fatalf("accession %s: exit %d\n%s", strings.Join(args, " "), r.exit, r.err)
	}
	return r.out
}

// object runs the binary with --output json and decodes what it printed.
func object[T any](h *home, args ...string) T {
	h.Helper()
	var v T
	out := h.do(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		h.Fatalf("accession %s: %v in %s", strings.Join(args, " "), err, out)
	}
	return v
}

// process is a running binary.
type process struct {
	home *home
	args []string
	cmd  *exec.Cmd

	mu     sync.Mutex
	stdout strings.Builder
	lines  []string      // of stdout, that nobody has waited for yet
	news   chan struct{} // tells that lines has grown

	stderr bytes.Buffer  // to be read when ended is closed
	ended  chan struct{} // closed when the process has ended and all of it was read
	exit   int
}

// start starts the binary. The process does not outlive the test.
func (h *home) start(args ...string) *process {
	h.Helper()
	p := &process{home: h, args: args, news: make(chan struct{}, 1), ended: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = h.dir, h.env, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.as}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		h.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for r := bufio.NewReader(stdout); ; {
			line, err := r.ReadString('\n')
			p.mu.Lock()
			p.stdout.WriteString(line)
			if err == nil {
				p.lines = append(p.lines, strings.TrimSuffix(line, "\n"))
			}
			p.mu.Unlock()
			if err != nil {
				break
			}
			select {
			case p.news <- struct{}{}:
			default:
			}
		}
		_ = p.cmd.Wait() // ProcessState says all there is to say
		p.exit = p.cmd.ProcessState.ExitCode()
	}()
	h.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

func (p *process) String() string { return "accession " + strings.Join(p.args, " ") }

// line waits for a line on stdout that f accepts.
func (p *process) line(f func(string) bool) string {
	p.home.Helper()
	late := time.After(patience)
	for ended := false; ; {
		p.mu.Lock()
		for i, line := range p.lines {
			if f(line) {
				p.lines = p.lines[i+1:]
				p.mu.Unlock()
				return line
			}
		}
		p.lines = nil
		p.mu.Unlock()
		if ended {
			r := p.wait()
			p.home.Fatalf("%s ended (exit %d) without the line that was waited for\n%s", p, r.exit, r.err)
		}
		select {
		case <-p.news:
		case <-p.ended:
			ended = true // there may be a last line
		case <-late:
			p.home.Fatalf("%s does not print the line that is waited for", p)
		}
	}
}

// signal sends a signal, unless the process has ended.
func (p *process) signal(s syscall.Signal) {
	p.home.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.home.Fatalf("signal %s: %v", p, err)
	}
}

// kill is kill -9, and waits for the process to be gone.
func (p *process) kill() {
	p.home.Helper()
	_ = p.cmd.Process.Kill() // it may have ended by itself
	p.wait()
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait waits for the end.
func (p *process) wait() result {
	p.home.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.home.Fatalf("%s does not end", p)
	}
	r := result{out: p.stdout.String(), err: p.stderr.String(), exit: p.exit}
	if strings.Contains(r.err, "goroutine ") || strings.Contains(r.err, "panic") {
		p.home.Errorf("%s printed a stack:\n%s", p, r.err)
	}
	if strings.Contains(r.out+r.err, "\x1b") { // nowhere, and so not where NO_COLOR is set
		p.home.Errorf("%s printed colours:\n%q%q", p, r.out, r.err)
	}
	if strings.Contains(r.out, " \n") {
		p.home.Errorf("%s printed blanks at the end of a line:\n%s", p, r.out)
	}
	return r
}

// files is what lies in the home: the names, with the content of all but the index of SQLite's WAL, which readers share.
func (h *home) files() map[string]string {
	h.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == h.dir {
			return err
		}
		name, _ := filepath.Rel(h.dir, path)
		switch {
		case d.IsDir(), strings.HasSuffix(name, "-shm"):
			all[name] = ""
		default:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[name] = fmt.Sprintf("%d bytes, %x", len(b), sha256.Sum256(b))
		}
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	return all
}

// unchanged checks that the home is as it was.
func (h *home) unchanged(before map[string]string) {
	h.Helper()
	if diff := cmp.Diff(before, h.files()); diff != "" {
		h.Errorf("files changed (-before +after):\n%s", diff)
	}
}

// position is where the log of the database is; -1 when there is none yet.
func (h *home) position(name string) int {
	db, err := database.Open(h.Context(), database.Config{URL: "sqlite:" + h.path(name), ReadOnly: true})
	if err != nil {
		return -1
	}
	defer db.Close()
	var n int
	if err := db.Read.QueryRowContext(h.Context(), "SELECT position FROM log_head").Scan(&n); err != nil {
		return -1
	}
	return n
}

// await waits until the log of accession.db is at the position, or the process has ended. It asks again and again: the log is
// another process's.
//
// By then it may be further: how much is a matter of luck. See inTime.
func (p *process) await(position int) {
	for p.running() && p.home.position("accession.db") < position {
	}
}

// inTime does something to processes while they work, in a new home, and again in another as long as it says that it came too
// late: on a busy machine a process may come to its end before the test sees how far it is.
func inTime(t *testing.T, do func(h *home) bool) *home {
	t.Helper()
	for late := time.Now().Add(patience); time.Now().Before(late); {
		if h := newHome(t); do(h) {
			return h
		}
		if t.Failed() {
			t.FailNow()
		}
		t.Log("too late: once more")
	}
	t.Fatal("always too late")
	return nil
}

// end is where the log is, as the command line has it.
func (h *home) end(flags ...string) int {
	h.Helper()
	return object[struct {
		Position int `json:"position"`
	}](h, append([]string{"events", "stats"}, flags...)...).Position
}

// verified checks that verify has nothing to say, and that the log is at the position.
func (h *home) verified(position int) {
	h.Helper()
	if r := h.run("verify"); r.exit != 0 || r.out != fmt.Sprintf("ok at %d\n", position) || r.err != "" {
		h.Errorf("verify: exit %d, want ok at %d:\n%s%s", r.exit, position, r.out, r.err)
	}
}

// storedEvent is a line of `events tail`.
type storedEvent struct {
	Position int    `json:"position"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Stream   string `json:"stream"`
	Actor    string `json:"actor"`
	Data     struct {
		Library  string   `json:"library_id"`
		Category string   `json:"category_id"`
		Book     string   `json:"book_id"`
		Edition  string   `json:"edition_id"`
		Base     string   `json:"base_edition_id"`
		Number   int      `json:"number"`
		Name     string   `json:"name"`
		Title    string   `json:"title"`
		Authors  []string `json:"authors"`
		Year     int      `json:"year"`
		Language string   `json:"language"`
	} `json:"data"`
}

// events reads the log.
func (h *home) events() []storedEvent {
	h.Helper()
	var all []storedEvent
	d := json.NewDecoder(strings.NewReader(h.do("events", "tail", "--after", "0", "--output", "ndjson")))
	for {
		var e storedEvent
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			h.Fatal(err)
		}
		all = append(all, e)
	}
}

// references are the editions of the log, a line each that begins with the reference: what must be the same whatever happened
// on the way. It checks that numbers count 1, 2, 3 … in their scope, and that nothing is there twice.
func (h *home) references() []string {
	h.Helper()
	numbers, texts := map[string]int{}, map[string]string{} // by stream
	last := map[string]int{}                                // by scope
	count := func(stream, scope string, number int) {
		if last[scope]++; number != last[scope] {
			h.Errorf("in %s the number %d comes where %d should", scope, number, last[scope])
		}
		if numbers[stream] != 0 {
			h.Errorf("%s is there twice", stream)
		}
		numbers[stream] = number
	}
	var lines []string
	for i, e := range h.events() {
		if e.Position != i+1 {
			h.Errorf("position %d comes where %d should", e.Position, i+1)
		}
		d := e.Data
		category, book := "category:"+d.Category, "book:"+d.Book
		switch e.Type {
		case "library.library_opened":
		case "library.category_created":
			count(e.Stream, d.Library, d.Number)
			texts[e.Stream] = d.Name
		case "catalogue.book_added":
			count(e.Stream, category, d.Number)
			texts[e.Stream] = d.Title + " | " + strings.Join(d.Authors, "; ")
		case "editions.edition_added":
			count(e.Stream, book, d.Number)
			lines = append(lines, fmt.Sprintf("%04d.%04d.%02d based on %d: %s | %s | %d | %s",
				numbers[category], numbers[book], d.Number, numbers["edition:"+d.Base], texts[category], texts[book], d.Year, d.Language))
		default:
			h.Errorf("unexpected %s", e.Type)
		}
	}
	slices.Sort(lines)
	return lines
}

// server is the binary serving.
type server struct {
	*process
	url string
}

var listens = regexp.MustCompile(`^Accession listens on (http://127\.0\.0\.1:[1-9][0-9]*), its data lies in (.+)$`)

// serve starts the server on a free port and waits for it to say that it listens.
func (h *home) serve(args ...string) *server {
	h.Helper()
	p := h.start(append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
	line := p.line(func(string) bool { return true })
	m := listens.FindStringSubmatch(line)
	if m == nil {
		h.Fatalf("%s says %q", p, line)
	}
	return &server{p, m[1]}
}

// stop ends the server, which must go in peace.
func (s *server) stop(with syscall.Signal) result {
	s.home.Helper()
	s.signal(with)
	r := s.wait()
	if r.exit != 0 {
		s.home.Errorf("%s after %v: exit %d\n%s", s, with, r.exit, r.err)
	}
	// The file alone is the whole database then, and may be copied.
	if wal, err := os.Stat(s.home.path("accession.db-wal")); err == nil && wal.Size() > 0 {
		s.home.Errorf("%s after %v left %d bytes in the WAL", s, with, wal.Size())
	}
	return r
}

// feed is the catalogue that the tests import, unpacked.
var feed = sync.OnceValues(func() (string, error) {
	f, err := os.Open("../../modules/exchange/gutenberg/testdata/pg_catalog.csv.gz")
	if err != nil {
		return "", err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(z)
	return string(b), err
})

// same checks that two lists of references are one.
func same(t testing.TB, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("references differ (-want +got):\n%.5000s", diff)
	}
}
