// Package event holds what everything else is made of: a fact, the things it is about, and how it is stored.
//
// An [Event] is a plain struct with a name written by hand and tags. A [Tag] such as "category:0192f…" names a thing; a
// stream is the life of one thing and is named by its tag; a scope, the smallest set of events that a rule must be current
// with, is a tag too. An [Envelope] is an event as the log holds it. A [Registry] knows every event by its stored name and
// turns stored bytes into events; upgraders for events that are no longer written will stand here, between the bytes and the
// event, so that nothing behind the registry ever sees an old one.
//
// This package imports nothing of ours. Everything may import it.
package event

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Event is a fact that happened. An event is a struct of plain data, recorded and handed out as a pointer. Its JSON is stored
// for ever: a golden file holds it.
type Event interface {
	// EventType is the stored name, "<module>.<what_happened>", written by hand and never changed. To rename an event, give the
	// new one a new name and write an upgrader for the old; the part before the dot is the topic it is published under.
	EventType() string
	// Tags are the things the event is about, its own stream's tag first. They are taken when the event is stored, after its
	// numbers and ancestors are known.
	Tags() []Tag
}

// Versioned is an Event whose stored form has changed since its first: its schema version is 2 or more. An event without it
// has version 1; version 0 is the old system's.
type Versioned interface {
	Event
	EventSchema() int
}

// SchemaOf is the schema version under which e is stored.
func SchemaOf(e Event) int {
	if v, ok := e.(Versioned); ok {
		return v.EventSchema()
	}
	return 1
}

// Tag names a thing, "<kind>:<id>". It names a stream (the events of that thing's life) and a scope (the events that a rule
// must be current with). The zero Tag names nothing.
type Tag string

// NewTag is the tag of the thing of the kind that has the id.
func NewTag(kind, id string) Tag { return Tag(kind + ":" + id) }

// Kind is the part before the colon: "category".
func (t Tag) Kind() string {
	kind, _, _ := strings.Cut(string(t), ":")
	return kind
}

// ID is the part after the colon.
func (t Tag) ID() string {
	_, id, _ := strings.Cut(string(t), ":")
	return id
}

// IsZero reports whether t names nothing.
func (t Tag) IsZero() bool { return t == "" }

// Position is a place in the log: 1, 2, 3 … without a gap, in the order of commits. 0 is before the first event.
type Position int64

// Envelope is an event as the log holds it.
type Envelope struct {
	Position   Position        // 0 until it is stored
	ID         uuid.UUID       // drawn once for each request, not for each attempt
	Unit       uuid.UUID       // the unit of work that recorded it; the events of one unit stand next to each other
	Stream     Tag             // the thing whose life it belongs to
	Version    int             // its place in the stream: 1, 2, 3 …
	Type       string          // the stored name
	Schema     int             // the stored schema version
	RecordedAt time.Time       // UTC, to the microsecond; one time for all events of a unit
	Actor      string          // who, as they said; not verified
	Data       json.RawMessage // the stored bytes; they never change
	Event      Event           // what Data says, or Unknown
}

// Unknown is an event that this binary has no type for: a newer one wrote it. Projectors and constraints pass it by; it can
// be listed and shown.
type Unknown struct {
	Type   string
	Schema int
	Data   json.RawMessage
}

// EventType is the stored name, whatever it is.
func (u *Unknown) EventType() string { return u.Type }

// EventSchema is the stored schema version.
func (u *Unknown) EventSchema() int { return u.Schema }

// Tags of an unknown event are unknown.
func (u *Unknown) Tags() []Tag { return nil }

// MarshalJSON gives the stored bytes back.
func (u *Unknown) MarshalJSON() ([]byte, error) { return u.Data, nil }
