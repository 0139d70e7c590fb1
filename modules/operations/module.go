package operations

import (
	"accession/modules/operations/operationsevents"
	"accession/platform/event"
	"accession/platform/module"
)

// Module is the operations context as the application sees it.
var Module = module.Module{
	Name:   "operations",
	Events: []event.Event{&operationsevents.ModeChanged{}},
	Routes: routes,
}
