package consistency_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"accession/platform/consistency"
	"accession/platform/consistency/memory"
	"accession/platform/event"
	"accession/platform/eventlog"
	logmemory "accession/platform/eventlog/memory"
	"accession/platform/usecase"
)

// lit is a lamp that was lit.
type lit struct{}

func (*lit) EventType() string { return "lamps.lit" }
func (*lit) Tags() []event.Tag { return []event.Tag{"lamp:1"} }

// light lights the lamp if it is out.
type light struct{}

func (light) Execute(ctx context.Context, u *usecase.Unit) error {
	is, _, err := usecase.Fold(ctx, u, "lamp:1", func(is *bool, _ event.Event) { *is = true })
	if err == nil && !is {
		u.Record("lamp:1", &lit{})
	}
	return err
}

// tardy is a log whose first commit loses its connection, and happens only after it was looked for.
type tardy struct {
	eventlog.Log
	arrive func() error // the commit that is on its way; nil: none
	lost   bool
}

func (l *tardy) Begin(ctx context.Context) (eventlog.Tx, error) {
	tx, err := l.Log.Begin(ctx)
	if err != nil || l.lost {
		return tx, err
	}
	return tardyTx{tx, l}, nil
}

func (l *tardy) Done(ctx context.Context, key string) (eventlog.Done, bool, error) {
	d, found, err := l.Log.Done(ctx, key)
	if l.arrive != nil {
		err = errors.Join(err, l.arrive())
		l.arrive = nil
	}
	return d, found, err
}

type tardyTx struct {
	eventlog.Tx
	log *tardy
}

func (t tardyTx) Commit(ctx context.Context, units ...eventlog.Unit) error {
	t.log.lost = true
	t.log.arrive = func() error { return t.Tx.Commit(context.WithoutCancel(ctx), units...) }
	return fmt.Errorf("commit: %w", eventlog.ErrInDoubt)
}

func (tardyTx) Rollback() {}

// nothing is a register of no constraints.
type nothing struct{ *memory.Register }

func (nothing) Save(context.Context, eventlog.Tx, consistency.Delta) error { return nil }

// A commit in doubt may happen after it was looked for. The next attempt then finds what it means to do done, by itself: that is
// what it has stored, and not that there was nothing to do.
func TestWhatAnAttemptInDoubtStoredIsTheAnswer(t *testing.T) {
	t.Parallel()
	registry, err := event.NewRegistry(&lit{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := consistency.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	log := logmemory.New(registry, 0)
	rang := 0
	run := consistency.NewRunner(consistency.Config{
		Log: &tardy{Log: log}, Register: nothing{memory.New(log)}, Set: set,
		Committed: func(context.Context, usecase.Receipt) { rang++ },
	})
	receipt, err := run.Run(t.Context(), usecase.Request{Command: light{}})
	if err != nil || len(receipt.Events) != 1 || receipt.Position != 1 || receipt.Repeated || rang != 1 {
		t.Errorf("told %+v, %v, after %d bells", receipt, err, rang)
	}
	receipt, err = run.Run(t.Context(), usecase.Request{Command: light{}})
	if err != nil || len(receipt.Events) != 0 || receipt.Position != 1 || rang != 1 {
		t.Errorf("another was told %+v, %v, after %d bells", receipt, err, rang)
	}
}
