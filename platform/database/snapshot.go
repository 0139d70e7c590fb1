package database

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/uptrace/bun"
)

// Snapshot calls look with one state of the database: whatever it reads belongs together. look must not keep db.
func (db *DB) Snapshot(ctx context.Context, look func(ctx context.Context, db bun.IDB) error) error {
	var opts *sql.TxOptions // SQLite's transactions see one state anyway
	if db.Dialect == Postgres {
		opts = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	tx, err := db.Read.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin snapshot: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // there is nothing to undo
	return look(ctx, tx)
}
