package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"
	"accession/platform/problem"

	"github.com/uptrace/bun"
)

// Query says which read model to look at, and how current it has to be.
type Query struct {
	Projector string
	Min       event.Position // what is read must know everything up to here; 0 is as it is
	Wait      time.Duration  // how long to wait for that
}

// ErrBehind: a read model does not know yet what the reader wants to see.
var ErrBehind = &problem.Error{
	Kind: problem.Unavailable, Code: "behind", RetryAfter: time.Second, Retryable: true,
	Message: "What was asked for is stored, but cannot be read yet. Try again in a moment.",
}

// View calls read with one snapshot of the database, in which the projector has played everything up to the position that it
// returns, and nothing else. If that is less than q.Min it waits, at most q.Wait, and then it is ErrBehind; it does not wait for
// a projector that is Broken. The position is good for the tables of this projector alone.
//
// A reader that did not find a thing may look again with the [Projectionist.Head] as Min: then what was stored before it asked
// is found. An error of read's is returned as it is, with the position. read must not keep db.
func (p *Projectionist) View(ctx context.Context, q Query, read func(ctx context.Context, db bun.IDB) error) (event.Position, error) {
	pl, err := p.player(q.Projector)
	if err != nil {
		return 0, fmt.Errorf("view: %w", err)
	}
	at, err := pl.await(ctx, q.Min, time.Now().Add(q.Wait), func() (at checkpoint, _ error) {
		return at, p.DB.Snapshot(ctx, func(ctx context.Context, db bun.IDB) (err error) {
			if at, err = pl.reached(ctx, db); err != nil || at.position < q.Min {
				return err
			}
			return read(ctx, db)
		})
	})
	switch {
	case err != nil || at.position >= q.Min:
		return at.position, database.Explain(err)
	case at.state == Broken:
		e := *ErrBehind
		e.Message = fmt.Sprintf("What was asked for is stored, but the read model %s is broken at position %d and cannot show it before it is mended.", pl.Name, at.position)
		e.Cause = errors.New(at.error)
		return 0, &e
	}
	return 0, ErrBehind.Because(fmt.Errorf("projector %s is at %d, not yet at %d", pl.Name, at.position, q.Min))
}

// Head is the present end of the log: a Min with which a reader sees everything that was stored before it asked.
func (p *Projectionist) Head(ctx context.Context) (event.Position, error) {
	head, err := p.Log.Head(ctx)
	return head.Position, err
}

// Wait waits until the projector has played everything up to the position. It gives up when ctx ends or the projector is Broken.
func (p *Projectionist) Wait(ctx context.Context, projector string, position event.Position) error {
	pl, err := p.player(projector)
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	at, err := pl.await(ctx, position, time.Time{}, func() (checkpoint, error) { return pl.reached(ctx, p.DB.Read) })
	if err == nil && at.position < position {
		err = fmt.Errorf("%w at %d: %s", errBroken, at.position, at.error)
	}
	if err != nil {
		return fmt.Errorf("wait for projector %s to reach %d: %w", projector, position, err)
	}
	return nil
}

// reached reads the checkpoint with db, its position being what the tables are up to in whatever timing.
func (p *player) reached(ctx context.Context, db bun.IDB) (checkpoint, error) {
	at, err := p.at(ctx, db)
	switch {
	case errors.Is(err, errNotBooted):
		return at, ErrProjectorVersion.Because(fmt.Errorf("projector %s version %d: %w", p.Name, p.Version, err))
	case err == nil && at.timing == Immediate:
		var head eventlog.Head
		head, err = sqldb.HeadOf(ctx, db)
		at.position = head.Position
	}
	return at, err
}

// await looks until it sees the position want, or that the projector is Broken, or that it is too late; what it saw last is for
// the caller to judge. A zero deadline is none.
func (p *player) await(ctx context.Context, want event.Position, deadline time.Time, look func() (checkpoint, error)) (checkpoint, error) {
	for waiting := false; ; waiting = true {
		_, changed := p.progress.watch()
		at, err := look()
		if err != nil || at.position >= want || at.state == Broken {
			return at, err
		}
		pause := p.Poll // another process may be the one that plays
		if !deadline.IsZero() {
			pause = min(pause, time.Until(deadline))
		}
		if pause <= 0 {
			return at, nil
		}
		if !waiting {
			p.waiting.Add(1)
			defer p.waiting.Add(-1)
			ring(p.urgent)
		}
		if err := p.doze(ctx, want, pause, changed); err != nil {
			return at, err
		}
	}
}

// doze waits for a player of this process to reach want, at most for the pause.
func (p *player) doze(ctx context.Context, want event.Position, pause time.Duration, changed <-chan struct{}) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			var at event.Position
			if at, changed = p.progress.watch(); at >= want {
				return nil
			}
		}
	}
}
