package consistency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
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
	token  string // as a key of the log; "" when there is none
	unit   uuid.UUID
	ids    []uuid.UUID // of events, drawn once for the request
	number int         // of the present attempt, from 1
	extra  Questions   // what an earlier attempt turned out to need locked as well
	doubt  bool        // an earlier attempt lost its connection while it was committing
	place  *place      // in the lane; nil when it has a transaction of its own

	executed bool // whether the present attempt came as far as a plan
	u        *usecase.Unit
	w        *work
	plan     plan
	seen     *State    // what it compares with
	since    time.Time // when it began to wait for others

	// What became of it. Only the transaction writes here, and the attempt reads it afterwards.
	delta  Delta
	events []event.Envelope // as stored
	before *eventlog.Done   // what the same request stored before
	err    error

	earlier bool // the answer is what another request stored, before this one
}

// run makes one attempt. An *again may be run again; any other error is the answer.
func (a *attempt) run(ctx context.Context, settings Settings) (usecase.Receipt, error) {
	a.executed, a.events, a.before, a.err, a.earlier = false, nil, nil, nil, false
	a.Probe(ctx, Begin)
	switch err := a.prepare(ctx, settings); {
	case err != nil:
		return usecase.Receipt{}, a.busy(err)
	case !a.executed && a.token != "":
		return a.note(ctx, "")
	case !a.executed && a.doubt: // what it found may be what an earlier attempt of its own has stored
		if d, found, err := a.look(ctx); found || err != nil {
			if err != nil {
				return usecase.Receipt{}, ErrOutcomeUnknown.Because(err)
			}
			return a.asThen(context.WithoutCancel(ctx), d)
		}
		fallthrough
	case !a.executed:
		head, err := a.Log.Head(ctx)
		return usecase.Receipt{Position: head.Position}, a.busy(err)
	}
	if len(a.plan.compare) > 0 {
		a.seen = NewState()
		if err := a.Register.Load(ctx, nil, Questions{Guards: a.plan.compare}, a.seen); err != nil {
			return usecase.Receipt{}, a.busy(err)
		}
	}
	a.Probe(ctx, Decided)

	a.since = a.Now()
	if a.plan.lane {
		if err := a.lane.run(ctx, a, settings); err != nil {
			return usecase.Receipt{}, err
		}
	} else {
		a.place = nil
		a.guarded(ctx, []*attempt{a}, true)
	}
	return a.answer(ctx)
}

// placed tells whoever wants to know that what is run from now on comes behind this.
func (a *attempt) placed() {
	if a.req.Placed != nil {
		a.req.Placed()
		a.req.Placed = nil
	}
}

// claim reports whether the attempt is to be stored. Its caller cannot leave it any more.
func (a *attempt) claim() bool { return a.place == nil || a.place.claim() }

// fail leaves the error of a transaction that could not be completed, if there is still somebody who wants to know.
func (a *attempt) fail(err error) {
	if a.claim() {
		a.err = &fault{err}
	}
}

// fault is an error of the database that has not been sorted yet.
type fault struct{ error }

func (f *fault) Unwrap() error { return f.error }

// refusal is a rule that the attempt broke.
type refusal struct {
	by      *spec
	problem *problem.Error
	at      Key
}

func (r *refusal) Error() string { return r.problem.Error() }

// answer is what became of the attempt.
func (a *attempt) answer(ctx context.Context) (usecase.Receipt, error) {
	if a.before != nil {
		receipt, err := a.asThen(ctx, *a.before)
		return receipt, a.busy(err)
	}
	switch err := a.err.(type) { //nolint:errorlint // set as it is, by this package
	case nil:
		return receipt(a.events, false), nil
	case *refusal:
		a.countOne(err.by.name, Refused)
		return usecase.Receipt{}, a.refusal(err.problem, err.at, false)
	case *fault:
		return a.settle(ctx, err.error)
	}
	return usecase.Receipt{}, a.err
}

