package model_test

import (
	"slices"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/usecase"

	"pgregory.net/rapid"
)

// draw makes random commands for what is in the model: mostly such as people send, and every now and then one for something
// that is withdrawn, in another library or not there at all, with a wrong field, a version that is no longer, or an id that is
// in use.
type draw struct {
	*rapid.T
	*model
	sent []usecase.Command // creations, refused ones too: some are sent again
}

// commands are the kinds of commands, by name.
var commands = map[string]func(d *draw) usecase.Command{
	"open library":      (*draw).openLibrary,
	"rename library":    (*draw).renameLibrary,
	"create category":   (*draw).createCategory,
	"rename category":   (*draw).renameCategory,
	"withdraw category": (*draw).withdrawCategory,
	"add book":          (*draw).addBook,
	"correct book":      (*draw).correctBook,
	"move book":         (*draw).moveBook,
	"withdraw book":     (*draw).withdrawBook,
	"add edition":       (*draw).addEdition,
	"correct edition":   (*draw).correctEdition,
	"withdraw edition":  (*draw).withdrawEdition,
	"create again":      (*draw).again,

	// These twice: without books and editions there is nothing to be done with them.
	"add another book":    (*draw).addBook,
	"add another edition": (*draw).addEdition,
	"move another book":   (*draw).moveBook,

	// A category is only withdrawn when it is empty, and what a withdrawal frees only shows when somebody wants it: chance alone
	// hardly ever comes to either.
	"empty a category":         (*draw).emptyCategory,
	"go on emptying":           (*draw).emptyCategory,
	"use again what is freed":  (*draw).useFreed,
	"use again what was freed": (*draw).useFreed,
}

// emptyCategory takes the next step to a category being withdrawn, in the one where there is least left to do: a live book of it is
// withdrawn or moved to another category, and without one it is withdrawn itself.
func (d *draw) emptyCategory() usecase.Command {
	held := map[*categoryThing][]*bookThing{}
	for _, b := range d.books {
		if !b.withdrawn {
			held[b.in] = append(held[b.in], b)
		}
	}
	var least *categoryThing
	for _, c := range d.categories {
		if !c.withdrawn && (least == nil || len(held[c]) < len(held[least])) {
			least = c
		}
	}
	if least == nil {
		return d.createCategory()
	}
	if len(held[least]) == 0 {
		return library.WithdrawCategory{ID: least.id, Reason: d.reason()}
	}
	b := held[least][0]
	for _, to := range d.categories {
		if to.in == least.in && to != least && !to.withdrawn && rapid.Bool().Draw(d.T, "move it away") {
			return catalogue.MoveBook{ID: b.id, To: to.id}
		}
	}
	return catalogue.WithdrawBook{ID: b.id, Reason: d.reason()}
}

// useFreed uses a name or an ISBN that something has let go of, mostly the last one: for something new, or for what is there.
func (d *draw) useFreed() usecase.Command {
	if len(d.freed) == 0 {
		return d.emptyCategory()
	}
	f := d.freed[len(d.freed)-1]
	if !d.mostly("what was freed last") {
		f = rapid.SampledFrom(d.freed).Draw(d.T, "freed")
	}
	categories := slices.DeleteFunc(slices.Clone(d.categories), func(c *categoryThing) bool { return c.in != f.in || c.withdrawn })
	changed := len(categories) > 0 && rapid.Bool().Draw(d.T, "for what is there")
	switch {
	case f.name != "" && changed:
		return library.RenameCategory{ID: rapid.SampledFrom(categories).Draw(d.T, "category").id, Name: f.name}
	case f.name != "":
		return library.CreateCategory{ID: libraryevents.NewCategoryID(), Library: f.in.id, Name: f.name, Book: d.book()}
	}
	editionsThere := slices.DeleteFunc(slices.Clone(d.editions), func(e *editionThing) bool { return e.of.in.in != f.in || e.withdrawn })
	switch {
	case changed && len(editionsThere) > 0:
		e := rapid.SampledFrom(editionsThere).Draw(d.T, "edition")
		if rapid.Bool().Draw(d.T, "another edition of its book") {
			return editions.AddEdition{ID: editionsevents.NewEditionID(), Book: e.of.id, Base: e.id, Imprint: editions.Imprint{ISBN: f.isbn}}
		}
		return editions.CorrectEdition{ID: e.id, Imprint: editions.Correction{ISBN: &f.isbn}}
	case len(categories) > 0:
		b := d.book()
		b.Category, b.Edition.Imprint.ISBN = rapid.SampledFrom(categories).Draw(d.T, "category").id, f.isbn
		return b
	}
	return d.emptyCategory()
}

func (d *draw) openLibrary() usecase.Command {
	return library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: d.name()}
}

