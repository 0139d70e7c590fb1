package consistency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/google/uuid"
)

// Outcome is what became of one attempt, as far as one constraint is concerned.
type Outcome string

// The outcomes that are counted. Every attempt is counted once for each constraint it concerned.
const (
	Accepted  Outcome = "accepted"  // stored
	Rejected  Outcome = "rejected"  // lost to a rival, and the caller was told
	Retried   Outcome = "retried"   // lost to a rival, and decided again
	Exhausted Outcome = "exhausted" // lost to rivals until no attempt was left
	Busy      Outcome = "busy"      // waited for a lock in vain
	Refused   Outcome = "refused"   // the rule cannot be met: no other attempt would help
)

// Meter is told what happens. It is called from many goroutines and must not block.
type Meter interface {
	Attempt(constraint string, mode Mode, outcome Outcome) // once for each attempt and constraint concerned
	Waited(constraint string, mode Mode, d time.Duration)  // for the locks of a transaction, by the constraints locked
}

// Immediate plays events in the transaction that stores them, before they have a position. An error fails the command.
type Immediate interface {
	Play(ctx context.Context, tx eventlog.Tx, events []event.Envelope) error
}

// Stage is a moment in the life of an attempt at which a test can hold it.
type Stage string

// The stages at which Config.Probe is called.
const (
	Begin   Stage = "begin"   // before anything is read
	Decided Stage = "decided" // what the decision rests on was read, where the mode compares; nothing is locked
	Locked  Stage = "locked"  // the transaction has its locks
	Written Stage = "written" // everything but the log is written
)

// Config is what a Runner works with. Log, Register and Set are required.
type Config struct {
	Log      eventlog.Log
	Register Register
	Set      *Set
	Settings func() Settings // the present ones; asked once for each attempt. Nil: the defaults

	Immediate Immediate                                    // nil: none
	Committed func(ctx context.Context, r usecase.Receipt) // called after each commit that stored something, in the caller's goroutine
	Meter     Meter                                        // nil: nothing is counted
	Logger    *slog.Logger                                 // nil: slog.Default
	Now       func() time.Time                             // nil: time.Now
	Probe     func(ctx context.Context, s Stage)           // for tests; nil in production
}

// Runner runs commands and keeps the constraints. It implements usecase.Runner and is safe for concurrent use.
type Runner struct{ Config }

