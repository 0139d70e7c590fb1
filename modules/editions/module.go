package editions

import (
	"accession/modules/editions/editionsevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/module"
	"accession/platform/projection"
)

// Module is the editions context as the application sees it.
var Module = module.Module{
	Name:        "editions",
	Events:      []event.Event{&editionsevents.EditionAdded{}, &editionsevents.EditionCorrected{}, &editionsevents.EditionWithdrawn{}},
	Constraints: []consistency.Constraint{EditionNumber, BaseEdition, LastEdition, ISBN, BookExists},
	Projectors:  []projection.Projector{Editions},
	Routes:      routes,
}
