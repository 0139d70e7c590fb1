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
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/projection"

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
	Category string `path:"id" doc:"The category's id."`
}

func routes(api *httpapi.API, env module.Env) {
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
		req.Fresh = in.Body.ID == nil
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		number, err := numberOf(ctx, env.Log, category)
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
		var id catalogueevents.BookID
		if err := httpapi.ParseID(&id, in.ID, editions.ErrBookNotFound); err != nil {
			return nil, err
		}
		var found Book
		var version int
		at, err := env.Read(ctx, Books.Name, in.Consistency, editions.ErrBookNotFound, func(ctx context.Context, db bun.IDB) (err error) {
			found, version, err = findBook(ctx, db, id.String())
			return err
		})
		if err != nil {
			return nil, err
		}
		return httpapi.NewOne(found, version, at), nil
	})

	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-books", Method: http.MethodGet, Path: "/categories/{id}/books", Tags: []string{"Books"},
		Summary: "The books of a category, by number", Errors: httpapi.Errors(ErrCategoryNotFound, projection.ErrBehind),
	}, func(ctx context.Context, in *listBooksInput) (*httpapi.List[Book], error) {
		var category libraryevents.CategoryID
		if err := httpapi.ParseID(&category, in.Category, ErrCategoryNotFound); err != nil {
			return nil, err
		}
		listing := httpapi.Listing{"books", category.String()}
		var after place
		if err := listing.Open(in.Cursor, &after); err != nil {
			return nil, err
		}
		var found []Book
		at, err := env.Read(ctx, Books.Name, in.Consistency, ErrCategoryNotFound, func(ctx context.Context, db bun.IDB) (err error) {
			found, err = listBooks(ctx, db, category.String(), after, in.Limit+1)
			return err
		})
		if err != nil {
			return nil, err
		}
		return httpapi.NewList(ctx, in.Paging, found, func(last Book) string { return listing.Cursor(placeOf(last)) }).At(at), nil
	})
}
