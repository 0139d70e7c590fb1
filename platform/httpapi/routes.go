package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"accession/platform/problem"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// routes is huma as modules see it: with the prefix, with an OpenAPI document that says what this package answers with, and with
// stricter ideas of JSON. huma calls the methods that it overrides.
type routes struct {
	huma.API
	api    *API
	prefix string
}

// oursToHuma makes huma's own errors ours. These are globals of huma, so they are set once, before the first route can be asked
// for, and what they are set to has no state: any number of APIs can be in one process.
var oursToHuma = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError { return humaProblem(status, msg, errs...) }
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return orGone(ctx.Context(), humaProblem(status, msg, errs...))
	}
	huma.ValidateStrictCasing = true // else {"Name": …} would pass for {"name": …}, and both together too
})

// alsoKey is where an operation's Metadata holds what Also says.
const alsoKey = "accession.also"

// Also is the Metadata of an operation that answers with more statuses than its DefaultStatus, in the same form: a creation with
// 201, but 202 while a number is missing, and 200 when it was done before.
func Also(statuses ...int) map[string]any { return map[string]any{alsoKey: statuses} }

// Errors are the statuses of errors, for the Errors of an operation, so that it is declared by the errors it returns.
func Errors(errs ...*problem.Error) []int {
	var statuses []int
	for _, e := range errs {
		statuses = append(statuses, e.Kind.Status())
	}
	slices.Sort(statuses)
	return slices.Compact(statuses)
}

// DocumentOperation completes an operation: huma calls it in Register, after it has looked at the types and before it makes the
// handler, which sees the changes.
func (t *routes) DocumentOperation(op *huma.Operation) {
	op.Path = t.prefix + op.Path
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1 // prepare sees to both

	declared := append(slices.Clone(op.Errors), http.StatusInternalServerError)
	if t.prefix != "" {
		op.RejectUnknownQueryParameters = true
		declared = append(declared, http.StatusUnprocessableEntity)
	}
	switch op.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	case http.MethodPost:
		declared = append(declared, http.StatusForbidden, http.StatusConflict) // see Repeatable
	default:
		declared = append(declared, http.StatusForbidden) // from a page of another site
	}
	if op.RequestBody != nil {
		declared = append(declared, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		if body := op.RequestBody.Content[typeJSON]; body != nil && op.Method == http.MethodPatch {
			op.RequestBody.Content[typeMergePatch] = body
		}
	}
	delete(op.Responses, "default")
	for _, status := range declared {
		op.Responses[strconv.Itoa(status)] = t.errorResponse(status)
	}
	if also, ok := op.Metadata[alsoKey].([]int); ok {
		for _, status := range also {
			r := *op.Responses[strconv.Itoa(op.DefaultStatus)]
			r.Description = http.StatusText(status)
			r.Headers = maps.Clone(r.Headers)
			op.Responses[strconv.Itoa(status)] = &r
		}
	}
	if !op.Hidden {
		t.OpenAPI().AddOperation(op)
	}
}

func (t *routes) errorResponse(status int) *huma.Response {
	r := &huma.Response{
		Description: http.StatusText(status),
		Content: map[string]*huma.MediaType{typeProblem: {
			Schema: huma.SchemaFromField(t.OpenAPI().Components.Schemas, problemField, ""),
		}},
	}
	if status == http.StatusServiceUnavailable || status == http.StatusConflict {
		r.Headers = map[string]*huma.Param{"Retry-After": {
			Description: "Seconds to wait before asking again; missing when nobody knows.",
			Schema:      &huma.Schema{Type: huma.TypeInteger},
		}}
	}
	return r
}

// prepare is the first thing that happens on a route: what huma would do too late, or not at all.
func (t *routes) prepare(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	w.Header().Set("Cache-Control", "no-cache")
	op := ctx.Operation()
	var err error
	if op.RejectUnknownQueryParameters {
		err = checkQuery(r.URL.RawQuery)
	}
	if err == nil && op.RequestBody != nil {
		err = t.readBody(w, r, op.RequestBody)
	}
	if err != nil {
		t.api.Error(w, r, err)
		return
	}
	next(ctx)
}

