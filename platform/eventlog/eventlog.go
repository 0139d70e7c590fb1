// Package eventlog says what a log is: all events in one order, for ever.
//
// The contract, in duties that eventlogtest checks against every implementation (memory is the reference; sqldb is what runs):
//
//  1. One order, no gaps. The events have the positions 1, 2, 3 … in the order in which their transactions committed.
//  2. Stable prefix. Once a reader has seen position n, nothing ever appears at or below n. A reader that has seen n has been
//     able to see everything up to n. So a checkpoint is one number, and being behind is a subtraction.
//  3. All or nothing. [Tx.Commit] stores every event of every unit, their unit rows and whatever else was done in the
//     transaction, or none of it. A transaction that is rolled back, or whose Commit fails, leaves no event, no unit row and no
//     used-up position.
//  4. Streams have versions. A stream has one event of each version; one that is there already fails the whole transaction with
//     a [*VersionConflict], and nothing is stored. So of two writers who have both seen version v, one stores v+1.
//  5. A key is used once, be it a unit's first or second. Committing a unit with a key that is there already fails with a
//     [*KeyTaken], and nothing is stored.
//  6. Bytes are kept. An event is handed out with exactly the bytes that were stored; callers may keep and change what they
//     were handed.
//  7. The error of Commit is the error of the transaction. When it cannot be known whether a commit happened, the error is
//     [ErrInDoubt]: look the unit up with [Reader.Done] before doing it again.
//
// The suite does not claim that disjoint transactions overlap: a log says so of itself (eventlogtest.Features).
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"accession/platform/event"

	"github.com/google/uuid"
)

// Head is the end of a log.
type Head struct {
	Log      uuid.UUID      // the log's id: positions of different logs have nothing to do with each other
	Position event.Position // of the last event; 0 when there is none
}

// Query says which events to read. All that is set must hold. The zero Query is the whole log.
type Query struct {
	After  event.Position // only events behind this position
	Until  event.Position // only events up to this position; 0 is no bound
	Stream event.Tag      // only events of this stream
	Tag    event.Tag      // only events about this thing
	Types  []string       // only events with one of these stored names
	Limit  int            // at most so many, from the front; 0 is no bound
	Last   int            // only so many from the end, still oldest first; excludes Limit
}

// Reader reads a log. It is safe for concurrent use.
type Reader interface {
	// Head is the present end of the log.
	Head(ctx context.Context) (Head, error)
	// Read yields the events that q asks for, by position, ascending. It holds no lock and no connection while the caller works
	// on an event; an error ends it. Events stored after Read began may or may not come. An event that cannot be decoded comes with
	// the error, and with everything but its Event; see [Past].
	Read(ctx context.Context, q Query) iter.Seq2[event.Envelope, error]
	// Done looks up what the unit with the key stored. It is false when there is no such unit.
	Done(ctx context.Context, key string) (Done, bool, error)
}

// Log is a log that can be written to. It is safe for concurrent use.
type Log interface {
	Reader
	// Begin starts a transaction that will store events. It may wait for others, until ctx ends or the log's own patience does
	// ([ErrBusy]).
	Begin(ctx context.Context) (Tx, error)
}

// Tx is one transaction of a log. What constraints and immediate projectors write goes into the same transaction; the log is
// always the last thing written, so that its head is held as briefly as possible. A Tx belongs to one goroutine.
type Tx interface {
	// Done is Reader.Done inside the transaction, for many keys at once.
	Done(ctx context.Context, keys ...string) (map[string]Done, error)
	// Commit appends the events of the units, in order, stores the units' rows and commits. It fills in the positions of the
	// envelopes. Nothing can be done in the transaction afterwards; after an error it is rolled back already. Once it has begun
	// to write the head, it runs to its end even if ctx is cancelled.
	Commit(ctx context.Context, units ...Unit) error
	// Rollback undoes everything. After Commit it does nothing, so it can be deferred.
	Rollback()
}

