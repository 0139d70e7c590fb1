package library

import (
	"context"

	"accession/modules/library/libraryevents"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// RenameCategory gives a category another name. One that it has already records nothing.
type RenameCategory struct {
	ID   libraryevents.CategoryID
	Seen int // the version that the caller has seen; 0: whatever there is
	Name string
}

// Execute implements usecase.Command.
func (c RenameCategory) Execute(ctx context.Context, u *usecase.Unit) error {
	name, err := text.Required(c.Name, maxName)
	if err != nil {
		return problem.InvalidField("name", nil, "%v", err)
	}
	s, err := foldCategory(ctx, u, c.ID, c.Seen)
	if err != nil || name == s.name {
		return err
	}
	u.Record(c.ID.Tag(), &libraryevents.CategoryRenamed{Category: c.ID, Library: s.library, Name: name})
	return nil
}

// Request is the command on its way.
func (c RenameCategory) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}
