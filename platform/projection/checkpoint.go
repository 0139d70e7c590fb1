package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"accession/platform/database"
	"accession/platform/event"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Timing says when a projector plays an event.
type Timing string

// The timings. Which one a projector has stands in the database.
const (
	Background Timing = "background" // after the commit, from its own checkpoint
	Immediate  Timing = "immediate"  // in the command's transaction
)

// State says whether a projector gets on.
type State string

// The states.
const (
	Playing State = "playing"
	Broken  State = "broken" // it stands before an event that it cannot play
)

// checkpoint is a projector's row in the table projectors.
type checkpoint struct {
	version  int
	log      uuid.UUID
	position event.Position // everything up to here is in the tables; in immediate timing the head of the log counts instead
	timing   Timing
	state    State
	error    string
}

// errNotBooted: the projector has no checkpoint in this version.
var errNotBooted = errors.New("it was not booted, or another version has taken its place")

// at reads the checkpoint with db. It is errNotBooted when there is none for this version.
func (p *projector) at(ctx context.Context, db bun.IDB) (checkpoint, error) {
	c := checkpoint{version: p.Version}
	err := db.QueryRowContext(ctx, `SELECT log, position, timing, state, error FROM projectors WHERE name = ? AND version = ?`, p.Name, p.Version).
		Scan(&c.log, &c.position, &c.timing, &c.state, &c.error)
	if errors.Is(err, sql.ErrNoRows) {
		return c, errNotBooted
	}
	if err != nil {
		return c, fmt.Errorf("read checkpoint: %w", err)
	}
	return c, nil
}

// begin puts the checkpoint before the first event of the log, in the place of those of all versions.
func (p *projector) begin(ctx context.Context, db bun.IDB, log uuid.UUID) error {
	if _, err := db.ExecContext(ctx, `DELETE FROM projectors WHERE name = ?`, p.Name); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	_, err := db.ExecContext(ctx, `INSERT INTO projectors (name, version, log, position, timing, state, changed_at) VALUES (?, ?, ?, 0, ?, ?, ?)`,
		p.Name, p.Version, log, Background, Playing, now())
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

// errStale: somebody else has moved the checkpoint.
var errStale = errors.New("somebody else has moved the checkpoint")

// move moves the checkpoint from where it was seen, or says errStale and moves nothing. Whoever moves it locks it until the end
// of the transaction.
func (p *projector) move(ctx context.Context, db bun.IDB, from checkpoint, to event.Position) error {
	set := `position = ?`
	args := []any{to}
	if from.state != Playing {
		set += `, state = ?, error = '', changed_at = ?`
		args = append(args, Playing, now())
	}
	return p.compareAndSet(ctx, db, from, set, args...)
}

// stop leaves the checkpoint at the position, right before an event that cannot be played, and notes why.
func (p *projector) stop(ctx context.Context, db bun.IDB, from checkpoint, position event.Position, why string) error {
	return p.compareAndSet(ctx, db, from, `position = ?, state = ?, error = ?, changed_at = ?`, position, Broken, why, now())
}

// retime gives the projector its timing, and the position that everything in its tables is up to at this moment.
func (p *projector) retime(ctx context.Context, db bun.IDB, from checkpoint, to Timing, position event.Position) error {
	return p.compareAndSet(ctx, db, from, `timing = ?, position = ?, state = ?, error = '', changed_at = ?`, to, position, Playing, now())
}

func (p *projector) compareAndSet(ctx context.Context, db bun.IDB, from checkpoint, set string, args ...any) error {
	args = append(args, p.Name, p.Version, from.log, from.position, from.timing)
	res, err := db.ExecContext(ctx, `UPDATE projectors SET `+set+` WHERE name = ? AND version = ? AND log = ? AND position = ? AND timing = ?`, args...)
	if err != nil {
		return fmt.Errorf("move checkpoint: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("move checkpoint: %w", err)
	}
	if n == 0 {
		return errStale
	}
	return nil
}

func now() database.Timestamp { return database.Timestamp(time.Now().UTC().Truncate(time.Microsecond)) }
