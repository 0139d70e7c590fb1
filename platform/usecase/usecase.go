// Package usecase is what a module writes its commands against: a [Command] is executed on a [Unit] of work, in which it folds
// the streams it decides on and records what happened. A [Runner] stores the unit, all of it or nothing, and answers with a
// [Receipt].
//
// A command knows no transaction, no lock, no retry and no mode. The runner that keeps the constraints lives in
// platform/consistency.
package usecase

import (
	"context"
	"fmt"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/problem"
)

// Command is a request to change something, as a plain value.
type Command interface {
	// Execute validates the command, folds what it decides on and records what happens.
	//
	// It may run more than once for one request, each time on a fresh unit, because a rival was faster: it must not change the
	// command, nor anything outside the unit. Ids of new things are therefore fields of the command, drawn by whoever made it.
	Execute(ctx context.Context, u *Unit) error
}

// Request is a command on its way, with what belongs to the asking rather than to the thing asked.
type Request struct {
	Command Command
	Actor   string // who asks, as they say; recorded with every event

	// Key names the request, if the asker can name it: a second request with the key does nothing and is answered as the first
	// was. A creation is named after the thing it creates (its tag). Empty: the request cannot be repeated.
	Key string
	// Fresh says that Key was drawn for this request: no earlier one can have it, and none is looked for.
	Fresh bool
	// Fingerprint tells whether two requests under one key ask for the same. A second one with another fingerprint is refused.
	Fingerprint []byte

	// Placed, if set, is called once, when the request has its place behind those that were run before it, or is over. Where
	// requests line up, one that is run afterwards is stored afterwards, or together with it and with a higher number; so an
	// importer can have many under way and keep their order, if it lets none of them go, the database fails none, and no mode is
	// changed meanwhile. Elsewhere a request is placed when it is over.
	Placed func()

	// Token is the asker's own name for this asking, if they gave it one. It goes with any command, beside Key or without.
	Token Token
}

// Token names an asking, where [Request.Key] names what is asked for: a second request with the token does nothing, and what it
// is told does not differ from what the first was. Only a success takes a token; the zero Token is none.
type Token struct {
	Key         string // at most 200 bytes; unique in the log, for ever
	Fingerprint []byte // tells whether two requests with the token ask for the same; a second one with another is refused
}

// Receipt tells what a request stored.
type Receipt struct {
	Position event.Position   // of its last event; when it changed nothing, where the log was: what is read there is what it found
	Events   []event.Envelope // as stored: numbers and ancestors are in them
	Repeated bool             // another request did it before, under the same key; this is what that stored
}

// Runner runs commands. It is safe for concurrent use.
type Runner interface {
	// Run executes the request's command and stores what it recorded. An error means that nothing was stored, with one
	// exception that says so itself: code "outcome-unknown".
	Run(ctx context.Context, r Request) (Receipt, error)
}

// Recorded finds the first event of the type E that a receipt tells of. It panics when there is none: the caller knows what its
// own command records.
func Recorded[E event.Event](r Receipt) (E, event.Envelope) {
	for _, env := range r.Events {
		if e, ok := env.Event.(E); ok {
			return e, env
		}
	}
	var e E
	panic(fmt.Sprintf("receipt at %d has no %T", r.Position, e))
}

// Unit is what one execution of a command reads, records and depends on. It belongs to one goroutine, and to one attempt.
type Unit struct {
	now     time.Time
	log     eventlog.Reader
	streams map[event.Tag]int  // stream → the version it has in this unit's eyes, what it recorded included
	folded  map[event.Tag]bool // streams it has looked into
	events  []Recording
}

// Recording is one event that a unit recorded.
type Recording struct {
	Stream  event.Tag
	Version int  // the place in its stream that it is meant for
	Folded  bool // the unit had looked into the stream before
	Event   event.Event
}

// NewUnit is for runners, and for tests of a single command: a unit that reads from log at the time now.
func NewUnit(log eventlog.Reader, now time.Time) *Unit {
	return &Unit{now: now.UTC().Truncate(time.Microsecond), log: log, streams: map[event.Tag]int{}, folded: map[event.Tag]bool{}}
}

// Now is the one time of the unit: UTC, to the microsecond.
func (u *Unit) Now() time.Time { return u.now }

// Log reads the log as the unit does. What it records itself is not in it.
func (u *Unit) Log() eventlog.Reader { return u.log }

// ErrVersionMismatch: the thing has changed since the caller saw it.
var ErrVersionMismatch = problem.New(problem.Stale, "version-mismatch",
	"It has been changed since you looked at it. Look at it again, and make your change to what is there now.")

// CheckVersion compares the version of a stream that a caller has seen with what it is at; 0 is a caller who did not say.
func CheckVersion(seen, is int) error {
	if seen != 0 && seen != is {
		return ErrVersionMismatch
	}
	return nil
}

// Record notes that the events happened, next in the stream. Nothing is stored until the command has returned. A stream that
// the unit has not folded is taken to be new: storing fails if it is not.
//
// Numbers and ancestors that constraints stamp are not in the events yet. Events must be pointers.
func (u *Unit) Record(stream event.Tag, events ...event.Event) {
	for _, e := range events {
		u.streams[stream]++
		u.events = append(u.events, Recording{Stream: stream, Version: u.streams[stream], Folded: u.folded[stream], Event: e})
	}
}

// Recorded is everything that was recorded so far, in order. The events are shared, not copied.
func (u *Unit) Recorded() []Recording { return u.events }

// Fold plays the stream into a state, beginning with the zero S, and gives the version that the stream is at (0: it has no
// event). What the unit recorded itself is played too. A unit that then records to the stream is stored only if nobody else
// has written to it since it was folded for the first time.
func Fold[S any](ctx context.Context, u *Unit, stream event.Tag, play func(*S, event.Event)) (S, int, error) {
	s, version, err := eventlog.Fold(ctx, u.log, stream, play)
	if err != nil {
		return s, 0, err
	}
	own := 0
	for _, r := range u.events {
		if r.Stream == stream {
			play(&s, r.Event)
			own++
		}
	}
	if !u.folded[stream] { // what was decided on then must not be stored behind what came since
		u.streams[stream], u.folded[stream] = version+own, true
	}
	return s, version + own, nil
}
