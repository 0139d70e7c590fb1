package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"

	"github.com/uptrace/bun"
)

// timingLock is the key of the advisory lock that stands before the timings on PostgreSQL: whoever goes by a timing shares it
// until the end of the transaction, whoever changes one has it alone. So a command that has read "background" has stored its
// events by the time that somebody plays the rest and writes "immediate". On SQLite there is only one who writes.
//
// A command that believes that no projector is immediate takes no such lock and reads no timing, which saves it a message. It
// stores its events on the condition that the head of the log does not say otherwise: whoever makes a projector immediate writes
// that there while nobody appends, so of the two one comes first. If it is the command, its events are played with the rest; if
// not, it is undone, and asks the next time.
//
// Its place in the order of locks is before the checkpoint.
const timingLock = 0x70726f6a6563746f // "projecto"

const (
	alone  = `SELECT pg_advisory_xact_lock(?)`
	shared = `SELECT pg_advisory_xact_lock_shared(?)`
)

// lockTimings is for those who change one.
func lockTimings(ctx context.Context, db bun.IDB) error {
	if !isPostgres(db) {
		return nil
	}
	if _, err := db.ExecContext(ctx, alone, int64(timingLock)); err != nil {
		return sqldb.Fault("lock timings", err)
	}
	return nil
}

// noteTimings writes into the head of the log whether a projector is immediate now. It locks the head only when that has changed.
func noteTimings(ctx context.Context, db bun.IDB) error {
	_, err := db.ExecContext(ctx, `UPDATE log_head SET immediate = NOT immediate WHERE immediate <> EXISTS (SELECT 1 FROM projectors WHERE timing = ?)`, Immediate)
	if err != nil {
		return sqldb.Fault("note timings", err)
	}
	return nil
}

// noneImmediate is what noteTimings has written.
func noneImmediate(ctx context.Context, db bun.IDB) (none bool, err error) {
	if err := db.QueryRowContext(ctx, `SELECT NOT immediate FROM log_head`).Scan(&none); err != nil {
		return false, sqldb.Fault("read timings", err)
	}
	return none, nil
}

// lockLog keeps everybody from appending until the end of the transaction, and gives the end of the log. It comes last in the
// order of locks.
func lockLog(ctx context.Context, db bun.IDB) (eventlog.Head, error) {
	if isPostgres(db) {
		if _, err := db.ExecContext(ctx, `SELECT position FROM log_head FOR UPDATE`); err != nil {
			return eventlog.Head{}, sqldb.Fault("lock log head", err)
		}
	}
	return sqldb.HeadOf(ctx, db)
}

// settle gives the projector the timing of the configuration.
func (p *player) settle(ctx context.Context) error {
	for try := 0; ; try++ {
		at, err := p.at(ctx, p.DB.Read)
		if err != nil || at.timing == p.Timing {
			return err
		}
		if p.Timing == Immediate {
			if err := p.catchUp(ctx); err != nil {
				return err
			}
		}
		err = p.flip(ctx, p.Timing)
		switch {
		case err == nil:
			p.logger.InfoContext(ctx, "projector changed its timing", "timing", string(p.Timing))
			return nil
		case !errors.Is(err, errStale) && !isTransient(err) || try == flips:
			return fmt.Errorf("make it %s: %w", p.Timing, err)
		}
		if err := wait(ctx, 10*time.Millisecond<<try); err != nil {
			return err
		}
	}
}

// letGo takes those projectors out of commands that this process does not have: it cannot play into them, and what it stores must
// not be missing there when somebody comes who has them.
func (p *Projectionist) letGo(ctx context.Context) error {
	if foreign, err := p.foreign(ctx, p.DB.Read); err != nil || len(foreign) == 0 {
		return err
	}
	tx, err := sqldb.Begin(ctx, p.DB, p.Patience)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	db := tx.DB()
	if err := lockTimings(ctx, db); err != nil {
		return err
	}
	foreign, err := p.foreign(ctx, db) // from here on they stay so
	if err != nil || len(foreign) == 0 {
		return err
	}
	// Nobody moves the checkpoint of an immediate projector. It is locked before the log, as in flip.
	if _, err := db.ExecContext(ctx, `UPDATE projectors SET timing = ?, changed_at = ? WHERE name IN (?)`, Background, now(), bun.List(foreign)); err != nil {
		return sqldb.Fault("write timings", err)
	}
	head, err := lockLog(ctx, db)
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `UPDATE projectors SET position = ? WHERE log = ? AND name IN (?)`, head.Position, head.Log, bun.List(foreign)); err != nil {
		return sqldb.Fault("write timings", err)
	}
	if err := noteTimings(ctx, db); err != nil {
		return err
	}
	if err := commit(ctx, tx, p.Patience); err != nil {
		return err
	}
	p.Logger.InfoContext(ctx, "projectors that this process does not have are played in the background now", "projectors", foreign)
	return nil
}

// foreign are the names of immediate projectors that this process does not have.
func (p *Projectionist) foreign(ctx context.Context, db bun.IDB) (names []string, err error) {
	if err := db.NewRaw(`SELECT name FROM projectors WHERE timing = ?`, Immediate).Scan(ctx, &names); err != nil {
		return nil, sqldb.Fault("read timings", err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(p.players, func(pl *player) bool { return pl.Name == name })
	}), nil
}

// flips is how often a flip is tried again that was too late or waited for a lock in vain.
const flips = 5

// catchUp plays in batches up to the end of the log, as in the background.
func (p *player) catchUp(ctx context.Context) error {
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	for {
		more, err := p.step(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// flip changes the timing in one transaction in which nobody appends.
func (p *player) flip(ctx context.Context, to Timing) error {
	tx, err := sqldb.Begin(ctx, p.DB, p.Patience)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	db := tx.DB()
	if err := lockTimings(ctx, db); err != nil {
		return err
	}
	at, err := p.at(ctx, db)
	if err != nil || at.timing == to {
		return err
	}
	// The checkpoint is moved before the log is locked, and the tables written behind it, so that the locks are taken in their
	// order; the second time it gets its place.
	if err := p.compareAndSet(ctx, db, at, `position = ?`, at.position); err != nil {
		return err
	}
	head, err := lockLog(ctx, db)
	if err != nil {
		return err
	}
	if head.Log != at.log {
		return errOtherLog
	}
	if to == Immediate {
		if err := p.playRest(ctx, db, at, head.Position); err != nil {
			return err
		}
	}
	if err := p.retime(ctx, db, at, to, head.Position); err != nil {
		return err
	}
	if err := noteTimings(ctx, db); err != nil {
		return err
	}
	return commit(ctx, tx, p.Patience)
}

// playRest plays what came since catchUp.
func (p *player) playRest(ctx context.Context, db bun.IDB, at checkpoint, until event.Position) error {
	var batch []event.Envelope
	for env, err := range sqldb.NewReader(db, p.Registry).Read(ctx, eventlog.Query{After: at.position, Until: until, Types: p.events}) {
		if err != nil {
			return err
		}
		if batch = append(batch, env); len(batch) == p.Batch {
			if err := p.play(ctx, db, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return p.play(ctx, db, batch)
}
