package library

import (
	"context"
	"database/sql"
	"fmt"

	"accession/modules/library/libraryevents"

	"github.com/uptrace/bun"
)

// selectLibraries selects libraries with the number of their live categories, which is counted when it is asked for: a count kept
// in a row would have to be right after every replay.
func selectLibraries(db bun.IDB) *bun.SelectQuery {
	return db.NewSelect().TableExpr("library_libraries AS l").ColumnExpr("l.id, l.name, l.version").
		ColumnExpr("(SELECT COUNT(*) FROM library_categories AS c WHERE c.library_id = l.id AND NOT c.withdrawn) AS categories")
}

type countedLibrary struct {
	ID         string
	Name       string
	Version    int
	Categories int
}

func (l countedLibrary) library() Library {
	return Library{ID: l.ID, Name: l.Name, Categories: l.Categories}
}

// findLibrary finds a library and its version. One that is not there is sql.ErrNoRows.
func findLibrary(ctx context.Context, db bun.IDB, id libraryevents.LibraryID) (Library, int, error) {
	var found countedLibrary
	if err := selectLibraries(db).Where("l.id = ?", id.String()).Scan(ctx, &found); err != nil {
		return Library{}, 0, fmt.Errorf("find library: %w", err)
	}
	return found.library(), found.Version, nil
}

// name is where in the list of libraries one stands.
type name struct {
	Name string `json:"n"`
	ID   string `json:"id"`
}

func nameOf(l Library) name { return name{l.Name, l.ID} }

// listLibraries lists libraries by name, behind after.
func listLibraries(ctx context.Context, db bun.IDB, after name, limit int) ([]Library, error) {
	var found []countedLibrary
	q := selectLibraries(db).OrderExpr("l.name, l.id").Limit(int64(limit))
	if after.ID != "" {
		q = q.Where("(l.name, l.id) > (?, ?)", after.Name, after.ID)
	}
	if err := q.Scan(ctx, &found); err != nil {
		return nil, fmt.Errorf("list libraries: %w", err)
	}
	libraries := make([]Library, len(found))
	for i, l := range found {
		libraries[i] = l.library()
	}
	return libraries, nil
}

// findCategory finds a category and its version. One that is not there is sql.ErrNoRows.
func findCategory(ctx context.Context, db bun.IDB, id libraryevents.CategoryID) (Category, int, error) {
	var row categoryRow
	if err := db.NewSelect().Model(&row).Where("c.id = ?", id.String()).Scan(ctx); err != nil {
		return Category{}, 0, fmt.Errorf("find category: %w", err)
	}
	return row.category(), row.Version, nil
}

// place is where in a list a category stands.
type place struct {
	Number int    `json:"n"`
	ID     string `json:"id"`
}

func placeOf(c Category) place {
	p := place{ID: c.ID}
	if c.Number != nil {
		p.Number = *c.Number
	}
	return p
}

// listCategories lists a library's categories by number, ascending, behind after; those withdrawn only when asked for. A
// library that is not there is sql.ErrNoRows.
func listCategories(ctx context.Context, db bun.IDB, library string, withdrawn bool, after place, limit int) ([]Category, error) {
	there, err := db.NewSelect().Model((*libraryRow)(nil)).Where("l.id = ?", library).Exists(ctx)
	if err != nil {
		return nil, fmt.Errorf("find library: %w", err)
	}
	if !there {
		return nil, sql.ErrNoRows
	}
	var rows []categoryRow
	q := db.NewSelect().Model(&rows).Where("c.library_id = ?", library).OrderExpr("c.number, c.id").Limit(int64(limit))
	if !withdrawn {
		q = q.Where("NOT c.withdrawn")
	}
	if after.ID != "" {
		q = q.Where("(c.number, c.id) > (?, ?)", after.Number, after.ID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list categories: %w", err)
	}
	categories := make([]Category, len(rows))
	for i, r := range rows {
		categories[i] = r.category()
	}
	return categories, nil
}
