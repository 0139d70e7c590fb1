// Package consistencytest races constraints. [Run] is the contract of a register, with a constraint of each kind made for the
// purpose; [RaceSequence] and [RaceUnique] race any constraint in every mode it has, and check the outcome and the cost: a race
// test that looks only at the outcome cannot tell a lock from a retry.
//
// Writers are let go at barriers, never after sleeps, and at two places: before they read anything, and after they have decided.
package consistencytest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/mutant"
	"accession/platform/problem"
	"accession/platform/usecase"
)

// Store is a log and the register beside it.
type Store struct {
	Log      eventlog.Log
	Register consistency.Register
}

// Open makes an empty store for one test, whose log knows the events of the registry.
type Open func(t *testing.T, registry *event.Registry) Store

// Features are what a store can do that others cannot.
type Features struct {
	Overlap bool // transactions on disjoint scopes are under way at once
}

// Barrier holds whoever arrives until all are there; who comes later passes.
type Barrier struct {
	mu      sync.Mutex
	missing int
	open    chan struct{}
}

// NewBarrier is a barrier for n.
func NewBarrier(n int) *Barrier { return &Barrier{missing: n, open: make(chan struct{})} }

// Wait waits for the others, or for the end of ctx.
func (b *Barrier) Wait(ctx context.Context) {
	b.mu.Lock()
	if b.missing--; b.missing == 0 {
		close(b.open)
	}
	b.mu.Unlock()
	select {
	case <-b.open:
	case <-ctx.Done():
	}
}

// At is a probe that holds every attempt at the stage, until the barrier opens.
func (b *Barrier) At(stage consistency.Stage) func(context.Context, consistency.Stage) {
	return func(ctx context.Context, s consistency.Stage) {
		if s == stage {
			b.Wait(ctx)
		}
	}
}

// Meter counts what a runner reports. The zero value is ready to use.
type Meter struct {
	mu      sync.Mutex
	counts  map[string]map[consistency.Outcome]int
	batches []int         // how many units the lane stored each time
	queued  int           // how many wait in the lane
	changed chan struct{} // closed when that changes; nil when nobody wants to know
}

// Attempted implements consistency.Meter.
func (m *Meter) Attempted(a consistency.Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts = map[string]map[consistency.Outcome]int{}
	}
	if m.counts[a.Constraint] == nil {
		m.counts[a.Constraint] = map[consistency.Outcome]int{}
	}
	m.counts[a.Constraint][a.Outcome]++
}

// Waited implements consistency.Meter.
func (m *Meter) Waited(string, consistency.Mode, time.Duration) {}

// Queued implements consistency.Meter.
func (m *Meter) Queued(units int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queued = units
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// WaitQueued waits until n units wait in the lane, or for the end of ctx.
func (m *Meter) WaitQueued(ctx context.Context, n int) {
	for {
		m.mu.Lock()
		if m.queued == n {
			m.mu.Unlock()
			return
		}
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Batched implements consistency.Meter. It panics where a transaction in which everybody has to wait for others is called a batch.
func (m *Meter) Batched(units int) {
	if units < 1 {
		panic("a batch of nobody")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches = append(m.batches, units)
}

// Of is what was counted for the constraint.
func (m *Meter) Of(constraint string) map[consistency.Outcome]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.counts[constraint])
}

// Sequence is a sequence to be raced.
type Sequence struct {
	Name     string // the constraint's
	Registry *event.Registry
	Set      *consistency.Set
	Taken    *problem.Error
	// Prepare makes n scopes with nothing in them, or with one number used up (Used), and names them.
	Prepare func(ctx context.Context, run usecase.Runner, n int) ([]event.Tag, error)
	Used    int
	// Claim is a request that claims the next number of the scope, a new one each time.
	Claim func(scope event.Tag) usecase.Request
	// Unknown is a request that claims a number where there is nothing to claim it in, and the error it gets. Optional.
	Unknown func() (usecase.Request, *problem.Error)
}

// race is one store being raced.
type race struct {
	t     mutant.T
	s     Sequence
	store Store
	meter Meter

	overlap bool
}

// RaceSequence races a sequence in every mode that is built: rules R1 to R3, R5, R7 to R9.
func RaceSequence(t *testing.T, s Sequence, open Open, features Features) {
	t.Helper()
	for _, rule := range slices.Concat(sequenceRules, laneRules, doubtRules, tokenRules) {
		if rule.overlap && !features.Overlap {
			continue
		}
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			rule.check(&race{t: t, s: s, store: open(t, s.Registry), overlap: features.Overlap})
		})
	}
}

