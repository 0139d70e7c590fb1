// Package bench measures what a command costs, beside the same rows written by hand: ratios taken in one run, on a PostgreSQL
// that is as durable as PostgreSQL is by default. `task bench` prints the table; docs/performance.md keeps what it said.
package bench_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
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
	"accession/platform/usecase"
)

const (
	writers = 32
	slice   = 2 * time.Second // of one variant, before the next has its turn
	rounds  = 3
)

// bench is a database with a log, and the application's constraints.
type bench struct {
	db       *database.DB
	log      *logdb.Log
	set      *consistency.Set
	registry *event.Registry
}

func newBench(b *testing.B) *bench {
	server := dbtest.NewServer(b)
	if err := server.Migrate(); err != nil {
		b.Fatal(err)
	}
	db, err := server.Database(b.Context(), database.Config{WriteConns: writers + 8})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	modules := []module.Module{library.Module, catalogue.Module, editions.Module}
	registry, err1 := module.Registry(modules)
	set, err2 := module.Constraints(modules)
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	return &bench{db: db, log: logdb.New(db, registry, 10*time.Second), set: set, registry: registry}
}

func (x *bench) runner(mode consistency.Mode) usecase.Runner {
	s := consistency.DefaultSettings()
	s.Attempts = 1000
	s.Modes = map[string]consistency.Mode{}
	for _, d := range x.set.Describe() {
		if slices.Contains(d.Modes, mode) {
			s.Modes[d.Name] = mode
		}
	}
	return consistency.NewRunner(consistency.Config{
		Log: x.log, Register: registerdb.New(x.db.Read), Set: x.set, Settings: func() consistency.Settings { return s },
	})
}

// categories makes n categories.
func (x *bench) categories(b *testing.B, n int) []libraryevents.CategoryID {
	b.Helper()
	run := x.runner(consistency.Lock)
	lib := library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: "bench"}
	if _, err := run.Run(b.Context(), lib.Request("bench")); err != nil {
		b.Fatal(err)
	}
	ids := make([]libraryevents.CategoryID, n)
	for i := range ids {
		ids[i] = libraryevents.NewCategoryID()
		cmd := library.CreateCategory{ID: ids[i], Library: lib.ID, Name: fmt.Sprint("category ", i), Book: book(ids[i])}
		if _, err := run.Run(b.Context(), cmd.Request("bench")); err != nil {
			b.Fatal(err)
		}
	}
	return ids
}

func book(c libraryevents.CategoryID) catalogue.AddBook {
	return catalogue.AddBook{
		ID: catalogueevents.NewBookID(), Category: c, Title: "The Bride of Lammermoor", Authors: []string{"Scott, Walter, 1771-1832"},
		Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID(), Imprint: editions.Imprint{Language: "en", Publisher: "Cadell"}},
	}
}

// variant is one way of doing something.
type variant struct {
	name string
	do   func(ctx context.Context, i int) error // i counts calls, over all writers
	rate []float64                              // a second, by round
	lost int64
	p50  []time.Duration
}

// interleave gives each variant its turn, round after round, so that what the machine does meanwhile is shared fairly.
func interleave(b *testing.B, variants []*variant) {
	b.Helper()
	for range rounds {
		for _, v := range variants {
			var done, lost, calls atomic.Int64
			var mu sync.Mutex
			var took []time.Duration
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			began := time.Now()
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					var mine []time.Duration
					for time.Since(began) < slice {
						at := time.Now()
						if err := v.do(ctx, int(calls.Add(1))); err != nil {
							if lost.Add(1) == 1 && !errors.Is(err, catalogue.ErrBookNumberNotUnique) {
								b.Errorf("%s: %v", v.name, err)
							}
							continue
						}
						mine = append(mine, time.Since(at))
						done.Add(1)
					}
					mu.Lock()
					defer mu.Unlock()
					took = append(took, mine...)
				})
			}
			wg.Wait()
			cancel()
			v.rate = append(v.rate, float64(done.Load())/time.Since(began).Seconds())
			v.lost += lost.Load()
			slices.Sort(took)
			if len(took) > 0 {
				v.p50 = append(v.p50, took[len(took)/2])
			}
		}
	}
}

func median[T cmp.Ordered](v []T) T {
	s := slices.Sorted(slices.Values(v))
	var zero T
	if len(s) == 0 {
		return zero
	}
	return s[len(s)/2]
}

// report prints the variants with their ratios to the first, the yardstick, and gives them to the benchmark.
func report(b *testing.B, title string, variants []*variant) {
	b.Helper()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(w, "\n%s\t\t\t\t\t\n\ta second\tratio\tp50\tlost\t\n", title)
	for _, v := range variants {
		ratio := median(v.rate) / median(variants[0].rate)
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%v\t%d\t\n", v.name, median(v.rate), ratio, median(v.p50).Round(10*time.Microsecond), v.lost)
		b.ReportMetric(ratio, v.name+"/yardstick")
	}
	_ = w.Flush()
}

// BenchmarkAddBook adds a book with its first edition in every mode, over 1,000 categories and in one, beside the yardstick.
func BenchmarkAddBook(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"1,000 categories", 1000}, {"one category", 1}} {
		b.Run(c.name, func(b *testing.B) {
			x := newBench(b)
			ids := x.categories(b, c.n)
			y := newYardstick(b, x, ids)
			variants := []*variant{{name: "sql", do: y.addBook}}
			for _, m := range consistency.Built() {
				run := x.runner(m)
				variants = append(variants, &variant{name: m.String(), do: func(ctx context.Context, i int) error {
					req := book(ids[i%len(ids)]).Request("bench")
					req.Fresh = true // its id was drawn just now, as the API does when the client gives none
					_, err := run.Run(ctx, req)
					return err
				}})
			}
			interleave(b, variants)
			report(b, "AddBook, "+c.name, variants)
		})
	}
}

// BenchmarkAppend appends one event to a stream of its own, beside an insert of the same rows with an identity column.
func BenchmarkAppend(b *testing.B) {
	x := newBench(b)
	y := newYardstick(b, x, nil)
	variants := []*variant{
		{name: "sql", do: y.append},
		{name: "append", do: func(ctx context.Context, _ int) error {
			id := catalogueevents.NewBookID()
			return eventlogtest.Commit(ctx, x.log, eventlogtest.Unit(id.String(), map[event.Tag]int{id.Tag(): 0}))
		}},
	}
	interleave(b, variants)
	report(b, "append one event", variants)
}

// BenchmarkReplay reads the log from its beginning.
func BenchmarkReplay(b *testing.B) {
	x := newBench(b)
	x.categories(b, 2000) // three events each
	events := 0
	for b.Loop() {
		for _, err := range x.log.Read(b.Context(), eventlog.Query{}) {
			if err != nil {
				b.Fatal(err)
			}
			events++
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
