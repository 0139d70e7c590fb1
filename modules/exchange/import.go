package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/exchange/gutenberg"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"

	"github.com/google/uuid"
)

// Importer imports files into a library. Every row has an id derived from the library, the source and the row's key, so
// importing a file again, also after an import that was killed, does nothing twice and goes on where that one ended.
type Importer struct {
	Runner  usecase.Runner
	Log     eventlog.Reader
	Actor   string
	Workers int  // how many categories are filled at once; less than 1 is 1
	DryRun  bool // look at everything, store nothing

	// Into is the library to import into, which is opened under this id if it is not there; zero: the one with the name.
	Into libraryevents.LibraryID

	// Progress is told of every row that was dealt with; nil: nobody is. It is called from several goroutines.
	Progress func()
}

// source names a file's format in derived ids. It is stored, in a way: changing it would import everything again.
const source = "gutenberg"

// What an import may be refused besides what its commands are.
var (
	// ErrLibraryAmbiguous: more than one library has the name.
	ErrLibraryAmbiguous = problem.New(problem.Usage, "library-ambiguous", "")
	// ErrChanged: the row is in the catalogue, with other content. That is no refusal: see [Differs].
	ErrChanged = problem.New(problem.Conflict, "id-taken", "was imported before with other content; the catalogue keeps what it has")
)

// longestName is as in the library module, whose errors name fields that neither a command line nor a row of a file has.
const longestName = 200

// LibraryName is the name as libraries have it, or an error that says what is wrong with it.
func LibraryName(name string) (string, error) {
	name, err := text.Required(text.Squeeze(name), longestName)
	if err != nil {
		return "", problem.New(problem.Usage, "library-name", "The name of the library %v. Choose one with --library.", err)
	}
	return name, nil
}

// Gutenberg imports a catalogue into the library with the name, which is opened if there is none. The report is worth reading
// after an error too: it says how far the import came. An error ends the import; a row that is refused does not.
func (im Importer) Gutenberg(ctx context.Context, name string, c *gutenberg.Catalogue) (*Report, error) {
	r := &Report{Rows: c.Rows, DryRun: im.DryRun}
	r.note(c.Notes)
	for range r.Skipped {
		im.progress()
	}
	lib, opened, err := im.library(ctx, name)
	if err != nil {
		return r, err
	}
	if opened == Present || !im.DryRun {
		r.Library = lib.String()
	}
	there, err := im.categories(ctx, lib)
	if err != nil {
		return r, err
	}
	run := &run{Importer: im, report: r, library: lib, there: there}
	return r, run.all(ctx, c)
}

// library finds the library, or opens it.
func (im Importer) library(ctx context.Context, name string) (libraryevents.LibraryID, Outcome, error) {
	name, err := LibraryName(name)
	if err != nil {
		return libraryevents.LibraryID{}, Refused, err
	}
	if !im.Into.IsZero() {
		outcome, err := im.do(ctx, library.OpenLibrary{ID: im.Into, Name: name}.Request(im.Actor))
		if errors.Is(err, ErrChanged) {
			return im.Into, Present, nil // it had another name when it was opened
		}
		return im.Into, outcome, err
	}
	head, err := im.Log.Head(ctx)
	if err != nil {
		return libraryevents.LibraryID{}, Refused, fmt.Errorf("find library: %w", err)
	}
	for n := 1; ; n++ {
		found, err := im.called(ctx, name)
		switch {
		case err != nil:
			return libraryevents.LibraryID{}, Refused, err
		case len(found) == 1:
			return found[0], Present, nil
		case len(found) > 1:
			return libraryevents.LibraryID{}, Refused, ambiguous(len(found), name)
		}
		// Two imports that begin at once open one library between them: the id is derived, and the second finds it done. If the
		// library that was opened under the id is not called so any more, the next id is tried.
		id := DerivedLibraryID(head.Log, "import", name, strconv.Itoa(n))
		outcome, err := im.do(ctx, library.OpenLibrary{ID: id, Name: name}.Request(im.Actor))
		if outcome == Created || err != nil {
			return id, outcome, err
		}
	}
}

// DerivedLibraryID is the id that the parts always give in a log: opening the same library again opens none.
func DerivedLibraryID(log uuid.UUID, parts ...string) libraryevents.LibraryID {
	return libraryevents.LibraryID(event.Derive(log, append([]string{"library"}, parts...)...))
}

