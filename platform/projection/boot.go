package projection

import (
	"context"
	"errors"
	"fmt"

	"accession/platform/eventlog/sqldb"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Boot makes the tables, views and checkpoints that are missing, and a view that is another, and settles the timing. It plays
// nothing but what a projector needs to become Immediate. Every process boots before it plays, reads or runs commands; booting
// again does nothing.
//
// A projector begins anew, with empty tables and before the first event, when it is new, when its version is another one than
// that which is there, when one of its tables is gone, or when its checkpoint belongs to another log.
//
// A projector that is immediate and that this process does not have is played in the background from now on, by whoever has it.
//
// A projector that cannot be booted does not keep the others from it; the errors of all are returned together.
func (p *Projectionist) Boot(ctx context.Context) error {
	var errs []error
	if err := p.letGo(ctx); err != nil {
		errs = append(errs, fmt.Errorf("boot projectors: %w", err))
	}
	for _, pl := range p.players {
		if err := pl.boot(ctx); err != nil {
			errs = append(errs, fmt.Errorf("boot projector %s: %w", pl.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (p *player) boot(ctx context.Context) error {
	head, err := p.Log.Head(ctx)
	if err != nil {
		return err
	}
	if p.Timing == Immediate {
		if here, err := sqldb.HeadOf(ctx, p.DB.Read); err != nil || here.Log != head.Log {
			return errors.Join(errors.New("immediate timing needs the log to be in the projectors' own database: use background"), err)
		}
	}
	missing, err := p.missing(ctx, p.DB.Read, head.Log)
	if err != nil {
		return err
	}
	if !missing.none() {
		if err := p.furnish(ctx, head.Log); err != nil {
			return err
		}
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	at, err := p.at(ctx, p.DB.Read)
	if err != nil {
		return err
	}
	p.progress.announce(at.position)
	return nil
}

// missing is what a projector lacks.
type missing struct {
	everything bool // it has to begin anew
	views      bool
}

func (m missing) none() bool { return m == missing{} }

func (p *player) missing(ctx context.Context, db bun.IDB, log uuid.UUID) (missing, error) {
	var m missing
	var versions int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM projectors WHERE name = ?`, p.Name).Scan(&versions); err != nil {
		return m, fmt.Errorf("read checkpoint: %w", err)
	}
	at, err := p.at(ctx, db)
	switch {
	case errors.Is(err, errNotBooted), err == nil && (versions != 1 || at.log != log):
		return missing{everything: true}, nil
	case err != nil:
		return m, err
	}
	there, err := relations(ctx, db)
	if err != nil {
		return m, err
	}
	for _, t := range p.tables {
		if !there[t.physical] {
			return missing{everything: true}, nil
		}
		view, err := t.view(ctx, db)
		if err != nil {
			return m, err
		}
		m.views = m.views || !t.serves(view)
		if err := t.fits(ctx, db); err != nil {
			return m, err
		}
	}
	return m, nil
}

// furnish makes what is missing, in one transaction that nobody else who furnishes or flips, and no command that plays
// immediately, overlaps.
func (p *player) furnish(ctx context.Context, log uuid.UUID) error {
	tx, err := sqldb.Begin(ctx, p.DB, p.Patience)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	db := tx.DB()
	if err := lockTimings(ctx, db); err != nil {
		return err
	}
	m, err := p.missing(ctx, db, log) // somebody may have been faster
	if err != nil {
		return err
	}
	if m.everything {
		if err := p.beginAnew(ctx, db, log); err != nil {
			return err
		}
	}
	if !m.none() {
		for _, t := range p.tables {
			if err := t.serve(ctx, db); err != nil {
				return err
			}
		}
	}
	if err := noteTimings(ctx, db); err != nil { // the version before may have been the last that was immediate
		return err
	}
	return commit(ctx, tx, p.Patience)
}

func (p *player) beginAnew(ctx context.Context, db bun.IDB, log uuid.UUID) error {
	was, err := p.versions(ctx, db)
	if err != nil {
		return err
	}
	for _, t := range p.tables {
		if err := t.unserve(ctx, db); err != nil {
			return err
		}
		for _, v := range was {
			if err := drop(ctx, db, physicalName(t.Name, v)); err != nil {
				return err
			}
		}
		if err := t.make(ctx, db); err != nil {
			return err
		}
		if err := t.index(ctx, db); err != nil {
			return err
		}
	}
	return p.begin(ctx, db, log)
}

// versions are those that the database has a checkpoint for.
func (p *player) versions(ctx context.Context, db bun.IDB) ([]int, error) {
	var versions []int
	if err := db.NewSelect().Table("projectors").Column("version").Where("name = ?", p.Name).Scan(ctx, &versions); err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return versions, nil
}
