package eventlog

import (
	"context"
	"fmt"
	"sync"

	"accession/platform/event"
)

// Settled finds what streams say once and for all, such as the number of a category, and remembers it: from when it is said, it is
// not read again. It is safe for concurrent use.
type Settled[S comparable] struct {
	play func(*S, event.Event)

	mu    sync.Mutex
	known map[event.Tag]settled[S]
}

type settled[S comparable] struct {
	is    S
	since event.Position
}

// NewSettled finds what play makes of a stream. As soon as that is not the zero S, no later event may change it.
func NewSettled[S comparable](play func(*S, event.Event)) *Settled[S] {
	return &Settled[S]{play: play, known: map[event.Tag]settled[S]{}}
}

// maxSettled bounds the memory: some MiB.
const maxSettled = 1 << 15

// Of is what the stream in r said at a position; 0 is now. The zero S: it did not say it yet.
func (s *Settled[S]) Of(ctx context.Context, r Reader, stream event.Tag, at event.Position) (S, error) {
	var none S
	found, ok := s.recall(stream)
	if !ok {
		for env, err := range r.Read(ctx, Query{Stream: stream}) {
			if err != nil {
				return none, fmt.Errorf("fold stream %s: %w", stream, err)
			}
			s.play(&found.is, env.Event)
			if found.is != none {
				found.since = env.Position
				s.remember(stream, found)
				break
			}
		}
	}
	if at > 0 && at < found.since {
		return none, nil
	}
	return found.is, nil
}

func (s *Settled[S]) recall(stream event.Tag) (settled[S], bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.known[stream]
	return found, ok
}

func (s *Settled[S]) remember(stream event.Tag, found settled[S]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxSettled {
		clear(s.known)
	}
	s.known[stream] = found
}
