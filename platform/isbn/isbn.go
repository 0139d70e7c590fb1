// Package isbn reads International Standard Book Numbers.
//
// The rules are those of ISO 2108 (2005 and later: thirteen digits, a GS1 number with the prefix 978 or 979) and its edition
// of 1992 (ten, whose check digit may be X), as the ISBN Users' Manual of the International ISBN Agency explains them.
// Numbers are kept and shown with thirteen digits, whichever form they came in, so that one book has one number.
package isbn

import (
	"bytes"
	"errors"
	"fmt"
	"unicode"
)

// ISBN is a valid ISBN-13: thirteen ASCII digits without hyphens. The zero value is no ISBN. Get one from [Parse].
type ISBN string

// String is the thirteen digits, or "" for the zero value.
func (n ISBN) String() string { return string(n) }

// Parse reads an ISBN-10 or an ISBN-13, with or without hyphens (or the dashes that typesetting makes of them) and white
// space anywhere, X in either case. It does not check that the groups between hyphens were ever given out.
//
// The error is the rest of a sentence that begins with the field's name: "ends in the check digit 4 where 5 belongs; …".
func Parse(s string) (ISBN, error) {
	var digits []byte
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits = append(digits, byte(r))
		case r == 'X' || r == 'x':
			digits = append(digits, 'X')
		case unicode.IsSpace(r), unicode.Is(unicode.Dash, r): // the hyphen is a Dash too
		default:
			return "", fmt.Errorf("contains %q; an ISBN has only digits, hyphens and, as the last of ten, X", r)
		}
	}
	if i := bytes.IndexByte(digits, 'X'); i >= 0 && (i != 9 || len(digits) != 10) {
		return "", errors.New("contains X, which may only be the last of ten digits")
	}
	switch len(digits) {
	case 0:
		return "", errors.New("has no digits; an ISBN has 10 or 13")
	case 10:
		if want := check10(digits); digits[9] != want {
			return "", wrongCheck(digits[9], want)
		}
		n := append([]byte("978"), digits[:9]...)
		return ISBN(append(n, check13(n))), nil
	case 13:
		switch prefix := string(digits[:3]); {
		case prefix != "978" && prefix != "979":
			return "", fmt.Errorf("begins with %s; an ISBN of 13 digits begins with 978 or 979", prefix)
		case prefix == "979" && digits[3] == '0': // ISO 10957
			return "", errors.New("begins with 979-0: that is the number of printed music (ISMN), not an ISBN")
		}
		if want := check13(digits); digits[12] != want {
			return "", wrongCheck(digits[12], want)
		}
		return ISBN(digits), nil
	default:
		return "", fmt.Errorf("has %d digits; an ISBN has 10 or 13", len(digits))
	}
}

func wrongCheck(got, want byte) error {
	return fmt.Errorf("ends in the check digit %c where %c belongs; compare it with the book, one of its digits is wrong", got, want)
}

// check10 is the last digit after the first nine of d: with weights 10, 9 … 2, 1 the sum of all is a multiple of 11.
func check10(d []byte) byte {
	sum := 0
	for i, c := range d[:9] {
		sum += (10 - i) * int(c-'0')
	}
	if r := (11 - sum%11) % 11; r < 10 {
		return '0' + byte(r)
	}
	return 'X'
}

// check13 is the last digit after the first twelve of d: with weights 1, 3, 1, 3 … the sum of all is a multiple of 10.
func check13(d []byte) byte {
	sum := 0
	for i, c := range d[:12] {
		sum += (1 + 2*(i%2)) * int(c-'0')
	}
	return '0' + byte((10-sum%10)%10)
}
