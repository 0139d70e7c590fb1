package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/event"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// yardstick does by hand what a command does: transactions through the same driver that write the same rows into the same
// tables with the same indexes, in a schema of their own, only with a plain identity column instead of the log's head. The
// scope is locked as a careful author would lock it. docs/performance.md prints the SQL.
type yardstick struct {
	db      *bun.DB
	ids     []libraryevents.CategoryID
	library libraryevents.LibraryID
}

const yardstickTables = `
CREATE SCHEMA yardstick;
SET LOCAL search_path = yardstick;
CREATE TABLE log_events (LIKE public.log_events INCLUDING ALL);
ALTER TABLE log_events ALTER COLUMN position ADD GENERATED ALWAYS AS IDENTITY;
CREATE TABLE log_tags (LIKE public.log_tags INCLUDING ALL);
CREATE TABLE log_units (LIKE public.log_units INCLUDING ALL);
CREATE TABLE register_guards (LIKE public.register_guards INCLUDING ALL);
CREATE TABLE register_rows (LIKE public.register_rows INCLUDING ALL);
INSERT INTO register_guards SELECT * FROM public.register_guards;
INSERT INTO register_rows SELECT * FROM public.register_rows;
`

func newYardstick(b *testing.B, x *bench, ids []libraryevents.CategoryID) *yardstick {
	b.Helper()
	err := x.db.Write.RunInTx(b.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, yardstickTables)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return &yardstick{db: x.db.Write, ids: ids, library: libraryevents.NewLibraryID()}
}

func (y *yardstick) addBook(ctx context.Context, i int) error {
	category := y.ids[i%len(y.ids)]
	cmd := book(category)
	now := time.Now().UTC()
	unit := uuid.Must(uuid.NewV7())
	e1, e2 := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	return y.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var last int
		err := tx.QueryRowContext(ctx, `SELECT last FROM yardstick.register_guards WHERE "constraint" = 'book-number' AND scope = ? FOR UPDATE`, category.Tag()).Scan(&last)
		if err != nil {
			return err
		}
		var ancestors string
		err = tx.QueryRowContext(ctx, `SELECT ancestors FROM yardstick.register_rows WHERE "constraint" = 'category-exists' AND scope = ? AND key = 'here' FOR SHARE`, category.Tag()).Scan(&ancestors)
		if err != nil {
			return err
		}
		var lib libraryevents.LibraryID
		lib.TakeFrom([]event.Tag{event.Tag(ancestors)})
		added := &catalogueevents.BookAdded{Book: cmd.ID, Category: category, Library: lib, Number: last + 1, Title: cmd.Title, Authors: cmd.Authors}
		first := &editionsevents.EditionAdded{
			Edition: cmd.Edition.ID, Book: cmd.ID, Category: category, Library: lib, Number: 1,
			Imprint: editionsevents.Imprint{Language: "en", Publisher: "Cadell"},
		}
		data1, err := event.Encode(added)
		if err != nil {
			return err
		}
		data2, err := event.Encode(first)
		if err != nil {
			return err
		}
		rs, err := tx.QueryContext(ctx, `INSERT INTO yardstick.log_events (id, unit, stream, version, type, schema, recorded_at, actor, data)
			VALUES (?, ?, ?, 1, ?, 1, ?, 'bench', ?), (?, ?, ?, 1, ?, 1, ?, 'bench', ?) RETURNING position`,
			e1, unit, cmd.ID.Tag(), added.EventType(), now, string(data1), e2, unit, cmd.Edition.ID.Tag(), first.EventType(), now, string(data2))
		if err != nil {
			return err
		}
		var positions []int64
		for rs.Next() {
			var p int64
			if err := rs.Scan(&p); err != nil {
				return err
			}
			positions = append(positions, p)
		}
		if err := rs.Close(); err != nil {
			return err
		}
		if len(positions) != 2 {
			return fmt.Errorf("%d positions", len(positions))
		}
		p, q := positions[0], positions[1]
		if _, err := tx.ExecContext(ctx, `INSERT INTO yardstick.log_tags (tag, position) VALUES (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?), (?, ?)`,
			cmd.ID.Tag(), p, category.Tag(), p, lib.Tag(), p, cmd.Edition.ID.Tag(), q, cmd.ID.Tag(), q, category.Tag(), q, lib.Tag(), q); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO yardstick.log_units (key, position, events, fingerprint) VALUES (?, ?, 2, ?)`,
			cmd.ID.Tag(), q, []byte("0123456789abcdef0123456789abcdef")); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO yardstick.register_guards ("constraint", scope, last) VALUES ('book-number', ?, ?), ('edition-number', ?, 1)
			ON CONFLICT ("constraint", scope) DO UPDATE SET last = excluded.last`, category.Tag(), last+1, cmd.ID.Tag()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO yardstick.register_rows ("constraint", scope, key, owner, cause, ancestors) VALUES
			('book-number', ?, ?, ?, ?, ''), ('book-exists', ?, 'here', ?, ?, ?), ('edition-number', ?, '1', ?, ?, ''), ('base-edition', ?, ?, ?, ?, '')`,
			category.Tag(), fmt.Sprint(last+1), cmd.ID.Tag(), e1, cmd.ID.Tag(), cmd.ID.Tag(), e1, string(category.Tag()+" "+lib.Tag()),
			cmd.ID.Tag(), cmd.Edition.ID.Tag(), e2, cmd.ID.Tag(), cmd.Edition.ID.Tag(), cmd.Edition.ID.Tag(), e2)
		return err
	})
}

func (y *yardstick) append(ctx context.Context, _ int) error {
	id := catalogueevents.NewBookID()
	data := fmt.Sprintf(`{"about":[%q,"shelf:all"],"text":"text of %s"}`, id.Tag(), id)
	return y.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var p int64
		err := tx.QueryRowContext(ctx, `INSERT INTO yardstick.log_events (id, unit, stream, version, type, schema, recorded_at, actor, data)
			VALUES (?, ?, ?, 1, 'test.noted', 1, ?, 'tester', ?) RETURNING position`, uuid.New(), uuid.New(), id.Tag(), time.Now().UTC(), data).Scan(&p)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO yardstick.log_tags (tag, position) VALUES (?, ?), ('shelf:all', ?)`, id.Tag(), p, p); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO yardstick.log_units (key, position, events) VALUES (?, ?, 1)`, id.String(), p)
		return err
	})
}