func ambiguous(n int, name string) error {
	return problem.New(ErrLibraryAmbiguous.Kind, ErrLibraryAmbiguous.Code,
		"%d libraries are called %q. Choose another name with --library, or rename all but one.", n, name)
}

// called are the libraries with the name.
func (im Importer) called(ctx context.Context, name string) ([]libraryevents.LibraryID, error) {
	var found []libraryevents.LibraryID
	opened, renamed := &libraryevents.LibraryOpened{}, &libraryevents.LibraryRenamed{}
	for env, err := range im.Log.Read(ctx, eventlog.Query{Types: []string{opened.EventType(), renamed.EventType()}}) {
		if err != nil {
			return nil, fmt.Errorf("find library: %w", err)
		}
		var id libraryevents.LibraryID
		var now string
		switch e := env.Event.(type) {
		case *libraryevents.LibraryOpened:
			id, now = e.Library, e.Name
		case *libraryevents.LibraryRenamed:
			id, now = e.Library, e.Name
		}
		found = slices.DeleteFunc(found, func(l libraryevents.LibraryID) bool { return l == id })
		if now == name {
			found = append(found, id)
		}
	}
	return found, nil
}

// categories are those that the library has, by their names as the rule compares them.
func (im Importer) categories(ctx context.Context, lib libraryevents.LibraryID) (map[string]libraryevents.CategoryID, error) {
	there := map[string]libraryevents.CategoryID{}
	called := map[libraryevents.CategoryID]string{}
	created, renamed, withdrawn := &libraryevents.CategoryCreated{}, &libraryevents.CategoryRenamed{}, &libraryevents.CategoryWithdrawn{}
	types := []string{created.EventType(), renamed.EventType(), withdrawn.EventType()}
	for env, err := range im.Log.Read(ctx, eventlog.Query{Tag: lib.Tag(), Types: types}) {
		if err != nil {
			return nil, fmt.Errorf("list categories: %w", err)
		}
		switch e := env.Event.(type) {
		case *libraryevents.CategoryCreated:
			called[e.Category] = e.Name
		case *libraryevents.CategoryRenamed:
			called[e.Category] = e.Name
		case *libraryevents.CategoryWithdrawn:
			delete(called, e.Category)
		}
	}
	for id, name := range called {
		there[text.Fold(name)] = id
	}
	return there, nil
}

// founder is the book that the category was created with; zero when it never was.
func (im Importer) founder(ctx context.Context, category libraryevents.CategoryID) (catalogueevents.BookID, error) {
	var book catalogueevents.BookID
	d, found, err := im.Log.Done(ctx, string(category.Tag()))
	if err != nil || !found {
		return book, err
	}
	unit, err := eventlog.Events(ctx, im.Log, d)
	for _, env := range unit {
		if e, ok := env.Event.(*catalogueevents.BookAdded); ok {
			book = e.Book
		}
	}
	return book, err
}

// do runs a request, or in a dry run only looks whether it could be run.
func (im Importer) do(ctx context.Context, req usecase.Request) (Outcome, error) {
	outcome, _, err := im.ask(ctx, req)
	return outcome, err
}

// ask is do, with the receipt; that is empty in a dry run.
func (im Importer) ask(ctx context.Context, req usecase.Request) (Outcome, usecase.Receipt, error) {
	if im.DryRun {
		if err := req.Command.Execute(ctx, usecase.NewUnit(im.Log, time.Now())); err != nil {
			return Created, usecase.Receipt{}, err
		}
		d, done, err := im.Log.Done(ctx, req.Key)
		switch {
		case err != nil || !done:
			return Created, usecase.Receipt{}, err
		case !bytes.Equal(d.Fingerprint, req.Fingerprint):
			return Present, usecase.Receipt{}, ErrChanged
		}
		return Present, usecase.Receipt{}, nil
	}
	receipt, err := im.Runner.Run(ctx, req)
	switch {
	case errors.Is(err, ErrChanged):
		return Present, receipt, ErrChanged // which says more than the runner can
	case err == nil && receipt.Repeated:
		return Present, receipt, nil
	}
	return Created, receipt, err
}

