package database

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accession/platform/problem"
)

func TestURLsThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"accession.db", "sqlite", "sqlite:", "sqlite://accession.db", "sqlite:///accession.db", "sqlite:a\x00b", "SQLITE:a.db", "file:a.db",
		"mysql://root:sesame@localhost/x", "mysql://localhost/x?password=sesame", "host=localhost password=sesame",
		"postgres:x", "postgres://u:ses%ame@h/x", "postgres://u:sesame@h:port/x", "postgres://h/x?sslmode=sesame",
		"postgres://h/x?connect_timeout=never&password=sesame",
	} {
		_, err := Open(context.Background(), Config{URL: s})
		p, ok := errors.AsType[*problem.Error](err)
		if !ok || p.Kind != problem.Usage {
			t.Errorf("%q: %v; want a Usage error", s, err)
			continue
		}
		if !strings.HasPrefix(s, "postgres://") {
			for _, form := range []string{"sqlite:PATH", "sqlite::memory:", "postgres://", "postgresql://"} {
				if !strings.Contains(p.Message, form) {
					t.Errorf("%q: %q does not list %s", s, p.Message, form)
				}
			}
		}
		if strings.Contains(p.Message, "sesame") {
			t.Errorf("%q: the password is in %q", s, p.Message)
		}
	}
}

func TestConfigsThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{ReadConns: -1}, {WriteConns: -1}, {Synchronous: "MAYBE"}, {Synchronous: "off"}} {
		_, err := Open(context.Background(), cfg)
		if p := problem.Of(err); p.Kind != problem.Usage {
			t.Errorf("%+v: %v; want a Usage error", cfg, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	want := Config{
		URL: "sqlite:accession.db", WriteConns: 16, ReadConns: 8, Synchronous: "FULL",
		LockTimeout: 5 * time.Second, StatementTimeout: 30 * time.Second, IdleInTransactionTimeout: time.Minute,
	}
	if diff := cmp.Diff(want, Config{}.WithDefaults()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, want.WithDefaults()); diff != "" {
		t.Errorf("what was set was changed (-want +got):\n%s", diff)
	}
}

//nolint:paralleltest // it sets PGSSLMODE
func TestEncryptionByDefault(t *testing.T) {
	for _, c := range []struct{ url, env, want string }{
		{"postgres:///x", "", "disable"},
		{"postgres://localhost/x", "", "disable"},
		{"postgres://127.0.0.1/x", "", "disable"},
		{"postgres://127.1.2.3:5433/x", "", "disable"},
		{"postgres://[::1]/x", "", "disable"},
		{"postgres:///x?host=/var/run/postgresql", "", "disable"},
		{"postgres://db.example.org/x", "", "require"},
		{"postgres://10.0.0.1/x", "", "require"},
		{"postgres://localhost,db.example.org/x", "", "require"},
		{"postgres://localhost/x?hostaddr=10.0.0.1", "", "require"},
		{"postgres://db.example.org/x?sslrootcert=/ca.pem", "", "verify-full"},
		{"postgres://db.example.org/x?sslrootcert=system", "", "verify-full"},
		{"postgres://db.example.org/x?sslmode=disable", "", "disable"},
		{"postgresql://localhost/x?sslmode=verify-ca", "", "verify-ca"},
		{"postgres://db.example.org/x", "prefer", "prefer"},
	} {
		if c.env != "" {
			t.Setenv("PGSSLMODE", c.env)
		}
		tgt, err := parseURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		server, err := postgresConfig(Config{}.WithDefaults(), tgt.server)
		if err != nil || string(server.SSLMode) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.url, server.SSLMode, err, c.want)
		}
	}
}

func TestALocationHasNoPassword(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"postgres://ann:sesame@db.example.org:5433/accession?sslmode=require": "postgres://ann@db.example.org:5433/accession?sslmode=require",
		"postgres://db/accession?user=ann&password=sesame&sslpassword=sesame": "postgres://db/accession?user=ann",
		"postgresql:///accession": "postgresql:///accession",
	} {
		tgt, err := parseURL(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := withoutPassword(tgt.server); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int64{-1: 7, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 5 * time.Second: 5000, 1 << 62: 1<<31 - 1} {
		if got := milliseconds(d, 7); got != want {
			t.Errorf("milliseconds(%v) = %d, want %d", d, got, want)
		}
	}
}

func TestCodesOfSQLiteThatPass(t *testing.T) {
	t.Parallel()
	for code, busy := range map[int]bool{
		5: true, 6: true, 261: true, 262: true, 517: true, // BUSY, LOCKED, BUSY_RECOVERY, LOCKED_SHAREDCACHE, BUSY_SNAPSHOT
		264: true, 1288: true, // READONLY_RECOVERY, READONLY_CANTINIT
		0: false, 8: false, 520: false, 776: false, 1032: false, 1544: false, // READONLY, _CANTLOCK, _ROLLBACK, _DBMOVED, _DIRECTORY
		10: false, 14: false, 2067: false,
	} {
		if got := sqliteBusy(code); got != busy {
			t.Errorf("sqliteBusy(%d) = %v", code, got)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"sqlite:a.db", "sqlite::memory:", "sqlite:/tmp/a b?c#d%20e", "sqlite:dir/", "postgres://u:p@h:1/d?x=y", "postgresql:///d", "mysql://h", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tgt, err := parseURL(s)
		if err != nil {
			if p := problem.Of(err); p.Kind != problem.Usage {
				t.Errorf("%q: %v; want a Usage error", s, err)
			}
			return
		}
		switch {
		case tgt.memory:
			if s != "sqlite::memory:" {
				t.Errorf("%q is taken for memory", s)
			}
		case tgt.server != nil:
			if strings.Contains(withoutPassword(tgt.server), "sesame") != strings.Contains(s, "sesame") && !strings.Contains(s, "sesame") {
				t.Errorf("%q: shown as %s", s, withoutPassword(tgt.server))
			}
		default:
			if !filepath.IsAbs(tgt.path) {
				t.Errorf("%q: %q is not absolute", s, tgt.path)
			}
			u, err := url.Parse(fileURI(tgt.path, url.Values{"mode": {"ro"}}))
			if err != nil || u.Path != tgt.path || u.RawQuery != "mode=ro" || u.Fragment != "" {
				t.Errorf("%q: %v as a URI: %v, %v", s, tgt.path, u, err)
			}
		}
	})
}

func FuzzSQLiteUnique(f *testing.F) {
	f.Add("t.a, t.b")
	f.Add("t.a (x)")
	f.Fuzz(func(t *testing.T, what string) {
		if strings.HasPrefix(what, "index '") {
			return // SQLite's other form, which the examples have
		}
		if got := sqliteUnique("constraint failed: UNIQUE constraint failed: " + what + " (2067)"); got != what {
			t.Errorf("%q is read as %q", what, got)
		}
		sqliteUnique(what)
	})
}
