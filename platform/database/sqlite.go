package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"accession/platform/problem"
)

// openMemory opens a private file that is gone at Close; the package comment says why.
func openMemory(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.ReadOnly {
		return nil, problem.New(problem.Usage, "database-url",
			"sqlite::memory: begins empty and belongs to one process: there is nothing to read in it. Name a file.")
	}
	dir, err := os.MkdirTemp("", "accession-memory-")
	if err != nil {
		return nil, problem.New(problem.Unavailable, "database-unavailable",
			"The directory for temporary files, %s, cannot be written to.", os.TempDir()).Because(err)
	}
	cfg.Synchronous = "OFF" // what is gone at the end anyway need not survive a power cut
	db, err := openSQLite(ctx, cfg, filepath.Join(dir, "memory.db"))
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	db.location = "memory (gone when the process ends)"
	db.settle = nil // nobody will look at the file
	unlock := db.close
	db.close = func() error { return errors.Join(unlock(), os.RemoveAll(dir)) }
	return db, nil
}

func openSQLite(ctx context.Context, cfg Config, path string) (_ *DB, err error) {
	if path, err = inspect(path); err != nil {
		return nil, err
	}
	if cfg.ReadOnly {
		return openSQLiteReadOnly(ctx, cfg, path)
	}
	unlock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	db := &DB{Dialect: SQLite, location: path, config: cfg, close: unlock}
	busy := "busy_timeout(" + strconv.FormatInt(milliseconds(cfg.LockTimeout, math.MaxInt32), 10) + ")"

	dialect := sqlitedialect.New()
	db.Write = bun.NewDB(sqlitePool(1, writerConnector(fileURI(path, url.Values{
		"mode":    {"rwc"},
		"_txlock": {"immediate"},
		"_dqs":    {"0"}, // "no_such_column" is an error, not a string
		"_pragma": {
			busy, // first, so that the others wait too
			"journal_mode(WAL)",
			"synchronous(" + cfg.Synchronous + ")",
			"foreign_keys(1)",
			"journal_size_limit(67108864)", // give the disk back after an import
			"temp_store(2)",                // what one statement could undo is kept in memory, not written to a file for each
		},
	}))), dialect)
	db.Read = bun.NewDB(sqlitePool(cfg.ReadConns, writerConnector(fileURI(path, url.Values{
		"mode":    {"rw"},
		"_dqs":    {"0"},
		"_pragma": {busy, "query_only(1)"},
	}))), dialect)

	if err := probeWriter(ctx, db); err != nil {
		_ = db.Close()
		return nil, sqliteProblem(path, err)
	}
	db.settle = db.takeOver
	return db, nil
}

// takeOver takes over what is in the WAL, so that the file alone is the whole database. It has the one connection that writes for
// that, and so waits for its last transaction: one whose context has ended gives it back a moment after whoever began it has
// gone on.
//
// SQLite does it by itself when the last connection is closed, but not if that is one that only reads, nor while anybody reads.
func (db *DB) takeOver() error {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	conn, err := db.Write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("close database: wait for the last transaction: %w", err)
	}
	// What it returns is whether a reader was in its way for all that time, which does no harm.
	_, err = conn.ExecContext(context.Background(),
		"PRAGMA busy_timeout = "+strconv.FormatInt(closePatience.Milliseconds(), 10)+"; PRAGMA wal_checkpoint(TRUNCATE)")
	if err := errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("close database: take over the WAL: %w", err)
	}
	return nil
}

// closePatience is how long takeOver waits for the last transaction, and then for readers.
const closePatience = 5 * time.Second

// probeWriter makes sure that the file is a database, in WAL mode, and can be written to.
func probeWriter(ctx context.Context, db *DB) error {
	var mode string
	if err := db.Write.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %s: %w", mode, errNoWAL)
	}
	tx, err := db.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// On a file that it may only read SQLite begins even an IMMEDIATE transaction. Only a change will do.
	_, err = tx.ExecContext(ctx, "CREATE TABLE accession_probe (n INTEGER)")
	if err := errors.Join(err, tx.Rollback()); err != nil {
		return err
	}
	return db.Read.PingContext(ctx)
}

var errNoWAL = errors.New("the file system has no shared memory")

func openSQLiteReadOnly(ctx context.Context, cfg Config, path string) (*DB, error) {
	db := &DB{Dialect: SQLite, location: path, config: cfg, readOnly: true}
	pool := sqlitePool(cfg.ReadConns, readerConnector{path, milliseconds(cfg.LockTimeout, math.MaxInt32)})
	// No idle connections: an immutable one must not be kept until a writer has come.
	pool.SetMaxIdleConns(-1)
	db.Read = bun.NewDB(pool, sqlitedialect.New())
	db.Write = db.Read

	var n int
	if err := db.Read.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
		_ = db.Close()
		return nil, sqliteProblem(path, err)
	}
	return db, nil
}

