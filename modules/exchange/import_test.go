package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/exchange"
	"accession/modules/exchange/gutenberg"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	registermemory "accession/platform/consistency/memory"
	"accession/platform/eventlog"
	logmemory "accession/platform/eventlog/memory"
	"accession/platform/module"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
)

// What the command line does with an import is tested in test/process, with the real file; here is what a test must be inside
// the process for.

func newDesk(t *testing.T) (eventlog.Log, usecase.Runner) {
	t.Helper()
	modules := []module.Module{library.Module, catalogue.Module, editions.Module}
	registry, err := module.Registry(modules)
	if err != nil {
		t.Fatal(err)
	}
	set, err := module.Constraints(modules)
	if err != nil {
		t.Fatal(err)
	}
	log := logmemory.New(registry, time.Minute)
	return log, consistency.NewRunner(consistency.Config{Log: log, Register: registermemory.New(log), Set: set})
}

func parse(t *testing.T, rows string) *gutenberg.Catalogue {
	t.Helper()
	c, err := gutenberg.Parse(strings.NewReader("Text#,Type,Issued,Title,Language,Authors,Subjects,LoCC,Bookshelves\n" + rows))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// runnerFunc is a runner that a test steps into.
type runnerFunc func(context.Context, usecase.Request) (usecase.Receipt, error)

func (f runnerFunc) Run(ctx context.Context, r usecase.Request) (usecase.Receipt, error) {
	return f(ctx, r)
}

// outcomes are the lines of a report in short.
func outcomes(r *exchange.Report) []string {
	var all []string
	for _, l := range r.Lines() {
		all = append(all, strings.TrimSpace(l.Key+" "+string(l.Outcome)+" "+l.Code))
	}
	return all
}

func TestBooksGoIntoACategoryThatIsMadeMeanwhile(t *testing.T) {
	t.Parallel()
	log, runner := newDesk(t)
	theirs := libraryevents.NewCategoryID()
	meanwhile := runnerFunc(func(ctx context.Context, r usecase.Request) (usecase.Receipt, error) {
		if c, ok := r.Command.(library.CreateCategory); ok && c.ID != theirs && strings.HasPrefix(c.Book.Title, "Second") {
			c.ID, c.Name = theirs, "pr"
			c.Book.ID, c.Book.Edition.ID = catalogueevents.NewBookID(), editionsevents.NewEditionID()
			if _, err := runner.Run(ctx, c.Request("somebody")); err != nil {
				t.Error(err)
			}
		}
		return runner.Run(ctx, r)
	})
	c := parse(t, "1,Text,1999-01-01,"+strings.Repeat("x", 1001)+",en,A,,PR,\n2,Text,1999-01-01,Second,en,A,,PR,\n3,Text,1999-01-01,Third,en,A,,PR,\n")
	r, err := exchange.Importer{Runner: meanwhile, Log: log, Actor: "test"}.Gutenberg(t.Context(), "L", c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1 refused invalid", "2 created", "3 created"}, outcomes(r)); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
	if want := (exchange.Counts{Present: 1}); r.Categories != want {
		t.Errorf("categories are %+v, want %+v", r.Categories, want)
	}
	books := 0
	for env, err := range log.Read(t.Context(), eventlog.Query{Tag: theirs.Tag()}) {
		if err != nil {
			t.Fatal(err)
		}
		if b, ok := env.Event.(*catalogueevents.BookAdded); ok && b.Category == theirs {
			books++
		}
	}
	if books != 3 {
		t.Errorf("%d books stand in the category, want 3", books)
	}
}

func TestAnErrorThatIsNoRefusalEndsTheImport(t *testing.T) {
	t.Parallel()
	log, runner := newDesk(t)
	broken := errors.New("no more")
	left := 3 // the library, and a category with its first book each
	var mu sync.Mutex
	ending := runnerFunc(func(ctx context.Context, r usecase.Request) (usecase.Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		if left--; left < 0 {
			return usecase.Receipt{}, broken
		}
		return runner.Run(ctx, r)
	})
	rows := 0
	im := exchange.Importer{Runner: ending, Log: log, Actor: "test", Workers: 3, Progress: func() {
		mu.Lock()
		defer mu.Unlock()
		rows++
	}}
	c := parse(t, "1,Text,1999-01-01,One,en,A,,PR,\n2,Text,1999-01-01,Two,en,A,,PS,\n3,Text,1999-01-01,Three,en,A,,PR,\n4,Text,1999-01-01,Four,en,A,,PS,\n5,Sound,1999-01-01,Five,en,A,,PS,\n")
	r, err := im.Gutenberg(t.Context(), "L", c)
	if !errors.Is(err, broken) {
		t.Fatalf("the error is %v, want %v", err, broken)
	}
	want := []string{"1 created", "2 created", "5 skipped"}
	if diff := cmp.Diff(want, outcomes(r)); diff != "" || rows != len(want) {
		t.Errorf("report of %d rows differs (-want +got):\n%s", rows, diff)
	}

	// Mended, it goes on.
	im.Runner, rows = runner, 0
	if r, err = im.Gutenberg(t.Context(), "L", c); err != nil {
		t.Fatal(err)
	}
	want = []string{"1 present", "2 present", "3 created", "4 created", "5 skipped"}
	if diff := cmp.Diff(want, outcomes(r)); diff != "" || rows != len(want) {
		t.Errorf("report of %d rows differs (-want +got):\n%s", rows, diff)
	}
}

func TestAnInterruptedImportLeavesNoGap(t *testing.T) {
	t.Parallel()
	log, runner := newDesk(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var underWay sync.WaitGroup
	underWay.Add(3)
	lane := runnerFunc(func(ctx context.Context, r usecase.Request) (usecase.Receipt, error) {
		c, ok := r.Command.(catalogue.AddBook)
		if !ok {
			return runner.Run(ctx, r)
		}
		underWay.Done()
		if c.Title == "Four" {
			interrupt() // before the last is placed: none will follow
		}
		r.Placed()
		underWay.Wait()
		if err := ctx.Err(); err != nil {
			return usecase.Receipt{}, err // as one leaves the lane, when those behind may be in a transaction already
		}
		return runner.Run(ctx, r)
	})
	c := parse(t, "1,Text,1999-01-01,One,en,A,,PR,\n2,Text,1999-01-01,Two,en,A,,PR,\n3,Text,1999-01-01,Three,en,A,,PR,\n4,Text,1999-01-01,Four,en,A,,PR,\n5,Text,1999-01-01,Five,en,A,,PR,\n")
	r, err := exchange.Importer{Runner: lane, Log: log, Actor: "test"}.Gutenberg(ctx, "L", c)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the error is %v, want that of the interruption", err)
	}
	if diff := cmp.Diff([]string{"1 created", "2 created", "3 created", "4 created"}, outcomes(r)); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
}

func TestALibraryThatIsGivenIsUsedWhateverItsName(t *testing.T) {
	t.Parallel()
	log, runner := newDesk(t)
	im := exchange.Importer{Runner: runner, Log: log, Actor: "test", Into: libraryevents.NewLibraryID()}
	c := parse(t, "1,Text,1999-01-01,One,en,A,,PR,\n")
	for i, name := range []string{"L", "L", "Another name"} {
		r, err := im.Gutenberg(t.Context(), name, c)
		if err != nil {
			t.Fatal(err)
		}
		if r.Library != im.Into.String() || (r.Editions.Created == 1) != (i == 0) {
			t.Errorf("into %q: %+v", name, r)
		}
	}
}

func TestTwoImportsAtOnceFillOneLibrary(t *testing.T) {
	t.Parallel()
	log, runner := newDesk(t)
	var rows strings.Builder
	for i := range 60 {
		fmt.Fprintf(&rows, "%d,Text,1999-01-01,Title %d,en,A,,%c,\n", i+1, i/2, 'A'+i/20)
	}
	c := parse(t, rows.String())
	const imports = 4
	// All of them have looked for the library before any opens it.
	var gate sync.WaitGroup
	gate.Add(imports)
	gated := runnerFunc(func(ctx context.Context, r usecase.Request) (usecase.Receipt, error) {
		if _, ok := r.Command.(library.OpenLibrary); ok {
			gate.Done()
			gate.Wait()
		}
		return runner.Run(ctx, r)
	})
	var all sync.WaitGroup
	reports := make([]*exchange.Report, imports)
	for i := range imports {
		all.Go(func() {
			var err error
			if reports[i], err = (exchange.Importer{Runner: gated, Log: log, Actor: "test", Workers: 2}).Gutenberg(t.Context(), "L", c); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	created := 0
	for _, r := range reports {
		if r.Library != reports[0].Library || r.Refusals() != 0 || r.Differs != 0 {
			t.Errorf("imported %+v", r)
		}
		created += r.Editions.Created
	}
	if created != 60 {
		t.Errorf("%d editions were created, want 60", created)
	}
	// Numbers follow the file all the same.
	for env, err := range log.Read(t.Context(), eventlog.Query{Types: []string{(&catalogueevents.BookAdded{}).EventType()}}) {
		if err != nil {
			t.Fatal(err)
		}
		b := env.Event.(*catalogueevents.BookAdded)
		var n int
		if _, err := fmt.Sscanf(b.Title, "Title %d", &n); err != nil || b.Number != n%10+1 {
			t.Errorf("%q has the number %d, want %d", b.Title, b.Number, n%10+1)
		}
	}
}

func TestTheNameOfALibrary(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"City":                   "City",
		"City \n library":        "City library",
		"Bibliothe\u0300que":     "Bibliothèque",
		strings.Repeat("x", 200): strings.Repeat("x", 200),
	} {
		if got, err := exchange.LibraryName(name); got != want || err != nil {
			t.Errorf("LibraryName(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"", " \t", "\u200b", strings.Repeat("x", 201), "a\x00b", "\xff"} {
		if got, err := exchange.LibraryName(name); err == nil {
			t.Errorf("LibraryName(%q) = %q, want an error", name, got)
		}
	}
}
