package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"accession/platform/event"
)

// The answers. A handler returns one as it is, or a struct of its own with these fields: huma takes Status and Body from the
// struct itself, and finds no header in an embedded type that is not exported.

// One is the answer of a route that reads one thing.
type One[T any] struct {
	ETag     string `header:"ETag" doc:"The version of the thing, quoted."`
	Position string `header:"Accession-Position" doc:"The position in the log that the answer is good for."`
	Body     T
}

// NewOne answers with a thing as it was at a position of the log, at which its stream had the version.
func NewOne[T any](body T, version int, at event.Position) *One[T] {
	return &One[T]{ETag: ETag(version), Position: position(at), Body: body}
}

// Written is the answer of a route that writes. Status is the answer's, of those that the operation declares; headers that are
// empty are left out.
type Written[T any] struct {
	Status   int
	ETag     string `header:"ETag" doc:"The version of the thing, quoted."`
	Location string `header:"Location" doc:"Where the thing can be read. Only of what was created."`
	Position string `header:"Accession-Position" doc:"The position in the log of what was written. Give it as Accession-Min-Position to read it."`
	Body     T
}

// Created is the answer to a creation: 201, or 202 while something (a number) is still to be assigned, or 200 when the same was
// created before. path is the thing's under [Prefix].
func Created[T any](body T, version int, path string, at event.Position, pending, repeated bool) *Written[T] {
	status := http.StatusCreated
	switch {
	case repeated:
		status = http.StatusOK
	case pending:
		status = http.StatusAccepted
	}
	return &Written[T]{Status: status, ETag: ETag(version), Location: Prefix + path, Position: position(at), Body: body}
}

// Changed is the answer to a change, or to one that changed nothing (at is 0).
func Changed[T any](body T, version int, at event.Position) *Written[T] {
	return &Written[T]{Status: http.StatusOK, ETag: ETag(version), Position: position(at), Body: body}
}

// ETag is the version of a stream as an entity tag: quoted.
func ETag(version int) string { return strconv.Quote(strconv.Itoa(version)) }

func position(p event.Position) string {
	if p == 0 {
		return ""
	}
	return strconv.FormatInt(int64(p), 10)
}

// List is the answer of a route that lists.
type List[T any] struct {
	Link     string `header:"Link" doc:"The next page, as rel=\"next\". Missing on the last."`
	Position string `header:"Accession-Position" doc:"The position in the log that the answer is good for."`
	Body     Page[T]
}

// At says which position of the log the list is good for.
func (l *List[T]) At(at event.Position) *List[T] {
	l.Position = position(at)
	return l
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T     `json:"items" nullable:"false"`
	Next  *string `json:"next" doc:"The cursor of the next page, or null on the last."`
}

// NewList answers with the first p.Limit of items. Items are one more than that where there is more, so ask the store for
// p.Limit+1; cursor is then called for the last item answered with, to say where to go on (see [Listing]).
func NewList[T any](ctx context.Context, p Paging, items []T, cursor func(last T) string) *List[T] {
	list := &List[T]{Body: Page[T]{Items: items}}
	if items == nil {
		list.Body.Items = []T{}
	}
	if p.Limit < 1 || len(items) <= p.Limit {
		return list
	}
	list.Body.Items = items[:p.Limit:p.Limit]
	next := cursor(items[p.Limit-1])
	list.Body.Next = &next
	if u := requestOf(ctx).url; u != nil {
		query := u.Query()
		query.Set("cursor", next)
		list.Link = fmt.Sprintf("<%s?%s>; rel=\"next\"", u.EscapedPath(), query.Encode())
	}
	return list
}
