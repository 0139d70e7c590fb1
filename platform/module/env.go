package module

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/httpapi"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/tally"
	"accession/platform/usecase"

	"github.com/uptrace/bun"
)

// Env is what a module's routes work with.
type Env struct {
	Runner      usecase.Runner            // runs its commands
	Log         eventlog.Reader           // reads the log: histories, and streams by themselves
	Projections *projection.Projectionist // reads its read models

	Constraints *consistency.Set     // the rules of all modules
	Settings    consistency.Settings // how they are kept, as the configuration says
	Tally       *tally.Tally         // what they have been doing lately
}

func newEnv(r usecase.Runner, l eventlog.Reader, p *projection.Projectionist, c *consistency.Set, s consistency.Settings, t *tally.Tally) Env {
	return Env{r, l, p, c, s, t}
}

// patience is how long a read waits for its read model when the client does not say; docs/api.md tells clients.
const patience = 2 * time.Second

// Read reads the projector's tables in one snapshot that knows at least what c asks for.
//
// When f finds nothing, which it says with sql.ErrNoRows, it may be because the thing was written a moment ago: f is called
// again once the read model knows everything that was in the log by now. Only then the answer is notFound, if that is not nil.
func (e Env) Read(ctx context.Context, projector string, c httpapi.Consistency, notFound *problem.Error, f func(ctx context.Context, db bun.IDB) error) (event.Position, error) {
	q := projection.Query{Projector: projector, Min: c.MinPosition, Wait: c.Wait(patience)}
	at, err := e.Projections.View(ctx, q, f)
	if !errors.Is(err, sql.ErrNoRows) {
		return at, err
	}
	head, err := e.Log.Head(ctx)
	if err != nil {
		return at, err
	}
	if head.Position > at {
		q.Min = head.Position
		if at, err = e.Projections.View(ctx, q, f); !errors.Is(err, sql.ErrNoRows) {
			return at, err
		}
	}
	if notFound == nil {
		return at, err
	}
	return at, notFound
}
