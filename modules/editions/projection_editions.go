package editions

import (
	"context"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/projection"
	"accession/platform/reference"

	"github.com/uptrace/bun"
)

// Editions is the read model behind the editions of the API, with what a reference needs of their books and categories.
var Editions = projection.Projector{
	Name: "editions", Version: 2,
	Tables: []projection.Table{
		{Model: (*editionRow)(nil), Indexes: []projection.Index{{Columns: []string{"book_id", "number"}}}},
		{Model: (*bookRow)(nil)},
		{Model: (*categoryRow)(nil)},
	},
	Handlers: projection.Handlers{
		projection.On(func(_ context.Context, w *projection.Writer, e *libraryevents.CategoryCreated, _ event.Envelope) error {
			w.Put(&categoryRow{ID: e.Category.String(), Number: e.Number})
			return nil
		}),
		projection.On(func(_ context.Context, w *projection.Writer, e *catalogueevents.BookAdded, _ event.Envelope) error {
			w.Put(&bookRow{ID: e.Book.String(), CategoryID: e.Category.String(), Number: e.Number})
			return nil
		}),
		projection.On(func(_ context.Context, w *projection.Writer, e *catalogueevents.BookMoved, _ event.Envelope) error {
			w.Put(&bookRow{ID: e.Book.String(), CategoryID: e.Category.String(), Number: e.Number})
			return nil
		}),
		projection.On(func(_ context.Context, w *projection.Writer, e *editionsevents.EditionAdded, env event.Envelope) error {
			w.Put(&editionRow{
				ID: e.Edition.String(), BookID: e.Book.String(), Number: e.Number, BaseID: baseID(e.Base),
				ISBN: e.ISBN, Publisher: e.Publisher, Year: e.Year, Language: e.Language, Format: e.Format, Version: env.Version,
			})
			return nil
		}),
		projection.On(func(ctx context.Context, w *projection.Writer, e *editionsevents.EditionCorrected, env event.Envelope) error {
			return projection.Change(ctx, w, &editionRow{ID: e.Edition.String()}, func(r *editionRow) {
				r.ISBN, r.Publisher, r.Year, r.Language, r.Format = e.ISBN, e.Publisher, e.Year, e.Language, e.Format
				r.Version = env.Version
			})
		}),
		projection.On(func(ctx context.Context, w *projection.Writer, e *editionsevents.EditionWithdrawn, env event.Envelope) error {
			return projection.Change(ctx, w, &editionRow{ID: e.Edition.String()}, func(r *editionRow) {
				r.Withdrawn, r.Version = true, env.Version
			})
		}),
	},
}

// editionRow is an edition. What is not known is the zero value.
type editionRow struct {
	bun.BaseModel `bun:"table:editions_editions,alias:e"`

	ID        string `bun:"id,pk"`
	BookID    string `bun:"book_id,notnull"`
	Number    int    `bun:"number,notnull"`
	BaseID    string `bun:"base_id,notnull"`
	ISBN      string `bun:"isbn,notnull"`
	Publisher string `bun:"publisher,notnull"`
	Year      int    `bun:"year,notnull"`
	Language  string `bun:"language,notnull"`
	Format    string `bun:"format,notnull"`
	Withdrawn bool   `bun:"withdrawn,notnull"`
	Version   int    `bun:"version,notnull"` // of the edition's stream
}

// bookRow is where a book stands.
type bookRow struct {
	bun.BaseModel `bun:"table:editions_books,alias:b"`

	ID         string `bun:"id,pk"`
	CategoryID string `bun:"category_id,notnull"`
	Number     int    `bun:"number,notnull"`
}

// categoryRow is a category's number.
type categoryRow struct {
	bun.BaseModel `bun:"table:editions_categories,alias:c"`

	ID     string `bun:"id,pk"`
	Number int    `bun:"number,notnull"`
}

// edition is the row as the API shows it, in a book with the numbers given.
func (r editionRow) edition(category, book int) Edition {
	return Edition{
		ID: r.ID, BookID: r.BookID, Number: known(r.Number), BaseEditionID: known(r.BaseID),
		ISBN: known(r.ISBN), Publisher: known(r.Publisher), Year: known(r.Year), Language: known(r.Language), Format: known(r.Format),
		Withdrawn: r.Withdrawn, Reference: known(reference.Of(category, book, r.Number)),
	}
}
