package editions

import (
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
)

// ErrBookNotFound: there is no book with the id, or it is withdrawn.
var ErrBookNotFound = problem.New(problem.NotFound, "book-not-found", "There is no such book, or it was withdrawn.")

// BookExists keeps the book that an edition is added to there, and tells the edition what the book belongs to at that moment.
var BookExists = consistency.Reference{
	Name:    "book-exists",
	Rule:    "The book that an edition is added to exists and is not withdrawn.",
	Scope:   "book",
	Missing: ErrBookNotFound,
	Parts: consistency.Parts{
		consistency.Holds(func(e *catalogueevents.BookAdded) consistency.Hold {
			return consistency.Hold{
				In: e.Book.Tag(), Key: consistency.Here, Of: e.Book.Tag(),
				Ancestors: []event.Tag{e.Category.Tag(), e.Library.Tag()},
			}
		}),
		consistency.Holds(func(e *catalogueevents.BookMoved) consistency.Hold {
			return consistency.Hold{
				In: e.Book.Tag(), Key: consistency.Here, Of: e.Book.Tag(),
				Ancestors: []event.Tag{e.Category.Tag(), e.Library.Tag()},
			}
		}),
		consistency.Needs(func(e *catalogueevents.BookWithdrawn) consistency.Need { // said of the book, before its editions are looked at
			return consistency.Need{In: e.Book.Tag(), Key: consistency.Here}
		}),
		consistency.Frees(func(e *catalogueevents.BookWithdrawn) event.Tag { return e.Book.Tag() }),
		consistency.Takes(func(e *catalogueevents.BookWithdrawn) consistency.Taking {
			return consistency.Taking{Of: BaseEdition.Name, In: e.Book.Tag()}
		}),
		consistency.Needs(func(e *editionsevents.EditionAdded) consistency.Need {
			return ofBook(e.Book, &e.Category, &e.Library, ErrBookNotFound)
		}),
		// An edition whose book has just been withdrawn is withdrawn too.
		consistency.Needs(func(e *editionsevents.EditionCorrected) consistency.Need {
			return ofBook(e.Book, &e.Category, &e.Library, ErrEditionNotFound)
		}),
		consistency.Needs(func(e *editionsevents.EditionWithdrawn) consistency.Need {
			return ofBook(e.Book, &e.Category, &e.Library, ErrEditionNotFound)
		}),
	},
}

// ofBook needs the book, and stamps what it belongs to.
func ofBook(book catalogueevents.BookID, category *libraryevents.CategoryID, library *libraryevents.LibraryID, broken *problem.Error) consistency.Need {
	return consistency.Need{In: book.Tag(), Key: consistency.Here, Broken: broken, Stamp: func(ancestors []event.Tag) {
		category.TakeFrom(ancestors)
		library.TakeFrom(ancestors)
	}}
}
