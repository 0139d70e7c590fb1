package consistency

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"accession/platform/event"
	"accession/platform/eventlog"
)

// batch is attempts on their way into one transaction: the one of a command that has a transaction of its own, or those that
// wait in the lane together. Its statements do not depend on how many they are.
type batch struct {
	*Runner
	patient bool       // waits for locks that others hold; else whoever needs one is stuck
	members []*attempt // in the order in which they are decided on; who has an answer leaves
	state   *State
	stuck   []stuck

	accepted []*attempt
	written  map[event.Tag]int // the version that each stream is at with what was accepted
	keys     map[string]bool   // of the requests accepted
}

// stuck is an attempt that has to wait for others.
type stuck struct {
	*attempt
	on []Key
}

// errStart asks for another transaction for those that are left.
var errStart = errors.New("a member of the batch has to leave it")

// store stores the members in one transaction, if it can be, and leaves an answer with each; those it does not wait for it
// gives back, unanswered. When the write fails because of one of them, each is stored in a transaction of its own, in their
// order and with the same ids: so a faulty one fails alone.
func (r *Runner) store(ctx context.Context, members []*attempt, patient bool) []stuck {
	b := &batch{Runner: r, patient: patient, members: members}
	var err error
	for {
		if err = b.store(ctx); !errors.Is(err, errStart) || len(b.members) == 0 {
			break
		}
	}
	busy := errors.Is(err, eventlog.ErrBusy) && !errors.Is(err, eventlog.ErrHeadBusy)
	late := busy && !patient
	switch {
	case err == nil || len(b.members) == 0:
	case len(b.members) == 1 && late:
		m := b.members[0]
		b.stuck = append(b.stuck, stuck{m, m.plan.load.keys()})
	case len(b.members) == 1:
		b.members[0].fail(err)
	case busy && patient: // for one of them: who needs what is free by now has not waited in vain
		for _, m := range b.members {
			for _, s := range r.guarded(ctx, []*attempt{m}, false) {
				s.fail(err)
			}
		}
	case errors.Is(err, eventlog.ErrInDoubt), errors.Is(err, eventlog.ErrAgain), errors.Is(err, eventlog.ErrHeadBusy):
		for _, m := range b.members { // the database's doing, not one of theirs
			m.fail(err)
		}
	default:
		b.stuck = append(b.stuck, r.alone(ctx, b.members, patient)...)
	}
	return b.stuck
}

// alone stores each of the members in a transaction of its own, in their order. Whoever needs what one before it has to wait for
// waits behind it, untried: places are kept, and what others hold is run into once.
func (r *Runner) alone(ctx context.Context, members []*attempt, patient bool) (aside []stuck) {
	ahead := locks{} // what is waited for
	for _, m := range members {
		waits := []stuck{{m, nil}}
		if ahead.meet(m.plan.load) {
			waits[0].on = slices.DeleteFunc(m.plan.load.keys(), func(k Key) bool { _, shared := ahead[k]; return !shared })
		} else {
			waits = r.guarded(ctx, []*attempt{m}, patient)
		}
		for _, s := range waits {
			ahead.add(s.plan.load.only(s.on))
		}
		aside = append(aside, waits...)
	}
	return aside
}

// store makes one transaction. With an error none of those that are left has an answer.
func (b *batch) store(ctx context.Context) error {
	tx, err := b.Log.Begin(ctx)
	if errors.Is(err, eventlog.ErrBusy) {
		return fmt.Errorf("%w: %w", eventlog.ErrHeadBusy, err) // no transaction is to be had, whatever it is about
	}
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := b.answerRepeated(ctx, tx); err != nil {
		return err
	}
	if err := b.lock(ctx, tx); err != nil {
		return err
	}
	if len(b.members) == 0 {
		return nil
	}
	b.Probe(ctx, Locked)
	if err := b.decide(ctx, tx); err != nil {
		return err
	}
	if len(b.accepted) == 0 {
		return nil
	}
	var events []event.Envelope
	units := make([]eventlog.Unit, len(b.accepted))
	for i, m := range b.accepted {
		events = append(events, m.events...)
		units[i] = eventlog.Unit{
			ID: m.unit, Key: m.key, Fingerprint: m.req.Fingerprint, Events: m.events,
			Second: eventlog.Second{Key: m.token, Fingerprint: m.req.Token.Fingerprint},
		}
	}
	if b.Immediate != nil {
		if err := b.Immediate.Play(ctx, tx, events); err != nil {
			return err
		}
	}
	err = b.Register.Save(ctx, tx, b.state.changes())
	if err == nil {
		b.Probe(ctx, Written)
		err = tx.Commit(ctx, units...)
	}
	if _, ok := errors.AsType[*Lost](err); ok {
		tx.Rollback()
		return b.dismiss(ctx, err)
	}
	return err
}

// keep keeps those members that f says yes to.
func (b *batch) keep(f func(*attempt) bool) {
	var left []*attempt
	for _, m := range b.members {
		if f(m) {
			left = append(left, m)
		}
	}
	b.members = left
}

// answerRepeated answers requests that were done before as they were then.
func (b *batch) answerRepeated(ctx context.Context, tx eventlog.Tx) error {
	var keys []string
	for _, m := range b.members {
		keys = append(keys, m.names()...)
	}
	if len(keys) == 0 {
		return nil
	}
	found, err := tx.Done(ctx, keys...)
	if err != nil {
		return err
	}
	b.keep(func(m *attempt) bool {
		for _, name := range m.names() {
			if d, done := found[name]; done {
				if m.claim() {
					m.before = &d
				}
				return false
			}
		}
		return true
	})
	return nil
}

