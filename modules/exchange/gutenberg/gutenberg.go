// Package gutenberg reads the catalogue feed of Project Gutenberg (pg_catalog.csv): real titles and authors, for trying the
// product out and for measuring it.
//
// [Parse] turns the file into categories, books and editions in the order in which an import adds them, so that the same
// file always gives the same references:
//
//   - Only rows of Type Text count; each is an edition, named by its Text#.
//   - A category is the letters of the first Library of Congress class in LoCC (PR, E, …), or [Unclassified] without one.
//   - A book is all rows with the same title and authors, case and white space aside ([text.Fold]). It stands in the
//     category of its first row.
//   - Categories and books come in the order of their first rows in the file, a book's editions in the order of their
//     Text#, each based on the one before.
//
// The package is pure: it knows nothing of ids, commands or limits of the catalogue. "Project Gutenberg" is a trademark of
// its owner: name it as the source, do not brand anything with it.
package gutenberg

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"accession/platform/problem"
	"accession/platform/text"
)

// Unclassified is the category of books whose first row has no Library of Congress class. No class can have this name.
const Unclassified = "Unclassified"

// Catalogue is what a file holds, in the order in which it is to be added, and what there is to say about its rows. Every
// row is either one Edition or one Note of kind Skipped.
type Catalogue struct {
	Categories []Category // none is empty
	Rows       int        // how many rows the file has, the header not counted
	Notes      []Note     // in the order of the file
}

// Category is a class of the Library of Congress, by its letters.
type Category struct {
	Name  string // one to three capital letters, or Unclassified
	Books []Book // at least one
}

// Book is the rows with one title and authors.
type Book struct {
	Key      string    // the Text# of its first edition: names the book for as long as that row is in the feed
	Title    string    // as its first row has it, white space folded
	Authors  []string  // as its first row has them, one by one, white space folded, roles in brackets kept; may be empty
	Editions []Edition // at least one, by Text#
}

// Edition is a row.
type Edition struct {
	Key      string // its Text#, which is unique in the file
	Line     int    // the line of the file on which its row begins, counted from 1
	Year     int    // of its Issued date
	Language string // as the file has it: "en", or several, "de; en"; may be empty

	number int // Key as a number, to sort by
}

// Kind is what became of a row that there is something to say about.
type Kind string

// The kinds of notes.
const (
	Skipped Kind = "skipped" // nothing was taken from the row
	Warned  Kind = "warned"  // the row was taken, and somebody should look at it
)

// Note says something about one row.
type Note struct {
	Line   int    // the line of the file on which the row begins, counted from 1
	Key    string // what the row has as its Text#, right or wrong
	Kind   Kind
	Reason string // a sentence without its subject, the row: "has no title"
}

// The columns, in the order of the feed.
const (
	colText = iota
	colType
	colIssued
	colTitle
	colLanguage
	colAuthors
	colSubjects
	colLoCC
	colBookshelves
)

var header = []string{
	colText: "Text#", colType: "Type", colIssued: "Issued", colTitle: "Title", colLanguage: "Language",
	colAuthors: "Authors", colSubjects: "Subjects", colLoCC: "LoCC", colBookshelves: "Bookshelves",
}

