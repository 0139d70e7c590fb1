// Package races_test races the application's own constraints: every sequence in every mode on every database, with the real
// commands, and the unique values and references beside them (rules R1 to R9 and R15, as far as creating goes).
package races_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	registermemory "accession/platform/consistency/memory"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	logmemory "accession/platform/eventlog/memory"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/usecase"
)

var modules = []module.Module{library.Module, catalogue.Module, editions.Module}

// stores are the implementations there are, and what they can do.
var stores = []struct {
	name     string
	open     consistencytest.Open
	features consistencytest.Features
}{
	{"memory", func(_ *testing.T, r *event.Registry) consistencytest.Store {
		log := logmemory.New(r, time.Minute)
		return consistencytest.Store{Log: log, Register: registermemory.New(log)}
	}, consistencytest.Features{}},
	{"sqlite", onDatabase(dbtest.SQLite), consistencytest.Features{}},
	{"postgres", onDatabase(dbtest.Postgres), consistencytest.Features{Overlap: true}},
}

func onDatabase(db func(testing.TB) *database.DB) consistencytest.Open {
	return func(t *testing.T, r *event.Registry) consistencytest.Store {
		d := db(t)
		return consistencytest.Store{Log: logdb.New(d, r, time.Minute), Register: registerdb.New(d.Read)}
	}
}

// TestEverySequenceIsRaced fails when a module has a sequence that is not raced below.
func TestEverySequenceIsRaced(t *testing.T) {
	t.Parallel()
	set := must(module.Constraints(modules))
	for _, d := range set.Describe() {
		raced := slices.ContainsFunc(sequences(t), func(s consistencytest.Sequence) bool { return s.Name == d.Name })
		if d.Kind == "sequence" && !raced {
			t.Errorf("nobody races %s", d.Name)
		}
	}
}

func TestSequences(t *testing.T) {
	t.Parallel()
	for _, s := range sequences(t) {
		for _, store := range stores {
			t.Run(s.Name+"/"+store.name, func(t *testing.T) {
				t.Parallel()
				consistencytest.RaceSequence(t, s, store.open, store.features)
			})
		}
	}
}

// sequences are the three numbers, claimed by the commands that users send.
func sequences(t *testing.T) []consistencytest.Sequence {
	t.Helper()
	base := consistencytest.Sequence{Registry: must(module.Registry(modules)), Set: must(module.Constraints(modules))}

	categories := base
	categories.Name, categories.Taken = library.CategoryNumber.Name, library.ErrCategoryNumberNotUnique
	categories.Prepare = prepare(func(ctx context.Context, run usecase.Runner) (event.Tag, error) {
		cmd := openLibrary()
		_, err := run.Run(ctx, cmd.Request("tester"))
		return cmd.ID.Tag(), err
	})
	categories.Claim = func(scope event.Tag) usecase.Request {
		var id libraryevents.LibraryID
		id.TakeFrom([]event.Tag{scope})
		return createCategory(id).Request("tester")
	}
	categories.Unknown = func() (usecase.Request, *problem.Error) {
		return createCategory(libraryevents.NewLibraryID()).Request("tester"), library.ErrLibraryNotFound
	}

	books := base
	books.Name, books.Taken, books.Used = catalogue.BookNumber.Name, catalogue.ErrBookNumberNotUnique, 1
	books.Prepare = prepare(func(ctx context.Context, run usecase.Runner) (event.Tag, error) {
		lib := openLibrary()
		cmd := createCategory(lib.ID)
		_, err := run.Run(ctx, lib.Request("tester"))
		if err == nil {
			_, err = run.Run(ctx, cmd.Request("tester"))
		}
		return cmd.ID.Tag(), err
	})
	books.Claim = func(scope event.Tag) usecase.Request {
		var id libraryevents.CategoryID
		id.TakeFrom([]event.Tag{scope})
		return addBook(id).Request("tester")
	}
	books.Unknown = func() (usecase.Request, *problem.Error) {
		return addBook(libraryevents.NewCategoryID()).Request("tester"), catalogue.ErrCategoryNotFound
	}

	var firsts sync.Map // a book's tag → its first edition
	eds := base
	eds.Name, eds.Taken, eds.Used = editions.EditionNumber.Name, editions.ErrEditionNumberNotUnique, 1
	eds.Prepare = prepare(func(ctx context.Context, run usecase.Runner) (event.Tag, error) {
		lib := openLibrary()
		cmd := createCategory(lib.ID)
		_, err := run.Run(ctx, lib.Request("tester"))
		if err == nil {
			_, err = run.Run(ctx, cmd.Request("tester"))
		}
		firsts.Store(cmd.Book.ID.Tag(), cmd.Book.Edition.ID)
		return cmd.Book.ID.Tag(), err
	})
	eds.Claim = func(scope event.Tag) usecase.Request {
		cmd := editions.AddEdition{ID: editionsevents.NewEditionID()}
		cmd.Book.TakeFrom([]event.Tag{scope})
		first, _ := firsts.Load(scope)
		cmd.Base = first.(editionsevents.EditionID)
		return cmd.Request("tester")
	}
	eds.Unknown = func() (usecase.Request, *problem.Error) {
		cmd := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: catalogueevents.NewBookID(), Base: editionsevents.NewEditionID()}
		return cmd.Request("tester"), editions.ErrBookNotFound
	}
	return []consistencytest.Sequence{categories, books, eds}
}

