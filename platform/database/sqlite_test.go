package database_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/problem"
)

func TestAPathIsTakenAsItStands(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain.db", "with space.db", "ask?mode=ro.db", "number#1.db", "100%.db", "%20.db", "a&b=c.db", "ünï.db", "file:x.db", ":memory:x"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), name)
			db := open(t, database.Config{URL: "sqlite:" + path})
			mustExec(t, db.Write, "CREATE TABLE t (n INTEGER)")
			if got := db.Location(); got != path {
				t.Errorf("Location() = %q, want %q", got, path)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{name, name + "-shm", name + "-wal"}, files(t, filepath.Dir(path))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			reader := open(t, database.Config{URL: "sqlite:" + path, ReadOnly: true})
			if n := count(t, reader.Read); n != 0 {
				t.Errorf("%d rows", n)
			}
		})
	}
}

func TestARelativePathStartsAtTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir()) // so not parallel
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, database.Config{})
	if got, want := db.Location(), filepath.Join(wd, "accession.db"); got != want {
		t.Errorf("Location() = %q, want %q", got, want)
	}
}

func TestSettingsOfSQLite(t *testing.T) {
	t.Parallel()
	path := "sqlite:" + filepath.Join(t.TempDir(), "a.db")
	db, err := database.Open(t.Context(), database.Config{URL: path}) // without the tests' Synchronous
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, c := range []struct {
		pool           *bun.DB
		pragma, expect string
	}{
		{db.Write, "journal_mode", "wal"},
		{db.Write, "synchronous", "2"},
		{db.Write, "foreign_keys", "1"},
		{db.Write, "busy_timeout", "5000"},
		{db.Write, "query_only", "0"},
		{db.Read, "query_only", "1"},
		{db.Read, "busy_timeout", "5000"},
	} {
		var got string
		if err := c.pool.QueryRow("PRAGMA " + c.pragma).Scan(&got); err != nil || got != c.expect {
			t.Errorf("%s = %q, %v; want %q", c.pragma, got, err, c.expect)
		}
	}
	if n := db.Write.DB.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections write, want 1", n)
	}
	if _, err := db.Read.Exec("CREATE TABLE t (n INTEGER)"); err == nil {
		t.Error("Read writes")
	}
	if _, err := db.Write.Exec(`SELECT "no_such_column"`); err == nil {
		t.Error("a name that does not exist is taken for a string")
	}
}

func TestWritersAndReadersNeverMeetBusy(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"file": "sqlite:" + filepath.Join(t.TempDir(), "a.db"), "memory": "sqlite::memory:"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, database.Config{URL: url})
			mustExec(t, db.Write, "CREATE TABLE t (n INTEGER PRIMARY KEY)")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()

			const writers, each = 8, 40
			gate := make(chan struct{})
			var writing, reading sync.WaitGroup
			for range writers {
				writing.Go(func() {
					<-gate
					for range each {
						err := db.Write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
							var last int
							if err := tx.NewRaw("SELECT coalesce(max(n), 0) FROM t").Scan(ctx, &last); err != nil {
								return err
							}
							// A reader inside a write transaction sees what was committed, and waits for nobody.
							var seen int
							if err := db.Read.NewRaw("SELECT coalesce(max(n), 0) FROM t").Scan(ctx, &seen); err != nil {
								return err
							}
							if seen != last {
								return fmt.Errorf("read %d beside %d", seen, last)
							}
							_, err := tx.NewRaw("INSERT INTO t VALUES (?)", last+1).Exec(ctx)
							return err
						})
						if err != nil {
							t.Errorf("write: %v", err)
							return
						}
					}
				})
			}
			for range 4 {
				reading.Go(func() {
					<-gate
					for last := 0; ctx.Err() == nil; {
						var n, highest int
						err := db.Read.NewRaw("SELECT count(*), coalesce(max(n), 0) FROM t").Scan(ctx, &n, &highest)
						switch {
						case ctx.Err() != nil:
						case err != nil:
							t.Errorf("read: %v", err)
							return
						case n != highest || n < last:
							t.Errorf("read %d rows up to %d after %d", n, highest, last)
							return
						}
						last = n
					}
				})
			}
			close(gate)
			writing.Wait()
			cancel()
			reading.Wait()
			if n := count(t, db.Read); n != writers*each {
				t.Errorf("%d rows, want %d", n, writers*each)
			}
		})
	}
}