// Parse reads the whole of r: the feed as it is published, in UTF-8 (with or without byte order mark), unpacked.
//
// A row with a wrong value (no title, a bad date, a Text# that is no number or was there before, too few or too many
// columns) is skipped, with a Note. A file that is cut off is read up to its end: if its last row lacks no more than the end
// of its last column, from which nothing is taken, it counts, with a warning; otherwise it is skipped.
//
// A file that as a whole cannot be trusted is a [problem.Error] of kind Invalid that says where and what to do, and nothing
// is taken from it: one that is empty, has other columns or another encoding, or in which a quotation mark is missing. An
// error of r itself is returned wrapped.
//
// Parse holds the file in memory, some 300 bytes a row. It is safe for concurrent use.
func Parse(r io.Reader) (*Catalogue, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	if data, err = decode(data); err != nil {
		return nil, err
	}
	// The feed ends with a line end, outside of quotation marks; a file that does not was cut off. Where that was inside of
	// them (their number is odd), closing them lets what is there of the row be read.
	cutOff := !bytes.HasSuffix(data, []byte("\n"))
	if bytes.Count(data, []byte(`"`))%2 == 1 {
		cutOff = true
		data = append(data, '"')
	}

	rows := csv.NewReader(bytes.NewReader(data))
	rows.FieldsPerRecord = -1 // judged row by row
	rows.ReuseRecord = true
	names, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, invalid(1, "the file is empty. Export or download the catalogue again.")
	}
	if err != nil {
		return nil, broken(err)
	}
	if !slices.Equal(names, header) {
		return nil, invalid(1, "the header is %q. A Project Gutenberg catalogue begins with %q; check that it is the right file.",
			shorten(strings.Join(names, ",")), strings.Join(header, ","))
	}

	b := builder{
		categories: make(map[string]int),
		books:      make(map[string]int),
		lines:      make(map[int]int),
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return b.catalogue(), nil
		}
		if err != nil {
			return nil, broken(err)
		}
		line, _ := rows.FieldPos(0)
		if i := slices.IndexFunc(row, hidesRow); i >= 0 {
			line, _ := rows.FieldPos(i)
			return nil, invalid(line, "a quotation mark opens here and swallows the rows below it. Close it, or delete the row, and import again.")
		}
		b.add(row, line, cutOff && rows.InputOffset() == int64(len(data)))
	}
}

// decode returns data without byte order mark, or says why it is not text in UTF-8.
func decode(data []byte) ([]byte, error) {
	const convert = "Save or convert the file as UTF-8 and import it again."
	for _, magic := range []struct{ bytes, what string }{
		{"\xff\xfe", "the file is in UTF-16. " + convert},
		{"\xfe\xff", "the file is in UTF-16. " + convert},
		{"\x1f\x8b", "the file is packed (gzip). Unpack it first."},
		{"PK\x03\x04", "the file is packed (zip) or a spreadsheet. Unpack it, or save it as CSV in UTF-8."},
	} {
		if bytes.HasPrefix(data, []byte(magic.bytes)) {
			return nil, invalid(1, "%s", magic.what)
		}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if tail := data[len(data)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) { // the file was cut off inside a character
				data = append(data[:len(data)-n], "\uFFFD"...)
			}
			break
		}
	}
	if i := firstInvalid(data); i >= 0 {
		return nil, invalid(1+bytes.Count(data[:i], []byte("\n")), "the file is not in UTF-8. "+convert)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, invalid(1+bytes.Count(data[:i], []byte("\n")), "the file holds a NUL byte, as text in UTF-16 or a damaged file does. "+convert)
	}
	return data, nil
}

