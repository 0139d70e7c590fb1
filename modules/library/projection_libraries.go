package library

import (
	"context"

	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/projection"

	"github.com/uptrace/bun"
)

// Libraries is the read model behind the libraries and categories of the API.
var Libraries = projection.Projector{
	Name: "library-libraries", Version: 2,
	Tables: []projection.Table{
		{Model: (*libraryRow)(nil), Indexes: []projection.Index{{Columns: []string{"name", "id"}}}},
		{Model: (*categoryRow)(nil), Indexes: []projection.Index{{Columns: []string{"library_id", "number"}}}},
	},
	Handlers: projection.Handlers{
		projection.On(func(_ context.Context, w *projection.Writer, e *libraryevents.LibraryOpened, env event.Envelope) error {
			w.Put(&libraryRow{ID: e.Library.String(), Name: e.Name, Version: env.Version})
			return nil
		}),
		projection.On(func(ctx context.Context, w *projection.Writer, e *libraryevents.LibraryRenamed, env event.Envelope) error {
			return projection.Change(ctx, w, &libraryRow{ID: e.Library.String()}, func(r *libraryRow) {
				r.Name, r.Version = e.Name, env.Version
			})
		}),
		projection.On(func(_ context.Context, w *projection.Writer, e *libraryevents.CategoryCreated, env event.Envelope) error {
			w.Put(&categoryRow{ID: e.Category.String(), LibraryID: e.Library.String(), Number: e.Number, Name: e.Name, Version: env.Version})
			return nil
		}),
		projection.On(func(ctx context.Context, w *projection.Writer, e *libraryevents.CategoryRenamed, env event.Envelope) error {
			return projection.Change(ctx, w, &categoryRow{ID: e.Category.String()}, func(r *categoryRow) {
				r.Name, r.Version = e.Name, env.Version
			})
		}),
		projection.On(func(ctx context.Context, w *projection.Writer, e *libraryevents.CategoryWithdrawn, env event.Envelope) error {
			return projection.Change(ctx, w, &categoryRow{ID: e.Category.String()}, func(r *categoryRow) {
				r.Withdrawn, r.Version = true, env.Version
			})
		}),
	},
}

// libraryRow is a library.
type libraryRow struct {
	bun.BaseModel `bun:"table:library_libraries,alias:l"`

	ID      string `bun:"id,pk"`
	Name    string `bun:"name,notnull"`
	Version int    `bun:"version,notnull"` // of the library's stream
}

// categoryRow is a category. A number not assigned yet is 0.
type categoryRow struct {
	bun.BaseModel `bun:"table:library_categories,alias:c"`

	ID        string `bun:"id,pk"`
	LibraryID string `bun:"library_id,notnull"`
	Number    int    `bun:"number,notnull"`
	Name      string `bun:"name,notnull"`
	Withdrawn bool   `bun:"withdrawn,notnull"`
	Version   int    `bun:"version,notnull"` // of the category's stream
}

func (r categoryRow) category() Category {
	return Category{ID: r.ID, LibraryID: r.LibraryID, Number: known(r.Number), Name: r.Name, Withdrawn: r.Withdrawn}
}
