package acceptance_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/projection"
	"accession/test/app"

	"github.com/uptrace/bun"
)

// TestBusy: when somebody keeps a lock for longer than the lock time-out, writers who need it are told to come back, nothing of
// theirs is stored, and all goes on once it is let go.
func TestBusy(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := start(t, app.Config{DB: db, Timing: projection.Immediate, LockTimeout: 2 * time.Second}) // which is long for those whom nobody holds up
		s.furnish(t)
		must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat2", "name": "Lyric", "book": {"title": "T"}}`))
		code, hold := "log-busy", `SELECT 1` // on SQLite whoever writes has everything
		if db.Dialect == database.Postgres {
			code, hold = "scope-busy", `SELECT last FROM register_guards WHERE scope = 'category:$cat1' FOR UPDATE`
		}
		err := db.Write.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.ExecContext(ctx, expand(hold)); err != nil {
				return err
			}
			s.unchanged(t, func() {
				a := s.post("/categories/$cat1/books", `{"id": "$book2", "title": "T"}`)
				refused(t, a, http.StatusServiceUnavailable, code)
				headers(t, a, "Retry-After: 1")
				if a.Body["retryable"] != true {
					t.Errorf("not retryable: %s", a.Text)
				}
			})
			must(t, http.StatusOK, s.get("/categories/$cat1/books")) // readers do not wait
			if db.Dialect == database.Postgres {
				must(t, http.StatusCreated, s.post("/categories/$cat2/books", `{"title": "In another scope"}`))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if a := must(t, http.StatusCreated, s.post("/categories/$cat1/books", `{"id": "$book2", "title": "T"}`)); a.Body["number"] != 2.0 {
			t.Errorf("number %v, want 2", a.Body["number"])
		}
	})
}

func TestWhatOperatorsAsk(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		for path, want := range map[string][]string{
			"/livez":  {`"ok"`},
			"/readyz": {`"ok"`},
			"/metrics": {
				"accession_log_position 4\n", `accession_constraint_attempts_total{constraint="book-number",mode="queue",outcome="accepted"} 1`,
				`accession_usecase_seconds_count{outcome="done",usecase="library.CreateCategory"} 1`,
			},
		} {
			a := s.Do(httptest.NewRequest(http.MethodGet, path, nil))
			if a.Status != http.StatusOK {
				t.Errorf("%s answered %d: %s", path, a.Status, a.Text)
			}
			for _, w := range want {
				if !strings.Contains(a.Text, w) {
					t.Errorf("%s says nothing of %s:\n%s", path, w, a.Text)
				}
			}
		}
	})
}
