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
	Body struct {
		ID   *string `json:"id,omitempty" doc:"A UUID of your own, to be able to repeat the request."`
		Name string  `json:"name" doc:"1 to 200 characters."`
	}
}

type createCategoryInput struct {
	httpapi.Actor
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
}

type listCategoriesInput struct {
	httpapi.Consistency
	httpapi.Paging
	Library string `path:"id" doc:"The library's id."`
}

func routes(api *httpapi.API, env module.Env) {
	libraryRoutes(api, env)
	categoryRoutes(api, env)
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
		req.Fresh = in.Body.ID == nil
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
		var id libraryevents.LibraryID
		if err := httpapi.ParseID(&id, in.ID, ErrLibraryNotFound); err != nil {
			return nil, err
		}
		var found Library
		var version int
		at, err := env.Read(ctx, Libraries.Name, in.Consistency, ErrLibraryNotFound, func(ctx context.Context, db bun.IDB) (err error) {
			found, version, err = findLibrary(ctx, db, id.String())
			return err
		})
		if err != nil {
			return nil, err
		}
		return httpapi.NewOne(found, version, at), nil
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-libraries", Method: http.MethodGet, Path: "/libraries", Tags: tags,
		Summary: "All libraries, by name", Errors: httpapi.Errors(projection.ErrBehind),
	}, func(ctx context.Context, in *listLibrariesInput) (*httpapi.List[Library], error) {
		listing := httpapi.Listing{"libraries"}
		var after name
		if err := listing.Open(in.Cursor, &after); err != nil {
			return nil, err
		}
		var found []Library
		at, err := env.Read(ctx, Libraries.Name, in.Consistency, ErrLibraryNotFound, func(ctx context.Context, db bun.IDB) (err error) {
			found, err = listLibraries(ctx, db, after, in.Limit+1)
			return err
		})
		if err != nil {
			return nil, err
		}
		return httpapi.NewList(ctx, in.Paging, found, func(last Library) string { return listing.Cursor(name{last.Name, last.ID}) }).At(at), nil
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
		req.Fresh = in.Body.ID == nil
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
		var id libraryevents.CategoryID
		if err := httpapi.ParseID(&id, in.ID, catalogue.ErrCategoryNotFound); err != nil {
			return nil, err
		}
		var found Category
		var version int
		at, err := env.Read(ctx, Libraries.Name, in.Consistency, catalogue.ErrCategoryNotFound, func(ctx context.Context, db bun.IDB) (err error) {
			found, version, err = findCategory(ctx, db, id.String())
			return err
		})
		if err != nil {
			return nil, err
		}
		return httpapi.NewOne(found, version, at), nil
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-categories", Method: http.MethodGet, Path: "/libraries/{id}/categories", Tags: tags,
		Summary: "The categories of a library, by number", Errors: httpapi.Errors(ErrLibraryNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *listCategoriesInput) (*httpapi.List[Category], error) {
		var library libraryevents.LibraryID
		if err := httpapi.ParseID(&library, in.Library, ErrLibraryNotFound); err != nil {
			return nil, err
		}
		listing := httpapi.Listing{"categories", library.String()}
		var after place
		if err := listing.Open(in.Cursor, &after); err != nil {
			return nil, err
		}
		var found []Category
		at, err := env.Read(ctx, Libraries.Name, in.Consistency, ErrLibraryNotFound, func(ctx context.Context, db bun.IDB) (err error) {
			found, err = listCategories(ctx, db, library.String(), after, in.Limit+1)
			return err
		})
		if err != nil {
			return nil, err
		}
		return httpapi.NewList(ctx, in.Paging, found, func(last Category) string { return listing.Cursor(placeOf(last)) }).At(at), nil
	})
}
