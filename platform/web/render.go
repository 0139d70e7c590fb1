package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"strconv"
	"strings"

	"accession/platform/problem"
)

// ContentSecurityPolicy is what a page may do: show itself with our own style sheet and icon, and send its form to us. It runs
// no script, ours or anybody's, and is shown in nobody's frame.
const ContentSecurityPolicy = "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

//go:embed templates/*.html
var ownTemplates embed.FS

// Renderer writes pages. It is safe for concurrent use, once its Logger is set.
type Renderer struct {
	Logger *slog.Logger // is told what readers are not; nil: slog.Default

	pages map[string]*template.Template
}

// New takes the directory of a module's templates: every "name.html" is a page that defines "content", and what a file beginning
// with "_" defines is shared by all of them. Templates are called with the [Page] that is rendered; besides the functions
// of package html/template they have those of [Funcs] and funcs. The error is a mistake in a template.
func New(templates fs.FS, funcs template.FuncMap) (*Renderer, error) {
	layout, err := template.New("layout").Funcs(Funcs).Funcs(funcs).ParseFS(ownTemplates, "templates/layout.html", "templates/_form.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	r := &Renderer{pages: map[string]*template.Template{}}
	if err := r.add(layout, ownTemplates, "templates/problem.html"); err != nil {
		return nil, err
	}
	if shared, _ := fs.Glob(templates, "_*.html"); len(shared) > 0 { // Glob fails on bad patterns only
		if layout, err = layout.ParseFS(templates, shared...); err != nil {
			return nil, fmt.Errorf("parse shared templates: %w", err)
		}
	}
	names, _ := fs.Glob(templates, "[^_]*.html")
	for _, name := range names {
		if err := r.add(layout, templates, name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Renderer) add(layout *template.Template, files fs.FS, name string) error {
	t, err := layout.Clone()
	if err == nil {
		t, err = t.ParseFS(files, name)
	}
	if err != nil {
		return fmt.Errorf("parse page %s: %w", name, err)
	}
	r.pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	return nil
}

// Handler answers with the page that f makes, or with the page that says why there is none.
func (r *Renderer) Handler(f func(*http.Request) (Page, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		p, err := f(req)
		if err != nil {
			r.Problem(w, req, err)
			return
		}
		maps.Copy(w.Header(), p.Header)
		if p.Goto != "" {
			http.Redirect(w, req, p.Goto, http.StatusSeeOther)
			return
		}
		status := http.StatusOK
		if p.Wrong != nil {
			status = statusOf(req, r.note(w, req, p.Wrong))
		}
		r.write(w, req, status, p)
	})
}

// Problem answers with a page that says what went wrong, with the status of its kind. What is not for users goes to the
// log and not on the page.
func (r *Renderer) Problem(w http.ResponseWriter, req *http.Request, err error) {
	e := r.note(w, req, err)
	r.Refuse(w, req, statusOf(req, e), e)
}

// clientGone is what log and metrics say of a request whose reader did not wait. Nobody receives it.
const clientGone = 499

// statusOf is the status of an error. One that most likely came of the reader's going away is none of ours.
func statusOf(req *http.Request, e *problem.Error) int {
	if e.Kind == problem.Internal && req.Context().Err() != nil {
		return clientGone
	}
	return e.Kind.Status()
}

// Refuse answers with the same page, and any status: for requests that are refused before a page sees them. All of e is shown.
func (r *Renderer) Refuse(w http.ResponseWriter, req *http.Request, status int, e *problem.Error) {
	body := problemBody{Error: e, Status: status, Heading: headings[status], Seconds: seconds(e)}
	if body.Heading == "" {
		body.Heading = http.StatusText(status)
	}
	if e.Kind == problem.Unavailable && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
		body.Again = req.URL.RequestURI()
	}
	r.write(w, req, status, Page{Template: "problem", Title: body.Heading, Trail: []Crumb{{Name: body.Heading}}, Body: body})
}

// note gives the part of err that a reader may see. It logs the rest, and sets when to try again.
func (r *Renderer) note(w http.ResponseWriter, req *http.Request, err error) *problem.Error {
	e := problem.Of(err)
	switch {
	case req.Context().Err() != nil: // the reader has gone, and so nothing was finished
	case e.Kind == problem.Internal:
		r.log(w, req, slog.LevelError, err)
	case e.Kind == problem.Unavailable && e.Cause != nil:
		r.log(w, req, slog.LevelWarn, err)
	}
	if e.Kind == problem.Unavailable {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(e)))
	}
	return e
}

// log tells the log of a page that there is none, under the id of the request, which is in the answer.
func (r *Renderer) log(w http.ResponseWriter, req *http.Request, level slog.Level, err error) {
	cmp.Or(r.Logger, slog.Default()).LogAttrs(req.Context(), level, "page failed", slog.String("request_id", w.Header().Get("X-Request-ID")),
		slog.String("path", req.URL.Path), slog.Any("error", err))
}

// seconds is how long to wait before asking again, at least one where that may help.
func seconds(e *problem.Error) int {
	s := int(e.RetryAfter.Seconds() + 0.999)
	if e.Kind == problem.Unavailable {
		s = max(s, 1)
	}
	return s
}

// problemBody is what templates/problem.html shows.
type problemBody struct {
	*problem.Error
	Status  int
	Heading string
	Again   string // where to try again; "" when that does not help
	Seconds int    // when to
}

// headings say in a word or two what a status means to a reader.
var headings = map[int]string{
	http.StatusForbidden:           "Not from there",
	http.StatusNotFound:            "Not found",
	http.StatusMethodNotAllowed:    "Only to be read",
	http.StatusUnprocessableEntity: "That cannot be read",
	http.StatusServiceUnavailable:  "Not just now",
	http.StatusInternalServerError: "Something broke",
}

// write renders the whole page before it sends any of it, so that a page is never half there. What is no UTF-8, because it was
// typed or asked for so, is shown as U+FFFD: a page says that it is UTF-8.
func (r *Renderer) write(w http.ResponseWriter, req *http.Request, status int, p Page) {
	h := w.Header()
	h.Set("Content-Security-Policy", ContentSecurityPolicy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // keep it, but ask every time whether it has changed

	var rendered bytes.Buffer
	t, ok := r.pages[p.Template]
	err := fmt.Errorf("no page %q", p.Template)
	if ok {
		err = t.ExecuteTemplate(&rendered, "layout.html", p)
	}
	if err != nil {
		r.log(w, req, slog.LevelError, err)
		http.Error(w, "This page is broken. The log of the server says more.", http.StatusInternalServerError)
		return
	}
	page := bytes.ToValidUTF8(rendered.Bytes(), []byte("\uFFFD"))
	if status == http.StatusOK {
		sum := sha256.Sum256(page)
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		h.Set("ETag", tag)
		if strings.Contains(req.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	_, _ = w.Write(page) // a reader that has gone misses nothing
}
