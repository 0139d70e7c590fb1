package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/problem"
)

// steps are migrations, numbered from 1, that work on every dialect.
func steps(sql ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i, s := range sql {
		fsys[fmt.Sprintf("%04d_step.tx.up.sql", i+1)] = &fstest.MapFile{Data: []byte(s)}
	}
	return fsys
}

// twelve are migrations none of which can run twice.
func twelve() fs.FS {
	var s []string
	for i := range 12 {
		s = append(s, fmt.Sprintf("CREATE TABLE t%d (n INTEGER); INSERT INTO t%[1]d VALUES (1)", i))
	}
	return steps(s...)
}

// empty runs f on a database of each dialect that was never migrated.
func empty(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, "sqlite:"+filepath.Join(t.TempDir(), "a.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, dbtest.PostgresURL(t))
	})
}

// statusOf is the names of the migrations, with what is special about each.
func statusOf(t *testing.T, db *database.DB, fsys fs.FS) (list []string) {
	t.Helper()
	all, err := database.Status(t.Context(), db, fsys)
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	for _, m := range all {
		switch {
		case m.Unknown:
			list = append(list, m.Name+" unknown")
		case m.AppliedAt.IsZero():
			list = append(list, m.Name+" pending")
		default:
			list = append(list, m.Name)
		}
	}
	return list
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		db := open(t, database.Config{URL: url})
		one, two := steps("CREATE TABLE t (n INTEGER)"), steps("CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (1) -- ?")

		if diff := cmp.Diff([]string{"0001_step pending"}, statusOf(t, db, one)); diff != "" {
			t.Errorf("before (-want +got):\n%s", diff)
		}
		wantProblem(t, database.CheckCurrent(t.Context(), db, one), problem.Unavailable, "database-behind", "0001_step", "accession migrate up")
		for range 2 {
			if err := database.Migrate(t.Context(), db, one); err != nil {
				t.Fatal(err)
			}
			if err := database.CheckCurrent(t.Context(), db, one); err != nil {
				t.Error(err)
			}
		}
		wantProblem(t, database.CheckCurrent(t.Context(), db, two), problem.Unavailable, "database-behind", "0002_step")
		if err := database.Migrate(t.Context(), db, two); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"0001_step", "0002_step"}, statusOf(t, db, two)); diff != "" {
			t.Errorf("after (-want +got):\n%s", diff)
		}
		if n := count(t, db.Read); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func TestTheEmbeddedMigrationsWork(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		db := open(t, database.Config{URL: url})
		if err := database.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		if err := database.CheckCurrent(t.Context(), db, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestTheDialectsHaveTheSameMigrations(t *testing.T) {
	t.Parallel()
	var names [2][]string
	for i, d := range []string{"sqlite", "postgres"} {
		paths, err := filepath.Glob(filepath.Join("migrations", d, "*"))
		if err != nil || len(paths) == 0 {
			t.Fatal(paths, err)
		}
		for _, p := range paths {
			names[i] = append(names[i], filepath.Base(p))
		}
	}
	if diff := cmp.Diff(names[0], names[1]); diff != "" {
		t.Errorf("-sqlite +postgres:\n%s", diff)
	}
}

func TestAFailedMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		db := open(t, database.Config{URL: url})
		broken := steps("CREATE TABLE t (n INTEGER)", "CREATE TABLE u (n INTEGER); INSERT INTO t VALUES (1); SELECT nonsense", "CREATE TABLE v (n INTEGER)")
		for range 2 { // and says so again
			err := database.Migrate(t.Context(), db, broken)
			wantProblem(t, err, problem.Internal, "migration-failed", "Migration 0002_step")
			if !strings.Contains(err.Error(), "nonsense") {
				t.Errorf("the operator does not learn the cause: %v", err)
			}
			if diff := cmp.Diff([]string{"0001_step", "0002_step pending", "0003_step pending"}, statusOf(t, db, broken)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if n := count(t, db.Read); n != 0 {
				t.Errorf("it left %d rows", n)
			}
			if _, err := db.Read.Exec("SELECT * FROM u"); err == nil {
				t.Error("it left a table")
			}
		}
		mended := steps("CREATE TABLE t (n INTEGER)", "CREATE TABLE u (n INTEGER)", "CREATE TABLE v (n INTEGER)")
		if err := database.Migrate(t.Context(), db, mended); err != nil {
			t.Fatal(err)
		}
	})
}

