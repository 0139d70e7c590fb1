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
	if e, ok := e.(*BookAdded); ok {
		*p = Place{e.Category, e.Number}
	}
}

// NewBookID draws an id for a book.
func NewBookID() BookID { return event.NewID[book]() }

// DerivedBookID is the id that the parts always give under space: importing the same again names the same book.
func DerivedBookID(space uuid.UUID, parts ...string) BookID {
	return event.DerivedID[book](space, parts...)
}
