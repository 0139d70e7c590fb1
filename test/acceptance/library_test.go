package acceptance_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestLibraries(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		opened := s.post("/libraries", `{"id": "$lib1", "name": "Main"}`)
		expect(t, opened, http.StatusCreated, `{"id": "$lib1", "name": "Main", "categories": 0}`)
		headers(t, opened, "Location: /api/v1/libraries/$lib1", `ETag: "1"`, "Accession-Position: 1", "Content-Type: application/json")

		t.Run("it is found where Location says", func(t *testing.T) {
			found := s.Get(opened.Header.Get("Location"))
			expect(t, found, http.StatusOK, `{"id": "$lib1", "name": "Main", "categories": 0}`)
			headers(t, found, `ETag: "1"`, "Accession-Position: 1")
		})
		t.Run("without an id the server draws one, a UUID of version 7", func(t *testing.T) {
			other := must(t, http.StatusCreated, s.post("/libraries", `{"name": "Annex"}`))
			if id, err := uuid.Parse(text(other.Body, "id")); err != nil || id.Version() != 7 {
				t.Errorf("drew %v (%v)", other.Body["id"], err)
			}
		})
		t.Run("two may have one name", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib2", "name": "Annex"}`))
		})
		t.Run("a name is kept in NFC, without outer white space", func(t *testing.T) {
			a := s.post("/libraries", `{"id": "$lib3", "name": "\t Cafe\u0301 Bibliothe\u0300que\n"}`)
			expect(t, a, http.StatusCreated, `{"id": "$lib3", "name": "Café Bibliothèque", "categories": 0}`)
			expect(t, s.get("/libraries/$lib3"), http.StatusOK, `{"id": "$lib3", "name": "Café Bibliothèque", "categories": 0}`)
		})
		t.Run("all are listed", func(t *testing.T) {
			a := must(t, http.StatusOK, s.get("/libraries"))
			if diff := cmp.Diff([]any{"Annex", "Annex", "Café Bibliothèque", "Main"}, column(items(a), "name")); diff != "" {
				t.Error(diff)
			}
			headers(t, a, fmt.Sprintf("Accession-Position: %d", s.Position()), "Link")
		})
		t.Run("none is ever withdrawn, so those with what was withdrawn are the same", func(t *testing.T) {
			all := must(t, http.StatusOK, s.get("/libraries?limit=2"))
			next := "&cursor=" + text(all.Body, "next")
			for _, withdrawn := range []string{"withdrawn=true", "withdrawn=false"} {
				if diff := cmp.Diff(all.Body, must(t, http.StatusOK, s.get("/libraries?limit=2&"+withdrawn)).Body); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff([]any{"Café Bibliothèque", "Main"}, column(items(must(t, http.StatusOK, s.get("/libraries?"+withdrawn+next))), "name")); diff != "" {
					t.Error(diff)
				}
			}
			refused(t, s.get("/libraries?withdrawn=maybe"), http.StatusUnprocessableEntity, "invalid", "query.withdrawn")
		})
		t.Run("one counts its categories", func(t *testing.T) {
			for i := range 3 {
				must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", fmt.Sprintf(`{"name": "Shelf %d", "book": {"title": "A book"}}`, i)))
			}
			found := s.get("/libraries/$lib1")
			expect(t, found, http.StatusOK, `{"id": "$lib1", "name": "Main", "categories": 3}`)
			headers(t, found, `ETag: "1"`) // the version of its own stream
			again := s.post("/libraries", `{"id": "$lib1", "name": "Main"}`)
			expect(t, again, http.StatusOK, `{"id": "$lib1", "name": "Main", "categories": 0}`) // as the first was answered
		})
		t.Run("an id may be written in capitals", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/libraries", `{"id": "ABCDEFAB-0000-4000-8000-00000000000F", "name": "Capitals"}`))
			expect(t, s.get("/libraries/abcdefab-0000-4000-8000-00000000000f"), http.StatusOK,
				`{"id": "abcdefab-0000-4000-8000-00000000000f", "name": "Capitals", "categories": 0}`)
			must(t, http.StatusOK, s.get("/libraries/ABCDEFAB-0000-4000-8000-00000000000F"))
		})
	})
}

