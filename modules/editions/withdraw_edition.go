package editions

import (
	"context"
	"errors"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// WithdrawEdition withdraws an edition. Its number stays used up. The last live edition of a live book stays.
type WithdrawEdition struct {
	ID     editionsevents.EditionID
	Seen   int // the version that the caller has seen; 0: whatever there is
	Reason string
}

// Execute implements usecase.Command.
func (c WithdrawEdition) Execute(ctx context.Context, u *usecase.Unit) error {
	reason, err := Reason(c.Reason)
	if err != nil {
		return err
	}
	s, err := fold(ctx, u, c.ID, c.Seen)
	if err != nil {
		return err
	}
	u.Record(c.ID.Tag(), &editionsevents.EditionWithdrawn{
		Edition: c.ID, Book: s.added.Book, Category: s.added.Category, Library: s.added.Library, Reason: reason,
	})
	return nil
}

// Request is the command on its way.
func (c WithdrawEdition) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}

// WithdrawEditions withdraws all live editions of a book that is being withdrawn. It runs in the unit that withdraws the book,
// after it.
type WithdrawEditions struct {
	Book     catalogueevents.BookID
	Category libraryevents.CategoryID
	Library  libraryevents.LibraryID
	Reason   string
}

// Execute implements usecase.Command.
func (c WithdrawEditions) Execute(ctx context.Context, u *usecase.Unit) error {
	ids, err := live(ctx, u.Log(), c.Book)
	if err != nil {
		return err
	}
	for _, id := range ids {
		switch _, err := fold(ctx, u, id, 0); {
		case errors.Is(err, ErrEditionNotFound):
			continue // somebody has withdrawn it since
		case err != nil:
			return err
		}
		u.Record(id.Tag(), &editionsevents.EditionWithdrawn{Edition: id, Book: c.Book, Category: c.Category, Library: c.Library, Reason: c.Reason})
	}
	return nil
}

// maxReason is how long the reason for a withdrawal may be.
const maxReason = 1000

// Reason is why something is withdrawn, as it is stored; it may be empty.
func Reason(s string) (string, error) {
	clean, err := text.Clean(s, maxReason)
	if err != nil {
		return "", problem.InvalidField("reason", nil, "%v", err)
	}
	return clean, nil
}
