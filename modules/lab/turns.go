package lab

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"accession/platform/problem"
)

// Turns let variants of one thing take turns, round after round, so that what the machine does meanwhile is shared fairly.
type Turns struct {
	Writers int           // how many call at a time, each again as soon as it has its answer
	Rounds  int           // how often each variant has its turn
	Length  time.Duration // of a turn; what was called by then is waited for. Each writer calls once at least
}

// Variant is one way of doing something, and how it went.
type Variant struct {
	Name string
	// Do does it once. i counts the calls of all writers, over all turns, from 0. An error that a user may see is counted, any
	// other ends everything.
	Do func(ctx context.Context, i int) error

	Accepted, Rejected, Refused int           // calls, by their answers; Rejected are those that lost to a rival and were told
	Busy                        time.Duration // the turns, until their last answer

	calls atomic.Int64
	took  []time.Duration // of what was accepted, from call to answer
}

// Run gives each variant its turns. before and after, which may be nil, are called around each, outside of what is measured.
func (t Turns) Run(ctx context.Context, variants []*Variant, before, after func(context.Context, *Variant) error) error {
	for round := range t.Rounds {
		for i := range variants {
			v := variants[place(i, round, len(variants))]
			for _, step := range []func(context.Context, *Variant) error{before, t.turn, after} {
				if step == nil {
					continue
				}
				if err := step(ctx, v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// place says which of n variants has the i-th turn of a round: 0, 1, n-1, 2, n-2 and so on, moved by one in each round. So each
// follows each other equally often within n rounds, and none always has to cope with what the same one has left behind. If n is
// odd it takes twice as many: every second round goes the other way about.
func place(i, round, n int) int {
	at := (i + 1) / 2
	if i%2 == 0 {
		at = -at
	}
	if n%2 == 1 && round%2 == 1 {
		at = -at
	}
	return ((at+round)%n + n) % n
}

// turn is one turn of v.
func (t Turns) turn(ctx context.Context, v *Variant) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var writers sync.WaitGroup
	began := time.Now()
	for range t.Writers {
		writers.Go(func() {
			var mine []time.Duration
			rejected, refused := 0, 0
			for first := true; (first || time.Since(began) < t.Length) && ctx.Err() == nil; first = false {
				at := time.Now()
				err := v.Do(ctx, int(v.calls.Add(1)-1))
				p, told := errors.AsType[*problem.Error](err)
				switch {
				case err == nil:
					mine = append(mine, time.Since(at))
				case ctx.Err() != nil: // it is over: the answer says nothing about the variant
				case !told || p.Kind == problem.Internal:
					cancel(err)
				case p.Kind == problem.Conflict && p.Retryable:
					rejected++
				default:
					refused++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			v.took = append(v.took, mine...)
			v.Accepted, v.Rejected, v.Refused = v.Accepted+len(mine), v.Rejected+rejected, v.Refused+refused
		})
	}
	writers.Wait()
	v.Busy += time.Since(began)
	return context.Cause(ctx)
}

// Rate is n by second of the variant's turns.
func (v *Variant) Rate(n int) float64 {
	if v.Busy <= 0 {
		return 0
	}
	return float64(n) / v.Busy.Seconds()
}

// Quantile is the time, from call to answer, within which that part of what was accepted had its answer; 0 when nothing was.
func (v *Variant) Quantile(q float64) time.Duration {
	if len(v.took) == 0 {
		return 0
	}
	slices.Sort(v.took)
	return v.took[max(0, int(math.Ceil(q*float64(len(v.took))))-1)]
}
