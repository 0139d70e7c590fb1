package acceptance_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"accession/platform/consistency"
	"accession/test/app"

	"github.com/google/go-cmp/cmp"
)

// stand is what furnish makes, and a second of each: $cat2 with $book2, and in $book1 $ed3, based on $ed1; and the library
// $lib2 with $cat9.
func (s site) stand(t *testing.T) {
	t.Helper()
	s.furnish(t)
	must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat2", "name": "Lyric", "book": {
		"id": "$book2", "title": "Odes", "edition": {"id": "$ed2"}}}`))
	must(t, http.StatusCreated, s.post("/books/$book1/editions", `{"id": "$ed3", "base_edition_id": "$ed1", "year": 1999}`))
	must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib2", "name": "Annex"}`))
	must(t, http.StatusCreated, s.post("/libraries/$lib2/categories", `{"id": "$cat9", "name": "Epic", "book": {"id": "$book9", "title": "T", "edition": {"id": "$ed9"}}}`))
}

// changed checks that the answer is the thing as it is now, recorded as events at the end of the log, and what is read after it.
func (s site) changed(t *testing.T, a app.Answer, path string, version int, want string) {
	t.Helper()
	expect(t, a, http.StatusOK, want)
	headers(t, a, fmt.Sprintf(`ETag: "%d"`, version), fmt.Sprintf("Accession-Position: %d", s.Position()), "Location")
	found := s.get(path)
	expect(t, found, http.StatusOK, want)
	headers(t, found, fmt.Sprintf(`ETag: "%d"`, version))
}

const (
	iliad = `"id": "$book1", "library_id": "$lib1"`
	first = `"id": "$ed1", "book_id": "$book1", "number": 1, "base_edition_id": null, "rejected": null`
)

func TestRenaming(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		s.changed(t, s.patch("/libraries/$lib1", `{"name": " Grand\u0020 "}`), "/libraries/$lib1", 2, `{"id": "$lib1", "name": "Grand", "categories": 2}`)
		const category = `"id": "$cat1", "library_id": "$lib1", "number": 1, "withdrawn": false`
		s.changed(t, s.patch("/categories/$cat1", `{"name": "Epics"}`), "/categories/$cat1", 2, `{`+category+`, "name": "Epics"}`)

		t.Run("a name of its own in other letters is no rival's", func(t *testing.T) {
			s.changed(t, s.patch("/categories/$cat1", `{"name": "EPICS"}`), "/categories/$cat1", 3, `{`+category+`, "name": "EPICS"}`)
		})
		t.Run("a name that another has is taken; one that was given up is free", func(t *testing.T) {
			s.unchanged(t, func() {
				refused(t, s.patch("/categories/$cat2", `{"name": " epics "}`), http.StatusConflict, "category-name-taken")
			})
			must(t, http.StatusOK, s.patch("/categories/$cat2", `{"name": "Epic"}`))
		})
		t.Run("lists are by the names of now", func(t *testing.T) {
			if diff := cmp.Diff([]any{"Annex", "Grand"}, column(items(s.get("/libraries")), "name")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]any{"EPICS", "Epic"}, column(items(s.get("/libraries/$lib1/categories")), "name")); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestCorrecting(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		const place = iliad + `, "category_id": "$cat1", "number": 1, "reference": "1.1", "withdrawn": false`
		for i, c := range []struct{ patch, want string }{
			{`{"title": "The Iliad"}`, `"title": "The Iliad", "authors": ["Homer"]`},
			{`{"authors": ["Homer", "Pope"]}`, `"title": "The Iliad", "authors": ["Homer", "Pope"]`},
			{`{"authors": null}`, `"title": "The Iliad", "authors": []`},
			{`{"title": "Ilias", "authors": ["H"]}`, `"title": "Ilias", "authors": ["H"]`},
			{`{"authors": []}`, `"title": "Ilias", "authors": []`},
		} {
			s.changed(t, s.patch("/books/$book1", c.patch), "/books/$book1", i+2, `{`+place+`, `+c.want+`}`)
		}
		const imprint = first + `, "reference": "1.1.1", "withdrawn": false`
		for i, c := range []struct{ patch, want string }{
			{`{"publisher": "Penguin", "year": 1991}`, `"isbn": "9780140275360", "publisher": "Penguin", "year": 1991, "language": null, "format": null`},
			{`{"isbn": null, "language": "en"}`, `"isbn": null, "publisher": "Penguin", "year": 1991, "language": "en", "format": null`},
			{`{"year": null, "publisher": ""}`, `"isbn": null, "publisher": null, "year": null, "language": "en", "format": null`},
			{`{"isbn": "0-14-027536-3", "format": "paperback"}`, `"isbn": "9780140275360", "publisher": null, "year": null, "language": "en", "format": "paperback"`},
		} {
			s.changed(t, s.patch("/editions/$ed1", c.patch), "/editions/$ed1", i+2, `{`+imprint+`, `+c.want+`}`)
		}
		t.Run("as a merge patch by its type, too", func(t *testing.T) {
			must(t, http.StatusOK, s.patch("/books/$book1", `{"title": "Iliad"}`, "Content-Type: application/merge-patch+json"))
		})
		t.Run("an ISBN that another edition has is taken; one that was cleared is free", func(t *testing.T) {
			s.unchanged(t, func() {
				refused(t, s.patch("/editions/$ed2", `{"isbn": "9780140275360"}`), http.StatusConflict, "isbn-taken")
			})
			must(t, http.StatusOK, s.patch("/editions/$ed1", `{"isbn": null}`))
			must(t, http.StatusOK, s.patch("/editions/$ed2", `{"isbn": "9780140275360"}`))
		})
	})
}

