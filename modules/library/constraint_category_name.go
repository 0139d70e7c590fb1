package library

import (
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
	"accession/platform/text"
)

// ErrCategoryNameTaken: another category of the library has the name, case and spacing aside.
var ErrCategoryNameTaken = problem.New(problem.Conflict, "category-name-taken",
	"Another category in this library has this name. Choose another name, or add to the category that is there.")

// CategoryName keeps the names of a library's categories apart; case and spacing do not count.
var CategoryName = consistency.Unique{
	Name:  "category-name",
	Rule:  "No two live categories of a library have the same name; case and spacing do not count.",
	Scope: "library",
	Taken: ErrCategoryNameTaken,
	Parts: consistency.Parts{
		consistency.Holds(func(e *libraryevents.CategoryCreated) consistency.Hold {
			return consistency.Hold{In: e.Library.Tag(), Key: text.Fold(e.Name), Of: e.Category.Tag()}
		}),
		consistency.Holds(func(e *libraryevents.CategoryRenamed) consistency.Hold {
			return consistency.Hold{In: e.Library.Tag(), Key: text.Fold(e.Name), Of: e.Category.Tag()}
		}),
		consistency.Frees(func(e *libraryevents.CategoryWithdrawn) event.Tag { return e.Category.Tag() }),
	},
}
