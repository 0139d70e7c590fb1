package discovery

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"accession/modules/catalogue"
	"accession/modules/editions"
	"accession/modules/library"
	"accession/platform/event"
	"accession/platform/problem"
	"accession/platform/reference"

	"github.com/uptrace/bun"
)

// articles stand before the kinds in sentences.
var articles = map[string]string{kindLibrary: "a", kindCategory: "a", kindBook: "a", kindEdition: "an"}

// notFound are the answers for things that are not there, by kind: those of the contexts, which say the same in the API.
var notFound = map[string]*problem.Error{
	kindLibrary:  library.ErrLibraryNotFound,
	kindCategory: catalogue.ErrCategoryNotFound,
	kindBook:     editions.ErrBookNotFound,
	kindEdition:  editions.ErrEditionNotFound,
}

// kinds are the kinds of entries from the top down: each stands in the one before.
var kinds = []string{kindLibrary, kindCategory, kindBook, kindEdition}

// line is an entry with all it stands in: its library first, itself last.
type line []entry

// last is the entry that the line leads to.
func (l line) last() entry { return l[len(l)-1] }

// of is the entry of the kind on the line; the zero entry when it does not reach so far.
func (l line) of(kind string) entry {
	for _, e := range l {
		if e.Kind == kind {
			return e
		}
	}
	return entry{}
}

// reference is what is printed on the last of the line: "3.14.2"; "" while a number of it is missing, and for a library.
func (l line) reference() string {
	numbers := make([]int, len(l)-1)
	for i, e := range l[1:] {
		numbers[i] = e.Number
	}
	return reference.Of(numbers...)
}

// with is the line one step further.
func (l line) with(e entry) line { return append(slices.Clone(l), e) }

// find looks the entry up; the error is its kind's "not found" when there is none.
func find(ctx context.Context, db bun.IDB, tag event.Tag) (entry, error) {
	var e entry
	err := db.NewSelect().Model(&e).Where("e.tag = ?", tag).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return e, notFound[tag.Kind()]
	}
	if err != nil {
		return e, fmt.Errorf("find %s: %w", tag, err)
	}
	return e, nil
}

// findAll looks several entries up at once.
func findAll(ctx context.Context, db bun.IDB, tags []event.Tag) (map[event.Tag]entry, error) {
	found := make(map[event.Tag]entry, len(tags))
	if len(tags) == 0 {
		return found, nil
	}
	var es []entry
	if err := db.NewSelect().Model(&es).Where("e.tag IN (?)", bun.List(tags)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("find %d entries: %w", len(tags), err)
	}
	for _, e := range es {
		found[e.Tag] = e
	}
	return found, nil
}

// trace finds the entry and everything it stands in.
func trace(ctx context.Context, db bun.IDB, tag event.Tag) (line, error) {
	var l line
	for tag != "" && len(l) < len(kinds) {
		e, err := find(ctx, db, tag)
		if err != nil {
			return nil, err
		}
		l = append(l, e)
		tag = e.Parent
	}
	slices.Reverse(l)
	return l, nil
}

// resolve finds what a reference names in a library. A former reference leads to the thing where it stands now. The error names
// the first number that was never given.
func resolve(ctx context.Context, db bun.IDB, library event.Tag, ref reference.Reference) (line, error) {
	at := library
	for i, n := range []int{ref.Category, ref.Book, ref.Edition}[:ref.Levels()] {
		var p place
		err := db.NewSelect().Model(&p).Where("p.parent = ? AND p.number = ?", at, n).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, notFound[kinds[i+1]]
		}
		if err != nil {
			return nil, fmt.Errorf("resolve %s in %s: %w", ref, library, err)
		}
		at = p.Entry
	}
	return trace(ctx, db, at)
}

// byNumber sorts entries under their parent: by number, those without one last, in the order of their ids.
const (
	byNumber = numberOrLast + ", e.tag"
	// numberOrLast is higher than any number where there is none.
	numberOrLast = "CASE e.number WHEN 0 THEN 2147483648 ELSE e.number END"
)