// NewRunner completes the configuration.
func NewRunner(c Config) *Runner {
	if c.Settings == nil {
		c.Settings = DefaultSettings
	}
	if c.Meter == nil {
		c.Meter = noMeter{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Committed == nil {
		c.Committed = func(context.Context, usecase.Receipt) {}
	}
	if c.Probe == nil {
		c.Probe = func(context.Context, Stage) {}
	}
	return &Runner{c}
}

type noMeter struct{}

func (noMeter) Attempt(string, Mode, Outcome)      {}
func (noMeter) Waited(string, Mode, time.Duration) {}

// Refusals of the runner itself.
var (
	// ErrScopeBusy: a scope stayed locked for longer than the lock time-out.
	ErrScopeBusy = problem.New(problem.Unavailable, "scope-busy", "Others are writing to the same place. Try again in a moment.")
	// ErrLogBusy: the log stayed locked for longer than the lock time-out.
	ErrLogBusy = problem.New(problem.Unavailable, "log-busy", "The catalogue is busy with other writers. Try again in a moment.")
	// ErrOutcomeUnknown: the connection was lost while the command was being stored, and the log cannot be asked.
	ErrOutcomeUnknown = problem.New(problem.Unavailable, "outcome-unknown",
		"The connection to the database was lost while this was being stored, so it may or may not have happened. Repeat the request with the same id or Idempotency-Key: it takes effect once.")
	// ErrVersionConflict: others wrote to the same thing, again and again.
	ErrVersionConflict = problem.New(problem.Conflict, "version-conflict", "Others are changing the same thing at the same time. Look at it again and repeat the change.")
	// ErrIDTaken: the id that the caller gave is another thing's.
	ErrIDTaken = problem.New(problem.Conflict, "id-taken", "The id is already in use for something with other content. Leave it out to have one drawn, or use another.")
)

// again is a fault that another attempt may get past.
type again struct {
	cause error
	lost  *Lost // when it was a constraint's row
}

func (e *again) Error() string { return e.cause.Error() }

// Run implements usecase.Runner.
func (r *Runner) Run(ctx context.Context, req usecase.Request) (usecase.Receipt, error) {
	a := &attempt{Runner: r, req: req, unit: uuid.Must(uuid.NewV7())}
	if a.key = req.Key; a.key == "" {
		a.key = a.unit.String()
	}
	for {
		a.number++
		settings := r.Settings()
		receipt, err := a.run(ctx, settings)
		if retry, ok := errors.AsType[*again](err); ok {
			if err = a.mayRetry(ctx, retry, settings); err == nil {
				continue
			}
		}
		if err != nil {
			receipt, err = a.refused(ctx, err)
		}
		if err != nil {
			return usecase.Receipt{}, err
		}
		if !receipt.Repeated && len(receipt.Events) > 0 {
			a.count(Accepted)
			r.Committed(ctx, receipt)
		}
		return receipt, nil
	}
}

// refused is the answer to a request that failed with err, unless it turns out that the same request was done meanwhile: then
// what stood in its way was itself.
func (a *attempt) refused(ctx context.Context, err error) (usecase.Receipt, error) {
	if ctx.Err() != nil && !errors.Is(err, ErrOutcomeUnknown) {
		return usecase.Receipt{}, errors.Join(ctx.Err(), err) // a driver has words of its own for a caller who has gone
	}
	if kind := problem.Of(err).Kind; a.req.Key == "" || !a.executed || (kind != problem.Conflict && kind != problem.Refused) {
		return usecase.Receipt{}, err
	}
	d, found, lookErr := a.Log.Done(ctx, a.key)
	if !found || lookErr != nil {
		return usecase.Receipt{}, err
	}
	return a.asThen(ctx, d)
}

// attempt is a request being run: what stays the same over its attempts, and the present one.
type attempt struct {
	*Runner
	req    usecase.Request
	key    string
	unit   uuid.UUID
	ids    []uuid.UUID // of events, drawn once for the request
	number int         // of the present attempt, from 1

	plan     plan
	extra    Questions // what an earlier attempt turned out to need locked as well
	executed bool      // whether the present attempt came as far as a plan
}

// run makes one attempt. An *again may be run again; any other error is the answer.
func (a *attempt) run(ctx context.Context, settings Settings) (usecase.Receipt, error) {
	a.executed = false
	a.Probe(ctx, Begin)
	u := usecase.NewUnit(a.Log, a.Now())
	if err := a.execute(ctx, u); err != nil {
		return usecase.Receipt{}, err
	}
	if len(u.Recorded()) == 0 {
		return usecase.Receipt{}, nil
	}
	w := newWork(a.Set)
	for i, rec := range u.Recorded() {
		w.add(a.eventID(i), rec.Stream, rec.Version, rec.Event)
	}
	first := w.decide(NewState())
	a.plan, a.executed = newPlan(a.Set, first, settings), true
	a.plan.load.Guards = append(a.plan.load.Guards, a.extra.Guards...)
	a.plan.load.Held = append(a.plan.load.Held, a.extra.Held...)
	a.plan.load.tidy()

	seen := NewState()
	if len(a.plan.compare) > 0 {
		if err := a.Register.Load(ctx, nil, Questions{Guards: a.plan.compare}, seen); err != nil {
			return usecase.Receipt{}, a.busy(err, ErrScopeBusy)
		}
	}
	a.Probe(ctx, Decided)

	tx, err := a.Log.Begin(ctx)
	if err != nil {
		return usecase.Receipt{}, a.busy(err, ErrLogBusy)
	}
	defer tx.Rollback()
	if a.req.Key != "" || a.number > 1 {
		if receipt, done, err := a.done(ctx, tx); done || err != nil {
			return receipt, err
		}
	}
	delta, err := a.decide(ctx, tx, w, seen)
	if err != nil {
		return usecase.Receipt{}, err
	}
	events, err := a.seal(u, w)
	if err != nil {
		return usecase.Receipt{}, err
	}
	if a.Immediate != nil {
		if err := a.Immediate.Play(ctx, tx, events); err != nil {
			return usecase.Receipt{}, err
		}
	}
	if err := a.Register.Save(ctx, tx, delta); err != nil {
		if lost, ok := errors.AsType[*Lost](err); ok && w.fresh[lost.Key.Scope] {
			return usecase.Receipt{}, ErrIDTaken.Because(err) // what the unit means to begin is there already
		}
		return usecase.Receipt{}, a.fault(err)
	}
	a.Probe(ctx, Written)
	err = tx.Commit(ctx, eventlog.Unit{ID: a.unit, Key: a.key, Fingerprint: a.req.Fingerprint, Events: events})
	if err != nil {
		return a.settle(ctx, err, u)
	}
	return receipt(events, false), nil
}

// execute runs the command. A panic is an error of this command alone.
func (a *attempt) execute(ctx context.Context, u *usecase.Unit) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.Logger.ErrorContext(ctx, "command panicked", "command", fmt.Sprintf("%T", a.req.Command), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("execute %T: panic: %v", a.req.Command, p)
		}
	}()
	return a.req.Command.Execute(ctx, u)
}

