package discovery

import (
	"testing"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	"accession/platform/projection/projectiontest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

func TestCards(t *testing.T) {
	t.Parallel()
	registry := everyEvent(t)
	// One id for a category, a book and an edition: clients give ids, and only within a kind they differ.
	same := uuid.MustParse("00000000-0000-7000-8000-0000000000aa")
	other := uuid.MustParse("00000000-0000-7000-8000-0000000000bb")
	l, c, b, e1, e2 := libraryevents.LibraryID(other), libraryevents.CategoryID(same), catalogueevents.BookID(same), editionsevents.EditionID(same), editionsevents.EditionID(other)
	// And a book that goes through everything that can become of one.
	id := func(n byte) uuid.UUID { return uuid.UUID{15: n} }
	plays, poems, prose := libraryevents.CategoryID(id(1)), libraryevents.CategoryID(id(2)), libraryevents.CategoryID(id(3))
	b2, f1, f2 := catalogueevents.BookID(id(4)), editionsevents.EditionID(id(5)), editionsevents.EditionID(id(6))
	played := projectiontest.Run(t, Cards, registry,
		&libraryevents.LibraryOpened{Library: l, Name: "Main"},
		&libraryevents.CategoryCreated{Category: c, Library: l, Number: 3, Name: "Théâtre"},
		&catalogueevents.BookAdded{Book: b, Category: c, Library: l, Number: 14, Title: "L'Avare, l’avare", Authors: []string{"Molière", "義太夫"}},
		&editionsevents.EditionAdded{Edition: e1, Book: b, Category: c, Library: l, Number: 1, Imprint: editionsevents.Imprint{ISBN: "9780306406157", Publisher: "P", Year: 1668, Language: "fr", Format: "in-12"}},
		&editionsevents.EditionAdded{Edition: e2, Book: b, Category: c, Library: l, Base: e1},

		&libraryevents.CategoryCreated{Category: plays, Library: l, Number: 4, Name: "Plays"},
		&libraryevents.CategoryCreated{Category: poems, Library: l, Number: 5, Name: "Poems"},
		&libraryevents.CategoryCreated{Category: prose, Library: l, Number: 6, Name: "Prose"},
		&catalogueevents.BookAdded{Book: b2, Category: plays, Library: l, Number: 4, Title: "The Miser", Authors: []string{"Moliere"}},
		&editionsevents.EditionAdded{Edition: f1, Book: b2, Category: plays, Library: l, Number: 1, Imprint: editionsevents.Imprint{ISBN: "9780141439518", Year: 1668}},
		&editionsevents.EditionAdded{Edition: f2, Book: b2, Category: plays, Library: l, Number: 2, Base: f1},
		&libraryevents.LibraryRenamed{Library: l, Name: "Central"},
		&libraryevents.CategoryRenamed{Category: poems, Library: l, Name: "Verse"},
		&catalogueevents.BookCorrected{Book: b2, Category: plays, Library: l, Title: "The Blind", Authors: []string{"Maeterlinck"}},
		&catalogueevents.BookMoved{Book: b2, From: plays, Category: poems, Library: l, Number: 9},
		&catalogueevents.BookMoved{Book: b2, From: poems, Category: prose, Library: l},
		&libraryevents.CategoryWithdrawn{Category: plays, Library: l},
		&editionsevents.EditionCorrected{Edition: f1, Book: b2, Category: prose, Library: l, Imprint: editionsevents.Imprint{Publisher: "P", Language: "fr"}},
		&editionsevents.EditionWithdrawn{Edition: f2, Book: b2, Category: prose, Library: l},
		&catalogueevents.BookWithdrawn{Book: b2, Category: prose, Library: l},
		&editionsevents.EditionWithdrawn{Edition: f1, Book: b2, Category: prose, Library: l},
	)

	rows(t, []entry{
		{Tag: b2.Tag(), Kind: "book", Parent: prose.Tag(), Library: l.Tag(), Title: "The Blind", Authors: []string{"Maeterlinck"}, Withdrawn: true, Revision: 5},
		{Tag: b.Tag(), Kind: "book", Parent: c.Tag(), Library: l.Tag(), Number: 14, Title: "L'Avare, l’avare", Authors: []string{"Molière", "義太夫"}, Revision: 1},
		{Tag: plays.Tag(), Kind: "category", Parent: l.Tag(), Library: l.Tag(), Number: 4, Title: "Plays", Withdrawn: true, Revision: 2},
		{Tag: poems.Tag(), Kind: "category", Parent: l.Tag(), Library: l.Tag(), Number: 5, Title: "Verse", Revision: 2},
		{Tag: prose.Tag(), Kind: "category", Parent: l.Tag(), Library: l.Tag(), Number: 6, Title: "Prose", Revision: 1},
		{Tag: c.Tag(), Kind: "category", Parent: l.Tag(), Library: l.Tag(), Number: 3, Title: "Théâtre", Revision: 1},
		{Tag: f1.Tag(), Kind: "edition", Parent: b2.Tag(), Library: l.Tag(), Number: 1, Publisher: "P", Language: "fr", Withdrawn: true, Revision: 3},
		{Tag: f2.Tag(), Kind: "edition", Parent: b2.Tag(), Library: l.Tag(), Number: 2, Base: f1.Tag(), Withdrawn: true, Revision: 2},
		{Tag: e1.Tag(), Kind: "edition", Parent: b.Tag(), Library: l.Tag(), Number: 1, ISBN: "9780306406157", Publisher: "P", Year: 1668, Language: "fr", Format: "in-12", Revision: 1},
		{Tag: e2.Tag(), Kind: "edition", Parent: b.Tag(), Library: l.Tag(), Base: e1.Tag(), Revision: 1},
		{Tag: l.Tag(), Kind: "library", Library: l.Tag(), Title: "Central", Revision: 2},
	}, projectiontest.Rows[entry](t, played))
	rows(t, []place{
		{Parent: b2.Tag(), Number: 1, Entry: f1.Tag()},
		{Parent: b2.Tag(), Number: 2, Entry: f2.Tag()},
		{Parent: b.Tag(), Number: 1, Entry: e1.Tag()}, // and none for the one that is not numbered yet
		{Parent: plays.Tag(), Number: 4, Entry: b2.Tag()},
		{Parent: poems.Tag(), Number: 9, Entry: b2.Tag()}, // where it stood
		{Parent: c.Tag(), Number: 14, Entry: b.Tag()},
		{Parent: l.Tag(), Number: 3, Entry: c.Tag()},
		{Parent: l.Tag(), Number: 4, Entry: plays.Tag()},
		{Parent: l.Tag(), Number: 5, Entry: poems.Tag()},
		{Parent: l.Tag(), Number: 6, Entry: prose.Tag()},
	}, projectiontest.Rows[place](t, played))
	var words []word
	for _, w := range []string{"avare", "blind", "l", "lavare", "maeterlinck", "moliere", "the", "太夫", "夫", "義太"} {
		of := b
		if w == "blind" || w == "maeterlinck" || w == "the" {
			of = b2
		}
		words = append(words, word{Library: l.Tag(), Word: []byte(w), Entry: of.Tag()})
	}
	rows(t, words, projectiontest.Rows[word](t, played))
}

func rows(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(bun.BaseModel{})); diff != "" {
		t.Error(diff)
	}
}

func everyEvent(t *testing.T) *event.Registry {
	t.Helper()
	registry, err := event.NewRegistry(&libraryevents.LibraryOpened{}, &libraryevents.CategoryCreated{}, &catalogueevents.BookAdded{}, &editionsevents.EditionAdded{},
		&libraryevents.LibraryRenamed{}, &libraryevents.CategoryRenamed{}, &libraryevents.CategoryWithdrawn{},
		&catalogueevents.BookCorrected{}, &catalogueevents.BookMoved{}, &catalogueevents.BookWithdrawn{},
		&editionsevents.EditionCorrected{}, &editionsevents.EditionWithdrawn{})
	if err != nil {
		t.Fatal(err)
	}
	return registry
}
