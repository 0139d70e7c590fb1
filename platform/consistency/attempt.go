package consistency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/google/uuid"
)

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
	doubt    bool      // an earlier attempt lost its connection while it was committing
	executed bool      // whether the present attempt came as far as a plan
}

// run makes one attempt. An *again may be run again; any other error is the answer.
func (a *attempt) run(ctx context.Context, settings Settings) (usecase.Receipt, error) {
	a.executed = false
	a.Probe(ctx, Begin)
	u := usecase.NewUnit(a.Log, a.Now())
	if err := a.execute(ctx, u); err != nil {
		return usecase.Receipt{}, a.busy(err, ErrLogBusy)
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
	a.plan.load = a.plan.load.And(a.extra)

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
	if a.repeatable() {
		if receipt, done, err := a.done(ctx, tx); done || err != nil {
			return receipt, a.busy(err, ErrLogBusy)
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
			return usecase.Receipt{}, a.busy(err, ErrLogBusy)
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
		if locked := v.missing.Locked(); !locked.None() {
			// A stamp led to a scope that could not be known before: locking it now would break the order of locks.
			a.extra = a.extra.And(locked)
			return Delta{}, &again{cause: errors.New("a scope turned up that was not planned for")}
		}
		if err := a.Register.Load(ctx, tx, v.missing, state); err != nil {
			return Delta{}, a.busy(err, ErrScopeBusy)
		}
		v = w.decide(state)
	}
	if v.stale {
		return Delta{}, &again{cause: errors.New("the command did not know all that it takes with it")}
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

// repeatable reports whether the request may have been done before, by itself or an earlier attempt.
func (a *attempt) repeatable() bool { return a.number > 1 || (a.req.Key != "" && !a.req.Fresh) }

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
		a.doubt = true
		d, found, lookErr := a.look(ctx)
		switch {
		case lookErr != nil:
			return usecase.Receipt{}, errors.Join(err, lookErr)
		case found:
			return a.asThen(context.WithoutCancel(ctx), d)
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

// look looks the request up in the log, also when its caller has gone, and gives a database that was restarted the time to come
// back.
func (a *attempt) look(ctx context.Context) (eventlog.Done, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), doubtPatience)
	defer cancel()
	for pause := doubtPatience / 200; ; pause *= 2 {
		d, found, err := a.Log.Done(ctx, a.key)
		if err == nil || !errors.Is(err, eventlog.ErrAgain) || wait(ctx, pause) != nil {
			return d, found, err
		}
	}
}

// doubtPatience is how long a doubt is looked into before the caller is told of it.
const doubtPatience = 5 * time.Second

// wait waits for d, unless ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
		e := problem.Of(retry.cause).Because(retry.cause) // what the database says of itself
		if e.Kind != problem.Unavailable {
			e = ErrLogBusy.Because(retry.cause)
		}
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
	return wait(ctx, rand.N(ceiling))
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

// refused is the answer to a request that failed with err, unless it turns out that the same request was done meanwhile: then
// what stood in its way was itself.
func (a *attempt) refused(ctx context.Context, err error) (usecase.Receipt, error) {
	if a.doubt {
		d, found, lookErr := a.look(ctx)
		if found {
			return a.asThen(context.WithoutCancel(ctx), d)
		}
		// Not there, or not yet: a commit whose connection was lost may still be on its way.
		return usecase.Receipt{}, ErrOutcomeUnknown.Because(errors.Join(err, lookErr))
	}
	if ctx.Err() != nil {
		return usecase.Receipt{}, errors.Join(ctx.Err(), err) // a driver has words of its own for a caller who has gone
	}
	if kind := problem.Of(err).Kind; !a.repeatable() || !a.executed || (kind != problem.Conflict && kind != problem.Refused) {
		return usecase.Receipt{}, err
	}
	d, found, lookErr := a.Log.Done(ctx, a.key)
	if !found || lookErr != nil {
		return usecase.Receipt{}, err
	}
	return a.asThen(ctx, d)
}