func TestMoving(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		must(t, http.StatusCreated, s.post("/categories/$cat1/books", `{"id": "$book3", "title": "Odyssey"}`))
		const book = iliad + `, "title": "Iliad", "authors": ["Homer"], "withdrawn": false`
		s.changed(t, s.post("/books/$book1/move", `{"category_id": "$cat2"}`), "/books/$book1", 2,
			`{`+book+`, "category_id": "$cat2", "number": 2, "reference": "2.2"}`)

		t.Run("it is listed where it is, and no longer where it was", func(t *testing.T) {
			if diff := cmp.Diff([]any{expand("$book2"), expand("$book1")}, column(items(s.get("/categories/$cat2/books")), "id")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]any{expand("$book3")}, column(items(s.get("/categories/$cat1/books?withdrawn=true")), "id")); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("the references of its editions follow", func(t *testing.T) {
			if diff := cmp.Diff([]any{"2.2.1", "2.2.2"}, column(items(s.get("/books/$book1/editions")), "reference")); diff != "" {
				t.Error(diff)
			}
			a := must(t, http.StatusOK, s.patch("/editions/$ed1", `{"language": "en"}`))
			if a.Body["reference"] != "2.2.1" {
				t.Errorf("a correction answers with the reference %v", a.Body["reference"])
			}
		})
		t.Run("to where it is records nothing", func(t *testing.T) {
			s.unchanged(t, func() {
				a := s.post("/books/$book1/move", `{"category_id": "$cat2"}`)
				expect(t, a, http.StatusOK, `{`+book+`, "category_id": "$cat2", "number": 2, "reference": "2.2"}`)
				headers(t, a, `ETag: "2"`, fmt.Sprintf("Accession-Position: %d", s.Position()))
			})
		})
		t.Run("back again it gets a new number: the old one is used up", func(t *testing.T) {
			s.changed(t, s.post("/books/$book1/move", `{"category_id": "$cat1"}`), "/books/$book1", 3,
				`{`+book+`, "category_id": "$cat1", "number": 3, "reference": "1.3"}`)
		})
		t.Run("not to a category of another library, or to none", func(t *testing.T) {
			must(t, http.StatusOK, s.post("/books/$book2/move", `{"category_id": "$cat1"}`))
			must(t, http.StatusOK, s.delete("/categories/$cat2"))
			s.unchanged(t, func() {
				refused(t, s.post("/books/$book1/move", `{"category_id": "$cat9"}`), 422, "invalid", "body.category_id")
				refused(t, s.post("/books/$book1/move", `{"category_id": "x"}`), 422, "invalid", "body.category_id")
				refused(t, s.post("/books/$book1/move", `{"category_id": null}`), 422, "invalid", "body.category_id")
				refused(t, s.post("/books/$book1/move", `{}`), 422, "invalid", "body.category_id")
				refused(t, s.post("/books/$book1/move", `{"category_id": "$cat8"}`), 422, "category-not-found")
				refused(t, s.post("/books/$book1/move", `{"category_id": "$cat2"}`), 422, "category-not-found") // withdrawn
				refused(t, s.post("/books/$book1/move", `{"category_id": "$book1"}`), 422, "category-not-found")
			})
		})
	})
}