// decide loads what the decision needs, under locks, and decides.
func (a *attempt) decide(ctx context.Context, tx eventlog.Tx, w *work, seen *State) (Delta, error) {
	state := NewState()
	began := a.Now()
	err := a.Register.Load(ctx, tx, a.plan.load, state)
	for _, k := range a.plan.load.Guards {
		a.Meter.Waited(k.Constraint, a.plan.modes[k.Constraint], a.Now().Sub(began))
	}
	if err != nil {
		return Delta{}, a.busy(err, ErrScopeBusy)
	}
	a.Probe(ctx, Locked)
	for k, last := range seen.guards {
		if state.guards[k] != last {
			return Delta{}, &again{cause: &Lost{k}, lost: &Lost{k}}
		}
	}
	v := w.decide(state)
	for !v.missing.None() {
		if n := len(v.missing.Guards) + len(v.missing.Held); n > 0 {
			// A stamp led to a scope that could not be known before: locking it now would break the order of locks.
			a.extra.Guards = append(a.extra.Guards, v.missing.Guards...)
			a.extra.Held = append(a.extra.Held, v.missing.Held...)
			return Delta{}, &again{cause: errors.New("a scope turned up that was not planned for")}
		}
		if err := a.Register.Load(ctx, tx, v.missing, state); err != nil {
			return Delta{}, a.busy(err, ErrScopeBusy)
		}
		v = w.decide(state)
	}
	if v.broken != nil {
		a.countOne(v.by.name, Refused)
		return Delta{}, a.refusal(v.broken, v.at, false)
	}
	return v.delta, nil
}

// seal makes envelopes of what was recorded, now that everything is stamped.
func (a *attempt) seal(u *usecase.Unit, w *work) ([]event.Envelope, error) {
	events := make([]event.Envelope, len(w.events))
	for i, rec := range u.Recorded() {
		data, err := event.Encode(rec.Event)
		if err != nil {
			return nil, err
		}
		events[i] = event.Envelope{
			ID: w.events[i].id, Unit: a.unit, Stream: rec.Stream, Version: rec.Version,
			Type: rec.Event.EventType(), Schema: event.SchemaOf(rec.Event), RecordedAt: u.Now(), Actor: a.req.Actor,
			Data: data, Event: rec.Event,
		}
	}
	return events, nil
}

// eventID is the id of the unit's i-th event: the same in every attempt.
func (a *attempt) eventID(i int) uuid.UUID {
	for len(a.ids) <= i {
		a.ids = append(a.ids, uuid.Must(uuid.NewV7()))
	}
	return a.ids[i]
}

// done answers a request that was done before as it was then.
func (a *attempt) done(ctx context.Context, tx eventlog.Tx) (usecase.Receipt, bool, error) {
	found, err := tx.Done(ctx, a.key)
	if err != nil {
		return usecase.Receipt{}, false, err
	}
	d, ok := found[a.key]
	if !ok {
		return usecase.Receipt{}, false, nil
	}
	tx.Rollback() // its events are read without it
	receipt, err := a.asThen(ctx, d)
	return receipt, true, err
}

func (a *attempt) asThen(ctx context.Context, d eventlog.Done) (usecase.Receipt, error) {
	if !bytes.Equal(d.Fingerprint, a.req.Fingerprint) {
		return usecase.Receipt{}, ErrIDTaken
	}
	events, err := eventlog.Events(ctx, a.Log, d)
	if err != nil {
		return usecase.Receipt{}, err
	}
	// Ours, if an earlier attempt was stored without our being told; else somebody's who asked before.
	return receipt(events, len(events) == 0 || events[0].Unit != a.unit), nil
}

