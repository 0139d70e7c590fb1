package model_test

import (
	"fmt"
	"slices"
	"strings"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/usecase"
)

// model is the domain on one page: what the catalogue is after some commands, and what each of them must be answered. It is
// written from what the product promises, not from how it keeps it, and knows no scope, no register and no mode.
//
// Where a command is wrong in several ways, and no promise says which is heard first, each of the refusals will do. One promise
// there is: whatever is sent to a thing that is missing or withdrawn is answered with that, not with what else could be said of
// it, unless a field is wrong in itself.
type model struct {
	libraries  []*libraryThing
	categories []*categoryThing
	books      []*bookThing
	editions   []*editionThing

	created    map[event.Tag]creation // by what was created
	begun      map[event.Tag]bool     // every id that was ever used
	references map[string]event.Tag   // library and reference, former ones too
	byID       map[event.Tag]any      // what the ids name

	freed []freed // names and ISBNs that something has let go of, to be tried again
}

// freed is a category's name or an ISBN that is free again, unless something else has taken it since.
type freed struct {
	in   *libraryThing
	name string // "": it is an ISBN
	isbn string
}

// free notes what somebody may want to use again.
func (m *model) free(f freed) {
	if f.name != "" || f.isbn != "" {
		m.freed = append(m.freed, f)
	}
}

// creation is what was asked for under an id, and the answer then.
type creation struct {
	content string
	events  []event.Event
}

type libraryThing struct {
	id      libraryevents.LibraryID
	name    string
	version int
	last    int // the last number of a category
}

type categoryThing struct {
	id        libraryevents.CategoryID
	in        *libraryThing
	number    int
	name      string
	withdrawn bool
	version   int
	last      int // the last number of a book
}

type bookThing struct {
	id        catalogueevents.BookID
	in        *categoryThing
	number    int
	title     string
	authors   []string
	withdrawn bool
	version   int
	last      int // the last number of an edition
}

type editionThing struct {
	id        editionsevents.EditionID
	of        *bookThing
	base      editionsevents.EditionID
	number    int
	imprint   editionsevents.Imprint
	withdrawn bool
	version   int
}

func newModel() *model {
	return &model{
		created: map[event.Tag]creation{}, begun: map[event.Tag]bool{}, references: map[string]event.Tag{}, byID: map[event.Tag]any{},
	}
}

// answer is what a command must be answered: one of the refusals, or that these events were recorded (none: nothing changed).
type answer struct {
	events   []event.Event
	repeated bool
	refusals []string // codes
}

func refused(codes ...string) answer { return answer{refusals: codes} }

// run is the answer to the command; the model is afterwards what the catalogue must be.
func (m *model) run(cmd usecase.Command) answer {
	switch c := cmd.(type) {
	case library.OpenLibrary:
		return m.openLibrary(c)
	case library.RenameLibrary:
		return m.renameLibrary(c)
	case library.CreateCategory:
		return m.createCategory(c)
	case library.RenameCategory:
		return m.renameCategory(c)
	case library.WithdrawCategory:
		return m.withdrawCategory(c)
	case catalogue.AddBook:
		return m.addBook(c)
	case catalogue.CorrectBook:
		return m.correctBook(c)
	case catalogue.MoveBook:
		return m.moveBook(c)
	case catalogue.WithdrawBook:
		return m.withdrawBook(c)
	case editions.AddEdition:
		return m.addEdition(c)
	case editions.CorrectEdition:
		return m.correctEdition(c)
	case editions.WithdrawEdition:
		return m.withdrawEdition(c)
	}
	panic(fmt.Sprintf("the model knows no %T", cmd))
}

// create is what all creations have in common: the same id with the same content is answered as it was the first time, whatever
// has become of the thing since, and with other content it is taken.
func (m *model) create(id event.Tag, content string, wrong bool, do func() answer) answer {
	first, repeated := m.created[id]
	switch {
	case repeated && wrong:
		return refused("id-taken", "invalid")
	case repeated && first.content == content:
		return answer{events: first.events, repeated: true}
	case repeated:
		return refused("id-taken")
	}
	a := do()
	if len(a.refusals) == 0 {
		m.created[id] = creation{content, a.events}
	}
	return a
}

func (m *model) openLibrary(c library.OpenLibrary) answer {
	name, wrong := read(c.Name)
	return m.create(c.ID.Tag(), name, wrong, func() answer {
		if wrong {
			return refused("invalid")
		}
		l := &libraryThing{id: c.ID, name: name, version: 1}
		m.libraries = append(m.libraries, l)
		m.begin(c.ID.Tag(), l)
		return answer{events: []event.Event{&libraryevents.LibraryOpened{Library: c.ID, Name: name}}}
	})
}

