package text_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"accession/platform/text"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		limit    int
		want     string
		err      string
	}{
		{"ordinary text stays as it is", "The river of glass", 100, "The river of glass", ""},
		{"outer white space of any kind is trimmed", "\u3000\n\t The river\u00a0\u2028", 100, "The river", ""},
		{"inner spaces stay", "The  river", 100, "The  river", ""},
		{"white space alone is empty, which is the caller's affair", " \n ", 100, "", ""},
		{"decomposed text is composed", "Cafe\u0301", 4, "Café", ""},
		{"the limit counts characters, not bytes", "三國演義", 4, "三國演義", ""},
		{"the limit counts what is left after trimming", "  abcd  ", 4, "abcd", ""},
		{"joiners stay", "می\u200cخواهم", 100, "می\u200cخواهم", ""},
		{"direction marks stay", "abc\u200e \u200fאבג", 100, "abc\u200e \u200fאבג", ""},
		{"the replacement character stays: the damage was done elsewhere", "a\ufffdb", 100, "a\ufffdb", ""},
		{"characters beyond the basic plane count once", "𠀋😀", 2, "𠀋😀", ""},

		{"too long", strings.Repeat("a", 10_000), 1000, "", "is 10,000 characters long; at most 1,000 are allowed"},
		{"one too long", "abcde", 4, "", "is 5 characters long; at most 4 are allowed"},
		{"a bell", "a\x07b", 100, "", "contains a control character (U+0007) as character 2; remove it"},
		{"a NUL", "\x00", 100, "", "contains a control character (U+0000) as character 1; remove it"},
		{"an escape", "a\x1b[31m", 100, "", "contains a control character (U+001B) as character 2; remove it"},
		{"a delete", "a\x7f", 100, "", "contains a control character (U+007F) as character 2; remove it"},
		{"a C1 control", "a\u009fb", 100, "", "contains a control character (U+009F) as character 2; remove it"},
		{"an inner line feed", "a\nb", 100, "", "contains a line break (U+000A) as character 2; remove it"},
		{"an inner line separator", "a\u2028b", 100, "", "contains a line break (U+2028) as character 2; remove it"},
		{"an inner paragraph separator", "a\u2029b", 100, "", "contains a line break (U+2029) as character 2; remove it"},
		{"an inner tab", "a\tb", 100, "", "contains a tab (U+0009) as character 2; remove it"},
		{"an override of the direction", "a\u202eb", 100, "", "contains a control character for the writing direction (U+202E) as character 2; remove it"},
		{"an isolate", "a\u2066b\u2069", 100, "", "contains a control character for the writing direction (U+2066) as character 2; remove it"},
		{"not UTF-8", "caf\xe9", 100, "", "is not valid UTF-8; send the text in that encoding"},
		{"a surrogate", "a\xed\xa0\x80b", 100, "", "is not valid UTF-8; send the text in that encoding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := text.Clean(c.in, c.limit)
			if got != c.want || message(err) != c.err {
				t.Errorf("Clean(%+q) = %+q, %q\nwant %+q, %q", c.in, got, message(err), c.want, c.err)
			}
		})
	}
}

func TestRequired(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want, err string }{
		{"text is cleaned", " a ", "a", ""},
		{"empty", "", "", "must not be empty"},
		{"white space", " \u2003\n", "", "must not be empty"},
		{"a zero-width space and a byte order mark", "\u200b \ufeff", "", "must not be empty"},
		{"what Clean refuses is refused with its reason", "\x07", "", "contains a control character (U+0007) as character 1; remove it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := text.Required(c.in, 10)
			if got != c.want || message(err) != c.err {
				t.Errorf("Required(%+q) = %+q, %q\nwant %+q, %q", c.in, got, message(err), c.want, c.err)
			}
		})
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"case", "Much Ado", "MUCH aDO", true},
		{"white space", " Much \n\t Ado ", "Much\u00a0Ado", true},
		{"encoding", "Cafe\u0301", "CAFÉ", true},
		{"a capital of two letters", "Straße", "STRASSE", true},
		{"a Greek final sigma", "Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ", true},
		{"marks in another order", "q\u0307\u0323", "Q\u0323\u0307", true},
		{"accents are not folded", "Café", "Cafe", false},
		{"compatibility is not folded", "Ｔｏｋｙｏ", "Tokyo", false},
		{"punctuation counts", "Ado.", "Ado", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if a, b := text.Fold(c.a), text.Fold(c.b); (a == b) != c.same {
				t.Errorf("Fold(%q) = %q, Fold(%q) = %q; the same: %v, want %v", c.a, a, c.b, b, a == b, c.same)
			}
		})
	}
}

