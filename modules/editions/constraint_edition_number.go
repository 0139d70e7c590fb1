package editions

import (
	"accession/modules/editions/editionsevents"
	"accession/platform/consistency"
	"accession/platform/problem"
)

// ErrEditionNumberNotUnique: a rival edition of the book got the number.
var ErrEditionNumberNotUnique = problem.New(problem.Conflict, "edition-number-not-unique",
	"Another edition of this book was added at the same moment and got the number. Repeat the request to get the next one.")

// EditionNumber keeps the numbers of a book's editions unique and consecutive: 1, 2, 3 …
var EditionNumber = consistency.Sequence{
	Name:  "edition-number",
	Rule:  "The numbers of editions are unique and consecutive in a book.",
	Scope: "book",
	Taken: ErrEditionNumberNotUnique,
	Parts: consistency.Parts{
		consistency.Numbered(func(e *editionsevents.EditionAdded) consistency.Slot {
			return consistency.Slot{In: e.Book.Tag(), Of: e.Edition.Tag(), N: &e.Number}
		}),
	},
}
