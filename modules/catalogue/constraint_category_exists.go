package catalogue

import (
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
)

// ErrCategoryNotFound: there is no category with the id.
var ErrCategoryNotFound = problem.New(problem.NotFound, "category-not-found", "There is no category with this id.")

// CategoryExists keeps the category that a book is added to there, and tells the book which library that is in.
var CategoryExists = consistency.Reference{
	Name:    "category-exists",
	Rule:    "The category that a book is added to exists.",
	Scope:   "category",
	Missing: ErrCategoryNotFound,
	Parts: consistency.Parts{
		consistency.Holds(func(e *libraryevents.CategoryCreated) consistency.Hold {
			return consistency.Hold{
				In: e.Category.Tag(), Key: consistency.Here, Of: e.Category.Tag(),
				Ancestors: []event.Tag{e.Library.Tag()},
			}
		}),
		consistency.Needs(func(e *catalogueevents.BookAdded) consistency.Need {
			return consistency.Need{In: e.Category.Tag(), Key: consistency.Here, Stamp: e.Library.TakeFrom}
		}),
	},
}
