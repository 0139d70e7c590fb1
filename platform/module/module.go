// Package module is how a bounded context describes itself: one value that can be printed (module cards), looped over (every
// constraint in every mode) and wired into the application in one place, fx.go.
package module

import (
	"errors"

	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/projection"
)

// Module is a bounded context: its events, constraints, projectors and routes. Its name is the topic its events are published
// under and the beginning of their stored names.
type Module struct {
	Name        string
	Events      []event.Event            // a value of each; what they hold does not matter
	Constraints []consistency.Constraint // the rules it keeps, over its own events and those of others
	Projectors  []projection.Projector   // its read models
	Routes      func(*httpapi.API, Env)  // its part of the API and its pages; nil when it has none
}

// Registry knows the events of all modules.
func Registry(modules []Module) (*event.Registry, error) {
	var all []event.Event
	for _, m := range modules {
		all = append(all, m.Events...)
	}
	return event.NewRegistry(all...)
}

// Constraints is the set of the constraints of all modules.
func Constraints(modules []Module) (*consistency.Set, error) {
	var all []consistency.Constraint
	for _, m := range modules {
		all = append(all, m.Constraints...)
	}
	return consistency.NewSet(all...)
}

// Projectors are the projectors of all modules. Two under one name are a mistake in the program.
func Projectors(modules []Module) ([]projection.Projector, error) {
	var all []projection.Projector
	names := map[string]bool{}
	var errs []error
	for _, m := range modules {
		for _, p := range m.Projectors {
			if names[p.Name] {
				errs = append(errs, errors.New("register projector "+p.Name+": two have the name"))
			}
			names[p.Name] = true
			all = append(all, p)
		}
	}
	return all, errors.Join(errs...)
}
