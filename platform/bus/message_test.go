package bus

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"accession/platform/event"
)

func envelope() event.Envelope {
	return event.Envelope{
		Position:   42,
		ID:         uuid.MustParse("0192f1c2-6f0e-7c3a-9d5b-0123456789ab"),
		Unit:       uuid.MustParse("0192f1c2-6f0e-7c3a-9d5b-000000000001"),
		Stream:     "book:0192f1c2-6f0e-7c3a-9d5b-000000000002",
		Version:    3,
		Type:       "catalogue.book_added",
		Schema:     2,
		RecordedAt: time.Date(2026, 2, 3, 4, 5, 6, 789_000, time.UTC),
		Actor:      "Zoë",
		Data:       json.RawMessage(`{"title":"Emma"}`),
	}
}

// The names and forms are a contract with other programs.
func TestAnEventTravelsAsACloudEvent(t *testing.T) {
	t.Parallel()
	e := envelope()
	got := encode(&e, "the-log")
	want := message.Metadata{
		"content-type":   "application/json",
		"ce_specversion": "1.0",
		"ce_id":          "0192f1c2-6f0e-7c3a-9d5b-0123456789ab",
		"ce_source":      "the-log",
		"ce_type":        "catalogue.book_added.v2",
		"ce_subject":     "book:0192f1c2-6f0e-7c3a-9d5b-000000000002",
		"ce_time":        "2026-02-03T04:05:06.000789Z",
		"ce_position":    "42",
		"ce_version":     "3",
		"ce_actor":       "Zoë",
		"correlation_id": "0192f1c2-6f0e-7c3a-9d5b-000000000001",
	}
	if diff := cmp.Diff(want, got.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if got.UUID != want["ce_id"] || string(got.Payload) != `{"title":"Emma"}` {
		t.Errorf("message %s has the payload %s", got.UUID, got.Payload)
	}
}

func TestAMessageOfAStrangerIsRefusedByTheAttributeThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ attribute, value string }{
		{"ce_id", "7"}, {"ce_type", "catalogue.book_added"}, {"ce_type", "catalogue.book_added.vX"}, {"ce_type", ""},
		{"ce_time", "yesterday"}, {"ce_position", "0"}, {"ce_position", ""}, {"ce_position", "9223372036854775808"},
		{"ce_version", "-1"}, {"correlation_id", ""},
	} {
		e := envelope()
		m := encode(&e, "the-log")
		m.Metadata[tt.attribute] = tt.value
		if _, err := decode("catalogue", m); err == nil || !strings.Contains(err.Error(), tt.attribute) {
			t.Errorf("%s = %q gives %v, want an error about it", tt.attribute, tt.value, err)
		}
	}
}

func TestTheTopicIsTheModule(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"catalogue.book_added": "catalogue", "a.b.c": "a", "old": "old", "": ""} {
		if got := Topic(name); got != want {
			t.Errorf("Topic(%q) = %q, want %q", name, got, want)
		}
	}
}

// FuzzDecode proves that what can be read at all is read the same again after it was written.
func FuzzDecode(f *testing.F) {
	e := envelope()
	m := encode(&e, "the-log")
	f.Add(m.Metadata["ce_id"], m.Metadata["ce_type"], m.Metadata["ce_time"], m.Metadata["ce_position"], m.Metadata["ce_version"], "actor")
	f.Add("urn:uuid:0192f1c2-6f0e-7c3a-9d5b-0123456789ab", ".v0.v00", "2026-02-03T04:05:06+01:00", "+1", "0", "")
	f.Fuzz(func(t *testing.T, id, name, at, position, version, actor string) {
		m := message.NewMessage("x", []byte("{}"))
		m.Metadata = message.Metadata{"ce_id": id, "ce_type": name, "ce_time": at, "ce_position": position, "ce_version": version,
			"ce_actor": actor, "ce_source": "s", "correlation_id": id}
		got, err := decode("t", m)
		if err != nil {
			return
		}
		again, err := decode("t", encode(&got.Envelope, got.Log))
		if err != nil {
			t.Fatalf("decode again: %v", err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("not the same again (-first +again):\n%s", diff)
		}
	})
}