// firstInvalid is where data stops being UTF-8; -1 when it does not.
func firstInvalid(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// rowStart is how a row begins. Inside a field it means that quotation marks are missing: the field has swallowed rows.
var rowStart = regexp.MustCompile(`(?m)^[0-9]+,[A-Za-z]+,[0-9]{4}-[0-9]{2}-[0-9]{2},`)

func hidesRow(field string) bool {
	_, rest, several := strings.Cut(field, "\n")
	return several && rowStart.MatchString(rest)
}

// broken is the error for what is not CSV.
func broken(err error) error {
	var at *csv.ParseError
	if !errors.As(err, &at) {
		return fmt.Errorf("read catalogue: %w", err)
	}
	return invalid(at.StartLine, "a quotation mark is missing or one too many in the row that begins here (noticed at byte %d of line %d). "+
		"A text with commas, line breaks or quotation marks stands in quotation marks, and those inside it are doubled; mend the row and import again.",
		at.Column, at.Line)
}

func invalid(line int, format string, args ...any) error {
	return problem.New(problem.Invalid, "", "line %d: %s Nothing was taken.", line, fmt.Sprintf(format, args...))
}

// builder gathers books and categories row by row, in the order of their first rows.
type builder struct {
	cat        Catalogue
	all        []Book
	in         []int          // the category of each book
	books      map[string]int // what the rows of a book have in common → its place in all
	categories map[string]int // name → its place in cat.Categories
	lines      map[int]int    // Text# → the line it was taken from
}

// add takes a row, or notes why not. A last row may be cut off in the column that it ends with.
func (b *builder) add(row []string, line int, cutOff bool) {
	b.cat.Rows++
	key := shorten(strings.TrimSpace(row[colText]))
	note := func(kind Kind, format string, args ...any) {
		b.cat.Notes = append(b.cat.Notes, Note{Line: line, Key: key, Kind: kind, Reason: fmt.Sprintf(format, args...)})
	}
	if len(row) != len(header) {
		if cutOff && len(row) < len(header) {
			note(Skipped, "is cut off by the end of the file in its column %s", header[len(row)-1])
		} else {
			note(Skipped, "has %d columns instead of %d", len(row), len(header))
		}
		return
	}
	if kind := strings.TrimSpace(row[colType]); kind != "Text" {
		note(Skipped, "is of type %q; only rows of type Text are taken", shorten(kind))
		return
	}
	n, err := strconv.Atoi(key)
	if err != nil || n < 1 || strconv.Itoa(n) != key {
		note(Skipped, "has the Text# %q; it should be a number such as 1342", key)
		return
	}
	if first, ok := b.lines[n]; ok {
		note(Skipped, "has the Text# of the row on line %d", first)
		return
	}
	issued, err := time.Parse(time.DateOnly, strings.TrimSpace(row[colIssued]))
	if err != nil {
		note(Skipped, "has the Issued date %q; it should be one such as 1998-06-01", shorten(row[colIssued]))
		return
	}
	title := text.Squeeze(row[colTitle])
	if title == "" {
		note(Skipped, "has no title")
		return
	}

	class, ok := category(row[colLoCC])
	if !ok {
		note(Warned, "has the LoCC %q, which does not begin with the letters of a class; it counts as %s", shorten(row[colLoCC]), Unclassified)
	}
	if cutOff {
		note(Warned, "may be cut off by the end of the file in its last column, %s, from which nothing is taken", header[colBookshelves])
	}
	b.lines[n] = line
	by := authors(row[colAuthors])
	same := text.Fold(title) + "\n" + text.Fold(strings.Join(by, "; ")) // no line break is left in either
	i, known := b.books[same]
	if !known {
		i = len(b.all)
		b.books[same] = i
		b.all = append(b.all, Book{Title: title, Authors: by})
		c, known := b.categories[class]
		if !known {
			c = len(b.cat.Categories)
			b.categories[class] = c
			b.cat.Categories = append(b.cat.Categories, Category{Name: class})
		}
		b.in = append(b.in, c)
	}
	b.all[i].Editions = append(b.all[i].Editions, Edition{
		Key:      key,
		Line:     line,
		Year:     issued.Year(),
		Language: text.Squeeze(row[colLanguage]),
		number:   n,
	})
}

// catalogue is all that was added.
func (b *builder) catalogue() *Catalogue {
	for i, book := range b.all {
		slices.SortFunc(book.Editions, func(x, y Edition) int { return cmp.Compare(x.number, y.number) })
		book.Key = book.Editions[0].Key
		c := &b.cat.Categories[b.in[i]]
		c.Books = append(c.Books, book)
	}
	return &b.cat
}

// category is the letters of the first class in locc: "PR" of "PR", "E" of "E201; JK". A class has one to three letters
// (Library of Congress Classification). It is Unclassified where there is none; ok is false where there is something else.
func category(locc string) (name string, ok bool) {
	for class := range strings.SplitSeq(locc, ";") {
		class = strings.ToUpper(strings.TrimSpace(class))
		if class == "" {
			continue
		}
		letters := class
		if i := strings.IndexFunc(class, func(r rune) bool { return r < 'A' || r > 'Z' }); i >= 0 {
			letters = class[:i]
		}
		if letters == "" || len(letters) > 3 {
			return Unclassified, false
		}
		return letters, true
	}
	return Unclassified, true
}

// authors are the authors one by one.
func authors(s string) []string {
	var all []string
	for a := range strings.SplitSeq(s, ";") {
		if a = text.Squeeze(a); a != "" {
			all = append(all, a)
		}
	}
	return all
}

// shorten cuts what a note or an error quotes to a length that can be read.
func shorten(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
