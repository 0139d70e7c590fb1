package module

import (
	"context"

	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/problem"
	"accession/platform/projection"

	"github.com/uptrace/bun"
)

// Source is the read model behind the answer of a route, and how current it has to be.
type Source struct {
	env         Env
	projector   string
	consistency httpapi.Consistency
	notFound    *problem.Error
}

// From is the projector's read model as current as c asks for. What the path names and is not there is notFound; it is nil
// where the path names nothing.
func (e Env) From(p projection.Projector, c httpapi.Consistency, notFound *problem.Error) Source {
	return Source{e, p.Name, c, notFound}
}

func (s Source) read(ctx context.Context, f func(ctx context.Context, db bun.IDB) error) (event.Position, error) {
	return s.env.Read(ctx, s.projector, s.consistency, s.notFound, f)
}

// ReadOne answers with the thing whose id stands in the path, and with its version as the ETag. find gives both, or says
// sql.ErrNoRows; it may be called more than once. An id that is malformed names nothing.
func ReadOne[K event.Thing, T any](ctx context.Context, s Source, id string,
	find func(ctx context.Context, db bun.IDB, id event.ID[K]) (T, int, error),
) (*httpapi.One[T], error) {
	var parsed event.ID[K]
	if err := httpapi.ParseID(&parsed, id, s.notFound); err != nil {
		return nil, err
	}
	var found T
	var version int
	at, err := s.read(ctx, func(ctx context.Context, db bun.IDB) (err error) {
		found, version, err = find(ctx, db, parsed)
		return err
	})
	if err != nil {
		return nil, err
	}
	return httpapi.NewOne(found, version, at), nil
}

// ReadList answers with one page of a list. list gives up to limit of its items behind after, a place in it, which is zero at the
// front; where what the list is of is not there it says sql.ErrNoRows. It may be called more than once. place says where an item
// stands, as a value that JSON can hold: it is what cursors are made of, and listing is what binds them to this list.
func ReadList[P, T any](ctx context.Context, s Source, p httpapi.Paging, listing httpapi.Listing, place func(T) P,
	list func(ctx context.Context, db bun.IDB, after P, limit int) ([]T, error),
) (*httpapi.List[T], error) {
	var after P
	if err := listing.Open(p.Cursor, &after); err != nil {
		return nil, err
	}
	var found []T
	at, err := s.read(ctx, func(ctx context.Context, db bun.IDB) (err error) {
		found, err = list(ctx, db, after, p.Limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	return httpapi.NewList(ctx, p, found, func(last T) string { return listing.Cursor(place(last)) }).At(at), nil
}
