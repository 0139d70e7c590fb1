package projection

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"accession/platform/event"
	"accession/platform/eventlog/sqldb"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"
)

// harm runs statements behind everybody's back.
func (b *bench) harm(statements ...string) {
	b.Helper()
	for _, s := range statements {
		if _, err := b.db.Write.ExecContext(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}

func TestVerifyFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	emma := `{"added_at":"2026-03-04T05:06:07.123456Z","authors":null,"id":"emma","shelf":"a","title":""}`
	for _, c := range []struct {
		what string
		harm []string
		want []Finding
	}{
		{"the checkpoint", []string{`DELETE FROM projectors`}, []Finding{{
			Table: "projectors", Key: "version", Expected: "1, for there is the table books_v1", Found: "nothing: the next start begins anew, with empty tables",
		}}},
		{"one that was never booted misses nothing", []string{`DELETE FROM projectors`, `DROP VIEW books`, `DROP VIEW shelves`, `DROP TABLE books_v1`, `DROP TABLE shelves_v1`}, nil},
		{"another version has taken its place", []string{
			`UPDATE projectors SET version = 2`, `DROP VIEW books`, `DROP VIEW shelves`, `ALTER TABLE books_v1 RENAME TO books_v2`, `ALTER TABLE shelves_v1 RENAME TO shelves_v2`,
		}, nil},
		{"another version has taken its place, and has no use for a table", []string{
			`UPDATE projectors SET version = 2`, `DROP VIEW books`, `ALTER TABLE books_v1 RENAME TO books_v2`,
		}, nil},
		{"the checkpoint, for there is one of a version without tables", []string{`UPDATE projectors SET version = 2`}, []Finding{{
			Table: "projectors", Key: "version", Expected: "1, for there is the table books_v1",
			Found: "2, of which there are no tables: the next start begins anew, with empty tables",
		}}},
		{"a table", []string{`DROP VIEW shelves`, `DROP TABLE shelves_v1`, `DELETE FROM books_v1`}, []Finding{
			{Table: "books", Key: "id=emma", Expected: emma, Position: 1},
			{Table: "shelves", Key: "table", Expected: "shelves_v1", Found: "nothing: the next start makes it anew, and plays the log into it", Position: 1},
		}},
		{"a view", []string{`DROP VIEW books`, `DELETE FROM books_v1`}, []Finding{
			{Table: "books", Key: "view", Expected: "one of books_v1", Found: "nothing: the next start makes it anew", Position: 1},
			{Table: "books", Key: "id=emma", Expected: emma, Position: 1},
		}},
		{"a view, for there is a table", []string{`DROP VIEW shelves`, `CREATE TABLE shelves AS SELECT * FROM shelves_v1`}, []Finding{
			{Table: "shelves", Key: "view", Expected: "one of shelves_v1", Found: "a table, and readers see what is in it: drop it, and the next start makes the view", Position: 1},
		}},
		{"a column", []string{`DROP VIEW shelves`, `ALTER TABLE shelves_v1 DROP COLUMN books`, `DELETE FROM books_v1`}, []Finding{
			{Table: "books", Key: "id=emma", Expected: emma, Position: 1},
			{Table: "shelves", Key: "view", Expected: "one of shelves_v1", Found: "nothing: the next start makes it anew", Position: 1},
			{Table: "shelves", Key: "columns", Expected: "name, books", Found: "name: drop the table and its view, and the next start makes them anew", Position: 1},
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				p := b.booted(b.config(books()))
				stop := b.play(p)
				b.store(&added{Book: "emma", Shelf: "a"})
				b.caughtUp(p)
				stop()
				b.harm(c.harm...)
				want := slices.Clone(c.want)
				for i := range want {
					want[i].Projector = "shelf-books"
				}
				got, err := p.Verify(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					b.Error(diff)
				}
			})
		})
	}
}

// wordRow is a book's title as bytes, and as a key.
type wordRow struct {
	bun.BaseModel `bun:"table:words"`

	Word []byte `bun:",pk"`
	Book string
	Same []byte
}

func words() Projector {
	return Projector{Name: "words", Version: 1, Tables: []Table{{Model: (*wordRow)(nil)}}, Handlers: Handlers{
		On(func(_ context.Context, w *Writer, e *added, _ event.Envelope) error {
			title := []byte(e.Title)
			if e.Title == "bytes" {
				title = []byte{'a', 0xff, 0x00}
			}
			w.Put(&wordRow{Word: title, Book: e.Book, Same: title})
			return nil
		}),
	}}
}

func TestVerifyShowsBytesAsText(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.booted(b.config(words()))
		stop := b.play(p)
		b.store(&added{Book: "1", Title: "c109 \"é\""}, &added{Book: "2", Title: "bytes"}, &added{Book: "3", Title: `\x61`})
		b.caughtUp(p)
		stop()
		if findings, err := p.Verify(b.Context()); err != nil || len(findings) > 0 {
			b.Fatalf("before, it finds %v, %v", findings, err)
		}
		b.harm(`DELETE FROM words_v1`)
		got, err := p.Verify(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		row := func(key, book, same string) Finding {
			return Finding{
				Projector: "words", Table: "words", Key: "word=" + key, Position: 3,
				Expected: fmt.Sprintf(`{"book":"%s","same":"%s","word":"%s"}`, book, same, same),
			}
		}
		want := []Finding{
			row(`"\\x61"`, "3", `\\x5c783631`), // or it would read like the byte
			row(`"a\xff\x00"`, "2", `\\x61ff00`),
			row(`"c109 \"é\""`, "1", `c109 \"é\"`),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			b.Error(diff)
		}
	})
}

