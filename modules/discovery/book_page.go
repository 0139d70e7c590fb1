package discovery

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/web"

	"github.com/uptrace/bun"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

type bookBody struct {
	card
	Acts     []act
	Editions []edition
	History  []happening
	Older    string // where the rest of the history is; "" when this is all
}

// edition is one edition of the tree: what is based on it and stands in a line with it follows in the same list; where several are
// based on it, each is a branch with a list of its own.
type edition struct {
	Reference string
	Anchor    string
	Imprint   []string // publisher, year
	Notes     []string // language, format, ISBN
	Replaces  *replaced
	Withdrawn bool
	Acts      []act
	Branches  [][]edition
}

// replaced is the edition that another one replaces.
type replaced struct {
	Name string
	Path string // "" when it is not on the page
}

// happening is something that happened to a book.
type happening struct {
	At    time.Time
	What  string
	Actor string
}

func (d desk) bookPage(r *http.Request) (web.Page, error) {
	tag, err := tagOf(kindBook, r.PathValue("id"))
	if err != nil {
		return web.Page{}, err
	}
	var body bookBody
	p := web.Page{Template: "book"}
	err = d.see(r, &p, func(ctx context.Context, db bun.IDB) error {
		way, err := trace(ctx, db, tag)
		if err != nil {
			return err
		}
		editions, err := editionsOf(ctx, db, tag)
		if err != nil {
			return err
		}
		library, category, book := way[0], way[1], way.last()
		title := titleOf(book, languageOf(editions))
		body.card = card{named: title, Reference: way.reference(), Authors: book.Authors, Withdrawn: book.Withdrawn}
		body.Editions = tree(way, editions)
		if !book.Withdrawn {
			body.Acts = []act{
				{Label: "Add an edition", Path: pathOf(tag) + "/editions/new"}, {Label: "Correct", About: "the book", Path: pathOf(tag) + "/edit"},
				{Label: "Move", About: "the book", Path: pathOf(tag) + "/move"}, {Label: "Withdraw", About: "the book", Path: pathOf(tag) + "/withdraw"},
			}
		}
		within(&p, library, "")
		p.Title = strings.TrimSpace(body.Reference + " " + book.Title)
		p.Trail = []web.Crumb{crumb(nameOf(library), pathOf(library.Tag)), crumb(nameOf(category), pathOf(category.Tag)), crumb(title, "")}
		return nil
	})
	if err != nil {
		return p, err
	}
	events, _, err := history(r.Context(), d.log, tag, 0, eventsPerPage+1)
	if err != nil {
		return p, err
	}
	if len(events) > eventsPerPage {
		events, body.Older = events[:eventsPerPage], httpapi.Prefix+r.URL.Path+"/history"
	}
	body.History = story(events)
	p.Body = body
	return p, nil
}

// editionPage sends the reader on: an edition stands on the page of its book.
func (d desk) editionPage(r *http.Request) (web.Page, error) {
	tag, err := tagOf(kindEdition, r.PathValue("id"))
	if err != nil {
		return web.Page{}, err
	}
	var p web.Page
	err = d.see(r, &p, func(ctx context.Context, db bun.IDB) error {
		e, err := find(ctx, db, tag)
		p.Goto = pathOf(e.Parent)
		if at := r.URL.Query().Get("at"); at != "" {
			p.Goto += "?" + url.Values{"at": {at}}.Encode()
		}
		p.Goto += "#" + anchor(tag)
		return err
	})
	return p, err
}

// editionsOf lists all editions of a book, the withdrawn ones too: they stay in the tree.
func editionsOf(ctx context.Context, db bun.IDB, book event.Tag) ([]entry, error) {
	var es []entry
	if err := db.NewSelect().Model(&es).Where("e.parent = ?", book).OrderExpr(byNumber).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list editions of %s: %w", book, err)
	}
	return es, nil
}

// languageOf is the language of a book: that of its first edition, if it is known.
func languageOf(editions []entry) string {
	for _, e := range editions {
		if e.Base == "" && e.Language != "" {
			return e.Language
		}
	}
	return ""
}