func (m *model) renameLibrary(c library.RenameLibrary) answer {
	name, wrong := read(c.Name)
	l, ok := m.byID[c.ID.Tag()].(*libraryThing)
	if a, no := existing(ok, "library-not-found", wrong, func() bool { return stale(c.Seen, l.version) }); no {
		return a
	}
	if name == l.name {
		return answer{}
	}
	l.name = name
	l.version++
	return answer{events: []event.Event{&libraryevents.LibraryRenamed{Library: c.ID, Name: name}}}
}

func (m *model) createCategory(c library.CreateCategory) answer {
	name, wrong := read(c.Name)
	wrong = wrong || wrongBook(c.Book)
	return m.create(c.ID.Tag(), fmt.Sprintf("%s %q %s", c.Library, name, contentOf(c.Book)), wrong, func() answer {
		l, ok := m.byID[c.Library.Tag()].(*libraryThing)
		var no []string
		if wrong {
			no = append(no, "invalid")
		}
		if !ok {
			return refused(append(no, "library-not-found")...)
		}
		if m.nameTaken(l, name, nil) {
			no = append(no, "category-name-taken")
		}
		if m.begun[c.Book.ID.Tag()] || m.begun[c.Book.Edition.ID.Tag()] {
			no = append(no, "id-taken")
		}
		if m.isbnTaken(l, readISBN(c.Book.Edition.Imprint.ISBN), nil) {
			no = append(no, "isbn-taken")
		}
		if len(no) > 0 {
			return refused(no...)
		}
		l.last++
		cat := &categoryThing{id: c.ID, in: l, number: l.last, name: name, version: 1}
		m.categories = append(m.categories, cat)
		m.begin(c.ID.Tag(), cat)
		m.refer(c.ID.Tag(), l, cat.number)
		return answer{events: append(
			[]event.Event{&libraryevents.CategoryCreated{Category: c.ID, Library: l.id, Number: cat.number, Name: name}},
			m.newBook(cat, c.Book)...)}
	})
}

func (m *model) renameCategory(c library.RenameCategory) answer {
	name, wrong := read(c.Name)
	cat, ok := m.byID[c.ID.Tag()].(*categoryThing)
	if a, no := existing(ok && !cat.withdrawn, "category-not-found", wrong, func() bool { return stale(c.Seen, cat.version) }); no {
		return a
	}
	switch {
	case name == cat.name:
		return answer{}
	case m.nameTaken(cat.in, name, cat):
		return refused("category-name-taken")
	}
	m.free(freed{in: cat.in, name: cat.name})
	cat.name = name
	cat.version++
	return answer{events: []event.Event{&libraryevents.CategoryRenamed{Category: c.ID, Library: cat.in.id, Name: name}}}
}

func (m *model) withdrawCategory(c library.WithdrawCategory) answer {
	cat, ok := m.byID[c.ID.Tag()].(*categoryThing)
	if a, no := existing(ok && !cat.withdrawn, "category-not-found", false, func() bool { return stale(c.Seen, cat.version) }); no {
		return a
	}
	if slices.ContainsFunc(m.books, func(b *bookThing) bool { return b.in == cat && !b.withdrawn }) {
		return refused("category-not-empty")
	}
	m.free(freed{in: cat.in, name: cat.name})
	cat.withdrawn = true
	cat.version++
	return answer{events: []event.Event{&libraryevents.CategoryWithdrawn{Category: c.ID, Library: cat.in.id, Reason: c.Reason}}}
}

func (m *model) addBook(c catalogue.AddBook) answer {
	wrong := wrongBook(c)
	return m.create(c.ID.Tag(), fmt.Sprint(c.Category, contentOf(c)), wrong, func() answer {
		cat, ok := m.byID[c.Category.Tag()].(*categoryThing)
		var no []string
		if wrong {
			no = append(no, "invalid")
		}
		if m.begun[c.ID.Tag()] || m.begun[c.Edition.ID.Tag()] {
			no = append(no, "id-taken")
		}
		if !ok || cat.withdrawn {
			return refused(append(no, "category-not-found")...)
		}
		if m.isbnTaken(cat.in, readISBN(c.Edition.Imprint.ISBN), nil) {
			no = append(no, "isbn-taken")
		}
		if len(no) > 0 {
			return refused(no...)
		}
		return answer{events: m.newBook(cat, c)}
	})
}

