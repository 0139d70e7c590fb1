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
	registry, err := event.NewRegistry(&libraryevents.LibraryOpened{}, &libraryevents.CategoryCreated{}, &catalogueevents.BookAdded{}, &editionsevents.EditionAdded{})
	if err != nil {
		t.Fatal(err)
	}
	// One id for a category, a book and an edition: clients give ids, and only within a kind they differ.
	same := uuid.MustParse("00000000-0000-7000-8000-0000000000aa")
	other := uuid.MustParse("00000000-0000-7000-8000-0000000000bb")
	l, c, b, e1, e2 := libraryevents.LibraryID(other), libraryevents.CategoryID(same), catalogueevents.BookID(same), editionsevents.EditionID(same), editionsevents.EditionID(other)
	played := projectiontest.Run(t, Cards, registry,
		&libraryevents.LibraryOpened{Library: l, Name: "Main"},
		&libraryevents.CategoryCreated{Category: c, Library: l, Number: 3, Name: "Théâtre"},
		&catalogueevents.BookAdded{Book: b, Category: c, Library: l, Number: 14, Title: "L'Avare, l’avare", Authors: []string{"Molière", "義太夫"}},
		&editionsevents.EditionAdded{Edition: e1, Book: b, Category: c, Library: l, Number: 1, Imprint: editionsevents.Imprint{ISBN: "9780306406157", Publisher: "P", Year: 1668, Language: "fr", Format: "in-12"}},
		&editionsevents.EditionAdded{Edition: e2, Book: b, Category: c, Library: l, Base: e1},
	)

	rows := func(want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(bun.BaseModel{})); diff != "" {
			t.Error(diff)
		}
	}
	rows([]entry{
		{Tag: b.Tag(), Kind: "book", Parent: c.Tag(), Library: l.Tag(), Number: 14, Title: "L'Avare, l’avare", Authors: []string{"Molière", "義太夫"}},
		{Tag: c.Tag(), Kind: "category", Parent: l.Tag(), Library: l.Tag(), Number: 3, Title: "Théâtre"},
		{Tag: e1.Tag(), Kind: "edition", Parent: b.Tag(), Library: l.Tag(), Number: 1, ISBN: "9780306406157", Publisher: "P", Year: 1668, Language: "fr", Format: "in-12"},
		{Tag: e2.Tag(), Kind: "edition", Parent: b.Tag(), Library: l.Tag(), Base: e1.Tag()},
		{Tag: l.Tag(), Kind: "library", Library: l.Tag(), Title: "Main"},
	}, projectiontest.Rows[entry](t, played))
	rows([]place{
		{Parent: b.Tag(), Number: 1, Entry: e1.Tag()}, // and none for the one that is not numbered yet
		{Parent: c.Tag(), Number: 14, Entry: b.Tag()},
		{Parent: l.Tag(), Number: 3, Entry: c.Tag()},
	}, projectiontest.Rows[place](t, played))
	var words []word
	for _, w := range []string{"avare", "l", "lavare", "moliere", "太夫", "夫", "義太"} {
		words = append(words, word{Library: l.Tag(), Word: []byte(w), Entry: b.Tag()})
	}
	rows(words, projectiontest.Rows[word](t, played))
}