// tree arranges the editions of a book by what they replace. An edition whose base is not there begins a line of its own.
func tree(book line, editions []entry) []edition {
	byTag := map[event.Tag]entry{}
	for _, e := range editions {
		byTag[e.Tag] = e
	}
	based := map[event.Tag][]entry{} // what is based on an edition; on "", what begins a line
	for _, e := range editions {
		on := e.Base
		if _, there := byTag[on]; !there {
			on = ""
		}
		based[on] = append(based[on], e)
	}
	var list func(e entry) []edition
	list = func(e entry) []edition {
		var run []edition
		for {
			one := edition{
				Reference: book.with(e).reference(), Anchor: anchor(e.Tag), Imprint: imprint(e), Notes: notes(e), Withdrawn: e.Withdrawn,
			}
			if !e.Withdrawn {
				about := "edition " + cmp.Or(one.Reference, "not yet numbered")
				one.Acts = []act{{Label: "Correct", About: about, Path: pathOf(e.Tag) + "/edit"}, {Label: "Withdraw", About: about, Path: pathOf(e.Tag) + "/withdraw"}}
			}
			if base, ok := byTag[e.Base]; ok {
				name := book.with(base).reference()
				if name == "" {
					name = "an edition not yet numbered"
				}
				one.Replaces = &replaced{Name: name, Path: "#" + anchor(base.Tag)}
			} else if e.Base != "" {
				one.Replaces = &replaced{Name: "an edition that is not here"}
			}
			next := based[e.Tag]
			delete(based, e.Tag) // whatever the data says, no edition is shown twice
			if len(next) == 1 {
				run = append(run, one)
				e = next[0]
				continue
			}
			for _, n := range next {
				one.Branches = append(one.Branches, list(n))
			}
			return append(run, one)
		}
	}
	var all []edition
	for _, e := range based[""] {
		all = append(all, list(e)...)
	}
	return all
}

// imprint is who published an edition, and when, as far as that is known.
func imprint(e entry) []string {
	var parts []string
	if e.Publisher != "" {
		parts = append(parts, e.Publisher)
	}
	if e.Year != 0 {
		parts = append(parts, strconv.Itoa(e.Year))
	}
	return parts
}

// notes is what else is known of an edition.
func notes(e entry) []string {
	var parts []string
	if e.Language != "" {
		parts = append(parts, languageNames(e.Language))
	}
	if e.Format != "" {
		parts = append(parts, e.Format)
	}
	if e.ISBN != "" {
		parts = append(parts, "ISBN "+e.ISBN)
	}
	return parts
}

// languageNames is s in English names: one language, or several as "de; en".
func languageNames(s string) string {
	names := strings.Split(s, ";")
	for i, n := range names {
		names[i] = languageName(strings.TrimSpace(n))
	}
	return strings.Join(names, ", ")
}

// languageName is the English name of the language that s is the tag of, else s.
func languageName(s string) string {
	if web.Lang(s) == "" {
		return s
	}
	t, err := language.Parse(s)
	if err != nil {
		return s
	}
	if name := display.English.Tags().Name(t); name != "" {
		return name
	}
	return s
}

// story tells events about a book in sentences.
func story(events []event.Envelope) []happening {
	numbers := map[editionsevents.EditionID]int{}
	told := make([]happening, len(events))
	for i, env := range events {
		if e, ok := env.Event.(*editionsevents.EditionAdded); ok {
			numbers[e.Edition] = e.Number
		}
		told[i] = happening{At: env.RecordedAt, What: sentence(env, numbers), Actor: env.Actor}
	}
	return told
}

// sentence says what happened. numbers are those of the book's editions so far. What has no sentence of its own is told by its
// stored name.
func sentence(env event.Envelope, numbers map[editionsevents.EditionID]int) string {
	switch e := env.Event.(type) {
	case *catalogueevents.BookAdded:
		return numbered("Book added", e.Number)
	case *editionsevents.EditionAdded:
		said := numbered("Edition added", e.Number)
		if n := numbers[e.Base]; n > 0 {
			said += ", replacing number " + strconv.Itoa(n)
		}
		return said
	case *catalogueevents.BookCorrected:
		said := "Book corrected: " + e.Title
		if len(e.Authors) > 0 {
			said += ", by " + strings.Join(e.Authors, "; ")
		}
		return said
	case *catalogueevents.BookMoved:
		return numbered("Book moved to another category", e.Number)
	case *catalogueevents.BookWithdrawn:
		return because("Book withdrawn", e.Reason)
	case *editionsevents.EditionCorrected:
		return editionNumber(numbers[e.Edition]) + " corrected"
	case *editionsevents.EditionWithdrawn:
		return because(editionNumber(numbers[e.Edition])+" withdrawn", e.Reason)
	}
	_, what, _ := strings.Cut(env.Type, ".")
	if what == "" {
		return env.Type
	}
	what = strings.ReplaceAll(what, "_", " ")
	return strings.ToUpper(what[:1]) + what[1:]
}

func editionNumber(n int) string {
	if n == 0 {
		return "An edition"
	}
	return "Edition " + strconv.Itoa(n)
}

func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

func numbered(what string, number int) string {
	if number == 0 {
		return what + ", not yet numbered"
	}
	return what + " as number " + strconv.Itoa(number)
}
