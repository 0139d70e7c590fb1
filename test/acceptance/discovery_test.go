package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// shelves is a small library, $lib1, with what searching and referring has to tell apart, and another one with the same book.
func (s site) shelves(t *testing.T) {
	t.Helper()
	s.furnish(t) // Epic: Iliad
	for _, b := range []string{
		`{"id": "$book2", "title": "The Odyssey", "authors": ["Homer", "Émile Rieu"], "edition": {"id": "$ed2", "isbn": "9780804429573", "year": 1946}}`,
		`{"id": "$book3", "title": "Ærø: an epic", "authors": ["Łukasz Ørsted"], "edition": {"id": "$ed3"}}`,
	} {
		must(t, http.StatusCreated, s.post("/categories/$cat1/books", b))
	}
	must(t, http.StatusCreated, s.post("/libraries/$lib1/categories",
		`{"id": "$cat2", "name": "Lyric", "book": {"id": "$book4", "title": "Odes", "authors": ["Pindar"], "edition": {"id": "$ed4"}}}`))
	must(t, http.StatusCreated, s.post("/books/$book2/editions",
		`{"id": "$ed5", "base_edition_id": "$ed2", "isbn": "0-306-40615-2", "publisher": "Penguin", "year": 2003, "language": "en", "format": "paperback"}`))
	must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib2", "name": "Other"}`))
	must(t, http.StatusCreated, s.post("/libraries/$lib2/categories",
		`{"id": "$cat3", "name": "Epic", "book": {"id": "$book5", "title": "The Odyssey", "edition": {"id": "$ed6", "isbn": "9780306406157"}}}`))
}

func TestReferences(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.shelves(t)
		const (
			category = `{"id": "$cat1", "library_id": "$lib1", "number": 1, "name": "Epic", "withdrawn": false}`
			book     = `{"id": "$book2", "category_id": "$cat1", "library_id": "$lib1", "number": 2, "title": "The Odyssey",
				"authors": ["Homer", "Émile Rieu"], "withdrawn": false, "reference": "1.2"}`
			edition = `{"id": "$ed5", "book_id": "$book2", "number": 2, "base_edition_id": "$ed2", "isbn": "9780306406157", "publisher": "Penguin",
				"year": 2003, "language": "en", "format": "paperback", "withdrawn": false, "rejected": null, "reference": "1.2.2"}`
		)
		for reference, want := range map[string]string{
			"1":     `{"category": ` + category + `, "book": null, "edition": null}`,
			"1.2":   `{"category": ` + category + `, "book": ` + book + `, "edition": null}`,
			"1.2.2": `{"category": ` + category + `, "book": ` + book + `, "edition": ` + edition + `}`,
		} {
			t.Run("what "+reference+" names", func(t *testing.T) {
				a := s.get("/libraries/$lib1/references/" + reference)
				expect(t, a, http.StatusOK, want)
				headers(t, a, fmt.Sprintf("Accession-Position: %d", s.Position()))
			})
		}
		t.Run("every reference that is shown leads back", func(t *testing.T) {
			for _, path := range []string{"/books/$book1", "/books/$book3", "/books/$book4", "/editions/$ed1", "/editions/$ed2", "/editions/$ed4", "/editions/$ed5"} {
				shown := must(t, http.StatusOK, s.get(path))
				found := must(t, http.StatusOK, s.get("/libraries/$lib1/references/"+text(shown.Body, "reference")))
				level := "edition"
				if strings.HasPrefix(path, "/books/") {
					level = "book"
				}
				if diff := cmp.Diff(any(shown.Body), found.Body[level]); diff != "" {
					t.Errorf("%s: %s", path, diff)
				}
			}
		})
		t.Run("each library has its own", func(t *testing.T) {
			a := must(t, http.StatusOK, s.get("/libraries/$lib2/references/1.1.1"))
			if e := a.Body["edition"].(map[string]any); e["id"] != expand("$ed6") {
				t.Errorf("got %v", e)
			}
		})
		for path, code := range map[string]string{
			"/libraries/$lib1/references/3":                        "category-not-found",
			"/libraries/$lib1/references/3.1":                      "category-not-found",
			"/libraries/$lib1/references/3.1.1":                    "category-not-found",
			"/libraries/$lib1/references/1.4":                      "book-not-found",
			"/libraries/$lib1/references/1.4.1":                    "book-not-found",
			"/libraries/$lib1/references/1.2.3":                    "edition-not-found",
			"/libraries/$lib1/references/0":                        "category-not-found",
			"/libraries/$lib1/references/1.0":                      "book-not-found",
			"/libraries/$lib1/references/01.2":                     "book-not-found",
			"/libraries/$lib1/references/1.-2":                     "book-not-found",
			"/libraries/$lib1/references/one":                      "category-not-found",
			"/libraries/$lib1/references/1.2.2.1":                  "edition-not-found",
			"/libraries/$lib1/references/1.2.99999999999999999999": "edition-not-found",
			"/libraries/$lib9/references/1.2.2":                    "library-not-found",
			"/libraries/nonsense/references/1.2.2":                 "library-not-found",
		} {
			t.Run("nothing at "+path, func(t *testing.T) { refused(t, s.get(path), http.StatusNotFound, code) })
		}
	})
}

