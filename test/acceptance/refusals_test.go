package acceptance_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"accession/platform/httpapi"
)

// valid is a body for each route that creates, as short as can be.
var valid = map[string]string{
	"/libraries":                  `{"name": "N"}`,
	"/libraries/$lib1/categories": `{"name": "N", "book": {"title": "T"}}`,
	"/categories/$cat1/books":     `{"title": "T"}`,
	"/books/$book1/editions":      `{"base_edition_id": "$ed1"}`,
}

// nowhere are ids that name nothing: one that nobody has, and some that are malformed.
var nowhere = []string{
	"99999999-9999-7999-8999-999999999999", "nonsense", "1", "99999999999979998999999999999999",
	"%7B99999999-9999-7999-8999-999999999999%7D", "99999999-9999-7999-8999-99999999999g", "99999999-9999-7999-8999-9999999999999", "%00", "%FF",
}

// unchanged fails the test if the log goes on while f runs.
func (s site) unchanged(t *testing.T, f func()) {
	t.Helper()
	before := s.Position()
	f()
	if after := s.Position(); after != before {
		t.Errorf("something was recorded: the log went on from %d to %d", before, after)
	}
}

// TestBodiesThatCannotBeRead is about what is wrong with a body as a whole, whatever should be created.
func TestBodiesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		for path, body := range valid {
			body := expand(body)
			open := strings.TrimSuffix(body, "}")
			padded := func(size int) string { return body + strings.Repeat(" ", size-len(body)) }
			for _, c := range []struct {
				name, body  string
				contentType string
				chunked     bool
				status      int
				code        string
				locations   []string
			}{
				{name: "none", body: "", status: 400, code: "malformed"},
				{name: "white space", body: " \n", status: 400, code: "malformed"},
				{name: "broken off", body: open, status: 400, code: "malformed", locations: []string{"body"}},
				{name: "no JSON", body: "name=N", status: 400, code: "malformed", locations: []string{"body"}},
				{name: "more behind it", body: body + body, status: 400, code: "malformed", locations: []string{"body"}},
				{name: "no UTF-8", body: open + ", \"id\": \"\xff\"}", status: 400, code: "malformed", locations: []string{"body"}},
				{name: "half of a surrogate pair", body: open + `, "id": "\ud800"}`, status: 400, code: "malformed", locations: []string{"body"}},
				{name: "half of a surrogate pair in a name", body: open + `, "\udc00": 1}`, status: 400, code: "malformed", locations: []string{"body"}},
				{name: "a field twice", body: open + strings.Replace(body, "{", ", ", 1), status: 400, code: "malformed", locations: []string{"body"}},
				{name: "a list", body: "[" + body + "]", status: 422, code: "invalid", locations: []string{"body"}},
				{name: "null", body: "null", status: 422, code: "invalid", locations: []string{"body"}},
				{name: "text", body: `"N"`, status: 422, code: "invalid", locations: []string{"body"}},
				{name: "an unknown field", body: open + `, "colour": "red"}`, status: 422, code: "invalid", locations: []string{"body.colour"}},
				{name: "a field that the server sets", body: open + `, "number": 7}`, status: 422, code: "invalid", locations: []string{"body.number"}},
				{name: "a field in other case", body: open + `, "ID": "$lib9"}`, status: 422, code: "invalid", locations: []string{"body.ID"}},
				{name: "1 MiB and a byte", body: padded(1<<20 + 1), status: 413, code: "too-large"},
				{name: "1 MiB and a byte, of a length not said", body: padded(1<<20 + 1), chunked: true, status: 413, code: "too-large"},
				{name: "much more than 1 MiB", body: padded(5 << 20), status: 413, code: "too-large"},
				{name: "not JSON by its type", body: body, contentType: "text/plain", status: 415, code: "unsupported-media-type"},
				{name: "a merge patch", body: body, contentType: "application/merge-patch+json", status: 415, code: "unsupported-media-type"},
				{name: "built on JSON", body: body, contentType: "application/vnd.x+json", status: 415, code: "unsupported-media-type"},
				{name: "in another charset", body: body, contentType: "application/json; charset=utf-16", status: 415, code: "unsupported-media-type"},
			} {
				t.Run(path+": "+c.name, func(t *testing.T) {
					s.unchanged(t, func() {
						r := httptest.NewRequest(http.MethodPost, httpapi.Prefix+expand(path), strings.NewReader(c.body))
						if c.chunked {
							r.Body, r.ContentLength = io.NopCloser(r.Body), -1
						}
						if c.contentType != "" {
							r.Header.Set("Content-Type", c.contentType)
						}
						refused(t, s.Do(r), c.status, c.code, c.locations...)
					})
				})
			}
			t.Run(path+": 1 MiB is not too large", func(t *testing.T) {
				must(t, http.StatusCreated, s.Post(expand(path), padded(1<<20)))
			})
		}
	})
}

