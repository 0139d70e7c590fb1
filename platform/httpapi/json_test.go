package httpapi

import (
	"encoding/json"
	"fmt"
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
		{"a member twice, further down than is told", strings.Repeat(`{"éé":`, 5000) + `{"x":1,"x":2}` + strings.Repeat("}", 5000), "body" + strings.Repeat(".éé", 66) + ".é… is there twice"},
		{"a member twice, written differently", `{"a":1,"\u0061":1}`, "body.a is there twice"},
		{"half of a pair", `{"a":"\ud800"}`, `line 1, column 7: \ud800 is half of a surrogate pair`},
		{"half of a pair, in a line further down", "{\n\"é\": \"\\\\a\\uDBFFb\"}", `line 2, column 10: \uDBFF is half`},
		{"the second half of a pair", `["\udc00"]`, `\udc00 is half`},
		{"a pair the wrong way round", `["\udc0d\ud83d"]`, `\udc0d is half`},
		{"the first half twice", `["\ud83d\ud83d\udc0d"]`, `column 3: \ud83d is half`},
		{"half of a pair before another escape", `["\ud83d\n"]`, `\ud83d is half`},
		{"half of a pair before what is no escape", `["\ud83d\\udc0d"]`, `\ud83d is half`},
		{"half of a pair at the end", `"\ud83d"`, `\ud83d is half`},
		{"half of a pair in the name of a member", `{"a":{"\ud800":1}}`, `\ud800 is half`},
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

func TestParseJSONReadsEscapes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"\ud83d\udc0d"`:             "🐍",
		`"\uD83D\uDC0D\ud83d\udc0d"`: "🐍🐍",
		`"\\ud800"`:                  `\ud800`,
		`"\\\\\ud83d\udc0d\\"`:       `\\🐍\`,
		`"\u00e9\u0041\t\""`:         "éA\t\"",
		`"\ufffd \ud7ff\ue000"`:      "\ufffd \ud7ff\ue000",
	} {
		var got any
		if err := parseJSON([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s: got %q, %v", in, got, err)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `[{"a":[{}]}]`, "\"\xff\"", "\ufeff{}", `"\ud83d\udc0d"`, `"\ud800"`, `"\\ud800"`, `{"\udfff":""}`, `{"a":1} `, `{"":{"":null}}`, "null x"} {
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
		written := strings.Contains(string(in), "\ufffd") || strings.Contains(strings.ToLower(string(in)), `\ufffd`)
		if text := fmt.Sprint(v); strings.Contains(text, "\ufffd") && !written {
			t.Errorf("%q was read as %q", in, text)
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