// A migration and the note about it are one: if the note cannot be made, the migration did not happen.
func TestAMigrationIsNotedInItsOwnTransaction(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		db := open(t, database.Config{URL: url})
		fsys := steps("CREATE TABLE t (n INTEGER)", "CREATE TABLE u (n INTEGER); ALTER TABLE bun_migrations RENAME TO elsewhere")
		if err := database.Migrate(t.Context(), db, fsys); err == nil {
			t.Fatal("no error")
		}
		if diff := cmp.Diff([]string{"0001_step", "0002_step pending"}, statusOf(t, db, fsys)); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		if _, err := db.Read.Exec("SELECT * FROM u"); err == nil {
			t.Error("the migration happened without a note")
		}
	})
}

func TestANewerDatabaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		db := open(t, database.Config{URL: url})
		if err := database.Migrate(t.Context(), db, fstest.MapFS{
			"0001_step.tx.up.sql":  {Data: []byte("CREATE TABLE t (n INTEGER)")},
			"0003_newer.tx.up.sql": {Data: []byte("CREATE TABLE u (n INTEGER)")},
		}); err != nil {
			t.Fatal(err)
		}
		older := steps("CREATE TABLE t (n INTEGER)", "CREATE TABLE v (n INTEGER)")
		for _, err := range []error{database.Migrate(t.Context(), db, older), database.CheckCurrent(t.Context(), db, older)} {
			wantProblem(t, err, problem.Unavailable, "database-newer", "Upgrade accession", "0003", db.Location())
		}
		if diff := cmp.Diff([]string{"0001_step", "0002_step pending", "0003 unknown"}, statusOf(t, db, older)); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

func TestMigrationsThatAreNamedWrong(t *testing.T) {
	t.Parallel()
	db := open(t, database.Config{URL: "sqlite::memory:"})
	for _, names := range [][]string{
		{"0001_a.up.sql"}, {"0001_a.tx.down.sql"}, {"1_a.tx.up.sql"}, {"0001_a.sql"}, {"0001_A.tx.up.sql"},
		{"0001_a.tx.up.sql", "0001_b.tx.up.sql"}, {"below/0001_a.tx.up.sql"},
	} {
		fsys := fstest.MapFS{}
		for _, n := range names {
			fsys[n] = &fstest.MapFile{Data: []byte("SELECT 1")}
		}
		if err := database.Migrate(t.Context(), db, fsys); err == nil {
			t.Errorf("%v: no error", names)
		}
	}
	if err := database.Migrate(t.Context(), db, fstest.MapFS{"README": {}}); err != nil {
		t.Errorf("no migrations at all: %v", err)
	}
}

// A database of before the head of the log knew whether a projector is immediate.
func TestTheHeadLearnsWhetherAProjectorIsImmediate(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		for timing, want := range map[string]bool{"background": false, "immediate": true} {
			db := open(t, database.Config{URL: url})
			migrations := fstest.MapFS{}
			add := func(name string) {
				file, err := os.ReadFile(filepath.Join("migrations", string(db.Dialect), name))
				if err != nil {
					t.Fatal(err)
				}
				migrations[name] = &fstest.MapFile{Data: file}
			}
			add("0001_log.tx.up.sql")
			if err := database.Migrate(t.Context(), db, migrations); err != nil {
				t.Fatal(err)
			}
			mustExec(t, db.Write, "INSERT INTO projectors (name, version, log, position, timing, state, changed_at) SELECT 'books', 1, log, 0, ?, 'playing', '2026-01-01T00:00:00Z' FROM log_head", timing)
			add("0002_immediate.tx.up.sql")
			if err := database.Migrate(t.Context(), db, migrations); err != nil {
				t.Fatal(err)
			}
			var got bool
			if err := db.Read.QueryRowContext(t.Context(), "SELECT immediate FROM log_head").Scan(&got); err != nil || got != want {
				t.Errorf("%s: the head says %v, %v", timing, got, err)
			}
			for _, table := range []string{"log_head", "log_events", "log_tags", "log_units", "register_guards", "register_rows", "projectors", "bun_migrations"} {
				mustExec(t, db.Write, "DROP TABLE "+table)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAReaderDoesNotMigrate(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		if err := open(t, database.Config{URL: url}).Close(); err != nil {
			t.Fatal(err)
		}
		db := open(t, database.Config{URL: url, ReadOnly: true})
		wantProblem(t, database.Migrate(t.Context(), db, nil), problem.Usage, "database-read-only")
		wantProblem(t, database.CheckCurrent(t.Context(), db, nil), problem.Unavailable, "database-behind", "0001_")
	})
}

func TestFourGoroutinesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		db := open(t, database.Config{URL: url})
		gate := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				<-gate
				if err := database.Migrate(t.Context(), db, twelve()); err != nil {
					t.Error(err)
				}
			})
		}
		close(gate)
		wg.Wait()
		wantTwelve(t, db)
	})
}

func TestFourProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	empty(t, func(t *testing.T, url string) {
		var all []*process
		for range 4 {
			all = append(all, start(t, "migrate", url))
		}
		for _, p := range all {
			p.expect("ready")
		}
		for _, p := range all {
			if _, err := fmt.Fprintln(p.in); err != nil {
				t.Fatal(err)
			}
		}
		migrated := 0
		for _, p := range all {
			switch said := p.says(); {
			case said == "migrated":
				migrated++
			case strings.HasPrefix(url, "sqlite:") && strings.HasPrefix(said, "problem: database-in-use"):
			default:
				t.Errorf("a process says %q", said)
			}
		}
		if migrated == 0 || migrated < 4 && strings.HasPrefix(url, "postgres:") {
			t.Errorf("%d of 4 processes migrated", migrated)
		}
		wantTwelve(t, open(t, database.Config{URL: url}))
	})
}

func wantTwelve(t *testing.T, db *database.DB) {
	t.Helper()
	if err := database.CheckCurrent(t.Context(), db, twelve()); err != nil {
		t.Error(err)
	}
	for _, query := range []string{"SELECT count(*) FROM bun_migrations", "SELECT 11 + count(*) FROM t0", "SELECT 11 + count(*) FROM t11"} {
		var n int
		if err := db.Read.QueryRow(query).Scan(&n); err != nil || n != 12 {
			t.Errorf("%s: %d, %v; want 12", query, n, err)
		}
	}
}

func TestAMigrationThatMeetsALockedTableGivesUp(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	db := open(t, database.Config{URL: url, LockTimeout: 1})
	if err := database.Migrate(t.Context(), db, steps("CREATE TABLE t (n INTEGER)")); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("LOCK TABLE t"); err != nil {
		t.Fatal(err)
	}
	err = database.Migrate(t.Context(), db, steps("CREATE TABLE t (n INTEGER)", "ALTER TABLE t ADD COLUMN m INTEGER"))
	wantProblem(t, err, problem.Unavailable, "database-busy", "0002_step")
}

func TestWaitingForAnotherMigrationEndsWithTheContext(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	db := open(t, database.Config{URL: url, LockTimeout: 1})
	const key = 0x616363657373
	conn, err := db.Write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SELECT pg_advisory_lock(?)", key); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { done <- database.Migrate(ctx, db, twelve()) }()
	waitFor(t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) && !strings.Contains(fmt.Sprint(err), "57014") {
		t.Errorf("err = %v, want that the context ended", err)
	}
	waitFor(t, db, "SELECT 1 - count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'")
	var none sql.NullString
	if err := db.Read.QueryRow("SELECT to_regclass('bun_migrations')").Scan(&none); err != nil || none.Valid {
		t.Errorf("bun_migrations = %v, %v; want none", none, err)
	}
}

// A killed migration frees the lock at once, and what it had done of its step is undone.
func TestALostSessionEndsTheMigration(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	db := open(t, database.Config{URL: url})
	err := database.Migrate(t.Context(), db, steps("CREATE TABLE t (n INTEGER)", "CREATE TABLE u (n INTEGER); SELECT pg_terminate_backend(pg_backend_pid())", "CREATE TABLE v (n INTEGER)"))
	wantProblem(t, err, problem.Unavailable, "database-unavailable", "connection was lost")
	if err := database.Migrate(t.Context(), db, steps("CREATE TABLE t (n INTEGER)", "CREATE TABLE u (n INTEGER)")); err != nil {
		t.Error(err)
	}
}

// waitFor asks until query gives at least 1.
func waitFor(t *testing.T, db *database.DB, query string) {
	t.Helper()
	for n := 0; n < 1; {
		if err := db.Read.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}
