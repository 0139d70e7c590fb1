package catalogue

import (
	"context"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/usecase"
)

// state is a book folded from its own stream.
type state struct {
	id        catalogueevents.BookID
	library   libraryevents.LibraryID
	place     catalogueevents.Place
	title     string
	authors   []string
	withdrawn bool
}

func play(s *state, e event.Event) {
	catalogueevents.PlayPlace(&s.place, e)
	switch e := e.(type) {
	case *catalogueevents.BookAdded:
		s.id, s.library, s.title, s.authors = e.Book, e.Library, e.Title, e.Authors
	case *catalogueevents.BookCorrected:
		s.title, s.authors = e.Title, e.Authors
	case *catalogueevents.BookWithdrawn:
		s.withdrawn = true
	}
}

// fold gives a book that can be changed: one that is there, not withdrawn, and at the version that the caller has seen, if it
// says which.
func fold(ctx context.Context, u *usecase.Unit, id catalogueevents.BookID, seen int) (state, error) {
	s, version, err := usecase.Fold(ctx, u, id.Tag(), play)
	switch {
	case err != nil:
		return s, err
	case s.id.IsZero() || s.withdrawn:
		return s, editions.ErrBookNotFound
	}
	return s, usecase.CheckVersion(seen, version)
}
