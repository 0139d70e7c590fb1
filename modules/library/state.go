package library

import (
	"context"

	"accession/modules/catalogue"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/usecase"
)

// libraryState is a library folded from its own stream.
type libraryState struct {
	id   libraryevents.LibraryID
	name string
}

func playLibrary(s *libraryState, e event.Event) {
	switch e := e.(type) {
	case *libraryevents.LibraryOpened:
		s.id, s.name = e.Library, e.Name
	case *libraryevents.LibraryRenamed:
		s.name = e.Name
	}
}

// categoryState is a category folded from its own stream.
type categoryState struct {
	id        libraryevents.CategoryID
	library   libraryevents.LibraryID
	number    int
	name      string
	withdrawn bool
}

func playCategory(s *categoryState, e event.Event) {
	libraryevents.PlayNumber(&s.number, e)
	switch e := e.(type) {
	case *libraryevents.CategoryCreated:
		s.id, s.library, s.name = e.Category, e.Library, e.Name
	case *libraryevents.CategoryRenamed:
		s.name = e.Name
	case *libraryevents.CategoryWithdrawn:
		s.withdrawn = true
	}
}

// foldCategory gives a category that can be changed: one that is there, not withdrawn, and at the version that the caller has
// seen, if it says which.
func foldCategory(ctx context.Context, u *usecase.Unit, id libraryevents.CategoryID, seen int) (categoryState, error) {
	s, version, err := usecase.Fold(ctx, u, id.Tag(), playCategory)
	switch {
	case err != nil:
		return s, err
	case s.id.IsZero() || s.withdrawn:
		return s, catalogue.ErrCategoryNotFound
	}
	return s, usecase.CheckVersion(seen, version)
}
