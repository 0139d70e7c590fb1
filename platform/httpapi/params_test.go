package httpapi_test

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"accession/platform/httpapi"
	"accession/platform/problem"
)

func FuzzPrefer(f *testing.F) {
	for _, s := range []string{"", "wait=5", `wait="5"`, "respond-async, wait=10;x=y", `foo="a\",wait=1", wait=2`, ";", ",;,=", "wait", "wait=-1", "wait=31", "wait=99999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c httpapi.Consistency
		err := c.Prefer.UnmarshalText([]byte(s))
		if d := c.Wait(-1); err == nil && (d < -1 || d > httpapi.MaxWait || d > 0 && d%time.Second != 0) {
			t.Errorf("%q waits %v", s, d)
		}
		if err == nil && c.Wait(-1) >= 0 && !strings.Contains(strings.ToLower(s), "wait") {
			t.Errorf("%q says nothing, but waits %v", s, c.Wait(-1))
		}
	})
}

func FuzzActorName(f *testing.F) {
	for _, s := range []string{"", "cli:root", "Frída 📚", strings.Repeat("é", 200), strings.Repeat("é", 201), "a\nb", "\xff", "\u200b", "a\u00a0b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var a httpapi.Actor
		err := a.XActor.UnmarshalText([]byte(s))
		if err != nil && a.Who() != httpapi.Anonymous {
			t.Errorf("%q was refused and is still the actor", s)
		}
		got := a.Who()
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 200 || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || got == "" {
			t.Errorf("%q passes as an actor", got)
		}
		if err == nil && s != "" && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestGivenID(t *testing.T) {
	t.Parallel()
	drawn := existing
	id := drawn
	if err := httpapi.GivenID(&id, nil, "body.id"); err != nil || id != drawn {
		t.Errorf("none given: %v, %v", id, err)
	}
	given := "0192F000-0000-7000-8000-00000000000A"
	if err := httpapi.GivenID(&id, &given, "body.id"); err != nil || id.String() != strings.ToLower(given) {
		t.Errorf("given: %v, %v", id, err)
	}
	for wrong, says := range map[string]string{
		"": "is not a UUID of the form", "12": "is not a UUID of the form", "{" + given + "}": "is not a UUID of the form",
		"00000000-0000-0000-0000-000000000000": "is the nil UUID, which names nothing",
	} {
		e := problem.Of(httpapi.GivenID(&id, &wrong, "body.id"))
		if e.Kind != problem.Invalid || e.Fields[0].Location != "body.id" || !strings.HasPrefix(e.Fields[0].Message, says) {
			t.Errorf("%q: %v", wrong, e)
		}
	}
}