// newBook adds a book, with its first edition, to a category.
func (m *model) newBook(cat *categoryThing, c catalogue.AddBook) []event.Event {
	title, _ := read(c.Title)
	cat.last++
	b := &bookThing{id: c.ID, in: cat, number: cat.last, title: title, authors: readAll(c.Authors), version: 1}
	m.books = append(m.books, b)
	m.begin(c.ID.Tag(), b)
	m.refer(c.ID.Tag(), cat.in, cat.number, b.number)
	return []event.Event{
		&catalogueevents.BookAdded{Book: c.ID, Category: cat.id, Library: cat.in.id, Number: b.number, Title: title, Authors: b.authors},
		m.newEdition(b, c.Edition.ID, editionsevents.EditionID{}, c.Edition.Imprint),
	}
}

func (m *model) correctBook(c catalogue.CorrectBook) answer {
	b, ok := m.byID[c.ID.Tag()].(*bookThing)
	wrong := c.Title != nil && isWrong(*c.Title) || c.Authors != nil && slices.ContainsFunc(*c.Authors, isWrong)
	if a, no := existing(ok && !b.withdrawn, "book-not-found", wrong, func() bool { return stale(c.Seen, b.version) }); no {
		return a
	}
	title, authors := b.title, b.authors
	if c.Title != nil {
		title, _ = read(*c.Title)
	}
	if c.Authors != nil {
		authors = readAll(*c.Authors)
	}
	if title == b.title && slices.Equal(authors, b.authors) {
		return answer{}
	}
	b.title, b.authors = title, authors
	b.version++
	return answer{events: []event.Event{
		&catalogueevents.BookCorrected{Book: c.ID, Category: b.in.id, Library: b.in.in.id, Title: title, Authors: authors},
	}}
}

func (m *model) moveBook(c catalogue.MoveBook) answer {
	b, ok := m.byID[c.ID.Tag()].(*bookThing)
	if a, no := existing(ok && !b.withdrawn, "book-not-found", false, func() bool { return stale(c.Seen, b.version) }); no {
		return a
	}
	to, ok := m.byID[c.To.Tag()].(*categoryThing)
	switch {
	case to == b.in:
		return answer{}
	case !ok:
		return refused("category-not-found")
	case to.in != b.in.in && to.withdrawn:
		return refused("invalid", "category-not-found")
	case to.in != b.in.in:
		return refused("invalid")
	case to.withdrawn:
		return refused("category-not-found")
	}
	from := b.in
	to.last++
	b.in, b.number = to, to.last
	b.version++
	m.refer(b.id.Tag(), to.in, to.number, b.number)
	for _, e := range m.editions {
		if e.of == b {
			m.refer(e.id.Tag(), to.in, to.number, b.number, e.number)
		}
	}
	return answer{events: []event.Event{
		&catalogueevents.BookMoved{Book: c.ID, From: from.id, Category: to.id, Library: to.in.id, Number: b.number},
	}}
}

func (m *model) withdrawBook(c catalogue.WithdrawBook) answer {
	b, ok := m.byID[c.ID.Tag()].(*bookThing)
	if a, no := existing(ok && !b.withdrawn, "book-not-found", false, func() bool { return stale(c.Seen, b.version) }); no {
		return a
	}
	b.withdrawn = true
	b.version++
	events := []event.Event{&catalogueevents.BookWithdrawn{Book: c.ID, Category: b.in.id, Library: b.in.in.id, Reason: c.Reason}}
	for _, e := range m.live(b) {
		events = append(events, m.withdraw(e, c.Reason))
	}
	return answer{events: events}
}

func (m *model) addEdition(c editions.AddEdition) answer {
	wrong := wrongImprint(c.Imprint) || c.Base.IsZero()
	return m.create(c.ID.Tag(), fmt.Sprint(c.Book, c.Base, readImprint(c.Imprint)), wrong, func() answer {
		b, ok := m.byID[c.Book.Tag()].(*bookThing)
		var no []string
		if wrong {
			no = append(no, "invalid")
		}
		if m.begun[c.ID.Tag()] {
			no = append(no, "id-taken")
		}
		if !ok || b.withdrawn {
			return refused(append(no, "book-not-found")...)
		}
		base, ok := m.byID[c.Base.Tag()].(*editionThing)
		if !c.Base.IsZero() && (!ok || base.of != b || base.withdrawn) {
			no = append(no, "base-edition-not-found")
		}
		if m.isbnTaken(b.in.in, readISBN(c.Imprint.ISBN), nil) {
			no = append(no, "isbn-taken")
		}
		if len(no) > 0 {
			return refused(no...)
		}
		return answer{events: []event.Event{m.newEdition(b, c.ID, c.Base, c.Imprint)}}
	})
}

func (m *model) newEdition(b *bookThing, id, base editionsevents.EditionID, imprint editions.Imprint) event.Event {
	b.last++
	e := &editionThing{id: id, of: b, base: base, number: b.last, imprint: readImprint(imprint), version: 1}
	m.editions = append(m.editions, e)
	m.begin(id.Tag(), e)
	m.refer(id.Tag(), b.in.in, b.in.number, b.number, e.number)
	return &editionsevents.EditionAdded{
		Edition: id, Book: b.id, Category: b.in.id, Library: b.in.in.id, Number: e.number, Base: base, Imprint: e.imprint,
	}
}

