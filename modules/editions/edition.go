package editions

import (
	"context"
	"fmt"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/reference"
	"accession/platform/usecase"
)

// Edition is an edition as the API shows it. What is not known, or not assigned yet, is null.
type Edition struct {
	ID            string    `json:"id" format:"uuid"`
	BookID        string    `json:"book_id" format:"uuid"`
	Number        *int      `json:"number" doc:"Counts 1, 2, 3 … within the book; null while it is still to be assigned."`
	BaseEditionID *string   `json:"base_edition_id" format:"uuid" doc:"The edition that this one replaces; null only for a book's first."`
	ISBN          *string   `json:"isbn" doc:"ISBN-13, digits only."`
	Publisher     *string   `json:"publisher"`
	Year          *int      `json:"year"`
	Language      *string   `json:"language"`
	Format        *string   `json:"format"`
	Withdrawn     bool      `json:"withdrawn"`
	Rejected      *Rejected `json:"rejected" doc:"Why the edition's base was rejected after all; null otherwise."`
	Reference     *string   `json:"reference" doc:"category.book.edition, as 3.14.2; null while a number is missing." example:"3.14.2"`
}

// Rejected says why an edition does not count.
type Rejected struct {
	_ struct{} `nullable:"true"`

	Reason string `json:"reason"`
}

// Stored is the edition that a receipt tells of: the answer to a command comes from what was written. category and book are
// the numbers of what it stands in.
func Stored(r usecase.Receipt, category, book int) Edition {
	e, _ := usecase.Recorded[*editionsevents.EditionAdded](r)
	return Edition{
		ID: e.Edition.String(), BookID: e.Book.String(), Number: known(e.Number), BaseEditionID: known(baseID(e.Base)),
		ISBN: known(e.ISBN), Publisher: known(e.Publisher), Year: known(e.Year), Language: known(e.Language), Format: known(e.Format),
		Reference: known(reference.Of(category, book, e.Number)),
	}
}

// fromLog reads an edition, and its version, from the log as it was at a position; 0 is now.
func fromLog(ctx context.Context, log eventlog.Reader, numbers *eventlog.Settled[int], id editionsevents.EditionID, at event.Position) (Edition, int, error) {
	s, version, err := eventlog.Fold(ctx, eventlog.AsOf(log, at), id.Tag(), play)
	if err != nil {
		return Edition{}, 0, err
	}
	if s.added == nil {
		return Edition{}, 0, ErrEditionNotFound
	}
	category, book, err := placeOf(ctx, log, numbers, s.added.Book, at)
	if err != nil {
		return Edition{}, 0, err
	}
	e, i := s.added, s.imprint
	return Edition{
		ID: e.Edition.String(), BookID: e.Book.String(), Number: known(e.Number), BaseEditionID: known(baseID(e.Base)),
		ISBN: known(i.ISBN), Publisher: known(i.Publisher), Year: known(i.Year), Language: known(i.Language), Format: known(i.Format),
		Withdrawn: s.withdrawn, Reference: known(reference.Of(category, book, e.Number)),
	}, version, nil
}

func baseID(id editionsevents.EditionID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// known is nil for what is not known: the zero value.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// placeOf reads from the log, as it was at a position, where the book stands: the number of its category, and its own.
func placeOf(ctx context.Context, log eventlog.Reader, numbers *eventlog.Settled[int], book catalogueevents.BookID, at event.Position) (category, number int, err error) {
	place, _, err := eventlog.Fold(ctx, eventlog.AsOf(log, at), book.Tag(), catalogueevents.PlayPlace)
	if err != nil {
		return 0, 0, fmt.Errorf("find place of book: %w", err)
	}
	category, err = numbers.Of(ctx, log, place.Category.Tag(), at)
	if err != nil {
		return 0, 0, fmt.Errorf("find place of book: %w", err)
	}
	return category, place.Number, nil
}
