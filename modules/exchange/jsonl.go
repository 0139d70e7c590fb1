package exchange

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"accession/modules/library/libraryevents"
	"accession/platform/problem"
	"accession/platform/reference"
	"accession/platform/text"
)

// How many numbers of what is gone a scope of a file, and a whole file, may have: each is used up again by an import, in a command
// of its own, and is held in memory until then. A line that says so is short.
const (
	maxUsedUp      = 100_000
	maxUsedUpInAll = 500_000
)

// ErrFile: the file as a whole cannot be trusted; nothing of it is taken.
var ErrFile = problem.New(problem.Invalid, "file-invalid", "")

func wrong(line int, format string, args ...any) error {
	return problem.New(ErrFile.Kind, ErrFile.Code, "Line %d: %s.", line, fmt.Sprintf(format, args...))
}

// object is any line of a jsonl file.
type object struct {
	Kind      string    `json:"kind"`
	ID        string    `json:"id,omitempty"`
	Library   string    `json:"library_id,omitempty"`
	Category  string    `json:"category_id,omitempty"`
	Book      string    `json:"book_id,omitempty"`
	Number    *int      `json:"number,omitempty"`
	Reference *string   `json:"reference,omitempty"`
	Former    []string  `json:"former,omitempty"`
	Name      string    `json:"name,omitempty"`
	Title     string    `json:"title,omitempty"`
	Authors   *[]string `json:"authors,omitempty"`
	Base      string    `json:"base_edition_id,omitempty"`
	ISBN      string    `json:"isbn,omitempty"`
	Publisher string    `json:"publisher,omitempty"`
	Year      int       `json:"year,omitempty"`
	Language  string    `json:"language,omitempty"`
	Format    string    `json:"format,omitempty"`
	Withdrawn bool      `json:"withdrawn,omitempty"`
	In        string    `json:"in,omitempty"`
	Last      int       `json:"last,omitempty"`
}

// WriteJSONL writes the catalogue to w, one JSON object a line: what is above comes first, and then by number, which is the
// order in which everything can be created.
func (all *Catalogue) WriteJSONL(w io.Writer) error {
	buffer := bufio.NewWriter(w)
	enc := json.NewEncoder(buffer)
	enc.SetEscapeHTML(false)
	var err error
	put := func(o object, numbers ...int) {
		if n := len(numbers); n > 0 && numbers[n-1] != 0 {
			o.Number = &numbers[n-1]
		}
		if ref := reference.Of(numbers...); ref != "" {
			o.Reference = &ref
		}
		if err == nil {
			err = enc.Encode(o)
		}
	}
	used := func(in string, last, live int) {
		if last > live {
			put(object{Kind: "number", In: in, Last: last})
		}
	}
	for _, l := range all.Libraries {
		put(object{Kind: "library", ID: l.ID, Name: l.Name})
		used("library:"+l.ID, l.Last, numbered(l.Categories, func(c *Category) int { return c.Number }))
		for _, u := range l.UsedUp {
			used("library:"+l.ID+"/"+u.In.String(), u.Last, 0)
		}
		for _, c := range l.Categories {
			put(object{Kind: "category", ID: c.ID, Library: l.ID, Name: c.Name}, c.Number)
			used("category:"+c.ID, c.Last, numbered(c.Books, func(b *Book) int { return b.Number }))
			for _, b := range c.Books {
				authors := append([]string{}, b.Authors...)
				var former []string
				for _, f := range b.Former {
					former = append(former, f.String())
				}
				put(object{Kind: "book", ID: b.ID, Library: l.ID, Category: c.ID, Title: b.Title, Authors: &authors, Former: former}, c.Number, b.Number)
				used("book:"+b.ID, b.Last, numbered(b.Editions, func(e *Edition) int {
					if e.Withdrawn {
						return 0
					}
					return e.Number
				}))
				for _, e := range b.Editions {
					put(object{
						Kind: "edition", ID: e.ID, Library: l.ID, Category: c.ID, Book: b.ID, Base: e.Base, Withdrawn: e.Withdrawn,
						ISBN: e.ISBN, Publisher: e.Publisher, Year: e.Year, Language: e.Language, Format: e.Format,
					}, c.Number, b.Number, e.Number)
				}
			}
		}
	}
	if err == nil {
		err = buffer.Flush()
	}
	if err != nil {
		return fmt.Errorf("write catalogue: %w", err)
	}
	return nil
}

