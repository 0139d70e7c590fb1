package model_test

import (
	"fmt"
	"slices"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
)

// shelves is a catalogue as it can be compared: what it holds, and what every reference leads to that ever was. It is made from
// the model, or played from the log.
type shelves struct {
	Things     map[event.Tag]*thing
	References map[string]event.Tag // former ones too
}

// thing is what is known of anything that was ever in the catalogue.
type thing struct {
	In        event.Tag // a library is in nothing
	Number    int
	Text      string    // what it is called, or what is printed in it
	Base      event.Tag // an edition's
	Withdrawn bool
	Version   int
	Last      int // the last number that was given to something in it
}

func newShelves() *shelves {
	return &shelves{Things: map[event.Tag]*thing{}, References: map[string]event.Tag{}}
}

func (m *model) shelves() *shelves {
	s := newShelves()
	s.References = m.references
	for _, l := range m.libraries {
		s.Things[l.id.Tag()] = &thing{Text: l.name, Version: l.version, Last: l.last}
	}
	for _, c := range m.categories {
		s.Things[c.id.Tag()] = &thing{c.in.id.Tag(), c.number, c.name, "", c.withdrawn, c.version, c.last}
	}
	for _, b := range m.books {
		s.Things[b.id.Tag()] = &thing{b.in.id.Tag(), b.number, bookText(b.title, b.authors), "", b.withdrawn, b.version, b.last}
	}
	for _, e := range m.editions {
		s.Things[e.id.Tag()] = &thing{e.of.id.Tag(), e.number, fmt.Sprint(e.imprint), e.base.Tag(), e.withdrawn, e.version, 0}
	}
	return s
}

func bookText(title string, authors []string) string { return fmt.Sprintf("%q by %q", title, authors) }

// play takes the next event of the log. A number that is not the next one of its scope, a version that is not the next one of
// its stream, and a reference that leads somewhere else already are errors.
func (s *shelves) play(env event.Envelope) error {
	id := env.Stream
	t := s.Things[id]
	if t == nil {
		t = &thing{}
		s.Things[id] = t
	}
	if t.Version++; t.Version != env.Version {
		return fmt.Errorf("%s has version %d where %d belongs", id, env.Version, t.Version)
	}
	switch e := env.Event.(type) {
	case *libraryevents.LibraryOpened:
		t.Text = e.Name
	case *libraryevents.LibraryRenamed:
		t.Text = e.Name
	case *libraryevents.CategoryCreated:
		t.Text = e.Name
		return s.place(id, e.Library.Tag(), e.Number)
	case *libraryevents.CategoryRenamed:
		t.Text = e.Name
	case *libraryevents.CategoryWithdrawn:
		t.Withdrawn = true
	case *catalogueevents.BookAdded:
		t.Text = bookText(e.Title, e.Authors)
		return s.place(id, e.Category.Tag(), e.Number)
	case *catalogueevents.BookCorrected:
		t.Text = bookText(e.Title, e.Authors)
	case *catalogueevents.BookMoved:
		return s.place(id, e.Category.Tag(), e.Number)
	case *catalogueevents.BookWithdrawn:
		t.Withdrawn = true
	case *editionsevents.EditionAdded:
		t.Text, t.Base = fmt.Sprint(e.Imprint), e.Base.Tag()
		return s.place(id, e.Book.Tag(), e.Number)
	case *editionsevents.EditionCorrected:
		t.Text = fmt.Sprint(e.Imprint)
	case *editionsevents.EditionWithdrawn:
		t.Withdrawn = true
	default:
		return fmt.Errorf("nobody expects a %s", env.Type)
	}
	return nil
}

// place puts a thing where it has the number, and what is in it with it.
func (s *shelves) place(id, in event.Tag, number int) error {
	scope := s.Things[in]
	if scope == nil {
		return fmt.Errorf("%s is put into %s, which is not there", id, in)
	}
	if scope.Last++; scope.Last != number {
		return fmt.Errorf("%s has number %d in %s where %d belongs", id, number, in, scope.Last)
	}
	s.Things[id].In, s.Things[id].Number = in, number
	return s.refer(id)
}

// refer notes the present reference of a thing, and of all that is in it.
func (s *shelves) refer(id event.Tag) error {
	var numbers []int
	at := id
	for s.Things[at].In != "" {
		numbers = append(numbers, s.Things[at].Number)
		at = s.Things[at].In
	}
	slices.Reverse(numbers)
	key := reference(at, numbers...)
	if was, taken := s.References[key]; taken {
		return fmt.Errorf("%s leads to %s and to %s", key, was, id)
	}
	s.References[key] = id
	for inside, t := range s.Things {
		if t.In == id {
			if err := s.refer(inside); err != nil {
				return err
			}
		}
	}
	return nil
}
