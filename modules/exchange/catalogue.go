package exchange

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/eventlog"
	"accession/platform/reference"
)

// Catalogue is what a file of ours holds, or is to hold: the libraries as they are now, with the ids that the file names things
// by. Everything is in the order in which it is created anew, by number within its parent.
type Catalogue struct {
	Libraries []*Library
	Rows      int // how many things there are

	skipped []Line // what says nothing new
	source  string // names the format in derived ids: stored, in a way
}

// Library is a library of a file. Last is the last of its categories' numbers that was used, also by one that is gone; 0 where
// a file has no numbers. UsedUp says the same of what is gone.
type Library struct {
	ID, Name   string
	Last       int
	UsedUp     []UsedUp
	Categories []*Category

	line int
}

// UsedUp is the last number that was used in a category that is gone, or in a book that is, by where it stood: labels with these
// references say of what they name that it was withdrawn. One is not said, for nothing was ever without it.
type UsedUp struct {
	In   reference.Reference
	Last int

	line int
}

// Category is a category of a file. Last is as Library's, of its books.
type Category struct {
	ID, Name string
	Number   int // 0: none yet
	Last     int
	Books    []*Book

	line int
	gone bool // it only uses up its number
}

// Book is a book of a file. Last is as Library's, of its editions. Former are the places that it had before the one that it has
// now, oldest first, by the numbers of the category and of the book in it: labels with these references lead to the book too.
type Book struct {
	ID, Title string
	Authors   []string
	Number    int
	Former    []reference.Reference
	Last      int
	Editions  []*Edition

	line int
	gone bool
}

// Edition is an edition of a file. One that was withdrawn is kept as long as its book is: others may be based on it. It has
// let go of its ISBN.
type Edition struct {
	ID, Base  string
	Number    int
	Withdrawn bool
	editionsevents.Imprint

	line  int
	gone  bool
	wrong error // with the row that it was read from: it is to be refused
}

// Read gives the catalogue that the log tells of, or only the one library of it. A library that is not there is not in it. The
// reader should be a snapshot's.
func Read(ctx context.Context, log eventlog.Reader, only libraryevents.LibraryID) (*Catalogue, error) {
	p := player{
		libraries: map[libraryevents.LibraryID]*Library{}, categories: map[libraryevents.CategoryID]*Category{},
		books: map[catalogueevents.BookID]*placedBook{}, editions: map[editionsevents.EditionID]*placedEdition{},
	}
	for env, err := range log.Read(ctx, eventlog.Query{Tag: only.Tag()}) {
		if err != nil {
			return nil, fmt.Errorf("read catalogue: %w", err)
		}
		p.play(env.Event)
	}
	return p.catalogue(), nil
}

// player folds the log to a catalogue.
type player struct {
	order      []*Library
	libraries  map[libraryevents.LibraryID]*Library
	categories map[libraryevents.CategoryID]*Category
	books      map[catalogueevents.BookID]*placedBook
	editions   map[editionsevents.EditionID]*placedEdition
}

// placedBook is a book with the category that it stands in.
type placedBook struct {
	Book
	library  libraryevents.LibraryID
	category libraryevents.CategoryID
}

// placedEdition is an edition with its book.
type placedEdition struct {
	Edition
	book catalogueevents.BookID
}

