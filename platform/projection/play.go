package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"
)

// Play plays all projectors whose timing is Background, each in a goroutine of its own, until ctx ends, and returns when all of
// them have stopped. It is woken by [Projectionist.Ring] and looks every Poll as well. A projector that breaks stops; the others
// go on.
//
// Several may play one projector: of two who play the same events one is too late, and has changed nothing.
func (p *Projectionist) Play(ctx context.Context) {
	var all sync.WaitGroup
	for _, pl := range p.players {
		all.Go(func() { pl.run(ctx) })
	}
	all.Wait()
	<-ctx.Done() // also where there are none
}

// maxPause is the longest that a player rests after a fault of the database.
const maxPause = 5 * time.Second

func (p *player) run(ctx context.Context) {
	faults := 0
	for ctx.Err() == nil {
		began := time.Now()
		more, err := p.step(ctx)
		pause := p.Poll
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errBroken):
			p.lieBroken(ctx, err)
			faults = 0
			continue
		case err != nil:
			pause = min(10*time.Millisecond<<min(faults, 9), maxPause)
			faults++
			p.logger.WarnContext(ctx, "projector rests", "error", err, "pause", pause)
		default:
			faults = 0
			if more || p.gather(ctx, began) {
				continue
			}
		}
		p.rest(ctx, pause, err == nil)
	}
}

// lieBroken does nothing but tell the meter how the log runs away, until another process has got past the event that could not
// be played, or ctx ends.
func (p *player) lieBroken(ctx context.Context, why error) {
	var since time.Time
	if failed, ok := errors.AsType[*failure](why); ok {
		since = failed.event.RecordedAt
	}
	for ctx.Err() == nil {
		at, err := p.at(ctx, p.DB.Read)
		if err == nil && at.state != Broken {
			return
		}
		if head, headErr := p.Log.Head(ctx); err == nil && headErr == nil {
			p.report(at, head.Position, since)
		}
		p.rest(ctx, p.Poll, false)
	}
}

// gather lets events gather after a batch, unless somebody waits for them: for so long that no more than a part of the time is
// spent on playing. Without load that is nothing that anybody would notice; under load a batch takes longer, and is worth while
// for many. It reports whether somebody has come who is in a hurry.
func (p *player) gather(ctx context.Context, began time.Time) (hurry bool) {
	p.playing.Lock()
	idle := p.looked.Before(began)
	p.playing.Unlock()
	if idle || p.waiting.Load() > 0 {
		return false
	}
	rest := min(time.Duration(p.Rest)*time.Since(began), p.Poll) // who waits in another process cannot hurry it
	return p.pause(ctx, rest, nil)
}

// rest waits for the pause to be over, or for a bell if that is to wake it.
func (p *player) rest(ctx context.Context, pause time.Duration, wake bool) {
	if wake {
		p.pause(ctx, pause, p.bell)
	} else {
		_ = wait(ctx, pause) // whoever rests looks at ctx itself
	}
}