// CaughtSequence checks that the rules notice what is wrong with a store.
func CaughtSequence(t *testing.T, s Sequence, open Open) {
	t.Helper()
	mutant.Caught(t, func(m mutant.T) {
		for _, rule := range slices.Concat(sequenceRules, laneRules) {
			if rule.overlap {
				continue
			}
			if rule.check(&race{t: m, s: s, store: open(t, s.Registry)}); m.Failed() {
				return
			}
		}
	})
}

type sequenceRule struct {
	name    string
	overlap bool // only where disjoint transactions overlap
	check   func(*race)
}

var sequenceRules = []sequenceRule{
	{name: "R1 R3 reject: of 8 who decided on the same number one gets it, and the others leave nothing", check: func(r *race) {
		scope := r.prepare(1)[0]
		r.claimAll(consistency.Lock, scope, 3)
		perCommand := r.perCommand(scope)
		r.meter = Meter{}
		before := r.head()
		errs := r.rivals(r.runner(consistency.Reject, 16, NewBarrier(8).At(consistency.Decided)), repeat(scope, 8))
		r.outcome(errs, 1, 7)
		r.cost(map[consistency.Outcome]int{consistency.Accepted: 1, consistency.Rejected: 7})
		if grew := int(r.head() - before); grew != perCommand {
			r.t.Errorf("the log grew by %d events, a command records %d", grew, perCommand)
		}
		r.claimAll(consistency.Reject, scope, 1)
		r.consecutive(scope, r.s.Used+3+1+1+1) // three, one more, the winner, the last
	}},
	{name: "R1 reject: let go before the first read, nobody gets a number twice", check: func(r *race) {
		scope := r.prepare(1)[0]
		errs := r.rivals(r.runner(consistency.Reject, 16, NewBarrier(8).At(consistency.Begin)), repeat(scope, 8))
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, r.s.Taken) {
				r.t.Errorf("a loser got %v", err)
			}
		}
		if won == 0 {
			r.t.Errorf("nobody won")
		}
		r.consecutive(scope, r.s.Used+won)
	}},
	{name: "R2 reject: 4 scopes of 8 who have all decided give 4 commits", check: func(r *race) {
		scopes := r.prepare(4)
		errs := r.rivals(r.runner(consistency.Reject, 16, NewBarrier(32).At(consistency.Decided)), spread(scopes, 8))
		r.outcome(errs, 4, 28)
		for _, s := range scopes {
			r.consecutive(s, r.s.Used+1)
		}
	}},
	{name: "R2 in every mode but reject: 4 scopes of 8 give 32 commits", check: func(r *race) {
		for _, mode := range patient() {
			for _, stage := range []consistency.Stage{consistency.Begin, consistency.Decided} {
				scopes := r.prepare(4)
				errs := r.rivals(r.runner(mode, 64, NewBarrier(32).At(stage)), spread(scopes, 8))
				r.outcome(errs, 32, 0)
				for _, s := range scopes {
					r.consecutive(s, r.s.Used+8)
				}
			}
		}
	}},
	{name: "R3 a command that fails while it is stored gives its number back", check: func(r *race) {
		scope := r.prepare(1)[0]
		for _, mode := range consistency.Built() {
			run := r.runner(mode, 16, nil)
			req := r.s.Claim(scope)
			if _, err := run.Run(r.t.Context(), req); err != nil {
				r.t.Fatalf("%s: %v", mode, err)
			}
			before := r.head()
			req.Key += "again" // another request that makes the same thing: its stream is there
			if _, err := run.Run(r.t.Context(), req); !errors.Is(err, consistency.ErrIDTaken) {
				r.t.Errorf("%s: the same thing made twice: %v", mode, err)
			}
			if r.head() != before {
				r.t.Errorf("%s: a failed command left events", mode)
			}
			r.claimAll(mode, scope, 1)
		}
		r.consecutive(scope, r.s.Used+2*len(consistency.Built()))
	}},
	{name: "R3 a command whose caller has gone leaves nothing", check: func(r *race) {
		scope := r.prepare(1)[0]
		stored := 0
		for _, mode := range consistency.Built() {
			for _, stage := range []consistency.Stage{consistency.Begin, consistency.Decided, consistency.Locked, consistency.Written} {
				ctx, cancel := context.WithCancel(r.t.Context())
				run := r.runner(mode, 16, func(_ context.Context, s consistency.Stage) {
					if s == stage {
						cancel()
					}
				})
				before := r.head()
				_, err := run.Run(ctx, r.s.Claim(scope))
				cancel()
				switch {
				case err == nil && mode == consistency.Queue && (stage == consistency.Locked || stage == consistency.Written):
					stored++ // its turn had come: the transaction is not the caller's alone
				case !errors.Is(err, context.Canceled):
					r.t.Errorf("%s, cancelled at %s: %v", mode, stage, err)
				case r.head() != before:
					r.t.Errorf("%s, cancelled at %s: something was stored", mode, stage)
				}
			}
			r.claimAll(mode, scope, 1)
		}
		r.consecutive(scope, r.s.Used+len(consistency.Built())+stored)
	}},
	{name: "R7 retry: 16 who decided on the same number get 16 numbers, each within its attempts", check: func(r *race) {
		scope := r.prepare(1)[0]
		errs := r.rivals(r.runner(consistency.Retry, 64, NewBarrier(16).At(consistency.Decided)), repeat(scope, 16))
		r.outcome(errs, 16, 0)
		r.consecutive(scope, r.s.Used+16)
		got := r.meter.Of(r.s.Name)
		if got[consistency.Accepted] != 16 || got[consistency.Retried] < 15 || got[consistency.Exhausted]+got[consistency.Rejected] > 0 {
			r.t.Errorf("counted %v", got)
		}
	}},
	{name: "R7 retry with one attempt behaves as reject, and counts as exhausted", check: func(r *race) {
		scope := r.prepare(1)[0]
		errs := r.rivals(r.runner(consistency.Retry, 1, NewBarrier(8).At(consistency.Decided)), repeat(scope, 8))
		r.outcome(errs, 1, 7)
		r.cost(map[consistency.Outcome]int{consistency.Accepted: 1, consistency.Exhausted: 7})
		r.consecutive(scope, r.s.Used+1)
	}},
	{name: "R7 what can never succeed is tried once, in every mode", check: func(r *race) {
		if r.s.Unknown == nil {
			return
		}
		r.prepare(1)
		for _, mode := range consistency.Built() {
			attempts := 0
			run := r.runner(mode, 16, func(_ context.Context, s consistency.Stage) {
				if s == consistency.Begin {
					attempts++
				}
			})
			before := r.head()
			req, want := r.s.Unknown()
			if _, err := run.Run(r.t.Context(), req); !errors.Is(err, want) {
				r.t.Errorf("%s: %v, want %v", mode, err, want)
			}
			if attempts != 1 || r.head() != before {
				r.t.Errorf("%s: %d attempts, log grew by %d", mode, attempts, r.head()-before)
			}
		}
	}},
	{name: "R8 lock: 16 in one scope get 16 numbers, none failed and none started over", check: func(r *race) {
		for _, stage := range []consistency.Stage{consistency.Begin, consistency.Decided} {
			scope := r.prepare(1)[0]
			errs := r.rivals(r.runner(consistency.Lock, 16, NewBarrier(16).At(stage)), repeat(scope, 16))
			r.outcome(errs, 16, 0)
			r.cost(map[consistency.Outcome]int{consistency.Accepted: 16})
			r.consecutive(scope, r.s.Used+16)
		}
	}},
	{name: "R8 lock: while a transaction holds one scope another scope's writers go on", overlap: true, check: func(r *race) {
		scopes := r.prepare(2)
		held, release := make(chan struct{}), make(chan struct{})
		holder := r.runner(consistency.Lock, 16, func(_ context.Context, s consistency.Stage) {
			if s == consistency.Locked {
				close(held)
				<-release
			}
		})
		done := make(chan error, 1)
		go func() {
			_, err := holder.Run(r.t.Context(), r.s.Claim(scopes[0]))
			done <- err
		}()
		<-held
		r.claimAll(consistency.Lock, scopes[1], 2)
		close(release)
		if err := <-done; err != nil {
			r.t.Errorf("the holder: %v", err)
		}
		r.consecutive(scopes[0], r.s.Used+1)
		r.consecutive(scopes[1], r.s.Used+2)
	}},
	{name: "R9 first use of a scope: 8 at once get 1 to 8", check: func(r *race) {
		for _, mode := range patient() {
			for _, stage := range []consistency.Stage{consistency.Begin, consistency.Decided} {
				scope := r.prepare(1)[0]
				errs := r.rivals(r.runner(mode, 64, NewBarrier(8).At(stage)), repeat(scope, 8))
				r.outcome(errs, 8, 0)
				r.consecutive(scope, r.s.Used+8)
			}
		}
	}},
	{name: "R15 data written in one mode goes on in any other", check: func(r *race) {
		scope := r.prepare(1)[0]
		n := 0
		for _, x := range consistency.Built() {
			for _, y := range consistency.Built() {
				r.claimAll(x, scope, 1)
				r.claimAll(y, scope, 1)
				n += 2
			}
		}
		r.consecutive(scope, r.s.Used+n)
	}},
	{name: "R15 writers in different modes at the same moment store no duplicate", check: func(r *race) {
		scope := r.prepare(1)[0]
		gate := NewBarrier(8 * len(consistency.Built()))
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for _, mode := range consistency.Built() {
			run := r.runner(mode, 64, gate.At(consistency.Decided))
			for range 8 {
				wg.Go(func() {
					_, err := run.Run(r.t.Context(), r.s.Claim(scope))
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won++
					} else if mode != consistency.Reject || !errors.Is(err, r.s.Taken) {
						r.t.Errorf("%s: %v", mode, err)
					}
				})
			}
		}
		wg.Wait()
		r.consecutive(scope, r.s.Used+won)
	}},
	{name: "the same request at once, in every mode, happens once and is answered alike", check: func(r *race) {
		for _, mode := range consistency.Built() {
			scope := r.prepare(1)[0]
			req := r.s.Claim(scope)
			run := r.runner(mode, 64, NewBarrier(8).At(consistency.Decided))
			var mu sync.Mutex
			var first []string
			repeated := 0
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					receipt, err := run.Run(r.t.Context(), req)
					if err != nil {
						r.t.Errorf("%s: %v", mode, err)
						return
					}
					var got []string
					for _, e := range receipt.Events {
						got = append(got, fmt.Sprint(e.Position, e.ID, string(e.Data)))
					}
					mu.Lock()
					defer mu.Unlock()
					if receipt.Repeated {
						repeated++
					}
					if first == nil {
						first = got
					} else if !slices.Equal(first, got) {
						r.t.Errorf("%s: answered %v, and %v", mode, first, got)
					}
				})
			}
			wg.Wait()
			r.consecutive(scope, r.s.Used+1)
			again, err := run.Run(r.t.Context(), req)
			if err != nil || !again.Repeated {
				r.t.Errorf("%s: asked again: %+v, %v", mode, again, err)
			}
		}
	}},
}

