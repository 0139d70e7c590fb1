package lab

import (
	"fmt"
	"slices"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/text"
	"accession/platform/usecase"
)

// actor is recorded for everything that the lab does.
const actor = "lab"

// load is the work that the lab gives to a constraint, over a number of scopes whose ids were drawn when it was made: the same
// in every space. Its functions are safe for concurrent use.
type load struct {
	steps   [][]usecase.Request           // makes the scopes; the requests of a step in any order, or at once
	request func(i int) usecase.Request   // a command, new each time, whose number is the next of the i-th scope
	byHand  func(usecase.Request) written // the same for the yardstick
	// slot is the number that an event takes, and in which scope; 0 when it takes none.
	slot func(event.Event) (event.Tag, int)
}

// loads are the constraints that the lab can run.
var loads = map[string]func(scopes int) load{
	catalogue.BookNumber.Name:   bookLoad,
	library.CategoryNumber.Name: categoryLoad,
	editions.EditionNumber.Name: editionLoad,
}

// Constraints are the names of the constraints that the lab can run, sorted.
func Constraints() []string {
	var names []string
	for name := range loads {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func fresh(r usecase.Request) usecase.Request {
	r.Fresh = true // its id was drawn just now, as the API does when the client gives none
	return r
}

func openLibrary(id libraryevents.LibraryID) usecase.Request {
	return fresh(library.OpenLibrary{ID: id, Name: "Lab"}.Request(actor))
}

func createCategory(id libraryevents.CategoryID, in libraryevents.LibraryID) usecase.Request {
	return fresh(library.CreateCategory{ID: id, Library: in, Name: "Shelf " + id.String(), Book: newBook(id)}.Request(actor))
}

func newBook(in libraryevents.CategoryID) catalogue.AddBook {
	return catalogue.AddBook{
		ID: catalogueevents.NewBookID(), Category: in, Title: "The Bride of Lammermoor", Authors: []string{"Scott, Walter, 1771-1832"},
		Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID(), Imprint: imprint},
	}
}

var imprint = editions.Imprint{Language: "en", Publisher: "Cadell"}

// draw makes n ids.
func draw[ID any](n int, id func() ID) []ID {
	ids := make([]ID, n)
	for i := range ids {
		ids[i] = id()
	}
	return ids
}

// bookLoad adds books to categories.
func bookLoad(scopes int) load {
	lib := libraryevents.NewLibraryID()
	categories := draw(scopes, libraryevents.NewCategoryID)
	l := load{steps: [][]usecase.Request{{openLibrary(lib)}, nil}}
	for _, c := range categories {
		l.steps[1] = append(l.steps[1], createCategory(c, lib))
	}
	l.request = func(i int) usecase.Request { return fresh(newBook(categories[i%scopes]).Request(actor)) }
	l.byHand = func(r usecase.Request) written {
		c := r.Command.(catalogue.AddBook)
		return written{
			guard: row{catalogue.BookNumber.Name, c.Category.Tag(), ""},
			held:  []row{{catalogue.CategoryExists.Name, c.Category.Tag(), consistency.Here}},
			rows:  func(number int, lib libraryevents.LibraryID) rows { return bookRows(c, c.Category, number, lib) },
		}
	}
	l.slot = func(e event.Event) (event.Tag, int) {
		if e, ok := e.(*catalogueevents.BookAdded); ok {
			return e.Category.Tag(), e.Number
		}
		return "", 0
	}
	return l
}

// categoryLoad creates categories, each with its first book, in libraries.
func categoryLoad(scopes int) load {
	libraries := draw(scopes, libraryevents.NewLibraryID)
	l := load{steps: [][]usecase.Request{nil, nil}}
	for _, id := range libraries {
		l.steps[0] = append(l.steps[0], openLibrary(id))
		l.steps[1] = append(l.steps[1], createCategory(libraryevents.NewCategoryID(), id))
	}
	l.request = func(i int) usecase.Request { return createCategory(libraryevents.NewCategoryID(), libraries[i%scopes]) }
	l.byHand = func(r usecase.Request) written {
		c := r.Command.(library.CreateCategory)
		return written{
			guard: row{library.CategoryNumber.Name, c.Library.Tag(), ""},
			held:  []row{{library.LibraryExists.Name, c.Library.Tag(), consistency.Here}},
			rows:  func(number int, _ libraryevents.LibraryID) rows { return categoryRows(c, number) },
		}
	}
	l.slot = func(e event.Event) (event.Tag, int) {
		if e, ok := e.(*libraryevents.CategoryCreated); ok {
			return e.Library.Tag(), e.Number
		}
		return "", 0
	}
	return l
}

// editionLoad adds editions to books; each replaces the book's first one.
func editionLoad(scopes int) load {
	lib, category := libraryevents.NewLibraryID(), libraryevents.NewCategoryID()
	books := make([]catalogue.AddBook, scopes)
	l := load{steps: [][]usecase.Request{{openLibrary(lib)}, {createCategory(category, lib)}, nil}}
	for i := range books {
		books[i] = newBook(category)
		l.steps[2] = append(l.steps[2], fresh(books[i].Request(actor)))
	}
	l.request = func(i int) usecase.Request {
		b := books[i%scopes]
		return fresh(editions.AddEdition{ID: editionsevents.NewEditionID(), Book: b.ID, Base: b.Edition.ID, Imprint: imprint}.Request(actor))
	}
	l.byHand = func(r usecase.Request) written {
		c := r.Command.(editions.AddEdition)
		return written{
			guard: row{editions.EditionNumber.Name, c.Book.Tag(), ""},
			held: []row{
				{editions.BaseEdition.Name, c.Book.Tag(), string(c.Base.Tag())},
				{editions.BookExists.Name, c.Book.Tag(), consistency.Here},
			},
			rows: func(number int, lib libraryevents.LibraryID) rows { return editionRows(c, category, number, lib) },
		}
	}
	l.slot = func(e event.Event) (event.Tag, int) {
		if e, ok := e.(*editionsevents.EditionAdded); ok {
			return e.Book.Tag(), e.Number
		}
		return "", 0
	}
	return l
}

// What the commands store, written down a second time for the yardstick.

func bookRows(c catalogue.AddBook, category libraryevents.CategoryID, number int, lib libraryevents.LibraryID) rows {
	book := c.ID.Tag()
	r := rows{
		events: []recorded{{book, &catalogueevents.BookAdded{
			Book: c.ID, Category: category, Library: lib, Number: number, Title: c.Title, Authors: c.Authors,
		}}},
		guards: []guard{{catalogue.BookNumber.Name, category.Tag(), number}},
		held: []held{
			{row{catalogue.BookNumber.Name, category.Tag(), fmt.Sprint(number)}, book, 0, ""},
			{row{editions.BookExists.Name, book, consistency.Here}, book, 0, category.Tag() + " " + lib.Tag()},
		},
	}
	first := editions.AddEdition{ID: c.Edition.ID, Book: c.ID, Imprint: c.Edition.Imprint}
	return r.and(editionRows(first, category, 1, lib))
}

func categoryRows(c library.CreateCategory, number int) rows {
	category := c.ID.Tag()
	r := rows{
		events: []recorded{{category, &libraryevents.CategoryCreated{Category: c.ID, Library: c.Library, Number: number, Name: c.Name}}},
		guards: []guard{{library.CategoryNumber.Name, c.Library.Tag(), number}},
		held: []held{
			{row{library.CategoryNumber.Name, c.Library.Tag(), fmt.Sprint(number)}, category, 0, ""},
			{row{library.CategoryName.Name, c.Library.Tag(), text.Fold(c.Name)}, category, 0, ""},
			{row{catalogue.CategoryExists.Name, category, consistency.Here}, category, 0, c.Library.Tag()},
		},
	}
	return r.and(bookRows(c.Book, c.ID, 1, c.Library))
}

func editionRows(c editions.AddEdition, category libraryevents.CategoryID, number int, lib libraryevents.LibraryID) rows {
	edition, book := c.ID.Tag(), c.Book.Tag()
	return rows{
		events: []recorded{{edition, &editionsevents.EditionAdded{
			Edition: c.ID, Book: c.Book, Category: category, Library: lib, Number: number, Base: c.Base,
			Imprint: editionsevents.Imprint{Language: c.Imprint.Language, Publisher: c.Imprint.Publisher},
		}}},
		guards: []guard{{editions.EditionNumber.Name, book, number}},
		held: []held{
			{row{editions.EditionNumber.Name, book, fmt.Sprint(number)}, edition, 0, ""},
			{row{editions.BaseEdition.Name, book, string(edition)}, edition, 0, ""},
		},
	}
}