// numbered is how many have a number.
func numbered[T any](all []T, number func(T) int) (n int) {
	for _, t := range all {
		if number(t) > 0 {
			n++
		}
	}
	return n
}

// ParseJSONL reads the whole of r, as [Catalogue.WriteJSONL] writes it. What an object names must be above it; in which order
// siblings come does not matter, their numbers do. References are not read: they follow from the numbers. A file that is not
// such is [ErrFile], with the line, and nothing is taken from it; nor is one whose books cannot have had their former places. An
// error of r itself is returned wrapped.
func ParseJSONL(r io.Reader) (*Catalogue, error) {
	data, err := decode(r)
	if err != nil {
		return nil, err
	}
	p := jsonl{
		all: &Catalogue{source: "jsonl"}, libraries: map[string]*Library{}, categories: map[string]*Category{},
		books: map[string]*Book{}, editions: map[string]*Book{}, bookIn: map[string]string{}, categoryIn: map[string]string{},
	}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var o object
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&o); err != nil {
			return nil, wrong(line, "%s", jsonTrouble(text, err))
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, wrong(line, "there is more behind the object: write one object a line")
		}
		if err := p.add(line, o); err != nil {
			return nil, err
		}
	}
	if len(p.all.Libraries) == 0 {
		return nil, wrong(max(line, 1), "the file holds no library. Export the catalogue again")
	}
	p.all.tidy()
	return p.all, p.all.check()
}

// jsonTrouble says what is wrong with a line, to people who know neither Go nor its names for things.
func jsonTrouble(line []byte, err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Sprintf("%s is %s; it must be %s", kind.Field, written(kind.Value), wanted(kind.Type))
	case errors.As(err, &kind):
		return fmt.Sprintf("it is %s; it must be an object, between { and }", written(kind.Value))
	case errors.As(err, &syntax):
		at := utf8.RuneCount(line[:min(max(int(syntax.Offset), 0), len(line))])
		return fmt.Sprintf("it stops being JSON at character %d: check the quotation marks, commas and brackets around it", at)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the object ends too early: a quotation mark or a bracket is missing, or the file was cut off"
	}
	// The decoder has no type for this one.
	if _, field, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return fmt.Sprintf("there is no field %s: check how it is written", field)
	}
	return "it is not an object as an export has them"
}

// written names what a line has, and wanted what it should have, in plain words.
func written(value string) string {
	switch value {
	case "string":
		return "text"
	case "number":
		return "a number"
	case "bool":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return "the " + value // "number 1.5"
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int:
		return "a whole number of at most " + strconv.Itoa(maxNumber)
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list of texts"
	default:
		return "text, in quotation marks"
	}
}

// decode reads text in UTF-8, with or without a byte order mark.
func decode(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	line := 1
	for rest := data; len(rest) > 0; {
		c, n := utf8.DecodeRune(rest)
		switch {
		case c == utf8.RuneError && n == 1:
			return nil, wrong(line, "the file is not in UTF-8. Save or convert it as UTF-8 and import it again")
		case c == 0:
			return nil, wrong(line, "the file holds a NUL byte, as text in UTF-16 or a damaged file does. Save it as UTF-8 and import it again")
		case c == '\n':
			line++
		}
		rest = rest[n:]
	}
	return data, nil
}

// jsonl is a file on its way in.
type jsonl struct {
	all                *Catalogue
	libraries          map[string]*Library
	categories         map[string]*Category
	books, editions    map[string]*Book // editions: the book that each is of
	categoryIn, bookIn map[string]string
}

