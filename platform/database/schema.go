package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Made is something that the migrations of this binary make: a table, or the unique index that keeps two of its rows from saying
// the same in these columns, if there are any.
type Made struct {
	Table   string
	Index   string // its name, or one that a primary key could have as an index
	Columns []string
}

// SQL is the statement that makes the index.
func (m Made) SQL() string {
	columns := slices.Clone(m.Columns)
	if i := slices.Index(columns, "constraint"); i >= 0 { // the one name that SQL has a use for
		columns[i] = `"constraint"`
	}
	return fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s)", m.Index, m.Table, strings.Join(columns, ", "))
}

// Missing reads with db which tables and which of their unique indexes are gone, by the names of the tables. An index that has
// another name, or that is a primary key, does as well.
func Missing(ctx context.Context, db bun.IDB) (missing []Made, err error) {
	// What there should be is what the migrations make of an empty database, the same on each.
	fresh, err := Open(ctx, Config{URL: "sqlite::memory:"})
	if err != nil {
		return nil, fmt.Errorf("look for missing tables: %w", err)
	}
	defer func() { err = errors.Join(err, fresh.Close()) }()
	if err := Migrate(ctx, fresh, nil); err != nil {
		return nil, fmt.Errorf("look for missing tables: %w", err)
	}
	wanted, err := made(ctx, fresh.Read)
	if err != nil {
		return nil, fmt.Errorf("look for missing tables: %w", err)
	}
	there, err := made(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("look for missing tables: %w", err)
	}
	gone := map[string]bool{}
	foreign := func(m Made) bool { return strings.HasPrefix(m.Table, "bun_") || strings.HasPrefix(m.Table, "sqlite_") }
	for _, w := range slices.DeleteFunc(wanted, foreign) {
		same := func(m Made) bool { return m.Table == w.Table && slices.Equal(m.Columns, w.Columns) }
		if gone[w.Table] || slices.ContainsFunc(there, same) {
			continue
		}
		gone[w.Table] = len(w.Columns) == 0
		missing = append(missing, w)
	}
	return missing, nil
}

// made lists the tables with their unique indexes, each table first, that is without columns.
func made(ctx context.Context, db bun.IDB) ([]Made, error) {
	query := `
		SELECT name AS of, '' AS "index", '' AS col, 0 AS place FROM sqlite_schema WHERE type = 'table'
		UNION ALL
		SELECT t.name, t.name || '_key', c.name, c.pk FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
		WHERE t.type = 'table' AND c.pk > 0
		UNION ALL
		SELECT t.name, i.name, c.name, c.seqno + 1 FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS i JOIN pragma_index_info(i.name) AS c
		WHERE t.type = 'table' AND i."unique" AND NOT i.partial AND i.origin <> 'pk'
		ORDER BY 1, 2, 4`
	if db.Dialect().Name() == dialect.PG {
		query = `
		SELECT tablename, '', '', 0 FROM pg_tables WHERE schemaname = current_schema()
		UNION ALL
		SELECT t.relname, i.relname, a.attname, k.place
		FROM pg_index AS x JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_class AS i ON i.oid = x.indexrelid
		JOIN pg_namespace AS n ON n.oid = t.relnamespace CROSS JOIN unnest(x.indkey) WITH ORDINALITY AS k (attnum, place)
		LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.attnum
		WHERE x.indisunique AND x.indisvalid AND x.indpred IS NULL AND n.nspname = current_schema()
		ORDER BY 1, 2, 4`
	}
	rs, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rs.Close() }() // Err below says what went wrong
	var all []Made
	for rs.Next() {
		var table, index string
		var column *string // nil: an expression
		var place int
		if err := rs.Scan(&table, &index, &column, &place); err != nil {
			return nil, err
		}
		if place <= 1 { // 0 is the table itself
			all = append(all, Made{Table: table, Index: index})
		}
		if place == 0 {
			continue
		}
		last := &all[len(all)-1]
		if column == nil {
			column = new(string)
		}
		last.Columns = append(last.Columns, *column)
	}
	return all, rs.Err()
}
