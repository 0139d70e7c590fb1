package library

import (
	"context"
	"net/http"

	"accession/modules/catalogue"
	"accession/modules/editions"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/usecase"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"
)

type openLibraryInput struct {
	httpapi.Actor
	httpapi.Repeatable
	Body struct {
		ID   *string `json:"id,omitempty" doc:"A UUID of your own, to be able to repeat the request."`
		Name string  `json:"name" doc:"1 to 200 characters."`
	}
}

type createCategoryInput struct {
	httpapi.Actor
	httpapi.Repeatable
	Library string `path:"id" doc:"The library's id."`
	Body    struct {
		ID   *string            `json:"id,omitempty" doc:"A UUID of your own, to be able to repeat the request."`
		Name string             `json:"name" doc:"1 to 200 characters. No two categories of a library have the same, case and spacing aside."`
		Book catalogue.BookBody `json:"book" doc:"The category's first book."`
	}
}

type getInput struct {
	httpapi.Consistency
	ID string `path:"id"`
}

type listLibrariesInput struct {
	httpapi.Consistency
	httpapi.Paging
	Withdrawn bool `query:"withdrawn" doc:"Other lists are asked with it for what was withdrawn, too. A library never is, so it changes nothing."`
}

type listCategoriesInput struct {
	httpapi.Consistency
	httpapi.Paging
	httpapi.Withdrawn
	Library string `path:"id" doc:"The library's id."`
}

type renameInput struct {
	httpapi.Actor
	httpapi.Precondition
	ID   string `path:"id"`
	Body struct {
		Name httpapi.Optional[string] `json:"name,omitzero" nullable:"false" doc:"1 to 200 characters."`
	}
}

type withdrawCategoryInput struct {
	httpapi.Actor
	httpapi.Precondition
	ID     string `path:"id"`
	Reason string `query:"reason" doc:"Why: up to 1,000 characters."`
}

func routes(api *httpapi.API, env module.Env) {
	libraryRoutes(api, env)
	categoryRoutes(api, env)
	changeRoutes(api, env)
}

func libraryRoutes(api *httpapi.API, env module.Env) {
	tags := []string{"Libraries"}
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "open-library", Method: http.MethodPost, Path: "/libraries", Tags: tags,
		Summary: "Open a library", DefaultStatus: http.StatusCreated, Metadata: httpapi.Also(http.StatusOK),
		Errors: httpapi.Errors(consistency.ErrIDTaken, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *openLibraryInput) (*httpapi.Written[Library], error) {
		cmd := OpenLibrary{ID: libraryevents.NewLibraryID(), Name: in.Body.Name}
		if err := httpapi.GivenID(&cmd.ID, in.Body.ID, "body.id"); err != nil {
			return nil, err
		}
		req := cmd.Request(in.Who())
		req.Fresh, req.Token = in.Body.ID == nil, in.Token(ctx)
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		e, _ := usecase.Recorded[*libraryevents.LibraryOpened](receipt)
		return httpapi.Created(Library{ID: e.Library.String(), Name: e.Name}, 1, "/libraries/"+e.Library.String(), receipt.Position, false, receipt.Repeated), nil
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "get-library", Method: http.MethodGet, Path: "/libraries/{id}", Tags: tags,
		Summary: "One library", Errors: httpapi.Errors(ErrLibraryNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *getInput) (*httpapi.One[Library], error) {
		return module.ReadOne(ctx, env.From(Libraries, in.Consistency, ErrLibraryNotFound), in.ID, findLibrary)
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-libraries", Method: http.MethodGet, Path: "/libraries", Tags: tags,
		Summary: "All libraries, by name", Errors: httpapi.Errors(projection.ErrBehind),
	}, func(ctx context.Context, in *listLibrariesInput) (*httpapi.List[Library], error) {
		return module.ReadList(ctx, env.From(Libraries, in.Consistency, nil), in.Paging, httpapi.Listing{"libraries"}, nameOf, listLibraries)
	})
}

