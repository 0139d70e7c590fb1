package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"accession/platform/httpapi"
	"accession/platform/httpapi/httpapitest"
	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

// bundle is an API with the toy resource, behind a referee.
type bundle struct {
	api     *httpapi.API
	handler *httpapitest.Refereed
	log     *syncBuffer
	served  *served
}

func setup(t *testing.T, c httpapi.Config) *bundle {
	t.Helper()
	b := &bundle{log: &syncBuffer{}, served: &served{}}
	c.Logger = slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.Meter = b.served
	b.api = httpapi.New(c)
	shelves(b.api)
	b.handler = httpapitest.Referee(t, b.api)
	return b
}

// do sends "METHOD path", headers as "Name: value", and a body.
func (b *bundle) do(request, body string, headers ...string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(request, " ")
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func problemIn(t *testing.T, w *httptest.ResponseRecorder) httpapi.Problem {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("answer %d %q: %v", w.Code, w.Body, err)
	}
	return p
}

func TestEveryErrorIsAProblemDocument(t *testing.T) {
	t.Parallel()
	big := `{"name": "` + strings.Repeat("x", 2000) + `"}`
	create := "POST /api/v1/shelves"
	get := "GET /api/v1/shelves/" + existing.String()
	tests := []struct {
		name     string
		request  string
		body     string
		headers  []string
		status   int
		code     string
		location string
	}{
		{name: "a rival has it", request: create, body: `{"name":"taken"}`, status: 409, code: "shelf-name-taken"},
		{name: "a rule that cannot be met", request: create, body: `{"name":"refused"}`, status: 422, code: "base-shelf-not-found"},
		{name: "busy", request: create, body: `{"name":"busy"}`, status: 503, code: "scope-busy"},
		{name: "a stale version", request: create, body: `{"name":"stale"}`, status: 412, code: "version-mismatch"},
		{name: "an error nobody classified", request: create, body: `{"name":"database"}`, status: 500, code: "internal"},
		{name: "a panic", request: create, body: `{"name":"panic"}`, status: 500, code: "internal"},
		{name: "an answer that cannot be encoded", request: "GET /api/v1/broken", status: 500, code: "internal"},
		{name: "a field that the command refuses", request: create, body: `{"name":"empty"}`, status: 422, code: "invalid", location: "body.name"},

		{name: "a field is missing", request: create, body: `{}`, status: 422, code: "invalid", location: "body.name"},
		{name: "a field within is missing", request: create, body: `{"name":"x","base":{}}`, status: 422, code: "invalid", location: "body.base.name"},
		{name: "a field of the wrong type", request: create, body: `{"name":1}`, status: 422, code: "invalid", location: "body.name"},
		{name: "an item of the wrong type", request: create, body: `{"name":"x","tags":["a",2]}`, status: 422, code: "invalid", location: "body.tags[1]"},
		{name: "a field that is too long", request: create, body: `{"name":"` + strings.Repeat("é", 201) + `"}`, status: 422, code: "invalid", location: "body.name"},
		{name: "an unknown field", request: create, body: `{"name":"x","colour":"red"}`, status: 422, code: "invalid", location: "body.colour"},
		{name: "an unknown field within", request: create, body: `{"name":"x","base":{"name":"y","z":1}}`, status: 422, code: "invalid", location: "body.base.z"},
		{name: "a field in other case is another field", request: create, body: `{"name":"x","Name":"y"}`, status: 422, code: "invalid", location: "body.Name"},
		{name: "a number over the bounds", request: create, body: `{"name":"x","year":100000000000000000000}`, status: 422, code: "invalid", location: "body.year"},
		{name: "a body that is no object", request: create, body: `[]`, status: 422, code: "invalid", location: "body"},
		{name: "a body that is null", request: create, body: `null`, status: 422, code: "invalid", location: "body"},

		{name: "no body", request: create, status: 400, code: "malformed"},
		{name: "an empty body", request: create, body: "  \n", status: 400, code: "malformed"},
		{name: "no JSON", request: create, body: `{"name":`, status: 400, code: "malformed", location: "body"},
		{name: "garbage behind the JSON", request: create, body: `{"name":"x"} x`, status: 400, code: "malformed", location: "body"},
		{name: "two JSON values", request: create, body: `{"name":"x"}{"name":"y"}`, status: 400, code: "malformed", location: "body"},
		{name: "a member twice", request: create, body: `{"name":"x","name":"y"}`, status: 400, code: "malformed", location: "body"},
		{name: "bytes that are no UTF-8", request: create, body: "{\"name\":\"\xff\"}", status: 400, code: "malformed", location: "body"},
		{name: "half of a surrogate pair", request: create, body: `{"name":"a\ud800b"}`, status: 400, code: "malformed", location: "body"},
		{name: "half of a surrogate pair in the name of a field", request: create, body: `{"name":"x","\udc00":1}`, status: 400, code: "malformed", location: "body"},
		{name: "too large", request: create, body: big, status: 413, code: "too-large"},
		{name: "not JSON by its type", request: create, body: `name=x`, headers: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 415, code: "unsupported-media-type"},
		{name: "a patch of another sort", request: "PATCH /api/v1/shelves/" + existing.String(), body: `[]`, headers: []string{"Content-Type: application/json-patch+json"}, status: 415, code: "unsupported-media-type"},
		{name: "a merge patch where nothing is patched", request: create, body: `{"name":"x"}`, headers: []string{"Content-Type: application/merge-patch+json"}, status: 415, code: "unsupported-media-type"},
		{name: "a type that is only built on JSON", request: create, body: `{"name":"x"}`, headers: []string{"Content-Type: application/vnd.x+json"}, status: 415, code: "unsupported-media-type"},
		{name: "another charset", request: create, body: `{"name":"x"}`, headers: []string{"Content-Type: application/json; charset=latin1"}, status: 415, code: "unsupported-media-type"},
		{name: "a type that cannot be read", request: create, body: `{}`, headers: []string{"Content-Type: ;;"}, status: 415, code: "unsupported-media-type"},

		{name: "no such thing", request: "GET /api/v1/shelves/00000000-0000-4000-8000-000000000000", status: 404, code: "shelf-not-found"},
		{name: "a malformed id", request: "GET /api/v1/shelves/12", status: 404, code: "shelf-not-found"},
		{name: "an id with a NUL", request: "GET /api/v1/shelves/%00", status: 404, code: "shelf-not-found"},
		{name: "no such route", request: "GET /api/v1/shelfs", status: 404, code: "not-found"},
		{name: "a slash too many", request: "GET /api/v1/shelves/", status: 404, code: "not-found"},
		{name: "no such method", request: "DELETE /api/v1/shelves", status: 405, code: "method-not-allowed"},
		{name: "a method nobody knows", request: "FROB /api/v1/shelves", status: 405, code: "method-not-allowed"},
		{name: "nothing there at all", request: "GET /", status: 404, code: "not-found"},

		{name: "a limit of nothing", request: "GET /api/v1/shelves?limit=0", status: 422, code: "invalid", location: "query.limit"},
		{name: "a limit over 500", request: "GET /api/v1/shelves?limit=501", status: 422, code: "invalid", location: "query.limit"},
		{name: "a limit that is no number", request: "GET /api/v1/shelves?limit=ten", status: 422, code: "invalid", location: "query.limit"},
		{name: "a cursor that is none", request: "GET /api/v1/shelves?cursor=nonsense", status: 422, code: "invalid", location: "query.cursor"},
		{name: "a cursor of another list", request: "GET /api/v1/shelves?cursor=" + httpapi.Listing{"shelves", "true"}.Cursor(1), status: 422, code: "invalid", location: "query.cursor"},
		{name: "an unknown query parameter", request: "GET /api/v1/shelves?limti=1", status: 422, code: "invalid", location: "query.limti"},
		{name: "a query parameter twice", request: "GET /api/v1/shelves?limit=1&odd=true&limit=2", status: 422, code: "invalid", location: "query.limit"},
		{name: "a query parameter twice, with one value", request: "GET /api/v1/shelves?cursor=&cursor=", status: 422, code: "invalid", location: "query.cursor"},
		{name: "a query parameter twice, written differently", request: "GET /api/v1/shelves?limit=1&%6Cimit=1", status: 422, code: "invalid", location: "query.limit"},
		{name: "a query that cannot be read", request: "GET /api/v1/shelves?cursor=%zz", status: 422, code: "invalid", location: "query"},
		{name: "a query that is no text", request: "GET /api/v1/shelves?cursor=%ff", status: 422, code: "invalid", location: "query.cursor"},
		{name: "a query with a NUL", request: "GET /api/v1/shelves?cursor=%00", status: 422, code: "invalid", location: "query.cursor"},

		{name: "a position that is no number", request: get, headers: []string{"Accession-Min-Position: x"}, status: 422, code: "invalid", location: "header.Accession-Min-Position"},
		{name: "a position below 0", request: get, headers: []string{"Accession-Min-Position: -1"}, status: 422, code: "invalid", location: "header.Accession-Min-Position"},
		{name: "a wait that is no number", request: get, headers: []string{"Prefer: wait=soon"}, status: 422, code: "invalid", location: "header.Prefer"},
		{name: "a wait that is too long", request: get, headers: []string{"Prefer: wait=31"}, status: 422, code: "invalid", location: "header.Prefer"},
		{name: "behind", request: get, headers: []string{"Accession-Min-Position: 8"}, status: 503, code: "behind"},
		{name: "an actor that is too long", request: create, body: `{"name":"x"}`, headers: []string{"X-Actor: " + strings.Repeat("x", 201)}, status: 422, code: "invalid", location: "header.X-Actor"},
		{name: "an actor that cannot be printed", request: create, body: `{"name":"x"}`, headers: []string{"X-Actor: a\x01b"}, status: 422, code: "invalid", location: "header.X-Actor"},
		{name: "an actor that is no text", request: create, body: `{"name":"x"}`, headers: []string{"X-Actor: a\xffb"}, status: 422, code: "invalid", location: "header.X-Actor"},

		{name: "a page of another site writes", request: create, body: `{"name":"x"}`, headers: []string{"Sec-Fetch-Site: cross-site"}, status: 403, code: "cross-origin"},
	}
	b := setup(t, httpapi.Config{MaxBody: 1500})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := b.do(test.request, test.body, append(test.headers, "X-Request-ID: "+test.name)...)
			p := problemIn(t, w)
			if w.Code != test.status || p.Status != test.status || p.Code != test.code {
				t.Errorf("got %d %s, want %d %s: %s", w.Code, p.Code, test.status, test.code, w.Body)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("media type is %q", got)
			}
			if p.Type != "about:blank" || p.Title == "" || p.Detail == "" || p.RequestID != test.name {
				t.Errorf("incomplete: %s", w.Body)
			}
			if test.location != "" && (len(p.Errors) != 1 || p.Errors[0].Location != test.location || p.Errors[0].Message == "") {
				t.Errorf("errors are %+v, want one at %s", p.Errors, test.location)
			}
			if strings.Contains(w.Body.String(), "pq:") || w.Body.Len() > 1000 {
				t.Errorf("the client reads too much: %s", w.Body)
			}
		})
	}
}

