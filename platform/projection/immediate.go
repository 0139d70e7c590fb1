package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"
	"accession/platform/problem"

	"github.com/uptrace/bun"
)

// Immediately plays events in the transaction that stores them, into the projectors whose timing is Immediate. It fits
// consistency.Immediate and is safe for concurrent use.
type Immediately struct{ p *Projectionist }

// Immediate is the part of the projectionist that commands need. Give it to every runner, whatever the configuration says: which
// projectors are immediate is decided by the database, and another process may have changed it.
func (p *Projectionist) Immediate() Immediately { return Immediately{p} }

// ErrProjectorVersion: a projector is immediate that this process does not have, or not in this version, so that nothing may be
// stored from here: it would miss it. Nothing was.
var ErrProjectorVersion = problem.New(problem.Unavailable, "projector-version",
	"The server is being replaced by another version of itself. Try again in a moment.")

// Play plays the events, which have no position yet, into tx. An error fails the command: a fault of the database as it is (an
// eventlog.ErrBusy or ErrAgain where it is one), a handler's as an Internal problem. The projector is not broken by it: the
// event was never stored. Checkpoints are not touched; the head of the log counts instead.
//
// Where no projector is immediate it asks nothing of the database: the commit finds out if that has changed, and is undone then,
// as an eventlog.ErrAgain.
func (i Immediately) Play(ctx context.Context, tx eventlog.Tx, events []event.Envelope) error {
	var concerned []*player
	for _, pl := range i.p.players {
		if slices.ContainsFunc(events, func(env event.Envelope) bool { return pl.listens(env.Type) }) {
			concerned = append(concerned, pl)
		}
	}
	t, ok := tx.(*sqldb.Tx)
	if !ok {
		if i.p.Timing == Immediate && len(concerned) > 0 {
			return fmt.Errorf("play immediately: a %T cannot hold the projectors' tables: use background timing", tx)
		}
		return nil // Boot has seen to it that none is immediate
	}
	if i.p.none.Load() {
		t.Unplayed(func() { i.p.none.Store(false) })
		return nil
	}
	due, err := i.p.immediate(ctx, t.DB())
	if err != nil {
		return err
	}
	if len(due) == 0 {
		none, err := noneImmediate(ctx, t.DB())
		if err != nil {
			return err
		}
		i.p.none.Store(none)
	}
	for _, pl := range concerned {
		if !slices.Contains(due, pl) {
			continue
		}
		err := pl.play(ctx, t.DB(), events)
		switch {
		case err == nil:
		case isTransient(err):
			return sqldb.Fault("play "+pl.Name+" immediately", err)
		default:
			pl.logFailure(ctx, err)
			return problem.New(problem.Internal, "projector-failed", "Nothing was stored, because the read model %s could not take it in.", pl.Name).
				Because(fmt.Errorf("play %s immediately: %w", pl.Name, err))
		}
	}
	return nil
}

// immediate gives those that the database says are immediate. Their timing stays so until the end of the transaction, and
// nobody else plays into them until then: events are played in the order in which they will stand in the log, and no change of
// a row is lost. All of them must be known here, whatever is to be played: what another version listens to, only that one knows.
func (p *Projectionist) immediate(ctx context.Context, db bun.IDB) (due []*player, err error) {
	query, args := `SELECT name, version FROM projectors WHERE timing = ? ORDER BY name`, []any{Immediate}
	if isPostgres(db) {
		// One message, but two statements: the second sees what was committed before the first had its lock.
		query, args = shared+`; `+query+` FOR NO KEY UPDATE`, append([]any{int64(timingLock)}, args...)
	}
	rs, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, sqldb.Fault("read timings", err)
	}
	defer func() { _ = rs.Close() }() // Err below says what went wrong
	if isPostgres(db) {
		for rs.Next() { // the lock's answer says nothing
		}
		if !rs.NextResultSet() {
			return nil, sqldb.Fault("lock timings", errors.Join(rs.Err(), errors.New("no answer")))
		}
	}
	for rs.Next() {
		var name string
		var version int
		if err := rs.Scan(&name, &version); err != nil {
			return nil, fmt.Errorf("read timings: %w", err)
		}
		at := slices.IndexFunc(p.players, func(pl *player) bool { return pl.Name == name && pl.Version == version })
		if at < 0 {
			return nil, ErrProjectorVersion.Because(fmt.Errorf("projector %s is immediate in version %d, and this process does not have that", name, version))
		}
		due = append(due, p.players[at])
	}
	if err := rs.Err(); err != nil {
		return nil, sqldb.Fault("read timings", err)
	}
	return due, nil
}
