package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/eventlog"
	"accession/platform/isbn"
	"accession/platform/problem"
	"accession/platform/reference"
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
// its numbers; books are added in the first of their places and moved on through the others; and what is used up beyond that is
// used up again, by adding and withdrawing something. So every number comes back, and former references lead to their books.
// Into any other library numbers are assigned anew ([Report.Anew]), and former places are left out.
//
// A row that is refused does not end the import. But where numbers are to come back, those behind it would shift: then a file
// with such a row is refused before anything is stored ([ErrFile]).
func (im Importer) Catalogue(ctx context.Context, name string, c *Catalogue) (*Report, error) {
	report := &Report{Rows: c.Rows, DryRun: im.DryRun, warnings: map[int]string{}}
	if name != "" && len(c.Libraries) > 1 {
		return report, ErrSeveralLibraries
	}
	if c.source == "jsonl" {
		if err := im.rehearse(ctx, name, c); err != nil {
			return report, err
		}
	}
	for _, l := range c.skipped {
		report.Skipped++
		report.add(l)
		im.progress()
	}
	for _, l := range c.Libraries {
		r := restorer{run: &run{Importer: im, report: report}, source: c.source}
		if err := r.prepare(ctx, name, l); err != nil {
			return report, err
		}
		if err := r.all(ctx); err != nil {
			return report, err
		}
	}
	return report, nil
}

// rehearse looks at everything that is to get its number back, and finds the row that would be refused.
func (im Importer) rehearse(ctx context.Context, name string, c *Catalogue) error {
	im.DryRun, im.Progress = true, nil
	for _, l := range c.Libraries {
		r := restorer{run: &run{Importer: im, report: &Report{}}, source: c.source}
		if err := r.prepare(ctx, name, l); err != nil {
			return err
		}
		if !r.restore {
			continue
		}
		if err := l.checkRivals(); err != nil {
			return err
		}
		if err := r.all(ctx); err != nil {
			return err
		}
		for _, line := range r.report.Lines() {
			if line.Outcome == Refused && !slices.Contains(follows, line.Code) {
				return wrong(line.Line, "%s. Nothing of the file is taken, because the numbers behind it would shift", line.Detail)
			}
		}
	}
	return nil
}

// checkRivals finds what two things of a library cannot both have, and names that no category can.
func (l *Library) checkRivals() error {
	names, numbers := map[string]int{}, map[isbn.ISBN]int{}
	for _, c := range l.Categories {
		if _, err := text.Required(c.Name, longestName); err != nil {
			return wrong(c.line, "name: %v", err)
		}
		name := text.Fold(c.Name)
		if other, taken := names[name]; taken {
			return wrong(max(c.line, other), "the name %q is that of another category in line %d", c.Name, min(c.line, other))
		}
		names[name] = c.line
		for _, b := range c.Books {
			for _, e := range b.Editions {
				number, err := isbn.Parse(e.ISBN)
				if err != nil || e.Withdrawn {
					continue // it has none, or is refused for itself
				}
				if other, taken := numbers[number]; taken {
					return wrong(max(e.line, other), "the ISBN %s is that of another edition in line %d", number, min(e.line, other))
				}
				numbers[number] = e.line
			}
		}
	}
	return nil
}

// Why something of a file is refused that has nothing wrong with itself.
var (
	errNoneTaken    = problem.New(problem.Refused, "category-refused", "none of its books was taken, or it is not a category itself")
	errBookRefused  = problem.New(problem.Refused, "book-not-found", "its book was refused")
	errFirstRefused = problem.New(problem.Refused, "edition-refused", "its first edition was refused")
	errBaseRefused  = problem.New(problem.Refused, editions.ErrBaseEditionNotFound.Code, "the edition that it is based on was refused")

	follows = []string{errNoneTaken.Code, errBookRefused.Code, errFirstRefused.Code, errBaseRefused.Code}
)

// restorer is the import of one library of a file under way.
type restorer struct {
	*run
	source  string
	own     bool     // things have their own ids
	restore bool     // and get their numbers back
	shelves []*shelf // what is to be there
	there   map[string]bool
	gone    map[string]bool                     // what of it was withdrawn
	last    map[string]int                      // by id, the last number used in a library, category or book
	names   map[string]libraryevents.CategoryID // of live categories, folded
	met     map[*Book]bool                      // what became of it is settled
	isbns   map[isbn.ISBN]bool                  // of live editions; for a dry run, in which no constraint is asked

	// stood is where a book stood before the import, as long as that has not come to this place among those of the file. A book
	// that stands in none of them was taken there by somebody: it stays.
	stood map[catalogueevents.BookID]catalogueevents.Place
}

