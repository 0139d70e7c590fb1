package consistencytest

import (
	"context"
	"errors"
	"fmt"

	"accession/platform/consistency"
	"accession/platform/eventlog"
	"accession/platform/usecase"
)

// doubtful is a log whose connection is lost around COMMIT, as its fields say. It stands in for a network, which the suites of
// the databases cut for real.
type doubtful struct {
	eventlog.Log
	Lose   int  // how many commits lose their connection
	Stored bool // those commits happened all the same
	Blind  bool // nor can the log be asked what became of them
}

var errCut = errors.New("the connection was cut")

// Begin implements eventlog.Log.
func (l *doubtful) Begin(ctx context.Context) (eventlog.Tx, error) {
	tx, err := l.Log.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &doubtTx{tx, l}, nil
}

// Done implements eventlog.Reader.
func (l *doubtful) Done(ctx context.Context, key string) (eventlog.Done, bool, error) {
	if l.Blind {
		return eventlog.Done{}, false, errCut
	}
	return l.Log.Done(ctx, key)
}

type doubtTx struct {
	eventlog.Tx
	log *doubtful
}

// Commit implements eventlog.Tx.
func (t *doubtTx) Commit(ctx context.Context, units ...eventlog.Unit) error {
	if t.log.Lose == 0 {
		return t.Tx.Commit(ctx, units...)
	}
	t.log.Lose--
	if t.log.Stored {
		if err := t.Tx.Commit(ctx, units...); err != nil {
			return err
		}
	}
	t.Rollback()
	return fmt.Errorf("commit: %w: %w", eventlog.ErrInDoubt, errCut)
}

// unwrapping hands a register the transactions that it knows.
type unwrapping struct{ consistency.Register }

func unwrapped(tx eventlog.Tx) eventlog.Tx {
	if d, ok := tx.(*doubtTx); ok {
		return d.Tx
	}
	return tx
}

func (r unwrapping) Load(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	return r.Register.Load(ctx, unwrapped(tx), q, s)
}

func (r unwrapping) Try(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) (consistency.Questions, error) {
	return r.Register.Try(ctx, unwrapped(tx), q, s)
}

func (r unwrapping) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	return r.Register.Save(ctx, unwrapped(tx), d)
}

// doubtRules are rule R26, as far as it can be told without a network.
var doubtRules = []sequenceRule{
	{name: "R26 a commit that happened though its connection was lost is a success, and happens once", check: func(r *race) {
		for _, mode := range consistency.Built() {
			scope := r.prepare(1)[0]
			run := r.throughDoubt(mode, 16, &doubtful{Lose: 1, Stored: true}, nil)
			receipt, err := run.Run(r.t.Context(), r.s.Claim(scope))
			if err != nil || receipt.Repeated || len(receipt.Events) == 0 {
				r.t.Errorf("%s: %+v, %v", mode, receipt, err)
			}
			r.consecutive(scope, r.s.Used+1)
		}
	}},
	{name: "R26 a commit that did not happen when its connection was lost is tried again", check: func(r *race) {
		for _, mode := range consistency.Built() {
			scope := r.prepare(1)[0]
			if _, err := r.throughDoubt(mode, 16, &doubtful{Lose: 3}, nil).Run(r.t.Context(), r.s.Claim(scope)); err != nil {
				r.t.Errorf("%s: %v", mode, err)
			}
			r.consecutive(scope, r.s.Used+1)
		}
	}},
	{name: "R26 what cannot be known is said to be unknown, and repeating the request gives its one effect", check: func(r *race) {
		for _, mode := range consistency.Built() {
			for _, stored := range []bool{true, false} {
				for name, log := range map[string]*doubtful{
					"blind":               {Lose: 1, Stored: stored, Blind: true},
					"out of all attempts": {Lose: 99},
				} {
					scope := r.prepare(1)[0]
					req := r.s.Claim(scope)
					if _, err := r.throughDoubt(mode, 3, log, nil).Run(r.t.Context(), req); !errors.Is(err, consistency.ErrOutcomeUnknown) {
						r.t.Errorf("%s, %s: %v", mode, name, err)
					}
					receipt, err := r.runner(mode, 16, nil).Run(r.t.Context(), req)
					if err != nil || receipt.Repeated != (stored && log.Blind) {
						r.t.Errorf("%s, %s: repeated %+v, %v", mode, name, receipt, err)
					}
					r.consecutive(scope, r.s.Used+1)
				}
			}
		}
	}},
	{name: "R26 a caller who goes while the outcome is in doubt is not told that nothing happened", check: func(r *race) {
		for _, mode := range consistency.Built() {
			scope := r.prepare(1)[0]
			ctx, cancel := context.WithCancel(r.t.Context())
			log := &doubtful{Lose: 1}
			run := r.throughDoubt(mode, 16, log, func(_ context.Context, s consistency.Stage) {
				if log.Lose == 0 && s == consistency.Begin {
					cancel()
				}
			})
			if _, err := run.Run(ctx, r.s.Claim(scope)); !errors.Is(err, consistency.ErrOutcomeUnknown) {
				r.t.Errorf("%s: %v", mode, err)
			}
			cancel()
			r.consecutive(scope, r.s.Used)
		}
	}},
}

// throughDoubt is a runner whose log is l over the store's.
func (r *race) throughDoubt(mode consistency.Mode, attempts int, l *doubtful, probe func(context.Context, consistency.Stage)) usecase.Runner {
	l.Log = r.store.Log
	config := r.config(mode, attempts, probe)
	config.Log, config.Register = l, unwrapping{r.store.Register}
	return consistency.NewRunner(config)
}
