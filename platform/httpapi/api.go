package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"accession/platform/problem"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
)

// Prefix is before every path that is registered with [API.Huma]; links are made with it.
const Prefix = "/api/v1"

// The defaults of [Config] and [ServerConfig].
const (
	DefaultMaxBody         = 1 << 20
	DefaultBodyTimeout     = 30 * time.Second
	DefaultReadingTimeout  = time.Minute
	DefaultShutdownTimeout = 10 * time.Second
)

// unrouted is the route of requests that have none, in log and metrics.
const unrouted = "none"

// Config is what an API works with. Its zero value is ready to use.
type Config struct {
	Logger  *slog.Logger // nil: slog.Default
	MaxBody int64        // the largest body of a request, in bytes; 0: 1 MiB
	Version string       // of the product, for the OpenAPI document

	BodyTimeout    time.Duration // how long a client may take to send a body; 0: 30 s
	ReadingTimeout time.Duration // how long a client may take to read the next 64 KiB of an answer; 0: 1 min

	// Ready says what is missing before the server can be of use; nil means nothing is. The message of a *problem.Error is shown
	// at /readyz, any other error only in the log. Nil: the server is ready at once.
	Ready func(ctx context.Context) error

	Metrics http.Handler // answers GET /metrics; nil: there is none
	Meter   Meter        // nil: nothing is counted
}

// Meter is told of every answer. It is called from many goroutines and must not block.
type Meter interface {
	// Served tells of an answer: the pattern of its route ("GET /api/v1/books/{id}", or "none"), its status (499 when the client
	// went away first) and how long it took.
	Served(route string, status int, took time.Duration)
}

// API is every route of the server. Register all routes before the first request; from then on it is safe for concurrent use.
type API struct {
	config  Config
	log     *slog.Logger
	mux     *http.ServeMux
	huma    huma.API
	openapi func() ([]byte, error)
	people  func(http.ResponseWriter, *http.Request, int, *problem.Error) // nil: problem documents are for them, too
	origins http.CrossOriginProtection
	stop    sync.Once
	stopped chan struct{}
}

// New returns an API that has /livez, /readyz, /openapi.json and, if there are any, /metrics.
func New(c Config) *API {
	oursToHuma()
	c.MaxBody = cmp.Or(c.MaxBody, DefaultMaxBody)
	c.BodyTimeout = cmp.Or(c.BodyTimeout, DefaultBodyTimeout)
	c.ReadingTimeout = cmp.Or(c.ReadingTimeout, DefaultReadingTimeout)
	c.Version = cmp.Or(c.Version, "dev")
	a := &API{config: c, log: c.Logger, mux: http.NewServeMux(), stopped: make(chan struct{})}
	if a.log == nil {
		a.log = slog.Default()
	}
	conf := huma.DefaultConfig("Accession", c.Version)
	conf.Info.Description = description
	conf.OpenAPIPath, conf.DocsPath, conf.SchemasPath = "", "", "" // one document, served below
	conf.CreateHooks = nil                                         // no $schema in bodies
	root := &routes{API: huma.NewAPI(conf, humago.NewAdapter(a.mux, "")), api: a}
	root.UseMiddleware(root.prepare)
	a.huma = &routes{API: root.API, api: a, prefix: Prefix}

	a.openapi = sync.OnceValues(func() ([]byte, error) { return json.Marshal(root.OpenAPI()) })
	a.Handle("GET /openapi.json", http.HandlerFunc(a.serveOpenAPI))
	if c.Metrics != nil {
		a.Handle("GET /metrics", c.Metrics)
	}
	huma.Register(root, huma.Operation{
		OperationID: "livez", Method: http.MethodGet, Path: "/livez", Summary: "Whether the process is alive", Tags: []string{"Operations"},
	}, func(context.Context, *struct{}) (*healthy, error) {
		return &healthy{Health{Status: "ok"}}, nil
	})
	huma.Register(root, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Summary: "Whether the server can be of use, and if not what is missing",
		Tags: []string{"Operations"}, Errors: []int{http.StatusServiceUnavailable},
	}, func(ctx context.Context, _ *struct{}) (*healthy, error) {
		if err := a.ready(ctx); err != nil {
			return nil, err
		}
		return &healthy{Health{Status: "ok"}}, nil
	})
	return a
}

