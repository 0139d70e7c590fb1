package catalogue

import (
	"accession/modules/catalogue/catalogueevents"
	"accession/platform/consistency"
	"accession/platform/problem"
)

// ErrBookNumberNotUnique: a rival book of the category got the number.
var ErrBookNumberNotUnique = problem.New(problem.Conflict, "book-number-not-unique",
	"Another book was added to this category at the same moment and got the number. Repeat the request to get the next one.")

// BookNumber keeps the numbers of a category's books unique and consecutive: 1, 2, 3 …
var BookNumber = consistency.Sequence{
	Name:  "book-number",
	Rule:  "The numbers of books are unique and consecutive in a category.",
	Scope: "category",
	Taken: ErrBookNumberNotUnique,
	Parts: consistency.Parts{
		consistency.Numbered(func(e *catalogueevents.BookAdded) consistency.Slot {
			return consistency.Slot{In: e.Category.Tag(), Of: e.Book.Tag(), N: &e.Number}
		}),
		consistency.Numbered(func(e *catalogueevents.BookMoved) consistency.Slot {
			return consistency.Slot{In: e.Category.Tag(), Of: e.Book.Tag(), N: &e.Number}
		}),
	},
}