func TestWithdrawing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		s.unchanged(t, func() {
			refused(t, s.delete("/categories/$cat1"), http.StatusConflict, "category-not-empty")
			refused(t, s.delete("/editions/$ed2"), http.StatusConflict, "last-edition")
			long := strings.Repeat("x", 1001)
			for _, path := range []string{"/editions/$ed1", "/books/$book1", "/categories/$cat1"} {
				refused(t, s.delete(path+"?reason="+long), 422, "invalid", "query.reason")
				refused(t, s.delete(path+"?reason=a%07b"), 422, "invalid", "query.reason")
			}
		})

		const edition = first + `, "isbn": "9780140275360", "publisher": null, "year": null, "language": null, "format": null, "reference": "1.1.1"`
		s.changed(t, s.delete("/editions/$ed1?reason=%20worn%20out%20"), "/editions/$ed1", 2, `{`+edition+`, "withdrawn": true}`)
		if events := items(s.get("/events?limit=1&after=" + strconv.Itoa(int(s.Position())-1))); text(events[0]["data"].(map[string]any), "reason") != "worn out" {
			t.Errorf("recorded %v", events)
		}
		const book = iliad + `, "category_id": "$cat1", "number": 1, "title": "Iliad", "authors": ["Homer"], "reference": "1.1"`
		s.unchanged(t, func() {
			refused(t, s.delete("/editions/$ed3"), http.StatusConflict, "last-edition")
			refused(t, s.post("/books/$book1/editions", `{"base_edition_id": "$ed1"}`), 422, "base-edition-not-found")
		})
		must(t, http.StatusCreated, s.post("/books/$book1/editions", `{"id": "$ed4", "base_edition_id": "$ed3", "isbn": "9780140275360"}`)) // which is free

		s.changed(t, s.delete("/books/$book1?reason=lost"), "/books/$book1", 2, `{`+book+`, "withdrawn": true}`)
		for _, id := range []string{"$ed1", "$ed3", "$ed4"} { // with it
			if a := must(t, http.StatusOK, s.get("/editions/"+id)); a.Body["withdrawn"] != true {
				t.Errorf("%s is not withdrawn", id)
			}
		}
		s.changed(t, s.delete("/categories/$cat1"), "/categories/$cat1", 2, `{"id": "$cat1", "library_id": "$lib1", "number": 1, "name": "Epic", "withdrawn": true}`)
		expect(t, s.get("/libraries/$lib1"), http.StatusOK, `{"id": "$lib1", "name": "Main", "categories": 1}`)
		expect(t, s.patch("/libraries/$lib1", `{}`), http.StatusOK, `{"id": "$lib1", "name": "Main", "categories": 1}`)

		t.Run("every write to what is withdrawn is 404, a second withdrawal too", func(t *testing.T) {
			s.unchanged(t, func() {
				for _, w := range writes {
					if w.path == "/libraries/$lib1" {
						continue
					}
					refused(t, s.send(w.method, w.path, w.body), http.StatusNotFound, w.notFound)
					refused(t, s.send(w.method, w.path, w.body, `If-Match: *`), http.StatusNotFound, w.notFound)
				}
				refused(t, s.post("/categories/$cat1/books", `{"title": "T"}`), http.StatusNotFound, "category-not-found")
				refused(t, s.post("/books/$book1/editions", `{"base_edition_id": "$ed3"}`), http.StatusNotFound, "book-not-found")
			})
		})
		t.Run("lists show it only when asked to, and their cursors know", func(t *testing.T) {
			must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat3", "name": "Epic", "book": {"title": "T"}}`)) // the name is free
			for path, want := range map[string]struct{ live, all []any }{
				"/libraries/$lib1/categories": {[]any{2.0, 3.0}, numbers(3)},
				"/categories/$cat1/books":     {[]any{}, numbers(1)},
				"/books/$book1/editions":      {[]any{}, numbers(3)},
			} {
				for query, want := range map[string][]any{"": want.live, "?withdrawn=false": want.live, "?withdrawn=true": want.all} {
					a := must(t, http.StatusOK, s.get(path+query))
					if diff := cmp.Diff(want, column(items(a), "number")); diff != "" {
						t.Errorf("%s%s: %s", path, query, diff)
					}
				}
				refused(t, s.get(path+"?withdrawn=x"), 422, "invalid", "query.withdrawn")
			}
			page := must(t, http.StatusOK, s.get("/libraries/$lib1/categories?withdrawn=true&limit=1"))
			next := text(page.Body, "next")
			if n := column(items(must(t, http.StatusOK, s.get("/libraries/$lib1/categories?withdrawn=true&cursor="+next))), "number"); !cmp.Equal(n, []any{2.0, 3.0}) {
				t.Errorf("the next page has %v", n)
			}
			linked, _, _ := strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), ">")
			must(t, http.StatusOK, s.Get(linked))
			refused(t, s.get("/libraries/$lib1/categories?cursor="+next), 422, "invalid", "query.cursor")
		})
	})
}

