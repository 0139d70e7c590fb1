package discovery

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/httpapi"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/reference"
	"accession/platform/usecase"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// patience is how long a read waits for the cards to be current, unless the client says otherwise.
const patience = 2 * time.Second

// desk answers questions, the API's and the pages', and takes the forms that are sent from the pages.
type desk struct {
	log   eventlog.Reader
	cards *projection.Projectionist // plays Cards, among others

	runner usecase.Runner // runs what the forms ask for
}

// errNothing is what a look says that found nothing although the question was in order.
var errNothing = errors.New("nothing found")

// look answers from one snapshot of the cards, as current as the client asked for. If it finds nothing, it looks again with all
// that is in the log by then, so that a thing which was just created is found. f may be called twice.
func (d desk) look(ctx context.Context, c httpapi.Consistency, f func(context.Context, bun.IDB) error) (event.Position, error) {
	nothing := false
	once := func(ctx context.Context, db bun.IDB) error {
		err := f(ctx, db)
		if nothing = missed(err); errors.Is(err, errNothing) {
			return nil
		}
		return err
	}
	q := projection.Query{Projector: Cards.Name, Min: c.MinPosition, Wait: c.Wait(patience)}
	position, err := d.cards.View(ctx, q, once)
	if !nothing {
		return position, err
	}
	head, err := d.log.Head(ctx)
	if err != nil {
		return 0, err
	}
	q.Min = max(q.Min, head.Position)
	return d.cards.View(ctx, q, once)
}

// missed reports whether err says that something is not there.
func missed(err error) bool {
	var e *problem.Error
	return errors.Is(err, errNothing) || errors.As(err, &e) && e.Kind == problem.NotFound
}

// routes registers discovery's part of the API.
func (d desk) routes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "resolve-reference", Method: http.MethodGet, Path: "/libraries/{id}/references/{reference}",
		Summary: "What a reference names", Tags: []string{"Discovery"},
		Description: "A reference is category.book.edition, as 3.14.2; 3.14 names the book and 3 the category. A former reference, " +
			"of a book that has moved since, answers with the book where it stands now.",
		Errors: httpapi.Errors(notFound[kindLibrary], projection.ErrBehind),
	}, d.resolveReference)
	huma.Register(api, huma.Operation{
		OperationID: "search-library", Method: http.MethodGet, Path: "/libraries/{id}/search",
		Summary: "Search titles, authors, ISBNs and references", Tags: []string{"Discovery"},
		Description: "Every word of q must begin a word of a book's title or authors; case and accents do not matter. An ISBN, of 10 " +
			"digits or 13, with hyphens or without, finds its editions; a reference finds what it names. Hits come in the order of their references, " +
			"what has none yet last.",
		Errors: httpapi.Errors(notFound[kindLibrary], projection.ErrBehind),
	}, d.search)
	for _, kind := range kinds {
		huma.Register(api, huma.Operation{
			OperationID: "list-" + kind + "-history", Method: http.MethodGet, Path: "/" + plurals[kind] + "/{id}/history",
			Summary: "What happened to " + articles[kind] + " " + kind + ", and to what stands in it, oldest first", Tags: []string{"Discovery"},
			Errors: httpapi.Errors(notFound[kindLibrary], projection.ErrBehind),
		}, func(ctx context.Context, in *historyInput) (*httpapi.List[Recorded], error) {
			return d.history(ctx, kind, in)
		})
	}
	huma.Register(api, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/events", Summary: "The log, as a page", Tags: []string{"Discovery"},
		Errors: httpapi.Errors(projection.ErrBehind),
	}, d.events)
}

// plurals are the words for many of a kind, as paths have them.
var plurals = map[string]string{kindLibrary: "libraries", kindCategory: "categories", kindBook: "books", kindEdition: "editions"}

// tagOf reads the id in a path. What is malformed names nothing.
func tagOf(kind, id string) (event.Tag, error) {
	u, err := uuid.Parse(id)
	if err != nil || len(id) != len(u.String()) {
		return "", notFound[kind]
	}
	return event.NewTag(kind, u.String()), nil
}

type resolveInput struct {
	ID        string `path:"id" doc:"The library's id."`
	Reference string `path:"reference" example:"3.14.2"`
	httpapi.Consistency
}

type resolveOutput struct {
	Position string `header:"Accession-Position" doc:"The position in the log that the answer is good for."`
	Body     Referenced
}

