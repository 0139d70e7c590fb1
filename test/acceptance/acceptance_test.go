// Package acceptance_test holds the application to its contract with users, over HTTP, on every database.
//
// There is a file for each module, which says what can be done and how it is answered; refusals_test.go has what cannot be done,
// repeats_test.go what is asked for twice, lists_test.go what all lists have in common, concurrency_test.go many clients at once,
// background_test.go what users see of read models that follow a moment later, and of restarts, and operations_test.go what
// operators see, and what users do when somebody holds on to the database.
//
// Every answer passes the referee, and what every test leaves behind is held against its log: see test/app.
package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/httpapi"
	"accession/platform/projection"
	"accession/test/app"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	code := dbtest.Main(m)
	stopPrism()
	os.Exit(code)
}

// each runs f on every database, with an application whose read models are always current.
func each(t *testing.T, f func(t *testing.T, s site)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		f(t, start(t, app.Config{DB: db, Timing: projection.Immediate}))
	})
}

// start starts an application with Prism in front of it, where there is one.
func start(t *testing.T, c app.Config) site {
	t.Helper()
	c.Front = front(t)
	return site{app.Start(t, c)}
}

// site is an application in whose requests $lib1, $cat1, $book1 and $ed1 stand for ids: see expand.
type site struct{ *app.App }

func (s site) get(path string, headers ...string) app.Answer {
	return s.Get(expand(path), headers...)
}

func (s site) post(path, body string, headers ...string) app.Answer {
	return s.Post(expand(path), expand(body), headers...)
}

var placeholder = regexp.MustCompile(`\$(lib|cat|book|ed)(\d+)`)

// expand puts an id for each placeholder: $book12 is always the same book, and none of those that the server draws.
func expand(s string) string {
	return placeholder.ReplaceAllStringFunc(s, func(p string) string {
		m := placeholder.FindStringSubmatch(p)
		kind := slices.Index([]string{"", "lib", "cat", "book", "ed"}, m[1])
		return fmt.Sprintf("%d0000000-0000-7000-8000-%012s", kind, m[2])
	})
}

// object is the JSON as it is decoded, with its placeholders expanded.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(expand(text)), &o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

// equal compares a decoded object with the one that the text says, field by field.
func equal(t *testing.T, got any, want string) {
	t.Helper()
	if diff := cmp.Diff(any(object(t, want)), got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// expect checks the status and the whole body.
func expect(t *testing.T, a app.Answer, status int, want string) {
	t.Helper()
	if a.Status != status {
		t.Errorf("answered %d, want %d: %s", a.Status, status, a.Text)
		return
	}
	equal(t, a.Body, want)
}

// must gives the answer back if it has the status, and ends the test if not.
func must(t *testing.T, status int, a app.Answer) app.Answer {
	t.Helper()
	if a.Status != status {
		t.Fatalf("answered %d, want %d: %s", a.Status, status, a.Text)
	}
	return a
}

// refused checks that a request was refused with the status, the code, and these places named as wrong, in whatever order.
func refused(t *testing.T, a app.Answer, status int, code string, locations ...string) {
	t.Helper()
	if a.Status != status || a.Code() != code {
		t.Errorf("answered %d %s, want %d %s: %s", a.Status, a.Code(), status, code, a.Text)
		return
	}
	var got []string
	for _, e := range list(a.Body["errors"]) {
		got = append(got, text(e, "location"))
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(locations)), got); diff != "" {
		t.Errorf("the places named as wrong, want -, got +\n%s%s", diff, a.Text)
	}
}

// headers checks headers by "Name: value"; a name without a value must not be there.
func headers(t *testing.T, a app.Answer, want ...string) {
	t.Helper()
	for _, w := range want {
		name, value, _ := strings.Cut(expand(w), ": ")
		if got := a.Header.Get(name); got != value {
			t.Errorf("header %s: got %q, want %q", name, got, value)
		}
	}
}

// list is v as a list of objects; nil when it is none.
func list(v any) []map[string]any {
	items, _ := v.([]any)
	objects := make([]map[string]any, len(items))
	for i, item := range items {
		objects[i], _ = item.(map[string]any)
	}
	return objects
}

// items are those of a page.
func items(a app.Answer) []map[string]any { return list(a.Body["items"]) }

// column is one field of each object.
func column(objects []map[string]any, field string) []any {
	values := make([]any, len(objects))
	for i, o := range objects {
		values[i] = o[field]
	}
	return values
}

// text is a field of an object that is text; "" when it is not.
func text(o map[string]any, field string) string {
	s, _ := o[field].(string)
	return s
}

// without is a copy of the object that lacks some fields.
func without(o map[string]any, fields ...string) map[string]any {
	c := map[string]any{}
	for k, v := range o {
		if !slices.Contains(fields, k) {
			c[k] = v
		}
	}
	return c
}

// numbers are 1 to n as JSON has them.
func numbers(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = float64(i + 1)
	}
	return all
}

// furnish opens the library $lib1 with the category $cat1, its book $book1 and that book's edition $ed1.
func (s site) furnish(t *testing.T) {
	t.Helper()
	must(t, http.StatusCreated, s.post("/libraries", `{"id": "$lib1", "name": "Main"}`))
	must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat1", "name": "Epic", "book": {
		"id": "$book1", "title": "Iliad", "authors": ["Homer"], "edition": {"id": "$ed1", "isbn": "9780140275360"}}}`))
}

// send asks with any method; without a body none is sent.
func (s site) send(method, path, body string, headers ...string) app.Answer {
	r := httptest.NewRequest(method, httpapi.Prefix+expand(path), strings.NewReader(expand(body)))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return s.Do(r)
}

func (s site) patch(path, body string, headers ...string) app.Answer {
	return s.send(http.MethodPatch, path, body, headers...)
}

func (s site) delete(path string, headers ...string) app.Answer {
	return s.send(http.MethodDelete, path, "", headers...)
}