func categoryRoutes(api *httpapi.API, env module.Env) {
	tags := []string{"Categories"}
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "create-category", Method: http.MethodPost, Path: "/libraries/{id}/categories", Tags: tags,
		Summary:       "Create a category, with its first book and that book's first edition",
		DefaultStatus: http.StatusCreated, Metadata: httpapi.Also(http.StatusOK, http.StatusAccepted),
		Errors: httpapi.Errors(ErrLibraryNotFound, ErrCategoryNameTaken, ErrCategoryNumberNotUnique, editions.ErrISBNTaken, consistency.ErrIDTaken, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *createCategoryInput) (*httpapi.Written[CreatedCategory], error) {
		cmd := CreateCategory{ID: libraryevents.NewCategoryID(), Name: in.Body.Name}
		if err := httpapi.ParseID(&cmd.Library, in.Library, ErrLibraryNotFound); err != nil {
			return nil, err
		}
		book, err := in.Body.Book.Command()
		err = problem.Join(httpapi.GivenID(&cmd.ID, in.Body.ID, "body.id"), problem.Under("body.book.", err))
		if err != nil {
			return nil, err
		}
		cmd.Book = book
		req := cmd.Request(in.Who())
		req.Fresh, req.Token = in.Body.ID == nil, in.Token(ctx)
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		c := stored(receipt)
		if receipt.Repeated && !in.Body.Book.Asks(c.Book) {
			return nil, consistency.ErrIDTaken
		}
		return httpapi.Created(c, 1, "/categories/"+c.ID, receipt.Position, c.Number == nil || c.Book.Pending(), receipt.Repeated), nil
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "get-category", Method: http.MethodGet, Path: "/categories/{id}", Tags: tags,
		Summary: "One category", Errors: httpapi.Errors(catalogue.ErrCategoryNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *getInput) (*httpapi.One[Category], error) {
		return module.ReadOne(ctx, env.From(Libraries, in.Consistency, catalogue.ErrCategoryNotFound), in.ID, findCategory)
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-categories", Method: http.MethodGet, Path: "/libraries/{id}/categories", Tags: tags,
		Summary: "The categories of a library, by number", Errors: httpapi.Errors(ErrLibraryNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *listCategoriesInput) (*httpapi.List[Category], error) {
		var library libraryevents.LibraryID
		if err := httpapi.ParseID(&library, in.Library, ErrLibraryNotFound); err != nil {
			return nil, err
		}
		return module.ReadList(ctx, env.From(Libraries, in.Consistency, ErrLibraryNotFound), in.Paging, httpapi.Listing{"categories", library.String(), in.Part()}, placeOf,
			func(ctx context.Context, db bun.IDB, after place, limit int) ([]Category, error) {
				return listCategories(ctx, db, library.String(), in.Withdrawn.Withdrawn, after, limit)
			})
	})
}

func changeRoutes(api *httpapi.API, env module.Env) {
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "rename-library", Method: http.MethodPatch, Path: "/libraries/{id}", Tags: []string{"Libraries"},
		Summary: "Rename a library", Description: "A merge patch: what is left out stays.", DefaultStatus: http.StatusOK,
		Errors: httpapi.Errors(ErrLibraryNotFound, consistency.ErrVersionConflict, usecase.ErrVersionMismatch, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *renameInput) (*httpapi.Written[Library], error) {
		cmd := RenameLibrary{Seen: in.Seen()}
		if err := httpapi.ParseID(&cmd.ID, in.ID, ErrLibraryNotFound); err != nil {
			return nil, err
		}
		name, err := in.Body.Name.Set("body.name")
		if err != nil {
			return nil, err
		}
		if name == nil { // nothing is to be changed
			head, err := env.Log.Head(ctx)
			if err != nil {
				return nil, err
			}
			l, version, err := libraryFromLog(ctx, env.Log, cmd.ID, head.Position)
			if err != nil {
				return nil, err
			}
			return httpapi.Changed(l, version, head.Position), usecase.CheckVersion(cmd.Seen, version)
		}
		cmd.Name = *name
		receipt, err := env.Runner.Run(ctx, cmd.Request(in.Who()))
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		l, version, err := libraryFromLog(ctx, env.Log, cmd.ID, receipt.Position)
		if err != nil {
			return nil, err
		}
		return httpapi.Changed(l, version, receipt.Position), nil
	})

	tags := []string{"Categories"}
	change := func(ctx context.Context, id libraryevents.CategoryID, req usecase.Request) (*httpapi.Written[Category], error) {
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, err
		}
		c, version, err := categoryFromLog(ctx, env.Log, id, receipt.Position)
		if err != nil {
			return nil, err
		}
		return httpapi.Changed(c, version, receipt.Position), nil
	}
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "rename-category", Method: http.MethodPatch, Path: "/categories/{id}", Tags: tags,
		Summary: "Rename a category", Description: "A merge patch: what is left out stays.", DefaultStatus: http.StatusOK,
		Errors: httpapi.Errors(catalogue.ErrCategoryNotFound, ErrCategoryNameTaken, consistency.ErrVersionConflict, usecase.ErrVersionMismatch,
			consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *renameInput) (*httpapi.Written[Category], error) {
		cmd := RenameCategory{Seen: in.Seen()}
		if err := httpapi.ParseID(&cmd.ID, in.ID, catalogue.ErrCategoryNotFound); err != nil {
			return nil, err
		}
		name, err := in.Body.Name.Set("body.name")
		if err != nil {
			return nil, err
		}
		if name == nil { // nothing is to be changed
			head, err := env.Log.Head(ctx)
			if err != nil {
				return nil, err
			}
			c, version, err := categoryFromLog(ctx, env.Log, cmd.ID, head.Position)
			switch {
			case err != nil:
				return nil, err
			case c.Withdrawn:
				return nil, catalogue.ErrCategoryNotFound
			}
			return httpapi.Changed(c, version, head.Position), usecase.CheckVersion(cmd.Seen, version)
		}
		cmd.Name = *name
		c, err := change(ctx, cmd.ID, cmd.Request(in.Who()))
		return c, problem.Under("body.", err)
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "withdraw-category", Method: http.MethodDelete, Path: "/categories/{id}", Tags: tags,
		Summary: "Withdraw a category without live books", Description: "It can still be read, and its number stays used up.",
		DefaultStatus: http.StatusOK,
		Errors: httpapi.Errors(catalogue.ErrCategoryNotFound, catalogue.ErrCategoryNotEmpty, consistency.ErrVersionConflict,
			usecase.ErrVersionMismatch, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *withdrawCategoryInput) (*httpapi.Written[Category], error) {
		cmd := WithdrawCategory{Seen: in.Seen(), Reason: in.Reason}
		if err := httpapi.ParseID(&cmd.ID, in.ID, catalogue.ErrCategoryNotFound); err != nil {
			return nil, err
		}
		c, err := change(ctx, cmd.ID, cmd.Request(in.Who()))
		return c, problem.Under("query.", err)
	})
}
