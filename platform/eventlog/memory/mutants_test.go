package memory_test

import (
	"context"
	"iter"
	"testing"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/eventlogtest"
	"accession/platform/eventlog/memory"
)

// Each mutant is a log that is wrong in one way which a real implementation could be. The suite must notice every one.
func TestMutantsAreCaught(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(eventlog.Log) eventlog.Log{
		"loses what comes after a page": func(l eventlog.Log) eventlog.Log { return onePage{l} },
		"reports a failed commit as success": func(l eventlog.Log) eventlog.Log {
			return txs{l, func(tx eventlog.Tx) eventlog.Tx { return swallows{tx} }}
		},
		"stores a batch unit by unit": func(l eventlog.Log) eventlog.Log {
			return txs{l, func(tx eventlog.Tx) eventlog.Tx { return piecemeal{tx, l} }}
		},
		"stores after its context is over": func(l eventlog.Log) eventlog.Log {
			return txs{l, func(tx eventlog.Tx) eventlog.Tx { return deaf{tx} }}
		},
		"stores nothing": func(l eventlog.Log) eventlog.Log {
			return txs{l, func(tx eventlog.Tx) eventlog.Tx { return forgets{tx} }}
		},
		"forgets second keys": func(l eventlog.Log) eventlog.Log {
			return txs{l, func(tx eventlog.Tx) eventlog.Tx {
				return changes{tx, func(u *eventlog.Unit) { u.Second = eventlog.Second{} }}
			}}
		},
		"has one fingerprint for both keys": func(l eventlog.Log) eventlog.Log {
			return txs{l, func(tx eventlog.Tx) eventlog.Tx {
				return changes{tx, func(u *eventlog.Unit) { u.Second.Fingerprint = u.Fingerprint }}
			}}
		},
		"forgets units without events": func(l eventlog.Log) eventlog.Log {
			return txs{l, func(tx eventlog.Tx) eventlog.Tx {
				return changes{tx, func(u *eventlog.Unit) {
					if len(u.Events) == 0 {
						u.Key, u.Second = "lost "+u.ID.String(), eventlog.Second{}
					}
				}}
			}}
		},
		"does not say which event cannot be decoded": func(l eventlog.Log) eventlog.Log { return mute{l} },
		"forgets fingerprints":                       func(l eventlog.Log) eventlog.Log { return blurred{l} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eventlogtest.Caught(t, func(*testing.T) eventlog.Log {
				return wrap(memory.New(eventlogtest.Registry(), eventlogtest.Patience))
			})
		})
	}
}

type onePage struct{ eventlog.Log }

func (l onePage) Read(ctx context.Context, q eventlog.Query) iter.Seq2[event.Envelope, error] {
	if q.Limit == 0 || q.Limit > 500 {
		q.Limit = 500
	}
	return l.Log.Read(ctx, q)
}

type mute struct{ eventlog.Log }

func (l mute) Read(ctx context.Context, q eventlog.Query) iter.Seq2[event.Envelope, error] {
	return func(yield func(event.Envelope, error) bool) {
		for env, err := range l.Log.Read(ctx, q) {
			if err != nil {
				env = event.Envelope{}
			}
			if !yield(env, err) {
				return
			}
		}
	}
}

// txs wraps the transactions of a log.
type txs struct {
	eventlog.Log
	wrap func(eventlog.Tx) eventlog.Tx
}

func (l txs) Begin(ctx context.Context) (eventlog.Tx, error) {
	tx, err := l.Log.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return l.wrap(tx), nil
}

type swallows struct{ eventlog.Tx }

func (t swallows) Commit(ctx context.Context, units ...eventlog.Unit) error {
	_ = t.Tx.Commit(ctx, units...)
	return nil
}

type piecemeal struct {
	eventlog.Tx
	log eventlog.Log
}

func (t piecemeal) Commit(ctx context.Context, units ...eventlog.Unit) error {
	t.Rollback()
	for _, u := range units {
		if err := eventlogtest.Commit(ctx, t.log, u); err != nil {
			return err
		}
	}
	return nil
}

type deaf struct{ eventlog.Tx }

func (t deaf) Commit(ctx context.Context, units ...eventlog.Unit) error {
	return t.Tx.Commit(context.WithoutCancel(ctx), units...)
}

type forgets struct{ eventlog.Tx }

func (t forgets) Commit(context.Context, ...eventlog.Unit) error {
	t.Rollback()
	return nil
}

// changes makes other units of those that are to be stored.
type changes struct {
	eventlog.Tx
	change func(*eventlog.Unit)
}

func (t changes) Commit(ctx context.Context, units ...eventlog.Unit) error {
	for i := range units {
		t.change(&units[i])
	}
	return t.Tx.Commit(ctx, units...)
}

type blurred struct{ eventlog.Log }

func (l blurred) Done(ctx context.Context, key string) (eventlog.Done, bool, error) {
	d, ok, err := l.Log.Done(ctx, key)
	d.Fingerprint = nil
	return d, ok, err
}
