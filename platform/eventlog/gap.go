package eventlog

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"accession/platform/event"
)

// Gap is an event of which a reader cannot tell what it says: its bytes cannot be decoded, or it is an [event.Unknown]. What it
// has done cannot be checked.
type Gap struct {
	event.Envelope             // without Data and Event
	Tags           []event.Tag // as they are stored, its stream's first
	Err            error       // why it cannot be decoded; nil when this binary has no type for it, or only an older one
}

// Past reads r, and goes on behind an event that cannot be decoded if pass says so. Such an event comes as an [event.Unknown].
func Past(r Reader, pass func(event.Envelope, error) bool) Reader { return past{r, pass} }

// PastGaps reads r, and goes on behind the gaps, which are sorted by position.
func PastGaps(r Reader, gaps []Gap) Reader {
	return Past(r, func(env event.Envelope, _ error) bool {
		_, found := slices.BinarySearchFunc(gaps, env.Position, func(g Gap, at event.Position) int { return cmp.Compare(g.Position, at) })
		return found
	})
}

type past struct {
	Reader
	pass func(event.Envelope, error) bool
}

// Read implements Reader.
func (p past) Read(ctx context.Context, q Query) iter.Seq2[event.Envelope, error] {
	return func(yield func(event.Envelope, error) bool) {
		for on := true; on; {
			on = false
			for env, err := range p.Reader.Read(ctx, q) {
				if on = err != nil && env.Position > 0 && p.pass(env, err); on {
					env.Event, err = &event.Unknown{Type: env.Type, Schema: env.Schema, Data: env.Data}, nil
				}
				if !yield(env, err) || err != nil {
					return
				}
				q.After = env.Position // what is left to be read
				for _, n := range []*int{&q.Limit, &q.Last} {
					if *n == 1 {
						return
					}
					*n = max(*n-1, 0)
				}
			}
		}
	}
}

// ErrUnreadable: what is stored beside the log says nothing that it can say, and will not later.
var ErrUnreadable = errors.New("it cannot be read")