// patient are the modes in which nobody who waits long enough fails because of a rival.
func patient() []consistency.Mode {
	return slices.DeleteFunc(consistency.Built(), func(m consistency.Mode) bool { return m == consistency.Reject })
}

func (r *race) runner(mode consistency.Mode, attempts int, probe func(context.Context, consistency.Stage)) usecase.Runner {
	return consistency.NewRunner(r.config(mode, attempts, probe))
}

func (r *race) config(mode consistency.Mode, attempts int, probe func(context.Context, consistency.Stage)) consistency.Config {
	settings := consistency.DefaultSettings()
	settings.Modes, settings.Attempts, settings.LockTimeout = map[string]consistency.Mode{}, attempts, time.Minute
	settings.Backoff = time.Millisecond
	for _, d := range r.s.Set.Describe() {
		if slices.Contains(d.Modes, mode) {
			settings.Modes[d.Name] = mode
		}
	}
	abreast := 1
	if r.overlap {
		abreast = 2
	}
	return consistency.Config{
		Abreast: abreast,
		Log:     r.store.Log, Register: r.store.Register, Set: r.s.Set, Meter: &r.meter, Probe: probe, Logger: slog.New(slog.DiscardHandler),
		Settings: func() consistency.Settings { return settings },
	}
}

func (r *race) prepare(n int) []event.Tag {
	r.t.Helper()
	scopes, err := r.s.Prepare(r.t.Context(), r.runner(consistency.Lock, 1, nil), n)
	if err != nil {
		r.t.Fatalf("prepare: %v", err)
	}
	r.meter = Meter{}
	return scopes
}

