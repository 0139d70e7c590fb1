package acceptance_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"accession/test/app"

	"github.com/google/go-cmp/cmp"
)

// TestLists walks through every list there is: page by page it has what it has at once, each item once, in one order.
func TestLists(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		const many = 12 // so that 10 does not come before 2
		s.furnish(t)
		for n := 2; n <= many; n++ {
			must(t, http.StatusCreated, s.post("/libraries", fmt.Sprintf(`{"name": "Branch %d"}`, n/2))) // some share a name
			must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", fmt.Sprintf(`{"name": "Shelf %d", "book": {"title": "Common"}}`, n)))
			must(t, http.StatusCreated, s.post("/categories/$cat1/books", fmt.Sprintf(`{"title": "Common reader %d"}`, n)))
			must(t, http.StatusCreated, s.post("/books/$book1/editions", `{"base_edition_id": "$ed1"}`))
		}
		lists := []struct {
			path  string
			count int
			by    string // what they are in the order of, 1, 2, 3 … or just growing; "" for nothing that was promised
		}{
			{"/libraries", many, ""},
			{"/libraries/$lib1/categories", many, "number"},
			{"/categories/$cat1/books", many, "number"},
			{"/books/$book1/editions", many, "number"},
			{"/libraries/$lib1/search?q=common", 2 * (many - 1), ""},
			{"/libraries/$lib1/history", 1 + 3*many + 2*(many-1) + many - 1, "position"},
			{"/categories/$cat1/history", 3 + 2*(many-1) + many - 1, "position"},
			{"/books/$book1/history", 2 + many - 1, "position"},
			{"/editions/$ed1/history", 1, "position"},
			{"/events", int(s.Position()), "position"},
			{"/events?type=catalogue.book_added", 2*many - 1, "position"},
			{"/events?after=5&scope=category:$cat1", 2*(many-1) + many - 1, "position"},
		}
		with := func(path, query string) string {
			if strings.Contains(path, "?") {
				return path + "&" + query
			}
			return path + "?" + query
		}
		cursors := map[string]string{} // list → a cursor in it
		for _, l := range lists {
			t.Run(l.path, func(t *testing.T) {
				whole := must(t, http.StatusOK, s.get(with(l.path, "limit=500")))
				if n := len(items(whole)); n != l.count {
					t.Fatalf("has %d items, want %d", n, l.count)
				}
				last(t, whole)
				if l.by == "number" {
					if diff := cmp.Diff(numbers(l.count), column(items(whole), "number")); diff != "" {
						t.Error(diff)
					}
				}
				if l.by == "position" {
					for i, p := range column(items(whole), "position")[1:] {
						if p.(float64) <= items(whole)[i]["position"].(float64) {
							t.Errorf("%v comes after %v", p, items(whole)[i]["position"])
						}
					}
				}
				last(t, must(t, http.StatusOK, s.get(with(l.path, fmt.Sprintf("limit=%d", l.count))))) // exactly full
				last(t, must(t, http.StatusOK, s.get(l.path)))                                         // 100 unless said otherwise

				var walked []map[string]any
				page := must(t, http.StatusOK, s.get(with(l.path, "limit=5")))
				for len(walked) <= l.count {
					walked = append(walked, items(page)...)
					next, more := page.Body["next"].(string)
					if !more {
						break
					}
					cursors[l.path] = next
					if n := len(items(page)); n != 5 {
						t.Errorf("a page that is not the last has %d items", n)
					}
					link, rel, _ := strings.Cut(page.Header.Get("Link"), ">")
					if rel != `; rel="next"` {
						t.Fatalf("Link: %q", page.Header.Get("Link"))
					}
					linked := must(t, http.StatusOK, s.Get(strings.TrimPrefix(link, "<")))
					page = must(t, http.StatusOK, s.get(with(l.path, "limit=5&cursor="+url.QueryEscape(next))))
					if diff := cmp.Diff(page.Body, linked.Body); diff != "" {
						t.Errorf("the link leads elsewhere: %s", diff)
					}
				}
				last(t, page)
				if diff := cmp.Diff(items(whole), walked); diff != "" {
					t.Errorf("at once -, page by page +\n%s", diff)
				}
			})
		}
		t.Run("a page does not shift when something is added", func(t *testing.T) {
			first := must(t, http.StatusOK, s.get("/categories/$cat1/books?limit=12"))
			last(t, first)
			must(t, http.StatusCreated, s.post("/categories/$cat1/books", `{"title": "A late one"}`))
			first = must(t, http.StatusOK, s.get("/categories/$cat1/books?limit=12"))
			rest := must(t, http.StatusOK, s.get("/categories/$cat1/books?cursor="+text(first.Body, "next")))
			if diff := cmp.Diff([]any{13.0}, column(items(rest), "number")); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("a cursor of one list is refused by every other", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/categories/$cat1/books", `{"id": "$book2", "title": "Empty"}`))
			must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib2", "name": "Empty"}`))
			for from, cursor := range cursors {
				for _, to := range []string{"/libraries", "/libraries/$lib1/categories", "/libraries/$lib2/categories", "/categories/$cat1/books",
					"/books/$book1/editions", "/books/$book2/editions", "/libraries/$lib1/search?q=common", "/libraries/$lib1/search?q=reader",
					"/libraries/$lib1/history", "/categories/$cat1/history", "/books/$book1/history", "/books/$book2/history", "/editions/$ed1/history",
					"/events", "/events?type=catalogue.book_added"} {
					if to != from {
						refused(t, s.get(with(to, "cursor="+url.QueryEscape(cursor))), http.StatusUnprocessableEntity, "invalid", "query.cursor")
					}
				}
			}
		})
		for _, l := range lists {
			for _, query := range []string{"limit=0", "limit=501", "limit=-1", "limit=x", "limit=1.5", "cursor=nonsense", "cursor=%00", "cursor=e30", "colour=red", "limit=5&limit=5", "cursor=&cursor="} {
				name, _, _ := strings.Cut(query, "=")
				refused(t, s.get(with(l.path, query)), http.StatusUnprocessableEntity, "invalid", "query."+name)
			}
		}
	})
}

// last checks that a page is the last.
func last(t *testing.T, a app.Answer) {
	t.Helper()
	if next, said := a.Body["next"]; next != nil || !said {
		t.Errorf("next is %v on the last page", next)
	}
	headers(t, a, "Link")
}