// field is a place in a body: path and body say where, %s standing for its value.
type field struct {
	path, body, location string
	required             bool
	limit                int // of text, in characters
}

// texts are the fields that take text as people write it.
func texts() []field {
	const (
		categories, books, editions = "/libraries/$lib1/categories", "/categories/$cat1/books", "/books/$book1/editions"
	)
	fields := []field{
		{"/libraries", `{"name": %s}`, "body.name", true, 200},
		{categories, `{"name": %s, "book": {"title": "T"}}`, "body.name", true, 200},
		{categories, `{"name": "N", "book": {"title": %s}}`, "body.book.title", true, 1000},
		{categories, `{"name": "N", "book": {"title": "T", "authors": ["A", %s]}}`, "body.book.authors[1]", true, 200},
		{books, `{"title": %s}`, "body.title", true, 1000},
		{books, `{"title": "T", "authors": [%s, "A"]}`, "body.authors[0]", true, 200},
	}
	for _, name := range []string{"publisher", "language", "format"} {
		fields = append(fields,
			field{categories, `{"name": "N", "book": {"title": "T", "edition": {"` + name + `": %s}}}`, "body.book.edition." + name, false, 200},
			field{books, `{"title": "T", "edition": {"` + name + `": %s}}`, "body.edition." + name, false, 200},
			field{editions, `{"base_edition_id": "$ed1", "` + name + `": %s}`, "body." + name, false, 200},
		)
	}
	return fields
}

// imprints is a field of an edition in the three places where it can be said.
func imprints(name string) []field {
	var all []field
	for _, f := range texts() {
		if strings.HasSuffix(f.location, ".publisher") || f.location == "body.publisher" {
			f.body = strings.Replace(f.body, "publisher", name, 1)
			f.location = strings.Replace(f.location, "publisher", name, 1)
			all = append(all, f)
		}
	}
	return all
}

