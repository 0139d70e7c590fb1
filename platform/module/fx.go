package module

import (
	"accession/platform/httpapi"

	"go.uber.org/fx"
)

// Fx is the modules as the application is wired from them: their events, constraints and projectors put together. It provides
// []Module, *event.Registry, *consistency.Set, []projection.Projector and Env.
func Fx(modules ...Module) fx.Option {
	return fx.Module("modules",
		fx.Provide(
			func() []Module { return modules },
			Registry, Constraints, Projectors, newEnv,
		))
}

// Routes registers the routes of all modules.
func Routes(modules []Module, api *httpapi.API, env Env) {
	for _, m := range modules {
		if m.Routes != nil {
			m.Routes(api, env)
		}
	}
}