func TestCategories(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib1", "name": "Main"}`))
		must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib2", "name": "Other"}`))

		const (
			category = `"id": "$cat1", "library_id": "$lib1", "number": 1, "name": "Epic", "withdrawn": false`
			book     = `"id": "$book1", "category_id": "$cat1", "library_id": "$lib1", "number": 1, "title": "Iliad", "authors": ["Homer", "Samuel Butler"],
				"withdrawn": false, "reference": "1.1"`
			edition = `{"id": "$ed1", "book_id": "$book1", "number": 1, "base_edition_id": null, "isbn": "9780140275360", "publisher": "Penguin",
				"year": 1991, "language": "en", "format": "paperback", "withdrawn": false, "rejected": null, "reference": "1.1.1"}`
		)
		created := s.post("/libraries/$lib1/categories", `{"id": "$cat1", "name": "Epic", "book": {
			"id": "$book1", "title": "Iliad", "authors": ["Homer", "Samuel Butler"], "edition": {
				"id": "$ed1", "isbn": "0-14-027536-3", "publisher": "Penguin", "year": 1991, "language": "en", "format": "paperback"}}}`)

		t.Run("one is created with its first book and that book's first edition", func(t *testing.T) {
			expect(t, created, http.StatusCreated, `{`+category+`, "book": {`+book+`, "edition": `+edition+`}}`)
			headers(t, created, "Location: /api/v1/categories/$cat1", `ETag: "1"`, "Accession-Position: 5")
		})
		t.Run("each of the three is found by itself", func(t *testing.T) {
			for path, want := range map[string]string{
				created.Header.Get("Location"): `{` + category + `}`, "/books/$book1": `{` + book + `}`, "/editions/$ed1": edition,
			} {
				found := s.get(path)
				expect(t, found, http.StatusOK, want)
				headers(t, found, `ETag: "1"`, "Accession-Position: 5")
			}
		})
		t.Run("what is not said is null, or an empty list", func(t *testing.T) {
			a := must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat2", "name": "Lyric", "book": {"id": "$book2", "title": "Odes"}}`))
			b := a.Body["book"].(map[string]any)
			e := b["edition"].(map[string]any)
			equal(t, without(b, "edition"), `{"id": "$book2", "category_id": "$cat2", "library_id": "$lib1", "number": 1, "title": "Odes", "authors": [],
				"withdrawn": false, "reference": "2.1"}`)
			equal(t, without(e, "id"), `{"book_id": "$book2", "number": 1, "base_edition_id": null, "isbn": null, "publisher": null, "year": null,
				"language": null, "format": null, "withdrawn": false, "rejected": null, "reference": "2.1.1"}`)
		})
		t.Run("numbers count within the library", func(t *testing.T) {
			a := must(t, http.StatusCreated, s.post("/libraries/$lib2/categories", `{"name": "Epic", "book": {"title": "Iliad"}}`)) // the name, too
			if a.Body["number"] != 1.0 {
				t.Errorf("the first of another library is number %v", a.Body["number"])
			}
		})
		t.Run("a name is taken whatever its case and spacing, and a refusal uses up no number", func(t *testing.T) {
			for _, name := range []string{"Epic", "EPIC", "  epic ", "Lyric"} {
				before := s.Position()
				a := s.post("/libraries/$lib1/categories", fmt.Sprintf(`{"name": %q, "book": {"title": "T"}}`, name))
				refused(t, a, http.StatusConflict, "category-name-taken")
				equal(t, without(a.Body, "type", "title", "status", "detail", "code", "request_id"),
					`{"constraint": "category-name", "scope": "library:$lib1", "mode": "retry", "attempts": 1, "retryable": false}`)
				if s.Position() != before {
					t.Errorf("%q: the log went on", name)
				}
			}
			a := must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat3", "name": "Épic", "book": {"title": "T"}}`)) // accents count
			if a.Body["number"] != 3.0 {
				t.Errorf("the next one is number %v, want 3", a.Body["number"])
			}
			refused(t, s.post("/libraries/$lib1/categories", `{"name": "E\u0301PIC", "book": {"title": "T"}}`), http.StatusConflict, "category-name-taken")
		})
		t.Run("they are listed by number", func(t *testing.T) {
			a := must(t, http.StatusOK, s.get("/libraries/$lib1/categories"))
			if diff := cmp.Diff(numbers(3), column(items(a), "number")); diff != "" {
				t.Error(diff)
			}
			equal(t, items(a)[0], `{`+category+`}`)
			headers(t, a, fmt.Sprintf("Accession-Position: %d", s.Position()))
			if n := len(items(must(t, http.StatusOK, s.get("/libraries/$lib2/categories")))); n != 1 {
				t.Errorf("the other library has %d", n)
			}
		})
		t.Run("a library without one has an empty list", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib3", "name": "Empty"}`))
			expect(t, s.get("/libraries/$lib3/categories"), http.StatusOK, `{"items": [], "next": null}`)
		})
	})
}
