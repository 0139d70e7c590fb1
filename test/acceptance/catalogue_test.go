package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBooks(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		const (
			book = `"id": "$book2", "category_id": "$cat1", "library_id": "$lib1", "number": 2, "title": "Odyssey", "authors": ["Homer"],
				"withdrawn": false, "reference": "1.2"`
			edition = `{"id": "$ed2", "book_id": "$book2", "number": 1, "base_edition_id": null, "isbn": "9780804429573", "publisher": "Ungar",
				"year": 1000, "language": "grc", "format": "scroll", "withdrawn": false, "rejected": null, "reference": "1.2.1"}`
		)
		added := s.post("/categories/$cat1/books", `{"id": "$book2", "title": "Odyssey", "authors": ["Homer"], "edition": {
			"id": "$ed2", "isbn": "0-8044-2957-x", "publisher": "Ungar", "year": 1000, "language": "grc", "format": "scroll"}}`)

		t.Run("one is added with its first edition", func(t *testing.T) {
			expect(t, added, http.StatusCreated, `{`+book+`, "edition": `+edition+`}`)
			headers(t, added, "Location: /api/v1/books/$book2", `ETag: "1"`, "Accession-Position: 6")
		})
		t.Run("both are found by themselves", func(t *testing.T) {
			found := s.Get(added.Header.Get("Location"))
			expect(t, found, http.StatusOK, `{`+book+`}`)
			headers(t, found, `ETag: "1"`, "Accession-Position: 6")
			expect(t, s.get("/editions/$ed2"), http.StatusOK, edition)
		})

		nothing := `"number": 1, "base_edition_id": null, "isbn": null, "publisher": null, "year": null, "language": null, "format": null,
			"withdrawn": false, "rejected": null`
		for n, body := range []string{
			`{"title": "T"}`,
			`{"title": "T", "authors": [], "edition": {}}`,
			`{"title": "T", "authors": null, "edition": {"isbn": null, "publisher": null, "year": null, "language": null, "format": null}}`,
			`{"title": "T", "edition": {"isbn": "", "publisher": "", "language": "", "format": ""}}`,
			`{"title": " T ", "edition": {"isbn": " ", "publisher": "\t", "language": " \n", "format": "\u00a0"}}`,
		} {
			t.Run("nothing is nothing, whether left out, null, empty or white: "+body, func(t *testing.T) {
				a := must(t, http.StatusCreated, s.post("/categories/$cat1/books", body))
				e, _ := a.Body["edition"].(map[string]any)
				reference := fmt.Sprintf("1.%d", n+3)
				equal(t, without(a.Body, "id", "edition"), fmt.Sprintf(`{"category_id": "$cat1", "library_id": "$lib1", "number": %d, "title": "T",
					"authors": [], "withdrawn": false, "reference": %q}`, n+3, reference))
				equal(t, without(e, "id", "book_id"), `{`+nothing+`, "reference": "`+reference+`.1"}`)
				if e["book_id"] != a.Body["id"] {
					t.Errorf("the edition is of the book %v", e["book_id"])
				}
			})
		}

		t.Run("text is kept in NFC, without outer white space, as long as it may be", func(t *testing.T) {
			long := strings.Repeat("é", 1000) // of which each is two code points as it is sent
			sent := strings.Repeat(`e\u0301`, 1000)
			a := must(t, http.StatusCreated, s.post("/categories/$cat1/books", `{"id": "$book3", "title": " `+sent+` ", "authors": [" Ka\u0308stner  Erich "],
				"edition": {"publisher": " Atrium\t", "year": `+fmt.Sprint(time.Now().Year()+1)+`}}`))
			for _, b := range []map[string]any{a.Body, s.get("/books/$book3").Body} {
				if b["title"] != long {
					t.Errorf("title %q", b["title"])
				}
				if diff := cmp.Diff([]any{"Kästner  Erich"}, b["authors"]); diff != "" {
					t.Error(diff)
				}
			}
			if e := a.Body["edition"].(map[string]any); e["publisher"] != "Atrium" {
				t.Errorf("publisher %q", e["publisher"])
			}
		})
		t.Run("they are listed by number", func(t *testing.T) {
			a := must(t, http.StatusOK, s.get("/categories/$cat1/books"))
			if diff := cmp.Diff(numbers(8), column(items(a), "number")); diff != "" {
				t.Error(diff)
			}
			equal(t, items(a)[1], `{`+book+`}`)
		})
		t.Run("an ISBN stands on one edition of a library, in whatever form it is given", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat2", "name": "Other", "book": {"title": "T"}}`))
			for _, isbn := range []string{"9780804429573", "978-0-8044-2957-3", "080442957X", "0 8044 2957 X", "978–0–8044–2957–3"} {
				before := s.Position()
				a := s.post("/categories/$cat2/books", `{"title": "Odyssey", "edition": {"isbn": "`+isbn+`"}}`)
				refused(t, a, http.StatusConflict, "isbn-taken")
				equal(t, without(a.Body, "type", "title", "status", "detail", "code", "request_id"),
					`{"constraint": "isbn", "scope": "library:$lib1", "mode": "retry", "attempts": 1, "retryable": false}`)
				if s.Position() != before {
					t.Errorf("%s: the log went on", isbn)
				}
			}
			a := must(t, http.StatusCreated, s.post("/categories/$cat2/books", `{"title": "Odyssey"}`))
			if a.Body["number"] != 2.0 {
				t.Errorf("after those refused comes number %v, want 2", a.Body["number"])
			}
		})
		t.Run("another library may have the ISBN, and counts for itself", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib2", "name": "Other"}`))
			a := must(t, http.StatusCreated, s.post("/libraries/$lib2/categories", `{"name": "Epic", "book": {"title": "Odyssey", "edition": {"isbn": "9780804429573"}}}`))
			if b := a.Body["book"].(map[string]any); b["reference"] != "1.1" || b["library_id"] != expand("$lib2") {
				t.Errorf("got %v", b)
			}
		})
	})
}
