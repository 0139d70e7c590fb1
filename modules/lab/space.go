package lab

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"accession/platform/database"
	"accession/platform/problem"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// space is a database of the lab's own, migrated and empty, where the catalogue's lies: a schema of the same PostgreSQL
// database, or a file in the directory of the same SQLite file, whether that is there and in use or not.
type space struct {
	*database.DB
	drop func(context.Context) error // removes it, when DB is closed
}

// A space is known by its name, so that what a lab that was killed has left can be told from everything else.
var (
	schemaName = regexp.MustCompile(`^accession_lab_[0-9a-f]{12}$`)
	fileName   = regexp.MustCompile(`^accession-lab-[0-9a-f]{12}\.db$`)
)

func newName(prefix string) string {
	return prefix + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
}

// openSpace makes a space, after removing those that killed labs have left. The configuration is that of the catalogue's own
// database, and everything in it holds for the space too.
func openSpace(ctx context.Context, cfg database.Config) (*space, error) {
	s, err := placeFor(ctx, cfg.WithDefaults())
	if err != nil {
		return nil, err
	}
	if err := database.Migrate(ctx, s.DB, nil); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func placeFor(ctx context.Context, cfg database.Config) (*space, error) {
	switch path, isFile := strings.CutPrefix(cfg.URL, "sqlite:"); {
	case isFile && path == ":memory:":
		db, err := database.Open(ctx, cfg)
		return &space{db, func(context.Context) error { return nil }}, err
	case isFile:
		return newFile(ctx, cfg, path)
	}
	return newSchema(ctx, cfg)
}

// patience is how long removing a space may take.
const patience = time.Minute

// Close removes the space, also when the caller's context is over.
func (s *space) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(s.DB.Close(), s.drop(ctx))
}

// rest gives back the connections, until they are needed again: two spaces must not take twice as many as the server has.
func (s *space) rest() {
	if s.Dialect != database.Postgres {
		return
	}
	for _, pool := range []*bun.DB{s.Write, s.Read} {
		pool.SetMaxIdleConns(-1)
		pool.SetMaxIdleConns(pool.Stats().MaxOpenConnections)
	}
}

// glance makes a session of PostgreSQL find out what it has to know of the tables that commands write.
const glance = `SELECT FROM log_head, log_events, log_tags, log_units, register_guards, register_rows LIMIT 0`

// wake opens the connections that n writers will have, to write and to read, and lets each see the tables, so that no mode is
// measured by how many sessions it begins: a new one takes milliseconds that servers, which keep theirs, do not spend.
func (s *space) wake(ctx context.Context, n int) error {
	if s.Dialect != database.Postgres {
		return nil
	}
	var failed error
	var once sync.Once
	var opening sync.WaitGroup
	var conns []*bun.Conn
	for _, pool := range []*bun.DB{s.Write, s.Read} {
		for range min(n, pool.Stats().MaxOpenConnections) {
			conn := new(bun.Conn)
			conns = append(conns, conn)
			opening.Go(func() {
				c, err := pool.Conn(ctx)
				if err == nil {
					*conn = c
					_, err = c.ExecContext(ctx, glance)
				}
				if err != nil {
					once.Do(func() { failed = err })
				}
			})
		}
	}
	opening.Wait()
	had := 0
	for _, c := range conns { // all at once, or the pool would have handed out one of them again and again
		if c.Conn != nil {
			had++
			failed = errors.Join(failed, c.Close())
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed != nil && had < len(conns):
		return problem.New(problem.Unavailable, "lab-connections",
			"PostgreSQL gave the lab %d connections, but %d writers need %d. Let fewer write (--writers), or raise its max_connections.",
			had, n, len(conns)).Because(failed)
	}
	return database.Explain(failed)
}

// newFile makes a space in a file beside the one at path.
func newFile(ctx context.Context, cfg database.Config, path string) (*space, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the disk that the data is on
	}
	dir := filepath.Dir(path)
	sweepFiles(ctx, dir)
	file := filepath.Join(dir, newName("accession-lab-")+".db")
	cfg.URL = "sqlite:" + file
	db, err := database.Open(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, removeFile(file)) // it may have come so far before it was interrupted
	}
	return &space{db, func(context.Context) error { return removeFile(file) }}, nil
}

