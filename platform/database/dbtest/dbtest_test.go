package dbtest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"accession/platform/database"
	"accession/platform/database/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for range 2 {
		dbtest.Each(t, func(t *testing.T, db *database.DB) {
			if err := database.CheckCurrent(t.Context(), db, nil); err != nil {
				t.Error(err)
			}
			if _, err := db.Write.Exec("CREATE TABLE t (n INTEGER)"); err != nil {
				t.Errorf("somebody else was here: %v", err)
			}
		})
	}
}

func TestADatabaseIsGoneAfterTheTest(t *testing.T) {
	t.Parallel()
	watcher := dbtest.Postgres(t)
	var url string
	t.Run("test", func(t *testing.T) { url = dbtest.PostgresURL(t) })
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n > 0; { // it is dropped in the background
		if err := watcher.Read.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = ?", u.Path[1:]).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// The server must not outlive the test binary, however that ends: this test runs itself again and kills that.
func TestTheServerDiesWithTheTestBinary(t *testing.T) {
	t.Parallel()
	if os.Getenv("ACCESSION_TEST_CHILD") != "" {
		db := dbtest.Postgres(t)
		var dir string
		if err := db.Read.QueryRow("SHOW data_directory").Scan(&dir); err != nil {
			t.Fatal(err)
		}
		fmt.Println("\nDATA", dir)
		select {} // until we are killed
	}

	cmd := exec.Command(os.Args[0], "-test.run=^TestTheServerDiesWithTheTestBinary$")
	// A server that was given to us outlives everybody; the child starts its own.
	cmd.Env = append(os.Environ(), "ACCESSION_TEST_CHILD=1", "ACCESSION_TEST_POSTGRES_URL=")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var data string
	for in := bufio.NewScanner(out); data == "" && in.Scan(); {
		data, _ = strings.CutPrefix(in.Text(), "DATA ")
		if data == in.Text() {
			data = ""
		}
	}
	if data == "" {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("the child: %v", err)
		}
		if os.Getenv("CI") == "true" {
			t.Fatal("the child started no server, and with CI=true no test is skipped")
		}
		t.Skip("NOT TESTED WITH POSTGRESQL: there is none on this machine, so the child has skipped it")
	}
	pid, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := strconv.Atoi(strings.SplitN(string(pid), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for syscall.Kill(server, 0) == nil { // until it is gone
		if t.Context().Err() != nil {
			t.Fatal("the server lives on")
		}
	}
	if err := os.RemoveAll(filepath.Dir(data)); err != nil {
		t.Error(err)
	}
	// The next test binary that starts a server sweeps here, and may have been first.
	if err := os.Remove(filepath.Dir(data) + ".lock"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
