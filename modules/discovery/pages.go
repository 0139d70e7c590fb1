package discovery

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/reference"
	"accession/platform/web"

	"github.com/uptrace/bun"
)

//go:embed templates/*.html
var templates embed.FS

// How much one page shows.
const (
	booksPerPage      = 100
	categoriesPerPage = 400
	librariesPerPage  = 200
	hitsPerPage       = 50
	eventsPerPage     = 100
)

// glance is how long a page waits for the cards to be current. After that it shows what there is, and says so.
const glance = time.Second

// pages registers the pages.
func (d desk) pages(api *httpapi.API) {
	var renderer *web.Renderer
	files, err := fs.Sub(templates, "templates")
	if err == nil {
		renderer, err = web.New(files, nil)
	}
	if err != nil {
		panic(err) // embedded
	}
	renderer.Logger = api.Logger()
	for _, f := range forms {
		api.Page("GET "+f.path, renderer.Handler(f.open(d)))
		api.Page("POST "+f.path, renderer.Handler(f.send(d)))
	}
	for pattern, page := range map[string]func(*http.Request) (web.Page, error){
		"GET /{$}":                   d.librariesPage,
		"GET /libraries/{id}":        d.libraryPage,
		"GET /libraries/{id}/search": d.searchPage,
		"GET /categories/{id}":       d.categoryPage,
		"GET /books/{id}":            d.bookPage,
		"GET /editions/{id}":         d.editionPage,
		"GET /libraries/{$}":         func(*http.Request) (web.Page, error) { return web.Page{Goto: "/"}, nil },
	} {
		api.Page(pattern, renderer.Handler(page))
	}
	api.Handle("GET /assets/", web.Assets())
	api.People(func(w http.ResponseWriter, r *http.Request, status int, e *problem.Error) {
		path := strings.ToValidUTF8(r.URL.Path, "\uFFFD")
		switch status {
		case http.StatusNotFound:
			e.Message = fmt.Sprintf("There is no page at %s.", path)
		case http.StatusMethodNotAllowed:
			e.Message = fmt.Sprintf("%s cannot be written to. Nothing was stored.", path)
		}
		renderer.Refuse(w, r, status, e)
	})
}

// see reads what a page shows, from one snapshot of the cards that knows all that is in the log by now. If the cards are not so
// far within a glance, the page shows what they have and says so. Someone who has just changed something comes with the position
// of the change, as ?at=N: for that the page waits longer. f may be called more than once.
func (d desk) see(r *http.Request, p *web.Page, f func(context.Context, bun.IDB) error) error {
	ctx := r.Context()
	head, err := d.log.Head(ctx)
	if err != nil {
		return err
	}
	q := projection.Query{Projector: Cards.Name, Min: head.Position, Wait: glance}
	if at, err := strconv.ParseInt(r.URL.Query().Get("at"), 10, 64); err == nil && at > 0 {
		q.Wait = patience
	}
	position, err := d.cards.View(ctx, q, f)
	if late(err) {
		behind := err
		q.Min = 0
		if position, err = d.cards.View(ctx, q, f); missed(err) {
			return behind // it may be among what is not there yet
		}
		p.Notice = fmt.Sprintf("The catalogue is catching up: this page knows the first %s of %s recorded events.",
			web.Thousands(int(position)), web.Thousands(int(head.Position)))
	}
	p.Header = http.Header{"Accession-Position": {strconv.FormatInt(int64(position), 10)}}
	return err
}

// act is something that can be done about what a page shows: a link to a form.
type act struct {
	Label string
	About string // what it is done to, where that is not plain to those who only hear the link
	Path  string
}

// hidden is what a page hides, and where it does not.
type hidden struct {
	Gone  int    // how many things were withdrawn
	Shown bool   // whether they are shown
	Path  string // the page that shows them, or hides them again
}

// hides reads whether someone asks for what was withdrawn, too.
func hides(r *http.Request, gone int) hidden {
	q := r.URL.Query()
	h := hidden{Gone: gone, Shown: q.Get("withdrawn") == "true"}
	q.Del("from")
	q.Del("at")
	q.Del("cursor")
	if h.Shown {
		q.Del("withdrawn")
	} else {
		q.Set("withdrawn", "true")
	}
	h.Path = r.URL.Path
	if len(q) > 0 {
		h.Path += "?" + q.Encode()
	}
	return h
}

// keep carries over to the other ranges of a drawer that what was withdrawn is shown.
func (h hidden) keep(ranges []numbers) []numbers {
	for i := range ranges {
		if h.Shown && !ranges[i].Gap {
			ranges[i].Path += "&withdrawn=true"
		}
	}
	return ranges
}

// card is one line of a drawer.
type card struct {
	named
	Reference string // "" while it is not numbered
	Path      string
	Authors   []string
	Notes     []string
	Withdrawn bool
}

// named is a name or a title. Titles are in the language of the book, Lang, which may be unknown; names in that of the page.
type named struct {
	Title, Lang string
	Titled      bool
}

func nameOf(e entry) named { return named{Title: e.Title} }

func titleOf(e entry, language string) named {
	return named{Title: e.Title, Lang: web.Lang(language), Titled: true}
}

func pathOf(t event.Tag) string { return "/" + plurals[t.Kind()] + "/" + t.ID() }

func crumb(n named, path string) web.Crumb { return web.Crumb{Name: n.Title, Lang: n.Lang, Path: path} }

// within completes a page that is about something in a library: the search box looks there.
func within(p *web.Page, library entry, query string) {
	p.Search = &web.Search{Path: pathOf(library.Tag) + "/search", Label: "Search " + library.Title, Query: query}
}

// bookCards are the cards for lines to books; other kinds of lines have theirs, too.
func bookCards(ctx context.Context, db bun.IDB, lines []line) ([]card, error) {
	var books []event.Tag
	for _, l := range lines {
		books = append(books, l.of(kindBook).Tag)
	}
	spoken, err := languages(ctx, db, books)
	if err != nil {
		return nil, err
	}
	counts, err := count(ctx, db, books...)
	if err != nil {
		return nil, err
	}
	cards := make([]card, len(lines))
	for i, l := range lines {
		last, book := l.last(), l.of(kindBook)
		c := card{
			named: titleOf(book, spoken[book.Tag]), Reference: l.reference(), Path: pathOf(book.Tag), Authors: book.Authors, Withdrawn: last.Withdrawn,
		}
		switch n := counts[book.Tag].Live; {
		case last.Kind == kindCategory:
			c.named, c.Path, c.Notes = nameOf(last), pathOf(last.Tag), []string{"category"}
		case last.Kind == kindEdition:
			c.Path = anchored(last)
			c.Notes = append(imprint(last), notes(last)...)
		case n > 1:
			c.Notes = []string{web.Count(n, "edition", "editions")}
		}
		cards[i] = c
	}
	return cards, nil
}

func anchor(edition event.Tag) string { return "edition-" + edition.ID() }

// anchored is the path of an edition: its place on its book's page.
func anchored(edition entry) string { return pathOf(edition.Parent) + "#" + anchor(edition.Tag) }

// fromNumber reads the number that a page of a drawer begins with; 1 when none is given.
func fromNumber(r *http.Request) (int, error) {
	s := r.URL.Query().Get("from")
	if s == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > reference.Max {
		return 0, problem.InvalidField("query.from", s, "is not a number from 1 on")
	}
	return n, nil
}

// late reports whether err says that the cards are behind.
func late(err error) bool {
	var e *problem.Error
	return errors.As(err, &e) && e.Kind == problem.Unavailable
}
