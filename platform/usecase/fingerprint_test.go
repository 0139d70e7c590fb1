package usecase_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"

	"accession/platform/usecase"
)

func TestFingerprintTellsContentApart(t *testing.T) {
	t.Parallel()
	type before struct {
		B string
		A int `json:",omitempty"`
	}
	type after struct { // the same request after fields were moved and added
		New *string
		A   int `json:",omitempty"`
		B   string
	}
	same := [][2]any{
		{before{"x", 1}, after{nil, 1, "x"}},
		{map[string]any{"a": 1, "b": []any{map[string]any{"c": nil}}}, map[string]any{"b": []any{map[string]any{}}, "a": 1}},
		{map[string]any{"n": int64(math.MaxInt64)}, map[string]any{"n": uint64(math.MaxInt64)}},
	}
	for _, pair := range same {
		if !bytes.Equal(usecase.Fingerprint(pair[0]), usecase.Fingerprint(pair[1])) {
			t.Errorf("%v and %v differ", pair[0], pair[1])
		}
	}
	other := [][2]any{
		{before{"x", 1}, before{"x", 2}},
		{before{"x", 0}, before{"", 0}},
		{map[string]any{"a": "1"}, map[string]any{"a": 1}},
		{map[string]any{"a": []int{1, 2}}, map[string]any{"a": []int{2, 1}}},
		{map[string]any{"n": int64(math.MaxInt64)}, map[string]any{"n": int64(math.MaxInt64 - 1)}},
		{[]any{nil}, []any{}},
	}
	for _, pair := range other {
		if bytes.Equal(usecase.Fingerprint(pair[0]), usecase.Fingerprint(pair[1])) {
			t.Errorf("%v and %v are the same", pair[0], pair[1])
		}
	}
}

// Fingerprints are stored for ever: this one was written down when the first was.
func TestFingerprintNeverChanges(t *testing.T) {
	t.Parallel()
	got := hex.EncodeToString(usecase.Fingerprint(map[string]any{"title": "Ænima <1>", "authors": []string{"b", "a"}, "year": 1996, "isbn": nil}))
	// printf '{"authors":["b","a"],"title":"Ænima \\u003c1\\u003e","year":1996}' | sha256sum
	if want := "89dc88c33ecfa2b4672e4e4d41ffcb81f904bf26d96d0fa1556c2a77285d9975"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