// Unit is what one command stores.
type Unit struct {
	ID          uuid.UUID // goes into every event of the unit
	Key         string    // names the request: unique in the log, for ever; ≤ 300 bytes
	Fingerprint []byte    // tells one request under the key from another; may be empty
	Answer      []byte    // what the caller was told, if that cannot be made from the events again; may be empty
	Second      Second    // another key of the unit; the zero Second is none
	// Events are complete but for their positions. Version is the place in the stream that each is meant for. There may be none:
	// then it is remembered that something was asked for and came to nothing.
	Events []event.Envelope
}

// Second is a second key of a unit, under which it can be looked up as well: Key is named after what the unit makes, this one by
// whoever asked for it.
type Second struct {
	Key         string // unique in the log, as every key; "" is none
	Fingerprint []byte // of the request under this key; may be empty
}

// Done is a unit as it was stored: its row, or one of its two.
type Done struct {
	Key         string
	Position    event.Position // of the unit's last event; without events, of the last in the log then
	Events      int            // how many it has; they stand at Position-Events+1 … Position
	Fingerprint []byte
	Answer      []byte
}

// VersionConflict says that a stream was no longer where a unit thought it was: someone else wrote to it.
type VersionConflict struct {
	Stream event.Tag // may be empty when the database does not say which
}

func (e *VersionConflict) Error() string {
	return fmt.Sprintf("append to stream %s: another version is there", e.Stream)
}

// KeyTaken says that a unit with the key (or an event with the id) is there already: the request was done before.
type KeyTaken struct {
	Key string
}

func (e *KeyTaken) Error() string { return fmt.Sprintf("store unit %q: it is there already", e.Key) }

// The other things that can be wrong with a log.
var (
	// ErrBusy: the log, or a row that the transaction needs, stayed locked by others for longer than the configured time-out.
	// Nothing was stored.
	ErrBusy = errors.New("the log is busy")
	// ErrHeadBusy is an ErrBusy of Commit: it was the log itself that stayed locked.
	ErrHeadBusy = fmt.Errorf("%w: its head stayed locked", ErrBusy)
	// ErrAgain: the database gave this transaction up for another's sake (deadlock, serialization). Nothing was stored; another
	// attempt may succeed.
	ErrAgain = errors.New("the transaction was given up for another's sake")
	// ErrInDoubt: the connection was lost around COMMIT. What the transaction stored is there, or is not.
	ErrInDoubt = errors.New("the outcome of the commit is unknown")
)

// Events reads the events of a unit that was stored.
func Events(ctx context.Context, r Reader, d Done) ([]event.Envelope, error) {
	if d.Events == 0 {
		return nil, nil
	}
	got, err := Collect(r.Read(ctx, Query{After: d.Position - event.Position(d.Events), Until: d.Position}))
	if err != nil {
		return nil, fmt.Errorf("read unit %q: %w", d.Key, err)
	}
	return got, nil
}

// Collect gathers what an iterator yields, up to the first error.
func Collect(seq iter.Seq2[event.Envelope, error]) ([]event.Envelope, error) {
	var got []event.Envelope
	for e, err := range seq {
		if err != nil {
			return got, err
		}
		got = append(got, e)
	}
	return got, nil
}

// AsOf reads r as it was at a position; 0 is now. So the answer to a write is what that write made, whoever came after.
func AsOf(r Reader, at event.Position) Reader { return asOf{r, at} }

type asOf struct {
	Reader
	at event.Position
}

// Read implements Reader.
func (l asOf) Read(ctx context.Context, q Query) iter.Seq2[event.Envelope, error] {
	if q.Until == 0 || (l.at > 0 && l.at < q.Until) {
		q.Until = l.at
	}
	return l.Reader.Read(ctx, q)
}

// Fold plays the stream into a state, beginning with the zero S, and gives the version that the stream is at; 0 when it has no
// event.
func Fold[S any](ctx context.Context, r Reader, stream event.Tag, play func(*S, event.Event)) (S, int, error) {
	var s S
	version := 0
	for env, err := range r.Read(ctx, Query{Stream: stream}) {
		if err != nil {
			return s, 0, fmt.Errorf("fold stream %s: %w", stream, err)
		}
		play(&s, env.Event)
		version = env.Version
	}
	return s, version, nil
}
