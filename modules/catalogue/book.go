package catalogue

import (
	"context"
	"fmt"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/reference"
	"accession/platform/usecase"
)

// Book is a book as the API shows it. What is not assigned yet is null.
type Book struct {
	ID         string   `json:"id" format:"uuid"`
	CategoryID string   `json:"category_id" format:"uuid"`
	LibraryID  string   `json:"library_id" format:"uuid"`
	Number     *int     `json:"number" doc:"Counts 1, 2, 3 … within the category; null while it is still to be assigned."`
	Title      string   `json:"title"`
	Authors    []string `json:"authors" nullable:"false"`
	Withdrawn  bool     `json:"withdrawn"`
	Reference  *string  `json:"reference" doc:"category.book, as 3.14; null while a number is missing." example:"3.14"`
}

// AddedBook is a book with the edition it came with.
type AddedBook struct {
	Book
	Edition editions.Edition `json:"edition"`
}

// Stored is the book, with its first edition, that a receipt tells of: the answer to a command comes from what was written.
// category is the category's number.
func Stored(r usecase.Receipt, category int) AddedBook {
	e, _ := usecase.Recorded[*catalogueevents.BookAdded](r)
	return AddedBook{
		Book: Book{
			ID: e.Book.String(), CategoryID: e.Category.String(), LibraryID: e.Library.String(), Number: known(e.Number),
			Title: e.Title, Authors: e.Authors, Reference: known(reference.Of(category, e.Number)),
		},
		Edition: editions.Stored(r, category, e.Number),
	}
}

// fromLog reads a book, and its version, from the log as it was at a position; 0 is now.
func fromLog(ctx context.Context, log eventlog.Reader, numbers *eventlog.Settled[int], id catalogueevents.BookID, at event.Position) (Book, int, error) {
	s, version, err := eventlog.Fold(ctx, eventlog.AsOf(log, at), id.Tag(), play)
	if err != nil {
		return Book{}, 0, err
	}
	if s.id.IsZero() {
		return Book{}, 0, editions.ErrBookNotFound
	}
	category, err := numbers.Of(ctx, log, s.place.Category.Tag(), at)
	if err != nil {
		return Book{}, 0, fmt.Errorf("find number of category: %w", err)
	}
	return Book{
		ID: s.id.String(), CategoryID: s.place.Category.String(), LibraryID: s.library.String(), Number: known(s.place.Number),
		Title: s.title, Authors: s.authors, Withdrawn: s.withdrawn, Reference: known(reference.Of(category, s.place.Number)),
	}, version, nil
}

// Pending reports whether a number is still to be assigned.
func (b AddedBook) Pending() bool { return b.Number == nil || b.Edition.Number == nil }

// known is nil for what is not known: the zero value.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