func TestSearch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.shelves(t)
		const (
			iliad   = "book $book1 1.1"
			odyssey = "book $book2 1.2"
			aero    = "book $book3 1.3"
			odes    = "book $book4 2.1"
			first   = "edition $ed2 1.2.1"
			second  = "edition $ed5 1.2.2"
			lyric   = "category $cat2 2"
		)
		for q, want := range map[string][]string{
			"odyssey": {odyssey}, "ODYSSEY": {odyssey}, "ody": {odyssey}, "od": {odyssey, odes}, "homer": {iliad, odyssey},
			"hom the od": {odyssey}, "homer pindar": nil, "dyssey": nil,
			"emile": {odyssey}, "Émi": {odyssey}, "E\u0301MILE rieu": {odyssey}, "aero": {aero}, "lukasz orsted": {aero}, "epic": {aero},
			"9780804429573": {first}, "0-8044-2957-X": {first}, "080442957x": {first}, "978-0-306-40615-7": {second}, "0306406152": {second},
			"1.2": {odyssey}, "1.2.2": {second}, "2": {lyric}, "1.9": nil, "9780306406158": nil,
		} {
			t.Run("for "+q, func(t *testing.T) {
				a := must(t, http.StatusOK, s.get("/libraries/$lib1/search?q="+url.QueryEscape(q)))
				var got, wanted []string
				for _, i := range items(a) {
					got = append(got, text(i, "kind")+" "+text(i, "id")+" "+text(i, "reference"))
				}
				for _, w := range want {
					wanted = append(wanted, expand(w))
				}
				if diff := cmp.Diff(wanted, got); diff != "" {
					t.Errorf("want -, got +\n%s", diff)
				}
				if items(a) == nil || a.Body["next"] != nil {
					t.Errorf("got %s", a.Text)
				}
				headers(t, a, fmt.Sprintf("Accession-Position: %d", s.Position()), "Link")
			})
		}
		t.Run("a hit says what it is", func(t *testing.T) {
			a := must(t, http.StatusOK, s.get("/libraries/$lib1/search?q=9780306406157"))
			hit := object(t, `{"kind": "edition", "id": "$ed5", "reference": "1.2.2", "title": "The Odyssey", "authors": ["Homer", "Émile Rieu"]}`)
			for field, want := range hit {
				if diff := cmp.Diff(want, items(a)[0][field]); diff != "" {
					t.Errorf("%s: %s", field, diff)
				}
			}
		})
		t.Run("each library is searched by itself", func(t *testing.T) {
			a := must(t, http.StatusOK, s.get("/libraries/$lib2/search?q=odyssey"))
			if diff := cmp.Diff([]any{expand("$book5")}, column(items(a), "id")); diff != "" {
				t.Error(diff)
			}
		})
		for path, locations := range map[string][]string{
			"/libraries/$lib1/search":                                   {"query.q"},
			"/libraries/$lib1/search?q=":                                {"query.q"},
			"/libraries/$lib1/search?q=%20":                             {"query.q"},
			"/libraries/$lib1/search?q=%F0%9F%90%8D":                    {"query.q"}, // 🐍: words are of letters and digits
			"/libraries/$lib1/search?q=*":                               {"query.q"},
			"/libraries/$lib1/search?q=iliad&q=odyssey":                 {"query.q"},
			"/libraries/$lib1/search?q=" + strings.Repeat("word", 1000): {"query.q"},
		} {
			t.Run(fmt.Sprintf("%.40s is refused", path), func(t *testing.T) {
				refused(t, s.get(path), http.StatusUnprocessableEntity, "invalid", locations...)
			})
		}
		refused(t, s.get("/libraries/$lib9/search?q=odyssey"), http.StatusNotFound, "library-not-found")
		refused(t, s.get("/libraries/nonsense/search?q=odyssey"), http.StatusNotFound, "library-not-found")
	})
}

