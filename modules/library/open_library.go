package library

import (
	"context"

	"accession/modules/library/libraryevents"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// OpenLibrary opens a library, empty. Two libraries may have one name.
type OpenLibrary struct {
	ID   libraryevents.LibraryID
	Name string
}

// maxName is the limit that docs/api.md promises, in characters.
const maxName = 200

// Execute implements usecase.Command.
func (c OpenLibrary) Execute(_ context.Context, u *usecase.Unit) error {
	name, err := text.Required(c.Name, maxName)
	if err != nil {
		return problem.InvalidField("name", nil, "%v", err)
	}
	u.Record(c.ID.Tag(), &libraryevents.LibraryOpened{Library: c.ID, Name: name})
	return nil
}

// Request is the command on its way, named after the library: asked twice, it opens one.
func (c OpenLibrary) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor, Key: string(c.ID.Tag()), Fingerprint: usecase.Fingerprint(content(c.Name))}
}

// content is the name as far as telling two requests apart goes: as it would be stored, if it can be.
func content(name string) string {
	if clean, err := text.Required(name, maxName); err == nil {
		return clean
	}
	return name
}
