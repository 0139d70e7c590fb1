package web_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"accession/platform/problem"
	"accession/platform/web"
)

var templates = fstest.MapFS{
	"_parts.html": {Data: []byte(`{{define "greeting"}}<h1 lang="{{lang .Lang}}">{{shout .Word}}</h1>{{end}}`)},
	"hello.html":  {Data: []byte(`{{define "content"}}{{template "greeting" .Body}}<p>{{count 1848 "book" "books"}}, {{count 1 "day" "days"}}</p>{{end}}`)},
	"broken.html": {Data: []byte(`{{define "content"}}{{.Body.Nothing}}{{end}}`)},
}

type greeting struct{ Word, Lang string }

// serve answers one request with what page returns.
func serve(t *testing.T, page func(*http.Request) (web.Page, error), headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r, err := web.New(templates, map[string]any{"shout": strings.ToUpper})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, "/hello?x=%3C1%3E", nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	r.Handler(page).ServeHTTP(w, req)
	return w
}

func hello(*http.Request) (web.Page, error) {
	return web.Page{
		Template: "hello", Title: "Hello <b>", Trail: []web.Crumb{{Name: "Here", Lang: "fr"}}, Notice: "Mind the step.",
		Search: &web.Search{Path: "/search", Label: "Search here", Query: `"q"`}, Body: greeting{"salut <", "fr"},
		Header: http.Header{"Accession-Position": {"7"}},
	}, nil
}

func TestPage(t *testing.T) {
	t.Parallel()
	w := serve(t, hello)
	for _, part := range []string{
		`<title>Hello &lt;b&gt; · Accession</title>`, `<h1 lang="fr">SALUT &lt;</h1>`, `<p>1,848 books, 1 day</p>`, `role="status">Mind the step.`,
		`value="&#34;q&#34;"`, `<span aria-current="page"><bdi lang="fr">Here</bdi></span>`, `href="` + web.AssetPath("accession.css") + `"`,
	} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("no %s in\n%s", part, w.Body)
		}
	}
	h := w.Header()
	if w.Code != http.StatusOK || h.Get("Accession-Position") != "7" || h.Get("Content-Security-Policy") != web.ContentSecurityPolicy || h.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", w.Code, h)
	}
	t.Run("a page that has not changed is not sent again", func(t *testing.T) {
		again := serve(t, hello, "If-None-Match: "+h.Get("ETag"))
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%d %s", again.Code, again.Body)
		}
	})
	t.Run("a page may send the reader on", func(t *testing.T) {
		w := serve(t, func(*http.Request) (web.Page, error) { return web.Page{Goto: "/there#here"}, nil })
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/there#here" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	})
	t.Run("a page that breaks half-way is not sent by halves", func(t *testing.T) {
		w := serve(t, func(*http.Request) (web.Page, error) { return web.Page{Template: "broken", Body: greeting{}}, nil })
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "<") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestProblemPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		err    error
		status int
		retry  string
		says   []string
		not    string
	}{
		{"not found", problem.New(problem.NotFound, "book-not-found", "There is no such <book>."), 404, "",
			[]string{"<h1>Not found</h1>", "There is no such &lt;book&gt;.", "404 · book-not-found"}, "try again"},
		{"invalid", problem.InvalidField("query.from", "x", "is not a number"), 422, "", []string{"<code>from</code> is not a number."}, "query.from"},
		{"unavailable says when to come back, and where", &problem.Error{Kind: problem.Unavailable, Code: "behind", Message: "Not yet.", RetryAfter: 1500 * time.Millisecond}, 503, "2",
			[]string{"Wait 2 seconds", `href="/hello?x=%3C1%3E">try again</a>`}, ""},
		{"unavailable for nobody knows how long", problem.New(problem.Unavailable, "busy", "Busy."), 503, "1", []string{"Wait 1 second,"}, ""},
		{"what is not for users stays in the log", fmt.Errorf("read: %w", errors.New("pq: secret")), 500, "", []string{"<h1>Something broke</h1>"}, "secret"},
	} {
		w := serve(t, func(*http.Request) (web.Page, error) { return web.Page{}, c.err })
		body := w.Body.String()
		if w.Code != c.status || w.Header().Get("Retry-After") != c.retry || w.Header().Get("ETag") != "" {
			t.Errorf("%s: %d %v", c.name, w.Code, w.Header())
		}
		for _, part := range c.says {
			if !strings.Contains(body, part) {
				t.Errorf("%s: no %s in\n%s", c.name, part, body)
			}
		}
		if c.not != "" && strings.Contains(body, c.not) {
			t.Errorf("%s: %s in\n%s", c.name, c.not, body)
		}
	}
}

// TestWhatReadersAreNotToldIsInTheLog: in the one that the renderer was given, under the id of the request.
func TestWhatReadersAreNotToldIsInTheLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		page web.Page
		err  error
		want string
	}{
		{name: "an error", err: errors.New("pq: secret"), want: "ERROR page failed request_id=r1 path=/hello error=pq: secret\n"},
		{name: "why a form is shown again", page: web.Page{Template: "hello", Body: greeting{}, Wrong: errors.New("pq: secret")}, want: "ERROR page failed request_id=r1 path=/hello error=pq: secret\n"},
		{name: "a template that breaks", page: web.Page{Template: "nothing"}, want: `ERROR page failed request_id=r1 path=/hello error=no page "nothing"` + "\n"},
		{name: "what is behind a database that is away", err: problem.New(problem.Unavailable, "away", "Away.").Because(errors.New("pq: secret")), want: "WARN page failed request_id=r1 path=/hello error=Away.: pq: secret\n"},
		{name: "busy, and nothing behind it", err: problem.New(problem.Unavailable, "busy", "Busy.")},
		{name: "not found", err: problem.New(problem.NotFound, "gone", "Gone.").Because(errors.New("no rows"))},
		{name: "nothing", page: web.Page{Template: "hello", Body: greeting{}}},
	} {
		r, err := web.New(templates, map[string]any{"shout": strings.ToUpper})
		if err != nil {
			t.Fatal(err)
		}
		log := &lines{}
		r.Logger = slog.New(log)
		w := httptest.NewRecorder()
		w.Header().Set("X-Request-ID", "r1")
		r.Handler(func(*http.Request) (web.Page, error) { return c.page, c.err }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/hello", nil))
		if got := log.String(); got != c.want {
			t.Errorf("%s: the log says %q, want %q", c.name, got, c.want)
		}
	}
}

