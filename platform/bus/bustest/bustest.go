// Package bustest has the one suite that every bus passes, whatever carries its events.
//
// The suite does not claim that every published event arrives: without Features.Persistent a bus may drop what a slow
// subscriber has no room for, and what nobody listens to. What it does claim is that the newest arrives.
package bustest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"accession/platform/bus"
	"accession/platform/event"
)

// Features is what a driver claims; the suite holds it to that.
type Features struct {
	Ordered    bool // events of one publisher arrive in the order they were published to a topic
	Persistent bool // what was published while nobody listened arrives later, and nothing is dropped for a slow subscriber
}

// Buffer is the [bus.Config.Buffer] that open is to give a bus that has one, so that the suite can overflow it.
const Buffer = 64

// patience bounds every wait of the suite. Only a suite that fails waits so long.
const patience = 20 * time.Second

// Run runs the suite. open gives a bus of its own that nobody has subscribed to yet, with the source "the-log"; the suite
// closes it. All buses may share one broker: topics and names are drawn for each test.
func Run(t *testing.T, open func(t testing.TB) *bus.Bus, f Features) {
	type clause struct {
		name string
		test func(t *testing.T, b *bus.Bus, f Features)
	}
	clauses := []clause{
		{"a subscriber gets a copy of each event of its topics, and of no others", copies},
		{"every subscription gets every event", everySubscription},
		{"events of many publishers all arrive", manyPublishers},
		{"an event of nobody's topic is published all the same", nobodysTopic},
		{"an event that is not stored yet is not published, nor are its companions", notStored},
		{"publishing goes on after the caller's context has ended", callerGone},
		{"the trace of the publisher reaches the subscriber", traces},
		{"the calls of one subscription do not overlap", oneAtATime},
		{"a handler may publish", handlerPublishes},
		{"a handler that fails or panics gets the next event, and that one once", failing},
		{"a handler that is stuck holds up neither publishers nor others, and gets the newest in the end", stuck},
		{"a subscription needs a new name, topics, a handler, and a bus that does not run yet", subscribing},
		{"the end of Run's context closes the bus", endOfContext},
		{"a bus without subscriptions runs and closes", idle},
		{"a bus that never ran closes", neverRan},
		{"closing ends the context of a handler at work, and Run", closing},
	}
	if f.Ordered {
		clauses = append(clauses, clause{"events arrive in the order they were published", ordered})
	}
	if f.Persistent {
		clauses = append(clauses, clause{"what was published before anybody listened arrives later", persistent})
	}
	for _, c := range clauses {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.test(t, b, f)
		})
	}
}

func copies(t *testing.T, b *bus.Bus, _ Features) {
	mine, also, others := topic(), topic(), topic()
	got := subscribe(t, b, mine, also, mine) // twice the same topic is once
	run(t, b)
	publish(t, b, events(others, 1, 3)...)
	publish(t, b, append(events(mine, 4, 2), append(events(others, 6, 1), events(also, 7, 1)...)...)...)

	want := map[event.Position]bus.Message{}
	for _, e := range append(events(mine, 4, 2), events(also, 7, 1)...) {
		want[e.Position] = bus.Message{Topic: bus.Topic(e.Type), Log: "the-log", Envelope: e}
	}
	arrived := map[event.Position]bus.Message{}
	for range want {
		m := receive(t, got)
		arrived[m.Envelope.Position] = m
	}
	if diff := cmp.Diff(want, arrived); diff != "" {
		t.Errorf("what arrived (-want +got):\n%s", diff)
	}
	nothing(t, got)
}

func everySubscription(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	first, second := subscribe(t, b, in), subscribe(t, b, in)
	run(t, b)
	publish(t, b, events(in, 1, 10)...)
	for range 10 {
		receive(t, first)
		receive(t, second)
	}
}

func manyPublishers(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	got := subscribe(t, b, in)
	run(t, b)
	const publishers, each = 8, Buffer / 8 // so that there is room for all
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() { publish(t, b, events(in, event.Position(p*each+1), each)...) })
	}
	all.Wait()
	seen := map[event.Position]bool{}
	for len(seen) < publishers*each {
		seen[receive(t, got).Envelope.Position] = true
	}
}

func nobodysTopic(t *testing.T, b *bus.Bus, _ Features) {
	publish(t, b, events(topic(), 1, 3)...) // before Run
	run(t, b)
	publish(t, b, events(topic(), 1, 3)...)
	publish(t, b)
}

func notStored(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	got := subscribe(t, b, in)
	run(t, b)
	batch := events(in, 1, 3)
	batch[2].Position = 0
	if err := b.Publish(t.Context(), batch); err == nil {
		t.Error("an event without a position was published")
	}
	publish(t, b, events(in, 9, 1)...)
	if m := receive(t, got); m.Envelope.Position != 9 {
		t.Errorf("the event at %d was published", m.Envelope.Position)
	}
}

