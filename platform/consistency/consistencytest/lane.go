package consistencytest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/problem"
	"accession/platform/usecase"
)

// queue is a lane that is held while it stores one unit, so that others line up behind it in a known order.
type queue struct {
	r       *race
	run     usecase.Runner
	reached chan struct{} // closed when the first has its locks
	release chan struct{} // close it, and the first goes on
	wg      sync.WaitGroup
	n       int
	results []*result
}

type result struct {
	receipt usecase.Receipt
	err     error
}

// line makes a lane and has the first unit held in it. change may change the configuration.
func (r *race) line(first usecase.Request, ctx context.Context, change func(*consistency.Config)) *queue { //nolint:revive // the context is the first's
	q := &queue{r: r, reached: make(chan struct{}), release: make(chan struct{})}
	r.meter = Meter{}
	config := r.config(consistency.Queue, 16, nil)
	config.Abreast = 1 // whatever comes lines up behind the first
	if change != nil {
		change(&config)
	}
	var once sync.Once
	probe := config.Probe
	config.Probe = func(ctx context.Context, s consistency.Stage) {
		if s == consistency.Locked {
			once.Do(func() {
				close(q.reached)
				<-q.release
			})
		}
		if probe != nil {
			probe(ctx, s)
		}
	}
	q.run = consistency.NewRunner(config)
	q.start(ctx, first)
	<-q.reached
	return q
}

func (q *queue) start(ctx context.Context, req usecase.Request) *result {
	res := &result{}
	q.results = append(q.results, res)
	q.wg.Go(func() { res.receipt, res.err = q.run.Run(ctx, req) })
	return res
}

// behind lines a request up behind the others.
func (q *queue) behind(ctx context.Context, req usecase.Request) *result {
	res := q.start(ctx, req)
	q.n++
	q.r.meter.WaitQueued(q.r.t.Context(), q.n)
	return res
}

// goOn lets the lane go on and waits for all answers.
func (q *queue) goOn() {
	close(q.release)
	q.wg.Wait()
}

