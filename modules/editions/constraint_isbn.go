package editions

import (
	"accession/modules/editions/editionsevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
)

// ErrISBNTaken: another edition of the library has the ISBN.
var ErrISBNTaken = problem.New(problem.Conflict, "isbn-taken",
	"Another edition in this library has this ISBN. Look it up by searching for the ISBN, or correct the number.")

// ISBN keeps an ISBN on one edition of a library.
var ISBN = consistency.Unique{
	Name:  "isbn",
	Rule:  "An ISBN stands on one live edition of a library.",
	Scope: "library",
	Taken: ErrISBNTaken,
	Parts: consistency.Parts{
		consistency.Holds(func(e *editionsevents.EditionAdded) consistency.Hold {
			return consistency.Hold{In: e.Library.Tag(), Key: e.ISBN, Of: e.Edition.Tag()}
		}),
		consistency.Holds(func(e *editionsevents.EditionCorrected) consistency.Hold {
			return consistency.Hold{In: e.Library.Tag(), Key: e.ISBN, Of: e.Edition.Tag()}
		}),
		consistency.Frees(func(e *editionsevents.EditionWithdrawn) event.Tag { return e.Edition.Tag() }),
	},
}
