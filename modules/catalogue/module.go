package catalogue

import (
	"accession/modules/catalogue/catalogueevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/module"
	"accession/platform/projection"
)

// Module is the catalogue context as the application sees it.
var Module = module.Module{
	Name:        "catalogue",
	Events:      []event.Event{&catalogueevents.BookAdded{}, &catalogueevents.BookCorrected{}, &catalogueevents.BookMoved{}, &catalogueevents.BookWithdrawn{}},
	Constraints: []consistency.Constraint{BookNumber, CategoryExists},
	Projectors:  []projection.Projector{Books},
	Routes:      routes,
}
