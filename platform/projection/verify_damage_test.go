package projection

import (
	"context"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// Readers read views, so a view that shows something else than its table is a difference; and the next start mends it.
func TestVerifyFindsAViewThatIsAnother(t *testing.T) {
	t.Parallel()
	for what, view := range map[string]string{
		"one that shows nothing":             `CREATE VIEW books AS SELECT * FROM (SELECT * FROM books_v1 WHERE false) AS x`,
		"one that shows all rows, until now": `CREATE VIEW books AS SELECT * FROM books_v1 WHERE id < 'z'`,
		"one of other columns":               `CREATE VIEW books AS SELECT id, shelf AS title, title AS shelf, authors, added_at FROM books_v1`,
		"one of fewer columns":               `CREATE VIEW books AS SELECT id FROM books_v1`,
		"one of another table":               `CREATE VIEW books AS SELECT * FROM shelves_v1`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				p := b.booted(b.config(books()))
				stop := b.play(p)
				b.store(&added{Book: "emma", Shelf: "a"})
				b.caughtUp(p)
				stop()
				b.harm(`DROP VIEW books`, view)
				want := []Finding{{"shelf-books", "books", "view", "one of books_v1", "another, and readers see what it shows: the next start makes it anew", 1}}
				got, err := p.Verify(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					b.Error(diff)
				}
				p = b.booted(b.config(books()))
				if got, err := p.Verify(b.Context()); err != nil || len(got) > 0 {
					b.Errorf("after a start it finds %v, %v", got, err)
				}
				if rows := rowsOf[bookRow](b, "id"); len(rows) != 1 || b.status(p, "shelf-books").Position != 1 {
					b.Errorf("after a start readers see %+v", rows)
				}
			})
		})
	}
}

// SQLite keeps in a column whatever it is given: rows that cannot be read are findings like others.
func TestVerifyComparesRowsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	const at = `"added_at":"2026-03-04T05:06:07.123456Z"`
	row := func(id, rest string) string {
		return `{` + at + `,"authors":` + rest + `,"id":"` + id + `","shelf":"a","title":""}`
	}
	for what, c := range map[string]struct {
		harm []string
		want []Finding
	}{
		"a list, and another row": {
			[]string{`UPDATE books_v1 SET authors = 'x' WHERE id = 'a'`, `UPDATE books_v1 SET title = 'CHANGED' WHERE id = 'c'`},
			[]Finding{
				{Table: "books", Key: "id=a", Expected: row("a", `null`), Found: row("a", `"x"`)},
				{Table: "books", Key: "id=c", Expected: row("c", `null`), Found: `{` + at + `,"authors":null,"id":"c","shelf":"a","title":"CHANGED"}`},
			},
		},
		"a number": {[]string{`UPDATE shelves_v1 SET books = 'many'`}, []Finding{{Table: "shelves", Key: "name=a", Expected: `{"books":3,"name":"a"}`, Found: `{"books":"many","name":"a"}`}}},
		"a time": {[]string{`UPDATE books_v1 SET added_at = 'yesterday' WHERE id = 'b'`}, []Finding{
			{Table: "books", Key: "id=b", Expected: row("b", `null`), Found: `{"added_at":"yesterday","authors":null,"id":"b","shelf":"a","title":""}`},
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := benchOn(t, dbtest.SQLite(t))
			p := b.settled(&added{Book: "a", Shelf: "a"}, &added{Book: "b", Shelf: "a"}, &added{Book: "c", Shelf: "a"})
			b.harm(c.harm...)
			for i := range c.want {
				c.want[i].Projector, c.want[i].Position = "shelf-books", 3
			}
			got, err := p.Verify(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				b.Error(diff)
			}
		})
	}
}

func TestVerifyFindsCheckpointsThatSayNothing(t *testing.T) {
	t.Parallel()
	const emma = `{"added_at":"2026-03-04T05:06:07.123456Z","authors":null,"id":"emma","shelf":"a","title":""}`
	row := Finding{Table: "books", Key: "id=emma", Expected: emma, Position: 1}
	for what, c := range map[string]struct {
		set        string
		everywhere bool // also PostgreSQL lets it in
		want       []Finding
	}{
		"a log that is none": {`log = 'x'`, false, []Finding{{Key: "log", Expected: "LOG", Found: "x", Position: 1}, row}},
		"a position before the first": {`position = -5`, true, []Finding{
			{Key: "position", Expected: "0 to 1", Found: "-5: nothing says how far its tables are, so they were not compared"},
		}},
		"a position that is no number": {`position = 'far'`, false, []Finding{
			{Key: "position", Expected: "0 to 1", Found: "far: nothing says how far its tables are, so they were not compared"},
		}},
		"a state that is none":  {`state = 'zzz'`, true, []Finding{{Key: "state", Expected: "playing", Found: "zzz", Position: 1}, row}},
		"a timing that is none": {`timing = 'later'`, true, []Finding{{Key: "timing", Expected: "background or immediate", Found: "later", Position: 1}, row}},
		"two at once": {`position = -5, state = 'zzz'`, true, []Finding{
			{Key: "position", Expected: "0 to 1", Found: "-5: nothing says how far its tables are, so they were not compared"},
			{Key: "state", Expected: "playing", Found: "zzz"},
		}},
		"a position that is none does not matter in immediate timing, but is told": {`position = -5, timing = 'immediate'`, true, []Finding{
			{Key: "position", Expected: "0 to 1", Found: "-5"}, row,
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, db *database.DB) {
				if db.Dialect == database.Postgres && !c.everywhere {
					return
				}
				b := benchOn(t, db)
				p := b.settled(&added{Book: "emma", Shelf: "a"})
				b.harm(`DELETE FROM books_v1`, `UPDATE projectors SET `+c.set)
				head, err := b.log.Head(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				var want []Finding
				for _, f := range c.want {
					f.Projector = "shelf-books"
					if f.Table == "" {
						f.Table = "projectors"
					}
					if f.Expected == "LOG" {
						f.Expected = head.Log.String()
					}
					want = append(want, f)
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

// headless is a log that has lost its head.
type headless struct{ eventlog.Reader }

func (h headless) Head(ctx context.Context) (eventlog.Head, error) {
	head, err := h.Reader.Head(ctx)
	head.Log = uuid.Nil
	return head, err
}

func TestVerifyDoesNotNeedToKnowWhichLogItIs(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		p := b.settled(&added{Book: "emma", Shelf: "a"})
		p.Log = headless{b.log}
		if got, err := p.Verify(b.Context()); err != nil || len(got) > 0 {
			b.Errorf("it finds %v, %v", got, err)
		}
		b.harm(`UPDATE projectors SET timing = 'immediate'`, `DELETE FROM log_head`)
		p.Log = fixed{b.log, eventlog.Head{Position: 1}}
		if got, err := p.Verify(b.Context()); err != nil || len(got) > 0 {
			b.Errorf("without a row it finds %v, %v", got, err)
		}
	})
}

// fixed is a log of which somebody says where it ends.
type fixed struct {
	eventlog.Reader
	head eventlog.Head
}

func (f fixed) Head(context.Context) (eventlog.Head, error) { return f.head, nil }

func benchOn(t *testing.T, db *database.DB) *bench {
	r := registry(t)
	return &bench{T: t, db: db, log: sqldb.New(db, r, 20*time.Second), registry: r}
}

// settled is a projectionist that has played the events, and plays no more.
func (b *bench) settled(events ...event.Event) *Projectionist {
	b.Helper()
	p := b.booted(b.config(books()))
	stop := b.play(p)
	b.store(events...)
	b.caughtUp(p)
	stop()
	return p
}