func prepare(one func(context.Context, usecase.Runner) (event.Tag, error)) func(context.Context, usecase.Runner, int) ([]event.Tag, error) {
	return func(ctx context.Context, run usecase.Runner, n int) ([]event.Tag, error) {
		var scopes []event.Tag
		for range n {
			scope, err := one(ctx, run)
			if err != nil {
				return nil, err
			}
			scopes = append(scopes, scope)
		}
		return scopes, nil
	}
}

// TestUniqueValues: of 8 who want one name, or one ISBN, at once, one gets it in every mode, whatever they decided on, and the
// others leave nothing: not a number, not a row.
func TestUniqueValues(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, mode := range consistency.Built() {
			for _, stage := range []consistency.Stage{consistency.Begin, consistency.Decided} {
				t.Run(fmt.Sprint(store.name, "/", mode, "/", stage), func(t *testing.T) {
					t.Parallel()
					uniqueValues(t, store.open, mode, stage)
				})
			}
		}
	}
}

func uniqueValues(t *testing.T, open consistencytest.Open, mode consistency.Mode, stage consistency.Stage) {
	set := must(module.Constraints(modules))
	s := open(t, must(module.Registry(modules)))
	var probe func(context.Context, consistency.Stage)
	run := func() usecase.Runner {
		return runnerIn(s, mode, func(c *consistency.Config) { c.Probe = probe })
	}
	lib, other := openLibrary(), openLibrary()
	for _, c := range []usecase.Request{lib.Request("t"), other.Request("t")} {
		mustRun(t, run(), c)
	}

	probe = consistencytest.NewBarrier(8).At(stage)
	named := func(id libraryevents.LibraryID, name string) usecase.Request {
		c := createCategory(id)
		c.Name = name
		return c.Request("t")
	}
	// In reject the number is a rival's too: who loses may hear of either.
	names := []string{"Poetry", "poetry", "POETRY ", "  Poetry", "Poetry", "poetry", "pOETRY", "POETRY"}
	var claims []usecase.Request
	for _, n := range names {
		claims = append(claims, named(lib.ID, n))
	}
	oneWins(t, run(), claims, library.ErrCategoryNameTaken, library.ErrCategoryNumberNotUnique)
	probe = nil
	if _, err := run().Run(t.Context(), named(lib.ID, "poetry")); !errors.Is(err, library.ErrCategoryNameTaken) {
		t.Errorf("a name that is taken: %v", err)
	}
	mustRun(t, run(), named(other.ID, "Poetry")) // another library may have it

	var cats []libraryevents.CategoryID
	for range 8 {
		c := createCategory(lib.ID)
		mustRun(t, run(), c.Request("t"))
		cats = append(cats, c.ID)
	}
	probe = consistencytest.NewBarrier(8).At(stage)
	claims = nil
	for i, id := range cats {
		c := addBook(id)
		c.Edition.Imprint.ISBN = []string{"978-0-14-044913-6", "0-14-044913-2"}[i%2]
		claims = append(claims, c.Request("t"))
	}
	oneWins(t, run(), claims, editions.ErrISBNTaken)

	findings, err := consistency.Audit(t.Context(), set, s.Log, s.Register)
	if err != nil || len(findings) > 0 {
		t.Errorf("audit: %v %v", findings, err)
	}
}

// oneWins runs all requests at once.
func oneWins(t *testing.T, run usecase.Runner, requests []usecase.Request, losers ...error) {
	t.Helper()
	errs := make([]error, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() { _, errs[i] = run.Run(t.Context(), r) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !slices.ContainsFunc(losers, func(l error) bool { return errors.Is(err, l) }) {
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

// TestBaseOfAnotherBook: the base of an edition is one of the same book, in every mode.
func TestBaseOfAnotherBook(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, mode := range consistency.Built() {
			t.Run(store.name+"/"+mode.String(), func(t *testing.T) {
				t.Parallel()
				baseOfAnotherBook(t, store.open, mode)
			})
		}
	}
}

func baseOfAnotherBook(t *testing.T, open consistencytest.Open, mode consistency.Mode) {
	s := open(t, must(module.Registry(modules)))
	run := runnerIn(s, mode, nil)
	lib := openLibrary()
	one, two := createCategory(lib.ID), createCategory(lib.ID)
	mustRun(t, run, lib.Request("t"))
	mustRun(t, run, one.Request("t"))
	mustRun(t, run, two.Request("t"))
	for name, base := range map[string]editionsevents.EditionID{"unknown": editionsevents.NewEditionID(), "another book's": two.Book.Edition.ID} {
		cmd := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: one.Book.ID, Base: base}
		if _, err := run.Run(t.Context(), cmd.Request("t")); !errors.Is(err, editions.ErrBaseEditionNotFound) {
			t.Errorf("base %s: %v", name, err)
		}
	}
	itself := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: one.Book.ID}
	itself.Base = itself.ID
	if _, err := run.Run(t.Context(), itself.Request("t")); !errors.Is(err, editions.ErrBaseEditionNotFound) {
		t.Errorf("based on itself: %v", err)
	}
	good := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: one.Book.ID, Base: one.Book.Edition.ID}
	e, _ := usecase.Recorded[*editionsevents.EditionAdded](mustRun(t, run, good.Request("t")))
	if e.Number != 2 || e.Category != one.ID || e.Library != lib.ID {
		t.Errorf("stamped %+v", e)
	}
}

