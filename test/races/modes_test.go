package races_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/module"
	"accession/platform/usecase"
)

// process is a runner as a process has one, with modes that can be changed while it runs, and what it reports of the numbers of
// books. Several on one store are several processes.
type process struct {
	usecase.Runner
	settings atomic.Pointer[consistency.Settings]
	begun    atomic.Int64 // attempts
	won      atomic.Int64 // commands

	mu       sync.Mutex
	outcomes map[consistency.Outcome]int
	waits    int
	batched  int // units that the lane stored
	queued   int // units that wait in the lane
}

func newProcess(s consistencytest.Store, mode consistency.Mode, probe func(context.Context, consistency.Stage)) *process {
	p := &process{outcomes: map[consistency.Outcome]int{}}
	p.keep(mode)
	p.Runner = runnerIn(s, mode, func(c *consistency.Config) {
		c.Settings = func() consistency.Settings { return *p.settings.Load() }
		c.Meter, c.Abreast = p, 2 // as on PostgreSQL; elsewhere one waits for the other
		c.Committed = func(context.Context, usecase.Receipt) { p.won.Add(1) }
		c.Probe = func(ctx context.Context, stage consistency.Stage) {
			if stage == consistency.Begin {
				p.begun.Add(1)
			}
			if probe != nil {
				probe(ctx, stage)
			}
		}
	})
	return p
}

// keep changes the mode of all constraints that can have it. Adaptive lines up after few conflicts, and goes back at once.
func (p *process) keep(mode consistency.Mode) {
	s := settingsIn(mode)
	s.Contention = consistency.Contention{Raise: 3, Fall: 3}
	p.settings.Store(&s)
}

// Attempted implements consistency.Meter.
func (p *process) Attempted(a consistency.Attempt) {
	if a.Constraint == catalogue.BookNumber.Name {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.outcomes[a.Outcome]++
	}
}

// Waited implements consistency.Meter.
func (p *process) Waited(constraint string, _ consistency.Mode, _ time.Duration) {
	if constraint == catalogue.BookNumber.Name {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waits++
	}
}

// Queued implements consistency.Meter.
func (p *process) Queued(units int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queued = units
}

// Batched implements consistency.Meter.
func (p *process) Batched(units int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batched += units
}

// counted checks that each attempt was counted once, and that nobody waits any more (rule R25).
func (p *process) counted(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := 0
	for _, n := range p.outcomes {
		sum += n
	}
	if sum != int(p.begun.Load()) || p.outcomes[consistency.Accepted] != int(p.won.Load()) {
		t.Errorf("%d attempts and %d successes were counted as %v", p.begun.Load(), p.won.Load(), p.outcomes)
	}
	if p.queued != 0 {
		t.Errorf("%d wait in the lane in the end", p.queued)
	}
}

// TestEachAttemptIsCountedOnce is rule R25 in every mode.
func TestEachAttemptIsCountedOnce(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, mode := range consistency.Built() {
			t.Run(fmt.Sprint(store.name, "/", mode), func(t *testing.T) {
				t.Parallel()
				s := store.open(t, must(module.Registry(modules)))
				scopes := raceBooks(t, s, 2)
				const writers, each = 16, 4
				p := newProcess(s, mode, consistencytest.NewBarrier(writers).At(consistency.Decided))
				refused := claimBooks(t, scopes, writers, each, p)
				p.counted(t)
				if mode != consistency.Reject && refused > 0 {
					t.Errorf("%d were refused", refused)
				}
				if want := map[consistency.Outcome]int{consistency.Accepted: writers * each}; mode == consistency.Queue &&
					(!maps.Equal(p.outcomes, want) || p.batched != writers*each || p.waits != writers*each) {
					t.Errorf("in the lane: %v, %d stored, %d waited", p.outcomes, p.batched, p.waits)
				}
				checkBooks(t, s, scopes, writers*each-refused)
			})
		}
	}
}

// TestAModeIsChangedInTheMiddleOfARace: two processes, in different modes, exchange them when eight have decided and nothing is
// stored, and then after every few commands again; for all pairs.
func TestAModeIsChangedInTheMiddleOfARace(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, from := range consistency.Built() {
			for _, to := range consistency.Built() {
				if from == to {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s to %s", store.name, from, to), func(t *testing.T) {
					t.Parallel()
					s := store.open(t, must(module.Registry(modules)))
					scopes := raceBooks(t, s, 2)
					const writers, each, decided = 16, 6, 8
					var one, other *process
					gate := consistencytest.NewBarrier(decided)
					var arrived, stored atomic.Int64
					probe := func(ctx context.Context, stage consistency.Stage) {
						switch stage {
						case consistency.Decided:
							if arrived.Add(1) == decided {
								one.keep(to)
								other.keep(from)
							}
							gate.Wait(ctx)
						case consistency.Written:
							switch stored.Add(1) % 10 {
							case 0:
								one.keep(to)
								other.keep(from)
							case 5:
								one.keep(from)
								other.keep(to)
							}
						case consistency.Begin, consistency.Locked:
						}
					}
					one, other = newProcess(s, from, probe), newProcess(s, to, probe)
					refused := claimBooks(t, scopes, writers, each, one, other)
					one.counted(t)
					other.counted(t)
					if from != consistency.Reject && to != consistency.Reject && refused > 0 {
						t.Errorf("%d were refused", refused)
					}
					checkBooks(t, s, scopes, writers*each-refused)
				})
			}
		}
	}
}

// raceBooks makes n categories.
func raceBooks(t *testing.T, s consistencytest.Store, n int) []event.Tag {
	t.Helper()
	scopes, err := sequences(t)[1].Prepare(t.Context(), runnerIn(s, consistency.Lock, nil), n)
	if err != nil {
		t.Fatal(err)
	}
	return scopes
}

// claimBooks has writers, who belong to the processes in turn, add books to the scopes, and gives how many lost to a rival.
func claimBooks(t *testing.T, scopes []event.Tag, writers, each int, in ...*process) int {
	t.Helper()
	claim := sequences(t)[1].Claim
	var refused atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		p := in[w%len(in)]
		wg.Go(func() {
			for i := range each {
				_, err := p.Run(t.Context(), claim(scopes[(w/len(in)+i)%len(scopes)]))
				switch {
				case errors.Is(err, catalogue.ErrBookNumberNotUnique):
					refused.Add(1)
				case err != nil:
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
	return int(refused.Load())
}

// checkBooks checks that the scopes have n books beside their first ones, numbered 1, 2, 3 … in the order of the log.
func checkBooks(t *testing.T, s consistencytest.Store, scopes []event.Tag, n int) {
	t.Helper()
	for _, scope := range scopes {
		last := 0
		for env, err := range s.Log.Read(t.Context(), eventlog.Query{Tag: scope}) {
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := env.Event.(*catalogueevents.BookAdded); ok {
				if last++; e.Number != last {
					t.Errorf("number %d comes where %d should", e.Number, last)
				}
			}
		}
		n -= last - 1
	}
	if n != 0 {
		t.Errorf("%d books too few are in the log", n)
	}
	findings, err := consistency.Audit(t.Context(), must(module.Constraints(modules)), s.Log, s.Register)
	if err != nil || len(findings) > 0 {
		t.Errorf("audit: %v %v", findings, err)
	}
}