// rivals runs one claim for each scope named, all at once.
func (r *race) rivals(run usecase.Runner, scopes []event.Tag) []error {
	errs := make([]error, len(scopes))
	var wg sync.WaitGroup
	for i, s := range scopes {
		wg.Go(func() { _, errs[i] = run.Run(r.t.Context(), r.s.Claim(s)) })
	}
	wg.Wait()
	return errs
}

func (r *race) claimAll(mode consistency.Mode, scope event.Tag, n int) {
	r.t.Helper()
	run := r.runner(mode, 16, nil)
	for range n {
		if _, err := run.Run(r.t.Context(), r.s.Claim(scope)); err != nil {
			r.t.Fatalf("claim in %s: %v", mode, err)
		}
	}
}

// perCommand is how many events one claim records; it makes one.
func (r *race) perCommand(scope event.Tag) int {
	receipt, err := r.runner(consistency.Lock, 1, nil).Run(r.t.Context(), r.s.Claim(scope))
	if err != nil {
		r.t.Fatalf("claim: %v", err)
	}
	return len(receipt.Events)
}

func (r *race) head() event.Position {
	h, err := r.store.Log.Head(context.WithoutCancel(r.t.Context()))
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	return h.Position
}

// outcome checks how many won, and that every loser got the constraint's own error, saying where and how.
func (r *race) outcome(errs []error, won, lost int) {
	r.t.Helper()
	w, l := 0, 0
	for _, err := range errs {
		if err == nil {
			w++
			continue
		}
		l++
		e := problem.Of(err)
		if !errors.Is(err, r.s.Taken) || e.Constraint != r.s.Name || e.Scope == "" || e.Mode == "" || !e.Retryable {
			r.t.Errorf("a loser got %v: %+v", err, e)
		}
	}
	if w != won || l != lost {
		r.t.Errorf("%d won and %d lost, want %d and %d", w, l, won, lost)
	}
}

