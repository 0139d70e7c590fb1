// Package libraryevents holds the facts of the library context, its libraries and their categories, and their ids. It is pure
// data: any module may import it.
package libraryevents

import (
	"accession/platform/event"

	"github.com/google/uuid"
)

type library struct{}

func (library) Kind() string { return "library" }

type category struct{}

func (category) Kind() string { return "category" }

// LibraryID names a library.
type LibraryID = event.ID[library]

// CategoryID names a category.
type CategoryID = event.ID[category]

// LibraryOpened: a library begins, empty.
type LibraryOpened struct {
	Library LibraryID `json:"library_id"`
	Name    string    `json:"name"`
}

// EventType implements event.Event.
func (*LibraryOpened) EventType() string { return "library.library_opened" }

// Tags implements event.Event.
func (e *LibraryOpened) Tags() []event.Tag { return []event.Tag{e.Library.Tag()} }

// CategoryCreated: a library has a new category. Its number is unique and consecutive in the library; 0, and absent from the
// JSON, while it is still to be assigned.
type CategoryCreated struct {
	Category CategoryID `json:"category_id"`
	Library  LibraryID  `json:"library_id"`
	Number   int        `json:"number,omitempty"`
	Name     string     `json:"name"`
}

// EventType implements event.Event.
func (*CategoryCreated) EventType() string { return "library.category_created" }

// Tags implements event.Event.
func (e *CategoryCreated) Tags() []event.Tag {
	return []event.Tag{e.Category.Tag(), e.Library.Tag()}
}

// PlayNumber folds a category's stream to its present number; 0 while it has none.
func PlayNumber(n *int, e event.Event) {
	if e, ok := e.(*CategoryCreated); ok {
		*n = e.Number
	}
}

// NewLibraryID draws an id for a library.
func NewLibraryID() LibraryID { return event.NewID[library]() }

// NewCategoryID draws an id for a category.
func NewCategoryID() CategoryID { return event.NewID[category]() }

// DerivedCategoryID is the id that the parts always give under space: importing the same again names the same category.
func DerivedCategoryID(space uuid.UUID, parts ...string) CategoryID {
	return event.DerivedID[category](space, parts...)
}

// LibraryRenamed: a library has another name.
type LibraryRenamed struct {
	Library LibraryID `json:"library_id"`
	Name    string    `json:"name"`
}

// EventType implements event.Event.
func (*LibraryRenamed) EventType() string { return "library.library_renamed" }

// Tags implements event.Event.
func (e *LibraryRenamed) Tags() []event.Tag { return []event.Tag{e.Library.Tag()} }

// CategoryRenamed: a category has another name.
type CategoryRenamed struct {
	Category CategoryID `json:"category_id"`
	Library  LibraryID  `json:"library_id"`
	Name     string     `json:"name"`
}

// EventType implements event.Event.
func (*CategoryRenamed) EventType() string { return "library.category_renamed" }

// Tags implements event.Event.
func (e *CategoryRenamed) Tags() []event.Tag { return []event.Tag{e.Category.Tag(), e.Library.Tag()} }

// CategoryWithdrawn: a category in which no live book is any more is gone. It keeps its number for ever.
type CategoryWithdrawn struct {
	Category CategoryID `json:"category_id"`
	Library  LibraryID  `json:"library_id"`
	Reason   string     `json:"reason,omitempty"`
}

// EventType implements event.Event.
func (*CategoryWithdrawn) EventType() string { return "library.category_withdrawn" }

// Tags implements event.Event.
func (e *CategoryWithdrawn) Tags() []event.Tag { return []event.Tag{e.Category.Tag(), e.Library.Tag()} }