// prepare executes the command and plans, if it recorded anything. A panic is an error of this command alone.
func (a *attempt) prepare(ctx context.Context, settings Settings) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.Logger.ErrorContext(ctx, "command panicked", "command", fmt.Sprintf("%T", a.req.Command), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("execute %T: panic: %v", a.req.Command, p)
		}
	}()
	a.u = usecase.NewUnit(a.Log, a.Now())
	if err := a.req.Command.Execute(ctx, a.u); err != nil || len(a.u.Recorded()) == 0 {
		return err
	}
	a.w = newWork(a.Set)
	for i, rec := range a.u.Recorded() {
		a.w.add(a.eventID(i), rec.Stream, rec.Version, rec.Event)
	}
	a.plan = newPlan(a.w, a.w.decide(&State{}), settings, func(k Key) bool {
		return a.contention.queued(k, a.Now(), settings.Contention)
	})
	a.plan.load = a.plan.load.And(a.extra)
	a.executed, a.seen = true, &State{}
	return nil
}

// seal makes envelopes of what was recorded, now that everything is stamped.
func (a *attempt) seal() error {
	a.events = make([]event.Envelope, len(a.w.events))
	for i, rec := range a.u.Recorded() {
		data, err := event.Encode(rec.Event)
		if err != nil {
			return err
		}
		a.events[i] = event.Envelope{
			ID: a.w.events[i].id, Unit: a.unit, Stream: rec.Stream, Version: rec.Version,
			Type: rec.Event.EventType(), Schema: event.SchemaOf(rec.Event), RecordedAt: a.u.Now(), Actor: a.req.Actor,
			Data: data, Event: rec.Event,
		}
	}
	return nil
}

// waited tells how long the attempt has waited for others.
func (a *attempt) waited() {
	d := a.Now().Sub(a.since)
	for _, name := range a.plan.waiting() {
		a.Meter.Waited(name, a.plan.modes[name], d)
	}
}

// eventID is the id of the unit's i-th event: the same in every attempt.
func (a *attempt) eventID(i int) uuid.UUID {
	for len(a.ids) <= i {
		a.ids = append(a.ids, uuid.Must(uuid.NewV7()))
	}
	return a.ids[i]
}

// names are the keys under which the request may have been done before, by itself or an earlier attempt: the one that counts
// first.
func (a *attempt) names() []string {
	var names []string
	if a.token != "" {
		names = append(names, a.token)
	}
	if a.number > 1 || (a.req.Key != "" && !a.req.Fresh) {
		names = append(names, a.key)
	}
	return names
}

// asThen answers with what was stored under one of the request's keys.
func (a *attempt) asThen(ctx context.Context, d eventlog.Done) (usecase.Receipt, error) {
	asked, other := a.req.Fingerprint, ErrIDTaken
	if d.Key == a.token {
		asked, other = a.req.Token.Fingerprint, ErrTokenReused
	}
	if !bytes.Equal(d.Fingerprint, asked) {
		return usecase.Receipt{}, other
	}
	of := d
	if d.Key == a.token && len(d.Answer) > 0 { // see note
		var err error
		if of, _, err = a.Log.Done(ctx, string(d.Answer)); err != nil {
			return usecase.Receipt{}, err
		}
	}
	events, err := eventlog.Events(ctx, a.Log, of)
	if err != nil {
		return usecase.Receipt{}, err
	}
	// Ours, if an earlier attempt was stored without our being told; else somebody's who asked before.
	a.earlier = len(events) == 0 || events[0].Unit != a.unit
	if a.earlier && d.Key != a.token && a.token != "" {
		return a.note(ctx, d.Key)
	}
	r := receipt(events, a.earlier && of.Key != a.token)
	if len(events) == 0 {
		r.Position = d.Position
	}
	return r, nil
}

func receipt(events []event.Envelope, repeated bool) usecase.Receipt {
	r := usecase.Receipt{Events: events, Repeated: repeated}
	if len(events) > 0 {
		r.Position = events[len(events)-1].Position
	}
	return r
}

