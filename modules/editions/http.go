package editions

import (
	"context"
	"errors"
	"net/http"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/eventlog"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/usecase"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"
)

// ErrEditionNotFound: there is no edition with the id, or, to those who would change it, it is withdrawn.
var ErrEditionNotFound = problem.New(problem.NotFound, "edition-not-found", "There is no such edition, or it was withdrawn.")

// ImprintBody is what is printed in an edition, as clients say it. All of it may be left out or null.
type ImprintBody struct {
	ISBN      *string `json:"isbn,omitempty" nullable:"true" doc:"ISBN-10 or ISBN-13, with hyphens or without; kept as ISBN-13." example:"978-0-14-044913-6"`
	Publisher *string `json:"publisher,omitempty" nullable:"true" doc:"Up to 200 characters."`
	Year      *int    `json:"year,omitempty" nullable:"true" doc:"From 1000 to next year."`
	Language  *string `json:"language,omitempty" nullable:"true" doc:"Up to 200 characters." example:"en"`
	Format    *string `json:"format,omitempty" nullable:"true" doc:"Up to 200 characters." example:"paperback"`
}

// Imprint is the body as commands take it.
func (b ImprintBody) Imprint() Imprint {
	said := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return Imprint{ISBN: said(b.ISBN), Publisher: said(b.Publisher), Year: b.Year, Language: said(b.Language), Format: said(b.Format)}
}

type addEditionInput struct {
	httpapi.Actor
	httpapi.Repeatable
	Book string `path:"id" doc:"The book's id."`
	Body struct {
		ID   *string `json:"id,omitempty" doc:"A UUID of your own, to be able to repeat the request."`
		Base *string `json:"base_edition_id" doc:"The edition that the new one replaces: any earlier edition of this book."`
		ImprintBody
	}
}

type getEditionInput struct {
	httpapi.Consistency
	ID string `path:"id" doc:"The edition's id."`
}

type listEditionsInput struct {
	httpapi.Consistency
	httpapi.Paging
	httpapi.Withdrawn
	Book string `path:"id" doc:"The book's id."`
}

type correctEditionInput struct {
	httpapi.Actor
	httpapi.Precondition
	ID   string `path:"id" doc:"The edition's id."`
	Body struct {
		ISBN      httpapi.Optional[string] `json:"isbn,omitzero" doc:"ISBN-10 or ISBN-13, with hyphens or without; kept as ISBN-13." example:"978-0-14-044913-6"`
		Publisher httpapi.Optional[string] `json:"publisher,omitzero" doc:"Up to 200 characters."`
		Year      httpapi.Optional[int]    `json:"year,omitzero" doc:"From 1000 to next year."`
		Language  httpapi.Optional[string] `json:"language,omitzero" doc:"Up to 200 characters." example:"en"`
		Format    httpapi.Optional[string] `json:"format,omitzero" doc:"Up to 200 characters." example:"paperback"`
	}
}

type withdrawEditionInput struct {
	httpapi.Actor
	httpapi.Precondition
	ID     string `path:"id" doc:"The edition's id."`
	Reason string `query:"reason" doc:"Why: up to 1,000 characters."`
}

