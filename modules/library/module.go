package library

import (
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/module"
	"accession/platform/projection"
)

// Module is the library context as the application sees it.
var Module = module.Module{
	Name: "library",
	Events: []event.Event{
		&libraryevents.LibraryOpened{}, &libraryevents.LibraryRenamed{},
		&libraryevents.CategoryCreated{}, &libraryevents.CategoryRenamed{}, &libraryevents.CategoryWithdrawn{},
	},
	Constraints: []consistency.Constraint{CategoryNumber, CategoryName, LibraryExists},
	Projectors:  []projection.Projector{Libraries},
	Routes:      routes,
}
