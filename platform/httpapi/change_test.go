package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"accession/platform/httpapi"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

func TestIfMatchIsAVersionOrNothing(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int{
		"": 0, "*": 0, ` * `: 0, `"1"`: 1, ` "42" `: 42, httpapi.ETag(7): 7,
		"1": -1, `"0"`: -1, `"-1"`: -1, `"01"`: -1, `"+1"`: -1, `W/"1"`: -1, `"1", "2"`: -1, `"1", "1"`: -1, `*, "1"`: -1, ", ": -1, `""1""`: -1, `"1`: -1, `""`: -1, `"*"`: -1, "x": -1,
		`"99999999999999999999"`: -1,
	} {
		if got := (httpapi.Precondition{IfMatch: httpapi.IfMatch(header)}).Seen(); got != want {
			t.Errorf("If-Match: %s is version %d, want %d", header, got, want)
		}
	}
}

func FuzzIfMatch(f *testing.F) {
	for _, s := range []string{"", "*", `"1"`, `W/"1"`, `"01"`, `"1", "2"`, `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n := (httpapi.Precondition{IfMatch: httpapi.IfMatch(s)}).Seen(); n > 0 && strings.TrimSpace(s) != httpapi.ETag(n) {
			t.Errorf("%q is version %d, whose ETag it is not", s, n)
		}
	})
}

func TestAnIfMatchWithoutAnETagIsRefused(t *testing.T) {
	t.Parallel()
	api := httpapi.New(httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	var seen []int
	huma.Register(api.Huma(), huma.Operation{Method: http.MethodDelete, Path: "/things"}, func(_ context.Context, in *struct{ httpapi.Precondition }) (*struct{}, error) {
		seen = append(seen, in.Seen())
		return nil, nil
	})
	for name, c := range map[string]struct {
		headers []string
		seen    []int // nil when it is refused
	}{
		"no header":                   {nil, []int{0}},
		"one ETag":                    {[]string{`"1"`}, []int{1}},
		"any":                         {[]string{"*"}, []int{0}},
		"an empty one":                {[]string{""}, nil},
		"white space":                 {[]string{" \t"}, nil},
		"a list":                      {[]string{`"1", "2"`}, []int{-1}},
		"a list in two headers":       {[]string{`"2"`, `"1"`}, []int{-1}},
		"an empty one before an ETag": {[]string{"", `"1"`}, []int{-1}},
	} {
		seen = nil
		r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, httpapi.Prefix+"/things", nil)
		for _, h := range c.headers {
			r.Header.Add("If-Match", h)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		refused := w.Code == http.StatusUnprocessableEntity && strings.Contains(w.Body.String(), `"location":"header.If-Match","message":"must not be empty`)
		if diff := cmp.Diff(c.seen, seen); diff != "" || refused != (c.seen == nil) {
			t.Errorf("%s: %d %s (-want +got):\n%s", name, w.Code, w.Body, diff)
		}
	}
}

// patchEdition has a field of each sort.
type patchEdition struct {
	Title   httpapi.Optional[string]   `json:"title,omitzero" nullable:"false" doc:"A title."`
	Format  httpapi.Optional[string]   `json:"format,omitzero"`
	Year    httpapi.Optional[int]      `json:"year,omitzero" example:"1999"`
	Authors httpapi.Optional[[]string] `json:"authors,omitzero"`
}

func TestAFieldOfAPatchIsLeftOutOrNullOrAValue(t *testing.T) {
	t.Parallel()
	one, none := 1, 0
	for body, want := range map[string]struct {
		said   bool
		value  *int
		change *int
	}{
		`{}`:             {},
		`{"year": null}`: {said: true, change: &none},
		`{"year": 0}`:    {said: true, value: &none, change: &none},
		`{"year": 1}`:    {said: true, value: &one, change: &one},
	} {
		var p patchEdition
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if diff := cmp.Diff(httpapi.Optional[int]{Said: want.said, Value: want.value}, p.Year); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
		if diff := cmp.Diff(want.change, p.Year.Change()); diff != "" {
			t.Errorf("%s asks for (-want +got):\n%s", body, diff)
		}
	}
	title := "T"
	for body, want := range map[string]struct {
		value *string
		ok    bool
	}{`{}`: {nil, true}, `{"title": "T"}`: {&title, true}, `{"title": null}`: {nil, false}} {
		var p patchEdition
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		got, err := p.Title.Set("body.title")
		if diff := cmp.Diff(want.value, got); diff != "" || (err == nil) != want.ok {
			t.Errorf("%s: %v (-want +got):\n%s", body, err, diff)
		}
	}
	if err := json.Unmarshal([]byte(`{"year": "x"}`), &patchEdition{}); err == nil {
		t.Error("a year that is text was read")
	}
}

func TestTheSchemaOfAnOptionalFieldIsTrue(t *testing.T) {
	t.Parallel()
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schema := huma.SchemaFromType(registry, reflect.TypeFor[patchEdition]())
	types := map[string]any{}
	for name, property := range schema.Properties {
		raw, err := json.Marshal(property)
		var p map[string]any
		if err := errors.Join(err, json.Unmarshal(raw, &p)); err != nil {
			t.Fatal(err)
		}
		types[name] = p["type"]
	}
	if diff := cmp.Diff(map[string]any{
		"title": "string", "format": []any{"string", "null"}, "year": []any{"integer", "null"}, "authors": []any{"array", "null"},
	}, types); diff != "" || len(schema.Required) > 0 {
		t.Errorf("required %v, types (-want +got):\n%s", schema.Required, diff)
	}
	for _, allowed := range []struct {
		body string
		ok   bool
	}{
		{`{}`, true},
		{`{"title": "T", "format": "f", "year": 1, "authors": ["A"]}`, true},
		{`{"format": null, "year": null, "authors": null}`, true},
		{`{"format": 1}`, false},
		{`{"year": "1"}`, false},
		{`{"year": 1.5}`, false},
		{`{"authors": "A"}`, false},
		{`{"authors": [null]}`, false},
		{`{"other": 1}`, false},
	} {
		var body any
		if err := json.Unmarshal([]byte(allowed.body), &body); err != nil {
			t.Fatal(err)
		}
		result := &huma.ValidateResult{}
		huma.Validate(registry, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, body, result)
		if ok := len(result.Errors) == 0; ok != allowed.ok {
			t.Errorf("%s: allowed %v: %v", allowed.body, ok, result.Errors)
		}
	}
}
