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
		return question{}, problem.InvalidField("query.q", q, "has no letter or digit to search for")
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

// after is where a list of hits goes on: behind the book with these numbers and this tag. The zero after is before the first.
type after struct {
	Category int64     `json:"c"`
	Book     int64     `json:"b"`
	Tag      event.Tag `json:"t"`
}

// exactly finds what an ISBN or a reference names, and reports whether that is all that was asked for: a lone number may as
// well be a word of a title.
func exactly(ctx context.Context, db bun.IDB, library event.Tag, asked question, withdrawn bool) (hits []line, all bool, err error) {
	if asked.isbn != "" {
		var es []entry
		q := db.NewSelect().Model(&es).Where("e.library = ? AND e.isbn = ?", library, asked.isbn).OrderExpr(byNumber).Limit(10)
		if err := live(q, withdrawn).Scan(ctx); err != nil {
			return nil, false, fmt.Errorf("search ISBN: %w", err)
		}
		for _, e := range es {
			l, err := trace(ctx, db, e.Tag)
			if err != nil {
				return nil, false, err
			}
			hits = append(hits, l)
		}
	}
	if asked.reference.Levels() > 0 {
		l, err := resolve(ctx, db, library, asked.reference)
		if err == nil && (withdrawn || !l.last().Withdrawn) {
			hits = append(hits, l)
		} else if err != nil && problem.Of(err).Kind != problem.NotFound {
			return nil, false, err
		}
	}
	return hits, len(hits) > 0 && asked.reference.Levels() != 1, nil
}

func live(q *bun.SelectQuery, withdrawn bool) *bun.SelectQuery {
	if withdrawn {
		return q
	}
	return q.Where("NOT e.withdrawn")
}

// byWords finds the books of a library in whose title and authors every word begins a word, by reference; those that are
// not numbered yet come last. It gives at most limit of them, and where to go on if there are more.
func byWords(ctx context.Context, db bun.IDB, library entry, words []string, withdrawn bool, from after, limit int) ([]line, *after, error) {
	const byReference = "CASE c.number WHEN 0 THEN 2147483648 ELSE c.number END, " + byNumber
	var books []entry
	q := db.NewSelect().Model(&books).Join("JOIN discovery_entries AS c ON c.tag = e.parent").
		Where("("+byReference+") > (?, ?, ?)", from.Category, from.Book, from.Tag).
		OrderExpr(byReference).Limit(limit + 1)
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
		return nil, nil, fmt.Errorf("search words: %w", err)
	}
	more := len(books) > limit
	books = books[:min(len(books), limit)]

	var parents []event.Tag
	for _, b := range books {
		parents = append(parents, b.Parent)
	}
	categories, err := findAll(ctx, db, parents)
	if err != nil {
		return nil, nil, err
	}
	hits := make([]line, len(books))
	for i, b := range books {
		hits[i] = line{library, categories[b.Parent], b}
	}
	if !more {
		return hits, nil, nil
	}
	last := hits[limit-1]
	return hits, &after{orLast(last.of(kindCategory).Number), orLast(last.last().Number), last.last().Tag}, nil
}

// orLast is where byNumber sorts the number.
func orLast(n int) int64 {
	if n == 0 {
		return 1 << 31
	}
	return int64(n)
}