// span is a range of numbers, both ends included. Open spans include what is not numbered yet.
type span struct {
	From, To int
	Open     bool
}

// standing lists the entries that stand in parent, by number; withdrawn ones, too, if asked for.
func standing(ctx context.Context, db bun.IDB, parent event.Tag, s span, withdrawn bool) ([]entry, error) {
	var es []entry
	q := db.NewSelect().Model(&es).Where("e.parent = ?", parent).OrderExpr(byNumber)
	if !withdrawn {
		q = q.Where("NOT e.withdrawn")
	}
	if s.Open {
		q = q.Where("e.number >= ? OR e.number = 0", s.From)
	} else {
		q = q.Where("e.number BETWEEN ? AND ?", s.From, s.To)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list what stands in %s: %w", parent, err)
	}
	return es, nil
}

// tally is what there is in a drawer: how many live entries, and the highest number among them; how many withdrawn ones, and
// the highest number of all.
type tally struct {
	Live, Last int
	Gone, Ever int
}

// last is the highest number that is shown.
func (t tally) last(withdrawn bool) int {
	if withdrawn {
		return t.Ever
	}
	return t.Last
}

// count counts the entries that stand in each of the parents.
func count(ctx context.Context, db bun.IDB, parents ...event.Tag) (map[event.Tag]tally, error) {
	counts := make(map[event.Tag]tally, len(parents))
	if len(parents) == 0 {
		return counts, nil
	}
	var rows []struct {
		Parent event.Tag
		tally  `bun:",extend"`
	}
	err := db.NewSelect().Model((*entry)(nil)).ColumnExpr("e.parent, max(e.number) AS ever").
		ColumnExpr("sum(CASE WHEN e.withdrawn THEN 0 ELSE 1 END) AS live, max(CASE WHEN e.withdrawn THEN 0 ELSE e.number END) AS last").
		ColumnExpr("sum(CASE WHEN e.withdrawn THEN 1 ELSE 0 END) AS gone").
		Where("e.parent IN (?)", bun.List(parents)).GroupExpr("e.parent").Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("count entries: %w", err)
	}
	for _, r := range rows {
		counts[r.Parent] = r.tally
	}
	return counts, nil
}

// booksIn counts the live books of a library.
func booksIn(ctx context.Context, db bun.IDB, library event.Tag) (int, error) {
	n, err := db.NewSelect().Model((*entry)(nil)).Where("e.library = ? AND e.kind = ?", library, kindBook).Where("NOT e.withdrawn").Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("count books of %s: %w", library, err)
	}
	return int(n), nil
}

// libraryAfter is where the list of libraries goes on: behind the one with this name and this tag.
type libraryAfter struct {
	Name string    `json:"n"`
	Tag  event.Tag `json:"t"`
}

// libraries lists at most limit libraries by name.
func libraries(ctx context.Context, db bun.IDB, from libraryAfter, limit int) ([]entry, error) {
	var es []entry
	err := db.NewSelect().Model(&es).Where("e.parent = ''").Where("(e.title, e.tag) > (?, ?)", from.Name, from.Tag).
		OrderExpr("e.title, e.tag").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list libraries: %w", err)
	}
	return es, nil
}

// languages gives the language of each book: that of its first edition. Books of unknown language are left out.
func languages(ctx context.Context, db bun.IDB, books []event.Tag) (map[event.Tag]string, error) {
	found := map[event.Tag]string{}
	if len(books) == 0 {
		return found, nil
	}
	var es []entry
	err := db.NewSelect().Model(&es).Column("parent", "language").Where("e.parent IN (?)", bun.List(books)).
		Where("e.base = ''").Where("e.language <> ''").OrderExpr(byNumber).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up languages: %w", err)
	}
	for _, e := range es {
		if _, ok := found[e.Parent]; !ok {
			found[e.Parent] = e.Language
		}
	}
	return found, nil
}

func tags(es []entry) []event.Tag {
	ts := make([]event.Tag, len(es))
	for i, e := range es {
		ts[i] = e.Tag
	}
	return ts
}
