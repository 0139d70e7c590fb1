package discovery

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"accession/platform/web"

	"github.com/uptrace/bun"
)

// How many characters browsers let people type. The commands have the say.
const (
	titleChars = 1000
	nameChars  = 200
)

func nameInput(name string) web.Input {
	return web.Input{Name: "name", Label: "Name", Value: name, Max: nameChars, Required: true}
}

func renameInputs(_ context.Context, _ bun.IDB, way line) ([]web.Input, error) {
	return []web.Input{nameInput(way.last().Title)}, nil
}

func reasonInputs(context.Context, bun.IDB, line) ([]web.Input, error) {
	return []web.Input{{Name: "reason", Label: "Reason", Lines: 3, Help: "It stands in the history for everybody to read."}}, nil
}

func bookInputs(book entry) []web.Input {
	return []web.Input{
		{Name: "title", Label: "Title", Value: book.Title, Max: titleChars, Required: true},
		{Name: "authors", Label: "Authors", Value: strings.Join(book.Authors, "\n"), Lines: 3, Help: "One on each line, in the order of the title page."},
	}
}

func imprintInputs(edition entry) []web.Input {
	year := ""
	if edition.Year != 0 {
		year = strconv.Itoa(edition.Year)
	}
	return []web.Input{
		{Name: "isbn", Label: "ISBN", Value: edition.ISBN, Max: nameChars, Help: "Of 10 digits or 13, with hyphens or without."},
		{Name: "publisher", Label: "Publisher", Value: edition.Publisher, Max: nameChars},
		{Name: "year", Label: "Year", Value: year, Keyboard: "numeric"},
		{Name: "language", Label: "Language", Value: edition.Language, Max: nameChars, Help: "As a language tag: en for English, fr for French."},
		{Name: "format", Label: "Format", Value: edition.Format, Max: nameChars, Help: "Paperback, for example."},
	}
}

// baseInput offers the live editions of a book; the one that was added last is chosen at first.
func baseInput(ctx context.Context, db bun.IDB, book line) (web.Input, error) {
	in := web.Input{Name: "base_edition_id", Label: "Replaces", Required: true, Help: "The edition of this book that the new one is a new edition of."}
	all, err := editionsOf(ctx, db, book.last().Tag)
	for _, e := range all {
		if e.Withdrawn {
			continue
		}
		reference := book.with(e).reference()
		if reference == "" {
			reference = "not yet numbered"
		}
		label := strings.Join(append([]string{reference}, append(imprint(e), notes(e)...)...), " · ")
		in.Options = append(in.Options, web.Option{Value: e.Tag.ID(), Label: label})
		in.Value = e.Tag.ID()
	}
	return in, err
}

// moveInputs offer the other live categories of the book's library.
func moveInputs(ctx context.Context, db bun.IDB, way line) ([]web.Input, error) {
	in := web.Input{
		Name: "category_id", Label: "To the category", Required: true,
		Options: []web.Option{{Value: "", Label: "Choose one"}},
		Help:    fmt.Sprintf("It stands in %s now.", way.of(kindCategory).Title),
	}
	categories, err := standing(ctx, db, way[0].Tag, span{From: 1, Open: true}, false)
	for _, c := range categories {
		if c.Tag != way.last().Parent {
			in.Options = append(in.Options, web.Option{Value: c.Tag.ID(), Label: strings.TrimSpace(line{way[0], c}.reference() + " " + c.Title)})
		}
	}
	if len(in.Options) == 1 {
		in.Help += " There is no other category in this library yet."
	}
	return []web.Input{in}, err
}
