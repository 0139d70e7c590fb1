package httpapi_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"accession/platform/httpapi"
	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
)

type key struct {
	Number int    `json:"n"`
	ID     string `json:"id"`
}

func TestCursorComesBack(t *testing.T) {
	t.Parallel()
	listing := httpapi.Listing{"books", "1", "false"}
	want := key{7, "<é&>"}
	c := listing.Cursor(want)
	if strings.ContainsAny(c, "+/=<>&? ") {
		t.Errorf("cursor %q needs escaping", c)
	}
	var got key
	if err := listing.Open(c, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}
	if err := listing.Open("", &got); err != nil || got != want {
		t.Errorf("no cursor: %v, %v", got, err)
	}
}

func TestCursorIsRefused(t *testing.T) {
	t.Parallel()
	listing := httpapi.Listing{"books", "1"}
	good := listing.Cursor(key{7, "x"})
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]string{
		"of another kind":         httpapi.Listing{"editions", "1"}.Cursor(key{7, "x"}),
		"of another parent":       httpapi.Listing{"books", "2"}.Cursor(key{7, "x"}),
		"of parts cut elsewhere":  httpapi.Listing{"book", "s1"}.Cursor(key{7, "x"}),
		"of a part more":          httpapi.Listing{"books", "1", ""}.Cursor(key{7, "x"}),
		"with another key":        encode(strings.Replace(string(raw), `"n":7`, `"n":8`, 1)),
		"with a space more":       encode(string(raw) + " "),
		"of another version":      encode(strings.Replace(string(raw), `"v":1`, `"v":2`, 1)),
		"cut short":               good[:len(good)-1],
		"with padding":            good + "=",
		"with a newline":          good[:4] + "\n" + good[4:],
		"not base64":              "%%%",
		"not JSON":                encode("oops"),
		"JSON, but no cursor":     encode(`{}`),
		"null":                    encode(`null`),
		"of another type of key":  listing.Cursor([]int{1}),
		"with a NUL":              listing.Cursor(key{7, "a\x00b"}),
		"with an unknown member":  listing.Cursor(map[string]any{"n": 1, "id": "x", "more": true}),
		"longer than any":         strings.Repeat("A", 1<<20),
		"without a key, but sums": listing.Cursor(struct{}{}) + "A",
	} {
		var at key
		var e *problem.Error
		err := listing.Open(c, &at)
		if !errors.As(err, &e) || e.Kind != problem.Invalid || len(e.Fields) != 1 || e.Fields[0].Location != "query.cursor" {
			t.Errorf("%s: got %v, want Invalid at query.cursor", name, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	listing := httpapi.Listing{"books", "1"}
	f.Add(listing.Cursor(key{7, "x"}))
	f.Add(listing.Cursor(nil))
	f.Add(listing.Cursor("a\x00b"))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"v":1,"at":1,"sum":""}`)))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		var at any
		if err := listing.Open(s, &at); err != nil {
			if problem.Of(err).Kind != problem.Invalid {
				t.Errorf("open %q: %v", s, err)
			}
			return
		}
		if s != "" && (httpapi.Listing{"books", "2"}).Open(s, &at) == nil {
			t.Errorf("%q opens two listings", s)
		}
	})
}

func ExampleListing() {
	listing := httpapi.Listing{"books", "0192f000-0000-7000-8000-000000000001", "withdrawn=false"}
	next := listing.Cursor(42) // behind book 42

	var after int
	err := listing.Open(next, &after)
	fmt.Println(after, err)

	err = httpapi.Listing{"books", "of another category"}.Open(next, &after)
	fmt.Println(err)
	// Output:
	// 42 <nil>
	// query.cursor: is not a cursor of this list: leave it out to begin at the front
}
