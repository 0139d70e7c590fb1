package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/problem"

	"github.com/danielgtaylor/huma/v2"
)

// A toy resource with the routes that every resource of the product has.

type shelf struct{}

func (shelf) Kind() string { return "shelf" }

type shelfID = event.ID[shelf]

type Shelf struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Number *int     `json:"number"`
	Tags   []string `json:"tags" nullable:"false"`
}

var (
	errShelfNotFound = problem.New(problem.NotFound, "shelf-not-found", "There is no such shelf.")
	errNameTaken     = &problem.Error{Kind: problem.Conflict, Code: "shelf-name-taken", Message: "Another shelf has the name.",
		Constraint: "shelf-name", Scope: "room:1", Mode: "retry", Attempts: 16}
	errRefused  = problem.New(problem.Refused, "base-shelf-not-found", "The base is no shelf.")
	errStale    = problem.New(problem.Stale, "version-mismatch", "The shelf has changed.")
	errBusy     = &problem.Error{Kind: problem.Unavailable, Code: "scope-busy", Message: "Busy.", Retryable: true, RetryAfter: 1500 * time.Millisecond, Cause: errors.New("55P03")}
	errDatabase = errors.New("pq: password authentication failed")
	existing    = event.DerivedID[shelf](event.NewID[shelf]().UUID(), "a")
)

type createShelf struct {
	httpapi.Actor
	httpapi.Consistency
	Body struct {
		Name string   `json:"name" maxLength:"200"`
		Year *int     `json:"year,omitempty"`
		Tags []string `json:"tags,omitempty"`
		Base struct {
			Name string `json:"name"`
		} `json:"base,omitzero"`
	}
}

type oneShelf struct {
	httpapi.Consistency
	ID string `path:"id"`
}

type listShelves struct {
	httpapi.Consistency
	httpapi.Paging
	Odd bool `query:"odd"`
}

type patchShelf struct {
	httpapi.Actor
	ID   string `path:"id"`
	Body struct {
		Name *string `json:"name,omitempty" nullable:"true"`
	}
}

// shelves registers the toy's routes. A created shelf's name says what becomes of it.
func shelves(api *httpapi.API) {
	h := api.Huma()
	huma.Register(h, huma.Operation{
		OperationID: "create-shelf", Method: http.MethodPost, Path: "/shelves", DefaultStatus: http.StatusCreated,
		Metadata: httpapi.Also(http.StatusAccepted, http.StatusOK), Errors: httpapi.Errors(errNameTaken, errRefused, errBusy, errStale),
	}, func(ctx context.Context, in *createShelf) (*httpapi.Written[Shelf], error) {
		one := 1
		s := Shelf{ID: existing.String(), Name: in.Body.Name + " by " + in.Who(), Number: &one, Tags: []string{}}
		switch in.Body.Name {
		case "taken":
			return nil, errNameTaken
		case "refused":
			return nil, fmt.Errorf("run command: %w", errRefused)
		case "busy":
			return nil, errBusy
		case "stale":
			return nil, errStale
		case "database":
			return nil, fmt.Errorf("read shelf: %w", errDatabase)
		case "panic":
			panic("the shelf fell")
		case "abort":
			panic(http.ErrAbortHandler)
		case "empty":
			var wrong problem.Fields
			wrong.Add("name", "must not be empty")
			return nil, problem.Under("body.", wrong.Err())
		case "slow":
			<-ctx.Done()
			return nil, fmt.Errorf("read shelf: %w", ctx.Err())
		case "wait":
			s.Name = in.Wait(0).String()
		case "pending":
			s.Number = nil
		}
		return httpapi.Created(s, 1, "/shelves/"+s.ID, 7, in.Body.Name == "pending", in.Body.Name == "repeated"), nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "get-shelf", Method: http.MethodGet, Path: "/shelves/{id}", Errors: httpapi.Errors(errShelfNotFound, errBusy),
	}, func(_ context.Context, in *oneShelf) (*httpapi.One[Shelf], error) {
		var id shelfID
		if err := httpapi.ParseID(&id, in.ID, errShelfNotFound); err != nil {
			return nil, err
		}
		switch {
		case id != existing:
			return nil, errShelfNotFound
		case in.MinPosition > 7:
			return nil, problem.New(problem.Unavailable, "behind", "Position %d is not readable after %v.", in.MinPosition, in.Wait(2*time.Second))
		}
		return httpapi.NewOne(Shelf{ID: in.ID, Tags: []string{}}, 3, 8), nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "list-shelves", Method: http.MethodGet, Path: "/shelves",
	}, func(ctx context.Context, in *listShelves) (*httpapi.List[Shelf], error) {
		listing := httpapi.Listing{"shelves", fmt.Sprint(in.Odd)}
		after := 0
		if err := listing.Open(in.Cursor, &after); err != nil {
			return nil, err
		}
		var found []Shelf
		for n := after + 1; n <= 5 && len(found) <= in.Limit; n++ {
			if !in.Odd || n%2 == 1 {
				found = append(found, Shelf{Number: &n, Tags: []string{}})
			}
		}
		return httpapi.NewList(ctx, in.Paging, found, func(last Shelf) string { return listing.Cursor(*last.Number) }), nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "patch-shelf", Method: http.MethodPatch, Path: "/shelves/{id}", Errors: httpapi.Errors(errShelfNotFound),
	}, func(_ context.Context, in *patchShelf) (*httpapi.Written[Shelf], error) {
		return httpapi.Changed(Shelf{ID: in.ID, Tags: []string{}}, 4, 0), nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "broken-shelf", Method: http.MethodGet, Path: "/broken",
	}, func(context.Context, *struct{}) (*httpapi.One[broken], error) {
		return &httpapi.One[broken]{}, nil
	})
}

// broken cannot be encoded.
type broken struct {
	Name string `json:"name"`
}

func (broken) MarshalJSON() ([]byte, error) { return nil, errDatabase }
