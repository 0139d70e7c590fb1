package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"accession/platform/event"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"
)

// written plays one event with a handler that does f, on what was put before.
func written(b *bench, before []any, f func(ctx context.Context, w *Writer) error) error {
	b.Helper()
	p := Projector{
		Name: "written", Version: 1, Tables: []Table{{Model: (*bookRow)(nil)}, {Model: (*slotRow)(nil)}},
		Handlers: Handlers{On(func(ctx context.Context, w *Writer, e *noticed, _ event.Envelope) error {
			if e.What == "before" {
				for _, row := range before {
					w.Put(row)
				}
				return nil
			}
			return f(ctx, w)
		})},
	}
	pl := b.booted(b.config(p)).players[0]
	err := pl.play(b.Context(), b.db.Write, []event.Envelope{{Type: "shelf.noticed", Event: &noticed{"before"}}})
	if err != nil {
		b.Fatal(err)
	}
	tx, err := b.db.Write.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := pl.play(b.Context(), tx, []event.Envelope{{Type: "shelf.noticed", Event: &noticed{"now"}}}); err != nil {
		return err
	}
	return tx.Commit()
}

// slotRow has a key of two columns and nothing else.
type slotRow struct {
	bun.BaseModel `bun:"table:slots"`

	Shelf string `bun:",pk"`
	N     int    `bun:",pk"`
}

func TestWriter(t *testing.T) {
	t.Parallel()
	old := &bookRow{ID: "old", Title: "Old", AddedAt: recorded}
	for name, c := range map[string]struct {
		do   func(ctx context.Context, w *Writer) error
		want map[string]string // id → title
	}{
		"put, delete and put of one key leaves the last": {func(ctx context.Context, w *Writer) error {
			w.Put(&bookRow{ID: "a", Title: "first"})
			w.Delete(&bookRow{ID: "a"})
			w.Put(&bookRow{ID: "a", Title: "second"})
			return nil
		}, map[string]string{"old": "Old", "a": "second"}},
		"delete after put leaves nothing": {func(ctx context.Context, w *Writer) error {
			w.Put(&bookRow{ID: "a"})
			w.Delete(&bookRow{ID: "a"})
			w.Delete(&bookRow{ID: "old"})
			return nil
		}, map[string]string{}},
		"put replaces the whole row": {func(ctx context.Context, w *Writer) error {
			w.Put(&bookRow{ID: "old"})
			return nil
		}, map[string]string{"old": ""}},
		"deleting what is not there does nothing": {func(ctx context.Context, w *Writer) error {
			w.Delete(&bookRow{ID: "a"})
			return nil
		}, map[string]string{"old": "Old"}},
		"change finds stored rows": {func(ctx context.Context, w *Writer) error {
			return Change(ctx, w, &bookRow{ID: "old", Title: "ignored"}, func(b *bookRow) { b.Title += "er" })
		}, map[string]string{"old": "Older"}},
		"change finds pending rows": {func(ctx context.Context, w *Writer) error {
			w.Put(&bookRow{ID: "a", Title: "A"})
			return errors.Join(
				Change(ctx, w, &bookRow{ID: "a"}, func(b *bookRow) { b.Title += "B" }),
				Change(ctx, w, &bookRow{ID: "a"}, func(b *bookRow) { b.Title += "C" }))
		}, map[string]string{"old": "Old", "a": "ABC"}},
		"change says so where there is no row": {func(ctx context.Context, w *Writer) error {
			w.Delete(&bookRow{ID: "old"})
			for _, id := range []string{"old", "a"} {
				err := Change(ctx, w, &bookRow{ID: id}, func(b *bookRow) { panic("there is none") })
				if !errors.Is(err, ErrNoRow) {
					return fmt.Errorf("change %s: %w", id, err)
				}
			}
			return nil
		}, map[string]string{}},
		"what get gives is a copy": {func(ctx context.Context, w *Writer) error {
			b, there, err := Get(ctx, w, &bookRow{ID: "old"})
			if err != nil || !there {
				return fmt.Errorf("there %t: %w", there, err)
			}
			b.Title = "changed"
			return Change(ctx, w, &bookRow{ID: "old"}, func(*bookRow) {})
		}, map[string]string{"old": "Old"}},
		"what was put is copied": {func(ctx context.Context, w *Writer) error {
			b := &bookRow{ID: "a", Title: "put"}
			w.Put(b)
			b.Title = "later"
			return nil
		}, map[string]string{"old": "Old", "a": "put"}},
		"SQL sees what is pending, and the writer what SQL did": {func(ctx context.Context, w *Writer) error {
			w.Put(&bookRow{ID: "a", Title: "A"})
			if err := Change(ctx, w, &bookRow{ID: "old"}, func(b *bookRow) { b.Title = "O" }); err != nil {
				return err
			}
			db, err := w.DB(ctx)
			if err != nil {
				return err
			}
			if _, err := db.NewUpdate().Model((*bookRow)(nil)).ModelTableExpr("? AS ?TableAlias", w.Table((*bookRow)(nil))).
				Set("title = title || '!'").Where("id <> ''").Exec(ctx); err != nil {
				return err
			}
			return Change(ctx, w, &bookRow{ID: "a"}, func(b *bookRow) { b.Title += "?" })
		}, map[string]string{"old": "O!", "a": "A!?"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				if err := written(b, []any{old}, c.do); err != nil {
					b.Fatal(err)
				}
				got := map[string]string{}
				for _, row := range rowsOf[bookRow](b, "id") {
					got[row.ID] = row.Title
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					b.Error(diff)
				}
			})
		})
	}
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(ctx context.Context, w *Writer) error
		want string
	}{
		"a changed key": {func(ctx context.Context, w *Writer) error {
			w.Put(&bookRow{ID: "a"})
			return Change(ctx, w, &bookRow{ID: "a"}, func(b *bookRow) { b.ID = "b" })
		}, "its key became 'b'"},
		"a model of somebody else": {func(ctx context.Context, w *Writer) error {
			w.Put(&shelfRow{})
			return nil
		}, "*projection.shelfRow is not a pointer to a model of projector written"},
		"a row that is not a pointer": {func(ctx context.Context, w *Writer) error {
			w.Put(bookRow{})
			return nil
		}, "projection.bookRow is not a pointer to a model"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(b *bench) {
				if err := written(b, nil, c.do); err == nil || !strings.Contains(err.Error(), c.want) {
					b.Errorf("got %v, want …%s…", err, c.want)
				}
			})
		})
	}
}