func receipt(events []event.Envelope, repeated bool) usecase.Receipt {
	r := usecase.Receipt{Events: events, Repeated: repeated}
	if len(events) > 0 {
		r.Position = events[len(events)-1].Position
	}
	return r
}

// settle deals with a Commit that failed. The error of Commit is the error of the command.
func (a *attempt) settle(ctx context.Context, err error, u *usecase.Unit) (usecase.Receipt, error) {
	var version *eventlog.VersionConflict
	var key *eventlog.KeyTaken
	switch {
	case errors.Is(err, eventlog.ErrInDoubt):
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		d, found, lookErr := a.Log.Done(ctx, a.key)
		switch {
		case lookErr != nil:
			return usecase.Receipt{}, ErrOutcomeUnknown.Because(errors.Join(err, lookErr))
		case found:
			return a.asThen(ctx, d)
		}
		// Not there, or not yet: another attempt has the same key and the same event ids, so it cannot happen twice.
		return usecase.Receipt{}, &again{cause: err}
	case errors.As(err, &key):
		return usecase.Receipt{}, &again{cause: err} // the next attempt finds it
	case errors.As(err, &version):
		if begun(u, version.Stream) {
			return usecase.Receipt{}, ErrIDTaken.Because(err)
		}
		return usecase.Receipt{}, &again{cause: err}
	}
	return usecase.Receipt{}, a.fault(err)
}

// begun reports whether the unit meant to begin the stream. Without a stream (the database did not say which) it is whether
// the unit begins all it writes to.
func begun(u *usecase.Unit, stream event.Tag) bool {
	for _, rec := range u.Recorded() {
		if (stream == rec.Stream || stream == "") && rec.Version == 1 {
			return true
		}
	}
	return false
}

// fault sorts the errors of the database.
func (a *attempt) fault(err error) error {
	if lost, ok := errors.AsType[*Lost](err); ok {
		return &again{cause: err, lost: lost}
	}
	return a.busy(err, ErrLogBusy)
}

// busy turns a wait in vain into the refusal that says so.
func (a *attempt) busy(err error, as *problem.Error) error {
	if errors.Is(err, eventlog.ErrAgain) {
		return &again{cause: err}
	}
	if !errors.Is(err, eventlog.ErrBusy) {
		return err
	}
	a.count(Busy)
	e := as.Because(err)
	e.RetryAfter, e.Retryable, e.Attempts = time.Second, true, a.number
	return e
}

// mayRetry pauses before another attempt, or says why there will be none.
func (a *attempt) mayRetry(ctx context.Context, retry *again, settings Settings) error {
	mode := Retry // what no constraint answers for is tried again in every mode
	if retry.lost != nil {
		mode = a.plan.modes[retry.lost.Key.Constraint]
	}
	if mode == Reject || a.number >= settings.Attempts {
		outcome := Exhausted
		if mode == Reject {
			outcome = Rejected
		}
		if retry.lost != nil {
			a.countOne(retry.lost.Key.Constraint, outcome)
			return a.refusal(a.Set.byName[retry.lost.Key.Constraint].broken, retry.lost.Key, true)
		}
		if _, ok := errors.AsType[*eventlog.VersionConflict](retry.cause); ok {
			return ErrVersionConflict.Because(retry.cause)
		}
		e := ErrLogBusy.Because(retry.cause)
		e.RetryAfter, e.Retryable, e.Attempts = time.Second, true, a.number
		return e
	}
	if retry.lost != nil {
		a.countOne(retry.lost.Key.Constraint, Retried)
	}
	ceiling := settings.Backoff << min(a.number, 7)
	if ceiling <= 0 {
		return ctx.Err()
	}
	pause := time.NewTimer(rand.N(ceiling))
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refusal is a constraint's own error with what the caller should know about it.
func (a *attempt) refusal(broken *problem.Error, at Key, rival bool) error {
	e := *broken
	e.Constraint, e.Scope, e.Mode = at.Constraint, string(at.Scope), a.plan.modes[at.Constraint].String()
	e.Attempts, e.Retryable = a.number, rival
	return &e
}

func (a *attempt) countOne(constraint string, o Outcome) {
	a.Meter.Attempt(constraint, a.plan.modes[constraint], o)
}

// count counts the attempt for every constraint it concerned.
func (a *attempt) count(o Outcome) {
	if !a.executed {
		return
	}
	for name := range a.plan.modes {
		a.countOne(name, o)
	}
}
