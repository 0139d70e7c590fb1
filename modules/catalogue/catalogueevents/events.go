// Package catalogueevents holds the facts of the catalogue context, its books, and their ids. It is pure data: any module may
// import it.
package catalogueevents

import (
	"accession/modules/library/libraryevents"
	"accession/platform/event"

	"github.com/google/uuid"
)

type book struct{}

func (book) Kind() string { return "book" }

// BookID names a book.
type BookID = event.ID[book]

// BookAdded: a category has a new book. Its number is unique and consecutive in the category; 0, and absent from the JSON,
// while it is still to be assigned. Library is the category's, stamped when the event is stored.
type BookAdded struct {
	Book     BookID                   `json:"book_id"`
	Category libraryevents.CategoryID `json:"category_id"`
	Library  libraryevents.LibraryID  `json:"library_id"`
	Number   int                      `json:"number,omitempty"`
	Title    string                   `json:"title"`
	Authors  []string                 `json:"authors"`
}

// EventType implements event.Event.
func (*BookAdded) EventType() string { return "catalogue.book_added" }

// Tags implements event.Event.
func (e *BookAdded) Tags() []event.Tag {
	return []event.Tag{e.Book.Tag(), e.Category.Tag(), e.Library.Tag()}
}

// Place is where a book stands: its category, and its number there; 0 while it has none.
type Place struct {
	Category libraryevents.CategoryID
	Number   int
}

// PlayPlace folds a book's stream to where it stands at present.
func PlayPlace(p *Place, e event.Event) {
	switch e := e.(type) {
	case *BookAdded:
		*p = Place{e.Category, e.Number}
	case *BookMoved:
		*p = Place{e.Category, e.Number}
	}
}

// NewBookID draws an id for a book.
func NewBookID() BookID { return event.NewID[book]() }

// DerivedBookID is the id that the parts always give under space: importing the same again names the same book.
func DerivedBookID(space uuid.UUID, parts ...string) BookID {
	return event.DerivedID[book](space, parts...)
}

// BookCorrected: what a book is called, or who wrote it, was wrong; this is right.
type BookCorrected struct {
	Book     BookID                   `json:"book_id"`
	Category libraryevents.CategoryID `json:"category_id"`
	Library  libraryevents.LibraryID  `json:"library_id"`
	Title    string                   `json:"title"`
	Authors  []string                 `json:"authors"`
}

// EventType implements event.Event.
func (*BookCorrected) EventType() string { return "catalogue.book_corrected" }

// Tags implements event.Event.
func (e *BookCorrected) Tags() []event.Tag {
	return []event.Tag{e.Book.Tag(), e.Category.Tag(), e.Library.Tag()}
}

// BookMoved: a book stands in another category of its library, with a new number there; 0, and absent from the JSON, while
// that is still to be assigned. Its old number stays used up.
type BookMoved struct {
	Book     BookID                   `json:"book_id"`
	From     libraryevents.CategoryID `json:"from_category_id"`
	Category libraryevents.CategoryID `json:"category_id"`
	Library  libraryevents.LibraryID  `json:"library_id"`
	Number   int                      `json:"number,omitempty"`
}

// EventType implements event.Event.
func (*BookMoved) EventType() string { return "catalogue.book_moved" }

// Tags implements event.Event.
func (e *BookMoved) Tags() []event.Tag {
	return []event.Tag{e.Book.Tag(), e.Category.Tag(), e.From.Tag(), e.Library.Tag()}
}

// BookWithdrawn: a book is gone, and its editions with it, in the same unit. It keeps its number for ever.
type BookWithdrawn struct {
	Book     BookID                   `json:"book_id"`
	Category libraryevents.CategoryID `json:"category_id"`
	Library  libraryevents.LibraryID  `json:"library_id"`
	Reason   string                   `json:"reason,omitempty"`
}

// EventType implements event.Event.
func (*BookWithdrawn) EventType() string { return "catalogue.book_withdrawn" }

// Tags implements event.Event.
func (e *BookWithdrawn) Tags() []event.Tag {
	return []event.Tag{e.Book.Tag(), e.Category.Tag(), e.Library.Tag()}
}
