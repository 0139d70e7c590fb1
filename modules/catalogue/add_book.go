package catalogue

import (
	"context"
	"strconv"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// AddBook adds a book, with its first edition, to a category.
type AddBook struct {
	ID       catalogueevents.BookID
	Category libraryevents.CategoryID
	Title    string
	Authors  []string // may be empty
	Edition  FirstEdition
}

// FirstEdition is the edition that a book comes with.
type FirstEdition struct {
	ID      editionsevents.EditionID
	Imprint editions.Imprint
}

// The limits that docs/api.md promises. Titles and names are in characters.
const (
	maxTitle   = 1000
	maxName    = 200
	maxAuthors = 100
)

// Execute implements usecase.Command.
func (c AddBook) Execute(ctx context.Context, u *usecase.Unit) error {
	title, authors, wrong := c.clean()
	u.Record(c.ID.Tag(), &catalogueevents.BookAdded{Book: c.ID, Category: c.Category, Title: title, Authors: authors})
	first := editions.AddFirstEdition{ID: c.Edition.ID, Book: c.ID, Imprint: c.Edition.Imprint}
	return problem.Join(wrong.Err(), problem.Under("edition.", first.Execute(ctx, u)))
}

// Request is the command on its way, named after the book: asked twice, it adds one.
func (c AddBook) Request(actor string) usecase.Request {
	return usecase.Request{
		Command: c, Actor: actor, Key: string(c.ID.Tag()),
		Fingerprint: usecase.Fingerprint(c.Category, c.Content()),
	}
}

// Content is the book as far as telling two requests apart goes: as it would be stored, if it can be.
func (c AddBook) Content() any {
	title, authors, wrong := c.clean()
	if len(wrong) > 0 {
		title, authors = c.Title, c.Authors
	}
	return []any{title, authors, c.Edition.Imprint.Content()}
}

func (c AddBook) clean() (title string, authors []string, wrong problem.Fields) {
	title, err := text.Required(c.Title, maxTitle)
	wrong.Check("title", err)
	if len(c.Authors) > maxAuthors {
		wrong.Add("authors", "has %d entries; at most %d are allowed", len(c.Authors), maxAuthors)
		return title, nil, wrong // whoever sends half a million need not hear of each
	}
	authors = make([]string, len(c.Authors))
	for i, a := range c.Authors {
		authors[i], err = text.Required(a, maxName)
		wrong.Check("authors["+strconv.Itoa(i)+"]", err)
	}
	return title, authors, wrong
}
