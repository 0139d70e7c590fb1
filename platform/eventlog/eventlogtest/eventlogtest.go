// Package eventlogtest is the contract of a log in executable form. Every implementation runs it; the log in memory is the
// reference, and a clause that memory cannot satisfy is a wrong clause.
//
// What is missing on purpose: that disjoint transactions overlap. A log declares it ([Features]), and then it is tested.
package eventlogtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/mutant"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

// Noted is the event that the suite stores.
type Noted struct {
	About []event.Tag `json:"about"`
	Text  string      `json:"text"`
}

// EventType implements event.Event.
func (*Noted) EventType() string { return "test.noted" }

// Tags implements event.Event.
func (e *Noted) Tags() []event.Tag { return e.About }

// Registry knows the suite's events.
func Registry() *event.Registry {
	r, err := event.NewRegistry(&Noted{})
	if err != nil {
		panic(err)
	}
	return r
}

// Features are what a log can do that others cannot.
type Features struct {
	// Overlap: several transactions can be under way at once, and wait for each other only when they commit.
	Overlap bool
}

// Open makes an empty log for one test, whose registry is [Registry].
type Open func(t *testing.T) eventlog.Log

// Patience is what Open should give a log: no clause waits for it to end, and a busy machine must not end it.
const Patience = 30 * time.Second

// Unit makes a unit of one event on each of the streams, at the version after those given.
func Unit(key string, streams map[event.Tag]int) eventlog.Unit {
	u := eventlog.Unit{ID: uuid.New(), Key: key}
	for s, v := range streams {
		u.Events = append(u.Events, Envelope(u.ID, s, v+1, "text of "+key))
	}
	return u
}

// Envelope makes an event of the stream.
func Envelope(unit uuid.UUID, stream event.Tag, version int, text string) event.Envelope {
	e := &Noted{About: []event.Tag{stream, "shelf:all"}, Text: text}
	data, err := event.Encode(e)
	if err != nil {
		panic(err)
	}
	return event.Envelope{
		ID: uuid.New(), Unit: unit, Stream: stream, Version: version, Type: e.EventType(), Schema: 1,
		RecordedAt: time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC), Actor: "tester", Data: data, Event: e,
	}
}

// Commit stores the units in one transaction.
func Commit(ctx context.Context, l eventlog.Log, units ...eventlog.Unit) error {
	tx, err := l.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return tx.Commit(ctx, units...)
}

// Run checks every clause.
func Run(t *testing.T, open Open, features Features) {
	t.Helper()
	for _, c := range clauses {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, open(t))
		})
	}
	if features.Overlap {
		t.Run("transactions overlap until they commit", func(t *testing.T) {
			t.Parallel()
			overlap(t, open(t))
		})
	}
}

// Caught checks that the suite notices what is wrong with a log: at least one clause fails.
func Caught(t *testing.T, open Open) {
	t.Helper()
	mutant.Caught(t, func(m mutant.T) {
		for _, c := range clauses {
			if c.check(m, open(t)); m.Failed() {
				return
			}
		}
	})
}

type clause struct {
	name  string
	check func(mutant.T, eventlog.Log)
}