func (d desk) resolveReference(ctx context.Context, in *resolveInput) (*resolveOutput, error) {
	library, err := tagOf(kindLibrary, in.ID)
	if err != nil {
		return nil, err
	}
	ref, refErr := reference.Parse(in.Reference)
	var out resolveOutput
	position, err := d.look(ctx, in.Consistency, func(ctx context.Context, db bun.IDB) error {
		if _, err := find(ctx, db, library); err != nil {
			return err
		}
		if refErr != nil { // it names nothing, as a malformed id does
			return notFound[kinds[min(1+strings.Count(in.Reference, "."), 3)]]
		}
		l, err := resolve(ctx, db, library, ref)
		out.Body = referenced(l)
		return err
	})
	out.Position = strconv.FormatInt(int64(position), 10)
	return &out, err
}

type searchInput struct {
	ID        string `path:"id" doc:"The library's id."`
	Q         string `query:"q" example:"austen pride" doc:"What to search for: one letter or digit at least."`
	Withdrawn bool   `query:"withdrawn" doc:"Find what was withdrawn, too."`
	httpapi.Paging
	httpapi.Consistency
}

func (d desk) search(ctx context.Context, in *searchInput) (*httpapi.List[Hit], error) {
	library, err := tagOf(kindLibrary, in.ID)
	if err != nil {
		return nil, err
	}
	asked, err := understand(in.Q)
	if err != nil {
		return nil, err
	}
	listing := httpapi.Listing{"search", string(library), in.Q, strconv.FormatBool(in.Withdrawn)}
	var from after
	if err := listing.Open(in.Cursor, &from); err != nil {
		return nil, err
	}
	var found []match
	position, err := d.look(ctx, in.Consistency, func(ctx context.Context, db bun.IDB) error {
		e, err := find(ctx, db, library)
		if err != nil {
			return err
		}
		found, err = matches(ctx, db, e, asked, in.Withdrawn, from, in.Limit+1)
		if err == nil && len(found) == 0 {
			err = errNothing
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	next := httpapi.NewList(ctx, in.Paging, found, func(last match) string { return listing.Cursor(last.after) })
	out := &httpapi.List[Hit]{Link: next.Link, Body: httpapi.Page[Hit]{Items: []Hit{}, Next: next.Body.Next}}
	for _, m := range next.Body.Items {
		out.Body.Items = append(out.Body.Items, hit(m.line))
	}
	return out.At(position), nil
}

type historyInput struct {
	ID string `path:"id"`
	httpapi.Paging
	httpapi.Consistency
}

func (d desk) history(ctx context.Context, kind string, in *historyInput) (*httpapi.List[Recorded], error) {
	tag, err := tagOf(kind, in.ID)
	if err != nil {
		return nil, err
	}
	listing := httpapi.Listing{"history", string(tag)}
	var from event.Position
	if err := listing.Open(in.Cursor, &from); err != nil {
		return nil, err
	}
	events, position, err := history(ctx, d.log, tag, from, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return recordedList(ctx, in.Paging, in.Consistency, listing, events, position)
}

type eventsInput struct {
	After event.Position `query:"after" minimum:"0" doc:"Only events behind this position."`
	Type  []string       `query:"type" nullable:"false" example:"catalogue.book_added" doc:"Only events with one of these stored names, separated by commas."`
	Scope string         `query:"scope" example:"category:0192f0c4-7d5e-7c3a-9b1f-2a6d4e8c1f00" doc:"Only events about this thing: its kind and its id."`
	httpapi.Paging
	httpapi.Consistency
}

func (d desk) events(ctx context.Context, in *eventsInput) (*httpapi.List[Recorded], error) {
	if in.Scope != "" && (event.Tag(in.Scope).Kind() == in.Scope || event.Tag(in.Scope).ID() == "") {
		return nil, problem.InvalidField("query.scope", in.Scope, "is not a kind and an id with a colon between them, as category:0192f0c4-7d5e-7c3a-9b1f-2a6d4e8c1f00")
	}
	listing := httpapi.Listing{"events", in.Scope, strings.Join(in.Type, ",")}
	var behind event.Position
	if err := listing.Open(in.Cursor, &behind); err != nil {
		return nil, err
	}
	from := max(in.After, behind)
	events, position, err := page(ctx, d.log, eventlog.Query{After: from, Tag: event.Tag(in.Scope), Types: in.Type, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	return recordedList(ctx, in.Paging, in.Consistency, listing, events, position)
}

// recordedList answers with events of the log as it was at position.
func recordedList(ctx context.Context, p httpapi.Paging, c httpapi.Consistency, listing httpapi.Listing, events []event.Envelope, position event.Position) (*httpapi.List[Recorded], error) {
	if position < c.MinPosition {
		return nil, projection.ErrBehind // of the log itself: no waiting helps
	}
	items := make([]Recorded, len(events))
	for i, env := range events {
		items[i] = recorded(env)
	}
	return httpapi.NewList(ctx, p, items, func(last Recorded) string { return listing.Cursor(last.Position) }).At(position), nil
}