// lock takes the locks of all members and loads what they keep. Whoever left meanwhile is left out.
func (b *batch) lock(ctx context.Context, tx eventlog.Tx) error {
	b.state = NewState()
	var all Questions
	for _, m := range b.members {
		all.add(m.plan.load)
	}
	all.tidy()
	var err error
	if b.patient {
		err = b.Register.Load(ctx, tx, all, b.state)
	} else {
		var waiting Questions
		if waiting, err = b.Register.Try(ctx, tx, all, b.state); err == nil && !waiting.None() {
			b.setAside(waiting)
		}
	}
	if err != nil {
		return err
	}
	b.keep(func(m *attempt) bool { return m.claim() })
	for _, m := range b.members {
		m.waited()
	}
	return nil
}

// setAside takes out whoever needs what others hold.
func (b *batch) setAside(waiting Questions) {
	held := map[Key]bool{}
	for _, k := range waiting.keys() {
		held[k] = true
	}
	b.keep(func(m *attempt) bool {
		var on []Key
		for _, k := range m.plan.load.keys() {
			if held[k] {
				on = append(on, k)
			}
		}
		if len(on) > 0 {
			b.stuck = append(b.stuck, stuck{m, on})
		}
		return len(on) == 0
	})
}

// decide decides on the members one after another, each knowing what those before it change. Who is refused, or has to start
// over, changes nothing and so leaves no gap.
func (b *batch) decide(ctx context.Context, tx eventlog.Tx) error {
	for {
		b.state.undo()
		b.accepted, b.written, b.keys = nil, map[event.Tag]int{}, map[string]bool{}
		var missing Questions
		for _, m := range b.members {
			more, err := b.judge(m)
			m.err = err
			missing.add(more)
		}
		if missing.None() {
			return nil
		}
		b.state.undo()
		missing.tidy()
		if err := b.Register.Load(ctx, tx, missing, b.state); err != nil {
			return err
		}
	}
}

// judge decides on one member: what is to be loaded before that counts, or an answer that it has to live with, or it is
// accepted. A panic is an error of this member alone.
func (b *batch) judge(m *attempt) (missing Questions, err error) {
	defer func() {
		if p := recover(); p != nil {
			b.Logger.Error("constraint panicked", "command", fmt.Sprintf("%T", m.req.Command), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("decide on %T: panic: %v", m.req.Command, p)
		}
	}()
	v := m.w.decide(b.state)
	if locked := v.missing.Locked(); !locked.None() {
		// A stamp led to a scope that could not be known before: locking it now would break the order of locks.
		m.extra = m.extra.And(locked)
		return missing, &again{cause: fmt.Errorf("a scope turned up that was not planned for: %w", errMoved)}
	}
	if !v.missing.None() {
		return v.missing, nil
	}
	return missing, b.accept(m, v)
}

// accept takes what the member changes, unless there is something against it.
func (b *batch) accept(m *attempt, v verdict) error {
	for k, last := range m.seen.guards {
		if b.state.guards[k] != last {
			return &again{cause: &Lost{k}, lost: &Lost{k}}
		}
	}
	switch {
	case v.stale:
		return &again{cause: fmt.Errorf("the command did not know all that it takes with it: %w", errMoved)}
	case v.broken != nil:
		return &refusal{by: v.by, problem: v.broken, at: v.at}
	case b.keys[m.key]:
		return &again{cause: errors.New("the same request is before it"), inTurn: true}
	}
	for _, rec := range m.u.Recorded() {
		if rec.Version <= b.written[rec.Stream] {
			return &again{cause: &eventlog.VersionConflict{Stream: rec.Stream}, inTurn: true}
		}
	}
	if err := m.seal(); err != nil {
		return err
	}
	for _, rec := range m.u.Recorded() {
		b.written[rec.Stream] = rec.Version
	}
	b.keys[m.key] = true
	b.accepted = append(b.accepted, m)
	b.state.apply(v.delta)
	m.delta = v.delta
	return nil
}

// dismiss sends away those whose rows a rival wrote first, which it looks for: a database does not say. The others start over.
func (b *batch) dismiss(ctx context.Context, lost error) error {
	var rows Questions
	for _, m := range b.accepted {
		for _, r := range m.delta.Rows {
			rows.Taken = append(rows.Taken, r.Key)
		}
	}
	rows.tidy()
	there := NewState()
	if err := b.Register.Load(ctx, nil, rows, there); err != nil {
		return err
	}
	found := false
	b.keep(func(m *attempt) bool {
		if m.err != nil {
			return true // decided again with the others
		}
		for _, r := range m.delta.Rows {
			rival := there.rows[r.Key]
			if rival == nil || rival.Cause == r.Cause || b.state.rowsWere[r.Key].value != nil {
				continue // nobody's, its own, or one that another member lets go of: nobody else can have that
			}
			found = true
			m.err = &again{cause: lost, lost: &Lost{r.Key}}
			if m.w.fresh[r.Scope] {
				m.err = ErrIDTaken.Because(lost) // what the unit means to begin is there already
			}
			return false
		}
		return true
	})
	if !found {
		return fmt.Errorf("%w: %w", eventlog.ErrAgain, lost) // the rival has let go of it since, or was the request itself
	}
	return errStart
}