// TestAProblemDocumentDoesNotGrowWithItsRequest: however much is wrong, the first places are told, and how many more there are.
func TestAProblemDocumentDoesNotGrowWithItsRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	for name, body := range map[string]string{
		"items":   `{"name":"x","tags":[` + strings.Repeat("1,", 5000) + `1]}`,
		"members": `{"name":"x",` + members(5001) + `}`,
	} {
		w := b.do("POST /api/v1/shelves", body)
		p := problemIn(t, w)
		if w.Code != 422 || len(p.Errors) != 100 || !strings.HasSuffix(p.Detail, "(and 5000 more)") || w.Body.Len() > 20_000 {
			t.Errorf("%s: %d, %d errors, %d bytes, %s", name, w.Code, len(p.Errors), w.Body.Len(), p.Detail)
		}
	}
}

// members are n members of a JSON object, with names that nothing has.
func members(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"m%d":1`, i)
	}
	return strings.Join(all, ",")
}

func TestProblemDocumentsAreGolden(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	for name, body := range map[string]string{
		"constraint": `{"name":"taken"}`,
		"busy":       `{"name":"busy"}`,
		"internal":   `{"name":"database"}`,
		"invalid":    `{"nmae":"x","year":"old","tags":[1,true]}`,
		"malformed":  "{\n  \"name\": oops\n}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := b.do("POST /api/v1/shelves", body, "X-Request-ID: 1")
			var got bytes.Buffer
			if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
				t.Fatal(err)
			}
			file := "testdata/problem_" + name + ".json"
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func TestHeadersOfAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	path := "/api/v1/shelves/" + existing.String()
	tests := []struct {
		name    string
		request string
		body    string
		headers []string
		status  int
		want    map[string]string
	}{
		{name: "created", request: "POST /api/v1/shelves", body: `{"name":"x"}`, status: 201,
			want: map[string]string{"Location": path, "ETag": `"1"`, "Accession-Position": "7", "Content-Type": "application/json"}},
		{name: "created, a number to come", request: "POST /api/v1/shelves", body: `{"name":"pending"}`, status: 202,
			want: map[string]string{"Location": path, "ETag": `"1"`, "Accession-Position": "7"}},
		{name: "created before", request: "POST /api/v1/shelves", body: `{"name":"repeated"}`, status: 200,
			want: map[string]string{"Location": path, "ETag": `"1"`}},
		{name: "read", request: "GET " + path, status: 200, want: map[string]string{"ETag": `"3"`, "Location": "", "Cache-Control": "no-cache"}},
		{name: "changed nothing", request: "PATCH " + path, body: `{"name":null}`, headers: []string{"Content-Type: application/merge-patch+json"}, status: 200,
			want: map[string]string{"ETag": `"4"`, "Accession-Position": "", "Location": ""}},
		{name: "a type of the client's", request: "PATCH " + path, body: `{}`, headers: []string{`Content-Type: Application/JSON; Charset="UTF-8"`}, status: 200},
		{name: "a charset of a merge patch", request: "PATCH " + path, body: `{}`, headers: []string{"Content-Type: application/merge-patch+json;charset=utf-8"}, status: 200},
		{name: "a pair of surrogates", request: "POST /api/v1/shelves", body: `{"name":"\ud83d\udc0d"}`, headers: []string{"Content-Type: application/json"}, status: 201},
		{name: "a probe is not asked what it asks", request: "GET /livez?at=1&at=2", status: 200},
		{name: "busy", request: "POST /api/v1/shelves", body: `{"name":"busy"}`, status: 503, want: map[string]string{"Retry-After": "2", "Cache-Control": "no-store"}},
		{name: "wrong method", request: "PUT " + path, status: 405, want: map[string]string{"Allow": "GET, HEAD, PATCH"}},
		{name: "wrong Accept is not held against anybody", request: "GET " + path, headers: []string{"Accept: a;b,"}, status: 200,
			want: map[string]string{"Content-Type": "application/json"}},
		{name: "HEAD", request: "HEAD " + path, status: 200, want: map[string]string{"ETag": `"3"`}},
		{name: "security", request: "GET /nowhere", status: 404, want: map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}},
		{name: "an id of the client's", request: "GET /nowhere", headers: []string{"X-Request-ID: abc 1"}, status: 404, want: map[string]string{"X-Request-ID": "abc 1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := b.do(test.request, test.body, test.headers...)
			if w.Code != test.status {
				t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
			}
			for name, want := range test.want {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
	t.Run("an id that is not fit for a log is replaced", func(t *testing.T) {
		t.Parallel()
		for _, id := range []string{"", strings.Repeat("x", 129), "a\nb", "é"} {
			if got := b.do("GET /nowhere", "", "X-Request-ID: "+id).Header().Get("X-Request-ID"); len(got) != 36 {
				t.Errorf("for %q: %q", id, got)
			}
		}
	})
}

func TestActorAndPreference(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	for _, test := range []struct{ name, body, header, want string }{
		{"nobody says who they are", `{"name":"x"}`, "X-Other: 1", "x by anonymous"},
		{"somebody does", `{"name":"x"}`, "X-Actor: Frída 📚 Kahlo", "x by Frída 📚 Kahlo"},
		{"no preference", `{"name":"wait"}`, "X-Other: 1", "0s"},
		{"wait", `{"name":"wait"}`, "Prefer: wait=30", "30s"},
		{"wait, among others", `{"name":"wait"}`, `Prefer: respond-async, foo="a,wait=1"; x, Wait = "5" ; y, wait=7`, "5s"},
		{"other preferences only", `{"name":"wait"}`, "Prefer: return=minimal;;,", "0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := b.do("POST /api/v1/shelves", test.body, test.header)
			var got Shelf
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Name != test.want {
				t.Errorf("got %s, want the name %q", w.Body, test.want)
			}
		})
	}
}

func TestListsAreRead(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	var numbers []int
	next := "/api/v1/shelves?odd=true&limit=2"
	for pages := 1; next != ""; pages++ {
		w := b.do("GET "+next, "")
		var page httpapi.Page[Shelf]
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("GET %s: %d %s", next, w.Code, w.Body)
		}
		for _, s := range page.Items {
			numbers = append(numbers, *s.Number)
		}
		link, rel, _ := strings.Cut(w.Header().Get("Link"), ">; ")
		if (page.Next != nil) != (link != "") || link != "" && rel != `rel="next"` {
			t.Errorf("next is %v, Link is %q", page.Next, w.Header().Get("Link"))
		}
		next = strings.TrimPrefix(link, "<")
		if pages > 3 {
			t.Fatal("the list does not end")
		}
	}
	if diff := cmp.Diff([]int{1, 3, 5}, numbers); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

func TestAListWithNothingIsAnEmptyArray(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(httpapi.NewList[int](t.Context(), httpapi.Paging{Limit: 1}, nil, nil).Body)
	if err != nil || string(got) != `{"items":[],"next":null}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestWhatTheOperatorReads(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	b.do("POST /api/v1/shelves", `{"name":"database"}`, "X-Request-ID: d")
	b.do("POST /api/v1/shelves", `{"name":"panic"}`, "X-Request-ID: p")
	b.do("GET /api/v1/nothing", "", "X-Request-ID: n")
	b.do("GET /livez", "", "X-Request-ID: l")
	lines := b.log.lines(t)

	find := func(msg, id string) map[string]any {
		for _, l := range lines {
			if l["msg"] == msg && l["request_id"] == id {
				return l
			}
		}
		t.Errorf("no %q of request %s in the log", msg, id)
		return nil
	}
	if l := find("request failed", "d"); l["level"] != "ERROR" || !strings.Contains(l["error"].(string), "password authentication") {
		t.Errorf("the cause is not there: %v", l)
	}
	if l := find("handler panicked", "p"); l["panic"] != "the shelf fell" || !strings.Contains(l["stack"].(string), "shelf_test.go") {
		t.Errorf("the panic is not there: %v", l)
	}
	if l := find("request", "d"); l["route"] != "POST /api/v1/shelves" || l["status"] != 500.0 || l["bytes"] == 0.0 || l["took"] == nil {
		t.Errorf("access log: %v", l)
	}
	if l := find("request", "n"); l["route"] != "none" || l["level"] != "INFO" {
		t.Errorf("access log: %v", l)
	}
	if l := find("request", "l"); l["level"] != "DEBUG" {
		t.Errorf("a probe is no news: %v", l)
	}
	want := []string{"GET /openapi.json 200", "POST /api/v1/shelves 500", "POST /api/v1/shelves 500", "none 404", "GET /livez 200"}
	if diff := cmp.Diff(want, b.served.all()); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestAClientThatWentAwayIsNoNews(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/shelves", strings.NewReader(`{"name":"slow"}`))
	b.handler.ServeHTTP(httptest.NewRecorder(), r)
	if got := b.served.all(); got[len(got)-1] != "POST /api/v1/shelves 499" {
		t.Errorf("counted as %s", got[len(got)-1])
	}
	for _, l := range b.log.lines(t) {
		if l["route"] != "GET /openapi.json" && l["level"] != "DEBUG" {
			t.Errorf("noise: %v", l)
		}
	}
}

func TestAnAnswerThatBreaksOffIsCutOff(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	b.api.Page("GET /half", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half of ")
		panic("the pen broke")
	}))
	b.api.Page("GET /abort", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	server := httptest.NewServer(b.api)
	defer server.Close()
	for _, path := range []string{"/half", "/abort"} {
		answer, err := http.Get(server.URL + path)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
			answer.Body.Close()
		}
		if err == nil {
			t.Errorf("GET %s looks whole to the client", path)
		}
	}
}

