package catalogue

import (
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
)

// ErrCategoryNotEmpty: a category in which books are cannot be withdrawn.
var ErrCategoryNotEmpty = problem.New(problem.Conflict, "category-not-empty",
	"There are books in this category. Move or withdraw them first.")

// ErrCategoryNotFound: there is no category with the id, or it is withdrawn.
var ErrCategoryNotFound = problem.New(problem.NotFound, "category-not-found", "There is no such category, or it was withdrawn.")

// CategoryExists keeps the category that a book is added or moved to there, and tells the book which library that is in. A
// category is there until it is withdrawn, which it can only be when no live book is in it.
var CategoryExists = consistency.Reference{
	Name:    "category-exists",
	Rule:    "The category that a book is added or moved to exists; one with live books is not withdrawn.",
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
		consistency.Needs(func(e *catalogueevents.BookMoved) consistency.Need {
			return consistency.Need{In: e.Category.Tag(), Key: consistency.Here, Stamp: e.Library.TakeFrom, Broken: ErrTargetNotFound}
		}),
		consistency.Vacates(func(e *libraryevents.CategoryWithdrawn) consistency.Vacancy {
			return consistency.Vacancy{In: e.Category.Tag(), Numbered: BookNumber.Name, Live: editions.BookExists.Name, Broken: ErrCategoryNotEmpty}
		}),
		consistency.Frees(func(e *libraryevents.CategoryWithdrawn) event.Tag { return e.Category.Tag() }),
	},
}