func TestHistories(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.shelves(t)
		for path, positions := range map[string][]any{ // shelves records 1 library, 3 with its category, 2 a book twice, 3, 1 edition, 1, 3
			"/libraries/$lib1/history":  {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0},
			"/libraries/$lib2/history":  {13.0, 14.0, 15.0, 16.0},
			"/categories/$cat1/history": {2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 12.0},
			"/categories/$cat2/history": {9.0, 10.0, 11.0},
			"/books/$book2/history":     {5.0, 6.0, 12.0}, // its editions' too
			"/editions/$ed5/history":    {12.0},
		} {
			a := must(t, http.StatusOK, s.get(path))
			if diff := cmp.Diff(positions, column(items(a), "position")); diff != "" {
				t.Errorf("%s, oldest first: want -, got +\n%s", path, diff)
			}
			headers(t, a, "Accession-Position: 16", "Link")
		}
		t.Run("an event says what happened, when, and who said so", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/books/$book2/editions",
				`{"id": "$ed7", "base_edition_id": "$ed5", "publisher": " Oxford ", "year": 1980}`, "X-Actor: Zoë (front desk)"))
			got := items(must(t, http.StatusOK, s.get("/editions/$ed7/history")))[0]
			equal(t, without(got, "id", "recorded_at"), `{"position": 17, "type": "editions.edition_added", "schema": 1, "actor": "Zoë (front desk)",
				"data": {"edition_id": "$ed7", "book_id": "$book2", "category_id": "$cat1", "library_id": "$lib1", "number": 3,
					"base_edition_id": "$ed5", "publisher": "Oxford", "year": 1980}}`)
			if id, err := uuid.Parse(text(got, "id")); err != nil || id.Version() != 7 {
				t.Errorf("id %v", got["id"])
			}
			if at, err := time.Parse(time.RFC3339Nano, text(got, "recorded_at")); err != nil || time.Since(at).Abs() > time.Hour {
				t.Errorf("recorded at %v", got["recorded_at"])
			}
		})
		for _, name := range []string{"libraries/$lib9 library", "categories/$cat9 category", "books/$book9 book", "editions/$ed9 edition",
			"books/$lib1 book", "libraries/nonsense library", "categories/1 category", "books/nonsense book", "editions/nonsense edition"} {
			path, kind, _ := strings.Cut(name, " ")
			refused(t, s.get("/"+path+"/history"), http.StatusNotFound, kind+"-not-found")
		}
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.shelves(t)
		for query, positions := range map[string][]any{
			"":                     numbers(16),
			"?limit=3":             numbers(3),
			"?after=14":            {15.0, 16.0},
			"?after=14&limit=1":    {15.0},
			"?after=16":            {},
			"?after=1000":          {},
			"?scope=book:$book2":   {5.0, 6.0, 12.0},
			"?scope=category:$ed1": {},
			"?type=library.library_opened,library.category_created": {1.0, 2.0, 9.0, 13.0, 14.0},
			"?type=catalogue.book_added&scope=library:$lib1":        {3.0, 5.0, 7.0, 10.0},
			"?type=catalogue.book_added&after=3&limit=2":            {5.0, 7.0},
			"?type=no.such_event":                                   {},
		} {
			a := must(t, http.StatusOK, s.get("/events"+query))
			if diff := cmp.Diff(positions, column(items(a), "position")); diff != "" {
				t.Errorf("%q: want -, got +\n%s", query, diff)
			}
			headers(t, a, "Accession-Position: 16")
		}
		t.Run("one unit's events stand together, in the order in which they happened", func(t *testing.T) {
			a := must(t, http.StatusOK, s.get("/events?after=1&limit=3"))
			want := []any{"library.category_created", "catalogue.book_added", "editions.edition_added"}
			if diff := cmp.Diff(want, column(items(a), "type")); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("a cursor goes on from where it was, and not before what is asked for", func(t *testing.T) {
			next := must(t, http.StatusOK, s.get("/events?limit=2")).Body["next"].(string)
			for after, want := range map[string]any{"0": 3.0, "1": 3.0, "7": 8.0} {
				a := must(t, http.StatusOK, s.get("/events?limit=2&after="+after+"&cursor="+next))
				if got := items(a)[0]["position"]; got != want {
					t.Errorf("after %s and the cursor comes %v, want %v", after, got, want)
				}
			}
		})
		for _, query := range []string{"after=-1", "after=x", "limit=0", "limit=501", "scope=nonsense", "scope=book:", "cursor=nonsense", "colour=red"} {
			name, _, _ := strings.Cut(query, "=")
			refused(t, s.get("/events?"+query), http.StatusUnprocessableEntity, "invalid", "query."+name)
		}
	})
}