func (d *draw) renameLibrary() usecase.Command {
	l := d.library()
	return library.RenameLibrary{ID: l.id, Seen: d.seen(l.version), Name: d.name()}
}

func (d *draw) createCategory() usecase.Command {
	return library.CreateCategory{ID: libraryevents.NewCategoryID(), Library: d.library().id, Name: d.name(), Book: d.book()}
}

func (d *draw) renameCategory() usecase.Command {
	c := d.category()
	return library.RenameCategory{ID: c.id, Seen: d.seen(c.version), Name: d.name()}
}

func (d *draw) withdrawCategory() usecase.Command {
	c := d.category()
	return library.WithdrawCategory{ID: c.id, Seen: d.seen(c.version), Reason: d.reason()}
}

func (d *draw) addBook() usecase.Command {
	b := d.book()
	b.Category = d.category().id
	return b
}

func (d *draw) correctBook() usecase.Command {
	b := d.aBook()
	c := catalogue.CorrectBook{ID: b.id, Seen: d.seen(b.version)}
	if rapid.Bool().Draw(d.T, "title") {
		title := rapid.SampledFrom(titles).Draw(d.T, "title")
		c.Title = &title
	}
	if rapid.Bool().Draw(d.T, "authors") {
		authors := d.authors()
		c.Authors = &authors
	}
	return c
}

func (d *draw) moveBook() usecase.Command {
	b := d.aBook()
	to := d.category()
	if b.in != nil && d.mostly("within the library") {
		var near []*categoryThing
		for _, c := range d.categories {
			if c.in == b.in.in {
				near = append(near, c)
			}
		}
		to = rapid.SampledFrom(near).Draw(d.T, "to")
	}
	return catalogue.MoveBook{ID: b.id, Seen: d.seen(b.version), To: to.id}
}

func (d *draw) withdrawBook() usecase.Command {
	b := d.aBook()
	return catalogue.WithdrawBook{ID: b.id, Seen: d.seen(b.version), Reason: d.reason()}
}

func (d *draw) addEdition() usecase.Command {
	base := d.edition()
	c := editions.AddEdition{ID: d.editionID(), Base: base.id, Imprint: d.imprint()}
	if base.of != nil {
		c.Book = base.of.id
	}
	switch rapid.IntRange(0, 11).Draw(d.T, "base of another book, none, itself") {
	case 9:
		c.Book = d.aBook().id
	case 10:
		c.Base = editionsevents.EditionID{}
	case 11:
		c.Base = c.ID
	}
	if c.Book.IsZero() {
		c.Book = catalogueevents.NewBookID()
	}
	return c
}

func (d *draw) correctEdition() usecase.Command {
	e := d.edition()
	c := editions.CorrectEdition{ID: e.id, Seen: d.seen(e.version)}
	if rapid.Bool().Draw(d.T, "isbn") {
		isbn := d.isbn()
		c.Imprint.ISBN = &isbn
	}
	for name, field := range map[string]**string{"publisher": &c.Imprint.Publisher} {
		if rapid.Bool().Draw(d.T, name) {
			s := rapid.SampledFrom(prints).Draw(d.T, name)
			*field = &s
		}
	}
	if rapid.Bool().Draw(d.T, "year") {
		year := rapid.SampledFrom(append([]int{0}, years...)).Draw(d.T, "year")
		c.Imprint.Year = &year
	}
	return c
}

func (d *draw) withdrawEdition() usecase.Command {
	e := d.edition()
	return editions.WithdrawEdition{ID: e.id, Seen: d.seen(e.version), Reason: d.reason()}
}

// again sends a creation once more: as it was, or with one thing changed, or with the id alone.
func (d *draw) again() usecase.Command {
	if len(d.sent) == 0 {
		return d.openLibrary()
	}
	switch c := rapid.SampledFrom(d.sent).Draw(d.T, "again").(type) {
	case library.OpenLibrary:
		if !d.mostly("as it was") {
			c.Name = d.name()
		}
		return c
	case library.CreateCategory:
		c.Book.ID, c.Book.Edition.ID = catalogueevents.NewBookID(), editionsevents.NewEditionID()
		switch rapid.IntRange(0, 4).Draw(d.T, "what is other") {
		case 0:
			c.Name = d.name()
		case 1:
			c.Library = d.library().id
		case 2:
			c.Book = d.book()
		}
		return c
	case catalogue.AddBook:
		c.Edition.ID = editionsevents.NewEditionID()
		switch rapid.IntRange(0, 4).Draw(d.T, "what is other") {
		case 0:
			c.Title = rapid.SampledFrom(titles).Draw(d.T, "title")
		case 1:
			c.Category = d.category().id
		case 2:
			c.Edition.Imprint = d.imprint()
		}
		return c
	case editions.AddEdition:
		switch rapid.IntRange(0, 4).Draw(d.T, "what is other") {
		case 0:
			c.Base = d.edition().id
		case 1:
			c.Book = d.aBook().id
		case 2:
			c.Imprint = d.imprint()
		}
		return c
	default:
		panic("not a creation")
	}
}

