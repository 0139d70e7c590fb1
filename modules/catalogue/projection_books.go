package catalogue

import (
	"context"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/projection"
	"accession/platform/reference"

	"github.com/uptrace/bun"
)

// Books is the read model behind the books of the API, with what a reference needs of their categories.
var Books = projection.Projector{
	Name: "catalogue-books", Version: 2,
	Tables: []projection.Table{
		{Model: (*bookRow)(nil), Indexes: []projection.Index{{Columns: []string{"category_id", "number"}}}},
		{Model: (*categoryRow)(nil)},
	},
	Handlers: projection.Handlers{
		projection.On(func(_ context.Context, w *projection.Writer, e *libraryevents.CategoryCreated, _ event.Envelope) error {
			w.Put(&categoryRow{ID: e.Category.String(), Number: e.Number})
			return nil
		}),
		projection.On(func(_ context.Context, w *projection.Writer, e *catalogueevents.BookAdded, env event.Envelope) error {
			w.Put(&bookRow{
				ID: e.Book.String(), CategoryID: e.Category.String(), LibraryID: e.Library.String(), Number: e.Number,
				Title: e.Title, Authors: e.Authors, Version: env.Version,
			})
			return nil
		}),
		projection.On(func(ctx context.Context, w *projection.Writer, e *catalogueevents.BookCorrected, env event.Envelope) error {
			return projection.Change(ctx, w, &bookRow{ID: e.Book.String()}, func(r *bookRow) {
				r.Title, r.Authors, r.Version = e.Title, e.Authors, env.Version
			})
		}),
		projection.On(func(ctx context.Context, w *projection.Writer, e *catalogueevents.BookMoved, env event.Envelope) error {
			return projection.Change(ctx, w, &bookRow{ID: e.Book.String()}, func(r *bookRow) {
				r.CategoryID, r.Number, r.Version = e.Category.String(), e.Number, env.Version
			})
		}),
		projection.On(func(ctx context.Context, w *projection.Writer, e *catalogueevents.BookWithdrawn, env event.Envelope) error {
			return projection.Change(ctx, w, &bookRow{ID: e.Book.String()}, func(r *bookRow) {
				r.Withdrawn, r.Version = true, env.Version
			})
		}),
	},
}

// bookRow is a book. A number not assigned yet is 0.
type bookRow struct {
	bun.BaseModel `bun:"table:catalogue_books,alias:b"`

	ID         string   `bun:"id,pk"`
	CategoryID string   `bun:"category_id,notnull"`
	LibraryID  string   `bun:"library_id,notnull"`
	Number     int      `bun:"number,notnull"`
	Title      string   `bun:"title,notnull"`
	Authors    []string `bun:"authors,notnull"`
	Withdrawn  bool     `bun:"withdrawn,notnull"`
	Version    int      `bun:"version,notnull"` // of the book's stream
}

// categoryRow is a category's number.
type categoryRow struct {
	bun.BaseModel `bun:"table:catalogue_categories,alias:c"`

	ID     string `bun:"id,pk"`
	Number int    `bun:"number,notnull"`
}

// book is the row as the API shows it, in a category with the number given.
func (r bookRow) book(category int) Book {
	b := Book{
		ID: r.ID, CategoryID: r.CategoryID, LibraryID: r.LibraryID, Number: known(r.Number),
		Title: r.Title, Authors: r.Authors, Withdrawn: r.Withdrawn, Reference: known(reference.Of(category, r.Number)),
	}
	if b.Authors == nil {
		b.Authors = []string{}
	}
	return b
}
