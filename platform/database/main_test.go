package database_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/problem"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("ACCESSION_TEST_CHILD"); role != "" {
		child(role, os.Getenv("ACCESSION_TEST_URL"))
		return
	}
	os.Exit(dbtest.Main(m))
}

// child is the test binary run again, as another process. It says on stdout what it has reached, and waits on stdin.
func child(role, url string) {
	ctx := context.Background()
	in := bufio.NewScanner(os.Stdin)
	say := func(err error, done string) {
		if p, ok := errors.AsType[*problem.Error](err); ok {
			fmt.Println("problem:", p.Code+":", p.Message)
		} else if err != nil {
			fmt.Println("error:", err)
		} else {
			fmt.Println(done)
		}
	}
	switch role {
	case "hold": // a process that writes until stdin is closed
		_, err := database.Open(ctx, database.Config{URL: url})
		say(err, "open")
		in.Scan()
	case "hold-and-read": // the same, and it reads for each line of stdin
		db, err := database.Open(ctx, database.Config{URL: url})
		say(err, "open")
		for err == nil && in.Scan() {
			var n int
			err = db.Write.QueryRow("SELECT count(*) FROM t").Scan(&n)
			say(err, fmt.Sprint("rows: ", n))
		}
	case "write-and-close":
		db, err := database.Open(ctx, database.Config{URL: url, Synchronous: "OFF"})
		if err == nil {
			_, err = db.Write.Exec("CREATE TABLE IF NOT EXISTS t (n INTEGER); INSERT INTO t VALUES (1)")
		}
		if err == nil {
			err = db.Close()
		}
		say(err, "written")
	case "migrate":
		fmt.Println("ready")
		in.Scan()
		db, err := database.Open(ctx, database.Config{URL: url, Synchronous: "OFF"})
		if err == nil {
			err = errors.Join(database.Migrate(ctx, db, twelve()), db.Close())
		}
		say(err, "migrated")
	case "count": // a process that only reads
		db, err := database.Open(ctx, database.Config{URL: url, ReadOnly: true})
		var n int
		if err == nil {
			err = db.Read.QueryRow("SELECT count(*) FROM t").Scan(&n)
		}
		if err == nil {
			err = db.Close()
		}
		say(err, fmt.Sprint("rows: ", n))
	}
}

// process is a child as its parent sees it.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Scanner
	in  io.WriteCloser
}

func start(t *testing.T, role, url string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startCmd(t, exec.Command(exe), role, url)
}

func startCmd(t *testing.T, cmd *exec.Cmd, role, url string) *process {
	t.Helper()
	cmd.Env = append(os.Environ(), "ACCESSION_TEST_CHILD="+role, "ACCESSION_TEST_URL="+url)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t, cmd, bufio.NewScanner(out), in}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return p
}

// says is the next line the process says.
func (p *process) says() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("the process ended without a word: %v", p.out.Err())
	}
	return p.out.Text()
}

func (p *process) expect(want string) {
	p.t.Helper()
	if got := p.says(); got != want {
		p.t.Fatalf("the process says %q, want %q", got, want)
	}
}

func (p *process) kill(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// runUnprivileged runs role as a user for whom permissions count, who may reach dir. Root becomes nobody.
func runUnprivileged(t *testing.T, role, url string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	if os.Geteuid() == 0 {
		// The directory of the test binary is root's alone.
		public := publicDir(t)
		copied := filepath.Join(public, "test")
		if err := os.Link(exe, copied); err != nil {
			b, err := os.ReadFile(exe)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied, b, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd = exec.Command(copied)
		cmd.Dir = public
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	return startCmd(t, cmd, role, url).says()
}

// publicDir is a temporary directory that every user can reach, owned by whom runUnprivileged runs as.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "accession-test-") //nolint:usetesting // t.TempDir is within a directory that others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.Chmod(dir, 0o755)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens a database for the length of the test.
func open(t *testing.T, cfg database.Config) *database.DB {
	t.Helper()
	if cfg.Synchronous == "" {
		cfg.Synchronous = "OFF"
	}
	db, err := database.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Open(%q): %v", cfg.URL, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// wantProblem fails unless err is for people: of that kind and code, with those words in its message, and without the
// driver's.
func wantProblem(t *testing.T, err error, kind problem.Kind, code string, words ...string) {
	t.Helper()
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		t.Fatalf("err = %v, want a *problem.Error with code %s", err, code)
	}
	if p.Kind != kind || p.Code != code {
		t.Errorf("err is %v %q, want %v %q (%v)", p.Kind, p.Code, kind, code, err)
	}
	for _, w := range words {
		if !strings.Contains(p.Message, w) {
			t.Errorf("message %q does not say %q", p.Message, w)
		}
	}
	for _, w := range []string{"pq:", "SQLITE_", "SQLSTATE", "dial", "unable to open"} {
		if strings.Contains(p.Message, w) {
			t.Errorf("message %q has the driver's text in it", p.Message)
		}
	}
}
