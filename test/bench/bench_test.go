// Package bench measures what a command costs, beside the same rows written by hand: ratios taken in one run, on a PostgreSQL
// that is as durable as PostgreSQL is by default. It measures with the lab, which is the one yardstick; `task bench` prints the
// table, and docs/performance.md keeps what it said.
package bench_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/lab"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/eventlogtest"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/module"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

const (
	writers  = 32
	duration = 6 * time.Second // of one variant, all its turns together
)

// BenchmarkAddBook adds a book with its first edition in every mode, and in the lane through the API too, over 1,000 categories
// and in one, beside the yardstick.
func BenchmarkAddBook(b *testing.B) {
	modes, err := lab.Modes(catalogue.BookNumber.Name)
	if err != nil {
		b.Fatal(err)
	}
	queue := consistency.Queue.String()
	for _, n := range []int{1000, 1} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rows, err := lab.Run(b.Context(), lab.Config{
				Constraint: catalogue.BookNumber.Name, Modes: append(modes, queue+lab.HTTP),
				Writers: writers, Scopes: []int{n}, Duration: duration,
				Settings: consistency.DefaultSettings(), Database: database.Config{URL: dbtest.NewServer(b).URL()},
			})
			if err != nil {
				b.Fatal(err)
			}
			if err := lab.Broken(rows); err != nil {
				b.Error(err)
			}
			rate := map[string]float64{}
			w := newTable("AddBook, categories: " + fmt.Sprint(n))
			for _, r := range rows {
				rate[r.Mode] = r.Accepted
				ratio, _ := lab.Ratio(rows, r)
				w.row(r.Mode, r.Accepted, ratio, r.P50, r.P99, r.Batch)
				b.ReportMetric(ratio, r.Mode+"/sql")
			}
			w.print(b)
			b.ReportMetric(rate[queue+lab.HTTP]/rate[queue], queue+lab.HTTP+"/"+queue)
		})
	}
}

// BenchmarkAppend appends one event to a stream of its own, beside an insert of the same rows with an identity column.
func BenchmarkAppend(b *testing.B) {
	db, registry := newDatabase(b)
	if _, err := db.Write.ExecContext(b.Context(), yardstick); err != nil {
		b.Fatal(err)
	}
	log := logdb.New(db, registry, 10*time.Second)
	variants := []*lab.Variant{
		{Name: lab.SQL, Do: func(ctx context.Context, _ int) error { return appendByHand(ctx, db.Write) }},
		{Name: "append", Do: func(ctx context.Context, _ int) error {
			id := catalogueevents.NewBookID()
			return eventlogtest.Commit(ctx, log, eventlogtest.Unit(id.String(), map[event.Tag]int{id.Tag(): 0}))
		}},
	}
	if err := (lab.Turns{Writers: writers, Rounds: 3, Length: duration / 3}).Run(b.Context(), variants, nil, nil); err != nil {
		b.Fatal(err)
	}
	w := newTable("append one event")
	for _, v := range variants {
		ratio := v.Rate(v.Accepted) / variants[0].Rate(variants[0].Accepted)
		w.row(v.Name, v.Rate(v.Accepted), ratio, milliseconds(v.Quantile(.5)), milliseconds(v.Quantile(.99)), 1)
		b.ReportMetric(ratio, v.Name+"/sql")
	}
	w.print(b)
}

// yardstick makes the log's tables a second time, with an identity column in the place of the head.
const yardstick = `
BEGIN;
CREATE SCHEMA yardstick;
SET LOCAL search_path = yardstick;
CREATE TABLE log_events (LIKE public.log_events INCLUDING ALL);
ALTER TABLE log_events ALTER COLUMN position ADD GENERATED ALWAYS AS IDENTITY;
CREATE TABLE log_tags (LIKE public.log_tags INCLUDING ALL);
CREATE TABLE log_units (LIKE public.log_units INCLUDING ALL);
COMMIT`

func appendByHand(ctx context.Context, db *bun.DB) error {
	id := catalogueevents.NewBookID()
	data := fmt.Sprintf(`{"about":[%q,"shelf:all"],"text":"text of %s"}`, id.Tag(), id)
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var p int64
		err := tx.QueryRowContext(ctx, `INSERT INTO yardstick.log_events (id, unit, stream, version, type, schema, recorded_at, actor, data)
			VALUES (?, ?, ?, 1, 'test.noted', 1, ?, 'tester', ?) RETURNING position`, uuid.New(), uuid.New(), id.Tag(), time.Now().UTC(), data).Scan(&p)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO yardstick.log_tags (tag, position) VALUES ('shelf:all', ?)`, p); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO yardstick.log_units (key, position, events) VALUES (?, ?, 1)`, id.String(), p)
		return err
	})
}

// BenchmarkReplay reads the log from its beginning.
func BenchmarkReplay(b *testing.B) {
	db, registry := newDatabase(b)
	log := logdb.New(db, registry, 10*time.Second)
	set, err := module.Constraints(modules)
	if err != nil {
		b.Fatal(err)
	}
	run := consistency.NewRunner(consistency.Config{Log: log, Register: registerdb.New(db.Read), Set: set})
	lib := library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: "bench"}
	if _, err := run.Run(b.Context(), lib.Request("bench")); err != nil {
		b.Fatal(err)
	}
	for i := range 2000 { // three events each
		cmd := library.CreateCategory{ID: libraryevents.NewCategoryID(), Library: lib.ID, Name: fmt.Sprint("category ", i), Book: catalogue.AddBook{
			ID: catalogueevents.NewBookID(), Title: "The Bride of Lammermoor", Authors: []string{"Scott, Walter, 1771-1832"},
			Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID(), Imprint: editions.Imprint{Language: "en", Publisher: "Cadell"}},
		}}
		if _, err := run.Run(b.Context(), cmd.Request("bench")); err != nil {
			b.Fatal(err)
		}
	}
	events := 0
	for b.Loop() {
		for _, err := range log.Read(b.Context(), eventlog.Query{}) {
			if err != nil {
				b.Fatal(err)
			}
			events++
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

var modules = []module.Module{library.Module, catalogue.Module, editions.Module}

// newDatabase is a migrated database on a server of its own.
func newDatabase(b *testing.B) (*database.DB, *event.Registry) {
	b.Helper()
	server := dbtest.NewServer(b)
	if err := server.Migrate(); err != nil {
		b.Fatal(err)
	}
	db, err := server.Database(b.Context(), database.Config{WriteConns: writers + 8})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	registry, err := module.Registry(modules)
	if err != nil {
		b.Fatal(err)
	}
	return db, registry
}

// table prints what was measured.
type table struct{ *tabwriter.Writer }

func newTable(title string) table {
	t := table{tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)}
	_, _ = fmt.Fprintf(t, "\n%s\t\t\t\t\t\t\n\ta second\t× sql\tp50 ms\tp99 ms\tbatch\t\n", title)
	return t
}

func (t table) row(name string, rate, ratio, p50, p99, batch float64) {
	_, _ = fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.1f\t%.1f\t%.1f\t\n", name, rate, ratio, p50, p99, batch)
}

func (t table) print(b *testing.B) {
	b.Helper()
	if err := t.Flush(); err != nil {
		b.Error(err)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
