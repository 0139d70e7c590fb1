package eventlog_test

import (
	"context"
	"iter"
	"testing"

	"accession/platform/event"
	"accession/platform/eventlog"
)

type numbered struct{ Number int }

func (*numbered) EventType() string { return "test.numbered" }
func (*numbered) Tags() []event.Tag { return nil }

// stream is a log of one stream; a zero is an event without a number. It counts how often it is read.
type stream struct {
	eventlog.Reader
	numbers []int
	reads   int
}

func (s *stream) Read(context.Context, eventlog.Query) iter.Seq2[event.Envelope, error] {
	s.reads++
	return func(yield func(event.Envelope, error) bool) {
		for i, n := range s.numbers {
			if !yield(event.Envelope{Position: event.Position(i + 1), Event: &numbered{n}}, nil) {
				return
			}
		}
	}
}

func TestSettled(t *testing.T) {
	t.Parallel()
	s := eventlog.NewSettled(func(n *int, e event.Event) {
		if *n == 0 {
			*n = e.(*numbered).Number
		}
	})
	log := &stream{numbers: []int{0, 0}}
	of := func(at event.Position, want, reads int) {
		t.Helper()
		got, err := s.Of(t.Context(), log, event.NewTag("thing", "1"), at)
		if got != want || err != nil || log.reads != reads {
			t.Errorf("at %d it is %d after %d reads, %v; want %d after %d", at, got, log.reads, err, want, reads)
		}
	}
	of(0, 0, 1)
	of(2, 0, 2)
	log.numbers = []int{0, 0, 7, 0}
	of(2, 0, 3) // what it is now is found on the way
	of(0, 7, 3)
	of(3, 7, 3)
	of(2, 0, 3)
}
