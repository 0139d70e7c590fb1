package catalogue

import (
	"context"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/problem"
	"accession/platform/usecase"
)

// MoveBook moves a book to another category of its library. It gets a new number there; the old one stays used up, and its
// editions keep theirs. To move it to where it is records nothing.
type MoveBook struct {
	ID   catalogueevents.BookID
	Seen int // the version that the caller has seen; 0: whatever there is
	To   libraryevents.CategoryID
}

// ErrTargetNotFound: the category that a book is to be moved to is not there. It is named in the request, not in the path.
var ErrTargetNotFound = &problem.Error{Kind: problem.Refused, Code: ErrCategoryNotFound.Code, Message: ErrCategoryNotFound.Message}

// Execute implements usecase.Command.
func (c MoveBook) Execute(ctx context.Context, u *usecase.Unit) error {
	s, err := fold(ctx, u, c.ID, c.Seen)
	if err != nil || s.place.Category == c.To {
		return err
	}
	// A category never changes its library, so it does not matter how old what is read here gets.
	library, _, err := usecase.Fold(ctx, u, c.To.Tag(), func(l *libraryevents.LibraryID, e event.Event) {
		if e, ok := e.(*libraryevents.CategoryCreated); ok {
			*l = e.Library
		}
	})
	switch {
	case err != nil:
		return err
	case library.IsZero():
		return ErrTargetNotFound
	case library != s.library:
		return problem.InvalidField("category_id", c.To.String(), "is a category of another library: a book moves only within its own")
	}
	u.Record(c.ID.Tag(), &catalogueevents.BookMoved{Book: c.ID, From: s.place.Category, Category: c.To, Library: library})
	return nil
}

// Request is the command on its way.
func (c MoveBook) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}