func TestFieldsThatAreWrong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		wrong := func(t *testing.T, f field, value string) {
			t.Helper()
			s.unchanged(t, func() {
				t.Helper()
				a := s.post(f.path, fmt.Sprintf(f.body, value))
				refused(t, a, http.StatusUnprocessableEntity, "invalid", f.location)
				if t.Failed() {
					t.Fatalf("%s at %s: %.100s", f.path, f.location, value)
				}
			})
		}

		t.Run("text", func(t *testing.T) {
			for _, f := range texts() {
				for _, value := range []string{
					`"a\u0000b"`, `"\u0007"`, `"a\u001fb"`, `"a\u007fb"`, `"a\u0085b"`, `"a\nb"`, `"a\r\nb"`, `"a\tb"`, `"a\u2028b"`, `"a\u202eb"`,
					`7`, `true`, `{}`, `["a"]`, quoted(f.limit + 1), quoted(10_000),
				} {
					wrong(t, f, value)
				}
				if f.required {
					for _, value := range []string{`""`, `"  "`, `"\n\t\u00a0"`, `"\u200b"`, `null`} {
						wrong(t, f, value)
					}
				}
			}
		})
		t.Run("ISBN", func(t *testing.T) {
			for _, f := range imprints("isbn") {
				for _, value := range []string{
					`"9780306406158"`, `"978-0-306-40615-6"`, `"0306406153"`, `"0-306-40615-X"`, `"0804429570"`, // check digits
					`"978030640615"`, `"97803064061577"`, `"030640615"`, `"X306406152"`, `"978030640615X"`, // digits
					`"1234567890128"`, `"9790260000438"`, // not of books
					`"-"`, `"ISBN 0306406152"`, `"nonsense"`, `"９７８０３０６４０６１５７"`, `"978\u00000306406157"`, quoted(10_000),
					`9780306406157`, `true`, `["9780306406157"]`,
				} {
					wrong(t, f, value)
				}
			}
		})
		t.Run("year", func(t *testing.T) {
			for _, f := range imprints("year") {
				for _, value := range []string{`999`, fmt.Sprint(time.Now().UTC().Year() + 2), `0`, `-1`, `99999`, `1999.5`, `"1999"`, `""`, `true`, `[1999]`} {
					wrong(t, f, value)
				}
			}
		})
		t.Run("a year beyond all bounds", func(t *testing.T) {
			for _, f := range imprints("year") {
				s.unchanged(t, func() {
					if a := s.post(f.path, fmt.Sprintf(f.body, "100000000000000000000")); a.Status != http.StatusUnprocessableEntity || a.Code() != "invalid" {
						t.Errorf("answered %d: %s", a.Status, a.Text)
					}
				})
			}
		})
		t.Run("authors", func(t *testing.T) {
			for _, f := range []field{
				{path: "/categories/$cat1/books", body: `{"title": "T", "authors": %s}`, location: "body.authors"},
				{path: "/libraries/$lib1/categories", body: `{"name": "N", "book": {"title": "T", "authors": %s}}`, location: "body.book.authors"},
			} {
				for _, value := range []string{`"Homer"`, `7`, `{}`} {
					wrong(t, f, value)
				}
			}
		})
		t.Run("a thing that is no object", func(t *testing.T) {
			for _, f := range []field{
				{path: "/categories/$cat1/books", body: `{"title": "T", "edition": %s}`, location: "body.edition"},
				{path: "/libraries/$lib1/categories", body: `{"name": "N", "book": {"title": "T", "edition": %s}}`, location: "body.book.edition"},
				{path: "/libraries/$lib1/categories", body: `{"name": "N", "book": %s}`, location: "body.book"},
			} {
				for _, value := range []string{`"T"`, `7`, `[]`} {
					wrong(t, f, value)
				}
			}
		})
		t.Run("an id of the client's", func(t *testing.T) {
			for _, f := range []field{
				{path: "/libraries", body: `{"name": "N", "id": %s}`, location: "body.id"},
				{path: "/libraries/$lib1/categories", body: `{"name": "N", "book": {"title": "T"}, "id": %s}`, location: "body.id"},
				{path: "/libraries/$lib1/categories", body: `{"name": "N", "book": {"title": "T", "id": %s}}`, location: "body.book.id"},
				{path: "/libraries/$lib1/categories", body: `{"name": "N", "book": {"title": "T", "edition": {"id": %s}}}`, location: "body.book.edition.id"},
				{path: "/categories/$cat1/books", body: `{"title": "T", "id": %s}`, location: "body.id"},
				{path: "/categories/$cat1/books", body: `{"title": "T", "edition": {"id": %s}}`, location: "body.edition.id"},
				{path: "/books/$book1/editions", body: `{"base_edition_id": "$ed1", "id": %s}`, location: "body.id"},
			} {
				for _, value := range []string{
					`""`, `"nonsense"`, `7`, `"00000000-0000-0000-0000-000000000000"`, `"99999999999979998999999999999999"`,
					`"{99999999-9999-7999-8999-999999999999}"`, `"urn:uuid:99999999-9999-7999-8999-999999999999"`, `" 99999999-9999-7999-8999-999999999999"`,
					`"99999999-9999-7999-8999-99999999999g"`,
				} {
					wrong(t, f, value)
				}
			}
		})
		t.Run("a base that is not said, or malformed", func(t *testing.T) {
			f := field{path: "/books/$book1/editions", body: `{"base_edition_id": %s}`, location: "body.base_edition_id"}
			for _, value := range []string{`null`, `""`, `"nonsense"`, `7`, `"00000000-0000-0000-0000-000000000000"`} {
				wrong(t, f, value)
			}
			f.body = `{"publisher": %s}`
			wrong(t, f, `"P"`)
		})
	})
}

// quoted is text of n characters, as JSON.
func quoted(n int) string { return `"` + strings.Repeat("x", n) + `"` }