func (m *model) correctEdition(c editions.CorrectEdition) answer {
	e, ok := m.byID[c.ID.Tag()].(*editionThing)
	wrong := wrongCorrection(c.Imprint)
	if a, no := existing(ok && !e.withdrawn, "edition-not-found", wrong, func() bool { return stale(c.Seen, e.version) }); no {
		return a
	}
	next := e.imprint
	if c.Imprint.ISBN != nil {
		next.ISBN = readISBN(*c.Imprint.ISBN)
	}
	for to, from := range map[*string]*string{
		&next.Publisher: c.Imprint.Publisher, &next.Language: c.Imprint.Language, &next.Format: c.Imprint.Format,
	} {
		if from != nil {
			*to = strings.TrimSpace(*from)
		}
	}
	if c.Imprint.Year != nil {
		next.Year = *c.Imprint.Year
	}
	switch {
	case next == e.imprint:
		return answer{}
	case m.isbnTaken(e.of.in.in, next.ISBN, e):
		return refused("isbn-taken")
	}
	if next.ISBN != e.imprint.ISBN {
		m.free(freed{in: e.of.in.in, isbn: e.imprint.ISBN})
	}
	e.imprint = next
	e.version++
	return answer{events: []event.Event{&editionsevents.EditionCorrected{
		Edition: e.id, Book: e.of.id, Category: e.of.in.id, Library: e.of.in.in.id, Imprint: next,
	}}}
}

func (m *model) withdrawEdition(c editions.WithdrawEdition) answer {
	e, ok := m.byID[c.ID.Tag()].(*editionThing)
	if a, no := existing(ok && !e.withdrawn, "edition-not-found", false, func() bool { return stale(c.Seen, e.version) }); no {
		return a
	}
	if len(m.live(e.of)) == 1 {
		return refused("last-edition")
	}
	return answer{events: []event.Event{m.withdraw(e, c.Reason)}}
}

func (m *model) withdraw(e *editionThing, reason string) event.Event {
	m.free(freed{in: e.of.in.in, isbn: e.imprint.ISBN})
	e.withdrawn = true
	e.version++
	return &editionsevents.EditionWithdrawn{Edition: e.id, Book: e.of.id, Category: e.of.in.id, Library: e.of.in.in.id, Reason: reason}
}

func (m *model) live(b *bookThing) (live []*editionThing) {
	for _, e := range m.editions {
		if e.of == b && !e.withdrawn {
			live = append(live, e)
		}
	}
	return live
}

// existing answers what is sent to a thing that is there or not, with the version its sender has seen.
func existing(there bool, missing string, wrong bool, stale func() bool) (a answer, no bool) {
	if wrong {
		a.refusals = append(a.refusals, "invalid")
	}
	switch {
	case !there:
		a.refusals = append(a.refusals, missing)
	case stale():
		a.refusals = append(a.refusals, "version-mismatch")
	}
	return a, len(a.refusals) > 0
}

func stale(seen, is int) bool { return seen != 0 && seen != is }

func (m *model) begin(id event.Tag, thing any) {
	m.begun[id], m.byID[id] = true, thing
}

// refer notes that the reference of these numbers leads to the thing, for ever.
func (m *model) refer(thing event.Tag, l *libraryThing, numbers ...int) {
	key := reference(l.id.Tag(), numbers...)
	if was, taken := m.references[key]; taken {
		panic(fmt.Sprintf("the model gives %s to %s and to %s", key, was, thing))
	}
	m.references[key] = thing
}

func reference(library event.Tag, numbers ...int) string {
	return fmt.Sprint(library, " ", strings.ReplaceAll(strings.Trim(fmt.Sprint(numbers), "[]"), " ", "."))
}

// nameTaken: no two live categories of a library have the same name, case and spacing aside.
func (m *model) nameTaken(l *libraryThing, name string, but *categoryThing) bool {
	same := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }
	return slices.ContainsFunc(m.categories, func(c *categoryThing) bool {
		return c != but && c.in == l && !c.withdrawn && same(c.name) == same(name)
	})
}

// isbnTaken: an ISBN stands on one live edition of a library.
func (m *model) isbnTaken(l *libraryThing, isbn string, but *editionThing) bool {
	return isbn != "" && slices.ContainsFunc(m.editions, func(e *editionThing) bool {
		return e != but && e.of.in.in == l && !e.withdrawn && e.imprint.ISBN == isbn
	})
}
