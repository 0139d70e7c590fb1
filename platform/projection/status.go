package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
)

// Status is how a projector stands.
type Status struct {
	Name     string
	Version  int
	Timing   Timing
	State    State          // empty when it was not booted
	Position event.Position // everything up to here is in its tables
	Lag      int64          // how many events the log is ahead
	Age      time.Duration  // how long ago the first of them was recorded; 0 when there are none
	Error    string         // why it is Broken; the event that it cannot play is the one after Position
}

// Status says how the projectors of this process stand, by name.
func (p *Projectionist) Status(ctx context.Context) ([]Status, error) {
	head, err := p.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Status, 0, len(p.players))
	for _, pl := range p.players {
		at, err := pl.at(ctx, p.DB.Read)
		switch {
		case errors.Is(err, errNotBooted):
			all = append(all, Status{Name: pl.Name, Version: pl.Version})
			continue
		case err != nil:
			return nil, fmt.Errorf("ask for the status of projector %s: %w", pl.Name, err)
		}
		s := pl.status(at, head.Position)
		if s.Lag > 0 {
			for env, err := range p.Log.Read(ctx, eventlog.Query{After: s.Position, Limit: 1}) {
				if err == nil {
					s.Age = age(env.RecordedAt)
				}
			}
		}
		all = append(all, s)
	}
	return all, nil
}

func (p *player) status(at checkpoint, head event.Position) Status {
	s := Status{Name: p.Name, Version: p.Version, Timing: at.timing, State: at.state, Position: at.position, Error: at.error}
	if at.timing == Immediate {
		s.Position = head
	}
	s.Lag = max(0, int64(head-s.Position))
	return s
}

func age(recorded time.Time) time.Duration { return max(0, time.Since(recorded)) }

// report tells the meter. behind is when an event was recorded that is about as old as the first not played; zero for none.
func (p *player) report(at checkpoint, head event.Position, behind time.Time) {
	s := p.status(at, head)
	if !behind.IsZero() {
		s.Age = age(behind)
	}
	p.Meter.Projector(s)
}

// reportImmediate does so for a projector that others play: whoever waits is told how far the log is.
func (p *player) reportImmediate(ctx context.Context, at checkpoint) error {
	head, err := p.Log.Head(ctx)
	if err != nil {
		return err
	}
	p.progress.announce(head.Position)
	p.report(at, head.Position, time.Time{})
	return nil
}