// prepare finds or opens the library, and finds out what it has.
func (r *restorer) prepare(ctx context.Context, name string, l *Library) error {
	outcome, err := r.open(ctx, cmp.Or(name, l.Name), name != "", l)
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
	return r.look(ctx, l)
}

// all brings in what is not there.
func (r *restorer) all(ctx context.Context) error {
	steps, stuck := schedule(r.shelves)
	if stuck != nil {
		return fmt.Errorf("schedule import: line %d has no place", stuck.line) // the file was checked
	}
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.step(ctx, s); err != nil {
			return err
		}
	}
	for _, s := range r.shelves {
		if !s.gone || !s.there {
			continue
		}
		if err := r.withdraw(ctx, s.id.String(), library.WithdrawCategory{ID: s.id, Reason: gone}.Request(r.Actor)); err != nil {
			return err // and not that a book left it too late before
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
	r.last, r.met, r.stood = map[string]int{}, map[*Book]bool{}, map[catalogueevents.BookID]catalogueevents.Place{}
	r.isbns = map[isbn.ISBN]bool{}
	called, imprints := map[libraryevents.CategoryID]string{}, map[editionsevents.EditionID]string{}
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
			r.stood[e.Book] = catalogueevents.Place{Category: e.Category, Number: e.Number}
		case *catalogueevents.BookMoved:
			r.stood[e.Book] = catalogueevents.Place{Category: e.Category, Number: e.Number}
		case *catalogueevents.BookWithdrawn:
			r.gone[e.Book.String()] = true
		case *editionsevents.EditionAdded:
			r.there[e.Edition.String()], imprints[e.Edition] = true, e.Imprint.ISBN
		case *editionsevents.EditionCorrected:
			imprints[e.Edition] = e.Imprint.ISBN
		case *editionsevents.EditionWithdrawn:
			r.gone[e.Edition.String()] = true
			delete(imprints, e.Edition)
		}
	}
	for id, name := range called {
		r.names[text.Fold(name)] = id
	}
	for _, number := range imprints {
		if n, err := isbn.Parse(number); err == nil {
			r.isbns[n] = true
		}
	}
	// Only what this file brought may be in a library that gets its numbers back.
	r.restore, r.shelves = true, l.filled()
	ours := map[string]bool{}
	for _, s := range r.shelves {
		ours[r.categoryID(s.Category).String()] = true
	}
	for _, id := range created {
		r.restore = r.restore && ours[id]
	}
	if !r.restore {
		r.shelves = l.shelves(false)
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

// filled are the library's shelves, former places and all, with something for every number that is used up beyond that.
func (l *Library) filled() []*shelf {
	all := filled(l.shelves(true), l.Last, func(s *shelf) int { return s.Number }, func(n int) *shelf {
		c := goneCategory(l.ID, n)
		return &shelf{Category: c, stands: []stand{goneStand(c.ID, 1)}}
	})
	editions := map[reference.Reference]int{} // of books that are gone, by their places
	for _, u := range l.UsedUp {
		editions[u.In] = max(editions[u.In], u.Last)
	}
	for _, s := range all {
		s.stands = filled(s.stands, s.Last, func(s stand) int { return s.number }, func(n int) stand { return goneStand(s.ID, n) })
		for _, at := range s.stands {
			if at.Book.gone {
				at.Book.Last = editions[reference.Reference{Category: s.Number, Book: at.number}]
			}
		}
	}
	return all
}

func (r *restorer) editionsOf(b *Book) []*Edition {
	if !r.restore {
		return b.Editions
	}
	return filled(b.Editions, b.Last, func(e *Edition) int { return e.Number }, func(n int) *Edition { return goneEdition(b.ID, n) })
}

func goneCategory(in string, n int) *Category {
	key := in + "/" + strconv.Itoa(n)
	return &Category{ID: key, Name: "Withdrawn " + key, Number: n, gone: true}
}

func goneStand(in string, n int) stand { return stand{goneBook(in, n), 0, true, n} }

func goneBook(in string, n int) *Book {
	key := in + "/" + strconv.Itoa(n)
	return &Book{ID: key, Title: "Withdrawn", Number: n, gone: true, Editions: []*Edition{goneEdition(key, 1)}}
}

func goneEdition(in string, n int) *Edition {
	return &Edition{ID: in + "/" + strconv.Itoa(n), Number: n, Withdrawn: true, gone: true}
}

// filled is what there is, by number, with something for every number up to last that nothing has; what has no number comes
// behind.
func filled[T any](have []T, last int, number func(T) int, gone func(int) T) []T {
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

// founding is how far an import has come with a category.
type founding struct {
	id    libraryevents.CategoryID // zero: it has not begun
	there bool
	past  bool // one that is gone, and nothing can come there any more: it is withdrawn already, or something else has its number
}

// begin finds out whether the category is there.
func (r *restorer) begin(s *shelf) error {
	s.id = r.categoryID(s.Category)
	s.there = r.there[s.id.String()]
	s.past = s.gone && (r.gone[s.id.String()] || !s.there && r.last[r.library.String()] >= s.Number)
	if s.there {
		return r.settleCategory(s.Category, Present, nil)
	}
	if there, ok := r.names[text.Fold(s.Name)]; ok && !s.past { // somebody else's: our books go beside theirs
		s.id, s.there = there, true
		return r.settleCategory(s.Category, Present, nil)
	}
	return nil
}

func (r *restorer) step(ctx context.Context, s step) error {
	if s.in.id.IsZero() {
		if err := r.begin(s.in); err != nil {
			return err
		}
	}
	switch {
	case s.in.past:
		r.report.Anew = r.report.Anew || s.Book != nil && r.last[s.in.id.String()] < s.number
		return nil
	case s.Book != nil:
		return r.bring(ctx, s)
	case !s.in.there:
		return r.settleCategory(s.in.Category, Refused, errNoneTaken)
	case s.in.gone:
		return r.withdraw(ctx, s.in.id.String(), library.WithdrawCategory{ID: s.in.id, Reason: gone}.Request(r.Actor))
	}
	return nil
}

// bring sees to it that the book has been in its place, and the first time that it is there, with its editions.
func (r *restorer) bring(ctx context.Context, s step) error {
	book := r.bookID(s.Book)
	met, there := r.met[s.Book], r.there[book.String()]
	if (s.Book.gone || !s.last) && !there && r.last[s.in.id.String()] >= s.number {
		r.report.Anew = r.report.Anew || !s.Book.gone
		return nil // the number is used already
	}
	r.met[s.Book] = true
	if !met && (!there || !s.in.there) { // what is there founds no category: that is refused
		return r.add(ctx, s)
	}
	if !met {
		if _, err := r.settleBook(s.Book, Present, nil); err != nil {
			return err
		}
		if err := r.editions(ctx, s.Book, true); err != nil {
			return err
		}
	}
	switch stood, before := r.stood[book]; {
	case before && stood.Category == s.in.id && (stood.Number == s.number || s.number == 0):
		delete(r.stood, book) // from here it goes on
	case !before && there:
		return r.move(ctx, s)
	}
	return nil
}

// add adds the book to the category, or creates that with it, and settles what becomes of both.
func (r *restorer) add(ctx context.Context, s step) error {
	cmd := r.addBook(s.in.id, s.Book)
	req, founds := cmd.Request(r.Actor), !s.in.there
	if founds {
		req = library.CreateCategory{ID: s.in.id, Library: r.library, Name: r.clean(s.in.Name), Book: cmd}.Request(r.Actor)
	}
	outcome, receipt, err := Refused, usecase.Receipt{}, r.wrong(ctx, r.editionsOf(s.Book)[0], cmd)
	if err == nil {
		outcome, receipt, err = r.request(ctx, req)
	}
	if err == nil {
		err = r.rival(r.editionsOf(s.Book)[0], outcome)
	}
	if err == nil {
		r.added(s, receipt)
	}
	in, err := r.settleBook(s.Book, outcome, err)
	if err != nil {
		return err
	}
	if founds && in {
		if e, ok := recorded[*libraryevents.CategoryCreated](receipt); ok {
			r.renumbered(s.in.Number, e.Number)
		}
		s.in.there, r.there[s.in.id.String()] = true, true
		if err := r.settleCategory(s.in.Category, outcome, nil); err != nil {
			return err
		}
	}
	return r.editions(ctx, s.Book, in)
}

// rival is what would be said, in a dry run, of the ISBN of an edition that would be created.
func (r *restorer) rival(e *Edition, outcome Outcome) error {
	if !r.DryRun || outcome != Created || e.Withdrawn {
		return nil
	}
	if number, err := isbn.Parse(e.ISBN); err == nil { // else the command has said what is wrong with it
		if r.isbns[number] {
			return editions.ErrISBNTaken
		}
		r.isbns[number] = true
	}
	return nil
}

// wrong is all that is wrong with a row in which something is: what its file's reader found, and what the command finds.
func (r *restorer) wrong(ctx context.Context, e *Edition, cmd usecase.Command) error {
	if e.wrong == nil {
		return nil
	}
	return problem.Join(e.wrong, cmd.Execute(ctx, usecase.NewUnit(r.Log, time.Now())))
}

// move moves the book on to its next place. The request has a name, so two imports at once do not move it twice.
func (r *restorer) move(ctx context.Context, s step) error {
	if r.DryRun {
		return nil // it is not where it is to be moved from
	}
	if !s.last && r.last[s.in.id.String()] >= s.number {
		r.report.Anew = true
		return nil // the number is used already
	}
	req := catalogue.MoveBook{ID: r.bookID(s.Book), To: s.in.id}.Request(r.Actor)
	req.Key = string(r.bookID(s.Book).Tag()) + "/place/" + strconv.Itoa(s.at)
	req.Fingerprint = usecase.Fingerprint(s.in.id)
	_, receipt, err := r.request(ctx, req)
	if e, ok := recorded[*catalogueevents.BookMoved](receipt); ok {
		r.renumbered(s.number, e.Number)
	}
	return r.passed(err)
}

// passed lets the refusal of what is done only for a number pass: somebody has withdrawn since what this was for, and references
// may differ.
func (r *restorer) passed(err error) error {
	if err == nil {
		return nil
	}
	switch problem.Of(err).Kind {
	case problem.Invalid, problem.Conflict, problem.Refused, problem.NotFound:
		r.report.Anew = true
		return nil
	default:
		return err
	}
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
func (r *restorer) added(s step, receipt usecase.Receipt) {
	first := r.editionsOf(s.Book)[0]
	r.there[r.bookID(s.Book).String()], r.there[r.editionID(first).String()] = true, true
	if e, ok := recorded[*catalogueevents.BookAdded](receipt); ok {
		r.renumbered(s.number, e.Number)
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
		base := before
		if e.Base != "" {
			base = ids[e.Base]
		}
		cmd := editions.AddEdition{ID: id, Book: r.bookID(b), Base: base, Imprint: r.imprint(e)}
		switch {
		case e.wrong != nil:
			err = r.wrong(ctx, e, cmd)
		case !in:
			err = errBookRefused
		case r.there[id.String()]:
		case e.Base != "" && !r.there[base.String()]:
			err = errBaseRefused
		default:
			var receipt usecase.Receipt
			outcome, receipt, err = r.request(ctx, cmd.Request(r.Actor))
			if err == nil {
				err = r.rival(e, outcome)
			}
			if err == nil {
				r.there[id.String()] = true
				if added, ok := recorded[*editionsevents.EditionAdded](receipt); ok {
					r.renumbered(e.Number, added.Number)
				}
			}
		}
		if e.gone {
			if err := r.passed(err); err != nil {
				return err
			}
		} else if _, err := r.settle(e.line, e.ID, outcome, err, &r.report.Editions); err != nil {
			return err
		}
		if r.there[id.String()] && e.wrong == nil {
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
	switch _, _, err := r.request(ctx, req); {
	case errors.Is(err, catalogue.ErrCategoryNotEmpty):
		return nil // somebody uses it, or a book is to leave it later than the file's order has it
	case err != nil && problem.Of(err).Kind != problem.NotFound && !errors.Is(err, editions.ErrLastEdition):
		return err // else it is withdrawn by now, or what was to stay was refused
	}
	r.gone[id] = true
	return nil
}

// settleCategory reports what became of a category; a row of a csv file is about its edition.
func (r *restorer) settleCategory(c *Category, outcome Outcome, err error) error {
	switch {
	case c.gone:
		return r.passed(err)
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
		return err == nil, r.passed(err)
	case r.source == "csv" && outcome == Present && b.Editions[0].wrong != nil:
		r.report.Books.count(Present)
		_, fatal = r.settle(b.line, b.Editions[0].ID, Refused, b.Editions[0].wrong, &r.report.Editions)
		return true, fatal
	case r.source == "csv":
		return r.settle(b.line, b.Editions[0].ID, outcome, err, &r.report.Books, &r.report.Editions)
	}
	ofBook := err
	if e := (*problem.Error)(nil); errors.As(err, &e) && len(e.Fields) > 0 &&
		!slices.ContainsFunc(e.Fields, func(f problem.Field) bool { return !strings.Contains(f.Location, "edition.") }) {
		ofBook = errFirstRefused
	}
	in, fatal = r.settle(b.line, b.ID, outcome, ofBook, &r.report.Books)
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
