package discovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"accession/platform/event"
	"accession/platform/isbn"
	"accession/platform/problem"
	"accession/platform/reference"
	"accession/platform/text"

	"github.com/uptrace/bun"
)

// What can be asked for at once. Titles have at most as many characters; no title has so many words.
const (
	maxQuery = 1000
	maxWords = 200
)

// question is what someone typed, understood. More than one of its fields may be set: 1984 is a title and a category.
type question struct {
	isbn      isbn.ISBN
	reference reference.Reference
	words     []string // the most telling first
}

// understand reads what someone typed. It refuses what cannot be searched for.
func understand(q string) (question, error) {
	clean, err := text.Required(text.Squeeze(q), maxQuery)
	if err != nil {
		return question{}, problem.InvalidField("query.q", q, "%s", err)
	}
	var asked question
	asked.isbn, _ = isbn.Parse(clean) // what is no ISBN
	asked.reference, _ = reference.Parse(clean)
	asked.words = telling(text.Words(clean))
	switch {
	case len(asked.words) == 0:
		return question{}, problem.InvalidField("query.q", q, "has no letter or digit, and nothing else is searched for: give a word of a title or an author, an ISBN or a reference")
	case len(asked.words) > maxWords:
		return question{}, problem.InvalidField("query.q", q, "has %d words; at most %d are searched for", len(asked.words), maxWords)
	}
	return asked, nil
}

// telling sorts words by length, the longest first, because few books have it, and drops those that others begin with.
func telling(words []string) []string {
	slices.SortStableFunc(words, func(a, b string) int { return cmp.Compare(utf8.RuneCountInString(b), utf8.RuneCountInString(a)) })
	var kept []string
	for _, w := range words {
		if !slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(k, w) }) {
			kept = append(kept, w)
		}
	}
	return kept
}

// after is where a list of matches goes on: behind so many things that an ISBN or a reference named, or behind the book with these
// numbers and this tag. The zero after is before the first.
type after struct {
	Exact    int       `json:"e,omitempty"`
	Category int64     `json:"c,omitempty"`
	Book     int64     `json:"b,omitempty"`
	Tag      event.Tag `json:"t,omitempty"`
}

// match is something that was found, and where to go on behind it.
type match struct {
	line
	after after
}

// matches finds what was asked for, at most limit of it: what an ISBN or a reference names, then books by their words. When
// something has the ISBN, or stands at the reference, the words are not asked; but a lone number may as well be a title.
func matches(ctx context.Context, db bun.IDB, library entry, asked question, withdrawn bool, from after, limit int) ([]match, error) {
	var found []match
	if from.Tag == "" {
		exact, err := exactly(ctx, db, library.Tag, asked, withdrawn)
		if err != nil {
			return nil, err
		}
		for i, l := range exact {
			found = append(found, match{l, after{Exact: i + 1}})
		}
		found = found[min(max(from.Exact, 0), len(found)):] // whoever makes cursors of their own may write anything
		if len(exact) > 0 && asked.reference.Levels() != 1 {
			return found[:min(limit, len(found))], nil
		}
	}
	books, err := byWords(ctx, db, library, asked.words, withdrawn, from, limit-len(found))
	return append(found, books...), err
}

// exactly finds what an ISBN or a reference names.
func exactly(ctx context.Context, db bun.IDB, library event.Tag, asked question, withdrawn bool) ([]line, error) {
	var lines []line
	if asked.isbn != "" {
		var es []entry
		q := db.NewSelect().Model(&es).Where("e.library = ? AND e.isbn = ?", library, asked.isbn).Order("e.tag")
		if err := live(q, withdrawn).Scan(ctx); err != nil {
			return nil, fmt.Errorf("search ISBN: %w", err)
		}
		for _, e := range es {
			l, err := trace(ctx, db, e.Tag)
			if err != nil {
				return nil, err
			}
			lines = append(lines, l)
		}
	}
	if asked.reference.Levels() > 0 {
		l, err := resolve(ctx, db, library, asked.reference)
		switch {
		case err == nil && (withdrawn || !l.last().Withdrawn):
			lines = append(lines, l)
		case err != nil && !missed(err):
			return nil, err
		}
	}
	return lines, nil
}

func live(q *bun.SelectQuery, withdrawn bool) *bun.SelectQuery {
	if withdrawn {
		return q
	}
	return q.Where("NOT e.withdrawn")
}

// byWords finds the books of a library in whose title and authors every word begins a word, by reference; those that are
// not numbered yet come last.
func byWords(ctx context.Context, db bun.IDB, library entry, words []string, withdrawn bool, from after, limit int) ([]match, error) {
	if limit < 1 {
		return nil, nil
	}
	const byReference = "CASE c.number WHEN 0 THEN 2147483648 ELSE c.number END, " + byNumber
	var books []entry
	q := db.NewSelect().Model(&books).Join("JOIN discovery_entries AS c ON c.tag = e.parent").
		Where("("+byReference+") > (?, ?, ?)", from.Category, from.Book, from.Tag).
		OrderExpr(byReference).Limit(int64(limit))
	for i, w := range words {
		lowest, above := []byte(w), append([]byte(w), 0xff) // no byte of UTF-8 is 0xff
		if i == 0 {
			// Begin with the books that have the most telling word, and look only at them for the others.
			q = q.Where("e.tag IN (SELECT w.entry FROM discovery_words AS w WHERE w.library = ? AND w.word >= ? AND w.word < ?)", library.Tag, lowest, above)
			continue
		}
		q = q.Where("EXISTS (SELECT 1 FROM discovery_words AS w WHERE w.entry = e.tag AND w.word >= ? AND w.word < ?)", lowest, above)
	}
	if err := live(q, withdrawn).Scan(ctx); err != nil {
		return nil, fmt.Errorf("search words: %w", err)
	}
	parents := make([]event.Tag, len(books))
	for i, b := range books {
		parents[i] = b.Parent
	}
	categories, err := findAll(ctx, db, parents)
	if err != nil {
		return nil, err
	}
	found := make([]match, len(books))
	for i, b := range books {
		c := categories[b.Parent]
		found[i] = match{line{library, c, b}, after{Category: orLast(c.Number), Book: orLast(b.Number), Tag: b.Tag}}
	}
	return found, nil
}

// orLast is where byNumber sorts the number.
func orLast(n int) int64 {
	if n == 0 {
		return 1 << 31
	}
	return int64(n)
}
