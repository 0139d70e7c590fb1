package database

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/migrate"

	"accession/platform/problem"
)

//go:embed migrations
var embedded embed.FS

// A Migration is one step of the tables, as it stands in one database.
type Migration struct {
	Name      string    // "0001_log"; only "0001" if this binary does not know it
	AppliedAt time.Time // zero while it is pending
	Unknown   bool      // a newer binary applied it
}

// Migrate brings the tables up to date: it applies what is pending of fsys, which holds files named NNNN_name.tx.up.sql for
// the dialect of db; nil means the migrations of this binary. Each runs in a transaction together with the note that it was
// applied, so it is there wholly or not at all, also after a crash.
//
// Any number of processes may call it at once on PostgreSQL: one migrates, the others wait for it, bounded by ctx, and find
// nothing left to do. A SQLite file has only one process that writes. If nothing is pending it writes nothing.
//
// The errors for people are Unavailable with the code database-newer, when a newer binary has been at work (nothing is
// changed then) or database-busy, when a table stayed locked; and Internal with the code migration-failed, when a migration
// is wrong: those before it stay.
func Migrate(ctx context.Context, db *DB, fsys fs.FS) error {
	set, err := load(db.Dialect, fsys)
	if err != nil {
		return err
	}
	if db.readOnly {
		return problem.New(problem.Usage, "database-read-only", "%s is open for reading only and cannot be migrated.", db.location)
	}
	if pending, err := set.pending(ctx, db, db.Write); err != nil || len(pending) == 0 {
		return err
	}
	return alone(ctx, db, func(session *bun.DB) error {
		pending, err := set.pending(ctx, db, session) // somebody may have been faster
		if err != nil || len(pending) == 0 {
			return err
		}
		return set.run(ctx, session)
	})
}

// Status lists the migrations in order: those of fsys (nil: of this binary), and those that a newer binary applied.
func Status(ctx context.Context, db *DB, fsys fs.FS) ([]Migration, error) {
	set, err := load(db.Dialect, fsys)
	if err != nil {
		return nil, err
	}
	return set.status(ctx, db.Read)
}

// CheckCurrent is for commands that only read: it returns an Unavailable error if the tables are not those of fsys (nil:
// of this binary), with the code database-behind or database-newer, that says what to do.
func CheckCurrent(ctx context.Context, db *DB, fsys fs.FS) error {
	set, err := load(db.Dialect, fsys)
	if err != nil {
		return err
	}
	pending, err := set.pending(ctx, db, db.Read)
	if err != nil || len(pending) == 0 {
		return err
	}
	return problem.New(problem.Unavailable, "database-behind",
		"The database %s lacks %s. Run `accession migrate up` on it.", db.location, strings.Join(pending, ", "))
}

// migrations are those that a binary knows.
type migrations struct {
	*migrate.Migrations
	names map[string]string // "0001" → "0001_log"; bun keeps only the number
}

// Numbers of equal length, because they are sorted as text. Only .tx.up.sql, because a migration without a transaction can
// be left half-way.
var migrationName = regexp.MustCompile(`^((\d{4})_[a-z0-9_]+)\.tx\.up\.sql$`)

func load(d Dialect, fsys fs.FS) (*migrations, error) {
	if fsys == nil {
		var err error
		if fsys, err = fs.Sub(embedded, "migrations/"+string(d)); err != nil {
			return nil, fmt.Errorf("load migrations: %w", err)
		}
	}
	files, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("load migrations: %w", err)
	}
	set := &migrations{migrate.NewMigrations(), map[string]string{}}
	for _, file := range files {
		m := migrationName.FindStringSubmatch(file)
		if m == nil {
			return nil, fmt.Errorf("load migrations: %s is not named NNNN_name.tx.up.sql", file)
		}
		if other, taken := set.names[m[2]]; taken {
			return nil, fmt.Errorf("load migrations: %s and %s have the same number", other, m[1])
		}
		set.names[m[2]] = m[1]
	}
	if err := set.Discover(fsys); err != nil {
		return nil, fmt.Errorf("load migrations: %w", err)
	}
	if len(set.Sorted()) != len(set.names) { // bun looks into directories, too
		return nil, errors.New("load migrations: there are some in a directory below")
	}
	return set, nil
}

// table is where bun notes what was applied.
const table = "bun_migrations"

