package bench_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/consistency/memory"
	logmemory "accession/platform/eventlog/memory"
	"accession/platform/module"
)

// BenchmarkCommand is what adding a book costs without a database, in time and allocations, by 32 writers in one category.
func BenchmarkCommand(b *testing.B) {
	registry, err := module.Registry(modules)
	if err != nil {
		b.Fatal(err)
	}
	set, err := module.Constraints(modules)
	if err != nil {
		b.Fatal(err)
	}
	newBook := func(in libraryevents.CategoryID) catalogue.AddBook {
		return catalogue.AddBook{
			ID: catalogueevents.NewBookID(), Category: in, Title: "The Bride of Lammermoor", Authors: []string{"Scott, Walter, 1771-1832"},
			Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID(), Imprint: editions.Imprint{Publisher: "Project Gutenberg", Language: "en"}},
		}
	}
	for _, mode := range []consistency.Mode{consistency.Lock, consistency.Queue} {
		b.Run(mode.String(), func(b *testing.B) {
			log := logmemory.New(registry, time.Minute)
			settings := consistency.DefaultSettings()
			settings.Modes = map[string]consistency.Mode{"book-number": mode}
			run := consistency.NewRunner(consistency.Config{
				Log: log, Register: memory.New(log), Set: set, Settings: func() consistency.Settings { return settings },
			})
			lib := library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: "bench"}
			category := libraryevents.NewCategoryID()
			if _, err := run.Run(b.Context(), lib.Request("bench")); err != nil {
				b.Fatal(err)
			}
			if _, err := run.Run(b.Context(), library.CreateCategory{ID: category, Library: lib.ID, Name: "hot", Book: newBook(category)}.Request("bench")); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var calls atomic.Int64
			var wg sync.WaitGroup
			for range 32 {
				wg.Go(func() {
					for calls.Add(1) <= int64(b.N) {
						req := newBook(category).Request("bench")
						req.Fresh = true
						if _, err := run.Run(b.Context(), req); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
