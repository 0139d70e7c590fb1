package acceptance_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/projection"
	"accession/test/app"

	"github.com/google/go-cmp/cmp"
)

// TestReadingWhatWasJustWritten: read models that follow in the background are no concern of users. Who says which position to
// wait for sees everything up to it, and who does not still finds the thing by its id.
func TestReadingWhatWasJustWritten(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := start(t, app.Config{DB: db})
		s.furnish(t)
		for n := 2; n <= 10; n++ {
			names := map[string]string{
				"/libraries":                  fmt.Sprintf(`{"id": "$lib%d", "name": "L"}`, n),
				"/libraries/$lib1/categories": fmt.Sprintf(`{"id": "$cat%d", "name": "Shelf %d", "book": {"title": "T"}}`, n, n),
				"/categories/$cat1/books":     fmt.Sprintf(`{"id": "$book%d", "title": "Word%d"}`, n, n),
				"/books/$book1/editions":      fmt.Sprintf(`{"id": "$ed%d", "base_edition_id": "$ed1"}`, n),
			}
			for path, body := range names {
				created := must(t, http.StatusCreated, s.post(path, body))
				found := s.Get(created.Header.Get("Location"), patiently)
				if found.Status != http.StatusOK || found.Body["id"] != created.Body["id"] {
					t.Fatalf("right after its creation: %d %s", found.Status, found.Text)
				}
				if diff := cmp.Diff(any(without(created.Body, "book", "edition")), any(found.Body)); diff != "" {
					t.Errorf("created -, found +\n%s", diff)
				}
			}
			for path, body := range map[string]string{
				"/libraries":                  fmt.Sprintf(`{"id": "$lib10%d", "name": "L"}`, n),
				"/libraries/$lib1/categories": fmt.Sprintf(`{"id": "$cat10%d", "name": "Shelf 10%d", "book": {"title": "T"}}`, n, n),
				"/categories/$cat1/books":     fmt.Sprintf(`{"id": "$book10%d", "title": "Word10%d"}`, n, n),
				"/books/$book1/editions":      fmt.Sprintf(`{"id": "$ed10%d", "base_edition_id": "$ed1"}`, n),
			} {
				created := must(t, http.StatusCreated, s.post(path, body))
				token := "Accession-Min-Position: " + created.Header.Get("Accession-Position")
				must(t, http.StatusOK, s.Get(created.Header.Get("Location"), token, patiently))
				listed := must(t, http.StatusOK, s.get(path+"?limit=500", token, patiently))
				if ids := column(items(listed), "id"); !slices.Contains(ids, created.Body["id"]) {
					t.Errorf("%s has %d items and lacks the one created before", path, len(ids))
				}
				if reference, ok := created.Body["reference"].(string); ok {
					must(t, http.StatusOK, s.get("/libraries/$lib1/references/"+reference, token, patiently))
				}
			}
			if got := items(must(t, http.StatusOK, s.get(fmt.Sprintf("/libraries/$lib1/search?q=word%d", n), patiently))); len(got) == 0 {
				t.Errorf("a search for what was just added finds nothing")
			}
		}
		t.Run("what there is not, there is not, without a wait", func(t *testing.T) {
			s.Settle()
			refused(t, s.get("/books/$book99", "Prefer: wait=0"), http.StatusNotFound, "book-not-found")
			refused(t, s.get("/libraries/$lib1/references/1.99", "Prefer: wait=0"), http.StatusNotFound, "book-not-found")
		})
		t.Run("a position that is not there yet is waited for in vain", func(t *testing.T) {
			ahead := fmt.Sprintf("Accession-Min-Position: %d", s.Position()+1)
			for _, path := range []string{"/libraries", "/books/$book1", "/libraries/$lib1/search?q=iliad", "/events",
				"/libraries/$lib1/history", "/categories/$cat1/history", "/books/$book1/history", "/editions/$ed1/history"} {
				behind(t, s.get(path, ahead, "Prefer: wait=0"))
			}
		})
	})
}

// patiently is for requests that are not about how long one waits: without it that is 2 s, which may be too short for a busy machine.
const patiently = "Prefer: wait=30"

// behind checks that an answer says that its read model is not there yet.
func behind(t *testing.T, a app.Answer) {
	t.Helper()
	refused(t, a, http.StatusServiceUnavailable, "behind")
	headers(t, a, "Retry-After: 1")
	if a.Body["retryable"] != true {
		t.Errorf("not retryable: %s", a.Text)
	}
}

