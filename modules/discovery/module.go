package discovery

import (
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/projection"
)

// Module is discovery as the application sees it. It has no events and keeps no rules.
var Module = module.Module{
	Name:       "discovery",
	Projectors: []projection.Projector{Cards},
	Routes: func(api *httpapi.API, env module.Env) {
		d := desk{log: env.Log, cards: env.Projections, runner: env.Runner}
		d.routes(api.Huma())
		d.pages(api)
	},
}
