package httpapi

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseJSONSaysWhere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, want string }{
		{"a syntax error", "{\n  \"é\": x}", "line 2, column 8"},
		{"an end too soon", `{"a":`, "line 1, column 5"},
		{"nothing", "", "line 1, column 1"},
		{"a member twice", `{"a":1,"a":1}`, "body.a is there twice"},
		{"a member twice, deep inside", `{"a":[1,{"b":{"c":1,"d":[],"c":2}}]}`, "body.a[1].b.c is there twice"},
		{"a member twice, written differently", `{"a":1,"\u0061":1}`, "body.a is there twice"},
		{"a number no machine has", `{"a":1e999}`, "1e999"},
		{"nesting without end", strings.Repeat("[", 1_000_000), "depth"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var v any
			if err := parseJSON([]byte(test.in), &v); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want something with %q", err, test.want)
			}
		})
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `[{"a":[{}]}]`, "\"\xff\"", "\ufeff{}", `{"a":1} `, `{"":{"":null}}`, "null x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v any
		if parseJSON(in, &v) != nil {
			return
		}
		if !json.Valid(in) {
			t.Fatalf("%q passes as JSON", in)
		}
		out, err := json.Marshal(v) // no member was lost, so it parses again, to the same
		if err != nil {
			t.Fatal(err)
		}
		var again any
		if err := parseJSON(out, &again); err != nil {
			t.Errorf("%q came back as %q: %v", in, out, err)
		}
	})
}