// checkQuery refuses what huma would read as absent, what no database can hold, and a parameter that is there twice, of which
// huma would take one and drop the other.
func checkQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return problem.InvalidField("query", nil, "cannot be read: %v", err)
	}
	var wrong problem.Fields
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if len(query[name]) > 1 {
			wrong.Add("query."+strings.ToValidUTF8(name, "\uFFFD"), "is there more than once")
			continue
		}
		for _, v := range append(query[name], name) {
			if !utf8.ValidString(v) || strings.Contains(v, "\x00") {
				wrong.Add("query."+strings.ToValidUTF8(name, "\uFFFD"), "is not text in UTF-8")
				break
			}
		}
	}
	return wrong.Err()
}

// readBody puts the whole body into memory, so that huma reads it from there. A body without a type is taken for JSON.
func (t *routes) readBody(w http.ResponseWriter, r *http.Request, declared *huma.RequestBody) error {
	if ct := strings.Join(r.Header.Values("Content-Type"), ", "); ct != "" && !accepts(declared.Content, ct) {
		types := strings.Join(slices.Sorted(maps.Keys(declared.Content)), " or ")
		return newProblem(http.StatusUnsupportedMediaType, fmt.Sprintf("The body must be %s, in UTF-8, not %s.", types, ct))
	}
	if limit := t.api.config.MaxBody; r.ContentLength > limit {
		return &http.MaxBytesError{Limit: limit} // without asking for it
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, t.api.config.MaxBody))
	r.Body = io.NopCloser(bytes.NewReader(body))
	if req, ok := r.Context().Value(requestKey{}).(*request); ok {
		req.body = body
	}

	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return tooLarge
	case errors.As(err, &network) && network.Timeout():
		return newProblem(http.StatusRequestTimeout, fmt.Sprintf("The body did not arrive within %v.", t.api.config.BodyTimeout))
	case err != nil:
		return problem.New(problem.Malformed, "", "The body ended before it was complete.").Because(err)
	case declared.Required && len(bytes.TrimSpace(body)) == 0:
		return problem.New(problem.Malformed, "", "The request needs a body of %s.", typeJSON)
	}
	return nil
}

// accepts reports whether a body of the content type can be read as one of the declared ones: all of them are JSON, which is in
// UTF-8 or not JSON (RFC 8259, section 8.1).
func accepts(declared map[string]*huma.MediaType, contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if charset, said := params["charset"]; err != nil || said && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	_, ok := declared[media]
	return ok
}

// Negotiate is always JSON, whatever the client accepts: there is nothing else. (huma's own reading of Accept can panic.)
func (t *routes) Negotiate(string) (string, error) { return typeJSON, nil }

// outOfBounds ends the message about a number that its field cannot hold. huma gives it the body as its location, and field moves
// it to where it belongs.
const outOfBounds = " is not a whole number that fits here"

// Unmarshal reads the body. huma calls it twice: to check it against the schema, and to fill in the handler's input.
func (t *routes) Unmarshal(_ string, data []byte, v any) error {
	if parsed, ok := v.(*any); ok {
		return parseJSON(data, parsed)
	}
	err := json.Unmarshal(data, v)
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok { // the schema let it pass: a number over the bounds of its type
		var path strings.Builder
		for name := range strings.SplitSeq(mismatch.Field, ".") {
			if name != "" && !unicode.IsUpper([]rune(name)[0]) { // upper case are embedded types, which clients do not know
				path.WriteString("." + name)
			}
		}
		return fmt.Errorf("%s: %s%s", path.String(), mismatch.Value, outOfBounds)
	}
	return err
}

// encoded is an answer that only has to be written.
type encoded []byte

// Transform completes and encodes an answer before its status is written, so that one that cannot be encoded is still a 500.
func (t *routes) Transform(ctx huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*Problem); ok {
		v = t.api.complete(ctx.Context(), p, ctx.SetHeader)
	}
	b, err := encodeJSON(v)
	if err != nil {
		panic(fmt.Errorf("encode answer: %w", err)) // ServeHTTP answers
	}
	return encoded(b), nil
}

// Marshal writes what Transform encoded. That the client went away is no error of ours.
func (t *routes) Marshal(w io.Writer, _ string, v any) error {
	w.Write(v.(encoded)) //nolint:errcheck // see above
	return nil
}
