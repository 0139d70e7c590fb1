package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/google/uuid"

	"accession/platform/event"
)

// Message is a copy of an event, on its way.
type Message struct {
	Topic string // the module
	Log   string // the id of the log that the position belongs to
	// Envelope is the event as the log holds it, but for its Event: decode Data with the registry. Data is shared with others
	// who listen; do not change it.
	Envelope event.Envelope
}

// Topic is where events of a type are published: the part of the stored name before the dot, which is the module.
func Topic(eventType string) string {
	module, _, _ := strings.Cut(eventType, ".")
	return module
}

// Metadata of a message: CloudEvents 1.0 in binary mode (the Kafka protocol binding, section 3.2), with extension attributes for
// what else an envelope has. The unit is Watermill's correlation id.
const (
	contentType   = "content-type"
	ceSpecVersion = "ce_specversion"
	ceID          = "ce_id"
	ceSource      = "ce_source"  // the log
	ceType        = "ce_type"    // stored name and schema version: "catalogue.book_added.v1"
	ceSubject     = "ce_subject" // the stream
	ceTime        = "ce_time"
	cePosition    = "ce_position"
	ceVersion     = "ce_version" // the place in the stream
	ceActor       = "ce_actor"
	ceUnit        = middleware.CorrelationIDMetadataKey
)

func encode(e *event.Envelope, source string) *message.Message {
	m := message.NewMessage(e.ID.String(), message.Payload(e.Data))
	m.Metadata = message.Metadata{
		contentType:   "application/json",
		ceSpecVersion: "1.0",
		ceID:          m.UUID,
		ceSource:      source,
		ceType:        e.Type + ".v" + strconv.Itoa(e.Schema),
		ceSubject:     string(e.Stream),
		ceTime:        e.RecordedAt.UTC().Format(time.RFC3339Nano),
		cePosition:    strconv.FormatInt(int64(e.Position), 10),
		ceVersion:     strconv.Itoa(e.Version),
		ceUnit:        e.Unit.String(),
	}
	if e.Actor != "" { // CloudEvents has no empty attributes
		m.Metadata[ceActor] = e.Actor
	}
	return m
}

// decode reads what encode wrote. Anything else, perhaps of a stranger on the same topic, is an error.
func decode(topic string, m *message.Message) (Message, error) {
	r := reader{metadata: m.Metadata}
	name, schema, ok := cutLast(m.Metadata[ceType], ".v")
	e := event.Envelope{
		Position:   event.Position(r.number(cePosition, m.Metadata[cePosition], 1)),
		ID:         r.uuid(ceID),
		Unit:       r.uuid(ceUnit),
		Stream:     event.Tag(m.Metadata[ceSubject]),
		Version:    int(r.number(ceVersion, m.Metadata[ceVersion], 0)),
		Type:       name,
		Schema:     int(r.number(ceType, schema, 0)),
		RecordedAt: r.time(ceTime),
		Actor:      m.Metadata[ceActor],
		Data:       []byte(m.Payload),
	}
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%s is %q", ceType, m.Metadata[ceType])
	}
	if r.err != nil {
		return Message{}, fmt.Errorf("decode message %s: %w", m.UUID, r.err)
	}
	return Message{Topic: topic, Log: m.Metadata[ceSource], Envelope: e}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// A reader reads attributes and keeps the first error.
type reader struct {
	metadata message.Metadata
	err      error
}

func (r *reader) number(name, text string, least int64) int64 {
	n, err := strconv.ParseInt(text, 10, 63)
	if (err != nil || n < least) && r.err == nil {
		r.err = fmt.Errorf("%s is %q", name, text)
	}
	return n
}

func (r *reader) uuid(name string) uuid.UUID {
	u, err := uuid.Parse(r.metadata[name])
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s is %q", name, r.metadata[name])
	}
	return u
}

func (r *reader) time(name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, r.metadata[name])
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s is %q", name, r.metadata[name])
	}
	return t.UTC()
}
