package editions

import (
	"context"
	"fmt"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/usecase"
)

// state is an edition folded from its own stream.
type state struct {
	added     *editionsevents.EditionAdded
	imprint   editionsevents.Imprint
	withdrawn bool
}

func play(s *state, e event.Event) {
	switch e := e.(type) {
	case *editionsevents.EditionAdded:
		s.added, s.imprint = e, e.Imprint
	case *editionsevents.EditionCorrected:
		s.imprint = e.Imprint
	case *editionsevents.EditionWithdrawn:
		s.withdrawn = true
	}
}

// fold gives an edition that can be changed: one that is there, not withdrawn, and at the version that the caller has seen, if
// it says which.
func fold(ctx context.Context, u *usecase.Unit, id editionsevents.EditionID, seen int) (state, error) {
	s, version, err := usecase.Fold(ctx, u, id.Tag(), play)
	switch {
	case err != nil:
		return s, err
	case s.added == nil || s.withdrawn:
		return s, ErrEditionNotFound
	}
	return s, usecase.CheckVersion(seen, version)
}

// live lists the editions of a book that are not withdrawn, in the order in which they were added.
func live(ctx context.Context, log eventlog.Reader, book catalogueevents.BookID) ([]editionsevents.EditionID, error) {
	added, withdrawn := &editionsevents.EditionAdded{}, &editionsevents.EditionWithdrawn{}
	var ids []editionsevents.EditionID
	gone := map[editionsevents.EditionID]bool{}
	for env, err := range log.Read(ctx, eventlog.Query{Tag: book.Tag(), Types: []string{added.EventType(), withdrawn.EventType()}}) {
		if err != nil {
			return nil, fmt.Errorf("list editions of book: %w", err)
		}
		switch e := env.Event.(type) {
		case *editionsevents.EditionAdded:
			ids = append(ids, e.Edition)
		case *editionsevents.EditionWithdrawn:
			gone[e.Edition] = true
		}
	}
	kept := ids[:0]
	for _, id := range ids {
		if !gone[id] {
			kept = append(kept, id)
		}
	}
	return kept, nil
}
