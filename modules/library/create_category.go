package library

import (
	"context"

	"accession/modules/catalogue"
	"accession/modules/library/libraryevents"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// CreateCategory creates a category in a library, with its first book and that book's first edition: otherwise the user has
// nothing to work with. All of it happens, or nothing.
type CreateCategory struct {
	ID      libraryevents.CategoryID
	Library libraryevents.LibraryID
	Name    string
	Book    catalogue.AddBook // its Category is this one, whatever it says
}

// Execute implements usecase.Command.
func (c CreateCategory) Execute(ctx context.Context, u *usecase.Unit) error {
	var wrong problem.Fields
	name, err := text.Required(c.Name, maxName)
	wrong.Check("name", err)
	u.Record(c.ID.Tag(), &libraryevents.CategoryCreated{Category: c.ID, Library: c.Library, Name: name})
	book := c.Book
	book.Category = c.ID
	return problem.Join(wrong.Err(), problem.Under("book.", book.Execute(ctx, u)))
}

// Request is the command on its way, named after the category: asked twice, it creates one.
func (c CreateCategory) Request(actor string) usecase.Request {
	return usecase.Request{
		Command: c, Actor: actor, Key: string(c.ID.Tag()),
		Fingerprint: usecase.Fingerprint(c.Library, content(c.Name), c.Book.Content()),
	}
}