func routes(api *httpapi.API, env module.Env) {
	numbers := eventlog.NewSettled(libraryevents.PlayNumber)
	changeRoutes(api, env, numbers)

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "add-edition", Method: http.MethodPost, Path: "/books/{id}/editions", Tags: []string{"Editions"},
		Summary: "Add an edition to a book", DefaultStatus: http.StatusCreated, Metadata: httpapi.Also(http.StatusOK, http.StatusAccepted),
		Errors: httpapi.Errors(ErrBookNotFound, ErrBaseEditionNotFound, ErrISBNTaken, consistency.ErrIDTaken, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *addEditionInput) (*httpapi.Written[Edition], error) {
		cmd := AddEdition{ID: editionsevents.NewEditionID(), Imprint: in.Body.Imprint()}
		var wrong problem.Fields
		if in.Body.Base != nil && cmd.Base.UnmarshalText([]byte(*in.Body.Base)) != nil {
			wrong.Add("body.base_edition_id", "is not a UUID: name the edition of this book that the new one replaces")
		}
		err := errors.Join(
			httpapi.ParseID(&cmd.Book, in.Book, ErrBookNotFound),
			problem.Join(httpapi.GivenID(&cmd.ID, in.Body.ID, "body.id"), wrong.Err()),
		)
		if err != nil {
			return nil, err
		}
		req := cmd.Request(in.Who())
		req.Fresh, req.Token = in.Body.ID == nil, in.Token(ctx)
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		category, book, err := placeOf(ctx, env.Log, numbers, cmd.Book, receipt.Position)
		if err != nil {
			return nil, err
		}
		e := Stored(receipt, category, book)
		return httpapi.Created(e, 1, "/editions/"+e.ID, receipt.Position, e.Number == nil, receipt.Repeated), nil
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "get-edition", Method: http.MethodGet, Path: "/editions/{id}", Tags: []string{"Editions"},
		Summary: "One edition", Errors: httpapi.Errors(ErrEditionNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *getEditionInput) (*httpapi.One[Edition], error) {
		return module.ReadOne(ctx, env.From(Editions, in.Consistency, ErrEditionNotFound), in.ID, findEdition)
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-editions", Method: http.MethodGet, Path: "/books/{id}/editions", Tags: []string{"Editions"},
		Summary: "The editions of a book, by number", Errors: httpapi.Errors(ErrBookNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *listEditionsInput) (*httpapi.List[Edition], error) {
		var book catalogueevents.BookID
		if err := httpapi.ParseID(&book, in.Book, ErrBookNotFound); err != nil {
			return nil, err
		}
		return module.ReadList(ctx, env.From(Editions, in.Consistency, ErrBookNotFound), in.Paging, httpapi.Listing{"editions", book.String(), in.Part()}, placeInList,
			func(ctx context.Context, db bun.IDB, after place, limit int) ([]Edition, error) {
				return listEditions(ctx, db, book.String(), in.Withdrawn.Withdrawn, after, limit)
			})
	})
}

func changeRoutes(api *httpapi.API, env module.Env, numbers *eventlog.Settled[int]) {
	tags := []string{"Editions"}
	change := func(ctx context.Context, id editionsevents.EditionID, req usecase.Request) (*httpapi.Written[Edition], error) {
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, err
		}
		e, version, err := fromLog(ctx, env.Log, numbers, id, receipt.Position)
		if err != nil {
			return nil, err
		}
		return httpapi.Changed(e, version, receipt.Position), nil
	}
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "correct-edition", Method: http.MethodPatch, Path: "/editions/{id}", Tags: tags,
		Summary: "Correct an edition", Description: "A merge patch: what is left out stays, null clears.", DefaultStatus: http.StatusOK,
		Errors: httpapi.Errors(ErrEditionNotFound, ErrISBNTaken, consistency.ErrVersionConflict, usecase.ErrVersionMismatch, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *correctEditionInput) (*httpapi.Written[Edition], error) {
		cmd := CorrectEdition{Seen: in.Seen(), Imprint: Correction{
			ISBN: in.Body.ISBN.Change(), Publisher: in.Body.Publisher.Change(), Year: in.Body.Year.Change(),
			Language: in.Body.Language.Change(), Format: in.Body.Format.Change(),
		}}
		if err := httpapi.ParseID(&cmd.ID, in.ID, ErrEditionNotFound); err != nil {
			return nil, err
		}
		if y := in.Body.Year; y.Value != nil && *y.Value == 0 { // to the command it is nothing, to people a year that is none
			return nil, problem.InvalidField("body.year", nil, "0 is not a year: null clears it")
		}
		e, err := change(ctx, cmd.ID, cmd.Request(in.Who()))
		return e, problem.Under("body.", err)
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "withdraw-edition", Method: http.MethodDelete, Path: "/editions/{id}", Tags: tags,
		Summary: "Withdraw an edition", Description: "It can still be read, and its number stays used up.", DefaultStatus: http.StatusOK,
		Errors: httpapi.Errors(ErrEditionNotFound, ErrLastEdition, consistency.ErrVersionConflict, usecase.ErrVersionMismatch, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *withdrawEditionInput) (*httpapi.Written[Edition], error) {
		cmd := WithdrawEdition{Seen: in.Seen(), Reason: in.Reason}
		if err := httpapi.ParseID(&cmd.ID, in.ID, ErrEditionNotFound); err != nil {
			return nil, err
		}
		e, err := change(ctx, cmd.ID, cmd.Request(in.Who()))
		return e, problem.Under("query.", err)
	})
}

func placeInList(e Edition) place {
	p := place{ID: e.ID}
	if e.Number != nil {
		p.Number = *e.Number
	}
	return p
}