const description = `Errors are problem documents (RFC 9457). Their "type" is always about:blank; what happened is told apart by "code".
Every answer carries X-Request-ID: the one that was sent, or one that was drawn. It is in the server's log and in the problem document.
Bodies are JSON in UTF-8. A field or a query parameter that is not documented here is refused, and so is one that is there twice.`

// Health is the answer of /livez and /readyz when there is nothing to say.
type Health struct {
	Status string `json:"status" example:"ok"`
}

type healthy struct{ Body Health }

// Huma is what modules register the routes of the API with: paths are under [Prefix].
func (a *API) Huma() huma.API { return a.huma }

// Page registers a page: the handler of a pattern as in net/http ("GET /books/{id}"). Bodies are limited as those of the API are.
func (a *API) Page(pattern string, h http.Handler) {
	a.mux.Handle(pattern, http.MaxBytesHandler(h, a.config.MaxBody))
}

// People sets who tells people, on a page, why there is none: nothing is at the path, it takes no such method, the request was
// refused before a page saw it, or the page broke. status is the answer's; e has the code and a sentence. Machines get a problem
// document as ever: whoever asks for something under /api or /assets, or for what operators ask. Without People everybody does.
func (a *API) People(answer func(w http.ResponseWriter, r *http.Request, status int, e *problem.Error)) {
	a.people = answer
}

// Logger is what the server's log is written with, for those who answer in their own way.
func (a *API) Logger() *slog.Logger { return a.log }

// forPeople reports whether it is people who ask for a path.
func forPeople(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "api", "assets", "livez", "readyz", "metrics", "openapi.json":
		return false
	}
	return true
}

// Handle registers a handler that limits the body itself, if it reads one: assets, uploads, streams. One that takes large bodies
// gives them more time with http.ResponseController.SetReadDeadline.
func (a *API) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// Stop says that the server is about to stop: /readyz answers 503 from now on, and [API.Stopping] is closed. It may be called
// more than once.
func (a *API) Stop() { a.stop.Do(func() { close(a.stopped) }) }

// Stopping is closed when the server is about to stop. A handler that streams without end returns then; otherwise the stop waits
// for it until the shutdown time-out.
func (a *API) Stopping() <-chan struct{} { return a.stopped }

// errStopping is what /readyz says while the server finishes what it accepted.
var errStopping = problem.New(problem.Unavailable, "stopping", "The server is stopping.")

func (a *API) ready(ctx context.Context) error {
	select {
	case <-a.stopped:
		return errStopping
	default:
	}
	if a.config.Ready == nil {
		return nil
	}
	err := a.config.Ready(ctx)
	var e *problem.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		c := *e
		c.Kind = problem.Unavailable // whatever it is elsewhere, here it is a reason not to be ready
		return &c
	}
	return problem.New(problem.Unavailable, "not-ready", "The server is not ready yet. Its log says what is missing.").Because(err)
}

func (a *API) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	doc, err := a.openapi()
	if err != nil {
		a.Error(w, r, fmt.Errorf("encode OpenAPI document: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(doc) //nolint:errcheck // the client went away
}

// request is what is known of a request everywhere behind ServeHTTP.
type request struct {
	id      string
	method  string
	url     *url.URL
	ifMatch string
	body    []byte // once it was read, on routes of the API
}

type requestKey struct{}

func requestOf(ctx context.Context) request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return *r
	}
	return request{}
}

// RequestID is the id of the request that ctx belongs to, or "" when it belongs to none.
func RequestID(ctx context.Context) string { return requestOf(ctx).id }