func (im Importer) progress() {
	if im.Progress != nil {
		im.Progress()
	}
}

// run is one import under way.
type run struct {
	Importer
	report  *Report
	library libraryevents.LibraryID
	there   map[string]libraryevents.CategoryID
}

// all creates the categories one after another, so that their numbers follow the file, and then fills them side by side: within
// a category, numbers follow the file too.
func (r *run) all(ctx context.Context, c *gutenberg.Catalogue) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	jobs := make(chan func() error)
	var workers sync.WaitGroup
	for range max(1, r.Workers) {
		workers.Go(func() {
			for job := range jobs {
				if ctx.Err() != nil {
					continue
				}
				if err := job(); err != nil {
					stop(err)
				}
			}
		})
	}
	var fill []func() error
	for _, cat := range c.Categories {
		if ctx.Err() != nil {
			break
		}
		id, books, err := r.category(ctx, cat)
		if err != nil {
			stop(err)
			break
		}
		fill = append(fill, func() error { return r.fill(ctx, id, books) })
	}
	for _, job := range fill {
		jobs <- job
	}
	close(jobs)
	workers.Wait()
	return context.Cause(ctx)
}

// category sees to it that the category is there and gives the books that are still to be added. A new category comes with
// its first book.
func (r *run) category(ctx context.Context, cat gutenberg.Category) (libraryevents.CategoryID, []bookRow, error) {
	books := make([]bookRow, len(cat.Books))
	for i, b := range cat.Books {
		books[i] = r.book(b)
	}
	name := text.Fold(cat.Name)
	id := libraryevents.DerivedCategoryID(r.library.UUID(), source, name)
	there, ok := r.there[name]
	if ok && there != id { // somebody else's: our books go beside theirs
		r.report.Categories.count(Present)
		return there, books, nil
	}
	founder, err := r.founder(ctx, id)
	if err != nil {
		return id, nil, err
	}
	ours := !founder.IsZero() // perhaps renamed or withdrawn since
	refused := false
	for i := range books {
		b := &books[i]
		if ours && b.command.ID != founder {
			continue
		}
		cmd := library.CreateCategory{ID: id, Library: r.library, Name: text.Squeeze(cat.Name), Book: b.command}
		outcome, err := r.found(ctx, cmd, ours)
		if errors.Is(err, library.ErrCategoryNameTaken) { // somebody else's, made meanwhile
			now, lookErr := r.categories(ctx, r.library)
			if there, ok := now[name]; ok || lookErr != nil {
				r.report.Categories.count(Present)
				return there, books, lookErr
			}
		}
		elsewhere := false
		if errors.Is(err, ErrChanged) && !ours {
			first, lookErr := r.founder(ctx, id)
			switch {
			case lookErr != nil:
				return id, nil, lookErr
			case first.IsZero():
				elsewhere = true
			case first == b.command.ID: // with it, an import that runs at the same time has founded the category
				outcome, err = r.do(ctx, cmd.Request(r.Actor))
			default:
				r.report.Categories.count(Present)
				return id, books, nil
			}
		}
		b.settled = true
		if b.in, err = r.settle(b.line, b.Key, outcome, err, &r.report.Books, &r.report.Editions); err != nil {
			return id, nil, err
		}
		if b.in && !elsewhere {
			r.report.Categories.count(outcome)
			return id, books, nil
		}
		// The next book may do for the category.
		refused = refused || !b.in
	}
	switch {
	case ours:
		r.report.Categories.count(Present)
	case refused:
		r.report.Categories.count(Refused)
	}
	return id, books, nil
}

// found founds a category with its first book. A book that an earlier import has put into another one founds none: it has
// changed.
func (r *run) found(ctx context.Context, c library.CreateCategory, ours bool) (Outcome, error) {
	if !ours {
		there, err := eventlog.Collect(r.Log.Read(ctx, eventlog.Query{Stream: c.Book.ID.Tag(), Limit: 1}))
		if err != nil {
			return Refused, fmt.Errorf("find book: %w", err)
		}
		if len(there) > 0 {
			return Present, ErrChanged
		}
	}
	return r.do(ctx, c.Request(r.Actor))
}

// bookRow is a book on its way in.
type bookRow struct {
	gutenberg.Book
	command catalogue.AddBook
	line    int
	settled bool // with its category
	in      bool // the catalogue has it
}

