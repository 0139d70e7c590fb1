package editions

import (
	"accession/modules/editions/editionsevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
)

// ErrBaseEditionNotFound: the edition that a new one names as its base does not exist, or belongs to another book.
var ErrBaseEditionNotFound = problem.New(problem.Refused, "base-edition-not-found",
	"The base edition does not exist, was withdrawn, or belongs to another book. Name a live edition of this book.")

// BaseEdition keeps the edition that a new one replaces there: any earlier edition of the same book. Only a book's first
// edition has no base.
var BaseEdition = consistency.Reference{
	Name:    "base-edition",
	Rule:    "The base of a new edition exists, is not withdrawn, and belongs to the same book.",
	Scope:   "book",
	Missing: ErrBaseEditionNotFound,
	Parts: consistency.Parts{
		consistency.Needs(func(e *editionsevents.EditionAdded) consistency.Need {
			return consistency.Need{In: e.Book.Tag(), Key: string(e.Base.Tag())}
		}),
		consistency.Holds(func(e *editionsevents.EditionAdded) consistency.Hold {
			return consistency.Hold{In: e.Book.Tag(), Key: string(e.Edition.Tag()), Of: e.Edition.Tag()}
		}),
		consistency.Frees(func(e *editionsevents.EditionWithdrawn) event.Tag { return e.Edition.Tag() }),
	},
}