// requestID takes over the id that the client or a proxy gave, if it is fit to be written to a log.
func requestID(h http.Header) string {
	id := h.Get("X-Request-ID")
	if len(id) < 1 || len(id) > 128 {
		return uuid.NewString()
	}
	for _, c := range []byte(id) {
		if c < ' ' || c > '~' {
			return uuid.NewString()
		}
	}
	return id
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	req := &request{id: requestID(r.Header), method: r.Method, url: r.URL, ifMatch: strings.Join(r.Header.Values("If-Match"), ", ")}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, req))
	rec := newRecorder(w, a.config.ReadingTimeout)
	h := rec.Header()
	h.Set("X-Request-ID", req.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")

	if r.Body != nil && r.Body != http.NoBody {
		r.Body = hurry(rec, r.Body, a.config.BodyTimeout)
	}
	handler, route := a.mux.Handler(r)
	defer func() {
		p := recover()
		if p != nil {
			a.panicked(rec, r, p)
		}
		a.served(r, cmp.Or(route, unrouted), rec, time.Since(began))
		if rec.broken {
			panic(http.ErrAbortHandler) // the client must not take what it has for a whole answer
		}
	}()
	switch err := a.origins.Check(r); {
	case err != nil:
		a.refuse(rec, r, &Problem{Status: http.StatusForbidden, Code: "cross-origin", Detail: "A page of another site may not write here.", cause: err})
	case route == "":
		a.noRoute(rec, r, handler)
	default:
		a.mux.ServeHTTP(rec, r)
	}
}

// noRoute answers as the mux would, but with a problem. fallback is the mux's own answer, in plain text.
func (a *API) noRoute(w http.ResponseWriter, r *http.Request, fallback http.Handler) {
	said := &recorder{ResponseWriter: discard{}}
	fallback.ServeHTTP(said, r)
	if said.Status() == http.StatusMethodNotAllowed {
		allow := said.Header().Get("Allow")
		w.Header().Set("Allow", allow)
		a.refuse(w, r, newProblem(http.StatusMethodNotAllowed, fmt.Sprintf("%s takes no %s, only %s.", r.URL.Path, r.Method, allow)))
		return
	}
	a.refuse(w, r, newProblem(http.StatusNotFound, fmt.Sprintf("There is nothing at %s.", r.URL.Path)))
}

// refuse answers a request that no handler answers: people with a page, machines with a problem document.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	if !a.tellPeople(w, r, p) {
		a.Error(w, r, p)
	}
}

// tellPeople answers with a page, if it is people who ask and there is one for them.
func (a *API) tellPeople(w http.ResponseWriter, r *http.Request, p *Problem) bool {
	if a.people == nil || !forPeople(r.URL.Path) {
		return false
	}
	e := &problem.Error{Kind: problem.Malformed, Code: p.Code, Message: p.Detail}
	switch p.Status {
	case http.StatusNotFound:
		e.Kind = problem.NotFound
	case http.StatusInternalServerError:
		e.Kind = problem.Internal
	}
	for _, name := range forAnother {
		w.Header().Del(name)
	}
	a.people(w, r, p.Status, e)
	return true
}

// panicked answers for a handler that panicked, as far as nothing was answered yet.
func (a *API) panicked(rec *recorder, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) { // how a handler gives up on purpose
		rec.broken = true
		return
	}
	a.log.ErrorContext(r.Context(), "handler panicked", "request_id", RequestID(r.Context()), "method", r.Method, "path", r.URL.Path,
		"panic", p, "stack", string(debug.Stack()))
	if rec.Status() != 0 {
		rec.broken = true
		return
	}
	if broke := problemOf(fmt.Errorf("panic: %v", p)); !a.tellPeople(rec, r, broke) {
		a.answer(r.Context(), rec, broke)
	}
}

// served tells log and metrics of an answer.
func (a *API) served(r *http.Request, route string, rec *recorder, took time.Duration) {
	status := cmp.Or(rec.Status(), http.StatusOK)
	level := slog.LevelInfo
	switch route {
	case "GET /livez", "GET /readyz", "GET /metrics":
		level = slog.LevelDebug // asked every few seconds, by machines
	}
	if status == statusClientGone {
		level = slog.LevelDebug
	}
	a.log.LogAttrs(r.Context(), level, "request",
		slog.String("request_id", RequestID(r.Context())), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("route", route), slog.Int("status", status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took))
	if a.config.Meter != nil {
		a.config.Meter.Served(route, status, took)
	}
}