func TestPeopleAreToldOnAPage(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	b.api.Page("GET /panic", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"1"`)
		panic("the page tore")
	}))
	b.api.People(func(w http.ResponseWriter, _ *http.Request, status int, e *problem.Error) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "page: %s %s", e.Kind, e.Code)
	})
	for _, test := range []struct {
		request string
		status  int
		says    string
		headers []string
	}{
		{"GET /nowhere", 404, "page: not-found not-found", nil},
		{"POST /panic", 405, "page: malformed method-not-allowed", nil},
		{"GET /panic", 500, "page: internal internal", nil},
		{"POST /panic", 403, "page: malformed cross-origin", []string{"Sec-Fetch-Site: cross-site"}},
		{"GET /api/v1/nowhere", 404, `"code":"not-found"`, nil},
		{"GET /api", 404, `"code":"not-found"`, nil},
		{"POST /livez", 405, `"code":"method-not-allowed"`, nil},
		{"POST /api/v1/shelves", 403, `"code":"cross-origin"`, []string{"Sec-Fetch-Site: cross-site"}},
	} {
		w := b.do(test.request, "", test.headers...)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) || w.Header().Get("ETag") != "" {
			t.Errorf("%s: %d %v %s", test.request, w.Code, w.Header(), w.Body)
		}
		if allow := w.Header().Get("Allow"); (w.Code == http.StatusMethodNotAllowed) != (allow != "") {
			t.Errorf("%s allows %q", test.request, allow)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{MaxBody: 10})
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			b.api.Error(w, r, err)
		}
	})
	b.api.Page("POST /page", read)
	b.api.Handle("POST /upload", read)
	if w := b.do("POST /page", "more than ten bytes"); w.Code != 413 || problemIn(t, w).Code != "too-large" {
		t.Errorf("page: %d %s", w.Code, w.Body)
	}
	if w := b.do("POST /upload", "more than ten bytes"); w.Code != 200 {
		t.Errorf("upload: %d %s", w.Code, w.Body)
	}
}

func TestStreamsAreFlushed(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{})
	b.api.Handle("GET /stream", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		if err := errors.Join(conn.SetWriteDeadline(time.Time{}), conn.Flush()); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, "one\n")
		w.(http.Flusher).Flush()
		select {
		case <-b.api.Stopping():
		case <-r.Context().Done():
		}
	}))
	server := httptest.NewServer(b.handler)
	defer server.Close()
	answer, err := http.Get(server.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	line := make([]byte, 4)
	if _, err := io.ReadFull(answer.Body, line); err != nil || string(line) != "one\n" {
		t.Errorf("read %q, %v", line, err)
	}
	b.api.Stop()
	if rest, err := io.ReadAll(answer.Body); err != nil || len(rest) > 0 {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var missing error
	set := func(err error) { mu.Lock(); missing = err; mu.Unlock() }
	b := setup(t, httpapi.Config{Metrics: http.NotFoundHandler(), Ready: func(context.Context) error { mu.Lock(); defer mu.Unlock(); return missing }})
	want := func(status int, code, said string) {
		t.Helper()
		w := b.do("GET /readyz", "")
		if w.Code != status || status != 200 && problemIn(t, w).Code != code || !strings.Contains(w.Body.String(), said) {
			t.Errorf("got %d %s, want %d %s", w.Code, w.Body, status, code)
		}
	}
	want(200, "", "ok")
	set(problem.New(problem.Conflict, "projector-broken", "The projector books is broken."))
	want(503, "projector-broken", "books is broken")
	set(errDatabase)
	want(503, "not-ready", "The server is not ready yet.")
	set(nil)
	want(200, "", "ok")
	b.api.Stop()
	b.api.Stop()
	want(503, "stopping", "stopping")
	if w := b.do("GET /livez", ""); w.Code != 200 {
		t.Errorf("a server that stops is still alive: %d", w.Code)
	}
}

func TestTheDocument(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{Version: "1.2.3"})
	w := b.do("GET /openapi.json", "")
	httpapitest.CheckOpenAPI(t, w.Body.Bytes())
	var doc struct {
		Info  struct{ Version string }
		Paths map[string]map[string]struct {
			RequestBody struct{ Content map[string]any }
			Responses   map[string]struct{ Headers map[string]any }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Info.Version != "1.2.3" {
		t.Errorf("version %q", doc.Info.Version)
	}
	statuses := map[string][]string{}
	for path, item := range doc.Paths {
		for method, op := range item {
			for status := range op.Responses {
				statuses[method+" "+path] = append(statuses[method+" "+path], status)
			}
		}
	}
	sorted := cmp.Transformer("sort", func(s []string) map[string]bool {
		set := map[string]bool{}
		for _, x := range s {
			set[x] = true
		}
		return set
	})
	want := map[string][]string{
		"post /api/v1/shelves":       {"200", "201", "202", "400", "403", "408", "409", "412", "413", "415", "422", "500", "503"},
		"get /api/v1/shelves":        {"200", "422", "500"},
		"get /api/v1/shelves/{id}":   {"200", "404", "422", "500", "503"},
		"patch /api/v1/shelves/{id}": {"200", "400", "403", "404", "408", "413", "415", "422", "500"},
		"get /api/v1/broken":         {"200", "422", "500"},
		"get /livez":                 {"200", "500"},
		"get /readyz":                {"200", "500", "503"},
	}
	if diff := cmp.Diff(want, statuses, sorted); diff != "" {
		t.Errorf("declared (-want +got):\n%s", diff)
	}
	created := doc.Paths["/api/v1/shelves"]["post"].Responses["202"].Headers
	for _, h := range []string{"Location", "ETag", "Accession-Position"} {
		if _, ok := created[h]; !ok {
			t.Errorf("202 does not declare %s", h)
		}
	}
	if _, ok := doc.Paths["/api/v1/shelves/{id}"]["patch"].RequestBody.Content["application/merge-patch+json"]; !ok {
		t.Error("PATCH does not declare merge-patch+json")
	}
	for _, other := range []string{"/docs", "/openapi.yaml", "/openapi-3.0.json", "/schemas/Shelf.json"} {
		if w := b.do("GET "+other, ""); w.Code != 404 {
			t.Errorf("GET %s: %d", other, w.Code)
		}
	}
	if strings.Contains(w.Body.String(), "$schema") {
		t.Error("the document speaks of $schema")
	}
}

// syncBuffer is a buffer that a logger may write to while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(s.b.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// served keeps what a Meter is told.
type served struct {
	mu sync.Mutex
	s  []string
}

func (s *served) Served(route string, status int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s = append(s.s, fmt.Sprint(route, " ", status))
}

func (s *served) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.s...)
}
