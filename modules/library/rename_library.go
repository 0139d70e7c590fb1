package library

import (
	"context"

	"accession/modules/library/libraryevents"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// RenameLibrary gives a library another name. One that it has already records nothing.
type RenameLibrary struct {
	ID   libraryevents.LibraryID
	Seen int // the version that the caller has seen; 0: whatever there is
	Name string
}

// Execute implements usecase.Command.
func (c RenameLibrary) Execute(ctx context.Context, u *usecase.Unit) error {
	name, err := text.Required(c.Name, maxName)
	if err != nil {
		return problem.InvalidField("name", nil, "%v", err)
	}
	s, version, err := usecase.Fold(ctx, u, c.ID.Tag(), playLibrary)
	if err != nil {
		return err
	}
	if s.id.IsZero() {
		return ErrLibraryNotFound
	}
	if err := usecase.CheckVersion(c.Seen, version); err != nil || name == s.name {
		return err
	}
	u.Record(c.ID.Tag(), &libraryevents.LibraryRenamed{Library: c.ID, Name: name})
	return nil
}

// Request is the command on its way.
func (c RenameLibrary) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}
