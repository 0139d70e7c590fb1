package consistency

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"accession/platform/eventlog"
	"accession/platform/problem"
)

// ErrQueueFull: too many wait in the lane already.
var ErrQueueFull = problem.New(problem.Unavailable, "queue-full", "Too many requests are waiting to be stored. Try again in a moment.")

// lane is where units line up that are kept in queue: one for each log and process, first come, first served. Whoever finds it
// idle starts it; it stores all that wait, up to a batch, in one transaction, while the next gather, until nobody waits. Where
// transactions can overlap it has two under way, of units that have nothing to do with each other: so while one is being
// committed the other is prepared.
//
// The lane waits for nobody but the log's head. A unit that needs what somebody else holds, in another process or a
// transaction of its own, is set aside, in a line for those who need the same, with transactions that wait: whoever else comes
// for it lines up there, so places are kept, and the others go on.
//
// The lane is not the guard: that it is the only one, or that a unit goes through it at all, is relied on nowhere. The locks,
// the indexes and the order of the log are the same as in every mode.
type lane struct {
	r *Runner

	mu       sync.Mutex
	tickets  uint64
	depth    int // how many wait, in all lines
	main     line
	underWay []*transaction // of the main line, at most Abreast
	aside    map[Key]*line  // the line for what somebody else holds
	slots    chan struct{}  // bounds the transactions that wait for others
	target   int            // how many the lane waits for before it goes on
	reached  chan struct{}  // closed when so many are there; nil when it does not wait
}

// line is units in a line, in the order of their tickets. Those being stored are not in it any more.
type line struct {
	on      []Key // what those in it wait for; nothing: it is the lane itself
	waiting []*place
	drivers int // how many are storing what is in it
}

// transaction is one that the lane has under way.
type transaction struct {
	locks locks
	units int
}

// locks are the keys that transactions lock: true where they shut everybody else out.
type locks map[Key]bool

func (l locks) add(q Questions) {
	for _, k := range q.Held {
		l[k] = l[k] || false
	}
	for _, keys := range [][]Key{q.Guards, q.Owned, q.Scopes} {
		for _, k := range keys {
			l[k] = true
		}
	}
}

// meet reports whether a unit that asks q would have to wait for one of them.
func (l locks) meet(q Questions) bool {
	for _, k := range q.Held {
		if l[k] {
			return true
		}
	}
	for _, keys := range [][]Key{q.Guards, q.Owned, q.Scopes} {
		for _, k := range keys {
			if _, taken := l[k]; taken {
				return true
			}
		}
	}
	return false
}

// maxAside is how many transactions wait for others at once: each holds a connection.
const maxAside = 4

func newLane(r *Runner) *lane {
	return &lane{r: r, aside: map[Key]*line{}, slots: make(chan struct{}, maxAside)}
}

// place is an attempt's place in the lane.
type place struct {
	a      *attempt
	ticket uint64
	done   chan struct{} // closed when the attempt has its answer
	tries  int           // since it has waited for long enough; see driveAside

	mu      sync.Mutex
	claimed bool // a transaction has it: its caller waits for the answer
	leaving bool // its caller would go, if the transaction let go of it
	gone    bool // its caller has gone: it must not be run
}

// claim reports whether the attempt may be stored, and keeps its caller from leaving.
func (p *place) claim() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claimed = !p.gone
	return p.claimed
}

// leave reports whether the caller may go. Then nobody touches the attempt any more.
func (p *place) leave() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving, p.gone = true, !p.claimed
	return p.gone
}

// release lets the caller leave again, because the transaction has stored nothing and the attempt has to wait for others. It
// reports whether there is still a caller.
func (p *place) release() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claimed, p.gone = false, p.leaving
	return !p.gone
}

// left reports whether the attempt was given up because its caller was leaving.
func (p *place) left() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// run lines the attempt up and waits until it has its answer. With an error it has none: there was no room, or ctx ended while
// it was waiting, and then it will never run.
func (l *lane) run(ctx context.Context, a *attempt, settings Settings) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &place{a: a, done: make(chan struct{})}
	if a.place != nil {
		p.ticket = a.place.ticket // it has been here, and keeps its place
	}
	a.place = p
	if !l.enter(p, settings) {
		return a.laneFull(fmt.Errorf("%d wait", settings.Depth))
	}
	a.placed()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		if p.leave() {
			l.drop(p)
			return ctx.Err()
		}
		<-p.done
		if p.left() {
			return ctx.Err()
		}
		return nil
	}
}

func (l *lane) enter(p *place, settings Settings) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.depth >= settings.Depth && p.ticket == 0 {
		return false
	}
	if p.ticket == 0 {
		l.tickets++
		p.ticket = l.tickets
	}
	l.lineUp(&l.main, p)
	return true
}

