package acceptance_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEditions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		const second = `{"id": "$ed2", "book_id": "$book1", "number": 2, "base_edition_id": "$ed1", "isbn": "9780306406157", "publisher": "Plenum",
			"year": 1980, "language": "en", "format": "hardback", "withdrawn": false, "rejected": null, "reference": "1.1.2"}`
		added := s.post("/books/$book1/editions", `{"id": "$ed2", "base_edition_id": "$ed1", "isbn": "0-306-40615-2", "publisher": "Plenum",
			"year": 1980, "language": "en", "format": "hardback"}`)

		t.Run("one is added to a book", func(t *testing.T) {
			expect(t, added, http.StatusCreated, second)
			headers(t, added, "Location: /api/v1/editions/$ed2", `ETag: "1"`, "Accession-Position: 5")
			found := s.Get(added.Header.Get("Location"))
			expect(t, found, http.StatusOK, second)
			headers(t, found, `ETag: "1"`, "Accession-Position: 5")
		})
		t.Run("it may replace any earlier one, so that they make a tree", func(t *testing.T) {
			for _, e := range []struct {
				n    int
				base string
			}{{3, "$ed1"}, {4, "$ed1"}, {5, "$ed2"}, {6, "$ed4"}} {
				expect(t, s.post("/books/$book1/editions", fmt.Sprintf(`{"id": "$ed%d", "base_edition_id": %q}`, e.n, e.base)), http.StatusCreated,
					fmt.Sprintf(`{"id": "$ed%d", "book_id": "$book1", "number": %d, "base_edition_id": %q, "isbn": null, "publisher": null, "year": null,
						"language": null, "format": null, "withdrawn": false, "rejected": null, "reference": "1.1.%d"}`, e.n, e.n, e.base, e.n))
			}
			a := must(t, http.StatusOK, s.get("/books/$book1/editions"))
			bases := []any{nil}
			for _, base := range []string{"$ed1", "$ed1", "$ed1", "$ed2", "$ed4"} {
				bases = append(bases, expand(base))
			}
			if diff := cmp.Diff(bases, column(items(a), "base_edition_id")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(numbers(6), column(items(a), "number")); diff != "" {
				t.Error(diff)
			}
			equal(t, items(a)[1], second)
			headers(t, a, fmt.Sprintf("Accession-Position: %d", s.Position()), "Link")
		})
		t.Run("numbers count within the book", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/categories/$cat1/books", `{"id": "$book2", "title": "Odyssey", "edition": {"id": "$ed20"}}`))
			a := must(t, http.StatusCreated, s.post("/books/$book2/editions", `{"base_edition_id": "$ed20"}`))
			if a.Body["number"] != 2.0 || a.Body["reference"] != "1.2.2" {
				t.Errorf("number %v, reference %v", a.Body["number"], a.Body["reference"])
			}
		})
		for name, base := range map[string]string{"is nowhere": "$ed99", "belongs to another book": "$ed20", "is no edition": "$book1"} {
			t.Run("a base that "+name+" is refused, and uses up no number", func(t *testing.T) {
				before := s.Position()
				a := s.post("/books/$book1/editions", `{"base_edition_id": "`+base+`"}`)
				refused(t, a, http.StatusUnprocessableEntity, "base-edition-not-found")
				equal(t, without(a.Body, "type", "title", "status", "detail", "code", "request_id"),
					`{"constraint": "base-edition", "scope": "book:$book1", "mode": "lock", "attempts": 1, "retryable": false}`)
				if s.Position() != before {
					t.Error("the log went on")
				}
			})
		}
		t.Run("an ISBN that another edition of the library has is refused", func(t *testing.T) {
			before := s.Position()
			refused(t, s.post("/books/$book2/editions", `{"base_edition_id": "$ed20", "isbn": "9780306406157"}`), http.StatusConflict, "isbn-taken")
			if s.Position() != before {
				t.Error("the log went on")
			}
		})
		t.Run("after what was refused the numbers go on", func(t *testing.T) {
			a := must(t, http.StatusCreated, s.post("/books/$book1/editions", `{"base_edition_id": "$ed6"}`))
			if a.Body["number"] != 7.0 {
				t.Errorf("number %v, want 7", a.Body["number"])
			}
		})
		t.Run("an edition cannot replace itself", func(t *testing.T) {
			refused(t, s.post("/books/$book1/editions", `{"id": "$ed30", "base_edition_id": "$ed30"}`), http.StatusUnprocessableEntity, "base-edition-not-found")
		})
	})
}
