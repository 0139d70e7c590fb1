package discovery

import (
	"accession/platform/event"
)

// CategoryCard is a category as the API shows it. What is not there, or not yet, is null, here and in the other cards.
type CategoryCard struct {
	ID        string `json:"id" format:"uuid"`
	LibraryID string `json:"library_id" format:"uuid"`
	Number    *int   `json:"number" doc:"Its number in the library; null while it is still to be assigned."`
	Name      string `json:"name"`
	Withdrawn bool   `json:"withdrawn"`
}

// BookCard is a book as the API shows it.
type BookCard struct {
	_ struct{} `nullable:"true"`

	ID         string   `json:"id" format:"uuid"`
	CategoryID string   `json:"category_id" format:"uuid"`
	LibraryID  string   `json:"library_id" format:"uuid"`
	Number     *int     `json:"number" doc:"Its number in the category; null while it is still to be assigned."`
	Title      string   `json:"title"`
	Authors    []string `json:"authors" nullable:"false"`
	Withdrawn  bool     `json:"withdrawn"`
	Reference  *string  `json:"reference" example:"3.14" doc:"Null while a number in it is still to be assigned."`
}

// EditionCard is an edition as the API shows it.
type EditionCard struct {
	_ struct{} `nullable:"true"`

	ID            string     `json:"id" format:"uuid"`
	BookID        string     `json:"book_id" format:"uuid"`
	Number        *int       `json:"number" doc:"Its number in the book; null while it is still to be assigned."`
	BaseEditionID *string    `json:"base_edition_id" format:"uuid" doc:"The edition it replaces; null for a book's first."`
	ISBN          *string    `json:"isbn" doc:"ISBN-13, digits only."`
	Publisher     *string    `json:"publisher"`
	Year          *int       `json:"year"`
	Language      *string    `json:"language"`
	Format        *string    `json:"format"`
	Withdrawn     bool       `json:"withdrawn"`
	Rejected      *Rejection `json:"rejected" doc:"Why the edition does not count after all; null for one that does."`
	Reference     *string    `json:"reference" example:"3.14.2" doc:"Null while a number in it is still to be assigned."`
}

// Rejection says why an edition was turned down after it was added.
type Rejection struct {
	_ struct{} `nullable:"true"`

	Reason string `json:"reason"`
}

// Referenced is what a reference names, from the category down to as far as was asked for.
type Referenced struct {
	Category CategoryCard `json:"category"`
	Book     *BookCard    `json:"book" doc:"Null when only a category was asked for."`
	Edition  *EditionCard `json:"edition" doc:"Null when only a category or a book was asked for."`
}

// Hit is something that a search found.
type Hit struct {
	Kind       string   `json:"kind" enum:"category,book,edition"`
	ID         string   `json:"id" format:"uuid"`
	Reference  *string  `json:"reference" example:"3.14.2" doc:"Null while a number in it is still to be assigned."`
	Title      string   `json:"title" doc:"The book's title; a category's name."`
	Authors    []string `json:"authors" nullable:"false"`
	CategoryID string   `json:"category_id" format:"uuid"`
	BookID     *string  `json:"book_id" format:"uuid" doc:"Null for a category."`
	ISBN       *string  `json:"isbn" doc:"An edition's, as is the rest."`
	Publisher  *string  `json:"publisher"`
	Year       *int     `json:"year"`
	Language   *string  `json:"language"`
	Format     *string  `json:"format"`
	Withdrawn  bool     `json:"withdrawn"`
}

func referenced(l line) Referenced {
	var r Referenced
	for i, e := range l {
		reference := orNull(l[:i+1].reference())
		switch e.Kind {
		case kindCategory:
			r.Category = CategoryCard{ID: e.Tag.ID(), LibraryID: e.Parent.ID(), Number: orNull(e.Number), Name: e.Title, Withdrawn: e.Withdrawn}
		case kindBook:
			r.Book = &BookCard{
				ID: e.Tag.ID(), CategoryID: e.Parent.ID(), LibraryID: e.Library.ID(), Number: orNull(e.Number),
				Title: e.Title, Authors: e.authors(), Withdrawn: e.Withdrawn, Reference: reference,
			}
		case kindEdition:
			r.Edition = &EditionCard{
				ID: e.Tag.ID(), BookID: e.Parent.ID(), Number: orNull(e.Number), BaseEditionID: idOrNull(e.Base),
				ISBN: orNull(e.ISBN), Publisher: orNull(e.Publisher), Year: orNull(e.Year), Language: orNull(e.Language),
				Format: orNull(e.Format), Withdrawn: e.Withdrawn, Reference: reference,
			}
		}
	}
	return r
}

func hit(l line) Hit {
	e := l.last()
	h := Hit{
		Kind: e.Kind, ID: e.Tag.ID(), Reference: orNull(l.reference()), Title: e.Title, Authors: e.authors(),
		CategoryID: l.of(kindCategory).Tag.ID(), BookID: idOrNull(l.of(kindBook).Tag),
		ISBN: orNull(e.ISBN), Publisher: orNull(e.Publisher), Year: orNull(e.Year), Language: orNull(e.Language), Format: orNull(e.Format),
		Withdrawn: e.Withdrawn,
	}
	if e.Kind == kindEdition {
		book := l.of(kindBook)
		h.Title, h.Authors = book.Title, book.authors()
	}
	return h
}

// authors is never nil: JSON says [] for none.
func (e entry) authors() []string {
	if e.Authors == nil {
		return []string{}
	}
	return e.Authors
}

// orNull is nil for what is not known.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func idOrNull(t event.Tag) *string { return orNull(t.ID()) }