// settle deals with a transaction that failed. The error of Commit is the error of the command.
func (a *attempt) settle(ctx context.Context, err error) (usecase.Receipt, error) {
	var version *eventlog.VersionConflict
	var key *eventlog.KeyTaken
	switch {
	case errors.Is(err, eventlog.ErrInDoubt):
		a.doubt = true
		d, found, lookErr := a.look(ctx)
		switch {
		case lookErr != nil:
			return usecase.Receipt{}, ErrOutcomeUnknown.Because(errors.Join(err, lookErr))
		case found:
			return a.asThen(context.WithoutCancel(ctx), d)
		}
		// Not there, or not yet: another attempt has the same key and the same event ids, so it cannot happen twice.
		return usecase.Receipt{}, &again{cause: err}
	case errors.As(err, &key):
		return usecase.Receipt{}, &again{cause: err} // the next attempt finds it
	case errors.As(err, &version):
		if begun(a.u, version.Stream) {
			return usecase.Receipt{}, ErrIDTaken.Because(err)
		}
		return usecase.Receipt{}, &again{cause: err}
	case errors.Is(err, eventlog.ErrBusy) && !errors.Is(err, eventlog.ErrHeadBusy) && !errors.Is(err, eventlog.ErrAgain):
		return usecase.Receipt{}, a.scopeBusy(ctx, err)
	}
	return usecase.Receipt{}, a.busy(err)
}

// done looks up what was stored under the first of the names that is there.
func (a *attempt) done(ctx context.Context, names ...string) (d eventlog.Done, found bool, err error) {
	for _, name := range names {
		if d, found, err = a.Log.Done(ctx, name); found || err != nil {
			break
		}
	}
	return d, found, err
}