func TestSeveralFieldsThatAreWrong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		for _, c := range []struct {
			name, path, body string
			locations        []string
		}{
			{"everything of a category, what it comes with included", "/libraries/$lib1/categories",
				`{"name": " ", "book": {"title": "", "authors": ["A", "", "\u0000"], "edition": {"isbn": "9780306406158", "publisher": "a\nb", "year": 999, "language": "\u0000", "format": "a\tb"}}}`,
				[]string{"body.name", "body.book.title", "body.book.authors[1]", "body.book.authors[2]", "body.book.edition.isbn",
					"body.book.edition.publisher", "body.book.edition.year", "body.book.edition.language", "body.book.edition.format"}},
			{"everything of a book", "/categories/$cat1/books", `{"title": ` + quoted(10_000) + `, "authors": [""], "edition": {"isbn": "1", "year": 3000}}`,
				[]string{"body.title", "body.authors[0]", "body.edition.isbn", "body.edition.year"}},
			{"everything of an edition", "/books/$book1/editions", `{"base_edition_id": null, "isbn": "1", "year": 1}`,
				[]string{"body.base_edition_id", "body.isbn", "body.year"}},
			{"types, and fields that there are not", "/libraries/$lib1/categories",
				`{"name": 1, "colour": 1, "book": {"title": 2, "authors": [3], "size": 1, "edition": {"isbn": 4, "year": "x", "pages": 1}}}`,
				[]string{"body.name", "body.colour", "body.book.title", "body.book.authors[0]", "body.book.size", "body.book.edition.isbn", "body.book.edition.year", "body.book.edition.pages"}},
			{"what is missing", "/libraries/$lib1/categories", `{}`, []string{"body.name", "body.book"}},
			{"what is missing within", "/libraries/$lib1/categories", `{"name": "N", "book": {"authors": ["A"]}}`, []string{"body.book.title"}},
			{"ids", "/libraries/$lib1/categories", `{"id": "1", "name": "N", "book": {"id": "2", "title": "T", "edition": {"id": "3"}}}`,
				[]string{"body.id", "body.book.id", "body.book.edition.id"}},
			{"ids of an edition", "/books/$book1/editions", `{"id": "1", "base_edition_id": "2"}`, []string{"body.id", "body.base_edition_id"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				s.unchanged(t, func() {
					a := s.post(c.path, c.body)
					refused(t, a, http.StatusUnprocessableEntity, "invalid", c.locations...)
					for _, e := range list(a.Body["errors"]) {
						if text(e, "message") == "" {
							t.Errorf("no message at %v", e["location"])
						}
					}
				})
			})
		}
	})
}

func TestThingsThatAreNotThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		parents := map[string]string{"/libraries/$lib1/categories": "library", "/categories/$cat1/books": "category", "/books/$book1/editions": "book"}
		for path, kind := range parents {
			for _, id := range nowhere {
				path := placeholder.ReplaceAllLiteralString(path, id)
				t.Run("POST "+path, func(t *testing.T) {
					s.unchanged(t, func() { refused(t, s.post(path, valid[parentOf(kind)]), http.StatusNotFound, kind+"-not-found") })
				})
				t.Run("GET "+path, func(t *testing.T) { refused(t, s.get(path), http.StatusNotFound, kind+"-not-found") })
			}
		}
		for path, kind := range map[string]string{"/libraries/": "library", "/categories/": "category", "/books/": "book", "/editions/": "edition"} {
			for _, id := range nowhere {
				t.Run("GET "+path+id, func(t *testing.T) {
					refused(t, s.get(path+id), http.StatusNotFound, kind+"-not-found")
					refused(t, s.get(path+id+"/history"), http.StatusNotFound, kind+"-not-found")
				})
			}
		}
		t.Run("an id of another kind is none", func(t *testing.T) {
			refused(t, s.get("/libraries/$cat1"), http.StatusNotFound, "library-not-found")
			refused(t, s.get("/categories/$book1"), http.StatusNotFound, "category-not-found")
			refused(t, s.get("/books/$ed1"), http.StatusNotFound, "book-not-found")
			refused(t, s.get("/editions/$lib1"), http.StatusNotFound, "edition-not-found")
			s.unchanged(t, func() {
				refused(t, s.post("/libraries/$cat1/categories", valid["/libraries/$lib1/categories"]), http.StatusNotFound, "library-not-found")
				refused(t, s.post("/categories/$lib1/books", valid["/categories/$cat1/books"]), http.StatusNotFound, "category-not-found")
				refused(t, s.post("/books/$cat1/editions", valid["/books/$book1/editions"]), http.StatusNotFound, "book-not-found")
			})
		})
		t.Run("what is not there at all is said before what is wrong in it", func(t *testing.T) {
			refused(t, s.post("/books/$book9/editions", `{"base_edition_id": "$ed9", "isbn": "9780140275360"}`), http.StatusNotFound, "book-not-found")
			refused(t, s.post("/categories/$cat9/books", `{"title": "T", "edition": {"isbn": "9780140275360"}}`), http.StatusNotFound, "category-not-found")
		})
		t.Run("a refusal by a constraint says which", func(t *testing.T) {
			a := s.post("/categories/$cat9/books", `{"title": "T"}`)
			equal(t, without(a.Body, "detail", "request_id"), `{"type": "about:blank", "title": "Not Found", "status": 404, "code": "category-not-found",
				"constraint": "category-exists", "scope": "category:$cat9", "mode": "lock", "attempts": 1, "retryable": false}`)
		})
	})
}

