package database_test

import (
	"os"
	"path/filepath"
	"testing"

	"accession/platform/database"
	"accession/platform/problem"
)

func TestWhoHasAFileSaysWhereItCanBeAsked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	open := func(readOnly bool) (*database.DB, error) {
		return database.Open(t.Context(), database.Config{URL: "sqlite:" + path, ReadOnly: readOnly})
	}
	has, err := open(false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = has.Close() }()
	looks, err := open(true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = looks.Close() }()
	if got := looks.Announced(); got != "" {
		t.Errorf("announced %q before anything was", got)
	}
	if err := looks.Announce("http://nobody"); err != nil {
		t.Fatal(err)
	}
	if got := looks.Announced(); got != "" {
		t.Errorf("who only looks has announced %q", got)
	}
	if err := has.Announce("http://127.0.0.1:8080"); err != nil {
		t.Fatal(err)
	}
	if got := looks.Announced(); got != "http://127.0.0.1:8080" {
		t.Errorf("announced %q", got)
	}
	if _, err := open(false); problem.Of(err).Code != "database-in-use" {
		t.Errorf("another who wants to write is told %v", err)
	}
}

func TestNothingIsAnnouncedOfADatabaseInMemory(t *testing.T) {
	t.Chdir(t.TempDir())
	db, err := database.Open(t.Context(), database.Config{URL: "sqlite::memory:"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Announce("http://127.0.0.1:8080"); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 0 {
		t.Errorf("it left %v %v", files, err)
	}
}