func TestAnOpenReaderDoesNotHinderAWriter(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"sqlite:" + filepath.Join(t.TempDir(), "a.db"), "sqlite::memory:"} {
		db := open(t, database.Config{URL: url})
		mustExec(t, db.Write, "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1), (2), (3)")
		rows, err := db.Read.Query("SELECT n FROM t")
		if err != nil {
			t.Fatal(err)
		}
		rows.Next() // and stays in the middle
		mustExec(t, db.Write, "INSERT INTO t VALUES (4)")
		if n := count(t, db.Read); n != 4 {
			t.Errorf("%d rows, want 4", n)
		}
		left := 0
		for rows.Next() {
			left++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || left != 2 {
			t.Errorf("the open reader saw %d more rows, %v; want 2", left, err)
		}
	}
}

func TestMemoryIsPrivateAndGoneAfterwards(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp) // so not parallel
	a := open(t, database.Config{URL: "sqlite::memory:"})
	b := open(t, database.Config{URL: "sqlite::memory:"})
	mustExec(t, a.Write, "CREATE TABLE t (n INTEGER)")
	if _, err := b.Read.Exec("SELECT * FROM t"); err == nil {
		t.Error("two memory databases share a table")
	}
	if !strings.HasPrefix(a.Location(), "memory") {
		t.Errorf("Location() = %q", a.Location())
	}
	if err := errors.Join(a.Close(), b.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, temp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	_, err := database.Open(t.Context(), database.Config{URL: "sqlite::memory:", ReadOnly: true})
	wantProblem(t, err, problem.Usage, "database-url")
}

func TestOneWriterPerFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accession.db")
	link := filepath.Join(t.TempDir(), "link.db")

	holder := start(t, "hold", "sqlite:"+path)
	holder.expect("open")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Dir(path) + "/./accession.db", link} {
		_, err := database.Open(t.Context(), database.Config{URL: "sqlite:" + p})
		wantProblem(t, err, problem.Unavailable, "database-in-use",
			fmt.Sprintf("%s is in use by another accession process (pid %d). Stop it, or use PostgreSQL to run several processes.", path, holder.cmd.Process.Pid))
	}
	holder.kill(syscall.SIGKILL)
	db := open(t, database.Config{URL: "sqlite:" + path})

	_, err := database.Open(t.Context(), database.Config{URL: "sqlite:" + link})
	wantProblem(t, err, problem.Unavailable, "database-in-use", path, "already open", "this process")

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, database.Config{URL: "sqlite:" + path})
}

