package dbtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"accession/platform/database"
)

// Server is a private PostgreSQL server, from the binaries on this machine: for tests that stop it, and for benchmarks, which
// want one that is as durable as a real one. It listens on a socket only, and ends with this process, however that ends.
type Server struct {
	url    *url.URL
	bin    string // where the programs are
	dir    string // data and socket
	args   []string
	remove func() error

	process *os.Process
	exited  chan error
}

// NeedsPassword is the name of a role, which a test of logins has to make, whose members a [Server] asks for a password.
const NeedsPassword = "needs_password"

// NewServer makes and starts a server of the test's own, with every default of PostgreSQL's but for the settings given, such as
// "lock_timeout=1ms". It skips the test where there is no PostgreSQL, and fails it if CI=true. It is gone when the test ends.
func NewServer(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := newOwnServer(settings...)
	if errors.Is(err, errNoPostgres) && os.Getenv("CI") != "true" {
		t.Skip("NOT TESTED WITH POSTGRESQL: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.destroy(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// URL is where the server's one database can be reached; it stays the same over stops and starts.
func (s *Server) URL() string { return s.url.String() }

// Socket is the path of the server's socket, for tests that stand between it and its clients.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// Migrate migrates the server's database.
func (s *Server) Migrate() error { return migrated(database.Config{URL: s.URL()}) }

// newOwnServer makes the data of a server.
func newOwnServer(settings ...string) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, remove, err := privateDir()
	if err != nil {
		return nil, fmt.Errorf("make directory for PostgreSQL: %w", err)
	}
	s := &Server{
		bin: bin, dir: dir, remove: remove,
		url: &url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()},
	}
	s.args = []string{"-D", s.data(), "-k", dir, "-c", "listen_addresses=", "-c", "max_connections=300", "-c", "logging_collector=off"}
	for _, v := range settings {
		s.args = append(s.args, "-c", v)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make private PostgreSQL: %w", err), remove())
		}
	}()
	initdb, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions")
	if err != nil {
		return nil, err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	// Trust everybody else who can reach the socket. The file is there already, and stays its owner's.
	return s, os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte("local all +"+NeedsPassword+" scram-sha-256\nlocal all all trust\n"), 0o600)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(program string, args ...string) (*exec.Cmd, error) {
	attr, err := asOther(s.dir)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = attr
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") }), "LC_ALL=C")
	return cmd, nil
}

// Start starts the server and returns when it accepts connections.
func (s *Server) Start() error {
	cmd, err := s.command("postgres", s.args...)
	if err != nil {
		return err
	}
	log, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	s.exited = make(chan error, 1)
	ready := make(chan error, 1)
	go func() {
		// The kernel ends the server when the thread that started it ends (see asOther): keep that thread.
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			ready <- err
			return
		}
		watch(bufio.NewScanner(log), ready)
		s.exited <- cmd.Wait()
	}()
	if err := <-ready; err != nil {
		return fmt.Errorf("start private PostgreSQL: %w", err)
	}
	s.process = cmd.Process
	return nil
}

// Stop ends the server as an operator would who does not want to wait: sessions are ended, what was committed is kept.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server as a crash would, all of its processes at once; the next start recovers.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(how os.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Signal(how); err != nil {
		_ = s.process.Kill()
	}
	s.process = nil
	select {
	case err := <-s.exited:
		_ = err // its status says how it was ended, which we know
		return nil
	case <-time.After(time.Minute):
		return errors.New("PostgreSQL does not end")
	}
}

func (s *Server) destroy() error { return errors.Join(s.Kill(), s.remove()) }

// Database opens the server's database.
func (s *Server) Database(ctx context.Context, cfg database.Config) (*database.DB, error) {
	cfg.URL = s.URL()
	return database.Open(ctx, cfg)
}