// TestTheZeroUUID: it names nothing, in a path as in a body, and least of all something that another thing can stand in.
func TestTheZeroUUID(t *testing.T) {
	t.Parallel()
	const zero = "00000000-0000-0000-0000-000000000000"
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		for path, kind := range map[string]string{"/libraries/": "library", "/categories/": "category", "/books/": "book", "/editions/": "edition"} {
			refused(t, s.get(path+zero), http.StatusNotFound, kind+"-not-found")
			refused(t, s.get(path+zero+"/history"), http.StatusNotFound, kind+"-not-found")
			if parent := parentOf(kind); parent != "" {
				t.Run("a "+kind, func(t *testing.T) {
					s.unchanged(t, func() {
						refused(t, s.post(placeholder.ReplaceAllLiteralString(parent, zero), valid[parent]), http.StatusNotFound, kind+"-not-found")
					})
				})
			}
		}
		refused(t, s.get("/libraries/"+zero+"/references/1"), http.StatusNotFound, "library-not-found")
		refused(t, s.get("/libraries/"+zero+"/search?q=iliad"), http.StatusNotFound, "library-not-found")
	})
}

// parentOf is the route in valid that creates in a thing of the kind.
func parentOf(kind string) string {
	return map[string]string{"library": "/libraries/$lib1/categories", "category": "/categories/$cat1/books", "book": "/books/$book1/editions"}[kind]
}

func TestRequestsThatAreWrong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		readable := []string{"/libraries", "/libraries/$lib1", "/libraries/$lib1/categories", "/categories/$cat1", "/categories/$cat1/books",
			"/books/$book1", "/books/$book1/editions", "/editions/$ed1", "/libraries/$lib1/references/1", "/libraries/$lib1/search?q=iliad",
			"/libraries/$lib1/history", "/categories/$cat1/history", "/books/$book1/history", "/editions/$ed1/history", "/events"}
		for _, path := range readable {
			must(t, http.StatusOK, s.get(path, "Accession-Min-Position: 4", "Prefer: wait=0"))
			for _, header := range []string{"Accession-Min-Position: -1", "Accession-Min-Position: x", "Prefer: wait=31", "Prefer: wait=x"} {
				name, _, _ := strings.Cut(header, ":")
				refused(t, s.get(path, header), http.StatusUnprocessableEntity, "invalid", "header."+name)
			}
			if !strings.Contains(path, "?") {
				refused(t, s.get(path+"?colour=red"), http.StatusUnprocessableEntity, "invalid", "query.colour")
			}
		}
		for path, body := range valid {
			s.unchanged(t, func() {
				refused(t, s.post(path+"?colour=red", body), http.StatusUnprocessableEntity, "invalid", "query.colour")
			})
		}
		t.Run("a method that a path does not take", func(t *testing.T) {
			a := s.Do(httptest.NewRequest(http.MethodPut, "/api/v1/libraries", strings.NewReader(`{"name": "N"}`)))
			refused(t, a, http.StatusMethodNotAllowed, "method-not-allowed")
			headers(t, a, "Allow: GET, HEAD, POST")
		})
		t.Run("a path that there is not", func(t *testing.T) {
			refused(t, s.get("/shelves"), http.StatusNotFound, "not-found")
			refused(t, s.post("/shelves", `{}`), http.StatusNotFound, "not-found")
		})
		t.Run("a page of another site may not write", func(t *testing.T) {
			s.unchanged(t, func() {
				refused(t, s.post("/libraries", `{"name": "N"}`, "Sec-Fetch-Site: cross-site"), http.StatusForbidden, "cross-origin")
			})
		})
		t.Run("a problem has no field that is not in the contract", func(t *testing.T) {
			a := s.post("/libraries", `{"name": ""}`)
			headers(t, a, "Content-Type: application/problem+json")
			var p map[string]json.RawMessage
			if err := json.Unmarshal([]byte(a.Text), &p); err != nil {
				t.Fatal(err)
			}
			equal(t, without(a.Body, "detail", "request_id", "errors"), `{"type": "about:blank", "title": "Unprocessable Entity", "status": 422, "code": "invalid"}`)
		})
	})
}
