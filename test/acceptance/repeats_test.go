package acceptance_test

import (
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// creation is a creation with ids of the client's, and others under the same ids. They do not get into each other's way.
type creation struct {
	path, body string
	later      string            // another one in the same place
	same       map[string]string // name → a body that says the same
	other      map[string]string // name → a body that does not
	elsewhere  string            // another parent
}

var creations = map[string]creation{
	"library": {
		path: "/libraries", body: `{"id": "$lib1", "name": "Café"}`, later: `{"name": "Later"}`,
		same:  map[string]string{"written otherwise": `{"name": " Cafe\u0301\n", "id": "$lib1"}`},
		other: map[string]string{"in other case": `{"id": "$lib1", "name": "café"}`, "under another name": `{"id": "$lib1", "name": "Cafe"}`},
	},
	"category": {
		path: "/libraries/$lib8/categories", later: `{"name": "Later", "book": {"title": "Later"}}`,
		body: `{"id": "$cat1", "name": "Épic", "book": {"id": "$book1", "title": "Iliad", "authors": ["Homer"], "edition": {"id": "$ed1", "isbn": "9780306406157", "year": 1980}}}`,
		same: map[string]string{
			"written otherwise":                       `{"id": "$cat1", "name": " E\u0301pic", "book": {"id": "$book1", "title": "Iliad ", "authors": [" Homer"], "edition": {"id": "$ed1", "isbn": "0-306-40615-2", "year": 1980, "format": null}}}`,
			"without the ids of what comes with it":   `{"id": "$cat1", "name": "Épic", "book": {"title": "Iliad", "authors": ["Homer"], "edition": {"isbn": "9780306406157", "year": 1980}}}`,
			"with what is left out said to be absent": `{"id": "$cat1", "name": "Épic", "book": {"title": "Iliad", "authors": ["Homer"], "edition": {"isbn": "9780306406157", "year": 1980, "publisher": "", "language": " "}}}`,
		},
		other: map[string]string{
			"in other case":           `{"id": "$cat1", "name": "épic", "book": {"title": "Iliad", "authors": ["Homer"], "edition": {"isbn": "9780306406157", "year": 1980}}}`,
			"with another title":      `{"id": "$cat1", "name": "Épic", "book": {"title": "Odyssey", "authors": ["Homer"], "edition": {"isbn": "9780306406157", "year": 1980}}}`,
			"with another year":       `{"id": "$cat1", "name": "Épic", "book": {"title": "Iliad", "authors": ["Homer"], "edition": {"isbn": "9780306406157", "year": 1981}}}`,
			"with another book id":    `{"id": "$cat1", "name": "Épic", "book": {"id": "$book99", "title": "Iliad", "authors": ["Homer"], "edition": {"isbn": "9780306406157", "year": 1980}}}`,
			"with another edition id": `{"id": "$cat1", "name": "Épic", "book": {"title": "Iliad", "authors": ["Homer"], "edition": {"id": "$ed99", "isbn": "9780306406157", "year": 1980}}}`,
		},
		elsewhere: "/libraries/$lib9/categories",
	},
	"book": {
		path: "/categories/$cat8/books", later: `{"title": "Later"}`,
		body: `{"id": "$book2", "title": "Iliad", "authors": ["Homer", "Butler"], "edition": {"id": "$ed2", "publisher": "Plenum"}}`,
		same: map[string]string{
			"written otherwise":                     `{"title": "\tIliad", "authors": ["Homer ", "Butler"], "edition": {"publisher": "Plenum ", "isbn": "", "id": "$ed2"}, "id": "$book2"}`,
			"without the ids of what comes with it": `{"id": "$book2", "title": "Iliad", "authors": ["Homer", "Butler"], "edition": {"publisher": "Plenum"}}`,
		},
		other: map[string]string{
			"with the authors in another order": `{"id": "$book2", "title": "Iliad", "authors": ["Butler", "Homer"], "edition": {"publisher": "Plenum"}}`,
			"with the authors as one":           `{"id": "$book2", "title": "Iliad", "authors": ["Homer Butler"], "edition": {"publisher": "Plenum"}}`,
			"without authors":                   `{"id": "$book2", "title": "Iliad", "edition": {"publisher": "Plenum"}}`,
			"without an edition":                `{"id": "$book2", "title": "Iliad", "authors": ["Homer", "Butler"]}`,
			"with the publisher as format":      `{"id": "$book2", "title": "Iliad", "authors": ["Homer", "Butler"], "edition": {"format": "Plenum"}}`,
			"with another edition id":           `{"id": "$book2", "title": "Iliad", "authors": ["Homer", "Butler"], "edition": {"id": "$ed99", "publisher": "Plenum"}}`,
		},
		elsewhere: "/categories/$cat9/books",
	},
	"edition": {
		path: "/books/$book8/editions", body: `{"id": "$ed3", "base_edition_id": "$ed8", "isbn": "9780804429573", "language": "en"}`,
		later: `{"base_edition_id": "$ed8"}`,
		same: map[string]string{
			"written otherwise": `{"base_edition_id": "$ed8", "language": " en", "isbn": "080442957x", "year": null, "id": "$ed3"}`,
		},
		other: map[string]string{
			"without the ISBN":  `{"id": "$ed3", "base_edition_id": "$ed8", "language": "en"}`,
			"with a year":       `{"id": "$ed3", "base_edition_id": "$ed8", "isbn": "9780804429573", "language": "en", "year": 1000}`,
			"on another base":   `{"id": "$ed3", "base_edition_id": "$ed7", "isbn": "9780804429573", "language": "en"}`,
			"with another ISBN": `{"id": "$ed3", "base_edition_id": "$ed8", "isbn": "9780140275360", "language": "en"}`,
		},
		elsewhere: "/books/$book9/editions",
	},
}

// parents opens what the creations are created in.
func (s site) parents(t *testing.T) {
	t.Helper()
	for n := 8; n <= 9; n++ {
		must(t, http.StatusCreated, s.post("/libraries", fmt.Sprintf(`{"id": "$lib%d", "name": "Main"}`, n)))
	}
	for n := 8; n <= 9; n++ {
		must(t, http.StatusCreated, s.post("/libraries/$lib8/categories",
			fmt.Sprintf(`{"id": "$cat%d", "name": "Shelf %d", "book": {"id": "$book%d", "title": "T", "edition": {"id": "$ed%d"}}}`, n, n, n, n)))
	}
	must(t, http.StatusCreated, s.post("/books/$book8/editions", `{"id": "$ed7", "base_edition_id": "$ed8"}`))
}

func TestRepeatedCreations(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.parents(t)
		for kind, c := range creations {
			t.Run("a "+kind, func(t *testing.T) { repeat(t, s, c) })
		}
	})
}

