package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/exchange"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	registermemory "accession/platform/consistency/memory"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/eventlog"
	logmemory "accession/platform/eventlog/memory"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/module"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tb is a test, or a run of a property.
type tb interface {
	rapid.TB
	Context() context.Context
}

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// store is a database, with the rules of the application.
type store struct {
	log      eventlog.Log
	register consistency.Register
	set      *consistency.Set
	usecase.Runner
	done []usecase.Request // what was not refused
}

var modules = []module.Module{library.Module, catalogue.Module, editions.Module}

// newStore is a store in memory.
func newStore() *store {
	log := logmemory.New(must(module.Registry(modules)), time.Minute)
	return storeOn(log, registermemory.New(log))
}

// storeIn is a store in a database.
func storeIn(db *database.DB) *store {
	return storeOn(logdb.New(db, must(module.Registry(modules)), time.Minute), registerdb.New(db.Read))
}

func storeOn(log eventlog.Log, register consistency.Register) *store {
	s := &store{log: log, register: register, set: must(module.Constraints(modules))}
	s.Runner = consistency.NewRunner(consistency.Config{Log: log, Register: register, Set: s.set, Settings: consistency.DefaultSettings})
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (s *store) do(t tb, r usecase.Request, allowed ...error) bool {
	t.Helper()
	_, err := s.Run(t.Context(), r)
	if err != nil && !slices.ContainsFunc(allowed, func(e error) bool { return errors.Is(err, e) }) {
		t.Fatalf("%T: %v", r.Command, err)
	}
	if err == nil {
		s.done = append(s.done, r)
	}
	return err == nil
}

func (s *store) read(t tb) *exchange.Catalogue {
	t.Helper()
	c, err := exchange.Read(t.Context(), s.log, libraryevents.LibraryID{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *store) export(t tb) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.read(t).WriteJSONL(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (s *store) importing(t tb, name string, c *exchange.Catalogue) *exchange.Report {
	t.Helper()
	r, err := exchange.Importer{Runner: s, Log: s.log, Actor: "t"}.Catalogue(t.Context(), name, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *store) jsonl(t tb, name, file string) *exchange.Report {
	t.Helper()
	c, err := exchange.ParseJSONL(strings.NewReader(file))
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return s.importing(t, name, c)
}

// references are all references that there ever were, with what they lead to: what labels rely on. Of what was withdrawn it is
// told only that it is gone; that is so for everything in it.
func (s *store) references(t tb) map[string]string {
	t.Helper()
	all, numbers := map[string]string{}, map[libraryevents.CategoryID]int{}
	places, gone := map[catalogueevents.BookID][]string{}, map[string]bool{}
	leadsTo := func(l libraryevents.LibraryID, c libraryevents.CategoryID, n int, b catalogueevents.BookID) {
		place := fmt.Sprintf("%s %d.%d", l, numbers[c], n)
		all[place], places[b] = b.String(), append(places[b], place)
	}
	editions := map[*editionsevents.EditionAdded]bool{}
	for env, err := range s.log.Read(t.Context(), eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e := env.Event.(type) {
		case *libraryevents.CategoryCreated:
			numbers[e.Category] = e.Number
			all[fmt.Sprintf("%s %d", e.Library, e.Number)] = e.Category.String()
		case *libraryevents.CategoryWithdrawn:
			gone[e.Category.String()] = true
		case *catalogueevents.BookAdded:
			leadsTo(e.Library, e.Category, e.Number, e.Book)
		case *catalogueevents.BookMoved:
			leadsTo(e.Library, e.Category, e.Number, e.Book)
		case *catalogueevents.BookWithdrawn:
			gone[e.Book.String()] = true
		case *editionsevents.EditionAdded:
			editions[e] = true
		case *editionsevents.EditionWithdrawn:
			gone[e.Edition.String()] = true
		}
	}
	for e := range editions { // their books may have been moved later
		for _, place := range places[e.Book] {
			all[fmt.Sprintf("%s.%d", place, e.Number)] = e.Edition.String()
		}
	}
	for ref, id := range all {
		if gone[id] {
			all[ref] = "gone"
		}
	}
	return all
}

// restored checks that a file was taken whole, and that what has it now is like what it is from.
func (s *store) restored(t tb, file string, r *exchange.Report, from *store) {
	t.Helper()
	if r.Refusals() > 0 || r.Anew {
		t.Errorf("refused %v, numbered anew %v", r.Lines(), r.Anew)
	}
	same(t, "export of the import", file, s.export(t))
	if diff := cmp.Diff(from.references(t), s.references(t)); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
}

// audited checks all rules against the log.
func (s *store) audited(t tb) {
	t.Helper()
	findings, err := consistency.Audit(t.Context(), s.set, s.log, s.register)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Errorf("audit: %s", f)
	}
}

func same(t tb, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// life is a random life of a catalogue, through the ordinary commands.
type life struct {
	*store
	libs  []libraryevents.LibraryID
	cats  []libraryevents.CategoryID
	of    map[libraryevents.CategoryID]libraryevents.LibraryID
	books []catalogueevents.BookID
	in    map[catalogueevents.BookID]libraryevents.LibraryID
	eds   []editionsevents.EditionID
	book  map[editionsevents.EditionID]catalogueevents.BookID
}

// newLife lives so many steps.
func newLife(t *rapid.T, steps int) *life {
	l := &life{
		store: newStore(), of: map[libraryevents.CategoryID]libraryevents.LibraryID{},
		in: map[catalogueevents.BookID]libraryevents.LibraryID{}, book: map[editionsevents.EditionID]catalogueevents.BookID{},
	}
	for range steps {
		l.step(t)
	}
	return l
}

func (l *life) newBook(t *rapid.T, in libraryevents.CategoryID) catalogue.AddBook {
	return catalogue.AddBook{
		ID: catalogueevents.NewBookID(), Category: in, Title: rapid.SampledFrom([]string{"Emma", "Ünder; \"x\"", "A, b\\"}).Draw(t, "title"),
		Authors: rapid.SampledFrom([][]string{nil, {"Austen, Jane"}, {"A; B", `C\`, "D"}}).Draw(t, "authors"),
		Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID(), Imprint: l.imprint(t)},
	}
}

func (l *life) imprint(t *rapid.T) editions.Imprint {
	i := editions.Imprint{
		ISBN:      rapid.SampledFrom([]string{"", "", "9780141439587", "9783161484100"}).Draw(t, "isbn"),
		Publisher: rapid.SampledFrom([]string{"", "Penguin"}).Draw(t, "publisher"), Language: rapid.SampledFrom([]string{"", "en"}).Draw(t, "language"),
	}
	if y := rapid.SampledFrom([]int{0, 1815}).Draw(t, "year"); y != 0 {
		i.Year = &y
	}
	return i
}

func (l *life) added(b catalogue.AddBook, lib libraryevents.LibraryID) {
	l.books, l.in[b.ID] = append(l.books, b.ID), lib
	l.eds, l.book[b.Edition.ID] = append(l.eds, b.Edition.ID), b.ID
}

func pick[T any](t *rapid.T, what string, from []T) T { return rapid.SampledFrom(from).Draw(t, what) }

func (l *life) step(t *rapid.T) {
	name := fmt.Sprint("Name ", rapid.IntRange(1, 4).Draw(t, "name"))
	what := rapid.IntRange(0, 13).Draw(t, "step")
	switch {
	case len(l.libs) == 0 || what == 0:
		cmd := library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: name}
		l.do(t, cmd.Request("t"))
		l.libs = append(l.libs, cmd.ID)
	case len(l.cats) == 0 || what <= 2:
		cmd := library.CreateCategory{ID: libraryevents.NewCategoryID(), Library: pick(t, "library", l.libs), Name: name}
		cmd.Book = l.newBook(t, cmd.ID)
		if l.do(t, cmd.Request("t"), library.ErrCategoryNameTaken, editions.ErrISBNTaken) {
			l.cats, l.of[cmd.ID] = append(l.cats, cmd.ID), cmd.Library
			l.added(cmd.Book, cmd.Library)
		}
	case what <= 4:
		cmd := l.newBook(t, pick(t, "category", l.cats))
		if l.do(t, cmd.Request("t"), catalogue.ErrCategoryNotFound, editions.ErrISBNTaken) {
			l.added(cmd, l.of[cmd.Category])
		}
	case what <= 6:
		base := pick(t, "base", l.eds)
		cmd := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: l.book[base], Base: base, Imprint: l.imprint(t)}
		if l.do(t, cmd.Request("t"), editions.ErrBookNotFound, editions.ErrBaseEditionNotFound, editions.ErrISBNTaken) {
			l.eds, l.book[cmd.ID] = append(l.eds, cmd.ID), cmd.Book
		}
	case what == 7:
		l.do(t, library.RenameCategory{ID: pick(t, "category", l.cats), Name: name}.Request("t"), catalogue.ErrCategoryNotFound, library.ErrCategoryNameTaken)
	case what == 8:
		title := "Corrected"
		l.do(t, catalogue.CorrectBook{ID: pick(t, "book", l.books), Title: &title}.Request("t"), editions.ErrBookNotFound)
	case what <= 10:
		book, to := pick(t, "book", l.books), pick(t, "category", l.cats)
		if l.in[book] == l.of[to] {
			l.do(t, catalogue.MoveBook{ID: book, To: to}.Request("t"), editions.ErrBookNotFound, catalogue.ErrTargetNotFound, catalogue.ErrCategoryNotFound)
		}
	case what == 11:
		l.do(t, catalogue.WithdrawBook{ID: pick(t, "book", l.books)}.Request("t"), editions.ErrBookNotFound)
	case what == 12:
		l.do(t, editions.WithdrawEdition{ID: pick(t, "edition", l.eds)}.Request("t"), editions.ErrEditionNotFound, editions.ErrLastEdition)
	default:
		l.do(t, library.WithdrawCategory{ID: pick(t, "category", l.cats)}.Request("t"), catalogue.ErrCategoryNotFound, catalogue.ErrCategoryNotEmpty)
	}
}

// TestAnExportRestoresTheCatalogue: export → import → export is the identity; every reference that there ever was leads to the
// same, or to something withdrawn; running it again does nothing; and what is added next gets the same number in both.
func TestAnExportRestoresTheCatalogue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(t, rapid.IntRange(1, 40).Draw(t, "steps"))
		file := l.export(t)
		other := newStore()
		other.restored(t, file, other.jsonl(t, "", file), l.store)
		other.audited(t)
		for name, s := range map[string]*store{"the import": other, "the original": l.store} {
			before := must(s.log.Head(t.Context())).Position
			again := s.jsonl(t, "", file)
			if after := must(s.log.Head(t.Context())).Position; after != before || again.Refusals() > 0 {
				t.Errorf("importing into %s again: from %d to %d, %v", name, before, after, again.Lines())
			}
		}

		// Life goes on with the same numbers.
		for _, lib := range l.libs {
			c := library.CreateCategory{ID: libraryevents.NewCategoryID(), Library: lib, Name: "Next", Book: l.newBook(t, libraryevents.CategoryID{})}
			c.Book.Edition.Imprint.ISBN = ""
			l.do(t, c.Request("t"))
			other.do(t, c.Request("t"))
		}
		for _, c := range l.cats {
			b := l.newBook(t, c)
			b.Edition.Imprint.ISBN = ""
			if l.do(t, b.Request("t"), catalogue.ErrCategoryNotFound) {
				other.do(t, b.Request("t"))
			}
		}
		for _, e := range l.eds {
			cmd := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: l.book[e], Base: e}
			if l.do(t, cmd.Request("t"), editions.ErrBookNotFound, editions.ErrBaseEditionNotFound) {
				other.do(t, cmd.Request("t"))
			}
		}
		same(t, "export later on", l.export(t), other.export(t))
	})
}

// TestAnExportRestoresTheCatalogueAcrossDatabases: what was lived in memory is lived again on each database, and goes from there to
// each, unchanged.
func TestAnExportRestoresTheCatalogueAcrossDatabases(t *testing.T) {
	t.Parallel()
	databases := map[string]func(testing.TB) *database.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres}
	lives := rapid.Custom(func(t *rapid.T) *life { return newLife(t, 120) })
	for from, origin := range databases {
		for to, empty := range databases {
			t.Run("from "+from+" to "+to, func(t *testing.T) {
				t.Parallel()
				for seed := range 2 {
					l := lives.Example(seed)
					s, other := storeIn(origin(t)), storeIn(empty(t))
					for _, r := range l.done {
						s.do(t, r)
					}
					file := s.export(t)
					same(t, "export of the same life", l.export(t), file)
					for range 2 {
						other.restored(t, file, other.jsonl(t, "", file), s)
					}
					other.audited(t)
				}
			})
		}
	}
}