func TestActors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		actor := func() any {
			return items(must(t, http.StatusOK, s.get(fmt.Sprintf("/events?after=%d", s.Position()-1))))[0]["actor"]
		}
		s.furnish(t)
		if got := actor(); got != "anonymous" {
			t.Errorf("without X-Actor: %v", got)
		}
		writes := map[string]string{
			"/libraries": `{"name": "L"}`, "/libraries/$lib1/categories": `{"name": "C", "book": {"title": "T"}}`,
			"/categories/$cat1/books": `{"title": "T"}`, "/books/$book1/editions": `{"base_edition_id": "$ed1"}`,
		}
		for path, body := range writes {
			must(t, http.StatusCreated, s.post(path, body, "X-Actor: "+path))
			if got := actor(); got != path {
				t.Errorf("POST %s: %v", path, got)
			}
			longest := strings.Repeat("ü", 200)
			must(t, http.StatusCreated, s.post(path, strings.Replace(body, `"C"`, `"D"`, 1), "X-Actor: "+longest))
			if got := actor(); got != longest {
				t.Errorf("POST %s: %v", path, got)
			}
			for _, wrong := range []string{longest + "ü", "a\tb", "a\x00b", "\xff", "a\u202eb"} {
				before := s.Position()
				refused(t, s.post(path, body, "X-Actor: "+wrong), http.StatusUnprocessableEntity, "invalid", "header.X-Actor")
				if s.Position() != before {
					t.Errorf("POST %s with the actor %q was recorded", path, wrong)
				}
			}
		}
	})
}

// TestDataIsStoredAsItIsShown is about what programs read from the log: JSON without what is not there.
func TestDataIsStoredAsItIsShown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		a := must(t, http.StatusOK, s.get("/libraries/$lib1/history"))
		var page struct {
			Items []struct {
				Data json.RawMessage `json:"data"`
			} `json:"items"`
		}
		if err := json.Unmarshal([]byte(a.Text), &page); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range page.Items {
			got = append(got, string(i.Data))
		}
		want := strings.Split(expand(`{"library_id":"$lib1","name":"Main"}
{"category_id":"$cat1","library_id":"$lib1","number":1,"name":"Epic"}
{"book_id":"$book1","category_id":"$cat1","library_id":"$lib1","number":1,"title":"Iliad","authors":["Homer"]}
{"edition_id":"$ed1","book_id":"$book1","category_id":"$cat1","library_id":"$lib1","number":1,"isbn":"9780140275360"}`), "\n")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("want -, got +\n%s", diff)
		}
	})
}