// TestReadModelsThatDoNotFollow: when nothing is played, reads say that they are behind, never that what was written is not
// there; and writes do not care.
func TestReadModelsThatDoNotFollow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := start(t, app.Config{DB: db, Asleep: true})
		s.furnish(t)
		t.Run("answers to writes come from what was written", func(t *testing.T) {
			a := must(t, http.StatusCreated, s.post("/categories/$cat1/books", `{"id": "$book2", "title": "Odyssey", "edition": {"id": "$ed2"}}`))
			e, _ := a.Body["edition"].(map[string]any)
			if a.Body["reference"] != "1.2" || a.Body["library_id"] != expand("$lib1") || e["reference"] != "1.2.1" {
				t.Errorf("answered %s", a.Text)
			}
			a = must(t, http.StatusCreated, s.post("/books/$book2/editions", `{"base_edition_id": "$ed2"}`))
			if a.Body["reference"] != "1.2.2" {
				t.Errorf("answered %s", a.Text)
			}
			refused(t, s.post("/books/$book2/editions", `{"base_edition_id": "$ed1"}`), http.StatusUnprocessableEntity, "base-edition-not-found")
			refused(t, s.post("/libraries/$lib1/categories", `{"name": "epic", "book": {"title": "T"}}`), http.StatusConflict, "category-name-taken")
		})
		things := []string{"/libraries/$lib1", "/libraries/$lib1/categories", "/categories/$cat1", "/categories/$cat1/books", "/books/$book2",
			"/books/$book2/editions", "/editions/$ed2", "/libraries/$lib1/references/1.2", "/libraries/$lib1/search?q=odyssey"}
		t.Run("things are behind, whether a position is asked for or not", func(t *testing.T) {
			for _, path := range things {
				behind(t, s.get(path, "Prefer: wait=0"))
				behind(t, s.get(path, "Prefer: wait=0", "Accession-Min-Position: 1"))
			}
			behind(t, s.get("/libraries", "Prefer: wait=0", "Accession-Min-Position: 1"))
		})
		t.Run("a reader waits as long as it said", func(t *testing.T) {
			began := time.Now()
			behind(t, s.get("/books/$book2", "Prefer: respond-async, wait=1"))
			if took := time.Since(began); took < time.Second {
				t.Errorf("it waited only %v", took)
			}
		})
		t.Run("a reader that has gone does not wait", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/books/"+expand("$book2"), nil)
			r.Header.Set("Prefer", "wait=30")
			began := time.Now()
			s.Do(r)
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it waited %v", took)
			}
		})
		t.Run("the log is never behind", func(t *testing.T) {
			for _, path := range []string{"/events", "/libraries/$lib1/history", "/books/$book2/history", "/editions/$ed2/history"} {
				a := must(t, http.StatusOK, s.get(path, fmt.Sprintf("Accession-Min-Position: %d", s.Position()), "Prefer: wait=0"))
				if len(items(a)) == 0 {
					t.Errorf("%s is empty", path)
				}
			}
		})
		s.Stop()

		t.Run("once they are played, everything is there", func(t *testing.T) {
			s := start(t, app.Config{DB: db})
			for _, path := range things {
				must(t, http.StatusOK, s.get(path, fmt.Sprintf("Accession-Min-Position: %d", s.Position()), patiently))
			}
		})
	})
}

