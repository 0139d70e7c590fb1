package database_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"github.com/uptrace/bun"

	"accession/platform/database"
	"accession/platform/database/dbtest"
)

func sqlOpen(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestUniqueViolation(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		mustExec(t, db.Write, `CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, scope TEXT CHECK (scope <> 'no'), key TEXT, one INTEGER NOT NULL DEFAULT 1)`)
		mustExec(t, db.Write, `CREATE UNIQUE INDEX by_key ON t (scope, key)`)
		mustExec(t, db.Write, `CREATE UNIQUE INDEX "by lower (key)" ON t (lower(key))`)
		mustExec(t, db.Write, `INSERT INTO t (id, scope, key) VALUES (1, 'a (2067)', 'x')`)
		for _, c := range []struct {
			name, values     string
			sqlite, postgres string
			no               bool
		}{
			{name: "of the primary key", values: "(1, 'b', 'y')", sqlite: "t.id", postgres: "t_pkey"},
			{name: "of two columns", values: "(2, 'a (2067)', 'x')", sqlite: "t.scope, t.key", postgres: "by_key"},
			{name: "of an expression", values: "(2, 'b', 'X')", sqlite: "by lower (key)", postgres: "by lower (key)"},
			{name: "is not a failed check", values: "(2, 'no', 'z')", no: true},
			{name: "is not a missing value", values: "(NULL, 'b', 'z')", no: true},
		} {
			// The message of SQLite 3 calls INTEGER PRIMARY KEY NULL a new id.
			if c.name == "is not a missing value" && db.Dialect == database.SQLite {
				continue
			}
			_, err := db.Write.Exec("INSERT INTO t (id, scope, key) VALUES " + c.values)
			if err == nil {
				t.Fatalf("%s: no error", c.name)
			}
			err = fmt.Errorf("insert: %w", err)
			want := c.postgres
			if db.Dialect == database.SQLite {
				want = c.sqlite
			}
			got, ok := database.UniqueViolation(err)
			if null := c.name == "is not a missing value"; database.IsNull(err) != null {
				t.Errorf("%s: IsNull(%v) is %v", c.name, err, !null)
			}
			if c.no {
				if ok {
					t.Errorf("%s: taken for a violation of %q: %v", c.name, got, err)
				}
				continue
			}
			// SQLite tries the indexes in an order of its own where two are violated at once.
			if both := c.name == "of two columns" && got == "by lower (key)"; !ok || got != want && !both {
				t.Errorf("%s: %q, %v; want %q (%v)", c.name, got, ok, want, err)
			}
			if database.IsBusy(err) || database.IsRetryable(err) || database.IsConnection(err) {
				t.Errorf("%s is also something else", c.name)
			}
		}
		if _, err := db.Write.Exec("INSERT INTO t VALUES (9, 'c', 'z', NULL)"); !database.IsNull(fmt.Errorf("insert: %w", err)) {
			t.Errorf("a missing value is not told: %v", err)
		}
	})
}

func TestTheTableOfALockIsFoundInEveryLanguage(t *testing.T) {
	t.Parallel()
	for _, where := range []string{
		`while updating tuple (0,1) in relation "log_head"`,
		`beim Aktualisieren von Tupel (0,1) in Relation »log_head«`,
	} {
		err := fmt.Errorf("append: %w", &pq.Error{Code: pqerror.LockNotAvailable, Where: where})
		if !database.BusyIn(err, "log_head") || database.BusyIn(err, "register_rows") {
			t.Errorf("%s: in log_head: %t", where, database.BusyIn(err, "log_head"))
		}
	}
}

func TestErrorsOfNoMeaning(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, io.ErrClosedPipe, sql.ErrNoRows, sql.ErrTxDone, context.Canceled, context.DeadlineExceeded, &pq.Error{}, &pq.Error{Code: "42P01"}} {
		_, unique := database.UniqueViolation(err)
		if unique || database.IsNull(err) || database.IsBusy(err) || database.IsRetryable(err) || database.IsConnection(err) {
			t.Errorf("%v was given a meaning", err)
		}
	}
}

func TestErrorsOfConnections(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET,
		&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)},
		&pq.Error{Code: "57P01"}, &pq.Error{Code: "08006"}, &pq.Error{Code: "25P03"},
	} {
		if !database.IsConnection(fmt.Errorf("commit: %w", err)) {
			t.Errorf("%v is not a lost connection", err)
		}
	}
}

func TestAReadThatTurnsIntoAWriteIsRetryable(t *testing.T) {
	t.Parallel()
	// Not through our pools, which begin IMMEDIATE so that this cannot happen.
	path := t.TempDir() + "/a.db"
	a, b := sqlOpen(t, "file:"+path+"?_pragma=journal_mode(WAL)"), sqlOpen(t, "file:"+path)
	if _, err := a.Exec("CREATE TABLE t (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	tx, err := a.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Exec("INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO t VALUES (1)"); !database.IsRetryable(err) {
		t.Errorf("%v; want retryable", err)
	}
}

// After a violation a savepoint saves the transaction on PostgreSQL; on SQLite it goes on anyway.
func TestASavepointSurvivesAViolation(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		mustExec(t, db.Write, "CREATE TABLE t (n INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
		err := db.Write.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			inner := tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO t VALUES (1)")
				return err
			})
			if _, ok := database.UniqueViolation(inner); !ok {
				return errors.Join(errors.New("no violation"), inner)
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO t VALUES (2)")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, db.Read); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
	})
}