// Around an event that cannot be read, everything is compared that does not hang on it.
func TestVerifyAroundAnEventThatCannotBeRead(t *testing.T) {
	t.Parallel()
	emma := Finding{
		Projector: "shelf-books", Table: "books", Key: "id=emma", Position: 6,
		Expected: `{"added_at":"2026-03-04T05:06:07.123456Z","authors":null,"id":"emma","shelf":"a","title":"Emma"}`,
	}
	ofShelf := Finding{ // the event says nothing of shelves that could be understood: it has no tag of one
		Projector: "shelf-books", Table: "shelves", Key: "name=b", Position: 6, Expected: `{"books":1,"name":"b"}`, Found: `{"books":2,"name":"b"}`,
	}
	for _, c := range []struct {
		what, harm string
		want       []Finding
	}{
		{"one that others need", `UPDATE log_events SET data = '{bad' WHERE position = 2`, []Finding{ofShelf}},
		{"one that others need, of a type unknown", `UPDATE log_events SET type = 'shelf.nope' WHERE position = 2`, []Finding{ofShelf}},
		{"one that changes a row", `UPDATE log_events SET data = '{"Title":7}' WHERE position = 4`, nil},
		{"one that changes a row, of a schema unknown", `UPDATE log_events SET schema = 7 WHERE position = 4`, nil},
		{"one that nobody listens to", `UPDATE log_events SET data = '{bad' WHERE position = 5`, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				conf := b.config(books())
				conf.Batch = 4
				p := b.booted(conf)
				stop := b.play(p)
				b.store(&added{Book: "emma", Shelf: "a", Title: "Emma"}, &added{Book: "ulysses", Shelf: "b"}, &added{Book: "dracula", Shelf: "b"},
					&retitled{Book: "ulysses", Title: "Ulysses"}, &noticed{"emma"}, &retitled{Book: "ulysses", Title: "Ulisses"})
				b.caughtUp(p)
				stop()
				b.harm(c.harm)
				_, gaps, err := sqldb.Audit(b.Context(), b.db.Read, b.registry)
				if err != nil || len(gaps) != 1 {
					b.Fatalf("gaps %+v, %v", gaps, err)
				}
				for _, harm := range []string{`SELECT 1`, `DELETE FROM books_v1 WHERE id = 'emma'`} {
					b.harm(harm)
					want := c.want
					if harm != `SELECT 1` {
						want = append([]Finding{emma}, want...)
					}
					got, err := p.Verify(b.Context(), gaps...)
					if err != nil {
						b.Fatal(err)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						b.Errorf("after %s: %s", harm, diff)
					}
				}
			})
		})
	}
}

// An event that cannot be played for another reason than a gap is a finding, and the rest is compared.
func TestVerifyFindsEventsThatCannotBePlayed(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{1, 2, 500} {
		t.Run(fmt.Sprint(batch, " at a time"), func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				conf := b.config(books(), words())
				conf.Batch = batch
				p := b.booted(conf)
				stop := b.play(p)
				b.store(&added{Book: "emma", Shelf: "a"}, &added{Book: "ulysses", Shelf: "a", Title: "U"}, &retitled{Book: "emma", Title: "Emma"},
					&retitled{Book: "emma", Title: "Emma!"}, &retitled{Book: "ulysses", Title: "Ulysses"})
				b.caughtUp(p)
				stop()
				b.harm(`DELETE FROM log_events WHERE position = 1`, `DELETE FROM books_v1 WHERE id = 'ulysses'`, `DELETE FROM words_v1 WHERE book = 'ulysses'`)
				got, err := p.Verify(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				want := []Finding{
					{"shelf-books", "log_events", "book:emma", "shelf.retitled, as it was played once", "it cannot be played: what comes before it in the log is not all there. Rows about it were not compared", 3},
					{"shelf-books", "books", "id=ulysses", `{"added_at":"2026-03-04T05:06:07.123456Z","authors":null,"id":"ulysses","shelf":"a","title":"Ulysses"}`, "", 5},
					{"shelf-books", "shelves", "name=a", `{"books":1,"name":"a"}`, `{"books":2,"name":"a"}`, 5},
					{"words", "words", `word=""`, "", `{"book":"emma","same":"","word":""}`, 5},
					{"words", "words", `word="U"`, `{"book":"ulysses","same":"U","word":"U"}`, "", 5},
				}
				if diff := cmp.Diff(want, got); diff != "" {
					b.Error(diff)
				}
				b.harm(`UPDATE log_events SET data = '{bad' WHERE position = 2`)
				if _, err := p.Verify(b.Context()); err != nil { // where nobody says that there is a gap
					b.Error(err)
				}
			})
		})
	}
}