// laneRules are rules R12 and R13, and what they rest on.
var laneRules = []sequenceRule{
	{name: "R12 queue: first come, first served, together, without an attempt in vain", check: func(r *race) {
		scope := r.prepare(1)[0]
		q := r.line(r.s.Claim(scope), r.t.Context(), nil)
		for range 8 {
			q.behind(r.t.Context(), r.s.Claim(scope))
		}
		q.goOn()
		last := event.Position(0)
		for i, res := range q.results {
			if res.err != nil || res.receipt.Position <= last {
				r.t.Errorf("the %d. is at %d behind %d, %v", i, res.receipt.Position, last, res.err)
			}
			last = res.receipt.Position
		}
		r.cost(map[consistency.Outcome]int{consistency.Accepted: 9})
		if !slices.Equal(r.meter.batches, []int{1, 8}) {
			r.t.Errorf("stored in batches of %v", r.meter.batches)
		}
		r.consecutive(scope, r.s.Used+9)
	}},
	{name: "R12 queue: 16 in one scope, before the first read or when all have decided, get 16 numbers at the first attempt", check: func(r *race) {
		for _, stage := range []consistency.Stage{consistency.Begin, consistency.Decided} {
			scope := r.prepare(1)[0]
			errs := r.rivals(r.runner(consistency.Queue, 1, NewBarrier(16).At(stage)), repeat(scope, 16))
			r.outcome(errs, 16, 0)
			r.cost(map[consistency.Outcome]int{consistency.Accepted: 16})
			r.consecutive(scope, r.s.Used+16)
		}
	}},
	{name: "R12 queue: a refusal and a panic in a batch leave no gap, and harm nobody", check: func(r *race) {
		scope := r.prepare(1)[0]
		q := r.line(r.s.Claim(scope), r.t.Context(), nil)
		before := q.behind(r.t.Context(), r.s.Claim(scope))
		panics := q.behind(r.t.Context(), bursting(r.s.Claim(scope)))
		var unknown *result
		if r.s.Unknown != nil {
			req, _ := r.s.Unknown()
			unknown = q.behind(r.t.Context(), req)
		}
		again := r.s.Claim(scope)
		taken := again
		taken.Key += "again"
		first, second := q.behind(r.t.Context(), again), q.behind(r.t.Context(), taken)
		after := q.behind(r.t.Context(), r.s.Claim(scope))
		q.goOn()
		for _, res := range []*result{q.results[0], before, first, after} {
			if res.err != nil {
				r.t.Errorf("harmed: %v", res.err)
			}
		}
		if panics.err == nil {
			r.t.Errorf("a panic is no error")
		}
		if _, want := r.unknown(); unknown != nil && !errors.Is(unknown.err, want) {
			r.t.Errorf("unknown: %v", unknown.err)
		}
		if !errors.Is(second.err, consistency.ErrIDTaken) {
			r.t.Errorf("the same thing twice in a batch: %v", second.err)
		}
		r.consecutive(scope, r.s.Used+4)
	}},
	{name: "R12 queue: who gives up while waiting never runs", check: func(r *race) {
		scope := r.prepare(1)[0]
		q := r.line(r.s.Claim(scope), r.t.Context(), nil)
		ctx, cancel := context.WithCancel(r.t.Context())
		leaver := q.behind(ctx, r.s.Claim(scope))
		stayer := q.behind(r.t.Context(), r.s.Claim(scope))
		cancel()
		r.meter.WaitQueued(r.t.Context(), 1)
		q.goOn()
		if !errors.Is(leaver.err, context.Canceled) || stayer.err != nil || q.results[0].err != nil {
			r.t.Errorf("left: %v, stayed: %v, first: %v", leaver.err, stayer.err, q.results[0].err)
		}
		r.consecutive(scope, r.s.Used+2)
	}},
	{name: "R12 queue: whoever set the lane going may leave, and harms nobody", check: func(r *race) {
		scope := r.prepare(1)[0]
		ctx, cancel := context.WithCancel(r.t.Context())
		q := r.line(r.s.Claim(scope), ctx, nil)
		q.behind(r.t.Context(), r.s.Claim(scope))
		cancel()
		q.goOn()
		for _, res := range q.results {
			if res.err != nil { // the first has its turn already: it is told what became of it
				r.t.Errorf("got %v", res.err)
			}
		}
		r.consecutive(scope, r.s.Used+2)
	}},
	{name: "R12 queue: when the lane is full one is told so, and nothing is lost", check: func(r *race) {
		scope := r.prepare(1)[0]
		q := r.line(r.s.Claim(scope), r.t.Context(), func(c *consistency.Config) {
			settings := c.Settings()
			settings.Depth = 2
			c.Settings = func() consistency.Settings { return settings }
		})
		q.behind(r.t.Context(), r.s.Claim(scope))
		q.behind(r.t.Context(), r.s.Claim(scope))
		_, err := q.run.Run(r.t.Context(), r.s.Claim(scope))
		if e := problem.Of(err); !errors.Is(err, consistency.ErrQueueFull) || e.Constraint != r.s.Name || e.Scope != string(scope) || e.Mode != "queue" || !e.Retryable {
			r.t.Errorf("with 2 waiting: %v, about %q in %q, kept in %q", err, e.Constraint, e.Scope, e.Mode)
		}
		q.goOn()
		if _, err := q.run.Run(r.t.Context(), r.s.Claim(scope)); err != nil {
			r.t.Errorf("later: %v", err)
		}
		r.consecutive(scope, r.s.Used+4)
	}},
	{name: "R12 queue: batches are no larger than they may be", check: func(r *race) {
		scope := r.prepare(1)[0]
		q := r.line(r.s.Claim(scope), r.t.Context(), func(c *consistency.Config) {
			settings := c.Settings()
			settings.Batch = 3
			c.Settings = func() consistency.Settings { return settings }
		})
		for range 7 {
			q.behind(r.t.Context(), r.s.Claim(scope))
		}
		q.goOn()
		if !slices.Equal(r.meter.batches, []int{1, 3, 3, 1}) {
			r.t.Errorf("stored in batches of %v", r.meter.batches)
		}
		r.consecutive(scope, r.s.Used+8)
	}},
	{name: "R12 queue: a scope held elsewhere delays only its own, in their order", overlap: true, check: func(r *race) {
		scopes := r.prepare(3)
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
		q := r.line(r.s.Claim(scopes[1]), r.t.Context(), nil)
		stuck := q.start(r.t.Context(), r.s.Claim(scopes[0]))
		r.meter.WaitQueued(r.t.Context(), 1)
		close(q.release)
		// The lane goes on: with the scope that is free, and with one that was never used.
		for _, s := range []event.Tag{scopes[1], scopes[2], scopes[1]} {
			if _, err := q.run.Run(r.t.Context(), r.s.Claim(s)); err != nil {
				r.t.Errorf("beside it: %v", err)
			}
		}
		next := q.start(r.t.Context(), r.s.Claim(scopes[0])) // behind the one that waits in its transaction, as a rule
		close(release)
		q.wg.Wait()
		if err := <-done; err != nil || stuck.err != nil || next.err != nil {
			r.t.Errorf("the holder: %v, who waited: %v, %v", err, stuck.err, next.err)
		}
		if stuck.receipt.Position >= next.receipt.Position {
			r.t.Errorf("who came first is at %d, who came later at %d", stuck.receipt.Position, next.receipt.Position)
		}
		r.consecutive(scopes[0], r.s.Used+3)
		r.consecutive(scopes[1], r.s.Used+3)
		r.consecutive(scopes[2], r.s.Used+1)
	}},
	{name: "R12 queue: a transaction that fails at any of its steps is made again, and a step that never works is told to all", check: func(r *race) {
		for _, step := range []string{"begin", "try", "save", "commit"} {
			for _, fault := range []error{eventlog.ErrAgain, errors.New("out of order")} {
				for _, times := range []int64{1, 1 << 40} {
					scope := r.prepare(1)[0]
					f := &faulty{at: step, err: fault}
					q := r.line(r.s.Claim(scope), r.t.Context(), func(c *consistency.Config) {
						settings := c.Settings()
						settings.Attempts = 3
						c.Settings = func() consistency.Settings { return settings }
						c.Log, c.Register = faultyLog{c.Log, f}, faultyRegister{c.Register, f}
					})
					for range 4 {
						q.behind(r.t.Context(), r.s.Claim(scope))
					}
					before := r.head()
					f.times.Store(times)
					q.goOn()
					failed := 0
					for _, res := range q.results {
						if res.err != nil {
							failed++
						}
					}
					stored := len(q.results) - failed
					switch {
					case times > 1 && (failed < 4 || step != "save" && step != "commit" && failed > 4):
						r.t.Errorf("%s never works (%v): %d of 5 failed", step, fault, failed)
					case times == 1 && failed > 1, times == 1 && errors.Is(fault, eventlog.ErrAgain) && failed > 0:
						r.t.Errorf("%s failed once (%v): %d of 5 failed", step, fault, failed)
					}
					if grew := int(r.head() - before); stored == 0 && grew != 0 {
						r.t.Errorf("%s: the log grew by %d", step, grew)
					}
					r.consecutive(scope, r.s.Used+stored)
				}
			}
		}
	}},
	{name: "R13 two lanes on one log, each of another process: no duplicate, no gap, nobody fails", check: func(r *race) {
		for _, stage := range []consistency.Stage{consistency.Begin, consistency.Decided} {
			scopes := r.prepare(2)
			gate := NewBarrier(64)
			var wg sync.WaitGroup
			for range 2 {
				run := r.runner(consistency.Queue, 16, gate.At(stage))
				for i := range 32 {
					wg.Go(func() {
						if _, err := run.Run(r.t.Context(), r.s.Claim(scopes[i%2])); err != nil {
							r.t.Errorf("%v", err)
						}
					})
				}
			}
			wg.Wait()
			r.consecutive(scopes[0], r.s.Used+32)
			r.consecutive(scopes[1], r.s.Used+32)
		}
	}},
	{name: "adaptive lines up where it is contended, and only there", check: func(r *race) {
		scopes := r.prepare(2)
		config := r.config(consistency.Adaptive, 1000, nil)
		settings := config.Settings()
		settings.Contention = consistency.Contention{Raise: 2, Fall: 0, Dwell: 1 << 62}
		config.Settings = func() consistency.Settings { return settings }
		gate := NewBarrier(16)
		config.Probe = gate.At(consistency.Decided)
		run := consistency.NewRunner(config)
		r.outcome(r.rivals(run, repeat(scopes[0], 16)), 16, 0)
		if len(r.meter.batches) == 0 {
			r.t.Errorf("16 met in one scope, and nobody lined up: %v", r.meter.Of(r.s.Name))
		}
		n := len(r.meter.batches)
		if _, err := run.Run(r.t.Context(), r.s.Claim(scopes[1])); err != nil || len(r.meter.batches) != n {
			r.t.Errorf("alone in its scope: lined up %d times, %v", len(r.meter.batches)-n, err)
		}
		if _, err := run.Run(r.t.Context(), r.s.Claim(scopes[0])); err != nil || len(r.meter.batches) != n+1 {
			r.t.Errorf("in the contended scope: lined up %d times, %v", len(r.meter.batches)-n, err)
		}
		r.consecutive(scopes[0], r.s.Used+17)
		r.consecutive(scopes[1], r.s.Used+1)
	}},
}

