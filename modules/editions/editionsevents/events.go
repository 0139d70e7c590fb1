// Package editionsevents holds the facts of the editions context, the editions of books, and their ids. It is pure data: any
// module may import it.
package editionsevents

import (
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/library/libraryevents"
	"accession/platform/event"

	"github.com/google/uuid"
)

type edition struct{}

func (edition) Kind() string { return "edition" }

// EditionID names an edition.
type EditionID = event.ID[edition]

// EditionAdded: a book has a new edition. Its number is unique and consecutive in the book; 0, and absent from the JSON, while
// it is still to be assigned. Category and Library are the book's as of then, stamped when the event is stored; a book may
// move to another category later.
type EditionAdded struct {
	Edition  EditionID                `json:"edition_id"`
	Book     catalogueevents.BookID   `json:"book_id"`
	Category libraryevents.CategoryID `json:"category_id"`
	Library  libraryevents.LibraryID  `json:"library_id"`
	Number   int                      `json:"number,omitempty"`
	Base     EditionID                `json:"base_edition_id,omitzero"` // the edition it replaces; zero only for a book's first
	Imprint
}

// Imprint is what is printed in an edition. What is not known is empty, and absent from the JSON.
type Imprint struct {
	ISBN      string `json:"isbn,omitempty"` // ISBN-13, digits only
	Publisher string `json:"publisher,omitempty"`
	Year      int    `json:"year,omitempty"`
	Language  string `json:"language,omitempty"`
	Format    string `json:"format,omitempty"`
}

// EventType implements event.Event.
func (*EditionAdded) EventType() string { return "editions.edition_added" }

// Tags implements event.Event.
func (e *EditionAdded) Tags() []event.Tag {
	return []event.Tag{e.Edition.Tag(), e.Book.Tag(), e.Category.Tag(), e.Library.Tag()}
}

// NewEditionID draws an id for an edition.
func NewEditionID() EditionID { return event.NewID[edition]() }

// DerivedEditionID is the id that the parts always give under space: importing the same again names the same edition.
func DerivedEditionID(space uuid.UUID, parts ...string) EditionID {
	return event.DerivedID[edition](space, parts...)
}

// EditionCorrected: what was said to be printed in an edition was wrong; this is right, all of it.
type EditionCorrected struct {
	Edition  EditionID                `json:"edition_id"`
	Book     catalogueevents.BookID   `json:"book_id"`
	Category libraryevents.CategoryID `json:"category_id"`
	Library  libraryevents.LibraryID  `json:"library_id"`
	Imprint
}

// EventType implements event.Event.
func (*EditionCorrected) EventType() string { return "editions.edition_corrected" }

// Tags implements event.Event.
func (e *EditionCorrected) Tags() []event.Tag {
	return []event.Tag{e.Edition.Tag(), e.Book.Tag(), e.Category.Tag(), e.Library.Tag()}
}

// EditionWithdrawn: an edition is gone. It keeps its number for ever, and those based on it keep their base.
type EditionWithdrawn struct {
	Edition  EditionID                `json:"edition_id"`
	Book     catalogueevents.BookID   `json:"book_id"`
	Category libraryevents.CategoryID `json:"category_id"`
	Library  libraryevents.LibraryID  `json:"library_id"`
	Reason   string                   `json:"reason,omitempty"`
}

// EventType implements event.Event.
func (*EditionWithdrawn) EventType() string { return "editions.edition_withdrawn" }

// Tags implements event.Event.
func (e *EditionWithdrawn) Tags() []event.Tag {
	return []event.Tag{e.Edition.Tag(), e.Book.Tag(), e.Category.Tag(), e.Library.Tag()}
}
