package projection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"

	"github.com/uptrace/bun"
)

// Finding is a row that is not what the log says it should be, or a checkpoint that is not where it can be.
type Finding struct {
	Projector string
	Table     string         // "projectors" for the checkpoint
	Key       string         // "id=…"; of several columns "category_id=…, number=…"; of a checkpoint the column: "log", "position" or "state"
	Expected  string         // the row as JSON, by columns; empty when there should be none; of a checkpoint what should be there
	Found     string         // the same of the row that is there; empty when there is none
	Position  event.Position // up to which the log was played; where the state is Broken, the event that cannot be
}

// checkpoints is the table of the findings that are not about a row.
const checkpoints = "projectors"

// Checkpoint reports whether the finding is about the projector's checkpoint, and not about a row.
func (f Finding) Checkpoint() bool { return f.Table == checkpoints }

// Verify plays the log anew, into a database of its own that is gone afterwards, up to where each projector is, and compares the
// tables row by row. It changes nothing, and holds a snapshot of the database only while it compares. It needs room in memory
// for the rows of the largest table. A projector that is behind is no finding; one that is Broken is, as is a checkpoint beyond the
// end of the log or in another log. Projectors that are not booted are passed by; one that cannot be checked does not keep the
// others from it.
func (p *Projectionist) Verify(ctx context.Context) (findings []Finding, err error) {
	scratch, err := database.Open(ctx, database.Config{URL: "sqlite::memory:"})
	if err != nil {
		return nil, fmt.Errorf("verify projectors: %w", err)
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	var errs []error
	for _, pl := range p.players {
		found, err := pl.verify(ctx, scratch)
		if err != nil {
			errs = append(errs, fmt.Errorf("verify projector %s: %w", pl.Name, err))
		}
		findings = append(findings, found...)
	}
	return findings, errors.Join(errs...)
}

func (p *player) verify(ctx context.Context, scratch *database.DB) ([]Finding, error) {
	at, err := p.reached(ctx, p.DB.Read)
	if errors.Is(err, errNotBooted) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := newReplica(ctx, p, scratch)
	if err != nil {
		return nil, err
	}
	if err := r.play(ctx, at.position); err != nil { // most of it, before there is a snapshot to be held
		return nil, err
	}
	var findings []Finding
	err = p.DB.Snapshot(ctx, func(ctx context.Context, db bun.IDB) error {
		if at, err = p.reached(ctx, db); err != nil {
			return err
		}
		if at.position < r.at {
			return errors.New("it began anew meanwhile: verify again")
		}
		if findings, err = p.verifyCheckpoint(ctx, db); err != nil {
			return err
		}
		if err := r.play(ctx, at.position); err != nil {
			return err
		}
		for i, live := range p.tables {
			found, err := compare(r.tables[i].rows(ctx, scratch.Read, scratch.Read), live.rows(ctx, p.DB.Read, db))
			if err != nil {
				return fmt.Errorf("compare %s: %w", live.Name, err)
			}
			for _, f := range found {
				f.Projector, f.Table, f.Position = p.Name, live.Name, at.position
				findings = append(findings, f)
			}
		}
		return nil
	})
	return findings, err
}

func (p *player) verifyCheckpoint(ctx context.Context, db bun.IDB) (findings []Finding, err error) {
	at, err := p.at(ctx, db) // in immediate timing too its position must be one of the log's
	if err != nil {
		return nil, err
	}
	head, err := p.Log.Head(ctx) // as it is now, or later than what db shows
	if err != nil {
		return nil, err
	}
	find := func(key, expected, found string, position event.Position) {
		findings = append(findings, Finding{p.Name, checkpoints, key, expected, found, position})
	}
	if at.log != head.Log {
		find("log", head.Log.String(), at.log.String(), at.position)
	}
	if at.position > head.Position {
		find("position", fmt.Sprint("at most ", head.Position), fmt.Sprint(at.position), head.Position)
	}
	if at.state == Broken {
		find("state", string(Playing), string(Broken)+": "+at.error, at.position+1)
	}
	return findings, nil
}

// replica is a projector in a scratch database.
type replica struct {
	*projector
	db    *database.DB
	log   eventlog.Reader
	batch int
	at    event.Position
}

func newReplica(ctx context.Context, p *player, db *database.DB) (*replica, error) {
	pr, err := compile(p.Projector, db.Write)
	if err != nil {
		return nil, err
	}
	for _, t := range pr.tables {
		if err := errors.Join(t.make(ctx, db.Write), t.index(ctx, db.Write)); err != nil {
			return nil, err
		}
	}
	return &replica{projector: pr, db: db, log: p.Log, batch: p.Batch}, nil
}

// play goes on from where it is.
func (r *replica) play(ctx context.Context, until event.Position) error {
	if until <= r.at {
		return nil // 0 would be no bound
	}
	var events []event.Envelope
	for env, err := range r.log.Read(ctx, eventlog.Query{After: r.at, Until: until, Types: r.events}) {
		if err != nil {
			return err
		}
		if events = append(events, env); len(events) == r.batch {
			if err := r.store(ctx, events); err != nil {
				return err
			}
			events = events[:0]
		}
	}
	if err := r.store(ctx, events); err != nil {
		return err
	}
	r.at = until
	return nil
}

func (r *replica) store(ctx context.Context, events []event.Envelope) error {
	tx, err := sqldb.Begin(ctx, r.db, commitPatience)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := r.projector.play(ctx, tx.DB(), events); err != nil {
		return err
	}
	return commit(ctx, tx, commitPatience)
}

// rows calls f for each row of a table with its key and the row as JSON, which is the same for equal rows whatever the database.
type rows func(f func(key, row string)) error

// compare tells how the rows that are live differ from those expected.
func compare(expected, live rows) ([]Finding, error) {
	want := map[string]string{}
	if err := expected(func(key, row string) { want[key] = row }); err != nil {
		return nil, err
	}
	var findings []Finding
	if err := live(func(key, row string) {
		if want[key] != row {
			findings = append(findings, Finding{Key: key, Expected: want[key], Found: row})
		}
		delete(want, key)
	}); err != nil {
		return nil, err
	}
	for key, row := range want {
		findings = append(findings, Finding{Key: key, Expected: row})
	}
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	return findings, nil
}

// rows reads the table with db, which is pool or a transaction of it.
func (t *table) rows(ctx context.Context, pool *bun.DB, db bun.IDB) rows {
	return func(f func(key, row string)) (err error) {
		rs, err := db.NewSelect().Model(t.ZeroIface).ModelTableExpr("? AS ?TableAlias", bun.Ident(t.physical)).Rows(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rs.Close()) }()
		for rs.Next() {
			row := reflect.New(t.Type)
			if err := pool.ScanRow(ctx, rs, row.Interface()); err != nil {
				return err
			}
			text, err := t.json(row)
			if err != nil {
				return err
			}
			f(t.keyText(row), text)
		}
		return rs.Err()
	}
}

func (t *table) json(row reflect.Value) (string, error) {
	columns := make(map[string]any, len(t.Fields))
	for _, f := range t.Fields {
		columns[f.Name] = f.Value(row.Elem()).Interface()
	}
	b, err := json.Marshal(columns)
	if err != nil {
		return "", err
	}
	// Once more, so that JSON within is in the same form too: PostgreSQL keeps its own.
	var plain map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&plain); err != nil {
		return "", err
	}
	b, err = json.Marshal(plain)
	return string(b), err
}

func (t *table) keyText(row reflect.Value) string {
	parts := make([]string, len(t.PKs))
	for i, f := range t.PKs {
		v := reflect.Indirect(f.Value(row.Elem()))
		form := "%s=%v"
		if v.Type() == reflect.TypeFor[[]byte]() {
			form = "%s=%q"
		}
		parts[i] = fmt.Sprintf(form, f.Name, v)
	}
	return strings.Join(parts, ", ")
}
