package catalogue

import (
	"context"
	"slices"

	"accession/modules/catalogue/catalogueevents"
	"accession/platform/usecase"
)

// CorrectBook corrects what a book is called, or who wrote it. What it leaves out stays; a correction that changes nothing
// records nothing.
type CorrectBook struct {
	ID      catalogueevents.BookID
	Seen    int // the version that the caller has seen; 0: whatever there is
	Title   *string
	Authors *[]string
}

// Execute implements usecase.Command.
func (c CorrectBook) Execute(ctx context.Context, u *usecase.Unit) error {
	s, err := fold(ctx, u, c.ID, c.Seen)
	if err != nil {
		return err
	}
	next := AddBook{Title: s.title, Authors: s.authors}
	if c.Title != nil {
		next.Title = *c.Title
	}
	if c.Authors != nil {
		next.Authors = *c.Authors
	}
	title, authors, wrong := next.clean()
	if err := wrong.Err(); err != nil || (title == s.title && slices.Equal(authors, s.authors)) {
		return err
	}
	u.Record(c.ID.Tag(), &catalogueevents.BookCorrected{
		Book: c.ID, Category: s.place.Category, Library: s.library, Title: title, Authors: authors,
	})
	return nil
}

// Request is the command on its way.
func (c CorrectBook) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}
