package discovery

import (
	"slices"
	"strings"
	"testing"

	"accession/platform/problem"
	"accession/platform/text"
)

func FuzzUnderstand(f *testing.F) {
	for _, s := range []string{"", "pride", "L’Avare", "三國演義", "3.14.2", "978-0-14-143951-8", "0-306-40615-2", "a ab abc", "\x00", "\xff", "1 1 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		asked, err := understand(s)
		if err != nil {
			if e := problem.Of(err); e.Kind != problem.Invalid || len(e.Fields) != 1 || e.Fields[0].Location != "query.q" {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if len(asked.words) == 0 || len(asked.words) > maxWords {
			t.Errorf("%q: %d words", s, len(asked.words))
		}
		for _, w := range text.Words(text.Squeeze(s)) { // every word is asked for, by itself or by one that it begins
			if !slices.ContainsFunc(asked.words, func(k string) bool { return strings.HasPrefix(k, w) }) {
				t.Errorf("%q: %q is not asked for", s, w)
			}
		}
	})
}
