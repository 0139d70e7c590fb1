package memory_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	"accession/platform/event"
	"accession/platform/eventlog"
)

// Each mutant is a register that is wrong in one way which a real implementation could be. The rules must notice every one.
func TestMutantsAreCaught(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(consistency.Register) consistency.Register{
		"reads before it locks, and has no index": func(r consistency.Register) consistency.Register {
			return &stale{Register: r, guards: map[consistency.Key]int{}}
		},
		"does not lock what it reads, so writers start over": func(r consistency.Register) consistency.Register {
			return &optimistic{Register: r}
		},
		"uses up the number of a command that fails": func(r consistency.Register) consistency.Register {
			return &leaky{Register: r, used: map[consistency.Key]int{}}
		},
		"takes what is missing to be there": func(r consistency.Register) consistency.Register {
			return &gullible{Register: r}
		},
		"forgets ancestors": func(r consistency.Register) consistency.Register { return &orphans{Register: r} },
		"forgets guards":    func(r consistency.Register) consistency.Register { return &amnesiac{Register: r} },
		"does not write rows": func(r consistency.Register) consistency.Register {
			return &rowless{Register: r}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			consistencytest.Caught(t, func(t *testing.T, registry *event.Registry) consistencytest.Store {
				s := open(t, registry)
				s.Register = wrap(s.Register)
				return s
			})
		})
	}
}

// stale answers inside a transaction with what was read before it, and never says that anything was lost.
type stale struct {
	consistency.Register
	mu     sync.Mutex
	guards map[consistency.Key]int
}

func (r *stale) Load(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	if err := r.Register.Load(ctx, tx, q, s); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range q.Guards {
		if last, ok := r.guards[k]; ok {
			s.SetGuard(k, last)
		}
		r.guards[k] = 0
	}
	return nil
}

func (r *stale) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	var lost *consistency.Lost
	if err := r.Register.Save(ctx, tx, d); !errors.As(err, &lost) {
		return err
	}
	return nil
}

// optimistic makes the first save of every scope fail, as if somebody had been let past a lock.
type optimistic struct {
	consistency.Register
	once sync.Map
}

func (r *optimistic) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	for _, g := range d.Guards {
		if _, seen := r.once.LoadOrStore(g.Key, true); !seen {
			return &consistency.Lost{Key: g.Key}
		}
	}
	return r.Register.Save(ctx, tx, d)
}

// leaky counts a number as given when it is written, not when it is committed.
type leaky struct {
	consistency.Register
	mu   sync.Mutex
	used map[consistency.Key]int
}

func (r *leaky) Load(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	if err := r.Register.Load(ctx, tx, q, s); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, last := range maps.All(r.used) {
		s.SetGuard(k, last)
	}
	return nil
}

func (r *leaky) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	r.mu.Lock()
	for _, g := range d.Guards {
		r.used[g.Key] = g.Last
	}
	r.mu.Unlock()
	return r.Register.Save(ctx, tx, d)
}

// gullible invents the rows it is asked for.
type gullible struct{ consistency.Register }

func (r *gullible) Load(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	err := r.Register.Load(ctx, tx, q, s)
	for _, k := range q.Held {
		s.SetRow(k, &consistency.Row{Key: k, Owner: k.Scope, Ancestors: []event.Tag{"room:1"}})
	}
	return err
}

// orphans keeps rows without their ancestors.
type orphans struct{ consistency.Register }

func (r *orphans) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	for i := range d.Rows {
		d.Rows[i].Ancestors = nil
	}
	return r.Register.Save(ctx, tx, d)
}

// amnesiac writes no guards.
type amnesiac struct{ consistency.Register }

func (r *amnesiac) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	d.Guards = nil
	return r.Register.Save(ctx, tx, d)
}

// rowless writes no rows.
type rowless struct{ consistency.Register }

func (r *rowless) Save(ctx context.Context, tx eventlog.Tx, d consistency.Delta) error {
	d.Rows = nil
	return r.Register.Save(ctx, tx, d)
}
