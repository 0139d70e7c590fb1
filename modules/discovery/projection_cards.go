package discovery

import (
	"context"
	"slices"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/projection"
	"accession/platform/text"

	"github.com/uptrace/bun"
)

// Cards is everything that can be found: one card for each library, category, book and edition.
//
// A card stands in another one (an edition's in its book's), so a move, a rename or a late number changes one row, whatever
// stands below it. References are not stored: they are read off the numbers on the way up. To be current after more events
// it takes a handler for each: see the comments at the rows.
var Cards = projection.Projector{
	Name:    "discovery-cards",
	Version: 1,
	Tables: []projection.Table{
		{Model: (*entry)(nil), Indexes: []projection.Index{
			{Columns: []string{"parent", "number"}}, // what stands in something
			{Columns: []string{"library", "kind"}},  // how many books a library has
			{Columns: []string{"library", "isbn"}},
		}},
		{Model: (*place)(nil)},
		{Model: (*word)(nil), Indexes: []projection.Index{{Columns: []string{"entry", "word"}}}},
	},
	Handlers: projection.Handlers{
		projection.On(libraryOpened),
		projection.On(categoryCreated),
		projection.On(bookAdded),
		projection.On(editionAdded),
	},
}

// The kinds of entries: the words before the colon of their tags.
const (
	kindLibrary  = "library"
	kindCategory = "category"
	kindBook     = "book"
	kindEdition  = "edition"
)

// entry is one thing as it is now. A move sets Parent and Number, a rename or correction Title, Authors or the imprint, a late
// number Number, a withdrawal Withdrawn: each of one row.
type entry struct {
	bun.BaseModel `bun:"table:discovery_entries,alias:e"`

	Tag     event.Tag `bun:",pk"`      // with its kind: a client may give one UUID to a book and to an edition
	Kind    string    `bun:",notnull"` // the tag's
	Parent  event.Tag `bun:",notnull"` // what it stands in; "" for a library
	Library event.Tag `bun:",notnull"` // its own tag for a library
	Number  int       `bun:",notnull"` // in its parent; 0 while it is not numbered yet, and for a library
	Title   string    `bun:",notnull"` // a library's or category's name; "" for an edition
	Authors []string  // a book's

	Base      event.Tag `bun:",notnull"` // an edition's, as is the rest; "" for a book's first
	ISBN      string    `bun:"isbn,notnull"`
	Publisher string    `bun:",notnull"`
	Year      int       `bun:",notnull"`
	Language  string    `bun:",notnull"`
	Format    string    `bun:",notnull"`

	Withdrawn bool `bun:",notnull"`
}

// place says to what a number was given. It stays when that moves away, so that a former reference still finds it; a late
// number and a move add one.
type place struct {
	bun.BaseModel `bun:"table:discovery_places,alias:p"`

	Parent event.Tag `bun:",pk"`
	Number int       `bun:",pk"`
	Entry  event.Tag `bun:",notnull"`
}

// word is a word by which a book is found. The words of a book that is corrected are replaced: delete those of the old
// title and authors, put those of the new.
type word struct {
	bun.BaseModel `bun:"table:discovery_words,alias:w"`

	Library event.Tag `bun:",pk"`
	Word    []byte    `bun:",pk"` // UTF-8; bytes, because they sort and compare alike on every database, in every locale
	Entry   event.Tag `bun:",pk"`
}

func libraryOpened(_ context.Context, w *projection.Writer, e *libraryevents.LibraryOpened, _ event.Envelope) error {
	w.Put(&entry{Tag: e.Library.Tag(), Kind: kindLibrary, Library: e.Library.Tag(), Title: e.Name})
	return nil
}

func categoryCreated(_ context.Context, w *projection.Writer, e *libraryevents.CategoryCreated, _ event.Envelope) error {
	stand(w, entry{
		Tag: e.Category.Tag(), Kind: kindCategory, Parent: e.Library.Tag(), Library: e.Library.Tag(), Number: e.Number,
		Title: e.Name,
	})
	return nil
}

func bookAdded(_ context.Context, w *projection.Writer, e *catalogueevents.BookAdded, _ event.Envelope) error {
	stand(w, entry{
		Tag: e.Book.Tag(), Kind: kindBook, Parent: e.Category.Tag(), Library: e.Library.Tag(), Number: e.Number,
		Title: e.Title, Authors: e.Authors,
	})
	for _, s := range wordsOf(e.Title, e.Authors) {
		w.Put(&word{Library: e.Library.Tag(), Word: []byte(s), Entry: e.Book.Tag()})
	}
	return nil
}

func editionAdded(_ context.Context, w *projection.Writer, e *editionsevents.EditionAdded, _ event.Envelope) error {
	var base event.Tag
	if !e.Base.IsZero() {
		base = e.Base.Tag()
	}
	stand(w, entry{
		Tag: e.Edition.Tag(), Kind: kindEdition, Parent: e.Book.Tag(), Library: e.Library.Tag(), Number: e.Number,
		Base: base, ISBN: e.ISBN, Publisher: e.Publisher, Year: e.Year, Language: e.Language, Format: e.Format,
	})
	return nil
}

// stand puts e, and its place if it has a number.
func stand(w *projection.Writer, e entry) {
	w.Put(&e)
	if e.Number > 0 {
		w.Put(&place{Parent: e.Parent, Number: e.Number, Entry: e.Tag})
	}
}

// wordsOf are the words of a book, each once.
func wordsOf(title string, authors []string) []string {
	words := text.Words(title)
	for _, a := range authors {
		words = append(words, text.Words(a)...)
	}
	slices.Sort(words)
	return slices.Compact(words)
}
