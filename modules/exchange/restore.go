package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/eventlog"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// ErrSeveralLibraries: a file with several libraries cannot be imported under one name.
var ErrSeveralLibraries = problem.New(problem.Usage, "several-libraries",
	"There are several libraries in the file, and each comes in under its own name. Leave --library out.")

// errTaken: a file names something by an id that something else has.
var errTaken = problem.New(problem.Conflict, ErrChanged.Code, "something else in the catalogue has its id")

// gone is what is recorded as the reason why something that only uses up a number is withdrawn.
const gone = "Uses up a number that had been used where this was imported from"

// Catalogue imports a file of ours. With a name, the library is the one with that name, or is opened under it; without, each
// library of the file comes in under its own id and name.
//
// Everything has its own id in the library that has the file's, and an id derived from library, format and the file's id in any
// other. What is there already stays as it is. Into a library that has nothing else in it everything is added in the order of
// its numbers, and what was used up between them is used up again, by adding and withdrawing something: so every number comes
// back. Into any other, numbers are assigned anew ([Report.Anew]).
func (im Importer) Catalogue(ctx context.Context, name string, c *Catalogue) (*Report, error) {
	report := &Report{Rows: c.Rows, DryRun: im.DryRun, warnings: map[int]string{}}
	if name != "" && len(c.Libraries) > 1 {
		return report, ErrSeveralLibraries
	}
	for _, l := range c.skipped {
		report.Skipped++
		report.add(l)
		im.progress()
	}
	for _, l := range c.Libraries {
		r := restorer{run: &run{Importer: im, report: report}, source: c.source}
		if err := r.all(ctx, cmp.Or(name, l.Name), name != "", l); err != nil {
			return report, err
		}
	}
	return report, nil
}

// restorer is the import of one library of a file under way.
type restorer struct {
	*run
	source  string
	own     bool // things have their own ids
	restore bool // and get their numbers back
	there   map[string]bool
	gone    map[string]bool                     // what of it was withdrawn
	last    map[string]int                      // by id, the last number used in a library, category or book
	names   map[string]libraryevents.CategoryID // of live categories, folded
}

