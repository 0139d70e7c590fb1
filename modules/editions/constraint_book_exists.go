package editions

import (
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
)

// ErrBookNotFound: there is no book with the id.
var ErrBookNotFound = problem.New(problem.NotFound, "book-not-found", "There is no book with this id.")

// BookExists keeps the book that an edition is added to there, and tells the edition what the book belongs to at that moment.
var BookExists = consistency.Reference{
	Name:    "book-exists",
	Rule:    "The book that an edition is added to exists.",
	Scope:   "book",
	Missing: ErrBookNotFound,
	Parts: consistency.Parts{
		consistency.Holds(func(e *catalogueevents.BookAdded) consistency.Hold {
			return consistency.Hold{
				In: e.Book.Tag(), Key: consistency.Here, Of: e.Book.Tag(),
				Ancestors: []event.Tag{e.Category.Tag(), e.Library.Tag()},
			}
		}),
		consistency.Needs(func(e *editionsevents.EditionAdded) consistency.Need {
			return consistency.Need{In: e.Book.Tag(), Key: consistency.Here, Stamp: func(ancestors []event.Tag) {
				e.Category.TakeFrom(ancestors)
				e.Library.TakeFrom(ancestors)
			}}
		}),
	},
}
