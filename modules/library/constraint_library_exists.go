package library

import (
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/problem"
)

// ErrLibraryNotFound: there is no library with the id.
var ErrLibraryNotFound = problem.New(problem.NotFound, "library-not-found", "There is no such library.")

// LibraryExists keeps the library that a category is created in there.
var LibraryExists = consistency.Reference{
	Name:    "library-exists",
	Rule:    "The library that a category is created in exists.",
	Scope:   "library",
	Missing: ErrLibraryNotFound,
	Parts: consistency.Parts{
		consistency.Holds(func(e *libraryevents.LibraryOpened) consistency.Hold {
			return consistency.Hold{In: e.Library.Tag(), Key: consistency.Here, Of: e.Library.Tag()}
		}),
		consistency.Needs(func(e *libraryevents.CategoryCreated) consistency.Need {
			return consistency.Need{In: e.Library.Tag(), Key: consistency.Here}
		}),
	},
}
