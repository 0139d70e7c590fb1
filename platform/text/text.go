// Package text is text as people have it: what they type, paste and print, made fit to be stored, compared and searched.
//
//   - [Clean] and [Required] make a field's text fit to be stored, or say in a sentence what is wrong with it.
//   - [Squeeze] folds white space first, for importers, whose text was laid out for paper.
//   - [Fold] is the key under which two names or titles are the same.
//   - [FoldAccents] and [Words] are for search, which forgives more.
//
// All functions are pure and safe for concurrent use. White space is Unicode's White_Space property ([unicode.IsSpace]);
// a character is a code point of the text in Normalization Form C (NFC, UAX #15).
package text

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Clean returns s as it is stored: in NFC, without outer white space. It may be empty; see [Required].
//
// It refuses what is not valid UTF-8 (so also surrogates), text of more than limit characters, and characters that no single
// line of text has a use for: control characters (category Cc: NUL, tab, line feed …), line and paragraph separators
// (U+2028, U+2029), and embeddings, overrides and isolates of the writing direction (U+202A–U+202E, U+2066–U+2069: their
// reach does not end with the field, so that one title could turn round the rest of a page). Other invisible characters
// stay, because languages need them: joiners in Persian and Hindi, direction marks (U+200E, U+200F, U+061C) in Hebrew and
// Arabic.
//
// The error is the rest of a sentence that begins with the field's name: "is 1,200 characters long; at most 1,000 are
// allowed".
func Clean(s string, limit int) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("is not valid UTF-8; send the text in that encoding")
	}
	s = strings.TrimSpace(norm.NFC.String(s))
	n := 0
	for _, r := range s {
		n++
		if what := refused(r); what != "" {
			return "", fmt.Errorf("contains a %s (%U) as character %s; remove it", what, r, thousands(n))
		}
	}
	if n > limit {
		return "", fmt.Errorf("is %s characters long; at most %s are allowed", thousands(n), thousands(limit))
	}
	return s, nil
}

// Required is [Clean] for a field that must say something: text of nothing but white space and invisible format characters
// (category Cf: zero-width space, soft hyphen …) is refused as empty.
func Required(s string, limit int) (string, error) {
	s, err := Clean(s, limit)
	if err != nil {
		return "", err
	}
	for _, r := range s {
		if !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r) {
			return s, nil
		}
	}
	return "", errors.New("must not be empty")
}

// refused names the kind of a character that Clean refuses; "" for all others.
func refused(r rune) string {
	switch {
	case r == '\n' || r == '\r' || r == 0x2028 || r == 0x2029:
		return "line break"
	case r == '\t':
		return "tab"
	case unicode.Is(unicode.Cc, r):
		return "control character"
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return "control character for the writing direction"
	}
	return ""
}

// thousands writes n with a comma between each three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Squeeze folds every run of white space, line breaks included, to one space and drops it at both ends. It changes nothing
// else: bytes that are not UTF-8 stay for Clean to refuse.
func Squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// Fold is the key under which two names or titles are the same: those that differ in case, in white space, or in how the
// same characters are encoded have one key. Accents count: "Café" and "Cafe" are two names.
//
// It is the canonical caseless match of the Unicode Standard (section 3.13, D145: decompose, fold case fully, so that "ß" is
// "ss"), kept in NFC, then [Squeeze]. It does not depend on a language. Store the key only where it can be made again: a
// later version of Unicode knows the cases of more letters.
func Fold(s string) string {
	return Squeeze(norm.NFC.String(foldCase(norm.NFD.String(valid(s)))))
}

// valid puts U+FFFD for what is not UTF-8: norm leaves some of the text after such bytes as it is.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// foldCase folds case fully, as CaseFolding.txt of the Unicode Character Database says (statuses C and F).
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		// Cherokee folds to its capitals. x/text (v0.42.0) swaps the two cases instead, so bring the small letters back.
		switch {
		case r >= 0xAB70 && r <= 0xABBF:
			return r - 0xAB70 + 0x13A0
		case r >= 0x13F8 && r <= 0x13FD:
			return r - 8
		}
		return r
	}, caser.String(s))
}

// caser may be shared: unlike other Casers, that of Fold has no state.
var caser = cases.Fold()
