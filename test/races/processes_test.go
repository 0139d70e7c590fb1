package races_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/module"
	"accession/platform/usecase"
)

// job is what a worker process does; it comes in the environment of the process.
type job struct {
	URL        string
	Mode       string
	Writers    int
	Commands   int // in all
	Categories []libraryevents.CategoryID
}

const jobVariable = "ACCESSION_TEST_JOB"

func TestMain(m *testing.M) {
	if work := os.Getenv(jobVariable); work != "" {
		if err := runJob(work); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(dbtest.Main(m))
}

// runJob is a worker process: it says "ready", waits for a line, and then adds books, printing the id of each that was
// acknowledged.
func runJob(work string) error {
	var j job
	if err := json.Unmarshal([]byte(work), &j); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := database.Open(ctx, database.Config{URL: j.URL})
	if err != nil {
		return err
	}
	mode, err := consistency.ParseMode(j.Mode)
	if err != nil {
		return err
	}
	run := newRunner(db, mode)
	out := bufio.NewWriter(os.Stdout)
	say := func(line string) error {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
		return out.Flush()
	}
	if err := say("ready"); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for w := range j.Writers {
		wg.Go(func() {
			for i := w; i < j.Commands; i += j.Writers {
				cmd := addBook(j.Categories[i%len(j.Categories)])
				_, err := run.Run(ctx, cmd.Request("worker"))
				if mode == consistency.Reject && errors.Is(err, catalogue.ErrBookNumberNotUnique) {
					continue
				}
				mu.Lock()
				if err == nil {
					err = say(cmd.ID.String())
				}
				if err != nil {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, db.Close())...)
}

func newRunner(db *database.DB, mode consistency.Mode) usecase.Runner {
	log := logdb.New(db, must(module.Registry(modules)), time.Minute)
	return runnerIn(consistencytest.Store{Log: log, Register: registerdb.New(db.Read)}, mode, nil)
}

// worker is a worker process.
type worker struct {
	cmd   *exec.Cmd
	start io.WriteCloser
	lines *bufio.Scanner
	said  *strings.Builder
}

func startWorker(t *testing.T, j job) *worker {
	t.Helper()
	w := &worker{cmd: exec.CommandContext(t.Context(), must(os.Executable())), said: &strings.Builder{}}
	w.cmd.Env = append(os.Environ(), jobVariable+"="+string(must(json.Marshal(j))))
	w.cmd.Stderr = w.said
	w.start = must(w.cmd.StdinPipe())
	w.lines = bufio.NewScanner(must(w.cmd.StdoutPipe()))
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !w.lines.Scan() || w.lines.Text() != "ready" {
		t.Fatalf("the worker does not start: %s", w.said)
	}
	return w
}

// race lets all workers go at once and gathers what was acknowledged. After killAfter acknowledgements of the first worker it
// is killed; 0 lets it live.
func race(t *testing.T, killAfter int, workers ...*worker) []catalogueevents.BookID {
	t.Helper()
	var mu sync.Mutex
	var acknowledged []catalogueevents.BookID
	var wg sync.WaitGroup
	for _, w := range workers {
		if _, err := fmt.Fprintln(w.start, "go"); err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range workers {
		wg.Go(func() {
			n := 0
			for w.lines.Scan() {
				var id catalogueevents.BookID
				if err := id.UnmarshalText(w.lines.Bytes()); err != nil {
					continue // cut off in the middle of a line
				}
				mu.Lock()
				acknowledged = append(acknowledged, id)
				mu.Unlock()
				if n++; i == 0 && n == killAfter {
					_ = w.cmd.Process.Kill()
				}
			}
			if err := w.cmd.Wait(); err != nil && (i > 0 || killAfter == 0) {
				t.Errorf("worker %d: %v\n%s", i, err, w.said)
			}
		})
	}
	wg.Wait()
	return acknowledged
}

// checkLog checks that every acknowledged book is in the log once, that positions and numbers have no gap, and that the
// register says what the log says. It gives the number of books.
func checkLog(t *testing.T, db *database.DB, acknowledged []catalogueevents.BookID) int {
	t.Helper()
	log := logdb.NewReader(db.Read, must(module.Registry(modules)))
	books := map[catalogueevents.BookID]int{}
	numbers := map[libraryevents.CategoryID]int{}
	next := event.Position(1)
	for env, err := range log.Read(t.Context(), eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if env.Position != next {
			t.Fatalf("position %d where %d should be", env.Position, next)
		}
		next++
		if e, ok := env.Event.(*catalogueevents.BookAdded); ok {
			books[e.Book]++
			if numbers[e.Category]++; e.Number != numbers[e.Category] {
				t.Errorf("number %d in the order of the log is %d", numbers[e.Category], e.Number)
			}
		}
	}
	for _, id := range acknowledged {
		if books[id] != 1 {
			t.Errorf("an acknowledged book is there %d times", books[id])
		}
	}
	findings, err := consistency.Audit(t.Context(), must(module.Constraints(modules)), log, registerdb.New(db.Read))
	if err != nil || len(findings) > 0 {
		t.Errorf("audit: %v %v", findings, err)
	}
	return len(books)
}

// processes prepares a database with n categories for worker processes.
func processes(t *testing.T, n int) (db *database.DB, categories []libraryevents.CategoryID) {
	t.Helper()
	db = dbtest.Postgres(t)
	run := newRunner(db, consistency.Lock)
	lib := openLibrary()
	mustRun(t, run, lib.Request("t"))
	for range n {
		c := createCategory(lib.ID)
		mustRun(t, run, c.Request("t"))
		categories = append(categories, c.ID)
	}
	return db, categories
}

// TestTenThousandCommandsOfTwoProcesses: 32 writers in two processes, each command acknowledged and there once.
func TestTenThousandCommandsOfTwoProcesses(t *testing.T) {
	t.Parallel()
	db, categories := processes(t, 16)
	j := job{URL: db.Location(), Mode: "lock", Writers: 16, Commands: 5000, Categories: categories}
	acknowledged := race(t, 0, startWorker(t, j), startWorker(t, j))
	if len(acknowledged) != 10_000 {
		t.Errorf("%d were acknowledged", len(acknowledged))
	}
	if n := checkLog(t, db, acknowledged); n != 10_000+16 {
		t.Errorf("%d books are in the log", n)
	}
}

// TestTwoProcessesInTwoModes: rule R15 across processes, for all pairs; in one hot scope.
func TestTwoProcessesInTwoModes(t *testing.T) {
	t.Parallel()
	built := consistency.Built()
	for i, x := range built {
		for _, y := range built[i:] {
			t.Run(x.String()+" and "+y.String(), func(t *testing.T) {
				t.Parallel()
				db, categories := processes(t, 1)
				j := job{URL: db.Location(), Writers: 8, Commands: 160, Categories: categories}
				k := j
				j.Mode, k.Mode = x.String(), y.String()
				acknowledged := race(t, 0, startWorker(t, j), startWorker(t, k))
				if n := checkLog(t, db, acknowledged); n != len(acknowledged)+1 {
					t.Errorf("%d books are in the log, %d were acknowledged", n, len(acknowledged))
				}
			})
		}
	}
}

// TestAProcessIsKilled: what a killed process had acknowledged is there, and the others go on in the same scope.
func TestAProcessIsKilled(t *testing.T) {
	t.Parallel()
	for _, mode := range consistency.Built() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			db, categories := processes(t, 2)
			j := job{URL: db.Location(), Mode: mode.String(), Writers: 8, Commands: 400, Categories: categories}
			acknowledged := race(t, 40, startWorker(t, j), startWorker(t, j))
			if n := checkLog(t, db, acknowledged); n < len(acknowledged)+2 {
				t.Errorf("%d books are in the log, %d were acknowledged", n, len(acknowledged))
			}
		})
	}
}