func (r *race) unknown() (usecase.Request, error) {
	if r.s.Unknown == nil {
		return usecase.Request{}, nil
	}
	req, err := r.s.Unknown()
	return req, err
}

// bursting is a request whose event bursts when it is written.
func bursting(req usecase.Request) usecase.Request {
	req.Command = burst{req.Command}
	req.Key += "bursting"
	return req
}

type burst struct{ usecase.Command }

func (b burst) Execute(ctx context.Context, u *usecase.Unit) error {
	err := b.Command.Execute(ctx, u)
	u.Record("shell:1", &shell{})
	return err
}

type shell struct{}

func (*shell) EventType() string            { return "shelves.shell_burst" }
func (*shell) Tags() []event.Tag            { return []event.Tag{"shell:1"} }
func (*shell) MarshalJSON() ([]byte, error) { panic("burst") }

// faulty makes one step of a transaction fail, so many times.
type faulty struct {
	at    string
	err   error
	times atomic.Int64
}

func (f *faulty) fault(step string) error {
	if step == f.at && f.times.Add(-1) >= 0 {
		return f.err
	}
	return nil
}

type faultyLog struct {
	eventlog.Log
	*faulty
}

func (l faultyLog) Begin(ctx context.Context) (eventlog.Tx, error) {
	if err := l.fault("begin"); err != nil {
		return nil, err
	}
	tx, err := l.Log.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return faultyTx{tx, l.faulty}, nil
}

type faultyTx struct {
	eventlog.Tx
	*faulty
}

func (t faultyTx) Commit(ctx context.Context, units ...eventlog.Unit) error {
	if err := t.fault("commit"); err != nil {
		t.Rollback()
		return err
	}
	return t.Tx.Commit(ctx, units...)
}

type faultyRegister struct {
	consistency.Register
	*faulty
}

func inner(tx eventlog.Tx) eventlog.Tx {
	if t, ok := tx.(faultyTx); ok {
		return t.Tx
	}
	return tx
}

func (r faultyRegister) Load(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	return r.Register.Load(ctx, inner(tx), q, s)
}

func (r faultyRegister) Try(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) (consistency.Questions, error) {
	if err := r.fault("try"); err != nil {
		return consistency.Questions{}, err
	}
	return r.Register.Try(ctx, inner(tx), q, s)
}

func (r faultyRegister) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	if err := r.fault("save"); err != nil {
		return err
	}
	return r.Register.Save(ctx, inner(tx), d)
}
