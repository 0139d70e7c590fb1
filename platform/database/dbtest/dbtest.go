// Package dbtest gives every test a migrated database of its own, closed and removed when the test ends.
//
//	func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
//
//	func TestLog(t *testing.T) {
//		dbtest.Each(t, func(t *testing.T, db *database.DB) { … }) // runs once on SQLite and once on PostgreSQL
//	}
//
// PostgreSQL is the server of the URL in ACCESSION_TEST_POSTGRES_URL, whose user must be allowed to create databases; else a
// private server is started from the binaries on this machine (pg_config, PATH, /usr/lib/postgresql/*/bin), once for each
// test binary and without syncing to disk. Where there are none, the tests that need it skip, and fail if CI=true. A
// database is a copy of a template that was migrated once, so all have in common what a migration drew at random, such as the
// id of the log; two databases that must differ in it are migrated each by themselves, from [PostgresURL] or a file.
//
// Databases on a server of yours that were left behind by killed tests are named accession_test_…; drop them at will. What a
// private server leaves behind, the next run removes.
package dbtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"accession/platform/database"
)

// Main runs the tests of a binary and then stops the PostgreSQL server they started, if any. It returns the exit status. A
// package that uses PostgreSQL calls it from its TestMain.
func Main(m interface{ Run() int }) int {
	mainCalled = true
	defer stopPostgres()
	return m.Run()
}

var mainCalled bool

// Each runs f as a subtest on each dialect, in parallel.
func Each(t *testing.T, f func(*testing.T, *database.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, Postgres(t))
	})
}

// SQLite gives a new migrated database in a file of its own.
func SQLite(t testing.TB) *database.DB {
	t.Helper()
	file, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("migrate SQLite template: %v", err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, sqliteConfig(path))
}

func sqliteConfig(path string) database.Config {
	return database.Config{URL: "sqlite:" + path, Synchronous: "OFF"}
}

// sqliteTemplate is the content of a migrated file.
var sqliteTemplate = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "accession-template-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "template.db")
	if err := migrated(sqliteConfig(path)); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// Postgres gives a new migrated database on PostgreSQL. It skips the test where there is no PostgreSQL.
func Postgres(t testing.TB) *database.DB {
	t.Helper()
	s := postgres(t)
	template, err := s.template()
	if err != nil {
		t.Fatalf("migrate PostgreSQL template: %v", err)
	}
	return open(t, database.Config{URL: s.newDatabase(t, template)})
}

// PostgresURL gives the URL of a new and empty database on PostgreSQL, to be opened by the test in its own way. It skips the
// test where there is no PostgreSQL.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return postgres(t).newDatabase(t, "template0")
}

func open(t testing.TB, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open test database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close test database: %v", err)
		}
	})
	return db
}

// migrated migrates the database of cfg and closes it again.
func migrated(cfg database.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := database.Open(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(database.Migrate(ctx, db, nil), db.Close())
}
