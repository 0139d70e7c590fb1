package editions

import (
	"context"
	"fmt"

	"accession/modules/editions/editionsevents"

	"github.com/uptrace/bun"
)

// numbers are what a reference needs besides an edition's own number.
type numbers struct {
	Category int
	Book     int
}

// findNumbers finds the numbers of a book and its category. A book that is not there is sql.ErrNoRows.
func findNumbers(ctx context.Context, db bun.IDB, book string) (numbers, error) {
	var n numbers
	err := db.NewSelect().Model((*bookRow)(nil)).ColumnExpr("b.number AS book").ColumnExpr("COALESCE(c.number, 0) AS category").
		Join("LEFT JOIN editions_categories AS c ON c.id = b.category_id").Where("b.id = ?", book).Scan(ctx, &n)
	if err != nil {
		return n, fmt.Errorf("find book: %w", err)
	}
	return n, nil
}

// findEdition finds an edition and its version. One that is not there is sql.ErrNoRows.
func findEdition(ctx context.Context, db bun.IDB, id editionsevents.EditionID) (Edition, int, error) {
	var row editionRow
	if err := db.NewSelect().Model(&row).Where("e.id = ?", id.String()).Scan(ctx); err != nil {
		return Edition{}, 0, fmt.Errorf("find edition: %w", err)
	}
	n, err := findNumbers(ctx, db, row.BookID)
	return row.edition(n.Category, n.Book), row.Version, err
}

// place is where in a list an edition stands.
type place struct {
	Number int    `json:"n"`
	ID     string `json:"id"`
}

// listEditions lists a book's editions by number, ascending, behind after; those withdrawn only when asked for. A book that is not there is sql.ErrNoRows.
func listEditions(ctx context.Context, db bun.IDB, book string, withdrawn bool, after place, limit int) ([]Edition, error) {
	n, err := findNumbers(ctx, db, book)
	if err != nil {
		return nil, err
	}
	var rows []editionRow
	q := db.NewSelect().Model(&rows).Where("e.book_id = ?", book).OrderExpr("e.number, e.id").Limit(int64(limit))
	if !withdrawn {
		q = q.Where("NOT e.withdrawn")
	}
	if after.ID != "" {
		q = q.Where("(e.number, e.id) > (?, ?)", after.Number, after.ID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list editions: %w", err)
	}
	editions := make([]Edition, len(rows))
	for i, r := range rows {
		editions[i] = r.edition(n.Category, n.Book)
	}
	return editions, nil
}
