package database

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// UniqueViolation reports whether err is a row that a unique index did not let in, and which index. PostgreSQL gives its
// name. SQLite gives the columns, as in "streams.stream, streams.version", and the name only of an index over expressions.
// On PostgreSQL the transaction is over then, unless a savepoint was set.
func UniqueViolation(err error) (constraint string, ok bool) {
	if e := pq.As(err, pqerror.UniqueViolation); e != nil {
		return e.Constraint, true
	}
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return sqliteUnique(err.Error()), true
	}
	return "", false
}

// IsNull reports whether err is a row that lacks a value it must have. On PostgreSQL the transaction is over then.
func IsNull(err error) bool {
	return sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_NOTNULL || pq.As(err, pqerror.NotNullViolation) != nil
}

// sqliteUnique reads what was violated from SQLite's message, the only place where it says so:
//
//	… UNIQUE constraint failed: t.a, t.b (2067)
//	… UNIQUE constraint failed: index 'by_name' (2067)
func sqliteUnique(message string) string {
	_, what, ok := strings.Cut(message, "UNIQUE constraint failed: ")
	if !ok {
		return ""
	}
	if i := strings.LastIndex(what, " ("); i >= 0 {
		what = what[:i]
	}
	if name, ok := strings.CutPrefix(what, "index '"); ok {
		return strings.TrimSuffix(name, "'")
	}
	return what
}

// IsBusy reports whether err is a lock that somebody else held for too long (see [Config].LockTimeout); or, to who may only read a
// SQLite file, a writer that did not finish recovering it for as long. Nothing was done.
func IsBusy(err error) bool {
	return sqliteBusy(sqliteCode(err)) || pq.As(err, pqerror.LockNotAvailable) != nil
}

// BusyIn is the table whose lock was waited for in vain, as far as PostgreSQL's words for the circumstances name it; the quotes
// around the name depend on the server's language.
func BusyIn(err error, table string) bool {
	e := pq.As(err, pqerror.LockNotAvailable)
	return e != nil && strings.Contains(e.Where, table)
}

func sqliteBusy(code int) bool {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return true
	}
	return sqliteRecovering(code)
}

// sqliteRecovering is what a reader is told at a moment at which a writer has to mend PATH-wal or PATH-shm, after a kill or when it
// has only begun. The code looks like that of a file that may not be written to, but passes.
func sqliteRecovering(code int) bool {
	return code == sqlite3.SQLITE_READONLY_RECOVERY || code == sqlite3.SQLITE_READONLY_CANTINIT
}

// IsRetryable reports whether err is the database asking to run the whole transaction again: it was chosen to give way in a
// deadlock, or what it read has changed meanwhile. Nothing was done.
func IsRetryable(err error) bool {
	return sqliteCode(err) == sqlite3.SQLITE_BUSY_SNAPSHOT ||
		pq.As(err, pqerror.TRSerializationFailure, pqerror.TRDeadlockDetected) != nil
}

// IsConnection reports whether err is a connection that was lost or could not be made. If it comes from COMMIT, or from a
// statement outside a transaction, nobody knows whether it was done; from any other statement of a transaction, nothing was.
// A context that ends during COMMIT leaves the same doubt and is not reported here: commit under [context.WithoutCancel].
func IsConnection(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	for _, lost := range []error{driver.ErrBadConn, errSessionLost, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, lost) {
			return true
		}
	}
	e := pq.As(err)
	if e == nil {
		return false
	}
	switch e.Code {
	case pqerror.AdminShutdown, pqerror.CrashShutdown, pqerror.CannotConnectNow, pqerror.IdleInTransactionSessionTimeout:
		return true
	}
	return strings.HasPrefix(string(e.Code), string(pqerror.ClassConnectionException))
}

// sqliteCode is SQLite's extended result code, or 0 if err has none.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
