package library

import (
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/problem"
)

// ErrCategoryNumberNotUnique: a rival category of the library got the number.
var ErrCategoryNumberNotUnique = problem.New(problem.Conflict, "category-number-not-unique",
	"Another category was created in this library at the same moment and got the number. Repeat the request to get the next one.")

// CategoryNumber keeps the numbers of a library's categories unique and consecutive: 1, 2, 3 …
var CategoryNumber = consistency.Sequence{
	Name:  "category-number",
	Rule:  "The numbers of categories are unique and consecutive in a library.",
	Scope: "library",
	Taken: ErrCategoryNumberNotUnique,
	Parts: consistency.Parts{
		consistency.Numbered(func(e *libraryevents.CategoryCreated) consistency.Slot {
			return consistency.Slot{In: e.Library.Tag(), Of: e.Category.Tag(), N: &e.Number}
		}),
	},
}