func callerGone(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	got := subscribe(t, b, in)
	run(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Publish(ctx, events(in, 1, 1)); err != nil {
		t.Error(err)
	}
	receive(t, got)
}

func traces(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	got := make(chan trace.SpanContext, 1)
	err := b.Subscribe(name(), []string{in}, func(ctx context.Context, _ bus.Message) error {
		got <- trace.SpanContextFromContext(ctx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, b)
	want := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled})
	if err := b.Publish(trace.ContextWithSpanContext(t.Context(), want), events(in, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, got); s.TraceID() != want.TraceID() || s.SpanID() != want.SpanID() || !s.IsSampled() {
		t.Errorf("the handler's trace is %v of %v, want %v of %v", s.SpanID(), s.TraceID(), want.SpanID(), want.TraceID())
	}
}

func oneAtATime(t *testing.T, b *bus.Bus, _ Features) {
	topics := []string{topic(), topic(), topic()}
	var inside atomic.Int32
	done := make(chan struct{}, Buffer)
	err := b.Subscribe(name(), topics, func(context.Context, bus.Message) error {
		if n := inside.Add(1); n > 1 {
			t.Errorf("%d calls at once", n)
		}
		for range 100 {
			runtime.Gosched() // whoever else could come in, now can
		}
		inside.Add(-1)
		done <- struct{}{}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, b)
	var all sync.WaitGroup
	for _, in := range topics {
		all.Go(func() { publish(t, b, events(in, 1, 20)...) })
	}
	all.Wait()
	for range 60 {
		receive(t, done)
	}
}

func handlerPublishes(t *testing.T, b *bus.Bus, _ Features) {
	in, out := topic(), topic()
	got := subscribe(t, b, out)
	err := b.Subscribe(name(), []string{in}, func(ctx context.Context, m bus.Message) error {
		return b.Publish(ctx, append(events(out, m.Envelope.Position, 1), events(topic(), 1, 1)...))
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, b)
	publish(t, b, events(in, 1, 10)...)
	for range 10 {
		receive(t, got)
	}
}

func failing(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	calls := make(chan event.Position, 10)
	fail := func(h func(bus.Message) error) {
		t.Helper()
		err := b.Subscribe(name(), []string{in}, func(_ context.Context, m bus.Message) error {
			calls <- m.Envelope.Position
			return h(m)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	fail(func(bus.Message) error { return errors.New("of the handler") })
	fail(func(bus.Message) error { panic("of the handler") })
	well := subscribe(t, b, in)
	run(t, b)
	for p := event.Position(1); p <= 3; p++ {
		publish(t, b, events(in, p, 1)...)
		receive(t, well)
		for range 2 {
			if got := receive(t, calls); got != p {
				t.Errorf("the event at %d was delivered, want the one at %d", got, p)
			}
		}
	}
	nothing(t, calls)
}

func stuck(t *testing.T, b *bus.Bus, f Features) {
	in := topic()
	const published = 20 * Buffer
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	slow := make(chan event.Position, published)
	err := b.Subscribe(name(), []string{in}, func(ctx context.Context, m bus.Message) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		slow <- m.Envelope.Position
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	well := make(chan event.Position, published)
	err = b.Subscribe(name(), []string{in}, func(_ context.Context, m bus.Message) error {
		well <- m.Envelope.Position
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, b)

	publish(t, b, events(in, 1, 1)...)
	receive(t, entered)
	receive(t, well)
	for p := event.Position(2); p <= published; p += Buffer / 2 {
		n := min(Buffer/2, int(published-p)+1)
		publish(t, b, events(in, p, n)...)
		for range n {
			receive(t, well) // every one, while the other stands still
		}
	}
	close(release)
	count := 0
	for newest := event.Position(0); newest < published; count++ {
		newest = max(newest, receive(t, slow))
	}
	for f.Persistent && count < published {
		receive(t, slow)
		count++
	}
	if !f.Persistent && count > Buffer+2 {
		t.Errorf("%d events were kept for the handler that was stuck, want no more than %d", count, Buffer+2)
	}
}

func ordered(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	got := subscribe(t, b, in)
	run(t, b)
	const published = 50 * Buffer
	for p := event.Position(1); p <= published; p += Buffer / 4 {
		publish(t, b, events(in, p, Buffer/4)...)
		for i := range event.Position(Buffer / 4) {
			if m := receive(t, got); m.Envelope.Position != p+i {
				t.Fatalf("the event at %d arrived, want the one at %d", m.Envelope.Position, p+i)
			}
		}
	}
}

func persistent(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	publish(t, b, events(in, 1, 10)...)
	got := subscribe(t, b, in)
	run(t, b)
	for range 10 {
		receive(t, got)
	}
}

func subscribing(t *testing.T, b *bus.Bus, _ Features) {
	ignore := func(context.Context, bus.Message) error { return nil }
	taken := name()
	if err := b.Subscribe(taken, []string{topic()}, ignore); err != nil {
		t.Fatal(err)
	}
	refused := func(what, name string, topics []string, h bus.Handler) {
		t.Helper()
		if err := b.Subscribe(name, topics, h); err == nil {
			t.Errorf("a subscription %s was accepted", what)
		}
	}
	refused("under a name that is taken", taken, []string{topic()}, ignore)
	refused("without a name", "", []string{topic()}, ignore)
	refused("without topics", name(), nil, ignore)
	refused("without a handler", name(), []string{topic()}, nil)
	run(t, b)
	refused("while the bus runs", name(), []string{topic()}, ignore)
	if err := b.Run(t.Context()); err == nil {
		t.Error("the bus ran twice at once")
	}
}

func endOfContext(t *testing.T, b *bus.Bus, _ Features) {
	subscribe(t, b, topic())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	receive(t, b.Running())
	cancel()
	if err := receive(t, ended); err != nil {
		t.Errorf("Run: %v", err)
	}
	closed(t, b)
}

func idle(t *testing.T, b *bus.Bus, _ Features) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	receive(t, b.Running())
	cancel()
	if err := receive(t, ended); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func neverRan(t *testing.T, b *bus.Bus, _ Features) {
	subscribe(t, b, topic())
	closed(t, b)
}

func closing(t *testing.T, b *bus.Bus, _ Features) {
	in := topic()
	entered := make(chan struct{})
	err := b.Subscribe(name(), []string{in}, func(ctx context.Context, _ bus.Message) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(context.WithoutCancel(t.Context())) }()
	receive(t, b.Running())
	publish(t, b, events(in, 1, 5)...) // four wait when it closes
	receive(t, entered)
	closed(t, b)
	if err := receive(t, ended); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// closed closes the bus, again if need be, and sees that it stays so.
func closed(t *testing.T, b *bus.Bus) {
	t.Helper()
	for range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if err := b.Publish(t.Context(), events(topic(), 1, 1)); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("publishing on a closed bus gives %v, want ErrClosed", err)
	}
	if err := b.Run(t.Context()); err == nil {
		t.Error("a closed bus ran")
	}
	if err := b.Subscribe(name(), []string{topic()}, func(context.Context, bus.Message) error { return nil }); err == nil {
		t.Error("a closed bus took a subscription")
	}
}

// topic draws the name of a module, and name that of a subscription.
func topic() string { return "t" + uuid.NewString() }
func name() string  { return "s" + uuid.NewString() }

// events makes n events of a module from a position on: always the same ones, but made anew, so that nobody can change what
// they are compared with.
func events(module string, from event.Position, n int) []event.Envelope {
	all := make([]event.Envelope, n)
	for i := range all {
		p := from + event.Position(i)
		all[i] = event.Envelope{
			Position:   p,
			ID:         event.Derive(uuid.NameSpaceOID, module, fmt.Sprint(p)),
			Unit:       event.Derive(uuid.NameSpaceOID, module, "unit", fmt.Sprint(p)),
			Stream:     event.NewTag("thing", module),
			Version:    int(p) + 1,
			Type:       module + ".thing_happened",
			Schema:     int(p) % 3,
			RecordedAt: time.Date(2026, 2, 3, 4, 5, 6, int(p)*1000, time.UTC),
			Actor:      []string{"", "Zoë"}[p%2],
			Data:       json.RawMessage(fmt.Sprintf(`{"n":%d}`, p)),
		}
	}
	return all
}

func publish(t *testing.T, b *bus.Bus, e ...event.Envelope) {
	t.Helper()
	if err := b.Publish(t.Context(), e); err != nil {
		t.Error(err)
	}
}

// subscribe gives what arrives in the topics.
func subscribe(t *testing.T, b *bus.Bus, topics ...string) <-chan bus.Message {
	t.Helper()
	got := make(chan bus.Message, 100*Buffer)
	err := b.Subscribe(name(), topics, func(_ context.Context, m bus.Message) error {
		got <- m
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// run runs the bus to the end of the test.
func run(t *testing.T, b *bus.Bus) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- b.Run(context.WithoutCancel(t.Context())) }()
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), receive(t, ended)); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	receive(t, b.Running())
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing arrived")
		panic("not reached")
	}
}

// nothing sees that nothing more has arrived. It can only say so of what would have arrived by now.
func nothing[T any](t *testing.T, c <-chan T) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("%v arrived as well", v)
	default:
	}
}
