package acceptance_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"accession/test/app"

	"github.com/google/go-cmp/cmp"
)

// keyedRequest is a request to be sent under an Idempotency-Key.
type keyedRequest struct {
	operation, path, body string
	same, other           string // the body written otherwise; one that asks for something else
	status                int
	headers               []string
}

// keyed are at least one for each POST that there is, in what stand makes.
var keyed = []keyedRequest{
	{operation: "open-library", path: "/libraries", body: `{"name": "Branch"}`, same: ` { "name" : "Bran\u0063h" }`, other: `{"name": "Branches"}`, status: 201},
	{operation: "open-library", path: "/libraries", body: `{"id": "$lib7", "name": "Seventh"}`, same: `{"name": "Seventh", "id": "$lib7"}`, other: `{"name": "Seventh"}`, status: 201},
	{operation: "open-library", path: "/libraries", body: `{"id": "$lib1", "name": "Main"}`, same: `{"name": "Main", "id": "$lib1"}`, other: `{"id": "$lib1", "name": "M"}`, status: 200},
	{
		operation: "create-category", path: "/libraries/$lib1/categories", status: 201,
		body:  `{"name": "Drama", "book": {"title": "Ajax", "edition": {"year": 1900}}}`,
		same:  `{"book": {"edition": {"year": 1900, "isbn": null}, "title": "Ajax"}, "name": "Drama"}`,
		other: `{"name": "Drama", "book": {"title": "Ajax", "edition": {"year": 1901}}}`,
	},
	{
		operation: "add-book", path: "/categories/$cat1/books", status: 201,
		body: `{"title": "Odyssey", "authors": ["Homer", "Pope"]}`, same: `{"authors": ["Homer", "Pope"], "title": "Odyssey"}`, other: `{"title": "Odyssey", "authors": ["Pope", "Homer"]}`,
	},
	{
		operation: "add-edition", path: "/books/$book1/editions", status: 201,
		body: `{"base_edition_id": "$ed1", "year": 2001}`, same: `{"year": 2001, "base_edition_id": "$ed1", "isbn": null}`, other: `{"base_edition_id": "$ed3", "year": 2001}`,
	},
	{
		operation: "move-book", path: "/books/$book2/move", status: 200, headers: []string{`If-Match: "1"`},
		body: `{"category_id": "$cat1"}`, same: "{\n\"category_id\": \"$cat1\"}", other: `{"category_id": "$cat2"}`,
	},
	{ // to where it is
		operation: "move-book", path: "/books/$book1/move", status: 200,
		body: `{"category_id": "$cat1"}`, same: `{ "category_id": "$cat1" }`, other: `{"category_id": "$cat2"}`,
	},
}

const keyHeader = "Idempotency-Key: "

func TestEveryPOSTCanBeRepeatedUnderAKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		for operation, parameters := range s.posts(t) {
			if !slices.Contains(parameters, "Idempotency-Key") {
				t.Errorf("%s takes no Idempotency-Key: embed httpapi.Repeatable in its input", operation)
			}
			if !slices.ContainsFunc(keyed, func(r keyedRequest) bool { return r.operation == operation }) {
				t.Errorf("%s is not among the requests of this test", operation)
			}
		}
		key := func(i int) string { return fmt.Sprintf(`%srequest %d ' "?"`, keyHeader, i) }
		firsts := make([]app.Answer, len(keyed))
		for i, r := range keyed {
			firsts[i] = must(t, r.status, s.post(r.path, r.body, append(r.headers, key(i))...))
		}
		// What happens meanwhile: the answers stay what they were.
		must(t, http.StatusOK, s.patch("/libraries/$lib1", `{"name": "Renamed"}`))
		must(t, http.StatusOK, s.post("/books/$book1/move", `{"category_id": "$cat2"}`))
		must(t, http.StatusOK, s.patch("/books/"+text(firsts[4].Body, "id"), `{"title": "Ulysses"}`))
		must(t, http.StatusOK, s.delete("/books/"+text(firsts[4].Body, "id")))
		must(t, http.StatusOK, s.delete("/books/$book2"))
		must(t, http.StatusOK, s.delete("/editions/"+text(firsts[5].Body, "id")))
		after := s.Position()
		for i, r := range keyed {
			t.Run(fmt.Sprint(r.operation, " ", i), func(t *testing.T) {
				for name, body := range map[string]string{"word for word": r.body, "written otherwise": r.same} {
					then := s.post(r.path, body, append(r.headers, key(i), "X-Actor: somebody else")...)
					if then.Status != r.status {
						t.Errorf("%s: answered %d: %s", name, then.Status, then.Text)
					}
					if diff := cmp.Diff(firsts[i].Text, then.Text); diff != "" {
						t.Errorf("%s: first -, then +\n%s", name, diff)
					}
					for _, h := range []string{"Location", "ETag", "Accession-Position"} {
						if firsts[i].Header.Get(h) != then.Header.Get(h) {
							t.Errorf("%s: %s: first %q, then %q", name, h, firsts[i].Header.Get(h), then.Header.Get(h))
						}
					}
				}
				refused(t, s.post(r.path, r.other, append(r.headers, key(i))...), http.StatusUnprocessableEntity, "idempotency-key-reused")
			})
		}
		t.Run("a key is one path's, and one If-Match's", func(t *testing.T) {
			refused(t, s.post("/categories/$cat2/books", keyed[4].body, key(4)), http.StatusUnprocessableEntity, "idempotency-key-reused")
			refused(t, s.post(keyed[6].path, keyed[6].body, key(6)), http.StatusUnprocessableEntity, "idempotency-key-reused")
			refused(t, s.post(keyed[6].path, keyed[6].body, key(6), `If-Match: "2"`), http.StatusUnprocessableEntity, "idempotency-key-reused")
		})
		if s.Position() != after {
			t.Errorf("the log went on from %d to %d", after, s.Position())
		}
	})
}

