// Package httpapitest holds an HTTP API to its own document: wrap its handler with [Referee] and use that in tests instead.
package httpapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// maxBody is how much of an answer is looked at, in bytes. Of a longer one only status and media type are checked.
const maxBody = 4 << 20

// Refereed is a handler whose answers are judged. It is safe for concurrent use.
type Refereed struct {
	t       testing.TB
	handler http.Handler
	doc     map[string]any
	routes  *http.ServeMux            // of the document: the pattern is the key of answers
	answers map[string]map[string]any // "GET /api/v1/x/{id}" → status → response object

	mu   sync.Mutex
	seen map[string]bool // "GET /api/v1/x/{id} 200"
}

// Referee passes requests on to h and fails the test when an answer is not what h's /openapi.json says: a status or a media type
// that the route does not declare, a body that its schema does not allow, a problem document that is incomplete. Routes that the
// document does not have (pages, assets) pass, except below /api/, where only 404 and 405 may. The document is read now, and
// checked as [CheckOpenAPI] does: all routes must be registered.
func Referee(t testing.TB, h http.Handler) *Refereed {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("GET /openapi.json: %d %s", answer.Code, answer.Body)
	}
	CheckOpenAPI(t, answer.Body.Bytes())
	r := &Refereed{t: t, handler: h, routes: http.NewServeMux(), answers: map[string]map[string]any{}, seen: map[string]bool{}}
	if err := json.Unmarshal(answer.Body.Bytes(), &r.doc); err != nil {
		t.Fatalf("read OpenAPI document: %v", err)
	}
	for pattern, op := range operations(r.doc) {
		r.routes.Handle(pattern, http.NotFoundHandler()) // only to match
		r.answers[pattern] = object(op["responses"])
	}
	return r
}

// ServeHTTP passes a request on and judges the answer.
func (r *Refereed) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, pattern := r.routes.Handler(req)
	judged := &answer{ResponseWriter: w, status: http.StatusOK}
	r.handler.ServeHTTP(judged, req)
	if judged.status == 499 { // the client went away: nobody received it
		return
	}
	if err := r.judge(req, pattern, judged); err != nil {
		r.t.Errorf("%s %s answered %d: %v\n%s", req.Method, req.URL, judged.status, err, excerpt(judged.body.Bytes()))
	}
	r.mu.Lock()
	r.seen[fmt.Sprintf("%s %d", pattern, judged.status)] = true
	r.mu.Unlock()
}

// Unseen is every answer that is declared but was never given, as "GET /api/v1/books/{id} 404", sorted. Those that nearly every
// route declares and few tests can bring about (403, 408, 413, 415, 500) are left out.
func (r *Refereed) Unseen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var unseen []string
	for pattern, statuses := range r.answers {
		for status := range statuses {
			switch key := pattern + " " + status; {
			case slices.Contains([]string{"403", "408", "413", "415", "500"}, status):
			case !r.seen[key]:
				unseen = append(unseen, key)
			}
		}
	}
	slices.Sort(unseen)
	return unseen
}

func (r *Refereed) judge(req *http.Request, pattern string, a *answer) error {
	if pattern == "" {
		refused := a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed
		switch {
		case !strings.HasPrefix(req.URL.Path, "/api/"):
			return nil
		case !refused:
			return fmt.Errorf("the document has no such route")
		}
		return r.conforms(map[string]any{"$ref": "#/components/schemas/Problem"}, a, "application/problem+json")
	}
	declared, ok := r.answers[pattern][strconv.Itoa(a.status)]
	if !ok {
		return fmt.Errorf("%s declares only %s", pattern, strings.Join(slices.Sorted(maps.Keys(r.answers[pattern])), ", "))
	}
	content := object(object(declared)["content"])
	if req.Method == http.MethodHead || len(content) == 0 && a.body.Len() == 0 {
		return nil
	}
	media, _, _ := mime.ParseMediaType(a.Header().Get("Content-Type"))
	if _, ok := content[media]; !ok {
		return fmt.Errorf("%s declares the media types %v, not %q", pattern, slices.Sorted(maps.Keys(content)), media)
	}
	return r.conforms(object(object(content[media])["schema"]), a, media)
}

func (r *Refereed) conforms(schema map[string]any, a *answer, media string) error {
	got, _, _ := mime.ParseMediaType(a.Header().Get("Content-Type"))
	if got != media {
		return fmt.Errorf("the media type must be %s, not %q", media, got)
	}
	if a.cut || !strings.HasSuffix(media, "json") {
		return nil
	}
	var body any
	if err := json.Unmarshal(a.body.Bytes(), &body); err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	if err := (checker{r.doc}).check(schema, body, "body"); err != nil {
		return err
	}
	if media == "application/problem+json" {
		p := object(body)
		if p["status"] != float64(a.status) || p["code"] == "" || p["detail"] == "" {
			return fmt.Errorf("the problem document is wrong: status %v, code %v, detail %v", p["status"], p["code"], p["detail"])
		}
	}
	return nil
}

// answer keeps what is answered while it passes it on.
type answer struct {
	http.ResponseWriter
	status int
	began  bool
	body   bytes.Buffer
	cut    bool // there was more than is kept
}

func (a *answer) WriteHeader(status int) {
	if !a.began && status >= http.StatusOK {
		a.status, a.began = status, true
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.began = true
	if a.body.Len()+len(b) <= maxBody {
		a.body.Write(b)
	} else {
		a.cut = true
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController, which flushes through it.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func excerpt(b []byte) []byte {
	if len(b) > 1000 {
		return append(b[:1000:1000], "…"...)
	}
	return b
}
