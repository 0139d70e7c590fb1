package database

import (
	"math"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"accession/platform/problem"
)

// Dialect is the kind of database.
type Dialect string

// The dialects. Their values name the directories of migrations.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// DefaultURL is the database of a [Config] without one: a file in the working directory.
const DefaultURL = "sqlite:accession.db"

// Config says which database to open and how. The zero value is [DefaultURL] with every default.
type Config struct {
	// URL is sqlite:PATH, sqlite::memory:, postgres://… or postgresql://…. PATH is taken as it stands: no character in it is
	// special and nothing is decoded; a relative one starts at the working directory. Empty means DefaultURL.
	URL string

	// ReadOnly opens for looking only: nothing is locked, created or written, and Write is the same as Read.
	ReadOnly bool

	WriteConns int // connections that write, at most; 0 means 16. SQLite always has one
	ReadConns  int // connections that only read, at most; 0 means 8

	// LockTimeout bounds one wait for a lock of the database (PostgreSQL: lock_timeout; SQLite: busy_timeout).
	// 0 means 5 seconds, a negative value no limit. Waiting for a free connection of the pool is bounded by the context alone.
	LockTimeout time.Duration

	// StatementTimeout bounds one statement, but not those of a migration; 0 means 30 seconds, a negative value no limit.
	// PostgreSQL only: in SQLite the context ends a statement.
	StatementTimeout time.Duration

	// IdleInTransactionTimeout ends a session that holds a transaction open and does nothing; 0 means 60 seconds, a
	// negative value no limit. PostgreSQL only.
	IdleInTransactionTimeout time.Duration

	// Synchronous is how SQLite syncs commits to disk: FULL (the default) survives a power cut, NORMAL may lose the last
	// commits in one, OFF may lose the file and is for tests.
	Synchronous string
}

// WithDefaults returns a copy in which what was left out has its default.
func (c Config) WithDefaults() Config {
	orDefault(&c.URL, DefaultURL)
	orDefault(&c.WriteConns, 16)
	orDefault(&c.ReadConns, 8)
	orDefault(&c.LockTimeout, 5*time.Second)
	orDefault(&c.StatementTimeout, 30*time.Second)
	orDefault(&c.IdleInTransactionTimeout, time.Minute)
	orDefault(&c.Synchronous, "FULL")
	return c
}

func orDefault[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}

// validate refuses what cannot work, before anything is touched.
func (c Config) validate() error {
	if c.WriteConns < 0 || c.ReadConns < 0 {
		return problem.New(problem.Usage, "database-config", "The pools of the database need at least one connection each.")
	}
	switch c.Synchronous {
	case "FULL", "NORMAL", "OFF":
		return nil
	}
	return problem.New(problem.Usage, "database-config", "Synchronous is FULL, NORMAL or OFF, not %q.", c.Synchronous)
}

// milliseconds is d in the unit both databases count timeouts in, rounded up. Without a limit it is none.
func milliseconds(d time.Duration, none int64) int64 {
	if d < 0 {
		return none
	}
	return min(int64((d+time.Millisecond-1)/time.Millisecond), math.MaxInt32)
}

// target is where a URL points to. One of its fields is set.
type target struct {
	memory bool
	path   string   // an absolute path
	server *url.URL // postgres://… or postgresql://…
}

// parseURL reads the URL of a Config. Its errors never repeat a password.
func parseURL(s string) (target, error) {
	if path, ok := strings.CutPrefix(s, "sqlite:"); ok {
		switch {
		case path == ":memory:":
			return target{memory: true}, nil
		case path == "", strings.HasPrefix(path, "//"), strings.ContainsRune(path, 0):
			return target{}, badURL(s)
		}
		abs, err := filepath.Abs(path)
		if err != nil { // the working directory is gone
			return target{}, problem.New(problem.Unavailable, "database-unavailable",
				"The path %s is relative to a working directory that does not exist.", path).Because(err)
		}
		if last := path[len(path)-1]; last == '/' || last == filepath.Separator {
			abs += string(filepath.Separator) // Abs drops it, but who writes it means a directory
		}
		return target{path: abs}, nil
	}
	if strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") {
		u, err := url.Parse(s)
		if err != nil {
			// The cause would repeat the URL, and so the password.
			return target{}, problem.New(problem.Usage, "database-url", "The PostgreSQL URL cannot be read. It has the form "+
				"postgres://user:password@host:5432/name?sslmode=require, with special characters percent-encoded.")
		}
		return target{server: u}, nil
	}
	return target{}, badURL(s)
}

// badURL names the forms. It repeats what was typed only if that cannot have a password in it.
func badURL(s string) error {
	what := "This database URL"
	if !strings.Contains(s, "@") && !strings.Contains(strings.ToLower(s), "password") {
		what = "The database URL \"" + s + "\""
	}
	return problem.New(problem.Usage, "database-url", "%s is not understood. Write sqlite:PATH (for example %s), "+
		"sqlite::memory:, postgres://… or postgresql://….", what, DefaultURL)
}

// fileURI is the URI by which SQLite opens the file at path.
func fileURI(path string, params url.Values) string {
	path = filepath.ToSlash(path)
	if runtime.GOOS == "windows" {
		path = "/" + path // file:///C:/…
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}
	return u.String()
}
