package httpapi_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"accession/platform/httpapi"
	"accession/platform/usecase"

	"github.com/danielgtaylor/huma/v2"
)

func FuzzIdempotencyKey(f *testing.F) {
	for _, s := range []string{"", "k", `"quoted"`, strings.Repeat("k", 200), strings.Repeat("k", 201), "a\tb", "é", "\xff", "\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var r httpapi.Repeatable
		err := r.IdempotencyKey.UnmarshalText([]byte(s))
		got := r.Token(t.Context()).Key
		switch {
		case err != nil && got != "":
			t.Errorf("%q was refused and is still the key", s)
		case err == nil && got != s:
			t.Errorf("%q became %q", s, got)
		case len(got) > 200 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }):
			t.Errorf("%q passes as a key", got)
		}
	})
}

func TestTwoRequestsAreTheSameWhenWhatTheyAskForIs(t *testing.T) {
	t.Parallel()
	var token usecase.Token
	api := httpapi.New(httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	type input struct {
		httpapi.Repeatable
		ID   string `path:"id"`
		Body map[string]any
	}
	for _, operation := range []huma.Operation{{Method: http.MethodPost, Path: "/things/{id}"}, {Method: http.MethodPut, Path: "/things/{id}"}} {
		huma.Register(api.Huma(), operation, func(ctx context.Context, in *input) (*struct{}, error) {
			token = in.Token(ctx)
			return nil, nil
		})
	}
	ask := func(method, path, body string, headers ...string) usecase.Token {
		token = usecase.Token{}
		r := httptest.NewRequestWithContext(t.Context(), method, httpapi.Prefix+path, strings.NewReader(body))
		for _, h := range append(headers, "Idempotency-Key: k") {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		w := httptest.NewRecorder()
		if api.ServeHTTP(w, r); w.Code >= 300 || token.Key != "k" {
			t.Fatalf("%s %s: %d, key %q: %s", method, path, w.Code, token.Key, w.Body)
		}
		return token
	}
	first := ask("POST", "/things/1", `{"a": 1, "b": {"c": null}}`)
	for name, same := range map[string]usecase.Token{
		"written otherwise":      ask("POST", "/things/1", "{\"b\":{},\n \"a\":1}"),
		"with other headers":     ask("POST", "/things/1", `{"a": 1, "b": {}}`, "X-Actor: ada", "Prefer: wait=1", "X-Request-ID: 7"),
		"with an empty If-Match": ask("POST", "/things/1", `{"a": 1, "b": {}}`, "If-Match: "),
	} {
		if !bytes.Equal(first.Fingerprint, same.Fingerprint) {
			t.Errorf("%s it is another request", name)
		}
	}
	for name, other := range map[string]usecase.Token{
		"with another body":     ask("POST", "/things/1", `{"a": 2, "b": {}}`),
		"at another path":       ask("POST", "/things/2", `{"a": 1, "b": {}}`),
		"with another method":   ask("PUT", "/things/1", `{"a": 1, "b": {}}`),
		"with another If-Match": ask("POST", "/things/1", `{"a": 1, "b": {}}`, `If-Match: "1"`),
		"with an If-Match more": ask("POST", "/things/1", `{"a": 1, "b": {}}`, "If-Match: ", `If-Match: "1"`),
	} {
		if bytes.Equal(first.Fingerprint, other.Fingerprint) {
			t.Errorf("%s it is the same request", name)
		}
	}
	if none := (httpapi.Repeatable{}).Token(t.Context()); none.Key != "" || none.Fingerprint != nil {
		t.Errorf("without a key: %v", none)
	}
}

func TestAHeaderWithoutOneKeyIsRefused(t *testing.T) {
	t.Parallel()
	api := httpapi.New(httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	asked := 0
	huma.Register(api.Huma(), huma.Operation{Method: http.MethodPost, Path: "/things"}, func(context.Context, *struct {
		httpapi.Repeatable
		Body map[string]any
	}) (*struct{}, error) {
		asked++
		return nil, nil
	})
	for name, c := range map[string]struct {
		keys []string
		says string // "" when it is not refused
	}{
		"no header":             {nil, ""},
		"one key":               {[]string{"k"}, ""},
		"an empty one":          {[]string{""}, "must not be empty"},
		"two":                   {[]string{"k", "l"}, "must be there once"},
		"the same twice":        {[]string{"k", "k"}, "must be there once"},
		"an empty one before":   {[]string{"", "k"}, "must be there once"},
		"one that is too long":  {[]string{strings.Repeat("k", 201)}, "must be 200 characters or fewer"},
		"one that is not ASCII": {[]string{"é"}, "must be printable ASCII"},
	} {
		before := asked
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, httpapi.Prefix+"/things", strings.NewReader("{}"))
		for _, k := range c.keys {
			r.Header.Add("Idempotency-Key", k)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		refused := w.Code == http.StatusUnprocessableEntity && strings.Contains(w.Body.String(), `"location":"header.Idempotency-Key","message":"`+c.says)
		if (c.says != "") != refused || (asked > before) == refused || refused && strings.Count(w.Body.String(), `"location"`) != 1 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