// status compares what is known with what was applied.
func (set *migrations) status(ctx context.Context, db *bun.DB) ([]Migration, error) {
	applied, err := applied(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read applied migrations: %w", err)
	}
	var list []Migration
	for number, name := range set.names {
		list = append(list, Migration{Name: name, AppliedAt: applied[number]})
		delete(applied, number)
	}
	for number, at := range applied {
		list = append(list, Migration{Name: number, AppliedAt: at, Unknown: true})
	}
	slices.SortFunc(list, func(a, b Migration) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func applied(ctx context.Context, db *bun.DB) (map[string]time.Time, error) {
	var exists bool
	query := "SELECT to_regclass(?) IS NOT NULL"
	if db.Dialect().Name() == dialect.SQLite {
		query = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)"
	}
	if err := db.NewRaw(query, table).Scan(ctx, &exists); err != nil || !exists {
		return nil, err
	}
	var rows []migrate.Migration
	if err := db.NewRaw("SELECT name, migrated_at FROM "+table).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	at := make(map[string]time.Time, len(rows))
	for _, r := range rows {
		at[r.Name] = r.MigratedAt
	}
	return at, nil
}

// pending are the names of those to apply, in order. That a newer binary has been at work is an error.
func (set *migrations) pending(ctx context.Context, of *DB, db *bun.DB) ([]string, error) {
	list, err := set.status(ctx, db)
	if err != nil {
		return nil, err
	}
	var pending []string
	for _, m := range list {
		switch {
		case m.Unknown:
			return nil, problem.New(problem.Unavailable, "database-newer",
				"The database %s was migrated by a newer version of accession (it has %s, which this one does not know). "+
					"Upgrade accession.", of.location, m.Name)
		case m.AppliedAt.IsZero():
			pending = append(pending, m.Name)
		}
	}
	return pending, nil
}

// run applies what is pending. The caller sees to it that nobody else does so at the same time.
func (set *migrations) run(ctx context.Context, db *bun.DB) error {
	migrator := migrate.NewMigrator(db, set.Migrations,
		migrate.WithTableName(table),
		// Without this bun notes even a failed migration as applied.
		migrate.WithMarkAppliedOnSuccess(true),
		// bun makes its note after the migration's transaction, so that a crash between the two would run it again. The hook
		// makes the same note inside; bun's own then changes nothing, because of WithUpsert.
		migrate.WithUpsert(true),
		migrate.AfterMigration(func(ctx context.Context, tx bun.IConn, m *migrate.Migration) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO "+table+" (name, group_id) VALUES (?, ?)", m.Name, m.GroupID)
			return err
		}),
	)
	if err := migrator.Init(ctx); err != nil { // its table of locks stays empty: a crash would leave them locked
		return fmt.Errorf("create table of migrations: %w", err)
	}
	group, err := migrator.Migrate(ctx)
	if err == nil {
		return nil
	}
	name := "A migration"
	if n := len(group.Migrations); n > 0 {
		name = "Migration " + set.names[group.Migrations[n-1].Name]
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("migrate database: %w", err)
	case IsBusy(err) || IsRetryable(err):
		return problem.New(problem.Unavailable, "database-busy",
			"%s could not be applied, because something else uses the tables. It was undone; try again.", name).Because(err)
	case IsConnection(err):
		return problem.New(problem.Unavailable, "database-unavailable",
			"The connection was lost during the migrations. Start them again: what was finished stays, the rest was undone.").Because(err)
	}
	return problem.New(problem.Internal, "migration-failed",
		"%s does not work on this database. It was undone; those before it stay.", name).Because(err)
}

// alone calls f while nobody else migrates the database, with what to migrate it through.
func alone(ctx context.Context, db *DB, f func(*bun.DB) error) error {
	if db.Dialect == SQLite {
		db.migrating.Lock() // the other processes are kept out by the lock on the file
		defer db.migrating.Unlock()
		return f(db.Write)
	}
	session, err := db.session()
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	defer session.Close() // and so the lock ends, as it does if we are killed

	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_lock(?)", migrationLock); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	// Waiting for another migration has no limit but ctx; waiting for a table has, because everybody queues up behind.
	if _, err := session.ExecContext(ctx, "SELECT set_config('lock_timeout', ?, false)",
		fmt.Sprint(milliseconds(db.config.LockTimeout, 0))); err != nil {
		return fmt.Errorf("limit waiting for tables: %w", err)
	}
	return f(session)
}

// migrationLock is the key of the advisory lock, the same in every version of this binary.
const migrationLock int64 = 0x616363657373 // "access"