// TestManyScopesNoDeadlock is rule R11, as far as creating goes: commands with one to three scopes, in random order, 16 at a
// time. No deadlock surfaces, and in lock nothing fails and nothing starts over.
func TestManyScopesNoDeadlock(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, mode := range []consistency.Mode{consistency.Retry, consistency.Lock} {
			t.Run(store.name+"/"+mode.String(), func(t *testing.T) {
				t.Parallel()
				manyScopes(t, store.open, mode)
			})
		}
	}
}

func manyScopes(t *testing.T, open consistencytest.Open, mode consistency.Mode) {
	s := open(t, must(module.Registry(modules)))
	var meter consistencytest.Meter
	run := runnerIn(s, mode, func(c *consistency.Config) { c.Meter = &meter })
	var libs []libraryevents.LibraryID
	var cats []library.CreateCategory
	for range 2 {
		lib := openLibrary()
		mustRun(t, run, lib.Request("t"))
		libs = append(libs, lib.ID)
		c := createCategory(lib.ID)
		mustRun(t, run, c.Request("t"))
		cats = append(cats, c)
	}
	const writers, each = 16, 12
	var wg sync.WaitGroup
	for w := range writers {
		random := rand.New(rand.NewPCG(11, uint64(w)))
		wg.Go(func() {
			for range each {
				var req usecase.Request
				at := random.IntN(2)
				switch random.IntN(3) {
				case 0:
					req = createCategory(libs[at]).Request("t")
				case 1:
					req = addBook(cats[at].ID).Request("t")
				default:
					req = editions.AddEdition{ID: editionsevents.NewEditionID(), Book: cats[at].Book.ID, Base: cats[at].Book.Edition.ID}.Request("t")
				}
				if _, err := run.Run(t.Context(), req); err != nil {
					t.Errorf("%T: %v", req.Command, err)
				}
			}
		})
	}
	wg.Wait()
	if mode == consistency.Lock {
		for _, d := range must(module.Constraints(modules)).Describe() {
			for outcome, n := range meter.Of(d.Name) {
				if outcome != consistency.Accepted {
					t.Errorf("%s: %d %s", d.Name, n, outcome)
				}
			}
		}
	}
	findings, err := consistency.Audit(t.Context(), must(module.Constraints(modules)), s.Log, s.Register)
	if err != nil || len(findings) > 0 {
		t.Errorf("audit: %v %v", findings, err)
	}
}

// runnerIn is a runner on the store that keeps every constraint which can be kept so in the mode.
func runnerIn(s consistencytest.Store, mode consistency.Mode, change func(*consistency.Config)) usecase.Runner {
	set := must(module.Constraints(modules))
	settings := settingsIn(mode)
	c := consistency.Config{Log: s.Log, Register: s.Register, Set: set, Settings: func() consistency.Settings { return settings }}
	if change != nil {
		change(&c)
	}
	return consistency.NewRunner(c)
}

func settingsIn(mode consistency.Mode) consistency.Settings {
	settings := consistency.DefaultSettings()
	settings.Attempts, settings.LockTimeout, settings.Modes = 1000, time.Minute, map[string]consistency.Mode{}
	for _, d := range must(module.Constraints(modules)).Describe() {
		if slices.Contains(d.Modes, mode) {
			settings.Modes[d.Name] = mode
		}
	}
	return settings
}

func openLibrary() library.OpenLibrary {
	return library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: "A library"}
}

func createCategory(lib libraryevents.LibraryID) library.CreateCategory {
	id := libraryevents.NewCategoryID()
	return library.CreateCategory{ID: id, Library: lib, Name: "Category " + id.String(), Book: addBook(id)}
}

func addBook(category libraryevents.CategoryID) catalogue.AddBook {
	return catalogue.AddBook{
		ID: catalogueevents.NewBookID(), Category: category, Title: "A book",
		Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID()},
	}
}

func mustRun(t *testing.T, run usecase.Runner, r usecase.Request) usecase.Receipt {
	t.Helper()
	receipt, err := run.Run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
