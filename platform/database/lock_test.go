package database

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"accession/platform/problem"
)

// The file of the lock is removed with every release. Who opened it just before must not take the lock on it for the lock.
func TestHoldersThatComeAndGoAreNeverTwo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	var holding, held atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4000 {
				release, err := lockFile(path)
				if err != nil {
					if p := problem.Of(err); p.Code != "database-in-use" {
						t.Error(err)
						return
					}
					continue
				}
				held.Add(1)
				if n := holding.Add(1); n != 1 {
					t.Errorf("%d holders at once", n)
				}
				runtime.Gosched()
				holding.Add(-1)
				if err := release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if held.Load() == 0 {
		t.Error("nobody got the lock")
	}
	if _, err := os.Stat(path + ".lock"); !os.IsNotExist(err) {
		t.Errorf("the file of the lock is left: %v", err)
	}
}

func TestTheHolderMayNotHaveSaidWhoItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	release, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = release() }()
	for content, want := range map[string]string{
		"":         path + " is in use by another accession process. Stop it, or use PostgreSQL to run several processes.",
		"-1":       path + " is in use by another accession process. Stop it, or use PostgreSQL to run several processes.",
		"rubbish":  path + " is in use by another accession process. Stop it, or use PostgreSQL to run several processes.",
		"999999\n": path + " is in use by another accession process (pid 999999). Stop it, or use PostgreSQL to run several processes.",
	} {
		if err := os.WriteFile(path+".lock", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := lockFile(path); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
}
