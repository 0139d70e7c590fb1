package httpapitest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

const document = `{"openapi":"3.1.0","paths":{
"/api/v1/x/{id}":{"get":{"operationId":"get-x","parameters":[{"name":"id","in":"path"}],"responses":{
	"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/X"}}}},
	"204":{"description":"none"},
	"404":{"content":{"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"}}}}}}}},
"components":{"schemas":{
	"X":{"type":"object","additionalProperties":false,"required":["n","tags"],"properties":{
		"n":{"type":["integer","null"]},"tags":{"type":"array","items":{"type":"string","enum":["a","b"]}},"any":{}}},
	"Problem":{"type":"object","required":["status","code","detail"],"properties":{"status":{"type":"integer"},"code":{"type":"string"},"detail":{"type":"string"}}}}}}`

const gone = `{"status":404,"code":"gone","detail":"It is gone."}`

// spy is a test that remembers what went wrong instead of failing.
type spy struct {
	testing.TB
	said []string
}

func (s *spy) Helper()                   {}
func (s *spy) Errorf(f string, a ...any) { s.said = append(s.said, fmt.Sprintf(f, a...)) }

func TestRefereeSeesEveryFoul(t *testing.T) {
	t.Parallel()
	const path, problem = "/api/v1/x/1", "application/problem+json"
	for _, test := range []struct {
		name   string
		method string
		path   string
		status int
		media  string
		body   string
		foul   string // part of what is said; empty: it is fair
	}{
		{name: "as declared", path: path, status: 200, media: "application/json; charset=utf-8", body: `{"n":1,"tags":["a"],"any":{"x":[1]}}`},
		{name: "null where it may be", path: path, status: 200, media: "application/json", body: `{"n":null,"tags":[]}`},
		{name: "HEAD has no body", method: http.MethodHead, path: path, status: 200},
		{name: "a declared error", path: path, status: 404, media: problem, body: gone},
		{name: "a declared nothing", path: path, status: 204},
		{name: "the client went away", path: path, status: 499},
		{name: "a page", path: "/page", status: 200, media: "text/html", body: "<p>"},
		{name: "no such route", path: "/api/v1/y", status: 404, media: problem, body: gone},

		{name: "a status that is not declared", path: path, status: 409, media: problem, body: gone, foul: "declares only 200, 204, 404"},
		{name: "a media type that is not declared", path: path, status: 200, media: "text/plain", body: "ok", foul: `not "text/plain"`},
		{name: "an error that is no problem", path: path, status: 404, media: "text/plain", body: "404", foul: "media type"},
		{name: "no body", path: path, status: 200, media: "application/json", foul: "not JSON"},
		{name: "a member is missing", path: path, status: 200, media: "application/json", body: `{"n":1}`, foul: "body.tags is required"},
		{name: "a member too many", path: path, status: 200, media: "application/json", body: `{"n":1,"tags":[],"x":1}`, foul: "body.x is not in the schema"},
		{name: "a member of another type", path: path, status: 200, media: "application/json", body: `{"n":1.5,"tags":[]}`, foul: "body.n is number"},
		{name: "null where it may not be", path: path, status: 200, media: "application/json", body: `{"n":1,"tags":null}`, foul: "body.tags is null"},
		{name: "an item that is not listed", path: path, status: 200, media: "application/json", body: `{"n":1,"tags":["c"]}`, foul: "body.tags[0] is c"},
		{name: "a problem of another status", path: path, status: 404, media: problem, body: `{"status":409,"code":"x","detail":"y"}`, foul: "status 409"},
		{name: "a problem without a code", path: path, status: 404, media: problem, body: `{"status":404,"code":"","detail":"y"}`, foul: "problem document"},
		{name: "an API route that is not declared", path: "/api/v1/y", status: 200, media: "application/json", body: "{}", foul: "no such route"},
		{name: "no such route, in plain text", path: "/api/v1/y", status: 404, media: "text/plain", body: "404", foul: "media type"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &spy{TB: t}
			r := Referee(s, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/openapi.json" {
					fmt.Fprint(w, document)
					return
				}
				w.Header().Set("Content-Type", test.media)
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			method := test.method
			if method == "" {
				method = http.MethodGet
			}
			r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, test.path, nil))
			said := strings.Join(s.said, "\n")
			if (test.foul == "") != (said == "") || !strings.Contains(said, test.foul) {
				t.Errorf("said %q, want something with %q", said, test.foul)
			}
		})
	}
}

func TestRefereeKnowsWhatItHasNotSeen(t *testing.T) {
	t.Parallel()
	r := Referee(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/openapi.json" {
			fmt.Fprint(w, document)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/v1/x/1", nil))
	if got, want := r.Unseen(), []string{"GET /api/v1/x/{id} 200", "GET /api/v1/x/{id} 404"}; !slices.Equal(got, want) {
		t.Errorf("unseen %v, want %v", got, want)
	}
}

func TestBrokenDocumentsAreSeen(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, old, new, want string }{
		{"as it should be", "", "", ""},
		{"another version", "3.1.0", "3.0.3", "not 3.1"},
		{"a $ref to nowhere", `schemas/X"}`, `schemas/Y"}`, "leads nowhere"},
		{"a $ref to elsewhere", `#/components/schemas/X`, `https://example.com/x`, "leads out of the document"},
		{"an operation without an id", `"operationId":"get-x",`, ``, "no operationId"},
		{"a path parameter that is not declared", `{"name":"id","in":"path"}`, ``, "path parameters"},
		{"a path parameter too many", `{"name":"id","in":"path"}`, `{"name":"id","in":"path"},{"name":"x","in":"path"}`, "path parameters"},
		{"an error that is no problem", "application/problem+json", "text/plain", "declares 404"},
		{"no JSON", "{", "", "invalid character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var said []string
			for _, err := range checkOpenAPI([]byte(strings.Replace(document, test.old, test.new, 1))) {
				said = append(said, err.Error())
			}
			if all := strings.Join(said, "\n"); (test.want == "") != (all == "") || !strings.Contains(all, test.want) {
				t.Errorf("said %q, want something with %q", all, test.want)
			}
		})
	}
	twice := strings.Replace(document, `}}},
"components"`, `},"post":{"operationId":"get-x","parameters":[{"name":"id","in":"path"}],"responses":{}}}},
"components"`, 1)
	said := fmt.Sprint(checkOpenAPI([]byte(twice)))
	if !strings.Contains(said, "both have the operationId get-x") || !strings.Contains(said, "declares no success") {
		t.Errorf("said %s", said)
	}
}
