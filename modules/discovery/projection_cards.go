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
	Version: 2,
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
		projection.On(libraryRenamed),
		projection.On(categoryRenamed),
		projection.On(categoryWithdrawn),
		projection.On(bookCorrected),
		projection.On(bookMoved),
		projection.On(bookWithdrawn),
		projection.On(editionCorrected),
		projection.On(editionWithdrawn),
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
	Revision  int  `bun:",notnull"` // the version of its own stream: what someone has seen who sees this
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

func libraryOpened(_ context.Context, w *projection.Writer, e *libraryevents.LibraryOpened, env event.Envelope) error {
	w.Put(&entry{Tag: e.Library.Tag(), Kind: kindLibrary, Library: e.Library.Tag(), Title: e.Name, Revision: env.Version})
	return nil
}

func categoryCreated(_ context.Context, w *projection.Writer, e *libraryevents.CategoryCreated, env event.Envelope) error {
	stand(w, entry{
		Tag: e.Category.Tag(), Kind: kindCategory, Parent: e.Library.Tag(), Library: e.Library.Tag(), Number: e.Number,
		Title: e.Name, Revision: env.Version,
	})
	return nil
}

func bookAdded(_ context.Context, w *projection.Writer, e *catalogueevents.BookAdded, env event.Envelope) error {
	stand(w, entry{
		Tag: e.Book.Tag(), Kind: kindBook, Parent: e.Category.Tag(), Library: e.Library.Tag(), Number: e.Number,
		Title: e.Title, Authors: e.Authors, Revision: env.Version,
	})
	for _, s := range wordsOf(e.Title, e.Authors) {
		w.Put(wordOf(e.Library, e.Book, s))
	}
	return nil
}

func editionAdded(_ context.Context, w *projection.Writer, e *editionsevents.EditionAdded, env event.Envelope) error {
	var base event.Tag
	if !e.Base.IsZero() {
		base = e.Base.Tag()
	}
	stand(w, entry{
		Tag: e.Edition.Tag(), Kind: kindEdition, Parent: e.Book.Tag(), Library: e.Library.Tag(), Number: e.Number,
		Base: base, ISBN: e.ISBN, Publisher: e.Publisher, Year: e.Year, Language: e.Language, Format: e.Format, Revision: env.Version,
	})
	return nil
}

func libraryRenamed(ctx context.Context, w *projection.Writer, e *libraryevents.LibraryRenamed, env event.Envelope) error {
	return change(ctx, w, e.Library.Tag(), env, func(was *entry) { was.Title = e.Name })
}

func categoryRenamed(ctx context.Context, w *projection.Writer, e *libraryevents.CategoryRenamed, env event.Envelope) error {
	return change(ctx, w, e.Category.Tag(), env, func(was *entry) { was.Title = e.Name })
}

func categoryWithdrawn(ctx context.Context, w *projection.Writer, e *libraryevents.CategoryWithdrawn, env event.Envelope) error {
	return change(ctx, w, e.Category.Tag(), env, withdraw)
}

func bookCorrected(ctx context.Context, w *projection.Writer, e *catalogueevents.BookCorrected, env event.Envelope) error {
	var former []string
	err := change(ctx, w, e.Book.Tag(), env, func(was *entry) {
		former = wordsOf(was.Title, was.Authors)
		was.Title, was.Authors = e.Title, e.Authors
	})
	if err != nil {
		return err
	}
	for _, s := range former {
		w.Delete(wordOf(e.Library, e.Book, s))
	}
	for _, s := range wordsOf(e.Title, e.Authors) {
		w.Put(wordOf(e.Library, e.Book, s))
	}
	return nil
}

// bookMoved adds a place and leaves the former one: what is printed on the book's label still finds it.
func bookMoved(ctx context.Context, w *projection.Writer, e *catalogueevents.BookMoved, env event.Envelope) error {
	if e.Number > 0 {
		w.Put(&place{Parent: e.Category.Tag(), Number: e.Number, Entry: e.Book.Tag()})
	}
	return change(ctx, w, e.Book.Tag(), env, func(was *entry) { was.Parent, was.Number = e.Category.Tag(), e.Number })
}

func bookWithdrawn(ctx context.Context, w *projection.Writer, e *catalogueevents.BookWithdrawn, env event.Envelope) error {
	return change(ctx, w, e.Book.Tag(), env, withdraw)
}

func editionCorrected(ctx context.Context, w *projection.Writer, e *editionsevents.EditionCorrected, env event.Envelope) error {
	return change(ctx, w, e.Edition.Tag(), env, func(was *entry) {
		was.ISBN, was.Publisher, was.Year, was.Language, was.Format = e.ISBN, e.Publisher, e.Year, e.Language, e.Format
	})
}

func editionWithdrawn(ctx context.Context, w *projection.Writer, e *editionsevents.EditionWithdrawn, env event.Envelope) error {
	return change(ctx, w, e.Edition.Tag(), env, withdraw)
}

// withdraw marks an entry. Its place and its words stay: it is found by whoever asks for what was withdrawn, too.
func withdraw(e *entry) { e.Withdrawn = true }

// change changes the entry of the thing in whose stream the event is.
func change(ctx context.Context, w *projection.Writer, tag event.Tag, env event.Envelope, f func(*entry)) error {
	return projection.Change(ctx, w, &entry{Tag: tag}, func(e *entry) {
		f(e)
		e.Revision = env.Version
	})
}

// stand puts e, and its place if it has a number.
func stand(w *projection.Writer, e entry) {
	w.Put(&e)
	if e.Number > 0 {
		w.Put(&place{Parent: e.Parent, Number: e.Number, Entry: e.Tag})
	}
}

func wordOf(l libraryevents.LibraryID, b catalogueevents.BookID, s string) *word {
	return &word{Library: l.Tag(), Word: []byte(s), Entry: b.Tag()}
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