func (p *jsonl) add(line int, o object) error {
	switch o.Kind {
	case "number":
		return p.used(line, o)
	case "library", "category", "book", "edition":
	default:
		return wrong(line, "kind is %q: there are library, category, book, edition and number", o.Kind)
	}
	number := 0
	if o.Number != nil {
		if number = *o.Number; number < 1 || number > maxNumber {
			return wrong(line, "number is %d: it counts from 1 to %d", number, maxNumber)
		}
	}
	var id libraryevents.LibraryID // the form is the same for all
	if err := id.UnmarshalText([]byte(o.ID)); err != nil {
		return wrong(line, "id is %q, and not a UUID", o.ID)
	}
	o.ID = id.String()
	for _, ref := range []*string{&o.Library, &o.Category, &o.Book, &o.Base} {
		*ref = strings.ToLower(*ref)
	}
	if p.libraries[o.ID] != nil || p.categories[o.ID] != nil || p.books[o.ID] != nil || p.editions[o.ID] != nil {
		return wrong(line, "the id %s is in the file already", o.ID)
	}
	if o.Withdrawn && o.Kind != "edition" {
		return wrong(line, "a %s that was withdrawn cannot be in a file: leave it out, and say which numbers were used in a line of kind number", o.Kind)
	}
	for _, s := range []*string{&o.Name, &o.Title, &o.Publisher, &o.Language, &o.Format} {
		*s = inOneLine(*s)
	}
	if o.Authors != nil {
		for i, a := range *o.Authors {
			(*o.Authors)[i] = inOneLine(a)
		}
	}
	missing := func(what, id string) error {
		return wrong(line, "its %s %q is not above it in the file", what, id)
	}
	switch o.Kind {
	case "library":
		l := &Library{ID: o.ID, Name: o.Name, line: line}
		p.libraries[o.ID], p.all.Libraries = l, append(p.all.Libraries, l)
	case "category":
		l := p.libraries[o.Library]
		if l == nil {
			return missing("library", o.Library)
		}
		c := &Category{ID: o.ID, Name: o.Name, Number: number, line: line}
		p.categories[o.ID], p.categoryIn[o.ID], l.Categories = c, o.Library, append(l.Categories, c)
	case "book":
		c := p.categories[o.Category]
		if c == nil {
			return missing("category", o.Category)
		}
		if o.Library != "" && o.Library != p.categoryIn[o.Category] {
			return wrong(line, "its category is not in its library %q", o.Library)
		}
		b := &Book{ID: o.ID, Title: o.Title, Number: number, line: line}
		if o.Authors != nil {
			b.Authors = *o.Authors
		}
		for _, former := range o.Former {
			place, err := reference.Parse(former)
			if err != nil || place.Levels() != 2 {
				return wrong(line, "former has %q, and not the numbers of a category and of a book in it, as 3.14", former)
			}
			b.Former = append(b.Former, place)
		}
		p.books[o.ID], p.bookIn[o.ID], c.Books = b, o.Category, append(c.Books, b)
	case "edition":
		b := p.books[o.Book]
		switch {
		case b == nil:
			return missing("book", o.Book)
		case o.Category != "" && o.Category != p.bookIn[o.Book]:
			return wrong(line, "its book is not in its category %q", o.Category)
		case o.Base != "" && p.editions[o.Base] != b:
			return missing("base", o.Base)
		}
		e := &Edition{ID: o.ID, Base: o.Base, Number: number, Withdrawn: o.Withdrawn, line: line}
		e.ISBN, e.Publisher, e.Year, e.Language, e.Format = o.ISBN, o.Publisher, o.Year, o.Language, o.Format
		p.editions[o.ID], b.Editions = b, append(b.Editions, e)
	}
	return nil
}

