package exchange

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/platform/problem"
	"accession/platform/text"
)

// columns are those of a csv file: a row is an edition, with what it belongs to.
var columns = []string{"category", "book", "title", "authors", "edition", "base", "isbn", "publisher", "year", "language", "format"}

// The columns, by place.
const (
	colCategory = iota
	colBook
	colTitle
	colAuthors
	colEdition
	colBase
	colISBN
	colPublisher
	colYear
	colLanguage
	colFormat
)

// WriteCSV writes the editions that are not withdrawn to w, a row each, with what they belong to; of several libraries, one
// after the other. There are no numbers in it, and no empty categories.
func (all *Catalogue) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write(columns) // Flush says it all
	for _, l := range all.Libraries {
		for _, c := range l.Categories {
			for _, b := range c.Books {
				written, bases := map[string]bool{}, map[string]string{}
				for _, e := range b.Editions {
					bases[e.ID] = e.Base
					if e.Withdrawn || e.wrong != nil {
						continue
					}
					row := []string{c.Name, b.ID, b.Title, joinAuthors(b.Authors), e.ID, "", e.ISBN, e.Publisher, "", e.Language, e.Format}
					// In the place of a base that is withdrawn stands what that was based on.
					base := e.Base
					for base != "" && !written[base] {
						base = bases[base]
					}
					row[colBase] = base
					if e.Year != 0 {
						row[colYear] = strconv.Itoa(e.Year)
					}
					_ = out.Write(row)
					written[e.ID] = true
				}
			}
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write catalogue: %w", err)
	}
	return nil
}

// Authors are in one column, with semicolons between them; a backslash stands before one that belongs to a name, and before
// a backslash.
var escapeAuthor = strings.NewReplacer(`\`, `\\`, `;`, `\;`)

func joinAuthors(authors []string) string {
	escaped := make([]string, len(authors))
	for i, a := range authors {
		escaped[i] = escapeAuthor.Replace(a)
	}
	return strings.Join(escaped, "; ")
}

func splitAuthors(s string) []string {
	var authors []string
	var name strings.Builder
	end := func() {
		if a := text.Squeeze(name.String()); a != "" {
			authors = append(authors, a)
		}
		name.Reset()
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ';':
			end()
			continue
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == ';' || s[i+1] == '\\'):
			i++
		}
		name.WriteByte(s[i])
	}
	end()
	return authors
}

// ParseCSV reads the whole of r: the header, and a row for each edition. Columns book, edition and base are names of the file's
// own: rows with one book are editions of it, and without one the category, title and authors name it; an edition is named by
// what is printed in it then, and one without a base is based on the one above it. These names are what makes a row the same
// when the file is imported again.
//
// A row in whose fields something is wrong is in the catalogue too: an import refuses it, with what depends on it. A file that
// is not such is [ErrFile], with the line, and nothing is taken from it. An error of r itself is returned wrapped.
func ParseCSV(r io.Reader) (*Catalogue, error) {
	data, err := decode(r)
	if err != nil {
		return nil, err
	}
	rows := csv.NewReader(bytes.NewReader(data))
	rows.FieldsPerRecord = -1
	header, err := rows.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, wrong(1, "the file is empty")
	case err != nil:
		return nil, csvTrouble(err)
	case !slices.Equal(header, columns):
		return nil, wrong(1, "the header is not %s", strings.Join(columns, ","))
	}
	p := tabular{
		lib: &Library{}, categories: map[string]*Category{}, books: map[string]*Book{}, in: map[*Book]*Category{},
		editions: map[string]namedEdition{}, all: &Catalogue{source: "csv"},
	}
	p.all.Libraries = []*Library{p.lib}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, csvTrouble(err)
		}
		line, _ := rows.FieldPos(0)
		if len(row) != len(columns) {
			return nil, wrong(line, "it has %d columns, and the header %d", len(row), len(columns))
		}
		p.all.Rows++
		p.add(line, row)
	}
	return p.all, nil
}

func csvTrouble(err error) error {
	var e *csv.ParseError
	if !errors.As(err, &e) {
		return fmt.Errorf("read catalogue: %w", err)
	}
	return wrong(e.StartLine, "a quotation mark is missing, or there is one too many: write a field that has some in quotation marks, and double those")
}

// tabular is a csv file on its way in.
type tabular struct {
	all        *Catalogue
	lib        *Library
	categories map[string]*Category
	books      map[string]*Book
	in         map[*Book]*Category
	editions   map[string]namedEdition
}

// namedEdition is the book of an edition, and the line that named it.
type namedEdition struct {
	*Book
	line int
}

func (p *tabular) add(line int, row []string) {
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	b, wrong := p.book(line, row)
	e := &Edition{ID: row[colEdition], Base: row[colBase], line: line, Imprint: editionsevents.Imprint{
		ISBN: row[colISBN], Publisher: row[colPublisher], Language: row[colLanguage], Format: row[colFormat],
	}}
	if y := row[colYear]; y != "" {
		var err error
		if e.Year, err = strconv.Atoi(y); err != nil || e.Year <= 0 {
			e.Year = 0
			wrong.Add("year", "%q is not a year", y)
		}
	}
	unnamed := e.ID == ""
	if unnamed {
		e.ID = key(b.ID, e.ISBN, e.Publisher, row[colYear], e.Language, e.Format)
	}
	e.wrong = wrong.Err()
	if e.Base != "" && p.editions[e.Base].Book != b {
		e.wrong = problem.Join(e.wrong, problem.New(problem.Refused, editions.ErrBaseEditionNotFound.Code,
			"the base %q is not an edition of the book above it in the file", e.Base))
	}
	switch above := p.editions[e.ID]; {
	case above.Book == nil:
		p.editions[e.ID] = namedEdition{b, line}
	case e.wrong != nil:
	case unnamed:
		p.all.skipped = append(p.all.skipped, Line{Line: line, Outcome: Skipped, Detail: "the same stands above it"})
		return
	default:
		e.wrong = problem.InvalidField("edition", e.ID, "%q is that of another row, in line %d", e.ID, above.line)
	}
	b.Editions = append(b.Editions, e)
}

// book finds the row's book, or begins it, and tells what is wrong with the row's category and book. A missing title is left to
// the catalogue.
func (p *tabular) book(line int, row []string) (*Book, problem.Fields) {
	name := text.Fold(row[colCategory])
	c := p.categories[name]
	if c == nil {
		c = &Category{ID: key(name), Name: row[colCategory], line: line}
		p.categories[name], p.lib.Categories = c, append(p.lib.Categories, c)
	}
	authors := splitAuthors(row[colAuthors])
	id := row[colBook]
	if id == "" {
		folded := []string{name, text.Fold(row[colTitle])}
		for _, a := range authors {
			folded = append(folded, text.Fold(a))
		}
		id = key(folded...)
	}
	var wrong problem.Fields
	_, err := text.Required(text.Squeeze(row[colCategory]), longestName)
	wrong.Check("category", err)
	b := p.books[id]
	switch {
	case b == nil:
		b = &Book{ID: id, Title: row[colTitle], Authors: authors, line: line}
		p.books[id], p.in[b], c.Books = b, c, append(c.Books, b)
	case p.in[b] != c || row[colBook] != "" && (b.Title != row[colTitle] || !slices.Equal(b.Authors, authors)):
		wrong.Add("book", "%q has another category, title or authors in line %d", id, b.line)
	}
	return b, wrong
}

// key joins parts so that no two lists of them give the same, and none is like a name that people type.
func key(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = strconv.Quote(p)
	}
	return strings.Join(quoted, "/")
}