// book is a new book with its first edition, nowhere yet. Now and then it has the id of another one, or its edition has.
func (d *draw) book() catalogue.AddBook {
	b := catalogue.AddBook{
		ID: catalogueevents.NewBookID(), Title: rapid.SampledFrom(titles[:6]).Draw(d.T, "title"), Authors: d.authors(),
		Edition: catalogue.FirstEdition{ID: d.editionID(), Imprint: d.imprint()},
	}
	if d.rarely("wrong title") {
		b.Title = rapid.SampledFrom(titles).Draw(d.T, "title")
	}
	if len(d.books) > 0 && d.rarely("id of a book in use") {
		b.ID = rapid.SampledFrom(d.books).Draw(d.T, "book").id
	}
	return b
}

func (d *draw) editionID() editionsevents.EditionID {
	if len(d.editions) > 0 && d.rarely("id of an edition in use") {
		return rapid.SampledFrom(d.editions).Draw(d.T, "edition").id
	}
	return editionsevents.NewEditionID()
}

func (d *draw) name() string { return rapid.SampledFrom(names).Draw(d.T, "name") }

func (d *draw) reason() string { return rapid.SampledFrom([]string{"", "lost"}).Draw(d.T, "reason") }

func (d *draw) authors() []string {
	from := people
	if d.mostly("right authors") {
		from = people[:5]
	}
	return rapid.SliceOfN(rapid.SampledFrom(from), 0, 2).Draw(d.T, "authors")
}

func (d *draw) isbn() string {
	switch rapid.IntRange(0, 9).Draw(d.T, "an ISBN, none") {
	case 0, 1, 2:
		return rapid.SampledFrom(typedISBNs).Draw(d.T, "isbn")
	case 3, 4, 5:
		return rapid.SampledFrom(typedISBNs[:7]).Draw(d.T, "isbn")
	}
	return ""
}

func (d *draw) imprint() editions.Imprint {
	i := editions.Imprint{ISBN: d.isbn()}
	if rapid.Bool().Draw(d.T, "more in print") {
		i.Publisher, i.Language, i.Format = rapid.SampledFrom(prints).Draw(d.T, "publisher"), "en", "Hardback"
		year := rapid.SampledFrom(years[:4]).Draw(d.T, "year")
		if d.rarely("wrong year") {
			year = rapid.SampledFrom(years).Draw(d.T, "year")
		}
		i.Year = &year
	}
	return i
}

// seen is the version that somebody has seen of a thing: mostly they do not say, or it is the present one.
func (d *draw) seen(is int) int {
	switch rapid.IntRange(0, 9).Draw(d.T, "seen") {
	case 0, 1, 2:
		return is
	case 3:
		return max(is-1, 0)
	case 4:
		return is + 1
	}
	return 0
}

func (d *draw) mostly(what string) bool { return rapid.IntRange(0, 4).Draw(d.T, what) > 0 }
func (d *draw) rarely(what string) bool { return rapid.IntRange(0, 19).Draw(d.T, what) == 19 }

func (d *draw) library() *libraryThing {
	return pick(d, "library", d.libraries, func(*libraryThing) bool { return true }, &libraryThing{id: libraryevents.NewLibraryID()})
}

func (d *draw) category() *categoryThing {
	return pick(d, "category", d.categories, func(c *categoryThing) bool { return !c.withdrawn }, &categoryThing{id: libraryevents.NewCategoryID()})
}

func (d *draw) aBook() *bookThing {
	return pick(d, "book", d.books, func(b *bookThing) bool { return !b.withdrawn }, &bookThing{id: catalogueevents.NewBookID()})
}

func (d *draw) edition() *editionThing {
	return pick(d, "edition", d.editions, func(e *editionThing) bool { return !e.withdrawn }, &editionThing{id: editionsevents.NewEditionID()})
}

// pick picks one of the things that are live, or sometimes one of all, or seldom one that nobody knows.
func pick[T any](d *draw, what string, all []T, live func(T) bool, unknown T) T {
	if !d.mostly("live " + what) {
		if d.rarely("known "+what) || len(all) == 0 {
			return unknown
		}
		return rapid.SampledFrom(all).Draw(d.T, what)
	}
	alive := slices.DeleteFunc(slices.Clone(all), func(t T) bool { return !live(t) })
	if len(alive) == 0 {
		return unknown
	}
	return rapid.SampledFrom(alive).Draw(d.T, what)
}
