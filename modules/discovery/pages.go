package discovery

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/isbn"
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

const behindNotice = "The catalogue is catching up with what was just recorded: this page may be a moment behind."

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
	for pattern, page := range map[string]func(*http.Request) (web.Page, error){
		"GET /{$}":                   d.librariesPage,
		"GET /libraries/{id}":        d.libraryPage,
		"GET /libraries/{id}/search": d.searchPage,
		"GET /categories/{id}":       d.categoryPage,
		"GET /books/{id}":            d.bookPage,
		// What else is asked for under these is no page, and is told so on one.
		"GET /libraries/":  noPage,
		"GET /categories/": noPage,
		"GET /books/":      noPage,
	} {
		api.Page(pattern, renderer.Handler(page))
	}
	api.Handle("GET /assets/", web.Assets())
}

func noPage(r *http.Request) (web.Page, error) {
	return web.Page{}, problem.New(problem.NotFound, "", "There is no page at %s.", r.URL.Path)
}

// see reads what a page shows, from one snapshot of the cards that knows all that is in the log by now. If the cards are not so
// far within a glance, the page shows what they have and says so. f may be called more than once.
func (d desk) see(ctx context.Context, p *web.Page, f func(context.Context, bun.IDB) error) error {
	head, err := d.log.Head(ctx)
	if err != nil {
		return err
	}
	q := projection.Query{Projector: Cards.Name, Min: head.Position, Wait: glance}
	position, err := d.cards.View(ctx, q, f)
	if late(err) {
		q.Min, p.Notice = 0, behindNotice
		position, err = d.cards.View(ctx, q, f)
	}
	p.Header = http.Header{"Accession-Position": {strconv.FormatInt(int64(position), 10)}}
	return err
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

// in completes a page that is about something in a library: the search box looks there.
func in(p *web.Page, library entry, query string) {
	p.Search = &web.Search{Path: pathOf(library.Tag) + "/search", Label: "Search " + library.Title, Query: query}
}

type librariesBody struct {
	Cards  []card
	Next   string // "" on the last page
	Origin string // the server's address, for the examples
}

func (d desk) librariesPage(r *http.Request) (web.Page, error) {
	listing := httpapi.Listing{"libraries-page"}
	var from libraryAfter
	if err := listing.Open(r.URL.Query().Get("cursor"), &from); err != nil {
		return web.Page{}, err
	}
	p := web.Page{Template: "libraries"}
	err := d.see(r.Context(), &p, func(ctx context.Context, db bun.IDB) error {
		body := librariesBody{Origin: origin(r)}
		libraries, err := libraries(ctx, db, from, librariesPerPage+1)
		if err != nil {
			return err
		}
		if len(libraries) > librariesPerPage {
			libraries = libraries[:librariesPerPage]
			last := libraries[librariesPerPage-1]
			body.Next = "/?cursor=" + listing.Cursor(libraryAfter{last.Title, last.Tag})
		}
		counts, err := count(ctx, db, tags(libraries)...)
		if err != nil {
			return err
		}
		for _, l := range libraries {
			books, err := booksIn(ctx, db, l.Tag)
			if err != nil {
				return err
			}
			notes := []string{"nothing in it yet"}
			if n := counts[l.Tag].Live; n > 0 {
				notes = []string{web.Count(n, "category", "categories"), web.Count(books, "book", "books")}
			}
			body.Cards = append(body.Cards, card{named: nameOf(l), Path: pathOf(l.Tag), Notes: notes})
		}
		if len(libraries) == 1 && from == (libraryAfter{}) {
			in(&p, libraries[0], "")
		}
		p.Body = body
		return nil
	})
	return p, err
}

// origin is the address of this server, as the reader's browser has it.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

type libraryBody struct {
	ID, Name, Origin  string
	Categories, Books int
	Cards             []card
	Ranges            []numbers
}

func (d desk) libraryPage(r *http.Request) (web.Page, error) {
	tag, err := tagOf(kindLibrary, r.PathValue("id"))
	if err != nil {
		return web.Page{}, err
	}
	from, err := fromNumber(r)
	if err != nil {
		return web.Page{}, err
	}
	p := web.Page{Template: "library"}
	err = d.see(r.Context(), &p, func(ctx context.Context, db bun.IDB) error {
		library, err := find(ctx, db, tag)
		if err != nil {
			return err
		}
		body := libraryBody{ID: tag.ID(), Name: library.Title, Origin: origin(r)}
		counts, err := count(ctx, db, tag)
		if err != nil {
			return err
		}
		if body.Books, err = booksIn(ctx, db, tag); err != nil {
			return err
		}
		body.Categories = counts[tag].Live
		shown, ranges := drawers(r.URL.Path, counts[tag].Last, from, categoriesPerPage)
		body.Ranges = ranges
		categories, err := standing(ctx, db, tag, shown)
		if err != nil {
			return err
		}
		books, err := count(ctx, db, tags(categories)...)
		if err != nil {
			return err
		}
		for _, c := range categories {
			body.Cards = append(body.Cards, card{
				named: nameOf(c), Reference: line{library, c}.reference(), Path: pathOf(c.Tag),
				Notes: []string{web.Count(books[c.Tag].Live, "book", "books")},
			})
		}
		in(&p, library, "")
		p.Title, p.Trail, p.Body = library.Title, []web.Crumb{{Name: library.Title}}, body
		return nil
	})
	return p, err
}

type categoryBody struct {
	Reference, Name string
	Withdrawn       bool
	Books           int
	Cards           []card
	Ranges          []numbers
}

func (d desk) categoryPage(r *http.Request) (web.Page, error) {
	tag, err := tagOf(kindCategory, r.PathValue("id"))
	if err != nil {
		return web.Page{}, err
	}
	from, err := fromNumber(r)
	if err != nil {
		return web.Page{}, err
	}
	p := web.Page{Template: "category"}
	err = d.see(r.Context(), &p, func(ctx context.Context, db bun.IDB) error {
		way, err := trace(ctx, db, tag)
		if err != nil {
			return err
		}
		library, category := way[0], way.last()
		counts, err := count(ctx, db, tag)
		if err != nil {
			return err
		}
		body := categoryBody{Reference: way.reference(), Name: category.Title, Withdrawn: category.Withdrawn, Books: counts[tag].Live}
		shown, ranges := drawers(r.URL.Path, counts[tag].Last, from, booksPerPage)
		body.Ranges = ranges
		books, err := standing(ctx, db, tag, shown)
		if err != nil {
			return err
		}
		lines := make([]line, len(books))
		for i, b := range books {
			lines[i] = way.with(b)
		}
		if body.Cards, err = bookCards(ctx, db, lines); err != nil {
			return err
		}
		in(&p, library, "")
		p.Title, p.Body = strings.TrimSpace(body.Reference+" "+category.Title), body
		p.Trail = []web.Crumb{crumb(nameOf(library), pathOf(library.Tag)), {Name: category.Title}}
		return nil
	})
	return p, err
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

type searchBody struct {
	Name, Query string
	Cards       []card
	Found       string // how many there are, as far as that is known
	Next        string
	Hint        string
}

func (d desk) searchPage(r *http.Request) (web.Page, error) {
	tag, err := tagOf(kindLibrary, r.PathValue("id"))
	if err != nil {
		return web.Page{}, err
	}
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	listing := httpapi.Listing{"search-page", string(tag), query}
	var from after
	if err := listing.Open(r.URL.Query().Get("cursor"), &from); err != nil {
		return web.Page{}, err
	}
	var asked question
	if query != "" {
		if asked, err = understand(query); err != nil {
			return web.Page{}, err
		}
	}
	p := web.Page{Template: "search", Title: "Search"}
	err = d.see(r.Context(), &p, func(ctx context.Context, db bun.IDB) error {
		library, err := find(ctx, db, tag)
		if err != nil {
			return err
		}
		in(&p, library, query)
		p.Trail = []web.Crumb{crumb(nameOf(library), pathOf(tag)), {Name: "Search"}}
		body := searchBody{Name: library.Title, Query: query}
		if query == "" {
			p.Body = body
			return nil
		}
		p.Title = query
		found, err := matches(ctx, db, library, asked, false, from, hitsPerPage+1)
		if err != nil {
			return err
		}
		if first := from == (after{}); first && len(found) == 1 && asked.points(found[0].line) {
			p.Goto = goTo(found[0].last())
			return nil
		}
		body.Found = web.Count(len(found), "book", "books")
		if len(found) > hitsPerPage {
			found = found[:hitsPerPage]
			body.Found = "In the order of their references"
			next := url.Values{"q": {query}, "cursor": {listing.Cursor(found[hitsPerPage-1].after)}}
			body.Next = r.URL.Path + "?" + next.Encode()
		}
		lines := make([]line, len(found))
		for i, m := range found {
			lines[i] = m.line
		}
		body.Cards, err = bookCards(ctx, db, lines)
		if len(found) == 0 {
			body.Hint = hint(query)
		}
		p.Body = body
		return err
	})
	return p, err
}

// points reports whether the question was for l and nothing else: its ISBN, or a reference of more than one number.
func (q question) points(l line) bool {
	return l.last().Kind == kindEdition || q.reference.Levels() > 1 && l.last().Kind == kindBook
}

func goTo(e entry) string {
	if e.Kind == kindEdition {
		return anchored(e)
	}
	return pathOf(e.Tag)
}

// hint helps someone whose ISBN or reference found nothing.
func hint(query string) string {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == 'x' || r == 'X' {
			return r
		}
		return -1
	}, query)
	other := strings.Trim(query, "0123456789xX -‐‑–")
	if _, err := isbn.Parse(query); err != nil && other == "" && (len(digits) == 10 || len(digits) == 13) {
		return "If that is an ISBN: it " + err.Error() + "."
	}
	if ref, err := reference.Parse(query); err == nil && ref.Levels() > 1 {
		return "No book was ever given the reference " + ref.String() + " here."
	}
	return ""
}

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