// lineUp puts the place into the line, and sets it going. l.mu is held.
func (l *lane) lineUp(ln *line, p *place) {
	at := len(ln.waiting)
	for at > 0 && ln.waiting[at-1].ticket > p.ticket {
		at--
	}
	ln.waiting = slices.Insert(ln.waiting, at, p)
	l.count(1)
	if l.reached != nil && len(l.main.waiting) >= l.target {
		close(l.reached)
		l.reached = nil
	}
	l.start(ln)
}

// start sets the line going, if it may have one more transaction under way. l.mu is held.
func (l *lane) start(ln *line) {
	most := 1
	if ln == &l.main {
		most = l.r.Abreast
	}
	if ln == &l.main && (l.reached != nil || len(l.underWay) > 0 && len(ln.waiting) < l.underWay[0].units/2) {
		return // it has somebody who is about to go on, or a second transaction is not worth while yet
	}
	if ln.drivers < most {
		ln.drivers++
		go l.drive(ln)
	}
}

// count keeps the depth. l.mu is held.
func (l *lane) count(n int) {
	l.depth += n
	l.r.Meter.Queued(l.depth)
}

// drop takes a place out whose caller has gone, if it is still in a line.
func (l *lane) drop(p *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := []*line{&l.main}
	for _, ln := range l.aside {
		lines = append(lines, ln)
	}
	for _, ln := range lines {
		if i := slices.Index(ln.waiting, p); i >= 0 {
			ln.waiting = slices.Delete(ln.waiting, i, i+1)
			l.count(-1)
			return
		}
	}
}

// drive stores what is in the line until nothing is left. Its transactions belong to no caller: whoever leaves harms nobody.
func (l *lane) drive(ln *line) {
	for {
		batch, tx := l.next(ln)
		if batch == nil {
			return
		}
		if ln != &l.main {
			l.driveAside(batch)
			continue
		}
		began := time.Now()
		aside := l.store(batch, false)
		l.done(tx, aside)
		if len(batch) > 1 {
			l.gather(len(batch), time.Since(began)/gathering)
		}
	}
}

// tryAgain is how soon a line that may not wait for others in a transaction tries again.
const tryAgain = 20 * time.Millisecond

// lastTries is how often somebody is tried who has waited for long enough: others may have what it needs for a moment only.
const lastTries = 5

// driveAside stores units that wait for others: in a transaction that waits, if it may have one and none of them has waited
// for long enough already; else it tries.
func (l *lane) driveAside(batch []*place) {
	late := l.r.Now().Add(-l.r.Settings().LockTimeout)
	waiting := l.slots // to wait in a transaction; nil: no more
	if slices.ContainsFunc(batch, func(p *place) bool { return !p.a.since.After(late) }) {
		waiting = nil
	}
	select {
	case waiting <- struct{}{}:
		l.done(nil, l.store(batch, true))
		<-waiting
		return
	default:
	}
	aside := l.store(batch, false)
	aside = slices.DeleteFunc(aside, func(s stuck) bool {
		if s.since.After(late) {
			return false
		}
		if s.place.tries++; s.place.tries < lastTries {
			return false
		}
		s.fail(eventlog.ErrBusy)
		close(s.place.done)
		return true
	})
	l.done(nil, aside)
	if len(aside) == 0 {
		return
	}
	timer := time.NewTimer(tryAgain)
	defer timer.Stop()
	select {
	case waiting <- struct{}{}:
		<-waiting
	case <-timer.C:
	}
}

// done lets go of what a transaction of the main line had locked, and sets aside who could not be stored.
func (l *lane) done(over *transaction, aside []stuck) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay = slices.DeleteFunc(l.underWay, func(t *transaction) bool { return t == over })
	for _, s := range aside {
		l.setAside(s)
	}
}

// gathering is the part of the time a batch took that the lane waits, at most, for those who have just had their answer to come
// again. Without it busy writers fall into two halves, one waiting while the other is stored, and every batch is half as large
// as it could be; what a batch costs hardly depends on its size.
const gathering = 4

// maxGathering bounds that: a batch that took longer than usual was held up by others, and whoever waits has waited with it.
const maxGathering = 100 * time.Millisecond

// gather waits until n more than wait now do, or the batch is full, or for d, but never long.
func (l *lane) gather(n int, d time.Duration) {
	d = min(d, maxGathering)
	full := l.r.Settings().Batch
	l.mu.Lock()
	target := min(len(l.main.waiting)+n, full)
	if len(l.main.waiting) >= target || l.reached != nil {
		l.mu.Unlock()
		return
	}
	l.target = target
	reached := make(chan struct{})
	l.reached = reached
	l.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-reached:
	case <-timer.C:
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.reached == reached {
			l.reached = nil
		}
	}
}

