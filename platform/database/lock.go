package database

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"accession/platform/problem"
)

// lockFile makes this process the only one that writes to the SQLite file at path, until release or the end of the process,
// however it ends. Readers do not ask for it.
func lockFile(path string) (release func() error, _ error) {
	name := path + ".lock"
	for {
		l := flock.New(name, flock.SetPermissions(0o644))
		switch ok, err := l.TryLock(); {
		case err != nil:
			return nil, unwritable(path, err)
		case !ok:
			return nil, inUse(path, name)
		}

		// The lock is on a file, not on its name. Whoever had it before may have removed the file between our opening and our
		// locking it; the lock is then worth nothing, because the next process makes itself a new file.
		mine, err := l.Stat()
		if err == nil {
			var there fs.FileInfo
			if there, err = os.Stat(name); err == nil && os.SameFile(mine, there) {
				_ = os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644) // only for the message of inUse
				return func() error {
					// While the lock is held, so that nobody else's file is removed.
					return errors.Join(ignoreMissing(os.Remove(name)), l.Unlock())
				}, nil
			}
		}
		if err := errors.Join(ignoreMissing(err), l.Unlock()); err != nil {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func inUse(path, lock string) error {
	who := "another accession process"
	switch pid := holder(lock); {
	case pid == os.Getpid():
		return problem.New(problem.Unavailable, "database-in-use", "%s is already open for writing in this process.", path)
	case pid > 0:
		who += fmt.Sprintf(" (pid %d)", pid)
	}
	return problem.New(problem.Unavailable, "database-in-use",
		"%s is in use by %s. Stop it, or use PostgreSQL to run several processes.", path, who)
}

// holder is the process that has the lock, or 0 if it has not said so yet.
func holder(lock string) int {
	b, err := os.ReadFile(lock)
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0
	}
	return max(pid, 0)
}

// Announce tells other processes where this one can be asked to write, as they may not write to its SQLite file themselves: see
// [DB.Announced]. Where nobody else is kept out (PostgreSQL, a database in memory, one open for reading only) it does nothing.
func (db *DB) Announce(url string) error {
	if db.Dialect != SQLite || db.readOnly {
		return nil
	}
	f, err := os.OpenFile(db.location+".lock", os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return ignoreMissing(err)
	}
	_, err = fmt.Fprintf(f, "%d\n%s\n", os.Getpid(), url)
	return errors.Join(err, f.Close())
}

// Announced is what the process that writes to the SQLite file has announced; empty when it has not. It means something only
// while there is such a process, which opening the file for writing tells.
func (db *DB) Announced() string {
	b, err := os.ReadFile(db.location + ".lock")
	if err != nil {
		return ""
	}
	_, second, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(second)
}

func unwritable(path string, cause error) error {
	return problem.New(problem.Unavailable, "database-unavailable",
		"The directory %s cannot be written to by this user, and SQLite needs to write beside %s.",
		filepath.Dir(path), path).Because(cause)
}
