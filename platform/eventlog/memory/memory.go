// Package memory is the log in memory: the reference that eventlogtest is written against. It keeps nothing over a restart.
package memory

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"

	"github.com/google/uuid"
)

// Log is a log in memory. It has one lock: a transaction has the log to itself from Begin to Commit or Rollback.
// It is safe for concurrent use.
type Log struct {
	id       uuid.UUID
	registry *event.Registry
	patience time.Duration
	turn     chan struct{} // holds one token: whoever has it is the one transaction

	mu       sync.RWMutex // guards what follows; written only by the transaction that has the turn
	events   []stored
	versions map[event.Tag]int
	ids      map[uuid.UUID]bool
	units    map[string]eventlog.Done
}

// stored is an event with its tags.
type stored struct {
	event.Envelope
	tags []event.Tag
}

// New is an empty log. patience bounds how long Begin waits for its turn; 0 is for ever.
func New(registry *event.Registry, patience time.Duration) *Log {
	l := &Log{
		id: uuid.New(), registry: registry, patience: patience, turn: make(chan struct{}, 1),
		versions: map[event.Tag]int{}, ids: map[uuid.UUID]bool{}, units: map[string]eventlog.Done{},
	}
	l.turn <- struct{}{}
	return l
}

// Head implements eventlog.Reader.
func (l *Log) Head(context.Context) (eventlog.Head, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return eventlog.Head{Log: l.id, Position: event.Position(len(l.events))}, nil
}

// Read implements eventlog.Reader.
func (l *Log) Read(ctx context.Context, q eventlog.Query) iter.Seq2[event.Envelope, error] {
	return func(yield func(event.Envelope, error) bool) {
		l.mu.RLock()
		all := l.events // append-only: this slice header is a snapshot
		l.mu.RUnlock()
		var picked []event.Envelope
		for _, s := range all {
			if matches(q, s) {
				picked = append(picked, s.Envelope)
			}
		}
		if q.Last > 0 && len(picked) > q.Last {
			picked = picked[len(picked)-q.Last:]
		}
		if q.Limit > 0 && len(picked) > q.Limit {
			picked = picked[:q.Limit]
		}
		for _, e := range picked {
			if err := ctx.Err(); err != nil {
				yield(event.Envelope{}, err)
				return
			}
			e.Data = bytes.Clone(e.Data)
			decoded, err := l.registry.Decode(e.Type, e.Schema, e.Data)
			e.Event = decoded
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func matches(q eventlog.Query, s stored) bool {
	return s.Position > q.After &&
		(q.Until == 0 || s.Position <= q.Until) &&
		(q.Stream.IsZero() || s.Stream == q.Stream) &&
		(q.Tag.IsZero() || slices.Contains(s.tags, q.Tag)) &&
		(len(q.Types) == 0 || slices.Contains(q.Types, s.Type))
}

// Done implements eventlog.Reader.
func (l *Log) Done(_ context.Context, key string) (eventlog.Done, bool, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	d, ok := l.units[key]
	return d, ok, nil
}

// Begin implements eventlog.Log: it waits for its turn.
func (l *Log) Begin(ctx context.Context) (eventlog.Tx, error) {
	var late <-chan time.Time
	if l.patience > 0 {
		t := time.NewTimer(l.patience)
		defer t.Stop()
		late = t.C
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-l.turn:
		return &Tx{log: l}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late:
		return nil, eventlog.ErrBusy
	}
}

// View runs f while no transaction is committing: a consistent look at what is staged with the log (see Tx.Stage).
func (l *Log) View(f func()) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f()
}

// Tx is the one transaction under way.
type Tx struct {
	log    *Log
	staged []func()
	over   bool
}

// Stage has f run when, and only when, the transaction commits: so what stands beside the log changes together with it.
// f runs under the log's lock.
func (t *Tx) Stage(f func()) { t.staged = append(t.staged, f) }

// Done implements eventlog.Tx.
func (t *Tx) Done(ctx context.Context, keys ...string) (map[string]eventlog.Done, error) {
	found := map[string]eventlog.Done{}
	for _, k := range keys {
		if d, ok, _ := t.log.Done(ctx, k); ok {
			found[k] = d
		}
	}
	return found, nil
}

// Commit implements eventlog.Tx.
func (t *Tx) Commit(ctx context.Context, units ...eventlog.Unit) error {
	if err := ctx.Err(); err != nil {
		t.Rollback()
		return err
	}
	if err := t.check(units); err != nil {
		t.Rollback()
		return err
	}
	l := t.log
	l.mu.Lock()
	for _, u := range units {
		for i := range u.Events {
			e := &u.Events[i]
			e.Position = event.Position(len(l.events) + 1)
			kept := *e
			kept.Event, kept.Data = nil, bytes.Clone(e.Data)
			l.events = append(l.events, stored{Envelope: kept, tags: slices.Clone(e.Event.Tags())})
			l.versions[e.Stream] = e.Version
			l.ids[e.ID] = true
		}
		row := eventlog.Done{
			Key: u.Key, Position: event.Position(len(l.events)), Events: len(u.Events),
			Fingerprint: bytes.Clone(u.Fingerprint), Answer: bytes.Clone(u.Answer),
		}
		l.units[row.Key] = row
		if u.Second.Key != "" {
			row.Key, row.Fingerprint = u.Second.Key, bytes.Clone(u.Second.Fingerprint)
			l.units[row.Key] = row
		}
	}
	for _, f := range t.staged {
		f()
	}
	l.mu.Unlock()
	t.Rollback() // nothing is left to undo: this only passes the turn on
	return nil
}

// check looks for what would make the append fail, before anything is changed.
func (t *Tx) check(units []eventlog.Unit) error {
	versions, keys, ids := map[event.Tag]int{}, map[string]bool{}, map[uuid.UUID]bool{}
	for _, u := range units {
		for _, key := range []string{u.Key, u.Second.Key} {
			if key == "" && key != u.Key {
				continue
			}
			if _, there := t.log.units[key]; there || keys[key] {
				return &eventlog.KeyTaken{Key: key}
			}
			keys[key] = true
		}
		for _, e := range u.Events {
			if t.log.ids[e.ID] || ids[e.ID] {
				return &eventlog.KeyTaken{Key: u.Key}
			}
			ids[e.ID] = true
			at, seen := versions[e.Stream]
			if !seen {
				at = t.log.versions[e.Stream]
			}
			if e.Version <= at {
				return &eventlog.VersionConflict{Stream: e.Stream}
			}
			versions[e.Stream] = e.Version
		}
	}
	return nil
}

// Rollback implements eventlog.Tx.
func (t *Tx) Rollback() {
	if t.over {
		return
	}
	t.over = true
	t.staged = nil
	t.log.turn <- struct{}{}
}