func TestFoldKnowsTheCasesOfEveryLetter(t *testing.T) {
	t.Parallel()
	for r := rune(1); r <= unicode.MaxRune; r++ {
		other := unicode.SimpleFold(r)
		if r == other {
			continue
		}
		a, b := string(r), string(other)
		if text.Fold(a) != text.Fold(b) {
			t.Errorf("Fold(%+q) = %+q, but in another case Fold(%+q) = %+q", a, text.Fold(a), b, text.Fold(b))
		}
		if r == 0x0345 || other == 0x0345 {
			continue // the iota under a Greek vowel is an accent, although it has a capital
		}
		if text.FoldAccents(a) != text.FoldAccents(b) {
			t.Errorf("FoldAccents(%+q) = %+q, but in another case FoldAccents(%+q) = %+q", a, text.FoldAccents(a), b, text.FoldAccents(b))
		}
	}
}

func TestAKeyIsItsOwnKey(t *testing.T) {
	t.Parallel()
	for r := rune(1); r <= 0xFFFF; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		if key := text.Fold(string(r)); text.Fold(key) != key {
			t.Errorf("%U has the key %+q, and that has the key %+q", r, key, text.Fold(key))
		}
		if key := text.FoldAccents(string(r)); text.FoldAccents(key) != key {
			t.Errorf("%U is searched as %+q, and that as %+q", r, key, text.FoldAccents(key))
		}
	}
}

func TestFoldsServeManyAtOnce(t *testing.T) {
	t.Parallel()
	const in, fold, accents = "Ὀδυσσεύς  STRASSE Ærø", "ὀδυσσεύσ strasse ærø", "οδυσσευσ strasse aero"
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if got := text.Fold(in); got != fold {
					t.Errorf("Fold = %q, want %q", got, fold)
				}
				if got := text.FoldAccents(in); got != accents {
					t.Errorf("FoldAccents = %q, want %q", got, accents)
				}
			}
		})
	}
	wg.Wait()
}

func TestFoldAccents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"Latin", "Crème BRÛLÉE", "creme brulee"},
		{"Vietnamese, with two accents on a letter", "Nguyễn", "nguyen"},
		{"letters that do not decompose", "Ærø, Łódź, Þór, Œuvre, Đặng, Istanbul'lı", "aero, lodz, thor, oeuvre, dang, istanbul'li"},
		{"Greek", "Ὀδύσσεια", "οδυσσεια"},
		{"Cyrillic", "Ёлка й", "елка и"},
		{"Hebrew points", "שָׁלוֹם", "שלום"},
		{"Arabic points", "كِتَاب", "كتاب"},
		{"compatibility forms", "Ｔｏｋｙｏ ﬁn Ⅳ ｶﾞ", "tokyo fin iv ガ"},
		{"kana voicing stays", "カ ガ が", "カ ガ が"},
		{"Hindi vowels stay", "हिन्दी", "हिन्दी"},
		{"Thai vowels and tones stay", "กินน้ำ", "กินน\u0e49\u0e4dา"},
		{"Korean stays composed", "한국어", "한국어"},
		{"invisible characters go", "co\u00adop\u200b\ufe0f", "coop"},
		{"white space is one space", "a \n b", "a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := text.FoldAccents(c.in); got != c.want {
				t.Errorf("FoldAccents(%q) = %+q, want %+q", c.in, got, c.want)
			}
		})
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"words are folded and each comes once", "The Ring and THE Book, 2nd ed.", []string{"the", "ring", "and", "book", "2nd", "ed"}},
		{"a hyphen separates", "Jean-Jacques", []string{"jean", "jacques"}},
		{"an apostrophe joins and separates", "L'Avare d’Harpagon", []string{"l", "avare", "lavare", "d", "harpagon", "dharpagon"}},
		{"a quotation mark is no apostrophe", "'tis ‘here’", []string{"tis", "here"}},
		{"Chinese", "三國演義", []string{"三國", "國演", "演義", "義"}},
		{"Japanese, with Latin and the long vowel mark", "Go入門サーバー 2", []string{"go", "入門", "門サ", "サー", "ーバ", "バー", "ー", "2"}},
		{"Thai, marks with their letters", "น้ำ", []string{"น\u0e49\u0e4dา", "า"}},
		{"Korean", "한국어 문법", []string{"한국어", "문법"}},
		{"Hindi, marks inside a word", "हिन्दी भाषा", []string{"हिन्दी", "भाषा"}},
		{"a long word is cut", strings.Repeat("x", 100), []string{strings.Repeat("x", 64)}},
		{"punctuation has no words", "?! … ' ’", nil},
		{"nothing has no words", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, text.Words(c.in)); diff != "" {
				t.Errorf("Words(%q) (-want +got):\n%s", c.in, diff)
			}
		})
	}
}