// inspect resolves path, so that one file has one lock whatever links lead to it, and says what is wrong with it as far as
// that can be seen without opening it. Opening is left to SQLite alone: the locks it has on a file end when anything else
// in the process closes that file.
func inspect(path string) (string, error) {
	unavailable := func(code, format string, args ...any) error {
		return problem.New(problem.Unavailable, code, format, args...)
	}
	if path != filepath.Clean(path) {
		return "", unavailable("database-unavailable", "%s is a directory. Name a file in it, such as sqlite:%s.",
			path, filepath.Join(path, "accession.db"))
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	} else if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	switch info, err := os.Stat(filepath.Dir(path)); {
	case errors.Is(err, fs.ErrPermission):
		return "", unavailable("database-unavailable", "This user may not look into the directory %s.", filepath.Dir(path))
	case err != nil:
		return "", unavailable("database-unavailable", "The directory %s does not exist. Create it, or name another file.", filepath.Dir(path))
	case !info.IsDir():
		return "", unavailable("database-unavailable", "%s is not a directory, so there can be no database in it.", filepath.Dir(path))
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrPermission):
		return "", unavailable("database-unavailable", "This user may not look into the directory %s.", filepath.Dir(path))
	case err == nil && info.IsDir():
		return "", unavailable("database-unavailable", "%s is a directory. Name a file in it, such as sqlite:%s.",
			path, filepath.Join(path, "accession.db"))
	}
	return path, nil
}

func sqlitePool(conns int, c driver.Connector) *sql.DB {
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool
}

// writerConnector connects in a way that PATH-wal and PATH-shm outlive the last connection: see the package comment.
func writerConnector(dsn string) driver.Connector {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		panic(err) // we made the dsn
	}
	return keepWAL{c}
}

type keepWAL struct{ driver.Connector }

func (k keepWAL) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(sqlite.FileControl).FileControlPersistWAL("main", 1); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// readerConnector opens a file without creating or writing anything. What that takes depends on what lies beside the file
// at the time.
type readerConnector struct {
	path string
	busy int64 // milliseconds
}

func (r readerConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if _, err := os.Stat(r.path); err != nil {
		return nil, err
	}
	params := url.Values{
		"mode":    {"ro"},
		"_dqs":    {"0"},
		"_pragma": {"busy_timeout(" + strconv.FormatInt(r.busy, 10) + ")", "query_only(1)"},
	}
	wal, noWAL := os.Stat(r.path + "-wal")
	_, noSHM := os.Stat(r.path + "-shm")
	switch {
	case noWAL == nil && noSHM == nil:
		// A writer is there, or was. This is SQLite's own protocol, but for the index of the WAL, which would be written to.
		// (The connections of one process share how they have it open: in one process, open the writer first.)
		params.Set("readonly_shm", "1")
	case noWAL == nil && wal.Size() > 0:
		return nil, errNoSHM
	default:
		// A copy: everything is in the file. Without this SQLite would create both others.
		params.Set("immutable", "1")
	}
	c, err := sqlite.NewConnector(fileURI(r.path, params))
	if err != nil {
		return nil, err
	}
	conn, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return readerConn{conn.(sqliteConn), time.Duration(r.busy) * time.Millisecond}, nil
}

// sqliteConn is all that database/sql looks for in a connection of SQLite's.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// readerConn waits for a writer to recover what another one that was killed has left. SQLite's busy timeout does not count
// there: it answers at once that a reader may not do that itself.
type readerConn struct {
	sqliteConn
	busy time.Duration
}

func (c readerConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	late := time.Now().Add(c.busy)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		rows, err := c.sqliteConn.QueryContext(ctx, query, args)
		if !sqliteRecovering(sqliteCode(err)) || !time.Now().Before(late) {
			return rows, err
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return nil, ctx.Err()
		}
	}
}

var errNoSHM = errors.New("the -wal file has no -shm file")

func (readerConnector) Driver() driver.Driver { return &sqlite.Driver{} }

// sqliteProblem says for people why the file at path could not be opened.
func sqliteProblem(path string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("open database: %w", err)
	}
	code, format := "database-unavailable", "%s cannot be opened as a database."
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code, format = "database-not-found", "There is no database at %s."
	case errors.Is(err, errNoWAL):
		format = "%s cannot be used: its file system lacks the shared memory that SQLite needs. Use a local disk."
	case errors.Is(err, errNoSHM):
		format = "%s was not closed, and what was written last can only be taken over by a writer. Start accession on it once, then read."
	}
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_NOTADB:
		format = "%s is not a SQLite database. It was left as it is; name another file."
	case sqlite3.SQLITE_READONLY:
		format = "%s is read-only for this user. Make it writable, or open it with a command that only reads."
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		format = "%s cannot be opened by this user. Look at the permissions of the file and its directory."
	case sqlite3.SQLITE_CORRUPT:
		format = "%s is damaged. Restore it from a backup."
	case sqlite3.SQLITE_FULL:
		format = "The disk that holds %s is full."
	case sqlite3.SQLITE_IOERR:
		format = "%s could not be read or written: the disk, or what stands in for it, reports an error."
	}
	if IsBusy(err) {
		format = "%s is locked by another program. Close that, or try again."
	}
	return problem.New(problem.Unavailable, code, format, path).Because(err)
}
