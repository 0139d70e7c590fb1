package discovery

import (
	"context"
	"net/http"
	"strings"

	"accession/platform/httpapi"
	"accession/platform/web"

	"github.com/uptrace/bun"
)

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
	err := d.see(r, &p, func(ctx context.Context, db bun.IDB) error {
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
			within(&p, libraries[0], "")
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
	Acts              []act
	Hidden            hidden
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
	err = d.see(r, &p, func(ctx context.Context, db bun.IDB) error {
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
		body.Acts = []act{{Label: "Create a category", Path: pathOf(tag) + "/categories/new"}, {Label: "Rename the library", Path: pathOf(tag) + "/edit"}}
		body.Hidden = hides(r, counts[tag].Gone)
		shown, ranges := drawers(r.URL.Path, counts[tag].last(body.Hidden.Shown), from, categoriesPerPage)
		body.Ranges = body.Hidden.keep(ranges)
		categories, err := standing(ctx, db, tag, shown, body.Hidden.Shown)
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
				Notes: []string{web.Count(books[c.Tag].Live, "book", "books")}, Withdrawn: c.Withdrawn,
			})
		}
		within(&p, library, "")
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
	Acts            []act
	Hidden          hidden
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
	err = d.see(r, &p, func(ctx context.Context, db bun.IDB) error {
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
		if !category.Withdrawn {
			body.Acts = []act{
				{Label: "Add a book", Path: pathOf(tag) + "/books/new"}, {Label: "Rename the category", Path: pathOf(tag) + "/edit"},
				{Label: "Withdraw the category", Path: pathOf(tag) + "/withdraw"},
			}
		}
		body.Hidden = hides(r, counts[tag].Gone)
		shown, ranges := drawers(r.URL.Path, counts[tag].last(body.Hidden.Shown), from, booksPerPage)
		body.Ranges = body.Hidden.keep(ranges)
		books, err := standing(ctx, db, tag, shown, body.Hidden.Shown)
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
		within(&p, library, "")
		p.Title, p.Body = strings.TrimSpace(body.Reference+" "+category.Title), body
		p.Trail = []web.Crumb{crumb(nameOf(library), pathOf(library.Tag)), {Name: category.Title}}
		return nil
	})
	return p, err
}