func repeat(t *testing.T, s site, c creation) {
	first := must(t, http.StatusCreated, s.post(c.path, c.body))
	must(t, http.StatusCreated, s.post(c.path, c.later))
	after := s.Position()

	same := maps.Clone(c.same)
	if same == nil {
		same = map[string]string{}
	}
	same["word for word"] = c.body
	for name, body := range same {
		t.Run("again, "+name, func(t *testing.T) {
			again := s.post(c.path, body, "X-Actor: somebody else")
			if again.Status != http.StatusOK {
				t.Fatalf("answered %d: %s", again.Status, again.Text)
			}
			if diff := cmp.Diff(first.Body, again.Body); diff != "" {
				t.Errorf("first -, again +\n%s", diff)
			}
			for _, h := range []string{"Location", "ETag", "Accession-Position"} {
				if first.Header.Get(h) == "" || first.Header.Get(h) != again.Header.Get(h) {
					t.Errorf("%s: first %q, again %q", h, first.Header.Get(h), again.Header.Get(h))
				}
			}
		})
	}
	for name, body := range c.other {
		t.Run("its id, "+name, func(t *testing.T) {
			refused(t, s.post(c.path, body), http.StatusConflict, "id-taken")
		})
	}
	if c.elsewhere != "" {
		t.Run("its id, elsewhere", func(t *testing.T) {
			refused(t, s.post(c.elsewhere, c.body), http.StatusConflict, "id-taken")
		})
	}
	if s.Position() != after {
		t.Errorf("the log went on from %d to %d", after, s.Position())
	}
}

func TestIDsOfClients(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		t.Run("may be any UUID, and one may name a thing of each kind", func(t *testing.T) {
			for n, id := range []string{
				"c232ab00-9414-11ec-b3c8-9f6bdeced846", "000003e8-9414-21ec-b300-325096b39f47", "5df41881-3aed-3515-88a7-2f4a814cf09e",
				"919108f7-52d1-4320-9bac-f847db4148a8", "2ed6657d-e927-568b-95e1-2665a8aea6a2", "1ec9414c-232a-6b00-b3c8-9f6bdeced846",
				"017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "320c3d4d-cc00-875b-8ec9-32d5f69181c0", "ffffffff-ffff-ffff-ffff-ffffffffffff",
				"00000000-0000-0000-0000-000000000001", "12345678-9abc-def0-1234-56789abcdef0",
			} {
				must(t, http.StatusCreated, s.post("/libraries", fmt.Sprintf(`{"id": %q, "name": "L"}`, id)))
				must(t, http.StatusCreated, s.post("/libraries/"+id+"/categories",
					fmt.Sprintf(`{"id": %[1]q, "name": "C", "book": {"id": %[1]q, "title": "B", "edition": {"id": %[1]q}}}`, id)))
				for _, path := range []string{"/libraries/", "/categories/", "/books/", "/editions/"} {
					if a := must(t, http.StatusOK, s.get(path+id)); a.Body["id"] != id {
						t.Errorf("%d: %s%s is %v", n, path, id, a.Body["id"])
					}
				}
			}
		})
		s.furnish(t)
		before := s.Position()
		for name, request := range map[string][2]string{
			"a book's, of a category's first book":            {"/categories/$cat1/books", `{"id": "$book1", "title": "Other"}`},
			"a book's, of a first book, in a new category":    {"/libraries/$lib1/categories", `{"name": "New", "book": {"id": "$book1", "title": "Other"}}`},
			"an edition's, of a first edition":                {"/books/$book1/editions", `{"id": "$ed1", "base_edition_id": "$ed1"}`},
			"an edition's, of a first edition, in a new book": {"/categories/$cat1/books", `{"title": "Other", "edition": {"id": "$ed1"}}`},
			"an edition's, in a new category":                 {"/libraries/$lib1/categories", `{"name": "New", "book": {"title": "Other", "edition": {"id": "$ed1"}}}`},
		} {
			t.Run("are taken once for all: "+name, func(t *testing.T) {
				refused(t, s.post(request[0], request[1]), http.StatusConflict, "id-taken")
			})
		}
		if s.Position() != before {
			t.Errorf("the log went on from %d to %d", before, s.Position())
		}
	})
}