func (r *restorer) all(ctx context.Context, name string, byName bool, l *Library) error {
	outcome, err := r.open(ctx, name, byName, l)
	if err != nil {
		return err
	}
	if r.report.Library == "" && (outcome == Present || !r.DryRun) {
		r.report.Library = r.library.String()
	}
	if r.source == "jsonl" {
		if _, err := r.settle(l.line, l.ID, outcome, nil); err != nil {
			return err
		}
	}
	if err := r.look(ctx, l); err != nil {
		return err
	}
	for _, c := range r.categoriesOf(l) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.category(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// open finds the library to import into, or opens it.
func (r *restorer) open(ctx context.Context, name string, byName bool, l *Library) (Outcome, error) {
	name, err := LibraryName(name)
	if err != nil {
		return Refused, err
	}
	var id libraryevents.LibraryID
	if l.ID == "" {
		id = libraryevents.NewLibraryID()
	} else if err := id.UnmarshalText([]byte(l.ID)); err != nil {
		return Refused, fmt.Errorf("read library id: %w", err)
	}
	defer func() { r.own = r.library.String() == l.ID }()
	if byName {
		switch found, err := r.called(ctx, name); {
		case err != nil:
			return Refused, err
		case len(found) == 1:
			r.library = found[0]
			return Present, nil
		case len(found) > 1:
			return Refused, ambiguous(len(found), name)
		}
	}
	used, err := eventlog.Collect(r.Log.Read(ctx, eventlog.Query{Stream: id.Tag(), Limit: 1}))
	switch {
	case err != nil:
		return Refused, fmt.Errorf("find library: %w", err)
	case len(used) > 0 && !byName:
		r.library = id
		return Present, nil
	case len(used) > 0: // a library with the name is wanted, and the file's has another
		id = libraryevents.NewLibraryID()
	}
	r.library = id
	return r.do(ctx, library.OpenLibrary{ID: id, Name: name}.Request(r.Actor))
}

// look finds out what the library has, and from that whether numbers can be given back.
func (r *restorer) look(ctx context.Context, l *Library) error {
	r.there, r.gone, r.names = map[string]bool{}, map[string]bool{}, map[string]libraryevents.CategoryID{}
	r.last = map[string]int{}
	called := map[libraryevents.CategoryID]string{}
	var created []string
	for env, err := range r.Log.Read(ctx, eventlog.Query{Tag: r.library.Tag()}) {
		if err != nil {
			return fmt.Errorf("look into library: %w", err)
		}
		r.count(env.Event)
		switch e := env.Event.(type) {
		case *libraryevents.CategoryCreated:
			r.there[e.Category.String()], called[e.Category] = true, e.Name
			created = append(created, e.Category.String())
		case *libraryevents.CategoryRenamed:
			called[e.Category] = e.Name
		case *libraryevents.CategoryWithdrawn:
			r.gone[e.Category.String()] = true
			delete(called, e.Category)
		case *catalogueevents.BookAdded:
			r.there[e.Book.String()] = true
		case *catalogueevents.BookWithdrawn:
			r.gone[e.Book.String()] = true
		case *editionsevents.EditionAdded:
			r.there[e.Edition.String()] = true
		case *editionsevents.EditionWithdrawn:
			r.gone[e.Edition.String()] = true
		}
	}
	for id, name := range called {
		r.names[text.Fold(name)] = id
	}
	// Only what this file brought may be in a library that gets its numbers back.
	r.restore = true
	ours := map[string]bool{}
	for _, c := range r.categoriesOf(l) {
		ours[r.categoryID(c).String()] = true
	}
	for _, id := range created {
		r.restore = r.restore && ours[id]
	}
	r.report.Anew = r.report.Anew || (r.DryRun && !r.restore)
	return nil
}

// count notes the numbers that an event uses.
func (r *restorer) count(e any) {
	use := func(in string, n int) { r.last[in] = max(r.last[in], n) }
	switch e := e.(type) {
	case *libraryevents.CategoryCreated:
		use(e.Library.String(), e.Number)
	case *catalogueevents.BookAdded:
		use(e.Category.String(), e.Number)
	case *catalogueevents.BookMoved:
		use(e.Category.String(), e.Number)
	case *editionsevents.EditionAdded:
		use(e.Book.String(), e.Number)
	}
}

// The ids of what the file has.
func (r *restorer) categoryID(c *Category) (id libraryevents.CategoryID) {
	if !r.own || c.gone || id.UnmarshalText([]byte(c.ID)) != nil {
		return libraryevents.DerivedCategoryID(r.library.UUID(), r.source, c.ID)
	}
	return id
}

func (r *restorer) bookID(b *Book) (id catalogueevents.BookID) {
	if !r.own || b.gone || id.UnmarshalText([]byte(b.ID)) != nil {
		return catalogueevents.DerivedBookID(r.library.UUID(), r.source, b.ID)
	}
	return id
}

func (r *restorer) editionID(e *Edition) (id editionsevents.EditionID) {
	if !r.own || e.gone || id.UnmarshalText([]byte(e.ID)) != nil {
		return editionsevents.DerivedEditionID(r.library.UUID(), r.source, e.ID)
	}
	return id
}

// What is to be added, in order: with numbers to give back, also something for each number that is used up.

func (r *restorer) categoriesOf(l *Library) []*Category {
	return filled(r.restore, l.Categories, l.Last, func(c *Category) int { return c.Number }, func(n int) *Category {
		key := l.ID + "/" + strconv.Itoa(n)
		c := &Category{ID: key, Name: "Withdrawn " + key, Number: n, gone: true}
		c.Books = []*Book{goneBook(key, 1)}
		return c
	})
}

func (r *restorer) booksOf(c *Category) []*Book {
	books := filled(r.restore, c.Books, c.Last, func(b *Book) int { return b.Number }, func(n int) *Book { return goneBook(c.ID, n) })
	if len(books) == 0 { // a category is never created without one
		books = append(books, goneBook(c.ID, 1))
	}
	return books
}

func (r *restorer) editionsOf(b *Book) []*Edition {
	return filled(r.restore, b.Editions, b.Last, func(e *Edition) int { return e.Number }, func(n int) *Edition { return goneEdition(b.ID, n) })
}

func goneBook(in string, n int) *Book {
	key := in + "/" + strconv.Itoa(n)
	return &Book{ID: key, Title: "Withdrawn", Number: n, gone: true, Editions: []*Edition{goneEdition(key, 1)}}
}

func goneEdition(in string, n int) *Edition {
	return &Edition{ID: in + "/" + strconv.Itoa(n), Number: n, Withdrawn: true, gone: true}
}

// filled is what there is, by number, with something for every number up to last that nothing has; what has no number comes
// behind.
func filled[T any](fill bool, have []T, last int, number func(T) int, gone func(int) T) []T {
	if !fill {
		return have
	}
	var all []T
	next := 1
	for _, t := range have {
		n := number(t)
		if n == 0 {
			n = last + 1
		}
		for ; next < n; next++ {
			all = append(all, gone(next))
		}
		all = append(all, t)
		if number(t) != 0 {
			next = n + 1
		}
	}
	for ; next <= last; next++ {
		all = append(all, gone(next))
	}
	return all
}

// category sees to it that the category is there, and all that is in it.
func (r *restorer) category(ctx context.Context, c *Category) error {
	id, books := r.categoryID(c), r.booksOf(c)
	if c.gone && !r.there[id.String()] && r.last[r.library.String()] >= c.Number {
		return nil // the number is used already
	}
	if there, ok := r.names[text.Fold(c.Name)]; ok && !r.there[id.String()] { // somebody else's: our books go beside theirs
		id = there
	}
	if r.there[id.String()] {
		if err := r.settleCategory(c, Present, nil); err != nil {
			return err
		}
	} else {
		founded := false
		for i, b := range books {
			outcome, err := r.create(ctx, id, c, b)
			in, fatal := r.settleBook(b, outcome, err)
			if fatal != nil {
				return fatal
			}
			if founded = in; !in {
				continue // the next book may do for the category
			}
			if err := r.settleCategory(c, outcome, nil); err != nil {
				return err
			}
			if err := r.editions(ctx, b, true); err != nil {
				return err
			}
			books = books[i+1:]
			break
		}
		if !founded {
			return r.settleCategory(c, Refused, problem.New(problem.Refused, "category-refused", "none of its books was taken, or it is not a category itself"))
		}
	}
	for _, b := range books {
		if err := r.book(ctx, id, b); err != nil {
			return err
		}
	}
	if c.gone {
		return r.withdraw(ctx, id.String(), library.WithdrawCategory{ID: id, Reason: gone}.Request(r.Actor))
	}
	return nil
}

func (r *restorer) create(ctx context.Context, id libraryevents.CategoryID, c *Category, b *Book) (Outcome, error) {
	cmd := library.CreateCategory{ID: id, Library: r.library, Name: r.clean(c.Name), Book: r.addBook(id, b)}
	outcome, receipt, err := r.request(ctx, cmd.Request(r.Actor))
	if err == nil {
		r.there[id.String()] = true
		if e, ok := recorded[*libraryevents.CategoryCreated](receipt); ok {
			r.renumbered(c.Number, e.Number)
		}
		r.added(b, receipt)
	}
	return outcome, err
}

// book sees to it that the book is there, and its editions.
func (r *restorer) book(ctx context.Context, in libraryevents.CategoryID, b *Book) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	outcome, err := Present, error(nil)
	if !r.there[r.bookID(b).String()] {
		if b.gone && r.last[in.String()] >= b.Number {
			return nil // the number is used already
		}
		var receipt usecase.Receipt
		if outcome, receipt, err = r.request(ctx, r.addBook(in, b).Request(r.Actor)); err == nil {
			r.added(b, receipt)
		}
	}
	there, err := r.settleBook(b, outcome, err)
	if err != nil {
		return err
	}
	return r.editions(ctx, b, there)
}

func (r *restorer) addBook(in libraryevents.CategoryID, b *Book) catalogue.AddBook {
	first := r.editionsOf(b)[0]
	cmd := catalogue.AddBook{
		ID: r.bookID(b), Category: in, Title: r.clean(b.Title),
		Edition: catalogue.FirstEdition{ID: r.editionID(first), Imprint: r.imprint(first)},
	}
	for _, a := range b.Authors {
		cmd.Authors = append(cmd.Authors, r.clean(a))
	}
	return cmd
}

// clean folds white space in what people typed into a file of theirs.
func (r *restorer) clean(s string) string {
	if r.source == "csv" {
		return text.Squeeze(s)
	}
	return s
}

func (r *restorer) imprint(e *Edition) editions.Imprint {
	i := editions.Imprint{ISBN: e.ISBN, Publisher: r.clean(e.Publisher), Language: r.clean(e.Language), Format: r.clean(e.Format)}
	if e.Withdrawn {
		i.ISBN = "" // it has let go of it
	}
	if e.Year != 0 {
		i.Year = &e.Year
	}
	return i
}

// added notes that a book and its first edition are there.
func (r *restorer) added(b *Book, receipt usecase.Receipt) {
	first := r.editionsOf(b)[0]
	r.there[r.bookID(b).String()], r.there[r.editionID(first).String()] = true, true
	if e, ok := recorded[*catalogueevents.BookAdded](receipt); ok {
		r.renumbered(b.Number, e.Number)
	}
}

// editions sees to the book's editions behind the first, and then to what of the book is withdrawn.
func (r *restorer) editions(ctx context.Context, b *Book, in bool) error {
	all := r.editionsOf(b)
	ids := map[string]editionsevents.EditionID{}
	for _, e := range all {
		ids[e.ID] = r.editionID(e)
	}
	before := ids[all[0].ID]
	for _, e := range all[1:] {
		id, outcome, err := ids[e.ID], Present, error(nil)
		if e.gone && !r.there[id.String()] && (!in || r.last[r.bookID(b).String()] >= e.Number) {
			continue // the number is used already
		}
		if !in {
			err = problem.New(problem.Refused, "book-not-found", "its book was refused")
		} else if !r.there[id.String()] {
			base := before
			if e.Base != "" {
				base = ids[e.Base]
			}
			var receipt usecase.Receipt
			outcome, receipt, err = r.request(ctx, editions.AddEdition{ID: id, Book: r.bookID(b), Base: base, Imprint: r.imprint(e)}.Request(r.Actor))
			if err == nil {
				r.there[id.String()] = true
				if added, ok := recorded[*editionsevents.EditionAdded](receipt); ok {
					r.renumbered(e.Number, added.Number)
				}
			}
		}
		if e.gone {
			if err != nil && in {
				return err
			}
		} else if _, err := r.settle(e.line, e.ID, outcome, err, &r.report.Editions); err != nil {
			return err
		}
		if r.there[id.String()] {
			before = id
		}
	}
	switch {
	case !in:
		return nil
	case b.gone:
		return r.withdraw(ctx, r.bookID(b).String(), catalogue.WithdrawBook{ID: r.bookID(b), Reason: gone}.Request(r.Actor))
	}
	for _, e := range all {
		if !e.Withdrawn || !r.there[ids[e.ID].String()] {
			continue
		}
		cmd := editions.WithdrawEdition{ID: ids[e.ID]}
		if e.gone {
			cmd.Reason = gone
		}
		if err := r.withdraw(ctx, cmd.ID.String(), cmd.Request(r.Actor)); err != nil {
			return err
		}
	}
	return nil
}

// withdraw withdraws what is not withdrawn yet.
func (r *restorer) withdraw(ctx context.Context, id string, req usecase.Request) error {
	if r.DryRun || r.gone[id] {
		return nil
	}
	_, _, err := r.request(ctx, req)
	if err != nil && problem.Of(err).Kind != problem.NotFound && !errors.Is(err, editions.ErrLastEdition) {
		return err // else it is withdrawn by now, or what was to stay was refused
	}
	r.gone[id] = true
	return nil
}

// settleCategory reports what became of a category; a row of a csv file is about its edition.
func (r *restorer) settleCategory(c *Category, outcome Outcome, err error) error {
	switch {
	case c.gone:
		return err
	case r.source == "csv":
		if err != nil {
			outcome = Refused
		}
		r.report.Categories.count(outcome)
		return nil
	}
	_, err = r.settle(c.line, c.ID, outcome, err, &r.report.Categories)
	return err
}

// settleBook reports what became of a book and its first edition, and tells whether it is there.
func (r *restorer) settleBook(b *Book, outcome Outcome, err error) (in bool, fatal error) {
	switch {
	case b.gone:
		return err == nil, err
	case r.source == "csv":
		return r.settle(b.line, b.Editions[0].ID, outcome, err, &r.report.Books, &r.report.Editions)
	}
	in, fatal = r.settle(b.line, b.ID, outcome, err, &r.report.Books)
	if first := r.editionsOf(b)[0]; fatal == nil && !first.gone {
		_, fatal = r.settle(first.line, first.ID, outcome, err, &r.report.Editions)
	}
	return in, fatal
}

// renumbered notes a number that is not the file's, or only by chance.
func (r *restorer) renumbered(want, got int) {
	r.report.Anew = r.report.Anew || !r.restore || want != got
}

// request runs a request and counts the numbers that it used.
func (r *restorer) request(ctx context.Context, req usecase.Request) (Outcome, usecase.Receipt, error) {
	outcome, receipt, err := r.ask(ctx, req)
	if errors.Is(err, ErrChanged) { // what this library has was looked up before: it is another one's
		outcome, err = Refused, errTaken
	}
	for _, env := range receipt.Events {
		r.count(env.Event)
	}
	return outcome, receipt, err
}

// recorded finds the first event of the type E; there is none in the receipt of a dry run.
func recorded[E any](receipt usecase.Receipt) (e E, ok bool) {
	for _, env := range receipt.Events {
		if e, ok = env.Event.(E); ok {
			return e, true
		}
	}
	return e, false
}
