package database

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/lib/pq"
	"github.com/uptrace/bun"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	// Write is the pool for transactions that change something. With SQLite it has one connection: inside a transaction on
	// it, use the transaction; Write itself would wait for it until the context ends.
	Write *bun.DB
	// Read is the pool for everything else; the database refuses changes through it. It sees what was committed.
	Read *bun.DB

	Dialect Dialect

	location string
	readOnly bool
	config   Config
	server   pq.Config // PostgreSQL: what the pools connect with

	migrating sync.Mutex // SQLite: one Migrate at a time; other processes are kept out by the lock on the file

	settle  func() error // what is to be done before the pools are closed; may be nil
	close   func() error // what there is to close besides the pools; may be nil
	closing sync.Once
	closed  error
}

// Open opens the database of cfg and makes sure that it answers. It creates a SQLite file that is missing, but no table:
// that is what [Migrate] does.
//
// The errors are for people (*problem.Error): Usage for a configuration that cannot work; Unavailable for a database that
// cannot be had now, with the code database-in-use when another process has the file, and else database-unavailable,
// database-not-found or database-login.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	switch {
	case t.server != nil:
		return openPostgres(ctx, cfg, t.server)
	case t.memory:
		return openMemory(ctx, cfg)
	default:
		return openSQLite(ctx, cfg, t.path)
	}
}

// Ping asks the database whether it answers, through both pools.
func (db *DB) Ping(ctx context.Context) error {
	for _, pool := range []*bun.DB{db.Write, db.Read} {
		if err := pool.PingContext(ctx); err != nil {
			return fmt.Errorf("ping database: %w", err)
		}
	}
	return nil
}

// Location says where the data lies, for people: the absolute path of the file, or the URL of the server without its password.
func (db *DB) Location() string { return db.location }

// Close closes the pools and then lets other processes have the file. End what uses the database first; on SQLite Close waits
// some seconds for the last transaction that writes, and it is an error if that goes on, unprotected.
//
// A SQLite file alone is the whole database afterwards: what was in the WAL is in it, unless somebody reads on for longer than
// Close waits; then the next writer sees to it. Closing again does nothing and gives the same error.
func (db *DB) Close() error {
	db.closing.Do(func() {
		if db.settle != nil {
			db.closed = db.settle()
		}
		db.closed = errors.Join(db.closed, db.Read.Close(), db.Write.Close())
		if db.close != nil {
			db.closed = errors.Join(db.closed, db.close())
		}
	})
	return db.closed
}
