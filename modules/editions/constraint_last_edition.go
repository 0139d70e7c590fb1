package editions

import (
	"accession/modules/editions/editionsevents"
	"accession/platform/consistency"
	"accession/platform/problem"
)

// ErrLastEdition: a live book keeps at least one live edition.
var ErrLastEdition = problem.New(problem.Conflict, "last-edition",
	"This is the book's last edition. Withdraw the book, or add another edition first.")

// LastEdition keeps at least one live edition in a live book. It has no rows of its own: what counts are those of BaseEdition.
var LastEdition = consistency.Reference{
	Name:    "last-edition",
	Rule:    "A live book keeps at least one live edition.",
	Scope:   "book",
	Missing: ErrLastEdition,
	Parts: consistency.Parts{
		consistency.Keeps(func(e *editionsevents.EditionWithdrawn) consistency.Keep {
			return consistency.Keep{
				Of: BaseEdition.Name, In: e.Book.Tag(),
				While: consistency.Key{Constraint: BookExists.Name, Scope: e.Book.Tag(), Key: consistency.Here},
			}
		}),
	},
}