func TestAReaderChangesNothing(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T) string {
		path := filepath.Join(publicDir(t), "a.db")
		start(t, "write-and-close", "sqlite:"+path).expect("written")
		giveAway(t, path) // so that the reader could write if it wanted to
		return path
	}
	remove := func(t *testing.T, path string, suffixes ...string) {
		for _, s := range suffixes {
			if err := os.Remove(path + s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, prepare := range map[string]func(t *testing.T) (path string){
		"of a file that a writer closed": prepare,
		"of a copy of the file alone": func(t *testing.T) string {
			path := prepare(t)
			remove(t, path, "-wal", "-shm")
			return path
		},
		"of a file whose writer was killed": func(t *testing.T) string {
			path := prepare(t)
			p := start(t, "hold", "sqlite:"+path)
			p.expect("open")
			p.kill(syscall.SIGKILL)
			return path
		},
		"beside a writer": func(t *testing.T) string {
			path := prepare(t)
			start(t, "hold", "sqlite:"+path).expect("open")
			return path
		},
		"that it may read only": func(t *testing.T) string {
			path := prepare(t)
			chmod(t, 0o444, path, path+"-wal", path+"-shm")
			chmod(t, 0o555, filepath.Dir(path))
			return path
		},
		"of a copy that it may read only": func(t *testing.T) string {
			path := prepare(t)
			remove(t, path, "-wal", "-shm")
			chmod(t, 0o444, path)
			chmod(t, 0o555, filepath.Dir(path))
			return path
		},
		"that it may read only, beside a writer": func(t *testing.T) string {
			path := prepare(t)
			start(t, "hold", "sqlite:"+path).expect("open")
			chmod(t, 0o444, path, path+"-wal", path+"-shm")
			chmod(t, 0o555, filepath.Dir(path))
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := prepare(t)
			before := state(t, filepath.Dir(path))
			if got := runUnprivileged(t, "count", "sqlite:"+path); got != "rows: 1" {
				t.Errorf("the reader says %q", got)
			}
			if diff := cmp.Diff(before, state(t, filepath.Dir(path))); diff != "" {
				t.Errorf("the reader changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAReaderFollowsAWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	first := open(t, database.Config{URL: "sqlite:" + path})
	mustExec(t, first.Write, "CREATE TABLE t (n INTEGER)")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	reader := open(t, database.Config{URL: "sqlite:" + path, ReadOnly: true})
	if n := count(t, reader.Read); n != 0 {
		t.Fatalf("%d rows in the beginning", n)
	}
	total := 0
	for range 3 { // writers come and go
		writer := open(t, database.Config{URL: "sqlite:" + path})
		for i := range 20 {
			mustExec(t, writer.Write, "INSERT INTO t VALUES (1)")
			if i%5 == 0 {
				mustExec(t, writer.Write, "PRAGMA wal_checkpoint(TRUNCATE)")
			}
			total++
			if n := count(t, reader.Read); n != total {
				t.Fatalf("the reader sees %d rows of %d", n, total)
			}
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		if n := count(t, reader.Read); n != total {
			t.Fatalf("the reader sees %d rows of %d after the writer closed", n, total)
		}
	}
	if err := reader.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for _, query := range []string{"INSERT INTO t VALUES (2)", "CREATE TABLE u (n INTEGER)"} {
		if _, err := reader.Write.Exec(query); err == nil {
			t.Errorf("a read-only database does %s", query)
		}
	}
}

// A long read beside a writer in another process that checkpoints all the time keeps its snapshot.
func TestAReaderKeepsItsSnapshotBesideAWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	writer := open(t, database.Config{URL: "sqlite:" + path})
	mustExec(t, writer.Write, "CREATE TABLE t (n INTEGER)")
	mustExec(t, writer.Write, "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 5000) INSERT INTO t SELECT 0 FROM r")
	reader := open(t, database.Config{URL: "sqlite:" + path, ReadOnly: true})
	for round := range 10 {
		rows, err := reader.Read.Query("SELECT n FROM t")
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n != round {
				t.Fatalf("round %d: row %d has %d", round, seen, n)
			}
			if seen++; seen%1000 == 1 {
				mustExec(t, writer.Write, "UPDATE t SET n = ?", round+1)
				mustExec(t, writer.Write, "PRAGMA wal_checkpoint(PASSIVE)")
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || seen != 5000 {
			t.Fatalf("round %d: %d rows, %v", round, seen, err)
		}
	}
}

// A reader may not recover what a killed writer has left: it waits until a writer does.
func TestAReaderWaitsForAWriterToRecover(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	url := "sqlite:" + path
	start(t, "write-and-close", url).expect("written")
	writer := start(t, "hold-and-read", url)
	writer.expect("open")
	reader := open(t, database.Config{URL: url, ReadOnly: true})
	hasty := open(t, database.Config{URL: url, ReadOnly: true, LockTimeout: 1})

	// As a kill leaves it that comes while the index of the WAL is written: its header is in pieces.
	shm, err := os.OpenFile(path+"-shm", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = shm.WriteAt(make([]byte, 96), 0)
	if err := errors.Join(err, shm.Close()); err != nil {
		t.Fatal(err)
	}

	var n int
	if err := hasty.Read.QueryRow("SELECT count(*) FROM t").Scan(&n); !database.IsBusy(err) || database.IsRetryable(err) || database.IsConnection(err) {
		t.Errorf("a reader that does not wait is told %v; want busy", err)
	}
	_, err = database.Open(t.Context(), database.Config{URL: url, ReadOnly: true, LockTimeout: 1})
	wantProblem(t, err, problem.Unavailable, "database-unavailable", path+" is locked by another program")

	read := make(chan error)
	go func() {
		read <- reader.Snapshot(t.Context(), func(ctx context.Context, db bun.IDB) error {
			return db.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&n)
		})
	}()
	if _, err := io.WriteString(writer.in, "\n"); err != nil {
		t.Fatal(err)
	}
	writer.expect("rows: 1")
	if err := <-read; err != nil || n != 1 {
		t.Errorf("a reader that waits sees %d rows, %v", n, err)
	}
	if n := count(t, reader.Read); n != 1 {
		t.Errorf("afterwards there are %d rows", n)
	}
}

func TestAFileAloneIsTheDatabaseAfterClose(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, ctx context.Context, pool *bun.DB) bun.Tx {
		t.Helper()
		tx, err := pool.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	for name, before := range map[string]func(t *testing.T, db *database.DB){
		"when nothing is under way": func(*testing.T, *database.DB) {},
		"when a transaction was cancelled a moment ago": func(t *testing.T, db *database.DB) {
			ctx, cancel := context.WithCancel(t.Context())
			mustExecIn(t, begin(t, ctx, db.Write), "INSERT INTO t VALUES (2)")
			cancel()
		},
		"when the connection that writes was given up": func(t *testing.T, db *database.DB) {
			conn, err := db.Write.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		},
		"when a transaction ends while it waits": func(t *testing.T, db *database.DB) {
			tx := begin(t, t.Context(), db.Write)
			go func() { _ = tx.Rollback() }()
		},
		"when a reader ends while it waits": func(t *testing.T, db *database.DB) {
			tx := begin(t, t.Context(), db.Read)
			if err := tx.QueryRow("SELECT n FROM t").Scan(new(int)); err != nil {
				t.Fatal(err)
			}
			go func() { _ = tx.Rollback() }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				path := filepath.Join(t.TempDir(), "a.db")
				db := open(t, database.Config{URL: "sqlite:" + path})
				mustExec(t, db.Write, "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)")
				before(t, db)
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				if wal, err := os.Stat(path + "-wal"); err != nil || wal.Size() != 0 {
					t.Errorf("the WAL: %v, %v", wal, err)
				}
				alone := filepath.Join(t.TempDir(), "copy.db")
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				write(t, alone, string(b))
				copied := open(t, database.Config{URL: "sqlite:" + alone, ReadOnly: true})
				if n := count(t, copied.Read); n != 1 {
					t.Errorf("%d rows in a copy of the file, want 1", n)
				}
			}
		})
	}
}

func TestWhatIsWrongWithAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	write(t, garbage, strings.Repeat("this is not a database ", 400))
	short := filepath.Join(dir, "short.db")
	write(t, short, "hello")
	empty := filepath.Join(dir, "empty.db")
	write(t, empty, "")
	loop := filepath.Join(dir, "loop.db")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name, path string
		readOnly   bool
		code       string
		words      []string
	}{
		{name: "the directory is missing", path: dir + "/no/such/a.db", code: "database-unavailable", words: []string{dir + "/no/such", "does not exist"}},
		{name: "the directory is missing for a reader", path: dir + "/no/such/a.db", readOnly: true, code: "database-unavailable", words: []string{dir + "/no/such", "does not exist"}},
		{name: "the path is a directory", path: dir, code: "database-unavailable", words: []string{dir + " is a directory"}},
		{name: "the path is to be a directory", path: dir + "/new/", code: "database-unavailable", words: []string{dir + "/new/ is a directory"}},
		{name: "the directory is a file", path: garbage + "/a.db", code: "database-unavailable", words: []string{garbage + " is not a directory"}},
		{name: "the file is something else", path: garbage, code: "database-unavailable", words: []string{garbage + " is not a SQLite database"}},
		{name: "the file is something else, for a reader", path: garbage, readOnly: true, code: "database-unavailable", words: []string{garbage + " is not a SQLite database"}},
		{name: "the file is something else, and short", path: short, code: "database-unavailable", words: []string{short + " is not a SQLite database"}},
		{name: "the file is missing for a reader", path: dir + "/none.db", readOnly: true, code: "database-not-found", words: []string{"There is no database at " + dir + "/none.db"}},
		{name: "nothing can be created there", path: "/proc/a.db", code: "database-unavailable", words: []string{"/proc"}},
		{name: "the link leads nowhere", path: loop, code: "database-unavailable", words: []string{loop}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := database.Open(t.Context(), database.Config{URL: "sqlite:" + c.path, ReadOnly: c.readOnly})
			wantProblem(t, err, problem.Unavailable, c.code, c.words...)
		})
	}
	t.Cleanup(func() { // after all of them
		if diff := cmp.Diff([]string{"empty.db", "garbage.db", "loop.db", "short.db"}, files(t, dir)); diff != "" {
			t.Errorf("failing to open left files behind (-want +got):\n%s", diff)
		}
	})
}

func TestAnEmptyFileIsAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	write(t, path, "")
	reader := open(t, database.Config{URL: "sqlite:" + path, ReadOnly: true})
	wantProblem(t, database.CheckCurrent(t.Context(), reader, nil), problem.Unavailable, "database-behind", path)
	db := open(t, database.Config{URL: "sqlite:" + path})
	if err := database.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	if err := database.CheckCurrent(t.Context(), reader, nil); err != nil {
		t.Error(err)
	}
}

func TestPermissionsThatLack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		role    string
		prepare func(t *testing.T, path string)
		want    string // with the path for the first %s, its directory for the second
	}{
		"to write in the directory": {"write-and-close", func(t *testing.T, path string) {
			chmod(t, 0o555, filepath.Dir(path))
		}, "problem: database-unavailable: The directory %[2]s cannot be written to by this user, and SQLite needs to write beside %[1]s."},
		"to write to the file": {"write-and-close", func(t *testing.T, path string) {
			chmod(t, 0o444, path)
		}, "problem: database-unavailable: %[1]s is read-only for this user. Make it writable, or open it with a command that only reads."},
		"to read the file": {"count", func(t *testing.T, path string) {
			chmod(t, 0o000, path)
		}, "problem: database-unavailable: %[1]s cannot be opened by this user. Look at the permissions of the file and its directory."},
		"to look into the directory": {"count", func(t *testing.T, path string) {
			chmod(t, 0o000, filepath.Dir(path))
		}, "problem: database-unavailable: This user may not look into the directory %[2]s."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(publicDir(t), "a.db")
			start(t, "write-and-close", "sqlite:"+path).expect("written")
			giveAway(t, path)
			c.prepare(t, path)
			if got, want := runUnprivileged(t, c.role, "sqlite:"+path), fmt.Sprintf(c.want, path, filepath.Dir(path)); got != want {
				t.Errorf("it says\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAJournalWithoutItsIndexNeedsAWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	writer := open(t, database.Config{URL: "sqlite:" + path})
	mustExec(t, writer.Write, "CREATE TABLE t (n INTEGER)")
	backup := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} { // a careless backup
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		write(t, backup+suffix, string(b))
	}
	_, err := database.Open(t.Context(), database.Config{URL: "sqlite:" + backup, ReadOnly: true})
	wantProblem(t, err, problem.Unavailable, "database-unavailable", backup, "Start accession on it once")

	open(t, database.Config{URL: "sqlite:" + backup})
	reader := open(t, database.Config{URL: "sqlite:" + backup, ReadOnly: true})
	if n := count(t, reader.Read); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestBusyIsAnotherProgramThatHoldsTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	db := open(t, database.Config{URL: "sqlite:" + path, LockTimeout: 1})
	other := sqlOpen(t, "file:"+path+"?_txlock=immediate")
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	_, err = db.Write.Exec("CREATE TABLE t (n INTEGER)")
	if !database.IsBusy(err) || database.IsRetryable(err) || database.IsConnection(err) {
		t.Errorf("%v: busy %v, retryable %v, connection %v; want busy only", err, database.IsBusy(err), database.IsRetryable(err), database.IsConnection(err))
	}
}

func TestACancelledTransactionLeavesThePoolUsable(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		mustExec(t, db.Write, "CREATE TABLE t (n INTEGER)")
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			tx, err := db.Write.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec("INSERT INTO t VALUES (1)"); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := tx.Commit(); err == nil {
				t.Error("a cancelled transaction was committed")
			}
		}
		mustExec(t, db.Write, "INSERT INTO t VALUES (2)")
		if n := count(t, db.Read); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func mustExec(t *testing.T, db *bun.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func mustExecIn(t *testing.T, tx bun.Tx, query string) {
	t.Helper()
	if _, err := tx.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func count(t *testing.T, db *bun.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatalf("count: %v", err)
	}
	return n
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, mode fs.FileMode, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// giveAway gives a database file to the user that runUnprivileged runs as.
func giveAway(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Chown(path+suffix, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
}

// files are the names in dir.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

// state is what lies in dir, with its content and the time of the last change.
func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	s := map[string]string{}
	for _, name := range files(t, dir) {
		if name == "test" { // ours, see runUnprivileged
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s[name] = fmt.Sprintf("%v %x", info.ModTime(), b)
	}
	return s
}