// look looks the request up in the log, also when its caller has gone, and gives a database that was restarted the time to come
// back.
func (a *attempt) look(ctx context.Context) (eventlog.Done, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), doubtPatience)
	defer cancel()
	for pause := doubtPatience / 200; ; pause *= 2 {
		d, found, err := a.done(ctx, append(a.names(), a.key)...)
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

// begun reports whether the unit meant to begin the stream without having looked whether it is there. Without a stream (the
// database did not say which) it is whether it meant to begin any.
func begun(u *usecase.Unit, stream event.Tag) bool {
	for _, rec := range u.Recorded() {
		if (stream == rec.Stream || stream == "") && rec.Version == 1 && !rec.Folded {
			return true
		}
	}
	return false
}

// busy turns a wait in vain for the log into the refusal that says so.
func (a *attempt) busy(err error) error {
	if errors.Is(err, eventlog.ErrAgain) {
		return &again{cause: err}
	}
	if !errors.Is(err, eventlog.ErrBusy) {
		return err
	}
	if a.executed {
		for _, name := range a.plan.waiting() {
			a.countOne(name, Busy)
		}
	}
	return a.later(ErrLogBusy.Because(err))
}

// scopeBusy is the refusal of who waited in vain for what others hold. What that is no database says, so it is looked up; if it
// is free by now, all are to blame that may have been.
func (a *attempt) scopeBusy(ctx context.Context, err error) error {
	at := a.heldByOthers(ctx)
	blamed := map[string]bool{}
	for _, k := range at {
		blamed[k.Constraint] = true
	}
	if len(at) == 0 {
		for _, name := range a.plan.alone() {
			blamed[name] = true
			at = append(at, Key{Constraint: name, Scope: a.plan.rivalry[name]})
		}
	}
	for name := range blamed {
		a.countOne(name, Busy)
	}
	e := ErrScopeBusy.Because(err)
	if len(blamed) > 0 {
		e = a.at(e, at[0])
	}
	return a.later(e)
}

// lookPatience is how long a look at what others hold may take: its caller has waited long enough.
const lookPatience = 200 * time.Millisecond

// heldByOthers is what the attempt needs and others hold at this moment; nothing if that cannot be found out.
func (a *attempt) heldByOthers(ctx context.Context) []Key {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	tx, err := a.Log.Begin(ctx)
	if err != nil {
		return nil
	}
	defer tx.Rollback()
	waiting, err := a.Register.Try(ctx, tx, a.plan.load, NewState())
	if err != nil {
		return nil
	}
	keys := waiting.keys()
	for i, k := range keys {
		if k.Scope.IsZero() { // the rows of an owner
			keys[i].Scope = event.Tag(k.Key)
		}
	}
	return keys
}

// laneFull is the refusal of who found no room in the lane. It concerns those constraints because of which it lines up, and says
// one of them: a sequence, if there is one.
func (a *attempt) laneFull(err error) error {
	names := a.plan.lining()
	for _, name := range names {
		a.countOne(name, Busy)
	}
	e := ErrQueueFull.Because(err)
	for _, g := range a.plan.load.Guards {
		if slices.Contains(names, g.Constraint) {
			return a.later(a.at(e, g))
		}
	}
	return a.later(a.at(e, Key{Constraint: names[0], Scope: a.plan.rivalry[names[0]]}))
}

// at is a copy of e that says which constraint it is about, where.
func (a *attempt) at(e *problem.Error, k Key) *problem.Error {
	c := *e
	c.Constraint, c.Scope, c.Mode = k.Constraint, string(k.Scope), a.plan.modes[k.Constraint].String()
	return &c
}

// later is a refusal that another try, in a moment, may not meet.
func (a *attempt) later(e *problem.Error) error {
	e.RetryAfter, e.Retryable, e.Attempts = time.Second, true, a.number
	return e
}

// mayRetry pauses before another attempt, or says why there will be none.
func (a *attempt) mayRetry(ctx context.Context, retry *again, settings Settings) error {
	if retry.inTurn {
		a.number--
		return ctx.Err()
	}
	mode := Retry // what no constraint answers for is tried again in every mode
	if retry.lost != nil {
		mode = a.plan.modes[retry.lost.Key.Constraint]
		if mode == Adaptive {
			a.contention.met(a.Set.place(retry.lost.Key), 1, a.Now(), settings.Contention)
		}
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
		if _, ok := errors.AsType[*eventlog.VersionConflict](retry.cause); ok || errors.Is(retry.cause, errMoved) {
			return a.overtaken(ctx, retry.cause, settings)
		}
		e := problem.Of(retry.cause).Because(retry.cause) // what the database says of itself
		if e.Kind != problem.Unavailable {
			e = ErrLogBusy.Because(retry.cause)
		}
		return a.later(e)
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

// errMoved: what the command is about has changed since it was executed.
var errMoved = errors.New("others have changed what it is about")

// overtaken is the refusal of a command that others were always faster than: what it says itself of what is there now, if it has
// something against that, as when its caller wanted to change only what they had seen.
func (a *attempt) overtaken(ctx context.Context, cause error, settings Settings) error {
	if e, ok := errors.AsType[*problem.Error](a.prepare(ctx, settings)); ok {
		return e
	}
	return ErrVersionConflict.Because(cause)
}

// refusal is a constraint's own error with what the caller should know about it.
func (a *attempt) refusal(broken *problem.Error, at Key, rival bool) error {
	e := a.at(broken, at)
	e.Attempts, e.Retryable = a.number, rival
	return e
}

func (a *attempt) countOne(constraint string, o Outcome) {
	a.Meter.Attempted(Attempt{
		Constraint: constraint, Scope: a.plan.rivalry[constraint], Mode: a.plan.modes[constraint], Outcome: o, Number: a.number,
	})
}

// stored counts the attempt, which was accepted, for every constraint it concerned.
func (a *attempt) stored() {
	if !a.executed {
		return
	}
	for name := range a.plan.modes {
		a.countOne(name, Accepted)
	}
}

// refused is the answer to a request that failed with err, unless it turns out that the same request was done meanwhile: then
// what stood in its way was itself.
func (a *attempt) refused(ctx context.Context, err error) (usecase.Receipt, error) {
	if errors.Is(err, ErrOutcomeUnknown) {
		return usecase.Receipt{}, err
	}
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
	// What can stand in the way of a command's second time is a rule, or, as its token goes with any command, whatever it looks at.
	if kind := problem.Of(err).Kind; a.token == "" && (!a.executed || (kind != problem.Conflict && kind != problem.Refused)) {
		return usecase.Receipt{}, err
	}
	if errors.Is(err, ErrTokenReused) {
		return usecase.Receipt{}, err
	}
	d, found, lookErr := a.done(ctx, a.names()...)
	if !found || lookErr != nil {
		return usecase.Receipt{}, err
	}
	return a.asThen(ctx, d)
}
