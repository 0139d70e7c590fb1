package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
)

// Recorded is an event as the API shows it.
type Recorded struct {
	Position   event.Position  `json:"position" doc:"Its place in the log: 1, 2, 3 …"`
	ID         string          `json:"id" format:"uuid"`
	Type       string          `json:"type" example:"catalogue.book_added"`
	Schema     int             `json:"schema" doc:"The version of the form in which data is stored."`
	RecordedAt time.Time       `json:"recorded_at"`
	Actor      string          `json:"actor" doc:"Who, as they said; not verified."`
	Data       json.RawMessage `json:"data" doc:"The event as it is stored."`
}

func recorded(env event.Envelope) Recorded {
	return Recorded{
		Position: env.Position, ID: env.ID.String(), Type: env.Type, Schema: env.Schema,
		RecordedAt: env.RecordedAt, Actor: env.Actor, Data: env.Data,
	}
}

// history reads at most limit events about the thing, oldest first, and the position that the log is at. The error is "not found" for a
// thing that nothing ever happened to.
func history(ctx context.Context, log eventlog.Reader, tag event.Tag, after event.Position, limit int) ([]event.Envelope, event.Position, error) {
	events, at, err := page(ctx, log, eventlog.Query{Tag: tag, After: after, Limit: limit})
	if err != nil || len(events) > 0 || after == 0 {
		if err == nil && len(events) == 0 {
			err = notFound[tag.Kind()]
		}
		return events, at, err
	}
	first, _, err := page(ctx, log, eventlog.Query{Tag: tag, Limit: 1})
	if err == nil && len(first) == 0 {
		err = notFound[tag.Kind()]
	}
	return nil, at, err
}

// page reads a page of the log together with the position that the log is at.
func page(ctx context.Context, log eventlog.Reader, q eventlog.Query) ([]event.Envelope, event.Position, error) {
	head, err := log.Head(ctx)
	if err != nil {
		return nil, 0, err
	}
	if q.Until = head.Position; q.Until <= q.After {
		return nil, head.Position, nil // Until: 0 would be no bound
	}
	events, err := eventlog.Collect(log.Read(ctx, q))
	if err != nil {
		return nil, 0, fmt.Errorf("read events: %w", err)
	}
	return events, head.Position, nil
}
