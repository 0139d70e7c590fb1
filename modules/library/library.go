package library

import (
	"context"
	"fmt"

	"accession/modules/catalogue"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/usecase"
)

// Library is a library as the API shows it.
type Library struct {
	ID         string `json:"id" format:"uuid"`
	Name       string `json:"name"`
	Categories int    `json:"categories" doc:"How many categories it has, those withdrawn not counted."`
}

// Category is a category as the API shows it. A number not assigned yet is null.
type Category struct {
	ID        string `json:"id" format:"uuid"`
	LibraryID string `json:"library_id" format:"uuid"`
	Number    *int   `json:"number" doc:"Counts 1, 2, 3 … within the library; null while it is still to be assigned."`
	Name      string `json:"name"`
	Withdrawn bool   `json:"withdrawn"`
}

// CreatedCategory is a category with the book it came with.
type CreatedCategory struct {
	Category
	Book catalogue.AddedBook `json:"book"`
}

// stored is the category, with its first book, that a receipt tells of: the answer to a command comes from what was written.
func stored(r usecase.Receipt) CreatedCategory {
	e, _ := usecase.Recorded[*libraryevents.CategoryCreated](r)
	return CreatedCategory{
		Category: Category{ID: e.Category.String(), LibraryID: e.Library.String(), Number: known(e.Number), Name: e.Name},
		Book:     catalogue.Stored(r, e.Number),
	}
}

// libraryFromLog reads a library, and its version, from the log as it was at a position.
func libraryFromLog(ctx context.Context, log eventlog.Reader, id libraryevents.LibraryID, at event.Position) (Library, int, error) {
	log = eventlog.AsOf(log, at)
	s, version, err := eventlog.Fold(ctx, log, id.Tag(), playLibrary)
	if err != nil {
		return Library{}, 0, err
	}
	if s.id.IsZero() {
		return Library{}, 0, ErrLibraryNotFound
	}
	categories := 0
	created, withdrawn := &libraryevents.CategoryCreated{}, &libraryevents.CategoryWithdrawn{}
	for env, err := range log.Read(ctx, eventlog.Query{Tag: id.Tag(), Types: []string{created.EventType(), withdrawn.EventType()}}) {
		if err != nil {
			return Library{}, 0, fmt.Errorf("count categories of library: %w", err)
		}
		switch env.Event.(type) {
		case *libraryevents.CategoryCreated:
			categories++
		case *libraryevents.CategoryWithdrawn:
			categories--
		}
	}
	return Library{ID: s.id.String(), Name: s.name, Categories: categories}, version, nil
}

// categoryFromLog reads a category, and its version, from the log as it was at a position.
func categoryFromLog(ctx context.Context, log eventlog.Reader, id libraryevents.CategoryID, at event.Position) (Category, int, error) {
	s, version, err := eventlog.Fold(ctx, eventlog.AsOf(log, at), id.Tag(), playCategory)
	if err != nil {
		return Category{}, 0, err
	}
	if s.id.IsZero() {
		return Category{}, 0, catalogue.ErrCategoryNotFound
	}
	return Category{
		ID: s.id.String(), LibraryID: s.library.String(), Number: known(s.number), Name: s.name, Withdrawn: s.withdrawn,
	}, version, nil
}

func known(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}