func TestWriterKeysOfTwoColumns(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		before := []any{&slotRow{Shelf: "a", N: 1}, &slotRow{Shelf: "a", N: 2}, &slotRow{Shelf: "b", N: 1}}
		err := written(b, before, func(ctx context.Context, w *Writer) error {
			w.Delete(&slotRow{Shelf: "a", N: 1})
			w.Delete(&slotRow{Shelf: "b", N: 1})
			w.Put(&slotRow{Shelf: "a", N: 2})
			w.Put(&slotRow{Shelf: "it's (a, ?)", N: -3})
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		want := []slotRow{{Shelf: "a", N: 2}, {Shelf: "it's (a, ?)", N: -3}}
		if diff := cmp.Diff(want, rowsOf[slotRow](b, "shelf, n")); diff != "" {
			b.Error(diff)
		}
	})
}

// everyType has what a model may be made of.
type everyType struct {
	bun.BaseModel `bun:"table:every_type"`

	ID      string `bun:",pk"`
	Text    string
	Maybe   *string
	Empty   string `bun:",nullzero"`
	N       int
	Big     int64
	MaybeN  *int
	Yes     bool
	Ratio   float64
	At      time.Time
	MaybeAt *time.Time
	List    []string
	Bytes   []byte
	Of      struct {
		Name string
		Deep []int
	}
	ByName map[string]int
}

func TestRowsOfEveryTypeComeBackTheSame(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		text, n, at := `it's "quoted" \ ? ?0 ?TableAlias $1 é 書`, 7, recorded
		full := everyType{
			ID: "full", Text: text, Maybe: &text, Empty: text, N: -1, Big: 1 << 60, MaybeN: &n, Yes: true, Ratio: 0.1, At: at, MaybeAt: &at,
			List: []string{text, ""}, Bytes: []byte{0, 1, 255, '\''}, ByName: map[string]int{"b": 1, "a": 2},
		}
		full.Of.Name, full.Of.Deep = text, []int{3, 1, 2}
		rows := []everyType{{ID: "bare", At: at}, full}
		p := Projector{
			Name: "every-type", Version: 1, Tables: []Table{{Model: (*everyType)(nil)}},
			Handlers: Handlers{On(func(ctx context.Context, w *Writer, e *noticed, _ event.Envelope) error {
				for _, row := range rows {
					w.Put(&row)
				}
				_, err := w.DB(ctx) // written, and to be read again
				if err != nil {
					return err
				}
				return Change(ctx, w, &everyType{ID: "full"}, func(row *everyType) { row.N-- })
			})},
		}
		pr := b.booted(b.config(p))
		b.store(&noticed{"now"})
		b.play(pr)
		b.caughtUp(pr)
		want := slices.Clone(rows)
		want[1].N--
		if diff := cmp.Diff(want, rowsOf[everyType](b, "id")); diff != "" {
			b.Error(diff)
		}
		if findings, err := pr.Verify(b.Context()); err != nil || len(findings) > 0 {
			b.Errorf("verify finds %v, %v", findings, err)
		}
	})
}

// statements counts what is written to read models.
type statements struct{ n, longest atomic.Int64 }

func (s *statements) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if strings.Contains(e.Query, "_v1") {
		s.n.Add(1)
		s.longest.Store(max(s.longest.Load(), int64(len(e.Query))))
	}
	return ctx
}

func (s *statements) AfterQuery(context.Context, *bun.QueryEvent) {}

func TestStatementsDoNotDependOnTheBatch(t *testing.T) {
	t.Parallel()
	onEach(t, func(b *bench) {
		var counter statements
		pl := b.booted(b.config(books())).players[0]
		tx, err := b.db.Write.WithQueryHook(&counter).BeginTx(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		next := 0
		took := func(n, size int) int64 {
			was := counter.n.Load()
			var events []event.Envelope
			for range n {
				next++
				events = append(events, event.Envelope{Type: "shelf.added", Event: &added{Book: fmt.Sprint(next), Shelf: "a", Title: strings.Repeat("t", size)}})
			}
			if err := pl.play(b.Context(), tx, events); err != nil {
				b.Fatal(err)
			}
			return counter.n.Load() - was
		}
		if one, many := took(1, 10), took(400, 10); one != many {
			b.Errorf("1 event took %d statements, 400 took %d", one, many)
		}
		if took := took(1200, 10); took > 8 {
			b.Errorf("1200 events took %d statements", took)
		}
		took(100, 100_000)
		if longest := counter.longest.Load(); longest > maxBytes+1024 {
			b.Errorf("a statement has %d bytes", longest)
		}
	})
}
