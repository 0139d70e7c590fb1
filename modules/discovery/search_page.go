package discovery

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"accession/platform/httpapi"
	"accession/platform/isbn"
	"accession/platform/reference"
	"accession/platform/web"

	"github.com/uptrace/bun"
)

type searchBody struct {
	Name, Query string
	Cards       []card
	Found       string // how many there are, as far as that is known
	Next        string
	Hint        string
	Hidden      hidden
}

func (d desk) searchPage(r *http.Request) (web.Page, error) {
	tag, err := tagOf(kindLibrary, r.PathValue("id"))
	if err != nil {
		return web.Page{}, err
	}
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	gone := hides(r, 0)
	listing := httpapi.Listing{"search-page", string(tag), query, strconv.FormatBool(gone.Shown)}
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
	err = d.see(r, &p, func(ctx context.Context, db bun.IDB) error {
		library, err := find(ctx, db, tag)
		if err != nil {
			return err
		}
		within(&p, library, query)
		p.Trail = []web.Crumb{crumb(nameOf(library), pathOf(tag)), {Name: "Search"}}
		body := searchBody{Name: library.Title, Query: query, Hidden: gone}
		if query == "" {
			p.Body = body
			return nil
		}
		p.Title = query
		found, err := matches(ctx, db, library, asked, gone.Shown, from, hitsPerPage+1)
		if err != nil {
			return err
		}
		if first := from == (after{}); first && len(found) == 1 && asked.points(found[0].line) {
			p.Goto = goTo(found[0].last())
			return nil
		}
		body.Found = web.Count(len(found), "match", "matches")
		if len(found) > hitsPerPage {
			found = found[:hitsPerPage]
			body.Found = "More than " + strconv.Itoa(hitsPerPage) + ", in the order of their references"
			if from != (after{}) {
				body.Found = "More of them, in the order of their references"
			}
			next := url.Values{"q": {query}, "cursor": {listing.Cursor(found[hitsPerPage-1].after)}}
			if gone.Shown {
				next.Set("withdrawn", "true")
			}
			body.Next = r.URL.Path + "?" + next.Encode()
		}
		lines := make([]line, len(found))
		for i, m := range found {
			lines[i] = m.line
		}
		body.Cards, err = bookCards(ctx, db, lines)
		if len(found) == 0 {
			body.Hint = hint(query)
			if !gone.Shown { // a label may be on what is gone: nobody shall read that its number was never given
				was, err := matches(ctx, db, library, asked, true, after{}, 1)
				if err != nil {
					return err
				}
				if body.Hidden.Gone = len(was); len(was) > 0 {
					body.Hint = "But something that was withdrawn does."
				}
			}
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