// pause waits for d, for the bell, or for somebody who is in a hurry, and reports whether it was that.
func (p *player) pause(ctx context.Context, d time.Duration, bell <-chan struct{}) (hurry bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-bell:
	case <-p.urgent:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// Faults of playing that are nobody's mistake.
var (
	errBroken   = errors.New("the projector is broken")
	errOtherLog = errors.New("the checkpoint belongs to another log: boot again")
)

// step plays one batch, and says whether there may be more to do at once.
func (p *player) step(ctx context.Context) (more bool, err error) {
	p.playing.Lock()
	defer p.playing.Unlock()
	if !p.known {
		if p.seen, err = p.at(ctx, p.DB.Read); err != nil {
			return false, err
		}
		p.known = true
	}
	at := p.seen
	if at.timing == Immediate {
		p.known = false // it may have been changed the next time we look
		return false, p.reportImmediate(ctx, at)
	}
	b, err := p.read(ctx, at)
	if b.upTo > at.position {
		p.looked = time.Now()
	}
	if err == nil {
		err = p.probe(ctx, Read)
	}
	switch {
	case err != nil:
		p.known = false
		return false, p.settleFailure(ctx, at, err)
	case b.upTo == at.position:
		p.report(at, b.head, time.Time{})
		return false, nil
	case len(b.events) == 0 && b.upTo == b.head && !p.due():
		return false, nil
	}

	next, err := p.store(ctx, at, b.events, b.upTo)
	if err != nil && !errors.Is(err, errStale) && !isTransient(err) {
		next, err = p.oneByOne(ctx, at, b)
	}
	switch {
	case errors.Is(err, errStale):
		p.known = false
		return true, nil
	case err != nil:
		p.known = false
		return false, err
	}
	p.seen, p.moved = next, time.Now()
	var oldest time.Time
	if n := len(b.events); n > 0 && b.upTo < b.head {
		oldest = b.events[n-1].RecordedAt
	}
	p.report(next, b.head, oldest)
	return b.upTo < b.head, nil
}

// due says whether the checkpoint is to be moved over events that the projector does not listen to. Where there is much of that
// it is not worth a transaction each time; but somebody who waits gets it at once, and those in other processes within a Poll.
func (p *player) due() bool {
	return p.waiting.Load() > 0 || time.Since(p.moved) >= p.Poll
}

// batch is what is played in one transaction.
type batch struct {
	events []event.Envelope // those that the projector listens to
	upTo   event.Position   // that is all of them up to here
	head   event.Position   // the end of the log as it was
}

// scan is how many events a batch may span, as a multiple of how many it may have: a bound on the query that looks for those few
// that the projector listens to.
const scan = 100

// read reads the batch that comes after at. It holds neither lock nor connection.
func (p *player) read(ctx context.Context, at checkpoint) (batch, error) {
	head, err := p.Log.Head(ctx)
	if err != nil {
		return batch{}, err
	}
	b := batch{upTo: at.position, head: head.Position}
	switch {
	case head.Log != at.log:
		return b, errOtherLog
	case head.Position <= at.position:
		return b, nil
	}
	until := min(head.Position, at.position+event.Position(scan*p.Batch))
	for env, err := range p.Log.Read(ctx, eventlog.Query{After: at.position, Until: until, Types: p.events, Limit: p.Batch}) {
		switch {
		case err == nil:
			b.events = append(b.events, env)
			b.upTo = env.Position
		case len(b.events) > 0 && !isTransient(err):
			return b, nil // first those before it; it will be the first of the next batch
		case env.Position > 0 && !isTransient(err):
			return b, &failure{env, err}
		default:
			return b, err
		}
	}
	if len(b.events) < p.Batch {
		b.upTo = until
	}
	return b, nil
}

// store plays events and moves the checkpoint from at to upTo, in one transaction. The checkpoint comes first: it is the lock
// that keeps a second player from writing anything.
func (p *player) store(ctx context.Context, at checkpoint, events []event.Envelope, upTo event.Position) (checkpoint, error) {
	tx, err := sqldb.Begin(ctx, p.DB, p.Patience)
	if err != nil {
		return at, err
	}
	defer tx.Rollback()
	if err := p.move(ctx, tx.DB(), at, upTo); err != nil {
		return at, err
	}
	if err := p.probe(ctx, Moved); err != nil {
		return at, err
	}
	if err := p.play(ctx, tx.DB(), events); err != nil {
		return at, err
	}
	if err := p.probe(ctx, Written); err != nil {
		return at, err
	}
	if err := commit(ctx, tx, p.Patience); err != nil {
		return at, err
	}
	if err := p.probe(ctx, Committed); err != nil {
		return at, err
	}
	at.position, at.state, at.error = upTo, Playing, ""
	p.progress.announce(upTo)
	return at, nil
}

// oneByOne plays a batch that failed event by event, each in a transaction of its own, up to the one that fails.
func (p *player) oneByOne(ctx context.Context, at checkpoint, b batch) (checkpoint, error) {
	for _, env := range b.events {
		next, err := p.store(ctx, at, []event.Envelope{env}, env.Position)
		if err != nil {
			if _, ok := errors.AsType[*failure](err); !ok && !errors.Is(err, errStale) && !isTransient(err) {
				err = &failure{env, err} // what it wrote cannot be written
			}
			return next, p.settleFailure(ctx, at, err)
		}
		at = next
	}
	if at.position == b.upTo {
		return at, nil
	}
	return p.store(ctx, at, nil, b.upTo)
}

// settleFailure breaks the projector if err is an event's, and else gives err back. The checkpoint is left right before the
// event.
func (p *player) settleFailure(ctx context.Context, at checkpoint, err error) error {
	failed, ok := errors.AsType[*failure](err)
	if !ok || isTransient(err) {
		return err
	}
	tx, err := sqldb.Begin(ctx, p.DB, p.Patience)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	before := failed.event.Position - 1
	if err := p.stop(ctx, tx.DB(), at, before, failed.Error()); err != nil {
		return err
	}
	if err := commit(ctx, tx, p.Patience); err != nil {
		return err
	}
	p.logFailure(ctx, failed)
	p.progress.announce(before)
	return fmt.Errorf("%w: %w", errBroken, failed)
}

func (p *player) logFailure(ctx context.Context, err error) {
	args := []any{"error", err}
	if p, ok := errors.AsType[*panicked](err); ok {
		args = append(args, "stack", string(p.stack))
	}
	p.logger.ErrorContext(ctx, "projector cannot play an event", args...)
}

// commit ends a transaction that stores no events. Once it has begun it runs to its end even if ctx is cancelled.
func commit(ctx context.Context, tx *sqldb.Tx, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+commitPatience)
	defer cancel()
	return tx.CommitPlain(ctx)
}

// commitPatience bounds how long a COMMIT may take before its connection is given up.
const commitPatience = 30 * time.Second

// probe marks what a Probe asks for as a fault that is not the handler's.
func (p *player) probe(ctx context.Context, s Stage) error {
	if err := p.Probe(ctx, p.Name, s); err != nil {
		return &crashed{err}
	}
	return nil
}

type crashed struct{ cause error }

func (c *crashed) Error() string { return c.cause.Error() }
func (c *crashed) Unwrap() error { return c.cause }

// isTransient reports whether err is the database's or the caller's doing rather than an event's: the same may go well later.
func isTransient(err error) bool {
	_, crash := errors.AsType[*crashed](err)
	return crash || sqldb.IsTransient(err)
}

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