// inOneLine folds white space where a text has line breaks or tabs, as files from elsewhere do. Any other text stays as it is: what
// was exported comes back the same.
func inOneLine(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) && !unicode.Is(unicode.Zs, r) }) {
		return text.Squeeze(s)
	}
	return s
}

// maxNumber is as high as references go.
const maxNumber = 1<<31 - 1

// used takes a line of kind number.
func (p *jsonl) used(line int, o object) error {
	kind, id, _ := strings.Cut(o.In, ":")
	id, in, gone := strings.Cut(strings.ToLower(id), "/")
	if o.Last < 1 || o.Last > maxNumber {
		return wrong(line, "last is %d: it counts from 1 to %d", o.Last, maxNumber)
	}
	var last *int
	switch {
	case gone:
		place, err := reference.Parse(in)
		l := p.libraries[id]
		if kind != "library" || l == nil || err != nil || place.Levels() > 2 {
			return wrong(line, "in is %q, and not a category or book of a library above it in the file, as library:ID/3 or library:ID/3.14", o.In)
		}
		l.UsedUp = append(l.UsedUp, UsedUp{In: place, Last: o.Last, line: line})
		return nil
	case kind == "library" && p.libraries[id] != nil:
		last = &p.libraries[id].Last
	case kind == "category" && p.categories[id] != nil:
		last = &p.categories[id].Last
	case kind == "book" && p.books[id] != nil:
		last = &p.books[id].Last
	default:
		return wrong(line, "in is %q, and not a library, category or book above it in the file, as category:ID, or something that is gone, as library:ID/3.14", o.In)
	}
	*last = max(*last, o.Last)
	return nil
}

// check finds what can be wrong with a catalogue as a whole, and completes Last. Everything is in order.
func (all *Catalogue) check() error {
	var gone usedUp
	for _, l := range all.Libraries {
		seen := map[int]bool{}
		for _, c := range l.Categories {
			if err := check(c.line, c.Number, seen, &l.Last); err != nil {
				return err
			}
			if len(c.Books) == 0 && c.Last == 0 {
				return wrong(c.line, "the category has no book in the file: write one, or the numbers that were used in it")
			}
			inCategory := map[int]bool{}
			for _, b := range c.Books {
				if err := check(b.line, b.Number, inCategory, &c.Last); err != nil {
					return err
				}
				if err := b.check(&gone); err != nil {
					return err
				}
			}
			if err := gone.count(c.line, c.Last, len(c.Books)); err != nil {
				return err
			}
		}
		if err := gone.count(l.line, l.Last, len(l.Categories)); err != nil {
			return err
		}
		if err := l.checkPlaces(&gone); err != nil {
			return err
		}
	}
	return nil
}

func (b *Book) check(gone *usedUp) error {
	inBook, above := map[int]bool{}, map[string]bool{"": true}
	live := false
	for i, e := range b.Editions {
		if err := check(e.line, e.Number, inBook, &b.Last); err != nil {
			return err
		}
		if i == 0 && e.Base != "" || !above[e.Base] {
			return wrong(e.line, "its base has no lower number than its own")
		}
		above[e.ID] = true
		live = live || !e.Withdrawn
	}
	if !live {
		return wrong(b.line, "the book has no edition in the file, or only withdrawn ones")
	}
	return gone.count(b.line, b.Last, len(b.Editions))
}

func check(line, number int, seen map[int]bool, last *int) error {
	if seen[number] && number != 0 {
		return wrong(line, "the number %d is taken by another in the file", number)
	}
	seen[number] = true
	*last = max(*last, number)
	return nil
}

// usedUp is how many numbers of what is gone a file has.
type usedUp int

// count counts those of a scope.
func (u *usedUp) count(line, last, live int) error {
	n := max(0, last-live)
	if n > maxUsedUp {
		return wrong(line, "more than %d numbers are used up in it", maxUsedUp)
	}
	if *u += usedUp(n); *u > maxUsedUpInAll {
		return wrong(line, "with it, more than %d numbers are used up in all", maxUsedUpInAll)
	}
	return nil
}
