package catalogue

import (
	"context"
	"net/http"
	"strings"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
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

// BookBody is a new book, with its first edition, as clients say it.
type BookBody struct {
	ID      *string   `json:"id,omitempty" doc:"A UUID of your own, to be able to repeat the request."`
	Title   string    `json:"title" doc:"1 to 1,000 characters."`
	Authors *[]string `json:"authors,omitempty" nullable:"true" doc:"In the order of the title page; may be empty."`
	Edition struct {
		ID *string `json:"id,omitempty" doc:"A UUID of your own."`
		editions.ImprintBody
	} `json:"edition,omitzero" doc:"The book's first edition; all of its fields are optional."`
}

// Command is the body as the command that adds the book.
func (b BookBody) Command() (AddBook, error) {
	cmd := AddBook{
		ID: catalogueevents.NewBookID(), Title: b.Title,
		Edition: FirstEdition{ID: editionsevents.NewEditionID(), Imprint: b.Edition.Imprint()},
	}
	if b.Authors != nil {
		cmd.Authors = *b.Authors
	}
	return cmd, problem.Join(
		httpapi.GivenID(&cmd.ID, b.ID, "id"),
		httpapi.GivenID(&cmd.Edition.ID, b.Edition.ID, "edition.id"),
	)
}

// Asks reports whether b, asked for again, asks for the book that was added then: an id that it gives is that thing's.
func (b BookBody) Asks(then AddedBook) bool {
	same := func(given *string, id string) bool { return given == nil || strings.EqualFold(*given, id) }
	return same(b.ID, then.ID) && same(b.Edition.ID, then.Edition.ID)
}

type addBookInput struct {
	httpapi.Actor
	httpapi.Repeatable
	Category string `path:"id" doc:"The category's id."`
	Body     BookBody
}

type getBookInput struct {
	httpapi.Consistency
	ID string `path:"id" doc:"The book's id."`
}

type listBooksInput struct {
	httpapi.Consistency
	httpapi.Paging
	httpapi.Withdrawn
	Category string `path:"id" doc:"The category's id."`
}

type correctBookInput struct {
	httpapi.Actor
	httpapi.Precondition
	ID   string `path:"id" doc:"The book's id."`
	Body struct {
		Title   httpapi.Optional[string]   `json:"title,omitzero" nullable:"false" doc:"1 to 1,000 characters."`
		Authors httpapi.Optional[[]string] `json:"authors,omitzero" doc:"All of them, in the order of the title page."`
	}
}

type moveBookInput struct {
	httpapi.Actor
	httpapi.Repeatable
	httpapi.Precondition
	ID   string `path:"id" doc:"The book's id."`
	Body struct {
		Category string `json:"category_id" doc:"The category that it moves to, of the same library."`
	}
}

type withdrawBookInput struct {
	httpapi.Actor
	httpapi.Precondition
	ID     string `path:"id" doc:"The book's id."`
	Reason string `query:"reason" doc:"Why: up to 1,000 characters."`
}

func routes(api *httpapi.API, env module.Env) {
	numbers := eventlog.NewSettled(libraryevents.PlayNumber)
	changeRoutes(api, env, numbers)

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "add-book", Method: http.MethodPost, Path: "/categories/{id}/books", Tags: []string{"Books"},
		Summary: "Add a book, with its first edition, to a category", DefaultStatus: http.StatusCreated,
		Metadata: httpapi.Also(http.StatusOK, http.StatusAccepted),
		Errors:   httpapi.Errors(ErrCategoryNotFound, ErrBookNumberNotUnique, editions.ErrISBNTaken, consistency.ErrIDTaken, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *addBookInput) (*httpapi.Written[AddedBook], error) {
		var category libraryevents.CategoryID
		if err := httpapi.ParseID(&category, in.Category, ErrCategoryNotFound); err != nil {
			return nil, err
		}
		cmd, err := in.Body.Command()
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		cmd.Category = category
		req := cmd.Request(in.Who())
		req.Fresh, req.Token = in.Body.ID == nil, in.Token(ctx)
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		number, err := numbers.Of(ctx, env.Log, category.Tag(), receipt.Position)
		if err != nil {
			return nil, err
		}
		b := Stored(receipt, number)
		if receipt.Repeated && !in.Body.Asks(b) {
			return nil, consistency.ErrIDTaken
		}
		return httpapi.Created(b, 1, "/books/"+b.ID, receipt.Position, b.Pending(), receipt.Repeated), nil
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "get-book", Method: http.MethodGet, Path: "/books/{id}", Tags: []string{"Books"},
		Summary: "One book", Errors: httpapi.Errors(editions.ErrBookNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *getBookInput) (*httpapi.One[Book], error) {
		return module.ReadOne(ctx, env.From(Books, in.Consistency, editions.ErrBookNotFound), in.ID, findBook)
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-books", Method: http.MethodGet, Path: "/categories/{id}/books", Tags: []string{"Books"},
		Summary: "The books of a category, by number", Errors: httpapi.Errors(ErrCategoryNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *listBooksInput) (*httpapi.List[Book], error) {
		var category libraryevents.CategoryID
		if err := httpapi.ParseID(&category, in.Category, ErrCategoryNotFound); err != nil {
			return nil, err
		}
		return module.ReadList(ctx, env.From(Books, in.Consistency, ErrCategoryNotFound), in.Paging, httpapi.Listing{"books", category.String(), in.Part()}, placeOf,
			func(ctx context.Context, db bun.IDB, after place, limit int) ([]Book, error) {
				return listBooks(ctx, db, category.String(), in.Withdrawn.Withdrawn, after, limit)
			})
	})
}

func changeRoutes(api *httpapi.API, env module.Env, numbers *eventlog.Settled[int]) {
	tags := []string{"Books"}
	change := func(ctx context.Context, id catalogueevents.BookID, req usecase.Request) (*httpapi.Written[Book], error) {
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, err
		}
		b, version, err := fromLog(ctx, env.Log, numbers, id, receipt.Position)
		if err != nil {
			return nil, err
		}
		return httpapi.Changed(b, version, receipt.Position), nil
	}
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "correct-book", Method: http.MethodPatch, Path: "/books/{id}", Tags: tags,
		Summary: "Correct a book", Description: "A merge patch: what is left out stays, null clears.", DefaultStatus: http.StatusOK,
		Errors: httpapi.Errors(editions.ErrBookNotFound, consistency.ErrVersionConflict, usecase.ErrVersionMismatch, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *correctBookInput) (*httpapi.Written[Book], error) {
		cmd := CorrectBook{Seen: in.Seen(), Authors: in.Body.Authors.Change()}
		if err := httpapi.ParseID(&cmd.ID, in.ID, editions.ErrBookNotFound); err != nil {
			return nil, err
		}
		var err error
		if cmd.Title, err = in.Body.Title.Set("body.title"); err != nil {
			return nil, err
		}
		b, err := change(ctx, cmd.ID, cmd.Request(in.Who()))
		return b, problem.Under("body.", err)
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "move-book", Method: http.MethodPost, Path: "/books/{id}/move", Tags: tags,
		Summary:       "Move a book to another category of its library",
		Description:   "It gets a new number there; the old one stays used up. Its editions keep theirs.",
		DefaultStatus: http.StatusOK,
		Errors: httpapi.Errors(editions.ErrBookNotFound, ErrTargetNotFound, ErrBookNumberNotUnique, consistency.ErrVersionConflict,
			usecase.ErrVersionMismatch, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *moveBookInput) (*httpapi.Written[Book], error) {
		cmd := MoveBook{Seen: in.Seen()}
		if err := httpapi.ParseID(&cmd.ID, in.ID, editions.ErrBookNotFound); err != nil {
			return nil, err
		}
		if cmd.To.UnmarshalText([]byte(in.Body.Category)) != nil || cmd.To.IsZero() {
			return nil, problem.InvalidField("body.category_id", in.Body.Category, "names nothing: give the UUID of a category of the book's library")
		}
		req := cmd.Request(in.Who())
		req.Token = in.Token(ctx)
		b, err := change(ctx, cmd.ID, req)
		return b, problem.Under("body.", err)
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "withdraw-book", Method: http.MethodDelete, Path: "/books/{id}", Tags: tags,
		Summary: "Withdraw a book, with its editions", Description: "They can still be read, and their numbers stay used up.",
		DefaultStatus: http.StatusOK,
		Errors:        httpapi.Errors(editions.ErrBookNotFound, consistency.ErrVersionConflict, usecase.ErrVersionMismatch, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *withdrawBookInput) (*httpapi.Written[Book], error) {
		cmd := WithdrawBook{Seen: in.Seen(), Reason: in.Reason}
		if err := httpapi.ParseID(&cmd.ID, in.ID, editions.ErrBookNotFound); err != nil {
			return nil, err
		}
		b, err := change(ctx, cmd.ID, cmd.Request(in.Who()))
		return b, problem.Under("query.", err)
	})
}