// cost checks what was counted for the constraint: each attempt once.
func (r *race) cost(want map[consistency.Outcome]int) {
	r.t.Helper()
	if got := r.meter.Of(r.s.Name); !maps.Equal(got, want) {
		r.t.Errorf("counted %v, want %v", got, want)
	}
}

// consecutive checks that the scope has the numbers 1 to n, each once, in the register, in its guard and in the log.
func (r *race) consecutive(scope event.Tag, n int) {
	r.t.Helper()
	ctx := context.WithoutCancel(r.t.Context())
	var numbers []int
	owners := map[event.Tag]bool{}
	for row, err := range r.store.Register.Rows(ctx) {
		if err != nil {
			r.t.Fatalf("%v", err)
		}
		if row.Constraint == r.s.Name && row.Scope == scope {
			number, err := strconv.Atoi(row.Key.Key)
			if err != nil {
				r.t.Errorf("a number is %q", row.Key.Key)
			}
			numbers = append(numbers, number)
			owners[row.Owner] = true
		}
	}
	slices.Sort(numbers)
	want := make([]int, n)
	for i := range want {
		want[i] = i + 1
	}
	if !slices.Equal(numbers, want) || len(owners) != n {
		r.t.Errorf("%s has the numbers %v of %d owners, want 1 to %d", scope, numbers, len(owners), n)
	}
	for g, err := range r.store.Register.Guards(ctx) {
		if err != nil {
			r.t.Fatalf("%v", err)
		}
		if g.Constraint == r.s.Name && g.Scope == scope && g.Last != n {
			r.t.Errorf("the guard of %s is at %d, want %d", scope, g.Last, n)
		}
	}
	findings, err := consistency.Audit(ctx, r.s.Set, r.store.Log, r.store.Register)
	if err != nil {
		r.t.Fatalf("audit: %v", err)
	}
	for _, f := range findings {
		r.t.Errorf("audit: %v", f)
	}
}

func repeat(scope event.Tag, n int) []event.Tag { return slices.Repeat([]event.Tag{scope}, n) }

func spread(scopes []event.Tag, each int) []event.Tag {
	all := slices.Repeat(scopes, each)
	slices.Sort(all)
	return all
}