// posts are the header parameters of every POST in the OpenAPI document, by operation.
func (s site) posts(t *testing.T) map[string][]string {
	t.Helper()
	doc := s.Do(httptest.NewRequest(http.MethodGet, "/openapi.json", http.NoBody))
	paths, _ := doc.Body["paths"].(map[string]any)
	posts := map[string][]string{}
	for _, item := range paths {
		operations, _ := item.(map[string]any)
		post, ok := operations["post"].(map[string]any)
		if !ok {
			continue
		}
		posts[text(post, "operationId")] = nil
		for _, p := range list(post["parameters"]) {
			if text(p, "in") == "header" {
				posts[text(post, "operationId")] = append(posts[text(post, "operationId")], text(p, "name"))
			}
		}
	}
	if len(posts) < 5 {
		t.Fatalf("there are only %d POSTs: %v", len(posts), posts)
	}
	return posts
}

func TestKeysAreShortAndPrintable(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		before := s.Position()
		for name, key := range map[string]string{
			"empty": "", "too long": strings.Repeat("k", 201), "not ASCII": "clé", "not printable": "a\tb", "not even text": "\xff",
		} {
			t.Run(name, func(t *testing.T) {
				refused(t, s.post("/libraries", `{"name": "L"}`, keyHeader+key), http.StatusUnprocessableEntity, "invalid", "header.Idempotency-Key")
			})
		}
		if s.Position() != before {
			t.Error("something was stored")
		}
		must(t, http.StatusCreated, s.post("/libraries", `{"name": "L"}`, keyHeader+strings.Repeat("k", 200)))
		must(t, http.StatusCreated, s.post("/libraries", `{"name": "L"}`, keyHeader+"Key"))
		must(t, http.StatusCreated, s.post("/libraries", `{"name": "M"}`, keyHeader+"key"))
	})
}

func TestARefusalDoesNotUseAKeyUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		create := func() app.Answer {
			return s.post("/libraries/$lib1/categories", `{"name": "Lyric", "book": {"title": "Odes"}}`, keyHeader+"k")
		}
		for range 2 {
			refused(t, create(), http.StatusConflict, "category-name-taken")
		}
		must(t, http.StatusOK, s.patch("/categories/$cat2", `{"name": "Poems"}`))
		first := must(t, http.StatusCreated, create())
		if diff := cmp.Diff(first.Text, must(t, http.StatusCreated, create()).Text); diff != "" {
			t.Errorf("first -, then +\n%s", diff)
		}
		refused(t, s.post("/libraries", `{"name": ""}`, keyHeader+"l"), http.StatusUnprocessableEntity, "invalid", "body.name")
		must(t, http.StatusCreated, s.post("/libraries", `{"name": "New"}`, keyHeader+"l"))
	})
}

func TestOneKeyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.stand(t)
		before := s.Position()
		answers := make([]app.Answer, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = s.post("/categories/$cat1/books", `{"title": "Odyssey"}`, keyHeader+"k") })
		}
		wg.Wait()
		for _, a := range answers {
			must(t, http.StatusCreated, a)
			if diff := cmp.Diff(answers[0].Text, a.Text); diff != "" {
				t.Errorf("one -, another +\n%s", diff)
			}
		}
		if grew := s.Position() - before; grew != 2 {
			t.Errorf("the log grew by %d events, for a book and its edition", grew)
		}
		if found := items(s.get("/categories/$cat1/books")); len(found) != 2 {
			t.Errorf("there are %d books", len(found))
		}
	})
}
