package editions

import (
	"context"
	"time"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/platform/isbn"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// AddEdition adds an edition to a book. It names the edition it replaces: any earlier edition of the same book.
type AddEdition struct {
	ID      editionsevents.EditionID
	Book    catalogueevents.BookID
	Base    editionsevents.EditionID
	Imprint Imprint
}

// Execute implements usecase.Command.
func (c AddEdition) Execute(_ context.Context, u *usecase.Unit) error {
	imprint, err := c.Imprint.check(u.Now())
	var wrong problem.Fields
	if c.Base.IsZero() {
		wrong.Add("base_edition_id", "is required: name the edition of this book that the new one replaces")
	}
	u.Record(c.ID.Tag(), &editionsevents.EditionAdded{Edition: c.ID, Book: c.Book, Base: c.Base, Imprint: imprint})
	return problem.Join(wrong.Err(), err)
}

// Request is the command on its way, named after the edition: asked twice, it adds one.
func (c AddEdition) Request(actor string) usecase.Request {
	return usecase.Request{
		Command: c, Actor: actor, Key: string(c.ID.Tag()),
		Fingerprint: usecase.Fingerprint(c.Book, c.Base, c.Imprint.Content()),
	}
}

// AddFirstEdition adds the edition that a book comes with, the only one without a base. It runs in the unit that adds the book.
type AddFirstEdition struct {
	ID      editionsevents.EditionID
	Book    catalogueevents.BookID
	Imprint Imprint
}

// Execute implements usecase.Command.
func (c AddFirstEdition) Execute(_ context.Context, u *usecase.Unit) error {
	imprint, err := c.Imprint.check(u.Now())
	if err != nil {
		return err
	}
	u.Record(c.ID.Tag(), &editionsevents.EditionAdded{Edition: c.ID, Book: c.Book, Imprint: imprint})
	return nil
}

// Imprint is what someone says is printed in an edition. All of it may be left out.
type Imprint struct {
	ISBN      string `json:"isbn"` // ISBN-10 or ISBN-13, with hyphens or without
	Publisher string `json:"publisher"`
	Year      *int   `json:"year"`
	Language  string `json:"language"`
	Format    string `json:"format"`
}

// The limits that docs/api.md promises. Names are in characters.
const (
	maxName   = 200
	firstYear = 1000
)

// check gives the imprint as it is stored, or everything that is wrong with it. The latest year is next year's.
func (i Imprint) check(now time.Time) (editionsevents.Imprint, error) {
	var wrong problem.Fields
	clean, err := i.clean()
	wrong = append(wrong, err...)
	if i.Year != nil {
		clean.Year = *i.Year
		if last := now.Year() + 1; *i.Year < firstYear || *i.Year > last {
			wrong.Add("year", "%d is not a year from %d to %d", *i.Year, firstYear, last)
		}
	}
	return clean, wrong.Err()
}

func (i Imprint) clean() (editionsevents.Imprint, problem.Fields) {
	var clean editionsevents.Imprint
	var wrong problem.Fields
	for _, f := range []struct {
		location string
		from     string
		to       *string
	}{
		{"publisher", i.Publisher, &clean.Publisher},
		{"language", i.Language, &clean.Language},
		{"format", i.Format, &clean.Format},
	} {
		var err error
		*f.to, err = text.Clean(f.from, maxName)
		wrong.Check(f.location, err)
	}
	if number, err := text.Clean(i.ISBN, maxName); err != nil {
		wrong.Check("isbn", err)
	} else if number != "" {
		parsed, err := isbn.Parse(number)
		wrong.Check("isbn", err)
		clean.ISBN = string(parsed)
	}
	return clean, wrong
}

// Content is the imprint as far as telling two requests apart goes: as it would be stored, if it can be.
func (i Imprint) Content() any {
	clean, wrong := i.clean()
	if len(wrong) > 0 {
		return i
	}
	if i.Year != nil {
		clean.Year = *i.Year
	}
	return clean
}
