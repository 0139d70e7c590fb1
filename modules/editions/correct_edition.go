package editions

import (
	"context"

	"accession/modules/editions/editionsevents"
	"accession/platform/usecase"
)

// CorrectEdition corrects what was said to be printed in an edition. What it leaves out stays; a correction that changes nothing
// records nothing.
type CorrectEdition struct {
	ID      editionsevents.EditionID
	Seen    int // the version that the caller has seen; 0: whatever there is
	Imprint Correction
}

// Correction is a merge patch (RFC 7396) of an imprint: a nil field stays as it is, a pointer to an empty value clears it.
type Correction struct {
	ISBN, Publisher, Language, Format *string
	Year                              *int // 0 clears it
}

// Execute implements usecase.Command.
func (c CorrectEdition) Execute(ctx context.Context, u *usecase.Unit) error {
	s, err := fold(ctx, u, c.ID, c.Seen)
	if err != nil {
		return err
	}
	next, err := c.Imprint.of(s.imprint).check(u.Now())
	if err != nil || next == s.imprint {
		return err
	}
	u.Record(c.ID.Tag(), &editionsevents.EditionCorrected{
		Edition: c.ID, Book: s.added.Book, Category: s.added.Category, Library: s.added.Library, Imprint: next,
	})
	return nil
}

// Request is the command on its way.
func (c CorrectEdition) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}

// of is the imprint with the correction made.
func (c Correction) of(was editionsevents.Imprint) Imprint {
	i := Imprint{ISBN: was.ISBN, Publisher: was.Publisher, Language: was.Language, Format: was.Format}
	if was.Year != 0 {
		i.Year = &was.Year
	}
	for _, f := range []struct{ to, from *string }{
		{&i.ISBN, c.ISBN}, {&i.Publisher, c.Publisher}, {&i.Language, c.Language}, {&i.Format, c.Format},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if c.Year != nil {
		if i.Year = c.Year; *c.Year == 0 {
			i.Year = nil
		}
	}
	return i
}