// TestAReaderWhoWentAwayIsNoError: what was begun for one ends somehow, and is not counted among what broke.
func TestAReaderWhoWentAwayIsNoError(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	leave()
	for name, c := range map[string]struct {
		page   web.Page
		err    error
		status int
	}{
		"a page":                {err: errors.New("interrupted"), status: 499},
		"a form":                {page: web.Page{Template: "hello", Body: greeting{}, Wrong: errors.New("interrupted")}, status: 499},
		"what is not there":     {err: problem.New(problem.NotFound, "gone", "Gone."), status: 404},
		"a page that was ready": {page: web.Page{Template: "hello", Body: greeting{}}, status: 200},
	} {
		r, err := web.New(templates, map[string]any{"shout": strings.ToUpper})
		if err != nil {
			t.Fatal(err)
		}
		log := &lines{}
		r.Logger = slog.New(log)
		w := httptest.NewRecorder()
		r.Handler(func(*http.Request) (web.Page, error) { return c.page, c.err }).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/hello", nil))
		if w.Code != c.status || log.Len() > 0 {
			t.Errorf("%s: %d, and the log says %q; want %d", name, w.Code, log, c.status)
		}
	}
}

// lines is a log as lines of text, without times.
type lines struct{ strings.Builder }

func (*lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *lines) WithGroup(string) slog.Handler          { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	fmt.Fprint(l, r.Level, " ", r.Message)
	r.Attrs(func(a slog.Attr) bool {
		_, err := fmt.Fprint(l, " ", a)
		return err == nil
	})
	_, err := fmt.Fprintln(l)
	return err
}

func TestMistakesInTemplatesAreFoundAtOnce(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`{{define "content"}}{{nothing}}{{end}}`, `{{define "content"}}`} {
		if _, err := web.New(fstest.MapFS{"bad.html": {Data: []byte(bad)}}, nil); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		web.Assets().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	for name, contentType := range map[string]string{"accession.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"} {
		w := get(web.AssetPath(name))
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	if w := get("/assets/accession.css"); w.Code != http.StatusNotFound || w.Header().Get("Cache-Control") != "" {
		t.Errorf("without its hash: %d %v", w.Code, w.Header())
	}
}

func TestLang(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"en": "en", "zh-Hant-TW": "zh-Hant-TW", "": "", "French": "", "de; en": "", `"><script>`: "", "e": ""} {
		if got := web.Lang(s); got != want {
			t.Errorf("%q: got %q", s, got)
		}
	}
}

// Text has a contrast of at least 4.5 to 1 with what it stands on, borders of controls and the focus ring of 3 to 1, in light and dark (WCAG 2.2,
// 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	t.Parallel()
	css, err := os.ReadFile("assets/accession.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`(?s):root \{.*?\}`).FindAllString(string(css), 2)
	if len(schemes) != 2 {
		t.Fatalf("found %d colour schemes", len(schemes))
	}
	for i, scheme := range []string{"light", "dark"} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6});`).FindAllStringSubmatch(schemes[i], -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, ground := range []string{"paper", "card", "wash"} {
			for what, least := range map[string]float64{"ink": 4.5, "quiet": 4.5, "red": 4.5, "edge": 3} {
				hi, lo := max(colours[what], colours[ground]), min(colours[what], colours[ground])
				if ratio := (hi + 0.05) / (lo + 0.05); ratio < least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, not %.1f", scheme, what, ground, ratio, least)
				}
			}
		}
	}
}

// luminance is the relative luminance of a colour such as 96281b (WCAG 2.2).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	channel := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}
