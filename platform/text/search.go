package text

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// FoldAccents is s as search sees it: without case, without accents, without layout. "Ærø, Łódź" becomes "aero, lodz",
// "Ｔｏｋｙｏ" (full width) becomes "tokyo".
//
// It decomposes s by compatibility (NFKD), drops what is read over, folds case fully, spells out the few Latin letters that
// have no decomposition (ø, ł, æ …), composes again, and folds white space. Dropped are format characters and variation
// selectors, and accents: nonspacing marks that the reader of another language would leave out, as in Latin, Greek,
// Cyrillic, Hebrew and Arabic. Marks without which it would be another letter stay: vowel signs of Indic and Thai writing,
// and the voicing of kana, so that か and が remain two.
func FoldAccents(s string) string {
	s = strings.Map(func(r rune) rune {
		if readOver(r) {
			return -1
		}
		return r
	}, norm.NFKD.String(valid(s)))
	s = spelledOut.Replace(foldCase(s))
	return Squeeze(norm.NFC.String(s))
}

// readOver reports whether search drops r, a character of decomposed text.
func readOver(r rune) bool {
	switch {
	case r < 0x80:
		return false
	case unicode.In(r, unicode.Cf, unicode.Variation_Selector), r == 0x034F: // U+034F: combining grapheme joiner
		return true
	case !unicode.Is(unicode.Mn, r):
		return false
	}
	// The canonical combining class (UAX #44) tells an accent from a vowel sign: 10–36 are the points of Hebrew, Arabic and
	// Syriac, 200 and more are the accents above, below and through any letter. In between are Thai, Lao and Tibetan vowels;
	// 0, 7, 8 and 9 are Indic vowel signs, nuktas, kana voicing and viramas.
	ccc := norm.NFKD.PropertiesString(string(r)).CCC()
	return 10 <= ccc && ccc <= 36 || ccc >= 200
}

// spelledOut holds the Latin letters that people type without their stroke or ligature although Unicode gives them no
// decomposition. Case is folded before.
var spelledOut = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ð", "d", "ħ", "h", "ŧ", "t", "þ", "th", "æ", "ae", "œ", "oe", "ı", "i")

// maxWord is how many characters of a word count for search: enough to tell words apart, few enough for any index. A longer
// word is cut on both sides of the search, so it is still found.
const maxWord = 64

// Words are the words of s by which it is found, folded by [FoldAccents], each once, in order of appearance. It serves both
// sides: a text is a hit when every word of the query is a prefix of one of the text's words.
//
// A word is a run of letters, digits and the marks on them; everything else separates. Two things are added to that:
//
//   - A word with apostrophes counts in parts and as a whole, so that "avare" finds "L'Avare" and "gullivers" finds
//     "Gulliver's".
//   - Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without spaces between words, and a prefix of a whole
//     sentence helps nobody. There each character counts together with the one after it, and the last one alone: 三國演義
//     has the words 三國, 國演, 演義, 義. So any part of such a run, of one character or more, finds it. Traditional and
//     simplified forms remain different characters. Korean has spaces and needs none of this.
//
// A text of nothing but punctuation has no words.
func Words(s string) []string {
	var words []string
	seen := make(map[string]bool)
	add := func(w string) {
		w = cut(w)
		if w != "" && !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	for _, run := range strings.FieldsFunc(FoldAccents(s), func(r rune) bool { return !inWord(r) && !isApostrophe(r) }) {
		parts := strings.FieldsFunc(run, isApostrophe)
		spaced := true
		for _, part := range parts {
			for part != "" {
				n := spacedPrefix(part)
				add(part[:n])
				part = part[n:]
				n = unspacedPrefix(part)
				spaced = spaced && n == 0
				for _, w := range pairs(part[:n]) {
					add(w)
				}
				part = part[n:]
			}
		}
		if len(parts) > 1 && spaced {
			add(strings.Join(parts, ""))
		}
	}
	return words
}

// cut is the first maxWord characters of w.
func cut(w string) string {
	n := 0
	for i := range w {
		if n++; n > maxWord {
			return w[:i]
		}
	}
	return w
}

// inWord reports whether r is part of a word.
func inWord(r rune) bool {
	return (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)) && !isApostrophe(r)
}

// isApostrophe knows the typewriter's apostrophe, the printer's, and the letters that stand for one.
func isApostrophe(r rune) bool {
	return slices.Contains([]rune{'\'', 0x2018, 0x2019, 0x02BB, 0x02BC}, r)
}

// isUnspaced reports whether r is a letter of a language that has no spaces between words.
func isUnspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Thai, unicode.Lao, unicode.Khmer,
		unicode.Myanmar) && !unicode.IsMark(r) || r == 'ー' // the long vowel mark belongs to no script
}

// spacedPrefix is the length of the part of word before the first letter of unspaced writing.
func spacedPrefix(word string) int {
	if i := strings.IndexFunc(word, isUnspaced); i >= 0 {
		return i
	}
	return len(word)
}

// unspacedPrefix is the length of the letters of unspaced writing, with their marks, that word begins with.
func unspacedPrefix(word string) int {
	for i, r := range word {
		if !isUnspaced(r) && (i == 0 || !unicode.IsMark(r)) {
			return i
		}
	}
	return len(word)
}

// pairs are each letter of s, with the marks on it, together with the next one; the last one stands alone.
func pairs(s string) []string {
	var starts []int
	for i, r := range s {
		if !unicode.IsMark(r) {
			starts = append(starts, i)
		}
	}
	all := make([]string, len(starts))
	for i, from := range starts {
		to := len(s)
		if i+2 < len(starts) {
			to = starts[i+2]
		}
		all[i] = s[from:to]
	}
	return all
}
