//go:build unix

package soak_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"accession/platform/database/dbtest"
)

var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "accession-soak-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// `go test` takes no old result for good when a file has changed that a test looked at: it knows nothing of what is built here.
	for _, sources := range []string{"../../cmd", "../../configs", "../../modules", "../../platform", "../../go.mod"} {
		err := filepath.WalkDir(sources, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "look at the sources:", err)
			return 1
		}
	}
	binary = filepath.Join(dir, "accession")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "accession/cmd/accession")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build accession:", err)
		return 1
	}
	return dbtest.Main(m)
}

// accession is the binary about to run, in a directory of its own, with nothing in its environment but what is given.
func accession(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir()}, env...)
	return cmd
}

// server is a server that is killed and started again.
type server struct {
	t   *testing.T
	dir string
	env []string
	db  string // its URL

	cmd    *exec.Cmd     // of whoever starts and ends it, one after another; nil: there is none
	gone   chan struct{} // closed when cmd has ended
	stderr bytes.Buffer

	mu  sync.Mutex
	url string        // where it can be reached; empty while it is down
	up  chan struct{} // closed while it is up
}

func newServer(t *testing.T, dir, db string, env ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, db: db, env: env, up: make(chan struct{})}
	t.Cleanup(func() {
		if s.cmd != nil {
			_ = s.cmd.Process.Kill()
			s.wait() //nolint:errcheck // it was killed, and the test has failed
		}
	})
	if !s.start() {
		t.FailNow()
	}
	return s
}

var listens = regexp.MustCompile(`^Accession listens on (http://\S+), `)

// nowhere is where a server can be reached that does not start: nobody waits for it any more, or is answered.
const nowhere = "http://127.0.0.1:0"

// start starts it and waits until it listens. Where it does not, the test has failed.
func (s *server) start() bool {
	s.stderr.Reset()
	// What it does when requests take too long to finish is not asked here.
	env := append([]string{"ACCESSION_HTTP_SHUTDOWN_TIMEOUT=5m"}, s.env...)
	cmd := accession(s.t, s.dir, env, "serve", "--addr", "127.0.0.1:0", "--database", s.db)
	cmd.Stderr = &s.stderr
	cmd.SysProcAttr = noOrphan()
	url, err := s.begin(cmd)
	if err != nil {
		s.t.Errorf("a server does not start: %v\n%s", err, s.stderr.String())
		url = nowhere
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = url
	close(s.up)
	return err == nil
}

// begin starts the command and gives the address that it says it listens on.
func (s *server) begin(cmd *exec.Cmd) (url string, err error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	begun, gone := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // with the thread that started it the process ends, too: see noOrphan
		begun <- cmd.Start()
		<-gone
	}()
	s.cmd, s.gone = cmd, gone
	if err := <-begun; err != nil {
		s.cmd = nil
		close(gone)
		return "", err
	}
	r := bufio.NewReader(stdout)
	line, _ := r.ReadString('\n')
	if m := listens.FindStringSubmatch(line); m != nil {
		return m[1], nil
	}
	_, _ = io.Copy(io.Discard, r)
	return "", fmt.Errorf("it says %q, and then: %v", line, s.wait()) //nolint:errorlint // which may be nil
}

// wait waits until it has ended.
func (s *server) wait() error {
	err := s.cmd.Wait()
	close(s.gone)
	s.cmd = nil
	return err
}

// end ends it with the signal, and waits until it is gone. Requests that are under way are not waited for.
func (s *server) end(with syscall.Signal) {
	if s.cmd == nil {
		return // it did not start
	}
	s.mu.Lock()
	s.url, s.up = "", make(chan struct{})
	s.mu.Unlock()
	_ = s.cmd.Process.Signal(with)
	cmd := s.cmd
	err := s.wait()
	switch status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case with != syscall.SIGKILL && err != nil:
		s.t.Errorf("a server that was told to stop: %v\n%s", err, s.stderr.String())
	case with == syscall.SIGKILL && !status.Signaled():
		s.t.Errorf("a server ended before it was killed: %s\n%s", cmd.ProcessState, s.stderr.String())
	}
	if said := s.stderr.String(); strings.Contains(said, "panic") || strings.Contains(said, "goroutine ") {
		s.t.Errorf("a server panicked:\n%s", said)
	}
}

// reach is where it can be reached, once it is up.
func (s *server) reach() string {
	for {
		s.mu.Lock()
		url, up := s.url, s.up
		s.mu.Unlock()
		if url != "" {
			return url
		}
		select {
		case <-up:
		case <-s.t.Context().Done():
			return nowhere
		}
	}
}

func (s *server) isUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url != "" && s.url != nowhere
}
