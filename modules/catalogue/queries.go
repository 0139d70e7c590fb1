package catalogue

import (
	"context"
	"fmt"

	"accession/modules/catalogue/catalogueevents"

	"github.com/uptrace/bun"
)

// findCategory finds a category's number. A category that is not there is sql.ErrNoRows.
func findCategory(ctx context.Context, db bun.IDB, id string) (int, error) {
	var row categoryRow
	if err := db.NewSelect().Model(&row).Where("c.id = ?", id).Scan(ctx); err != nil {
		return 0, fmt.Errorf("find category: %w", err)
	}
	return row.Number, nil
}

// findBook finds a book and its version. One that is not there is sql.ErrNoRows.
func findBook(ctx context.Context, db bun.IDB, id catalogueevents.BookID) (Book, int, error) {
	var row bookRow
	if err := db.NewSelect().Model(&row).Where("b.id = ?", id.String()).Scan(ctx); err != nil {
		return Book{}, 0, fmt.Errorf("find book: %w", err)
	}
	category, err := findCategory(ctx, db, row.CategoryID)
	return row.book(category), row.Version, err
}

// place is where in a list a book stands.
type place struct {
	Number int    `json:"n"`
	ID     string `json:"id"`
}

func placeOf(b Book) place {
	p := place{ID: b.ID}
	if b.Number != nil {
		p.Number = *b.Number
	}
	return p
}

// listBooks lists a category's books by number, ascending, behind after; those withdrawn only when asked for. A category that is not there is sql.ErrNoRows.
func listBooks(ctx context.Context, db bun.IDB, category string, withdrawn bool, after place, limit int) ([]Book, error) {
	number, err := findCategory(ctx, db, category)
	if err != nil {
		return nil, err
	}
	var rows []bookRow
	q := db.NewSelect().Model(&rows).Where("b.category_id = ?", category).OrderExpr("b.number, b.id").Limit(int64(limit))
	if !withdrawn {
		q = q.Where("NOT b.withdrawn")
	}
	if after.ID != "" {
		q = q.Where("(b.number, b.id) > (?, ?)", after.Number, after.ID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list books: %w", err)
	}
	books := make([]Book, len(rows))
	for i, r := range rows {
		books[i] = r.book(number)
	}
	return books, nil
}
