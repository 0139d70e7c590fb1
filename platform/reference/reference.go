// Package reference reads and writes references, the numbers that people write on labels and in print: category.book.edition.
// 3.14.2 is the second edition of the fourteenth book of the third category of a library; 3.14 and 3 name the book and the
// category.
package reference

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Reference names a category of a library, a book in it, or an edition of that book. Numbers count from 1; 0 means not given,
// and nothing below it is given then. The zero Reference names nothing.
type Reference struct {
	Category, Book, Edition int
}

// Max is the highest number a reference can hold.
const Max = math.MaxInt32

// Parse reads "3", "3.14" or "3.14.2" as [Reference.String] writes them and nothing else: no white space, signs, leading
// zeros or digits other than 0 to 9, so that one thing has one reference.
//
// The error is the rest of a sentence that begins with the field's name: "is not a reference such as …".
func Parse(s string) (Reference, error) {
	var r Reference
	levels := []*int{&r.Category, &r.Book, &r.Edition}
	parts := strings.SplitN(s, ".", len(levels)+1)
	if len(parts) > len(levels) {
		return Reference{}, errors.New("is not a reference such as 3, 3.14 or 3.14.2: it has more than three numbers")
	}
	for i, part := range parts {
		n, err := number(part)
		if err != nil {
			return Reference{}, fmt.Errorf("is not a reference such as 3, 3.14 or 3.14.2: its %s number %w", [...]string{"first", "second", "third"}[i], err)
		}
		*levels[i] = n
	}
	return r, nil
}

func number(s string) (int, error) {
	switch {
	case s == "":
		return 0, errors.New("is missing")
	case strings.Trim(s, "0123456789") != "":
		return 0, errors.New("has other characters than the digits 0 to 9")
	case s[0] == '0':
		return 0, errors.New("begins with 0")
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil { // digits only, so it is out of range
		return 0, fmt.Errorf("is higher than %d", Max)
	}
	return int(n), nil
}

// Of is the reference that the numbers make, category first; "" when one of them is not assigned yet.
func Of(numbers ...int) string {
	s := make([]string, len(numbers))
	for i, n := range numbers {
		if n == 0 {
			return ""
		}
		s[i] = strconv.Itoa(n)
	}
	return strings.Join(s, ".")
}

// String is the reference as people write it: "3", "3.14", "3.14.2"; "" for the zero Reference.
func (r Reference) String() string {
	switch r.Levels() {
	case 0:
		return ""
	case 1:
		return strconv.Itoa(r.Category)
	case 2:
		return fmt.Sprintf("%d.%d", r.Category, r.Book)
	default:
		return fmt.Sprintf("%d.%d.%d", r.Category, r.Book, r.Edition)
	}
}

// Levels is how many numbers are given: 1 for a category, 2 for a book, 3 for an edition, 0 for the zero Reference. A number
// whose parent's number is not given does not count, as for something whose category is still to get its number.
func (r Reference) Levels() int {
	switch {
	case r.Category == 0:
		return 0
	case r.Book == 0:
		return 1
	case r.Edition == 0:
		return 2
	}
	return 3
}