// writes are all changes there are of things of furnish, each of which changes something.
var writes = []struct{ method, path, body, notFound string }{
	{http.MethodPatch, "/libraries/$lib1", `{"name": "Other"}`, "library-not-found"},
	{http.MethodPatch, "/categories/$cat1", `{"name": "Other"}`, "category-not-found"},
	{http.MethodDelete, "/categories/$cat1", "", "category-not-found"},
	{http.MethodPatch, "/books/$book1", `{"title": "Other"}`, "book-not-found"},
	{http.MethodPost, "/books/$book1/move", `{"category_id": "$cat2"}`, "book-not-found"},
	{http.MethodDelete, "/books/$book1", "", "book-not-found"},
	{http.MethodPatch, "/editions/$ed1", `{"format": "other"}`, "edition-not-found"},
	{http.MethodDelete, "/editions/$ed1", "", "edition-not-found"},
}

func TestChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		s.unchanged(t, func() {
			for _, w := range writes {
				for _, id := range nowhere {
					path := placeholder.ReplaceAllString(w.path, id)
					refused(t, s.send(w.method, path, w.body), http.StatusNotFound, w.notFound)
					refused(t, s.send(w.method, path, w.body, `If-Match: "1"`), http.StatusNotFound, w.notFound)
				}
				for _, tag := range []string{`"2"`, `"0"`, `"-1"`, `1`, `W/"1"`, `"01"`, `"x"`, `x`, `"1`, `""`, `"99999999999999999999"`, `"1", "2"`} {
					refused(t, s.send(w.method, w.path, w.body, "If-Match: "+tag), http.StatusPreconditionFailed, "version-mismatch")
				}
				refused(t, s.send(w.method, w.path, w.body, `If-Match: "1"`, `If-Match: "2"`), http.StatusPreconditionFailed, "version-mismatch")
				refused(t, s.send(w.method, w.path, w.body, "If-Match: "), 422, "invalid", "header.If-Match")
			}
			for _, c := range []struct{ path, body, location string }{
				{"/libraries/$lib1", `{"name": null}`, "body.name"},
				{"/libraries/$lib1", `{"name": " "}`, "body.name"},
				{"/libraries/$lib1", `{"name": "a\u0007b"}`, "body.name"},
				{"/libraries/$lib1", `{"name": 1}`, "body.name"},
				{"/libraries/$lib1", `{"name": "N", "id": "$lib1"}`, "body.id"},
				{"/libraries/$lib1", `{"Name": "N"}`, "body.Name"},
				{"/categories/$cat1", `{"name": null}`, "body.name"},
				{"/categories/$cat1", `{"name": ""}`, "body.name"},
				{"/categories/$cat1", `{"number": 7}`, "body.number"},
				{"/books/$book1", `{"title": null}`, "body.title"},
				{"/books/$book1", `{"title": ""}`, "body.title"},
				{"/books/$book1", `{"title": ["T"]}`, "body.title"},
				{"/books/$book1", `{"authors": [""]}`, "body.authors[0]"},
				{"/books/$book1", `{"authors": ["A", null]}`, "body.authors[1]"},
				{"/books/$book1", `{"authors": "A"}`, "body.authors"},
				{"/books/$book1", `{"category_id": "$cat2"}`, "body.category_id"},
				{"/editions/$ed1", `{"isbn": "9780140275361"}`, "body.isbn"},
				{"/editions/$ed1", `{"year": 999}`, "body.year"},
				{"/editions/$ed1", `{"year": 0}`, "body.year"},
				{"/editions/$ed1", `{"year": 1.5}`, "body.year"},
				{"/editions/$ed1", `{"year": 99999999999999999999}`, "body.year"},
				{"/editions/$ed1", `{"publisher": "` + strings.Repeat("x", 201) + `"}`, "body.publisher"},
				{"/editions/$ed1", `{"base_edition_id": null}`, "body.base_edition_id"},
			} {
				t.Run(c.path+" "+c.body, func(t *testing.T) {
					refused(t, s.patch(c.path, c.body), 422, "invalid", c.location)
				})
			}
			for _, w := range writes {
				if w.body != "" {
					for _, other := range []string{"application/json-patch+json", "application/vnd.x+json", "application/json; charset=latin1", "text/plain"} {
						refused(t, s.send(w.method, w.path, w.body, "Content-Type: "+other), http.StatusUnsupportedMediaType, "unsupported-media-type")
					}
					refused(t, s.send(w.method, w.path, ""), http.StatusBadRequest, "malformed")
					refused(t, s.send(w.method, w.path, `{`), http.StatusBadRequest, "malformed", "body")
					refused(t, s.send(w.method, w.path, `[]`), 422, "invalid", "body")
				}
				refused(t, s.send(w.method, w.path+"?colour=red", w.body), 422, "invalid", "query.colour")
				refused(t, s.send(w.method, w.path+"?reason=a&reason=b", w.body), 422, "invalid", "query.reason")
			}
		})
	})
}

func TestChangesThatChangeNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		s.unchanged(t, func() {
			for path, bodies := range map[string][]string{
				"/libraries/$lib1":  {`{}`, `{"name": "Main"}`, `{"name": " Main "}`},
				"/categories/$cat1": {`{}`, `{"name": "Epic"}`},
				"/books/$book1":     {`{}`, `{"title": "Iliad"}`, `{"title": " Iliad", "authors": ["Homer "]}`},
				"/books/$book2":     {`{"authors": null}`, `{"authors": []}`},
				"/editions/$ed1":    {`{}`, `{"isbn": "0-14-027536-3", "year": null, "publisher": null, "format": ""}`},
			} {
				before := must(t, http.StatusOK, s.get(path))
				for _, body := range bodies {
					for _, seen := range [][]string{nil, {"If-Match: *"}, {`If-Match: "1"`}} {
						a := s.patch(path, body, seen...)
						if diff := cmp.Diff(before.Body, a.Body); a.Status != http.StatusOK || diff != "" {
							t.Errorf("%s %s: answered %d: %s", path, body, a.Status, diff)
						}
						headers(t, a, `ETag: "1"`, fmt.Sprintf("Accession-Position: %d", s.Position()), "Location")
					}
				}
			}
		})
	})
}

func TestAnActorIsRecordedWithAChange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		a := must(t, http.StatusOK, s.patch("/books/$book1", `{"title": "Ilias"}`, "X-Actor: Frída", `If-Match: "1"`))
		at, _ := strconv.Atoi(a.Header.Get("Accession-Position"))
		e := items(s.get(fmt.Sprintf("/events?after=%d", at-1)))[0]
		if e["actor"] != "Frída" || e["type"] != "catalogue.book_corrected" {
			t.Errorf("recorded %v", e)
		}
	})
}

// rivals are how many change one thing at once. Each that succeeds has all others decide again, so many would take long.
const rivals = 5

