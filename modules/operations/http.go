package operations

import (
	"context"
	"net/http"
	"slices"

	"accession/platform/consistency"
	"accession/platform/eventlog"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/danielgtaylor/huma/v2"
)

type listConstraintsInput struct{ httpapi.Paging }

type changeModeInput struct {
	httpapi.Actor
	httpapi.Precondition
	Name string `path:"name" doc:"The constraint's name." example:"book-number"`
	Body struct {
		Mode   string `json:"mode" doc:"One of the constraint's modes, or default: what the configuration says." example:"queue"`
		Reason string `json:"reason" doc:"Why: 1 to 1,000 characters."`
	}
}

func routes(api *httpapi.API, env module.Env) {
	watch := Watch{Log: env.Log, Constraints: env.Constraints, Configured: env.Settings, Tally: env.Tally}
	tags := []string{"Operations"}
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-constraints", Method: http.MethodGet, Path: "/ops/constraints", Tags: tags,
		Summary:     "All constraints, by name: how each is kept, how that goes, and advice",
		Description: "The figures are those of all processes on the log: this one's of this moment, the others' as of some seconds ago.",
	}, func(ctx context.Context, in *listConstraintsInput) (*httpapi.List[Constraint], error) {
		listing := httpapi.Listing{"constraints"}
		var after string
		if err := listing.Open(in.Cursor, &after); err != nil {
			return nil, err
		}
		all, at, err := watch.Overview(ctx)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(c Constraint) bool { return c.Name <= after })
		return httpapi.NewList(ctx, in.Paging, all, func(last Constraint) string { return listing.Cursor(last.Name) }).At(at), nil
	})
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "change-mode", Method: http.MethodPut, Path: "/ops/constraints/{name}/mode", Tags: tags,
		Summary: "Change the mode in which a constraint is kept",
		Description: "It is in force in this process when it is answered, and in every process on the log within two seconds. It wins over " +
			"the configuration, also after a restart, until it is set to default.",
		DefaultStatus: http.StatusOK,
		Errors:        httpapi.Errors(ErrConstraintNotFound, consistency.ErrVersionConflict, usecase.ErrVersionMismatch, consistency.ErrLogBusy),
	}, func(ctx context.Context, in *changeModeInput) (*httpapi.Written[Constraint], error) {
		change, err := NewChangeMode(env.Constraints, in.Name, in.Body.Mode, in.Body.Reason)
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		change.Seen = in.Seen()
		receipt, err := env.Runner.Run(ctx, change.Request(in.Who()))
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		as := watch
		as.Log = eventlog.AsOf(env.Log, receipt.Position) // whoever came after
		all, _, err := as.Overview(ctx)
		if err != nil {
			return nil, err
		}
		c := all[slices.IndexFunc(all, func(c Constraint) bool { return c.Name == in.Name })]
		answer := httpapi.Changed(c, c.version, receipt.Position)
		if c.version == 0 {
			answer.ETag = "" // the mode was never changed: there is no version to come back with
		}
		return answer, nil
	})
}
