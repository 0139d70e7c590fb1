package httpapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"accession/platform/problem"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

// statusClientGone is what log and metrics say of a request whose client did not wait for the answer. Nobody receives it.
const statusClientGone = 499

// Problem is the document that every error is answered with, as application/problem+json (RFC 9457). It is an error itself, for
// the few statuses that no [problem.Kind] has; modules return *problem.Error.
//
// Its type is always about:blank, and the title therefore the status in words: a type of our own would have to be an address at
// which something can be read for as long as clients know it. What happened is told apart by the member "code".
type Problem struct {
	Type   string `json:"type" enum:"about:blank" doc:"Always about:blank: what happened is told apart by code."`
	Title  string `json:"title" example:"Conflict" doc:"The status in words."`
	Status int    `json:"status" example:"409"`
	Detail string `json:"detail" doc:"One sentence for people: what is wrong, and what to do."`
	Code   string `json:"code" example:"book-number-not-unique" doc:"What happened, for programs. It never changes its meaning."`

	Errors []problem.Field `json:"errors,omitempty" nullable:"false" doc:"What is wrong, place by place: the first hundred. The location begins with path, query, header or body."`

	Constraint string `json:"constraint,omitempty" example:"book-number" doc:"The constraint that was not met."`
	Scope      string `json:"scope,omitempty" doc:"Where it was not met: the tag of the smallest set of events that the constraint looks at."`
	Mode       string `json:"mode,omitempty" example:"retry" doc:"How the constraint was kept at that moment."`
	Attempts   int    `json:"attempts,omitempty" doc:"How often the request was decided in all."`
	Retryable  *bool  `json:"retryable,omitempty" doc:"Whether the same request may succeed at another time. Missing when the problem says nothing about it."`

	RequestID string `json:"request_id,omitempty" doc:"The id under which the server's log has this request."`

	retryAfter time.Duration
	cause      error
}

// problemField stands for a field of the type Problem where huma makes schemas.
var problemField = reflect.StructField{Name: "Problem", Type: reflect.TypeFor[Problem]()}

// Error is the detail, with the cause behind it.
func (p *Problem) Error() string {
	if p.cause == nil {
		return p.Detail
	}
	return p.Detail + ": " + p.cause.Error()
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus is for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is for huma.
func (p *Problem) ContentType(string) string { return typeProblem }

// newProblem is a problem that has only a status. Its code is the kind's that has the status, or else the status in words.
func newProblem(status int, detail string) *Problem {
	code := strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "-")
	for _, k := range []problem.Kind{problem.Internal, problem.Malformed, problem.Invalid, problem.TooLarge, problem.Stale, problem.Unavailable} {
		if k.Status() == status {
			code = k.String()
		}
	}
	return &Problem{Status: status, Code: code, Detail: detail}
}

// problemOf is the document for err. Of an error that is neither a Problem nor a *problem.Error it tells nothing.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	e := problem.Of(err)
	var body *http.MaxBytesError
	if e.Kind == problem.Internal && errors.As(err, &body) {
		e = problem.New(problem.TooLarge, "", "The body is larger than %d bytes.", body.Limit)
	}
	p = &Problem{
		Status: e.Kind.Status(), Code: e.CodeOrKind(), Detail: e.Message, Errors: e.Fields,
		Constraint: e.Constraint, Scope: e.Scope, Mode: e.Mode, Attempts: e.Attempts,
		retryAfter: e.RetryAfter, cause: e.Cause,
	}
	if e.Constraint != "" || e.Retryable {
		p.Retryable = &e.Retryable
	}
	return p
}

// orGone is p, unless the client went away and p is most likely what came of that: databases have words of their own for a
// statement that was cancelled.
func orGone(ctx context.Context, p *Problem) *Problem {
	if ctx.Err() == nil || !errors.Is(p, context.Canceled) && p.Status != http.StatusInternalServerError {
		return p
	}
	return &Problem{Status: statusClientGone, Code: "client-gone", Detail: "The client did not wait for the answer.", cause: p.cause}
}