func (r *run) book(b gutenberg.Book) bookRow {
	first := b.Editions[0]
	return bookRow{Book: b, line: first.Line, command: catalogue.AddBook{
		ID: catalogueevents.DerivedBookID(r.library.UUID(), source, b.Key), Title: b.Title, Authors: b.Authors,
		Edition: catalogue.FirstEdition{ID: r.edition(first), Imprint: imprint(first)},
	}}
}

func (r *run) edition(e gutenberg.Edition) editionsevents.EditionID {
	return editionsevents.DerivedEditionID(r.library.UUID(), source, e.Key)
}

func imprint(e gutenberg.Edition) editions.Imprint {
	return editions.Imprint{Year: &e.Year, Language: e.Language}
}

// ahead is how many books of a category are under way at once, where they line up in their order.
const ahead = 64

// fill adds the books. Each has its place before the next one is begun, so their numbers follow the file. Who has one keeps it
// when the import is interrupted: were one to leave and those behind it not, the next run would give it a later number.
func (r *run) fill(ctx context.Context, category libraryevents.CategoryID, books []bookRow) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var adding sync.WaitGroup
	free := make(chan struct{}, ahead)
	for _, b := range books {
		b.command.Category = category
		placed := make(chan struct{})
		free <- struct{}{}
		adding.Go(func() {
			defer func() { <-free }()
			if err := r.add(ctx, b, sync.OnceFunc(func() { close(placed) })); err != nil {
				stop(err)
			}
		})
		<-placed
		if ctx.Err() != nil {
			break
		}
	}
	adding.Wait()
	return context.Cause(ctx)
}

// add adds a book with all its editions, and calls placed when the next one may follow.
func (r *run) add(ctx context.Context, b bookRow, placed func()) error {
	defer placed()
	if !b.settled {
		req := b.command.Request(r.Actor)
		req.Placed = placed
		outcome, err := r.do(context.WithoutCancel(ctx), req)
		if b.in, err = r.settle(b.line, b.Key, outcome, err, &r.report.Books, &r.report.Editions); err != nil {
			return err
		}
	}
	return r.furtherEditions(ctx, b)
}

// furtherEditions adds the book's editions behind its first, each based on the one before that came in.
func (r *run) furtherEditions(ctx context.Context, b bookRow) error {
	base := b.command.Edition.ID
	for _, e := range b.Editions[1:] {
		if !b.in {
			r.report.add(Line{Line: e.Line, Key: e.Key, Outcome: Refused, Code: "book-not-found", Detail: "its book was refused"}, &r.report.Editions)
			r.progress()
			continue
		}
		cmd := editions.AddEdition{ID: r.edition(e), Book: b.command.ID, Base: base, Imprint: imprint(e)}
		outcome, err := r.do(ctx, cmd.Request(r.Actor))
		in, err := r.settle(e.Line, e.Key, outcome, err, &r.report.Editions)
		if err != nil {
			return err
		}
		if in {
			base = cmd.ID
		}
	}
	return nil
}

// settle reports what became of a row, and tells whether the catalogue has it now. An error that says something about the row
// is a refusal; any other ends the import.
func (r *run) settle(line int, key string, outcome Outcome, err error, counts ...*Counts) (in bool, fatal error) {
	l := Line{Line: line, Key: key, Outcome: outcome}
	switch {
	case errors.Is(err, ErrChanged) && outcome == Present:
		l.Outcome, l.Detail = Differs, ErrChanged.Message
	case err != nil:
		e := problem.Of(err)
		switch e.Kind {
		case problem.Invalid, problem.Conflict, problem.Refused, problem.NotFound:
			l.Outcome, l.Code, l.Detail = Refused, e.CodeOrKind(), detail(e)
		default:
			return false, err
		}
	}
	r.report.add(l, counts...)
	r.progress()
	return l.Outcome != Refused, nil
}

// detail is the error as it reads beside a row: all that is wrong, by field, whichever of the row's things the field is of.
func detail(e *problem.Error) string {
	if len(e.Fields) == 0 {
		return e.Message
	}
	wrong := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		wrong[i] = f.Location[strings.LastIndex(f.Location, ".")+1:] + ": " + f.Message
	}
	return strings.Join(wrong, "; ")
}