// next takes the next batch, or ends the driver. Whoever needs what is waited for in a line already is sent there.
func (l *lane) next(ln *line) ([]*place, *transaction) {
	settings := l.r.Settings()
	l.mu.Lock()
	defer l.mu.Unlock()
	if ln == &l.main {
		return l.nextOfMain(settings.Batch)
	}
	n := min(len(ln.waiting), settings.Batch)
	if n == 0 {
		ln.drivers--
		for _, k := range ln.on {
			delete(l.aside, k)
		}
		return nil, nil
	}
	batch := slices.Clone(ln.waiting[:n])
	ln.waiting = slices.Delete(ln.waiting, 0, n)
	l.count(-n)
	return batch, nil
}

// nextOfMain takes whoever would not have to wait for another transaction of the lane. If there is none under way it leaves
// half of those who have nothing to do with the rest to a second one. l.mu is held.
func (l *lane) nextOfMain(most int) ([]*place, *transaction) {
	blocked := locks{} // nobody overtakes whom they share something with
	free := func(q Questions) bool {
		meets := func(t *transaction) bool { return t.locks.meet(q) }
		if slices.ContainsFunc(l.underWay, meets) || blocked.meet(q) {
			blocked.add(q)
			return false
		}
		return true
	}
	half := most
	if l.r.Abreast > 1 && len(l.underWay) == 0 && len(l.main.waiting) >= worthTwo {
		half = (len(l.main.waiting) + 1) / 2
	}
	taken := locks{}
	var batch, rest []*place
	for _, p := range l.main.waiting {
		q := p.a.plan.load
		switch other := l.lineOn(q.keys()); {
		case other != nil:
			l.count(-1)
			l.lineUp(other, p)
		case len(batch) < most && free(q) && (len(batch) < half || taken.meet(q)):
			taken.add(q)
			batch = append(batch, p)
		default:
			blocked.add(q)
			rest = append(rest, p)
		}
	}
	few := len(l.underWay) > 0 && len(batch) < l.underWay[0].units/2 // a second transaction is not worth while yet
	if batch == nil || few {
		l.main.waiting = merge(batch, rest)
		l.main.drivers--
		return nil, nil
	}
	l.main.waiting = rest
	l.count(-len(batch))
	tx := &transaction{taken, len(batch)}
	l.underWay = append(l.underWay, tx)
	if len(rest) > 0 {
		l.start(&l.main)
	}
	return batch, tx
}

// merge is both, in the order of their tickets.
func merge(a, b []*place) []*place {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(p, q *place) int { return cmp.Compare(p.ticket, q.ticket) })
	return all
}

// worthTwo is how many have to wait for two transactions to be better than one.
const worthTwo = 8

// lineOn is a line in which one waits for one of the keys; nil when there is none. l.mu is held.
func (l *lane) lineOn(keys []Key) *line {
	if len(l.aside) == 0 {
		return nil
	}
	for _, k := range keys {
		if ln := l.aside[k]; ln != nil {
			return ln
		}
	}
	return nil
}

// setAside lines up a unit for what others hold, unless its caller has gone meanwhile. l.mu is held.
func (l *lane) setAside(s stuck) {
	if !s.place.release() {
		close(s.place.done)
		return
	}
	ln := l.lineOn(s.on)
	if ln == nil {
		ln = &line{}
	}
	for _, k := range s.on {
		if l.aside[k] == nil {
			l.aside[k] = ln
			ln.on = append(ln.on, k)
		}
	}
	l.lineUp(ln, s.place)
}

// store stores a batch and tells its callers, except those of units that are to be set aside.
func (l *lane) store(batch []*place, patient bool) []stuck {
	members := make([]*attempt, len(batch))
	for i, p := range batch {
		members[i] = p.a
	}
	aside := l.r.guarded(context.Background(), members, patient)
	l.r.meet(members)
	if n := len(members) - len(aside); n > 0 {
		l.r.Meter.Batched(n)
	}
	waits := map[*place]bool{}
	for _, s := range aside {
		waits[s.place] = true
	}
	for _, p := range batch {
		if !waits[p] {
			close(p.done)
		}
	}
	return aside
}

// guarded stores the members. A panic is the error of who causes it, not the process's: which of them it was shows when each is
// stored alone, with the same ids.
func (r *Runner) guarded(ctx context.Context, members []*attempt, patient bool) (aside []stuck) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		r.Logger.Error("storing panicked", "units", len(members), "panic", p, "stack", string(debug.Stack()))
		aside = nil
		if len(members) == 1 {
			members[0].fail(fmt.Errorf("store: panic: %v", p))
			return
		}
		aside = r.alone(ctx, members, patient)
	}()
	return r.store(ctx, members, patient)
}