var clauses = []clause{
	{"an empty log is at 0, has an id, and yields nothing", func(t mutant.T, l eventlog.Log) {
		head := must(l.Head(t.Context()))
		if head.Position != 0 || head.Log == uuid.Nil {
			t.Errorf("head = %+v", head)
		}
		if got := read(t, l, eventlog.Query{}); len(got) != 0 {
			t.Errorf("read %d events", len(got))
		}
		if again := must(l.Head(t.Context())); again.Log != head.Log {
			t.Error("the id of the log changed")
		}
	}},
	{"what was committed comes back as it was, with positions from 1", func(t mutant.T, l eventlog.Log) {
		u := eventlog.Unit{ID: uuid.New(), Key: "k1"}
		u.Events = []event.Envelope{
			Envelope(u.ID, "book:1", 1, "one"), Envelope(u.ID, "book:2", 1, "two \"quoted\" 'text' \\ ? \u2028 漢字 \U0001F4DA"), Envelope(u.ID, "book:1", 2, "three"),
		}
		want := rebuilt(u.Events)
		commit(t, l, u)
		for i := range want {
			want[i].Position = event.Position(i + 1)
			if u.Events[i].Position != want[i].Position {
				t.Errorf("Commit left position %d in envelope %d", u.Events[i].Position, i)
			}
		}
		if diff := cmp.Diff(want, read(t, l, eventlog.Query{})); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
		if head := must(l.Head(t.Context())); head.Position != 3 {
			t.Errorf("head at %d", head.Position)
		}
	}},
	{"bytes are kept, whatever their JSON looks like", func(t mutant.T, l eventlog.Log) {
		u := Unit("k", map[event.Tag]int{"book:1": 0})
		odd := json.RawMessage("{ \"text\" : \"caf\\u00e9\",\n\t\"about\":[ \"book:1\" ], \"more\": 1e2 }")
		u.Events[0].Data = append(json.RawMessage(nil), odd...)
		commit(t, l, u)
		got := read(t, l, eventlog.Query{})
		if diff := cmp.Diff(string(odd), string(got[0].Data)); diff != "" {
			t.Errorf("stored bytes (-want +got):\n%s", diff)
		}
		got[0].Data[0] = 'X'
		if again := read(t, l, eventlog.Query{}); again[0].Data[0] != '{' {
			t.Error("a reader could change what is stored")
		}
	}},
	{"an event of an unknown type is handed out, not refused", func(t mutant.T, l eventlog.Log) {
		u := Unit("k", map[event.Tag]int{"book:1": 0})
		u.Events[0].Type = "test.of_the_future"
		commit(t, l, u)
		got := read(t, l, eventlog.Query{})
		if _, ok := got[0].Event.(*event.Unknown); !ok || got[0].Type != "test.of_the_future" {
			t.Errorf("got %T of type %s", got[0].Event, got[0].Type)
		}
	}},
	{"an event that cannot be decoded ends a reading that does not go past it, and is told", func(t mutant.T, l eventlog.Log) {
		for i := range 6 {
			u := Unit(fmt.Sprintf("k%d", i), map[event.Tag]int{"book:1": i})
			if i == 2 || i == 3 {
				u.Events[0].Data = json.RawMessage("{bad")
			}
			commit(t, l, u)
		}
		var before []event.Position
		for env, err := range l.Read(t.Context(), eventlog.Query{}) {
			if err != nil && (env.Position != 3 || env.Stream != "book:1" || env.Event != nil || string(env.Data) != "{bad") {
				t.Errorf("the error comes with %+v", env)
			}
			before = append(before, env.Position)
		}
		if diff := cmp.Diff([]event.Position{1, 2, 3}, before); diff != "" {
			t.Errorf("not past it (-want +got):\n%s", diff)
		}
		past := eventlog.PastGaps(l, []eventlog.Gap{{Envelope: event.Envelope{Position: 3}}, {Envelope: event.Envelope{Position: 4}}})
		for _, c := range []struct {
			q    eventlog.Query
			want []event.Position
		}{
			{eventlog.Query{}, []event.Position{1, 2, 3, 4, 5, 6}},
			{eventlog.Query{Tag: "shelf:all", After: 1, Until: 5}, []event.Position{2, 3, 4, 5}},
			{eventlog.Query{Limit: 3}, []event.Position{1, 2, 3}},
			{eventlog.Query{Limit: 5}, []event.Position{1, 2, 3, 4, 5}},
			{eventlog.Query{Last: 3}, []event.Position{4, 5, 6}},
			{eventlog.Query{Last: 9}, []event.Position{1, 2, 3, 4, 5, 6}},
			{eventlog.Query{Until: 4}, []event.Position{1, 2, 3, 4}},
		} {
			got, err := eventlog.Collect(past.Read(t.Context(), c.q))
			var at []event.Position
			for _, env := range got {
				_, unknown := env.Event.(*event.Unknown)
				if unknown != (env.Position == 3 || env.Position == 4) {
					t.Errorf("%+v: at %d there is a %T", c.q, env.Position, env.Event)
				}
				at = append(at, env.Position)
			}
			if diff := cmp.Diff(c.want, at); diff != "" || err != nil {
				t.Errorf("%+v: %v (-want +got):\n%s", c.q, err, diff)
			}
		}
		if got, err := eventlog.Collect(eventlog.PastGaps(l, nil).Read(t.Context(), eventlog.Query{})); len(got) != 2 || err == nil {
			t.Errorf("around no gaps, %d events are read, and then %v", len(got), err)
		}
	}},
	{"a query narrows by position, stream, thing, type and number", func(t mutant.T, l eventlog.Log) {
		for i := range 7 {
			stream := event.Tag(fmt.Sprintf("book:%d", i%2))
			u := Unit(fmt.Sprintf("k%d", i), map[event.Tag]int{stream: i / 2})
			if i == 3 {
				u.Events[0].Type = "test.other"
			}
			commit(t, l, u)
		}
		for _, c := range []struct {
			name string
			q    eventlog.Query
			want []event.Position
		}{
			{"after", eventlog.Query{After: 5}, []event.Position{6, 7}},
			{"until", eventlog.Query{Until: 2}, []event.Position{1, 2}},
			{"between", eventlog.Query{After: 2, Until: 4}, []event.Position{3, 4}},
			{"stream", eventlog.Query{Stream: "book:1"}, []event.Position{2, 4, 6}},
			{"stream after", eventlog.Query{Stream: "book:1", After: 2}, []event.Position{4, 6}},
			{"thing", eventlog.Query{Tag: "shelf:all"}, []event.Position{1, 2, 3, 4, 5, 6, 7}},
			{"thing after, limited", eventlog.Query{Tag: "shelf:all", After: 2, Limit: 2}, []event.Position{3, 4}},
			{"thing that is a stream", eventlog.Query{Tag: "book:0"}, []event.Position{1, 3, 5, 7}},
			{"thing unknown", eventlog.Query{Tag: "book:9"}, nil},
			{"type", eventlog.Query{Types: []string{"test.other"}}, []event.Position{4}},
			{"types", eventlog.Query{Types: []string{"test.other", "test.noted"}, Limit: 1}, []event.Position{1}},
			{"limit", eventlog.Query{Limit: 3}, []event.Position{1, 2, 3}},
			{"last", eventlog.Query{Last: 2}, []event.Position{6, 7}},
			{"last of a stream", eventlog.Query{Stream: "book:1", Last: 2}, []event.Position{4, 6}},
			{"last of a thing", eventlog.Query{Tag: "shelf:all", Last: 3}, []event.Position{5, 6, 7}},
			{"last of more than there are", eventlog.Query{Last: 99, After: 5}, []event.Position{6, 7}},
			{"past the end", eventlog.Query{After: 99}, nil},
		} {
			var got []event.Position
			for _, e := range read(t, l, c.q) {
				got = append(got, e.Position)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
	}},
	{"the events of a thing are those of its stream and those about it", func(t mutant.T, l eventlog.Log) {
		for i := range 9 {
			stream := event.Tag("shelf:all") // of which the events of books are, too
			version := i / 3
			if i%3 > 0 {
				stream = event.Tag(fmt.Sprintf("book:%d", i%3))
			}
			commit(t, l, Unit(fmt.Sprintf("k%d", i), map[event.Tag]int{stream: version}))
		}
		for _, c := range []struct {
			name string
			q    eventlog.Query
			want []event.Position
		}{
			{"all", eventlog.Query{Tag: "shelf:all"}, []event.Position{1, 2, 3, 4, 5, 6, 7, 8, 9}},
			{"between", eventlog.Query{Tag: "shelf:all", After: 2, Until: 7}, []event.Position{3, 4, 5, 6, 7}},
			{"some", eventlog.Query{Tag: "shelf:all", After: 3, Limit: 4}, []event.Position{4, 5, 6, 7}},
			{"last", eventlog.Query{Tag: "shelf:all", Last: 4}, []event.Position{6, 7, 8, 9}},
			{"its stream alone", eventlog.Query{Tag: "shelf:all", Stream: "shelf:all"}, []event.Position{1, 4, 7}},
			{"of another stream", eventlog.Query{Tag: "shelf:all", Stream: "book:2"}, []event.Position{3, 6, 9}},
			{"of a stream that is not about it", eventlog.Query{Tag: "book:1", Stream: "shelf:all"}, nil},
			{"of a type", eventlog.Query{Tag: "shelf:all", Types: []string{"test.other"}}, nil},
		} {
			var got []event.Position
			for _, e := range read(t, l, c.q) {
				got = append(got, e.Position)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
	}},
	{"an event that names a thing twice is about it once", func(t mutant.T, l eventlog.Log) {
		u := Unit("k", map[event.Tag]int{"book:1": 0})
		u.Events[0].Event.(*Noted).About = []event.Tag{"book:1", "shelf:all", "book:1", "shelf:all"}
		commit(t, l, u)
		if got := read(t, l, eventlog.Query{Tag: "shelf:all"}); len(got) != 1 {
			t.Errorf("read %d events, want 1", len(got))
		}
	}},
	{"a long log is read whole, and a reader may stop", func(t mutant.T, l eventlog.Log) {
		const n = 1201 // more than two pages of any implementation
		u := eventlog.Unit{ID: uuid.New(), Key: "long"}
		for i := range n {
			u.Events = append(u.Events, Envelope(u.ID, "book:1", i+1, "text"))
		}
		commit(t, l, u)
		for _, q := range []eventlog.Query{{}, {Tag: "shelf:all"}, {Stream: "book:1"}, {Limit: 1100}} {
			want := n
			if q.Limit > 0 {
				want = q.Limit
			}
			got := read(t, l, q)
			if len(got) != want {
				t.Errorf("%+v: read %d events, want %d", q, len(got), want)
			}
			for i, e := range got {
				if e.Position != event.Position(i+1) {
					t.Fatalf("%+v: event %d has position %d", q, i, e.Position)
				}
			}
		}
		seen := 0
		for _, err := range l.Read(t.Context(), eventlog.Query{}) {
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			if seen++; seen == 10 {
				break
			}
		}
	}},
	{"a unit with a version that its stream has already fails whole", func(t mutant.T, l eventlog.Log) {
		commit(t, l, Unit("k1", map[event.Tag]int{"book:1": 0}))
		u := Unit("k2", map[event.Tag]int{"book:2": 0})
		u.Events = append(u.Events, Envelope(u.ID, "book:1", 1, "text"))
		err := Commit(t.Context(), l, u)
		if _, ok := errors.AsType[*eventlog.VersionConflict](err); !ok {
			t.Errorf("a version that is there already: %v", err)
		}
		nothingMore(t, l, 1, u.Key)
	}},
	{"a key is used once", func(t mutant.T, l eventlog.Log) {
		commit(t, l, Unit("k1", map[event.Tag]int{"book:1": 0}))
		err := Commit(t.Context(), l, Unit("k1", map[event.Tag]int{"book:2": 0}))
		if _, ok := errors.AsType[*eventlog.KeyTaken](err); !ok {
			t.Errorf("second unit under the key: %v", err)
		}
		if got := read(t, l, eventlog.Query{}); len(got) != 1 {
			t.Errorf("the log has %d events", len(got))
		}
	}},
	{"an event's id is used once", func(t mutant.T, l eventlog.Log) {
		first := Unit("k1", map[event.Tag]int{"book:1": 0})
		commit(t, l, first)
		second := Unit("k2", map[event.Tag]int{"book:2": 0})
		second.Events[0].ID = first.Events[0].ID
		err := Commit(t.Context(), l, second)
		if _, ok := errors.AsType[*eventlog.KeyTaken](err); !ok {
			t.Errorf("second event with the id: %v", err)
		}
		nothingMore(t, l, 1, "k2")
	}},
	{"a unit can be looked up by its key, with everything it said", func(t mutant.T, l eventlog.Log) {
		commit(t, l, Unit("before", map[event.Tag]int{"book:0": 0}))
		u := eventlog.Unit{ID: uuid.New(), Key: "k ' ? é", Fingerprint: []byte{0, 1, 255}, Answer: []byte("answer")}
		u.Events = []event.Envelope{Envelope(u.ID, "book:1", 1, "one"), Envelope(u.ID, "book:2", 1, "two")}
		commit(t, l, u)
		want := eventlog.Done{Key: u.Key, Position: 3, Events: 2, Fingerprint: []byte{0, 1, 255}, Answer: []byte("answer")}
		got, ok, err := l.Done(t.Context(), u.Key)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || !ok || diff != "" {
			t.Errorf("Done: %v %v (-want +got):\n%s", ok, err, diff)
		}
		events, err := eventlog.Events(t.Context(), l, got)
		if diff := cmp.Diff(rebuilt(u.Events), events); err != nil || diff != "" {
			t.Errorf("Events: %v (-want +got):\n%s", err, diff)
		}
		tx := must(l.Begin(t.Context()))
		defer tx.Rollback()
		inside := must(tx.Done(t.Context(), u.Key, "unknown"))
		if len(inside) != 1 || inside[u.Key].Position != 3 {
			t.Errorf("inside a transaction: %+v", inside)
		}
		if _, ok, err := l.Done(t.Context(), "unknown"); ok || err != nil {
			t.Errorf("unknown key: %v %v", ok, err)
		}
	}},
	{"a unit with a second key is found under both, each with its own fingerprint", func(t mutant.T, l eventlog.Log) {
		u := Unit("k1", map[event.Tag]int{"book:1": 0})
		u.Fingerprint, u.Answer, u.Second = []byte{1}, []byte("answer"), eventlog.Second{Key: "s1", Fingerprint: []byte{2}}
		v := Unit("k2", map[event.Tag]int{"book:2": 0})
		v.Second = eventlog.Second{Key: "s2"}
		if err := Commit(t.Context(), l, u, v); err != nil {
			t.Fatal(err)
		}
		tx := must(l.Begin(t.Context()))
		defer tx.Rollback()
		found := must(tx.Done(t.Context(), "k1", "s1", "k2", "s2", ""))
		want := map[string]eventlog.Done{
			"k1": {Key: "k1", Position: 1, Events: 1, Fingerprint: []byte{1}, Answer: []byte("answer")},
			"s1": {Key: "s1", Position: 1, Events: 1, Fingerprint: []byte{2}, Answer: []byte("answer")},
			"k2": {Key: "k2", Position: 2, Events: 1},
			"s2": {Key: "s2", Position: 2, Events: 1},
		}
		if diff := cmp.Diff(want, found, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}},
	{"no key is used twice, be it a unit's first or second", func(t mutant.T, l eventlog.Log) {
		first := Unit("k1", map[event.Tag]int{"book:1": 0})
		first.Second.Key = "s1"
		commit(t, l, first)
		for i, keys := range [][2]string{{"k1", ""}, {"s1", ""}, {"k2", "k1"}, {"k2", "s1"}, {"s1", "s2"}, {"k2", "k2"}} {
			u := Unit(keys[0], map[event.Tag]int{"book:2": 0})
			u.Second.Key = keys[1]
			err := Commit(t.Context(), l, u)
			if _, ok := errors.AsType[*eventlog.KeyTaken](err); !ok {
				t.Errorf("%d: the keys %q: %v", i, keys, err)
			}
		}
		nothingMore(t, l, 1, "k2")
	}},
	{"a unit without events is remembered at the end of the log, and moves nothing", func(t mutant.T, l eventlog.Log) {
		commit(t, l, eventlog.Unit{ID: uuid.New(), Key: "of an empty log"})
		commit(t, l, Unit("k1", map[event.Tag]int{"book:1": 0}))
		commit(t, l, eventlog.Unit{ID: uuid.New(), Key: "empty", Fingerprint: []byte{1}, Answer: []byte("answer"), Second: eventlog.Second{Key: "again"}})
		if err := Commit(t.Context(), l, Unit("k2", map[event.Tag]int{"book:1": 1}), eventlog.Unit{ID: uuid.New(), Key: "between"},
			Unit("k3", map[event.Tag]int{"book:1": 2})); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]eventlog.Done{
			"of an empty log": {Position: 0},
			"empty":           {Position: 1, Fingerprint: []byte{1}, Answer: []byte("answer")},
			"again":           {Position: 1, Answer: []byte("answer")},
			"between":         {Position: 2},
			"k3":              {Position: 3, Events: 1},
		} {
			want.Key = key
			got, _, err := l.Done(t.Context(), key)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", key, err, diff)
			}
		}
		if head := must(l.Head(t.Context())); head.Position != 3 {
			t.Errorf("the log is at %d", head.Position)
		}
		events, err := eventlog.Events(t.Context(), l, eventlog.Done{Key: "empty", Position: 1})
		if len(events) != 0 || err != nil {
			t.Errorf("the unit without events has %v, %v", events, err)
		}
	}},
	{"several units commit together, in order", func(t mutant.T, l eventlog.Log) {
		a, b := Unit("a", map[event.Tag]int{"book:1": 0}), Unit("b", map[event.Tag]int{"book:1": 1})
		if err := Commit(t.Context(), l, a, b); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]event.Position{"a": 1, "b": 2} {
			if d, ok, err := l.Done(t.Context(), key); !ok || err != nil || d.Position != want {
				t.Errorf("unit %s: %+v %v %v", key, d, ok, err)
			}
		}
		bad := Unit("d", map[event.Tag]int{"book:1": 0})
		if err := Commit(t.Context(), l, Unit("c", map[event.Tag]int{"book:2": 0}), bad); err == nil {
			t.Error("a batch with a conflict was stored")
		}
		nothingMore(t, l, 2, "c")
	}},
	{"a rollback leaves nothing, not even a used-up position", func(t mutant.T, l eventlog.Log) {
		tx := must(l.Begin(t.Context()))
		tx.Rollback()
		tx.Rollback()
		commit(t, l, Unit("k1", map[event.Tag]int{"book:1": 0}))
		if got := read(t, l, eventlog.Query{}); len(got) != 1 || got[0].Position != 1 {
			t.Errorf("got %+v", got)
		}
	}},
	{"a cancelled context stores nothing and leaves the log free", func(t mutant.T, l eventlog.Log) {
		ctx, cancel := context.WithCancel(t.Context())
		tx := must(l.Begin(ctx))
		cancel()
		if err := tx.Commit(ctx, Unit("k1", map[event.Tag]int{"book:1": 0})); !errors.Is(err, context.Canceled) {
			t.Errorf("Commit: %v", err)
		}
		if _, err := l.Begin(ctx); err == nil {
			t.Error("Begin under a cancelled context succeeded")
		}
		nothingMore(t, l, 0, "k1")
		commit(t, l, Unit("k2", map[event.Tag]int{"book:1": 0}))
	}},
	{"16 writers: every reader sees every event once, in order, without a gap", func(t mutant.T, l eventlog.Log) {
		const writers, each = 16, 12
		gate := make(chan struct{})
		var writing, reading sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for range 3 {
			reading.Go(func() {
				next := event.Position(1)
				for next <= writers*each {
					for e, err := range l.Read(ctx, eventlog.Query{After: next - 1}) {
						if err != nil {
							t.Errorf("read: %v", err)
							return
						}
						if e.Position != next {
							t.Errorf("read position %d, expected %d", e.Position, next)
							return
						}
						next++
					}
					if ctx.Err() != nil {
						return
					}
				}
			})
		}
		for w := range writers {
			writing.Go(func() {
				<-gate
				stream := event.Tag(fmt.Sprintf("book:%d", w))
				for i := range each {
					if i%4 == 3 { // one that begins earlier, writes, and goes away
						tx, err := l.Begin(ctx)
						if err != nil {
							t.Errorf("begin: %v", err)
							return
						}
						tx.Rollback()
					}
					if err := Commit(ctx, l, Unit(fmt.Sprintf("%d.%d", w, i), map[event.Tag]int{stream: i})); err != nil {
						t.Errorf("commit: %v", err)
						return
					}
				}
			})
		}
		close(gate)
		writing.Wait()
		if t.Failed() {
			stop()
		}
		reading.Wait()
		if head := must(l.Head(t.Context())); head.Position != writers*each {
			t.Errorf("head at %d, want %d", head.Position, writers*each)
		}
	}},
	{"of writers who mean the same version one wins", func(t mutant.T, l eventlog.Log) {
		const writers = 8
		gate := make(chan struct{})
		results := make(chan error, writers)
		for w := range writers {
			go func() {
				<-gate
				results <- Commit(t.Context(), l, Unit(fmt.Sprint(w), map[event.Tag]int{"book:1": 0}))
			}()
		}
		close(gate)
		won := 0
		for range writers {
			err := <-results
			if err == nil {
				won++
			} else if _, ok := errors.AsType[*eventlog.VersionConflict](err); !ok {
				t.Errorf("a loser got %v", err)
			}
		}
		if got := read(t, l, eventlog.Query{}); won != 1 || len(got) != 1 {
			t.Errorf("%d won, the log has %d events", won, len(got))
		}
	}},
}

// overlap: one transaction that began earlier and wrote nothing yet keeps nobody waiting, and no reader.
func overlap(t mutant.T, l eventlog.Log) {
	early := must(l.Begin(t.Context()))
	defer early.Rollback()
	commit(t, l, Unit("late", map[event.Tag]int{"book:2": 0}))
	if got := read(t, l, eventlog.Query{}); len(got) != 1 {
		t.Errorf("a reader waits for a writer that has not reached the log: %d events", len(got))
	}
	if err := early.Commit(t.Context(), Unit("early", map[event.Tag]int{"book:1": 0})); err != nil {
		t.Fatal(err)
	}
	got := read(t, l, eventlog.Query{})
	if len(got) != 2 || got[0].Stream != "book:2" || got[1].Stream != "book:1" {
		t.Errorf("not in the order of commits: %+v", got)
	}
}

// nothingMore checks that the log is at position n and knows no unit under the key.
func nothingMore(t mutant.T, l eventlog.Log, n event.Position, key string) {
	t.Helper()
	if head := must(l.Head(t.Context())); head.Position != n {
		t.Errorf("the log is at %d, want %d", head.Position, n)
	}
	if got := read(t, l, eventlog.Query{}); len(got) != int(n) {
		t.Errorf("the log has %d events, want %d", len(got), n)
	}
	if _, ok, err := l.Done(t.Context(), key); ok || err != nil {
		t.Errorf("unit %q: %v %v", key, ok, err)
	}
}

// rebuilt makes the expectation anew, so that a log that changes what it was handed cannot talk the test into agreeing.
func rebuilt(events []event.Envelope) []event.Envelope {
	out := make([]event.Envelope, len(events))
	for i, e := range events {
		n := e.Event.(*Noted)
		e.Data = append(json.RawMessage(nil), e.Data...)
		e.Event = &Noted{About: append([]event.Tag(nil), n.About...), Text: n.Text}
		out[i] = e
	}
	return out
}

func read(t mutant.T, l eventlog.Log, q eventlog.Query) []event.Envelope {
	t.Helper()
	got, err := eventlog.Collect(l.Read(t.Context(), q))
	if err != nil {
		t.Fatalf("read %+v: %v", q, err)
	}
	return got
}

func commit(t mutant.T, l eventlog.Log, u eventlog.Unit) {
	t.Helper()
	if err := Commit(t.Context(), l, u); err != nil {
		t.Fatalf("commit %s: %v", u.Key, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