// TestRestart closes everything and opens it again, as a new process would.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "accession.db") },
		"postgres": func(t *testing.T) string { return dbtest.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := url(t)
			run := func(f func(s site)) {
				db, err := database.Open(t.Context(), database.Config{URL: u, Synchronous: "OFF"})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if err := database.Migrate(t.Context(), db, nil); err != nil {
					t.Fatal(err)
				}
				s := start(t, app.Config{DB: db})
				defer s.Stop()
				f(s)
			}
			seen := map[string]app.Answer{}
			paths := []string{"/libraries", "/libraries/$lib1", "/libraries/$lib1/categories", "/categories/$cat1", "/categories/$cat1/books", "/books/$book1",
				"/books/$book1/editions", "/editions/$ed1", "/libraries/$lib1/references/1.1.2", "/libraries/$lib1/search?q=iliad", "/books/$book1/history", "/events"}
			run(func(s site) {
				s.furnish(t)
				must(t, http.StatusCreated, s.post("/books/$book1/editions", `{"id": "$ed2", "base_edition_id": "$ed1"}`))
				s.Settle()
				for _, path := range paths {
					seen[path] = must(t, http.StatusOK, s.get(path))
				}
			})
			run(func(s site) { // nothing happens in this one
				for _, path := range paths {
					a := must(t, http.StatusOK, s.get(path))
					if diff := cmp.Diff(seen[path].Text, a.Text); diff != "" {
						t.Errorf("%s: before -, after +\n%s", path, diff)
					}
					headers(t, a, "ETag: "+seen[path].Header.Get("ETag"), "Accession-Position: "+seen[path].Header.Get("Accession-Position"))
				}
			})
			run(func(s site) {
				for path, body := range map[string]string{"/libraries/$lib1/categories": `{"id": "$cat2", "name": "Lyric", "book": {"title": "Odes"}}`,
					"/categories/$cat1/books": `{"id": "$book2", "title": "Odyssey"}`} {
					if a := must(t, http.StatusCreated, s.post(path, body)); a.Body["number"] != 2.0 {
						t.Errorf("%s goes on with number %v", path, a.Body["number"])
					}
				}
				if a := must(t, http.StatusCreated, s.post("/books/$book1/editions", `{"base_edition_id": "$ed2"}`)); a.Body["number"] != 3.0 {
					t.Errorf("editions go on with number %v", a.Body["number"])
				}
				must(t, http.StatusOK, s.post("/libraries", `{"id": "$lib1", "name": "Main"}`)) // done before
				refused(t, s.post("/libraries", `{"id": "$lib1", "name": "Other"}`), http.StatusConflict, "id-taken")
				refused(t, s.post("/libraries/$lib1/categories", `{"name": "EPIC", "book": {"title": "T"}}`), http.StatusConflict, "category-name-taken")
				refused(t, s.post("/categories/$cat2/books", `{"title": "T", "edition": {"isbn": "9780140275360"}}`), http.StatusConflict, "isbn-taken")
			})
		})
	}
}

// TestTimingsInTurn plays projectors now in the background, now in the commands' own transactions, on one database: their
// tables are right after each, whatever was left unplayed.
func TestTimingsInTurn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		books := 1
		for turn, c := range []app.Config{
			{Timing: projection.Background},
			{Timing: projection.Immediate},
			{Timing: projection.Background, Asleep: true}, // leaves what it stores to the next one
			{Timing: projection.Immediate},
			{Timing: projection.Background, Asleep: true},
			{Timing: projection.Background},
			{Timing: projection.Immediate},
		} {
			c.DB = db
			s := start(t, c)
			if turn == 0 {
				s.furnish(t)
			}
			for range 3 {
				books++
				created := must(t, http.StatusCreated, s.post("/categories/$cat1/books", fmt.Sprintf(`{"id": "$book%d", "title": "Turn %d"}`, books, turn)))
				if created.Body["number"] != float64(books) {
					t.Errorf("in turn %d: number %v, want %d", turn, created.Body["number"], books)
				}
				must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", fmt.Sprintf(`{"name": "Shelf %d", "book": {"title": "T"}}`, books)))
				must(t, http.StatusCreated, s.post("/books/$book1/editions", `{"base_edition_id": "$ed1"}`))
			}
			if !c.Asleep {
				wait := "Prefer: wait=0"
				if c.Timing == projection.Background {
					wait = patiently
				}
				token := fmt.Sprintf("Accession-Min-Position: %d", s.Position())
				for path, want := range map[string]int{"/categories/$cat1/books": books, "/libraries/$lib1/categories": books, "/books/$book1/editions": books} {
					a := must(t, http.StatusOK, s.get(path, token, wait))
					if diff := cmp.Diff(numbers(want), column(items(a), "number")); diff != "" {
						t.Errorf("in turn %d, %s: want -, got +\n%s", turn, path, diff)
					}
				}
				a := must(t, http.StatusOK, s.get(fmt.Sprintf("/libraries/$lib1/search?q=turn+%d", turn), token, wait))
				if n := len(items(a)); n != 3 {
					t.Errorf("in turn %d, a search finds %d books, want 3", turn, n)
				}
			}
			s.Stop()
		}
	})
}
