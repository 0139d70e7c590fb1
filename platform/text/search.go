package text

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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
	}, norm.NFKD.String(s))
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
		if utf8.RuneCountInString(w) > maxWord {
			w = string([]rune(w)[:maxWord])
		}
		if w != "" && !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	for _, run := range strings.FieldsFunc(FoldAccents(s), func(r rune) bool { return !inWord(r) && !isApostrophe(r) }) {
		parts := strings.FieldsFunc(run, isApostrophe)
		spaced := true
		for _, part := range parts {
			for _, piece := range split(part) {
				if !piece.unspaced {
					add(piece.text)
					continue
				}
				spaced = false
				for i, unit := range piece.units {
					if i+1 < len(piece.units) {
						unit += piece.units[i+1]
					}
					add(unit)
				}
			}
		}
		if len(parts) > 1 && spaced {
			add(strings.Join(parts, ""))
		}
	}
	return words
}

// inWord reports whether r is part of a word.
func inWord(r rune) bool {
	return (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)) && !isApostrophe(r)
}

// isApostrophe knows the typewriter's apostrophe, the printer's, and the letters that stand for one.
func isApostrophe(r rune) bool {
	return slices.Contains([]rune{'\'', 0x2018, 0x2019, 0x02BB, 0x02BC}, r)
}

// piece is a part of a word in one way of writing.
type piece struct {
	text     string
	unspaced bool
	units    []string // when unspaced: each letter with the marks on it
}

// split cuts a word where spaced and unspaced writing meet, as in "javascript入門".
func split(word string) []piece {
	var pieces []piece
	for _, r := range word {
		unspaced := unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Thai, unicode.Lao,
			unicode.Khmer, unicode.Myanmar) || r == 'ー' // the long vowel mark belongs to no script
		last := len(pieces) - 1
		onto := unicode.IsMark(r) && last >= 0 // a mark goes with the letter before it
		if !onto && (last < 0 || pieces[last].unspaced != unspaced) {
			pieces = append(pieces, piece{unspaced: unspaced})
			last++
		}
		p := &pieces[last]
		p.text += string(r)
		if p.unspaced {
			if onto {
				p.units[len(p.units)-1] += string(r)
			} else {
				p.units = append(p.units, string(r))
			}
		}
	}
	return pieces
}