// sweepFiles removes what killed labs have left in dir. Who has a file open for writing holds its lock, and it stays.
func sweepFiles(ctx context.Context, dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // opening a file there will say what is wrong
	}
	for _, e := range entries {
		if !fileName.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		file := filepath.Join(dir, e.Name())
		db, err := database.Open(ctx, database.Config{URL: "sqlite:" + file, Synchronous: "OFF"})
		if err == nil && db.Close() == nil {
			_ = removeFile(file) // it is in nobody's way
		}
	}
}

// removeFile removes a database that nobody has open. What it is known by goes last.
func removeFile(file string) error {
	var errs []error
	for _, name := range []string{file + "-wal", file + "-shm", file} {
		if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// newSchema makes a space in a schema of the database. A session of its own holds a lock named after the schema for as long as
// the space lives, and loses it when the process dies, however it does.
func newSchema(ctx context.Context, cfg database.Config) (_ *space, err error) {
	owner := cfg
	owner.WriteConns, owner.ReadConns, owner.StatementTimeout = 1, 1, -1
	outside, err := database.Open(ctx, owner)
	if err != nil {
		return nil, err
	}
	session, err := outside.Write.Conn(ctx)
	if err != nil {
		return nil, errors.Join(database.Explain(err), outside.Close())
	}
	name := newName("accession_lab_")
	drop := func(ctx context.Context) error {
		_, err := session.ExecContext(ctx, `DROP SCHEMA IF EXISTS ? CASCADE`, bun.Ident(name))
		if err != nil {
			err = fmt.Errorf("drop schema %s: %w", name, err)
		}
		return errors.Join(err, session.Close(), outside.Close())
	}
	// The session is never interrupted, or it could not be said what became of the schema.
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	defer func() {
		if err != nil {
			err = errors.Join(err, drop(own))
		}
	}()
	sweepSchemas(own, session)
	if cfg.URL, err = within(cfg.URL, name); err != nil {
		return nil, err
	}
	if _, err := session.ExecContext(own, `SELECT pg_advisory_lock(?, ?)`, lockClass, lockKey(name)); err != nil {
		return nil, fmt.Errorf("lock schema: %w", database.Explain(err))
	}
	if _, err := session.ExecContext(own, `CREATE SCHEMA ?`, bun.Ident(name)); err != nil {
		return nil, problem.New(problem.Unavailable, "lab-schema",
			"The lab needs a schema of its own in %s, and could not make one: its user needs the privilege CREATE there.", outside.Location()).Because(err)
	}
	db, err := database.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &space{db, drop}, nil
}

// within is the URL with which every connection finds the schema, and nothing else.
func within(database, schema string) (string, error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", errors.New("parse database URL") // it was opened before, and the cause would repeat the password
	}
	q := u.Query()
	for k := range q {
		if strings.EqualFold(k, "search_path") {
			q.Del(k)
		}
	}
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// lockClass is the first key of the advisory locks, the same in every version of this binary.
const lockClass int32 = 0x6c6162 // "lab"

func lockKey(schema string) int32 { return int32(crc32.ChecksumIEEE([]byte(schema))) }

// sweepSchemas drops what killed labs have left. Who works in a schema holds its lock, and it stays; so does what this user may
// not drop.
func sweepSchemas(ctx context.Context, session bun.Conn) {
	var names []string
	if err := session.NewRaw(`SELECT nspname FROM pg_namespace WHERE nspname LIKE 'accession\_lab\_%'`).Scan(ctx, &names); err != nil {
		return // making a schema will say what is wrong
	}
	for _, name := range names {
		if !schemaName.MatchString(name) {
			continue
		}
		var mine bool
		if err := session.NewRaw(`SELECT pg_try_advisory_lock(?, ?)`, lockClass, lockKey(name)).Scan(ctx, &mine); err != nil || !mine {
			continue
		}
		_, _ = session.ExecContext(ctx, `DROP SCHEMA IF EXISTS ? CASCADE`, bun.Ident(name))
		_, _ = session.ExecContext(ctx, `SELECT pg_advisory_unlock(?, ?)`, lockClass, lockKey(name))
	}
}
