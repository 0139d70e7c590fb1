package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"accession/platform/bus"
	"accession/platform/bus/bustest"
	"accession/platform/event"
	"accession/platform/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) *bus.Bus {
	t.Helper()
	b, err := bus.New(bus.Config{Source: "the-log", Buffer: bustest.Buffer}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoChannel(t *testing.T) {
	t.Parallel()
	bustest.Run(t, open, bustest.Features{Ordered: true})
}

func TestADriverThatIsNotThereIsAMistakeOfUsage(t *testing.T) {
	t.Parallel()
	for _, cfg := range []bus.Config{{Driver: "kafka"}, {Driver: "carrier-pigeon"}, {Buffer: -1}} {
		_, err := bus.New(cfg, nil)
		if err == nil || problem.Of(err).Kind != problem.Usage {
			t.Errorf("New(%+v) gives %v, want an error of Usage", cfg, err)
		}
	}
}

func TestWhatIsDroppedIsCountedAndSaid(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	b, err := bus.New(bus.Config{Buffer: 2}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}, 10), make(chan struct{})
	err = b.Subscribe("slow", []string{"m"}, func(context.Context, bus.Message) error {
		entered <- struct{}{}
		<-release
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Run(context.WithoutCancel(t.Context())) }()
	<-b.Running()
	one := event.Envelope{Position: 1, Type: "m.x"}
	for range 2 {
		if err := b.Publish(t.Context(), []event.Envelope{one}); err != nil {
			t.Fatal(err)
		}
	}
	<-entered // the first is being handled, the second waits for it or in the buffer
	many := make([]event.Envelope, 10)
	for i := range many {
		many[i] = one
	}
	if err := b.Publish(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	if n := b.Dropped(); n < 8 || n > 9 {
		t.Errorf("%d events were dropped, want 8 or 9", n)
	}
	close(release)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "events are dropped"); n != 4 {
		t.Errorf("it was said %d times, want 4:\n%s", n, log.String())
	}
}

func TestAHandlerThatWillNotEndIsGivenUp(t *testing.T) {
	t.Parallel()
	b, err := bus.New(bus.Config{CloseTimeout: time.Millisecond}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	err = b.Subscribe("deaf", []string{"m"}, func(context.Context, bus.Message) error {
		close(entered)
		<-release
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Run(context.WithoutCancel(t.Context())) }()
	<-b.Running()
	if err := b.Publish(t.Context(), []event.Envelope{{Position: 1, Type: "m.x"}}); err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := b.Close(); err == nil {
		t.Error("Close gave no error, but a handler is still at work")
	}
	close(release)
	if err := <-done; err == nil {
		t.Error("Run gave no error")
	}
}

func TestWhoFailsIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	b, err := bus.New(bus.Config{}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{})
	err = b.Subscribe("clumsy", []string{"m"}, func(context.Context, bus.Message) error {
		close(entered)
		panic("dropped the tray")
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Run(context.WithoutCancel(t.Context())) }()
	<-b.Running()
	if err := b.Publish(t.Context(), []event.Envelope{{Position: 7, Type: "m.x"}}); err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := b.Close(); err != nil { // waits for the handler, and so for what is logged about it
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"level=ERROR", "subscription=clumsy.m", "position=7", "dropped the tray"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not have %q:\n%s", want, log.String())
		}
	}
}

// syncBuffer is a buffer that several goroutines may log to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func Example() {
	b, err := bus.New(bus.Config{Source: "0192f1c2-6f0e-7c3a-9d5b-0123456789ab"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	rang := make(chan struct{})
	err = b.Subscribe("books", []string{"catalogue"}, func(_ context.Context, m bus.Message) error {
		fmt.Println(m.Envelope.Type, "at", m.Envelope.Position)
		close(rang)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	<-b.Running()

	_ = b.Publish(ctx, []event.Envelope{
		{Position: 1, ID: uuid.New(), Type: "library.category_created"},
		{Position: 2, ID: uuid.New(), Type: "catalogue.book_added"},
	})
	<-rang
	stop()
	fmt.Println("ended with", <-done)
	// Output:
	// catalogue.book_added at 2
	// ended with <nil>
}

// BenchmarkPublish is what a commit pays: one event, to nobody and to some who listen.
func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{0, 1, 4} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			s := open(b)
			for i := range subscribers {
				err := s.Subscribe(fmt.Sprint(i), []string{"catalogue"}, func(context.Context, bus.Message) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
			done := make(chan error, 1)
			go func() { done <- s.Run(context.WithoutCancel(b.Context())) }()
			<-s.Running()
			e := []event.Envelope{{Position: 1, ID: uuid.New(), Type: "catalogue.book_added", Data: []byte(`{}`)}}
			for b.Loop() {
				if err := s.Publish(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
			if err := errors.Join(s.Close(), <-done); err != nil {
				b.Fatal(err)
			}
		})
	}
}
