package dbtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/uptrace/bun"

	"accession/platform/database"
)

// server is the PostgreSQL server of this test binary.
type server struct {
	url    *url.URL
	admin  *bun.DB
	prefix string // of the names of its databases
	count  atomic.Int64
	drops  sync.WaitGroup

	// template is the name of the migrated database that others are copies of.
	template func() (string, error)
	stop     func() error
}

var errNoPostgres = errors.New("there is no PostgreSQL here: neither ACCESSION_TEST_POSTGRES_URL nor initdb and postgres " +
	"(pg_config --bindir, PATH, /usr/lib/postgresql/*/bin)")

var (
	started       atomic.Pointer[server]
	startPostgres = sync.OnceValues(func() (*server, error) {
		s, err := newServer()
		started.Store(s)
		return s, err
	})
)

func postgres(t testing.TB) *server {
	t.Helper()
	if !mainCalled {
		t.Fatal("a package that tests with PostgreSQL needs func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }")
	}
	s, err := startPostgres()
	switch {
	case errors.Is(err, errNoPostgres) && os.Getenv("CI") != "true":
		t.Skip("NOT TESTED WITH POSTGRESQL: ", err)
	case err != nil:
		t.Fatal(err)
	}
	return s
}

func stopPostgres() {
	if s := started.Load(); s != nil {
		if err := s.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		}
	}
}

func newServer() (*server, error) {
	s := &server{
		prefix: "accession_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12] + "_",
		stop:   func() error { return nil },
	}
	given := os.Getenv("ACCESSION_TEST_POSTGRES_URL")
	if given == "" {
		own, err := newOwnServer("fsync=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=32MB",
			"max_connections=300") // two tests of three processes each, with all the connections that they may have
		if err != nil {
			return nil, err
		}
		if err := own.Start(); err != nil {
			return nil, errors.Join(err, own.remove())
		}
		s.url, s.stop = own.url, own.destroy
	} else {
		u, err := url.Parse(given)
		if err != nil {
			return nil, errors.New("ACCESSION_TEST_POSTGRES_URL is not a URL")
		}
		s.url = u
	}

	admin, err := database.Open(context.Background(), database.Config{URL: s.url.String(), WriteConns: 8, LockTimeout: -1, StatementTimeout: -1})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database for creating others: %w", err), s.stop())
	}
	s.admin = admin.Write

	template := s.prefix + "template"
	s.template = sync.OnceValues(func() (string, error) {
		if _, err := s.admin.Exec("CREATE DATABASE " + pq.QuoteIdentifier(template) + " TEMPLATE template0"); err != nil {
			return "", err
		}
		return template, migrated(database.Config{URL: s.urlOf(template)})
	})
	stop := s.stop
	s.stop = func() error {
		s.drops.Wait()
		// IF EXISTS: perhaps no test wanted it.
		_, err := s.admin.Exec("DROP DATABASE IF EXISTS " + pq.QuoteIdentifier(template) + " WITH (FORCE)")
		return errors.Join(err, admin.Close(), stop())
	}
	return s, nil
}

// newDatabase makes a copy of template that lives as long as the test, and gives its URL.
func (s *server) newDatabase(t testing.TB, template string) string {
	t.Helper()
	name := s.prefix + strconv.FormatInt(s.count.Add(1), 10)
	if _, err := s.admin.ExecContext(t.Context(), "CREATE DATABASE "+pq.QuoteIdentifier(name)+" TEMPLATE "+pq.QuoteIdentifier(template)); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		// In the background: PostgreSQL looks only every 100 ms whether the sessions of the test have ended.
		s.drops.Go(func() {
			if _, err := s.admin.Exec("DROP DATABASE " + pq.QuoteIdentifier(name) + " WITH (FORCE)"); err != nil {
				fmt.Fprintln(os.Stderr, "drop test database:", err)
			}
		})
	})
	return s.urlOf(name)
}

func (s *server) urlOf(name string) string {
	u := *s.url
	u.Path = "/" + name
	return u.String()
}

// watch reads the log of the server, so that it never waits for us, and tells ready once: when the server is, or when it
// ended before, with what it said.
func watch(log *bufio.Scanner, ready chan<- error) {
	var said []string
	for log.Scan() {
		if ready == nil {
			continue
		}
		said = append(said, log.Text())
		if strings.Contains(log.Text(), "ready to accept connections") {
			ready <- nil
			ready = nil
		}
	}
	if ready != nil {
		ready <- fmt.Errorf("postgres ended:\n%s", strings.Join(said, "\n"))
	}
}

// binaries is the directory of initdb and postgres.
func binaries() (string, error) {
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	dirs = append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
	dirs = append(dirs, debian...)
	for _, dir := range dirs {
		if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		if _, err := exec.LookPath(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", errNoPostgres
}

// version is the 15 of /usr/lib/postgresql/15/bin.
func version(dir string) int {
	v, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return v
}

// privateDir makes a directory for a server, with a lock beside it for as long as this process lives, and removes the
// directories of processes that live no more.
func privateDir() (dir string, remove func() error, _ error) {
	const pattern = "accession-postgres-"
	temp := os.TempDir()
	if len(temp) > 60 {
		temp = "/tmp" // the path of a socket has room for some hundred bytes
	}
	left, _ := filepath.Glob(filepath.Join(temp, pattern+"*.lock"))
	for _, name := range left {
		l := flock.New(name)
		if ok, err := l.TryLock(); err == nil && ok {
			_ = os.RemoveAll(strings.TrimSuffix(name, ".lock"))
			_ = os.Remove(name)
			_ = l.Unlock()
		}
	}
	for {
		dir := filepath.Join(temp, pattern+uuid.NewString()[:8])
		l := flock.New(dir + ".lock")
		switch ok, err := l.TryLock(); {
		case err != nil:
			return "", nil, err
		case !ok: // somebody is sweeping
			continue
		}
		remove := func() error { return errors.Join(os.RemoveAll(dir), os.Remove(dir+".lock"), l.Unlock()) }
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", nil, errors.Join(err, remove())
		}
		return dir, remove, nil
	}
}

// otherUser is somebody to run the server as, because PostgreSQL refuses to run as root.
func otherUser() (uid, gid int, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, lookup := user.Lookup(name)
		if lookup != nil {
			err = lookup
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		return uid, gid, errors.Join(err1, err2)
	}
	return 0, 0, err
}
