package discovery_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"accession/modules/discovery"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/httpapi"

	"github.com/google/go-cmp/cmp"
)

// refused is what is looked at of a problem document.
type refused struct {
	Code   string `json:"code"`
	Errors []struct {
		Location string `json:"location"`
	} `json:"errors"`
}

func TestReferences(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, testReferences)
}

func testReferences(t *testing.T, db *database.DB) {
	s := serve(t, db, seed()...)
	base := "/libraries/" + library(1).String() + "/references/"

	t.Run("an edition's reference gives all three levels, field for field", func(t *testing.T) {
		got := read[map[string]any](s, 200, base+"1.1.2")
		want := map[string]any{
			"category": map[string]any{"id": category(1).String(), "library_id": library(1).String(), "number": 1.0, "name": "English fiction", "withdrawn": false},
			"book": map[string]any{"id": book(1).String(), "category_id": category(1).String(), "library_id": library(1).String(), "number": 1.0,
				"title": "Pride and Prejudice", "authors": []any{"Austen, Jane, 1775-1817"}, "withdrawn": false, "reference": "1.1"},
			"edition": map[string]any{"id": edition(2).String(), "book_id": book(1).String(), "number": 2.0, "base_edition_id": edition(1).String(),
				"isbn": "9780141439518", "publisher": "Penguin", "year": 2003.0, "language": "en", "format": "paperback",
				"withdrawn": false, "rejected": nil, "reference": "1.1.2"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a book's first edition has no base, and what is not printed in it is null", func(t *testing.T) {
		got := read[discovery.Referenced](s, 200, base+"2.1.1")
		if e := got.Edition; e.BaseEditionID != nil || e.ISBN != nil || e.Year != nil || e.Publisher != nil || e.Format != nil {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("shorter references leave the levels below null", func(t *testing.T) {
		if got := read[discovery.Referenced](s, 200, base+"3.1"); got.Book.Title != "三國演義" || got.Edition != nil {
			t.Errorf("3.1: %+v", got)
		}
		if got := read[discovery.Referenced](s, 200, base+"3"); got.Category.Name != "東亞" || got.Book != nil || got.Edition != nil {
			t.Errorf("3: %+v", got)
		}
	})
	for path, code := range map[string]string{
		base + "9": "category-not-found", base + "1.9": "book-not-found", base + "1.1.9": "edition-not-found",
		base + "x": "category-not-found", base + "1.x": "book-not-found", base + "1.1.x": "edition-not-found", base + "1.01.1": "edition-not-found",
		base + "9.9.9": "category-not-found", base + "1.9.9": "book-not-found", base + "1.1.1.1": "edition-not-found",
		"/libraries/" + library(9).String() + "/references/1": "library-not-found",
		"/libraries/1/references/1":                           "library-not-found",
	} {
		t.Run("404 for "+path, func(t *testing.T) {
			if got := read[refused](s, 404, path); got.Code != code {
				t.Errorf("got %s, want %s", got.Code, code)
			}
		})
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, testSearch)
}

func testSearch(t *testing.T, db *database.DB) {
	s := serve(t, db, seed()...)
	for q, want := range map[string]string{
		"pride":                   "1.1 Pride and Prejudice, – The Trees of Pride", // what has no reference yet comes last
		"PRIDE prej":              "1.1 Pride and Prejudice",
		"austen pride":            "1.1 Pride and Prejudice", // title and author together
		"pride austen zzz":        "",
		"ride":                    "", // a prefix, not any part
		"moliere":                 "2.1 L’Avare",
		"MOLIÈRE":                 "2.1 L’Avare",
		"avare":                   "2.1 L’Avare",
		"l'avare":                 "2.1 L’Avare",
		"elegies":                 "2.2 Élégies <et> chansons",
		"aero lukasz":             "2.2 Élégies <et> chansons",
		"三國演義":                    "3.1 三國演義",
		"國演":                      "3.1 三國演義",
		"義":                       "3.1 三國演義",
		"羅":                       "3.1 三國演義",
		"三演":                      "",
		"ليلة":                    "– ألف ليلة وليلة",
		"39":                      "1.2 The 39 Steps",
		"1":                       "1 English fiction, 1.1 Pride and Prejudice, 1.3 1984", // a category, and years
		"2":                       "2 Français",
		"3.1":                     "3.1 三國演義",
		"1.1.2":                   "1.1.2 Pride and Prejudice",
		" 1.1.2 ":                 "1.1.2 Pride and Prejudice",
		"1.1.7":                   "",
		"9780141439518":           "1.1.2 Pride and Prejudice",
		"978-0-14-143951-8":       "1.1.2 Pride and Prejudice",
		"0141439513":              "1.1.2 Pride and Prejudice",
		"0-306-40615-2":           "1.3.1 1984",
		"978-0-306-40615-8":       "", // its check digit is wrong
		"100%":                    "",
		"_":                       "422 query.q",
		"":                        "422 query.q",
		"  \t ":                   "422 query.q",
		"\x00":                    "422 query.q",
		"?!":                      "422 query.q",
		"🐍":                       "422 query.q",
		"1984 🐍":                  "1.3 1984",
		strings.Repeat("a", 1001): "422 query.q",
		strings.Repeat("義演", 100): "",
	} {
		t.Run(q, func(t *testing.T) {
			path := "/libraries/" + library(1).String() + "/search?q=" + url.QueryEscape(q)
			if location, ok := strings.CutPrefix(want, "422 "); ok {
				if got := read[refused](s, 422, path); got.Code != "invalid" || len(got.Errors) != 1 || got.Errors[0].Location != location {
					t.Errorf("got %+v", got)
				}
				return
			}
			var found []string
			for _, h := range read[httpapi.Page[discovery.Hit]](s, 200, path).Items {
				reference := "–"
				if h.Reference != nil {
					reference = *h.Reference
				}
				found = append(found, reference+" "+h.Title)
			}
			if got := strings.Join(found, ", "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	t.Run("a hit says what it is", func(t *testing.T) {
		hits := read[httpapi.Page[map[string]any]](s, 200, "/libraries/"+library(1).String()+"/search?q=9780141439518").Items
		want := []map[string]any{{
			"kind": "edition", "id": edition(2).String(), "reference": "1.1.2", "title": "Pride and Prejudice", "authors": []any{"Austen, Jane, 1775-1817"},
			"category_id": category(1).String(), "book_id": book(1).String(), "isbn": "9780141439518", "publisher": "Penguin", "year": 2003.0,
			"language": "en", "format": "paperback", "withdrawn": false,
		}}
		if diff := cmp.Diff(want, hits); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("another library is another catalogue", func(t *testing.T) {
		hits := read[httpapi.Page[discovery.Hit]](s, 200, "/libraries/"+library(2).String()+"/search?q=pride").Items
		if len(hits) != 1 || hits[0].ID != book(9).String() {
			t.Errorf("got %+v", hits)
		}
	})
	t.Run("an unknown library is 404", func(t *testing.T) {
		for _, id := range []string{library(9).String(), "none"} {
			if got := read[refused](s, 404, "/libraries/"+id+"/search?q=pride"); got.Code != "library-not-found" {
				t.Errorf("got %s", got.Code)
			}
		}
	})
}

func TestSearchPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, testSearchPages)
}

func testSearchPages(t *testing.T, db *database.DB) {
	s := serve(t, db, seed()...)
	for _, q := range []string{"1", "p", "pride", "9780141439518"} {
		path := "/libraries/" + library(1).String() + "/search?q=" + q
		all := read[httpapi.Page[discovery.Hit]](s, 200, path).Items
		var paged []discovery.Hit
		for next := ""; ; {
			w := s.get(httpapi.Prefix + path + "&limit=1" + next)
			page := read[httpapi.Page[discovery.Hit]](s, 200, path+"&limit=1"+next)
			paged = append(paged, page.Items...)
			if page.Next == nil {
				break
			}
			if next = "&cursor=" + *page.Next; !strings.Contains(w.Header().Get("Link"), *page.Next) {
				t.Errorf("Link is %q", w.Header().Get("Link"))
			}
		}
		if diff := cmp.Diff(all, paged); diff != "" {
			t.Errorf("%s: one by one it is another list:\n%s", q, diff)
		}
		first := read[httpapi.Page[discovery.Hit]](s, 200, path+"&limit=1")
		if first.Next != nil {
			if got := read[refused](s, 422, "/libraries/"+library(1).String()+"/search?q=other&cursor="+*first.Next); got.Errors[0].Location != "query.cursor" {
				t.Errorf("a cursor of another search: %+v", got)
			}
		}
	}
}

// TestACursorOfOnesOwnBreaksNothing: there is no secret in a cursor, so somebody may come with a place that no list ever gave.
func TestACursorOfOnesOwnBreaksNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t), seed()...)
	l := library(1)
	for _, at := range []map[string]any{{"e": -1}, {"e": 1 << 40}, {"c": -1, "b": -1, "t": "x"}, {"c": 1 << 60, "t": "book:"}} {
		for _, q := range []string{"1", "1.1", "pride", "9780141439518"} {
			cursor := httpapi.Listing{"search", string(l.Tag()), q, "false"}.Cursor(at)
			read[httpapi.Page[discovery.Hit]](s, 200, "/libraries/"+l.String()+"/search?q="+q+"&cursor="+cursor)
			onPage := httpapi.Listing{"search-page", string(l.Tag()), q, "false"}.Cursor(at)
			if w := s.get("/libraries/" + l.String() + "/search?q=" + q + "&cursor=" + onPage); w.Code >= 400 {
				t.Errorf("%s from %v: %d", q, at, w.Code)
			}
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t), seed()...)
	positions := func(items []discovery.Recorded) (ps []event.Position) {
		for _, i := range items {
			ps = append(ps, i.Position)
		}
		return ps
	}
	for path, want := range map[string][]event.Position{
		"/editions/" + edition(2).String():    {5},
		"/books/" + book(1).String():          {3, 4, 5, 6, 7, 8}, // its editions', too
		"/categories/" + category(5).String(): {27, 28, 29},
		"/libraries/" + library(2).String():   {26, 27, 28, 29},
	} {
		page := read[httpapi.Page[discovery.Recorded]](s, 200, path+"/history")
		if diff := cmp.Diff(want, positions(page.Items)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	t.Run("an event is as it was stored", func(t *testing.T) {
		got := read[httpapi.Page[map[string]any]](s, 200, "/libraries/"+library(2).String()+"/history?limit=1").Items[0]
		delete(got, "id")
		want := map[string]any{
			"position": 26.0, "type": "library.library_opened", "schema": 1.0, "recorded_at": "2026-11-02T14:00:25Z", "actor": "cli:ada",
			"data": map[string]any{"library_id": library(2).String(), "name": "Other Library"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("pages fit together, and the last one has no next", func(t *testing.T) {
		path := "/books/" + book(1).String() + "/history?limit=4"
		first := read[httpapi.Page[discovery.Recorded]](s, 200, path)
		rest := read[httpapi.Page[discovery.Recorded]](s, 200, path+"&cursor="+*first.Next)
		if diff := cmp.Diff([]event.Position{3, 4, 5, 6, 7, 8}, positions(append(first.Items, rest.Items...))); diff != "" || rest.Next != nil {
			t.Error(diff, rest.Next)
		}
	})
	for path, code := range map[string]string{
		"/libraries/" + library(9).String():                             "library-not-found",
		"/categories/" + category(9).String():                           "category-not-found",
		"/books/" + edition(1).String():                                 "book-not-found",
		"/editions/x":                                                   "edition-not-found",
		"/editions/" + strings.ReplaceAll(edition(1).String(), "-", ""): "edition-not-found",
	} {
		if got := read[refused](s, 404, path+"/history"); got.Code != code {
			t.Errorf("%s: got %s, want %s", path, got.Code, code)
		}
	}
	if got := read[httpapi.Page[discovery.Recorded]](s, 200, "/books/"+strings.ToUpper(book(1).String())+"/history"); len(got.Items) != 6 {
		t.Errorf("an id in capitals is another one: %+v", got)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t), seed()...)
	for query, want := range map[string][]event.Position{
		"?limit=2":                     {1, 2},
		"?after=27":                    {28, 29},
		"?after=29":                    nil,
		"?after=100":                   nil,
		"?after=0&limit=1":             {1},
		"?type=library.library_opened": {1, 26},
		"?type=library.library_opened,library.category_created&after=20": {23, 26, 27},
		"?type=nothing.happened":                  nil,
		"?scope=category:" + category(3).String(): {18, 19, 20, 21, 22},
		"?scope=category:" + category(3).String() + "&after=18&limit=1&type=catalogue.book_added": {19},
		"?scope=department:1": nil,
	} {
		page := read[httpapi.Page[discovery.Recorded]](s, 200, "/events"+query)
		var got []event.Position
		for _, i := range page.Items {
			got = append(got, i.Position)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for query, location := range map[string]string{"?after=-1": "query.after", "?scope=category": "query.scope", "?scope=book:": "query.scope", "?limit=501": "query.limit", "?cursor=x": "query.cursor"} {
		if got := read[refused](s, 422, "/events"+query); len(got.Errors) != 1 || got.Errors[0].Location != location {
			t.Errorf("%s: %+v", query, got)
		}
	}
	t.Run("the cursor goes on where the page ended", func(t *testing.T) {
		first := read[httpapi.Page[discovery.Recorded]](s, 200, "/events?after=3&limit=2")
		next := read[httpapi.Page[discovery.Recorded]](s, 200, "/events?after=3&limit=2&cursor="+*first.Next)
		if next.Items[0].Position != 6 {
			t.Errorf("got %d", next.Items[0].Position)
		}
	})
	t.Run("an empty log is an empty page", func(t *testing.T) {
		if got := read[httpapi.Page[discovery.Recorded]](serve(t, dbtest.SQLite(t)), 200, "/events"); got.Items == nil || len(got.Items) != 0 || got.Next != nil {
			t.Errorf("got %+v", got)
		}
	})
}

func TestReadsSayAndKeepTheirPosition(t *testing.T) {
	t.Parallel()
	s, play := open(t, dbtest.SQLite(t), seed()...)
	reference := "/libraries/" + library(1).String() + "/references/1"
	paths := []string{reference, "/libraries/" + library(1).String() + "/search?q=pride"}

	t.Run("what is not playable yet is behind, not absent", func(t *testing.T) {
		for _, path := range paths {
			w := s.get(httpapi.Prefix+path, "Accession-Min-Position: 29", "Prefer: wait=0")
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"behind"`) {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
	play()
	for _, path := range append(paths, "/events", "/books/"+book(1).String()+"/history") {
		w := s.get(httpapi.Prefix+path, "Accession-Min-Position: 29", "Prefer: wait=30")
		if w.Code != http.StatusOK || w.Header().Get("Accession-Position") != "29" {
			t.Errorf("%s: %d at %q", path, w.Code, w.Header().Get("Accession-Position"))
		}
		if w := s.get(httpapi.Prefix+path, "Accession-Min-Position: 30", "Prefer: wait=0"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d for a position that nobody wrote yet", path, w.Code)
		}
	}
	t.Run("a thing that was just created is found", func(t *testing.T) {
		s.record(opened(3, "Third Library"), created(6, 3, 1, "Drama"), added(10, 6, 3, 1, "Hamlet", nil))
		if got := read[discovery.Referenced](s, 200, "/libraries/"+library(3).String()+"/references/1.1", "Prefer: wait=30"); got.Book.Title != "Hamlet" {
			t.Errorf("got %+v", got)
		}
		s.record(added(11, 6, 3, 2, "Macbeth", nil))
		if got := read[httpapi.Page[discovery.Hit]](s, 200, "/libraries/"+library(3).String()+"/search?q=macbeth", "Prefer: wait=30"); len(got.Items) != 1 {
			t.Errorf("got %+v", got)
		}
	})
}
