package sqldb_test

import (
	"fmt"
	"testing"
	"time"

	"accession/platform/consistency"
	"accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	logdb "accession/platform/eventlog/sqldb"

	"github.com/google/uuid"
)

// A book with very many editions is withdrawn with all of them: one question about each, all in one unit.
func TestAUnitMayAskAboutVeryManyOwners(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		const n = 3000
		registry, err := event.NewRegistry()
		if err != nil {
			t.Fatal(err)
		}
		register := sqldb.New(db.Read)
		tx, err := logdb.New(db, registry, time.Minute).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		var d consistency.Delta
		var q consistency.Questions
		for i := range n {
			owner := event.Tag(fmt.Sprintf("edition:%05d", i))
			d.Rows = append(d.Rows, consistency.Row{Key: consistency.Key{Constraint: "isbn", Scope: "library:1", Key: fmt.Sprint(i)}, Owner: owner, Cause: uuid.New()})
			q.Owned = append(q.Owned, consistency.Key{Constraint: "isbn", Key: string(owner)})
			q.Scopes = append(q.Scopes, consistency.Key{Constraint: "base-edition", Scope: event.Tag(fmt.Sprintf("book:%05d", i))})
		}
		if err := register.Save(t.Context(), tx, d); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, load := range map[string]func(tx *logdb.Tx, s *consistency.State) error{
			"load": func(tx *logdb.Tx, s *consistency.State) error { return register.Load(t.Context(), tx, q, s) },
			"try": func(tx *logdb.Tx, s *consistency.State) error {
				waiting, err := register.Try(t.Context(), tx, q, s)
				if err == nil && !waiting.None() {
					err = fmt.Errorf("waits for %v", waiting)
				}
				return err
			},
		} {
			tx, err := logdb.Begin(t.Context(), db, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if err := load(tx, consistency.NewState()); err != nil {
				t.Errorf("%s: %.300v", name, err)
			}
			tx.Rollback()
		}
	})
}
