package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"accession/modules/operations"
	"accession/platform/module"
	"accession/platform/problem"
)

// lockBooks is a change of a mode.
func lockBooks(t *testing.T) operations.ChangeMode {
	t.Helper()
	set, err := module.Constraints(modules)
	if err != nil {
		t.Fatal(err)
	}
	change, err := operations.NewChangeMode(set, "book-number", "lock", "r")
	if err != nil {
		t.Fatal(err)
	}
	return change
}

// What the server that was asked for a change says of it is what the command says.
func TestWhatTheServerSaysOfAChange(t *testing.T) {
	t.Parallel()
	change := lockBooks(t)
	for _, test := range []struct {
		name   string
		status int
		body   string
		code   string
		exit   int
		says   string
	}{
		{"it may or may not have happened", 503, `{"code": "outcome-unknown", "detail": "The connection was lost."}`, "outcome-unknown", 5, "answers: The connection was lost."},
		{"others change it too", 409, `{"code": "version-conflict", "detail": "Others do."}`, "version-conflict", 4, "answers: Others do."},
		{"it does not have the constraint", 404, `{"code": "constraint-not-found", "detail": "No."}`, "constraint-not-found", 3, "answers: No."},
		{"it is broken", 500, `{"code": "internal", "detail": "Internal error."}`, "internal", 1, "answers: Internal error."},
		{"it is not ours", 502, `<html>`, "server-unavailable", 5, "could not be asked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer server.Close()
			_, err := new(cli).changeModeThere(t.Context(), server.URL, change)
			if p := problem.Of(err); p.Code != test.code || p.Kind.Exit() != test.exit || !strings.Contains(p.Message, test.says) {
				t.Errorf("%s, exit %d: %s", p.Code, p.Kind.Exit(), p.Message)
			}
		})
	}
}

// A database that is not up to date stays as it is: servers of another version may be running on it.
func TestAModeMigratesNothing(t *testing.T) {
	t.Parallel()
	change := lockBooks(t)
	path := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cli{system: system{err: io.Discard}, flags: map[string]string{"database.url": "sqlite:" + path}}
	cfg, _, err := c.load()
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.changeMode(t.Context(), cfg, change)
	if p := problem.Of(err); p.Code != "database-behind" {
		t.Errorf("%s: %v", p.CodeOrKind(), err)
	}
	if b, err := os.ReadFile(path); err != nil || len(b) > 0 {
		t.Errorf("the file has %d bytes by now (%v)", len(b), err)
	}
}