// TestRacesForOneThing: of those who change a thing at once having seen the same version one succeeds; of those who do not say
// what they saw, all do, one after the other.
func TestRacesForOneThing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		for path, body := range map[string]string{
			"/libraries/$lib1": `{"name": "Name %d"}`, "/categories/$cat1": `{"name": "Name %d"}`,
			"/books/$book1": `{"title": "Title %d"}`, "/editions/$ed1": `{"format": "Format %d"}`,
		} {
			before := s.Position()
			done := 0
			for _, a := range together(rivals, func(client int) app.Answer {
				return s.patch(path, fmt.Sprintf(body, client), `If-Match: "1"`)
			}) {
				if a.Status == http.StatusOK {
					done++
					headers(t, a, `ETag: "2"`)
				} else {
					refused(t, a, http.StatusPreconditionFailed, "version-mismatch")
				}
			}
			if grew := int(s.Position() - before); done != 1 || grew != 1 {
				t.Errorf("%s: %d of %d changed the same version, with %d events", path, done, rivals, grew)
			}

			done = 0
			tags := map[string]bool{}
			for client, a := range together(rivals, func(client int) app.Answer {
				return s.patch(path, fmt.Sprintf(body, client+rivals))
			}) {
				if a.Status == http.StatusConflict && a.Code() == "version-conflict" { // who loses again and again is told so
					continue
				}
				must(t, http.StatusOK, a)
				done++
				tags[a.Header.Get("ETag")] = true
				if !strings.Contains(a.Text, fmt.Sprintf(` %d"`, client+rivals)) {
					t.Errorf("%s: client %d is answered with what another wrote: %s", path, client, a.Text)
				}
			}
			if grew := int(s.Position()-before) - 1; done == 0 || grew != done || len(tags) != done {
				t.Errorf("%s: %d changed, with %d events and %d ETags", path, done, grew, len(tags))
			}
			headers(t, s.get(path), fmt.Sprintf(`ETag: "%d"`, 2+done))
		}
	})
}

// TestWithdrawingWhileOthersAdd: whoever comes first wins, and nothing live is left in what is withdrawn. The audit of every
// test's end holds the rules against the log.
func TestWithdrawingWhileOthersAdd(t *testing.T) {
	t.Parallel()
	modes := []string{"base-edition", "last-edition", "book-exists", "category-exists", "book-number", "edition-number"}
	inEveryMode(t, modes, func(t *testing.T, s site, mode consistency.Mode) {
		s.stand(t)
		race := func(path, code string, add func(client int) app.Answer) (withdrawn app.Answer) {
			for client, a := range together(rivals, func(client int) app.Answer {
				if client == 0 {
					return s.delete(path)
				}
				return add(client)
			}) {
				rival := mode == consistency.Reject && a.Status == http.StatusConflict && strings.HasSuffix(a.Code(), "-number-not-unique")
				switch {
				case client == 0:
					withdrawn = a
				case a.Status != http.StatusCreated && a.Code() != code && !rival:
					t.Errorf("adding while %s is withdrawn answered %d: %s", path, a.Status, a.Text)
				}
			}
			return withdrawn
		}

		a := race("/editions/$ed1", "base-edition-not-found", func(int) app.Answer {
			return s.post("/books/$book1/editions", `{"base_edition_id": "$ed1"}`)
		})
		must(t, http.StatusOK, a)
		s.unchanged(t, func() {
			refused(t, s.post("/books/$book1/editions", `{"base_edition_id": "$ed1"}`), 422, "base-edition-not-found")
		})

		a = race("/books/$book1", "book-not-found", func(int) app.Answer {
			return s.post("/books/$book1/editions", `{"base_edition_id": "$ed3"}`)
		})
		if a.Status == http.StatusOK {
			if live := items(s.get("/books/$book1/editions?limit=500")); len(live) > 0 {
				t.Errorf("%d live editions are in a withdrawn book", len(live))
			}
		} else {
			t.Logf("withdrawing the book answered %d %s", a.Status, a.Code())
			must(t, http.StatusOK, s.delete("/books/$book1"))
		}

		a = race("/categories/$cat1", "category-not-found", func(int) app.Answer {
			return s.post("/categories/$cat1/books", `{"title": "T"}`)
		})
		live := len(items(s.get("/categories/$cat1/books")))
		switch {
		case a.Status == http.StatusOK && live == 0:
		case a.Status == http.StatusConflict && a.Code() == "category-not-empty" && live > 0:
		default:
			t.Errorf("withdrawing the category answered %d %s, and %d live books are in it", a.Status, a.Code(), live)
		}
	})
}
