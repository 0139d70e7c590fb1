package consistencytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// named is the next claim under a token, as somebody asks who leaves it to others to draw ids: no two have the same key.
func (r *race) named(scope event.Tag, token usecase.Token) usecase.Request {
	req := r.s.Claim(scope)
	req.Fresh, req.Token = true, token
	return req
}

func newToken() usecase.Token {
	return usecase.Token{Key: uuid.NewString(), Fingerprint: []byte("asked")}
}

// told is a receipt as far as two answers must be alike.
func told(receipt usecase.Receipt) []string {
	all := []string{fmt.Sprint(receipt.Position, receipt.Repeated)}
	for _, e := range receipt.Events {
		all = append(all, fmt.Sprint(e.Position, e.ID, e.Unit, e.Stream, e.Version, e.RecordedAt, e.Actor, string(e.Data)))
	}
	return all
}

// alike checks that an answer is the same as the first.
func (r *race) alike(what string, first, then usecase.Receipt, err error) {
	r.t.Helper()
	if diff := cmp.Diff(told(first), told(then)); err != nil || diff != "" {
		r.t.Errorf("%s: %v (-first +then)\n%s", what, err, diff)
	}
}

// tokenRules are the last part of rule R24, and what of R26 is about tokens.
var tokenRules = []sequenceRule{
	{name: "R24 a token asked for 8 times at once, and later, has one effect and one answer, in every mode", check: func(r *race) {
		for _, mode := range consistency.Built() {
			for name, gated := range map[string]bool{"in one process": false, "in a process each": true} {
				what := mode.String() + ", " + name
				scope, token := r.prepare(1)[0], newToken()
				var mu sync.Mutex
				announced := 0
				config := r.config(mode, 64, nil)
				config.Committed = func(context.Context, usecase.Receipt) {
					mu.Lock()
					defer mu.Unlock()
					announced++
				}
				if gated {
					config.Probe = NewBarrier(8).At(consistency.Decided)
				}
				run := consistency.NewRunner(config)
				answers, errs := make([]usecase.Receipt, 8), make([]error, 8)
				var wg sync.WaitGroup
				for i := range 8 {
					run := run
					if gated {
						run = consistency.NewRunner(config)
					}
					wg.Go(func() { answers[i], errs[i] = run.Run(r.t.Context(), r.named(scope, token)) })
				}
				wg.Wait()
				for i := range answers {
					r.alike(what, answers[0], answers[i], errs[i])
				}
				if got := r.meter.Of(r.s.Name)[consistency.Accepted]; got != 1 || announced != 1 || answers[0].Repeated {
					r.t.Errorf("%s: counted %d times, announced %d times; %+v", what, got, announced, answers[0])
				}
				r.claimAll(mode, scope, 1)
				then, err := run.Run(r.t.Context(), r.named(scope, token))
				r.alike(what+", later", answers[0], then, err)

				token.Fingerprint = []byte("something else")
				if _, err := run.Run(r.t.Context(), r.named(scope, token)); !errors.Is(err, consistency.ErrTokenReused) {
					r.t.Errorf("%s: another request: %v", what, err)
				}
				r.consecutive(scope, r.s.Used+2)
			}
		}
	}},
	{name: "R26 a token whose commit lost its connection has one effect, and its answer is that", check: func(r *race) {
		for _, mode := range consistency.Built() {
			for name, c := range map[string]struct {
				log     doubtful
				unknown bool
			}{
				"stored":                  {doubtful{Lose: 1, Stored: true}, false},
				"not stored":              {doubtful{Lose: 1}, false},
				"stored, and nobody sees": {doubtful{Lose: 1, Stored: true, Blind: true}, true},
				"not stored, nor seen":    {doubtful{Lose: 1, Blind: true}, true},
				"never stored":            {doubtful{Lose: 99}, true},
			} {
				what := mode.String() + ", " + name
				scope, token := r.prepare(1)[0], newToken()
				first, err := r.throughDoubt(mode, 3, &c.log, nil).Run(r.t.Context(), r.named(scope, token))
				if errors.Is(err, consistency.ErrOutcomeUnknown) != c.unknown || (err == nil) == c.unknown {
					r.t.Errorf("%s: %v", what, err)
				}
				run := r.runner(mode, 16, nil)
				then, err := run.Run(r.t.Context(), r.named(scope, token))
				if c.unknown {
					first = then
				}
				r.alike(what, first, then, err)
				then, err = run.Run(r.t.Context(), r.named(scope, token))
				r.alike(what+", once more", first, then, err)
				r.consecutive(scope, r.s.Used+1)
			}
		}
	}},
	{name: "a refusal does not use a token up", check: func(r *race) {
		if r.s.Unknown == nil {
			return
		}
		for _, mode := range consistency.Built() {
			scope, token := r.prepare(1)[0], newToken()
			run := r.runner(mode, 4, nil)
			req, refusal := r.s.Unknown()
			req.Token = token
			for range 2 {
				if _, err := run.Run(r.t.Context(), req); !errors.Is(err, refusal) {
					r.t.Errorf("%s: %v", mode, err)
				}
			}
			first, err := run.Run(r.t.Context(), r.named(scope, token))
			r.alike(mode.String(), first, first, err)
			r.consecutive(scope, r.s.Used+1)
		}
	}},
	{name: "a request that comes to nothing takes its token, and is answered alike whatever happened meanwhile", check: func(r *race) {
		for _, mode := range consistency.Built() {
			for name, c := range map[string]doubtful{"": {}, ", stored in doubt": {Lose: 1, Stored: true}, ", lost": {Lose: 1}} {
				what := mode.String() + name
				scope, token := r.prepare(1)[0], newToken()
				at := r.head()
				req := usecase.Request{Command: does(func() error { return nil }), Token: token}
				first, err := r.throughDoubt(mode, 4, &c, nil).Run(r.t.Context(), req)
				if err != nil || first.Position != at || len(first.Events) > 0 || first.Repeated {
					r.t.Errorf("%s: %+v, %v; the log is at %d", what, first, err, at)
				}
				r.claimAll(mode, scope, 1)
				run := r.runner(mode, 4, nil)
				then, err := run.Run(r.t.Context(), req)
				r.alike(what, first, then, err)
				req.Command = does(func() error { return errNoShelf })
				then, err = run.Run(r.t.Context(), req)
				r.alike(what+", when it would be refused", first, then, err)
				if _, err := run.Run(r.t.Context(), r.named(scope, usecase.Token{Key: token.Key})); !errors.Is(err, consistency.ErrTokenReused) {
					r.t.Errorf("%s: another request: %v", what, err)
				}
				r.consecutive(scope, r.s.Used+1)
			}
		}
	}},
	{name: "a token and a key go together: the token decides, and the key is found without it", check: func(r *race) {
		for _, mode := range consistency.Built() {
			scope, token := r.prepare(1)[0], newToken()
			run := r.runner(mode, 4, nil)
			req := r.s.Claim(scope)
			req.Token = token
			first, err := run.Run(r.t.Context(), req)
			if err != nil || first.Repeated {
				r.t.Errorf("%s: %+v, %v", mode, first, err)
			}
			then, err := run.Run(r.t.Context(), req)
			r.alike(mode.String(), first, then, err)

			first.Repeated = true
			req.Token = usecase.Token{}
			then, err = run.Run(r.t.Context(), req)
			r.alike(mode.String()+", without a token", first, then, err)
			req.Token = newToken()
			for range 2 {
				then, err = run.Run(r.t.Context(), req)
				r.alike(mode.String()+", with another token", first, then, err)
			}
			req.Token.Fingerprint = nil
			if _, err := run.Run(r.t.Context(), req); !errors.Is(err, consistency.ErrTokenReused) {
				r.t.Errorf("%s: another request under the other token: %v", mode, err)
			}
			r.consecutive(scope, r.s.Used+1)
		}
	}},
	{name: "whoever waits in vain for a request with the same token is told that it runs", check: func(r *race) {
		for _, mode := range consistency.Built() {
			scope, token := r.prepare(1)[0], newToken()
			held, free := make(chan struct{}), make(chan struct{})
			var once sync.Once
			config := r.config(mode, 4, func(_ context.Context, s consistency.Stage) {
				if s == consistency.Written {
					once.Do(func() { close(held); <-free })
				}
			})
			var patience atomic.Int64
			patience.Store(int64(time.Minute))
			usual := config.Settings
			config.Settings = func() consistency.Settings {
				s := usual()
				s.LockTimeout = time.Duration(patience.Load())
				return s
			}
			run := consistency.NewRunner(config)
			var first usecase.Receipt
			var failed error
			var wg sync.WaitGroup
			wg.Go(func() { first, failed = run.Run(r.t.Context(), r.named(scope, token)) })
			<-held
			patience.Store(int64(time.Millisecond))
			_, err := run.Run(r.t.Context(), r.named(scope, token))
			if e := problem.Of(err); !errors.Is(err, consistency.ErrTokenInUse) || e.RetryAfter == 0 || !e.Retryable {
				r.t.Errorf("%s, longer than for a lock: %v", mode, err)
			}
			patience.Store(int64(time.Minute))
			ctx, cancel := context.WithTimeout(r.t.Context(), time.Millisecond)
			if _, err := run.Run(ctx, r.named(scope, token)); !errors.Is(err, consistency.ErrTokenInUse) {
				r.t.Errorf("%s, until the caller's deadline: %v", mode, err)
			}
			cancel()
			close(free)
			wg.Wait()
			then, err := run.Run(r.t.Context(), r.named(scope, token))
			r.alike(mode.String(), first, then, errors.Join(failed, err))
			r.consecutive(scope, r.s.Used+1)
		}
	}},
}

// does is a command that records nothing.
type does func() error

// Execute implements usecase.Command.
func (f does) Execute(context.Context, *usecase.Unit) error { return f() }
