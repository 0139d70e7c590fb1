package discovery

import (
	"testing"
	"time"

	"accession/platform/database/dbtest"
	"accession/platform/eventlog/sqldb"
	"accession/platform/projection"
	"accession/platform/reference"
)

// What moves, late numbers and withdrawals leave in the tables.
func TestResolveAfterAMove(t *testing.T) {
	t.Parallel()
	db := dbtest.SQLite(t)
	registry := everyEvent(t)
	p, err := projection.New(projection.Config{DB: db, Log: sqldb.New(db, registry, time.Minute), Registry: registry, Projectors: []projection.Projector{Cards}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries := []entry{
		{Tag: "library:l", Kind: kindLibrary, Library: "library:l"},
		{Tag: "category:a", Kind: kindCategory, Parent: "library:l", Library: "library:l", Number: 1},
		{Tag: "category:b", Kind: kindCategory, Parent: "library:l", Library: "library:l", Number: 2},
		{Tag: "book:x", Kind: kindBook, Parent: "category:b", Library: "library:l", Number: 7},
		{Tag: "edition:e", Kind: kindEdition, Parent: "book:x", Library: "library:l", Number: 1, Withdrawn: true},
		{Tag: "edition:p", Kind: kindEdition, Parent: "book:x", Library: "library:l", Base: "edition:e"},
	}
	places := []place{
		{Parent: "library:l", Number: 1, Entry: "category:a"}, {Parent: "library:l", Number: 2, Entry: "category:b"},
		{Parent: "category:a", Number: 14, Entry: "book:x"}, {Parent: "category:b", Number: 7, Entry: "book:x"}, // it was 1.14 once
		{Parent: "book:x", Number: 1, Entry: "edition:e"},
	}
	for table, rows := range map[string]any{"discovery_entries_v2": &entries, "discovery_places_v2": &places} {
		if _, err := db.Write.NewInsert().Model(rows).ModelTableExpr(table).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for former, present := range map[string]string{"2.7": "2.7", "1.14": "2.7", "1.14.1": "2.7.1", "2.7.1": "2.7.1"} {
		ref, err := reference.Parse(former)
		if err != nil {
			t.Fatal(err)
		}
		l, err := resolve(t.Context(), db.Read, "library:l", ref)
		if err != nil || l.reference() != present || l.of(kindCategory).Tag != "category:b" {
			t.Errorf("%s leads to %s, %v; want %s", former, l.reference(), err, present)
		}
	}
	if l, err := trace(t.Context(), db.Read, "edition:p"); err != nil || l.reference() != "" {
		t.Errorf("what is not numbered has the reference %q, %v", l.reference(), err)
	}
	if counts, err := count(t.Context(), db.Read, "book:x", "category:a"); err != nil || counts["book:x"] != (tally{Live: 1, Gone: 1, Ever: 1}) || counts["category:a"] != (tally{}) {
		t.Errorf("got %v, %v", counts, err)
	}
}