func (p *player) play(e any) {
	switch e := e.(type) {
	case *libraryevents.LibraryOpened:
		l := &Library{ID: e.Library.String(), Name: e.Name}
		p.libraries[e.Library], p.order = l, append(p.order, l)
	case *libraryevents.LibraryRenamed:
		p.libraries[e.Library].Name = e.Name
	case *libraryevents.CategoryCreated:
		l, c := p.libraries[e.Library], &Category{ID: e.Category.String(), Name: e.Name, Number: e.Number}
		p.categories[e.Category], l.Categories, l.Last = c, append(l.Categories, c), max(l.Last, e.Number)
	case *libraryevents.CategoryRenamed:
		p.categories[e.Category].Name = e.Name
	case *libraryevents.CategoryWithdrawn:
		p.categories[e.Category].gone = true
	case *catalogueevents.BookAdded:
		p.books[e.Book] = &placedBook{Book: Book{ID: e.Book.String(), Title: e.Title, Authors: e.Authors}, library: e.Library}
		p.place(e.Book, e.Category, e.Number)
	case *catalogueevents.BookMoved:
		p.place(e.Book, e.Category, e.Number)
	case *catalogueevents.BookCorrected:
		b := p.books[e.Book]
		b.Title, b.Authors = e.Title, e.Authors
	case *catalogueevents.BookWithdrawn:
		p.books[e.Book].gone = true
	case *editionsevents.EditionAdded:
		b := p.books[e.Book]
		ed := &placedEdition{Edition: Edition{ID: e.Edition.String(), Number: e.Number, Imprint: e.Imprint}, book: e.Book}
		if !e.Base.IsZero() {
			ed.Base = e.Base.String()
		}
		p.editions[e.Edition], b.Editions, b.Last = ed, append(b.Editions, &ed.Edition), max(b.Last, e.Number)
	case *editionsevents.EditionCorrected:
		p.editions[e.Edition].Imprint = e.Imprint
	case *editionsevents.EditionWithdrawn:
		ed := p.editions[e.Edition]
		ed.Withdrawn, ed.ISBN = true, ""
	}
}

func (p *player) place(id catalogueevents.BookID, in libraryevents.CategoryID, number int) {
	b, c := p.books[id], p.categories[in]
	if was := p.categories[b.category]; was != nil && was.Number > 0 && b.Number > 0 {
		b.Former = append(b.Former, reference.Reference{Category: was.Number, Book: b.Number})
	}
	b.category, b.Number, c.Last = in, number, max(c.Last, number)
}

func (p *player) catalogue() *Catalogue {
	for _, b := range p.books {
		c := p.categories[b.category]
		if !b.gone {
			c.Books = append(c.Books, &b.Book)
			continue
		}
		for _, place := range append(b.Former, reference.Reference{Category: c.Number, Book: b.Number}) {
			if place.Levels() == 2 {
				p.libraries[b.library].usedUp(place, b.Last)
			}
		}
	}
	all := &Catalogue{Libraries: p.order}
	for _, l := range p.order {
		for _, c := range l.Categories {
			if c.gone {
				l.usedUp(reference.Reference{Category: c.Number}, c.Last)
			}
		}
		l.Categories = slices.DeleteFunc(l.Categories, func(c *Category) bool { return c.gone })
		slices.SortFunc(l.UsedUp, func(a, b UsedUp) int {
			return cmp.Or(cmp.Compare(a.In.Category, b.In.Category), cmp.Compare(a.In.Book, b.In.Book))
		})
	}
	all.tidy()
	return all
}

// usedUp notes the last number of something that is gone.
func (l *Library) usedUp(in reference.Reference, last int) {
	if last > 1 && in.Levels() > 0 {
		l.UsedUp = append(l.UsedUp, UsedUp{In: in, Last: last})
	}
}

// tidy brings everything into order, and counts it.
func (all *Catalogue) tidy() {
	all.Rows = len(all.Libraries)
	for _, l := range all.Libraries {
		all.Rows += len(l.Categories)
		slices.SortStableFunc(l.Categories, func(a, b *Category) int { return byNumber(a.Number, b.Number) })
		for _, c := range l.Categories {
			all.Rows += len(c.Books)
			// Books of a fold come in no order: those without a number stand by their ids, which are by age.
			slices.SortStableFunc(c.Books, func(a, b *Book) int {
				return cmp.Or(byNumber(a.Number, b.Number), cmp.Compare(a.line, b.line), cmp.Compare(a.ID, b.ID))
			})
			for _, b := range c.Books {
				all.Rows += len(b.Editions)
				slices.SortStableFunc(b.Editions, func(a, b *Edition) int { return byNumber(a.Number, b.Number) })
			}
		}
	}
}

// Editions is how many editions there are.
func (all *Catalogue) Editions() int {
	n := 0
	for _, l := range all.Libraries {
		for _, c := range l.Categories {
			for _, b := range c.Books {
				n += len(b.Editions)
			}
		}
	}
	return n
}

// byNumber compares numbers; one that is still to be assigned comes last.
func byNumber(a, b int) int {
	if a == 0 || b == 0 {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}