// humaProblem is what huma's errors become. huma calls it with what a handler returned (status 500 and the error), and with what
// it found wrong itself.
func humaProblem(status int, msg string, errs ...error) *Problem {
	if status == http.StatusInternalServerError && len(errs) > 0 {
		return problemOf(errs[0])
	}
	var fields problem.Fields
	for _, err := range errs {
		var e *problem.Error
		var d huma.ErrorDetailer
		switch {
		case errors.As(err, &e) && e.Kind == problem.Invalid:
			fields = append(fields, e.Fields...)
		case errors.As(err, &e):
			return problemOf(e)
		case errors.As(err, &d):
			fields = append(fields, field(d.ErrorDetail()))
		case err != nil:
			fields.Add("request", "%s", err)
		}
	}
	p := newProblem(status, msg)
	if len(fields) > 0 {
		// huma goes through maps: without this the order would change from request to request.
		slices.SortStableFunc(fields, func(a, b problem.Field) int { return cmp.Compare(a.Location, b.Location) })
		p.Detail, p.Errors = problemOf(fields.Err()).Detail, fields
	}
	return p
}

// field is huma's view of a wrong field in our words.
func field(d *huma.ErrorDetail) problem.Field {
	f := problem.Field{Location: d.Location, Message: strings.TrimPrefix(d.Message, "invalid value: ")}
	if path, message, ok := strings.Cut(f.Message, ": "); ok && strings.HasSuffix(message, outOfBounds) {
		f.Location, f.Message = "body"+path, message
		return f
	}
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	if name, ok := strings.CutPrefix(f.Message, before); ok { // huma says it of the object; clients ask which field
		if name, ok := strings.CutSuffix(name, after); ok {
			f.Location, f.Message = f.Location+"."+name, "is required"
			return f
		}
	}
	if f.Message == validation.MsgUnexpectedProperty {
		f.Message = "there is no such field"
		return f
	}
	if f.Location == "body" { // huma repeats all of it
		return f
	}
	switch v := d.Value.(type) {
	case string:
		if v != "" && utf8.RuneCountInString(v) <= 100 {
			f.Value = v
		}
	case bool, float64, int64:
		f.Value = v
	}
	return f
}

// Error answers with an error, as the API would: for pages and streams, whose handlers are not huma's.
func (a *API) Error(w http.ResponseWriter, r *http.Request, err error) {
	a.answer(r.Context(), w, orGone(r.Context(), problemOf(err)))
}

// forAnother are the headers that say something of the body: what was set before an error was meant for another answer.
var forAnother = []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified", "Location"}

func (a *API) answer(ctx context.Context, w http.ResponseWriter, p *Problem) {
	h := w.Header()
	for _, name := range forAnother {
		h.Del(name)
	}
	body, err := encodeJSON(a.complete(ctx, p, h.Set))
	if err != nil { // a value that cannot be encoded
		p = &Problem{Status: p.Status, Code: p.Code, Detail: p.Detail}
		body, _ = encodeJSON(a.complete(ctx, p, h.Set))
	}
	h.Set("Content-Type", typeProblem)
	w.WriteHeader(p.Status)
	w.Write(body) //nolint:errcheck // the client went away
}

// mostErrors is how many wrong places a problem document lists: a body of a MiB can have half a million. Its detail counts them all.
const mostErrors = 100

// complete is a copy of p with what belongs to the request rather than to the problem; it tells the log what the client is not
// told, once.
func (a *API) complete(ctx context.Context, p *Problem, header func(name, value string)) *Problem {
	c := *p
	c.Errors = c.Errors[:min(len(c.Errors), mostErrors)]
	c.Type, c.Title, c.RequestID = "about:blank", cmp.Or(http.StatusText(c.Status), "Client Closed Request"), RequestID(ctx)
	header("Cache-Control", "no-store")
	if c.retryAfter > 0 {
		seconds := (c.retryAfter + time.Second - 1) / time.Second
		header("Retry-After", strconv.Itoa(int(seconds)))
	}
	level := slog.LevelDebug
	switch {
	case c.Status == http.StatusInternalServerError:
		level = slog.LevelError
	case c.Status == http.StatusServiceUnavailable && c.cause != nil:
		level = slog.LevelWarn
	}
	a.log.LogAttrs(ctx, level, "request failed", slog.String("request_id", c.RequestID), slog.Int("status", c.Status),
		slog.String("code", c.Code), slog.String("error", c.Error()))
	return &c
}
