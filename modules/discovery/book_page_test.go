package discovery

import (
	"strings"
	"testing"

	"accession/platform/event"
)

// drawn writes a tree as text: editions of one run with blanks between them, branches in brackets.
func drawn(run []edition) string {
	var parts []string
	for _, e := range run {
		s := e.Reference[strings.LastIndex(e.Reference, ".")+1:]
		for _, b := range e.Branches {
			s += "(" + drawn(b) + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

func TestTree(t *testing.T) {
	t.Parallel()
	way := line{{Kind: kindLibrary}, {Kind: kindCategory, Number: 3}, {Kind: kindBook, Number: 14}}
	for _, c := range []struct {
		name  string
		bases string // the base of edition 1, 2, 3 …; "-" for none
		want  string
	}{
		{"a single edition", "-", "1"},
		{"a chain runs straight down", "- 1 2 3", "1 2 3 4"},
		{"a branch steps in", "- 1 1 2", "1(2 4)(3)"},
		{"a branch at the end of a chain", "- 1 2 2", "1 2(3)(4)"},
		{"any earlier edition may be a base", "- 1 1 3 3 1", "1(2)(3(4)(5))(6)"},
		{"an edition may be there before its base", "- 3 1", "1 3 2"},
		{"an edition whose base is not there stands by itself", "- 9 2", "1 2 3"},
		{"a book without editions", "", ""},
	} {
		var editions []entry
		for i, base := range strings.Fields(c.bases) {
			e := entry{Tag: event.NewTag(kindEdition, string(rune('1'+i))), Kind: kindEdition, Number: i + 1}
			if base != "-" {
				e.Base = event.NewTag(kindEdition, base)
			}
			editions = append(editions, e)
		}
		if got := drawn(tree(way, editions)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDrawers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		last, from int
		shown      span
		links      string
	}{
		{"one range needs no links", 100, 1, span{1, 100, true}, ""},
		{"an empty drawer is one range", 0, 1, span{1, 100, true}, ""},
		{"the range that holds the number", 250, 180, span{101, 200, false}, "1–100 [101–200] 201–250"},
		{"the last is open, for what is not numbered yet", 250, 201, span{201, 300, true}, "1–100 101–200 [201–250]"},
		{"a number behind the last opens the last", 250, 9999, span{201, 300, true}, "1–100 101–200 [201–250]"},
		{"of many, the ends and those near", 5000, 2001, span{2001, 2100, false},
			"1–100 … 1,601–1,700 1,701–1,800 1,801–1,900 1,901–2,000 [2,001–2,100] 2,101–2,200 2,201–2,300 2,301–2,400 2,401–2,500 … 4,901–5,000"},
	} {
		shown, links := drawers("/x", c.last, c.from, 100)
		var got []string
		for _, l := range links {
			switch {
			case l.Gap:
				got = append(got, "…")
			case l.Current:
				got = append(got, "["+l.Label+"]")
			default:
				got = append(got, l.Label)
			}
		}
		if shown != c.shown || strings.Join(got, " ") != c.links {
			t.Errorf("%s: got %+v, %s", c.name, shown, got)
		}
	}
}