func TestEveryWordOfTheQueryIsAPrefix(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		title, query string
		want         bool
	}{
		{"Gulliver's Travels", "gull trav", true},
		{"Gulliver’s Travels", "GULLIVERS", true},
		{"Gulliver's Travels", "gulliver's travels", true},
		{"Gulliver's Travels", "ravels", false},
		{"L'Avare", "avare", true},
		{"Les Misérables", "miserables", true},
		{"Les Misérables", "MISÉ", true},
		{"Ærø", "aero", true},
		{"三國志演義", "三", true},
		{"三國志演義", "演義", true},
		{"三國志演義", "義", true},
		{"三國志演義", "國志演", true},
		{"三國志演義", "演國", false},
		{"吾輩は猫である", "猫", true},
		{"吾輩は猫である", "猫である", true},
		{"The Water-Babies", "water babies", true},
		{strings.Repeat("x", 100), strings.Repeat("x", 80), true},
	} {
		if got := found(c.title, c.query); got != c.want {
			t.Errorf("%q finds %q: %v, want %v (%q in %q)", c.query, c.title, got, c.want, text.Words(c.query), text.Words(c.title))
		}
	}
}

// found says what search promises: every word of the query is a prefix of a word of the title.
func found(title, query string) bool {
	words := text.Words(title)
	for _, q := range text.Words(query) {
		hit := false
		for _, w := range words {
			hit = hit || strings.HasPrefix(w, q)
		}
		if !hit {
			return false
		}
	}
	return true
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", " a ", "Cafe\u0301", "a\x07", "\xff", "三國", "\u2000a\u2028", " \u0301a", strings.Repeat("\u0301", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const limit = 50
		got, err := text.Clean(s, limit)
		if err != nil {
			if got != "" {
				t.Errorf("Clean(%+q) = %+q beside the error %v", s, got, err)
			}
			return
		}
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > limit || !norm.NFC.IsNormalString(got) || got != strings.TrimSpace(got) {
			t.Errorf("Clean(%+q) = %+q is not clean", s, got)
		}
		if again, err := text.Clean(got, limit); again != got || err != nil {
			t.Errorf("Clean twice: %+q, then %+q, %v", got, again, err)
		}
	})
}

func FuzzFolds(f *testing.F) {
	for _, s := range []string{"", "Straße", "İI", "Ὀδύσσεια ᾳ", "Ł 三國 カ\u3099", "L'Avare", "ﬁ ℌ ™", "\u0345\u0301", "ŉ ǰ ẞ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, fold := range map[string]func(string) string{"Squeeze": text.Squeeze, "Fold": text.Fold, "FoldAccents": text.FoldAccents} {
			once := fold(s)
			if twice := fold(once); once != twice {
				t.Errorf("%s(%+q) = %+q, and folded again %+q", name, s, once, twice)
			}
		}
		if utf8.ValidString(s) && text.Fold(norm.NFD.String(s)) != text.Fold(norm.NFC.String(s)) {
			t.Errorf("Fold(%+q) depends on how it is encoded", s)
		}
	})
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"", "The Ring", "L'Avare’s", "\xf5é", "三國演義 Go入門", "น้ำ", "한국어", strings.Repeat("é", 90)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words := text.Words(s)
		seen := map[string]bool{}
		for _, w := range words {
			if w == "" || seen[w] || utf8.RuneCountInString(w) > 64 {
				t.Errorf("Words(%+q) has the word %+q empty, twice or too long", s, w)
			}
			seen[w] = true
			if !found(s, w) {
				t.Errorf("the word %+q does not find its own text %+q", w, s)
			}
		}
		if !found(s, s) {
			t.Errorf("%+q does not find itself", s)
		}
	})
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func ExampleRequired() {
	for _, s := range []string{"  The river of glass ", "A title\x07", "   "} {
		title, err := text.Required(s, 1000)
		if err != nil {
			fmt.Println("title", err)
			continue
		}
		fmt.Println(title)
	}
	// Output:
	// The river of glass
	// title contains a control character (U+0007) as character 8; remove it
	// title must not be empty
}

func ExampleWords() {
	fmt.Println(text.Words("L'Étranger"))
	fmt.Println(text.Words("三國演義"))
	// Output:
	// [l etranger letranger]
	// [三國 國演 演義 義]
}
