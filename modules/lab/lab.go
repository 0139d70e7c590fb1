package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"accession/modules/catalogue"
	"accession/modules/discovery"
	"accession/modules/editions"
	"accession/modules/library"
	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/module"
	"accession/platform/problem"
)

// SQL is the mode of the yardstick: hand-written transactions.
const SQL = "sql"

// Config says what to run. Constraint, Modes, Scopes, Writers and Duration are required.
type Config struct {
	Constraint string        // one of Constraints()
	Modes      []string      // those to compare, each once; SQL among them, if there is to be a yardstick; see HTTP
	Writers    int           // how many write at a time, without a pause
	Scopes     []int         // over how many scopes they write; each number is a run of its own
	Duration   time.Duration // how long each mode runs for each number of scopes, all its turns together

	// Settings are what the modes go by. What they say of modes does not matter: every constraint is kept in the mode that is
	// measured, and one that cannot be, in lock.
	Settings consistency.Settings
	// Database is the catalogue's own, as it is opened elsewhere. The lab works beside it. On PostgreSQL each writer has a
	// connection, whatever it says of how many write.
	Database database.Config

	Began  func(scopes int, place string) // called when a number of scopes begins, with where the lab works; nil: nothing is
	Turned func()                         // called when a mode has had its turn; nil: nothing is
}

// rounds is how often each mode has its turn: often enough that what else the machine does is shared, for long enough that
// beginning and ending do not count.
func (c Config) rounds() int { return int(min(12, max(3, c.Duration/(time.Second/2)))) }

// Turns is how often Turned will be called.
func (c Config) Turns() int { return c.rounds() * len(c.Modes) * len(c.Scopes) }

// Row is what was measured of one mode over so many scopes. Its JSON is a contract with users.
type Row struct {
	Mode       string   `json:"mode"`
	Writers    int      `json:"writers"`
	Scopes     int      `json:"scopes"`
	Accepted   float64  `json:"accepted_per_s"`
	Rejected   float64  `json:"rejected_per_s"`        // answers that say a rival was faster, at once or after the last attempt
	Refused    float64  `json:"refused_per_s"`         // answers that say anything else: busy, full
	Attempts   float64  `json:"attempts_per_accepted"` // all attempts, those in vain too
	P50        float64  `json:"p50_ms"`                // of what was accepted, from call to answer
	P95        float64  `json:"p95_ms"`
	P99        float64  `json:"p99_ms"`
	Batch      float64  `json:"batch_mean"` // units stored by one transaction
	Settled    *float64 `json:"settled_s"`  // from the last answer until the last number was assigned; nil when nothing is assigned later
	Duplicates int      `json:"duplicates"` // found in the log afterwards, as are gaps
	Gaps       int      `json:"gaps"`
}

// Check says what is wrong with the configuration. The errors are of the kind Usage.
func (c Config) Check() error {
	wrong := func(format string, args ...any) error {
		return problem.New(problem.Usage, "lab-config", format, args...)
	}
	if loads[c.Constraint] == nil {
		return wrong("The lab cannot run the constraint %q: use one of %s.", c.Constraint, strings.Join(Constraints(), ", "))
	}
	can, err := Modes(c.Constraint)
	if err != nil {
		return err
	}
	for i, m := range c.Modes {
		if word, throughAPI := strings.CutSuffix(m, HTTP); !slices.Contains(can, word) || throughAPI && word == SQL {
			return wrong("%s cannot be kept in the mode %q: use some of %s.", c.Constraint, m, strings.Join(can, ", "))
		}
		if slices.Contains(c.Modes[:i], m) {
			return wrong("The mode %s is there twice.", m)
		}
	}
	for i, n := range c.Scopes {
		if n < 1 || n > 100_000 {
			return wrong("%d is not a number of scopes: use 1 to 100000.", n)
		}
		if slices.Contains(c.Scopes[:i], n) {
			return wrong("The number of scopes %d is there twice.", n)
		}
	}
	switch {
	case len(c.Modes) == 0:
		return wrong("There is no mode to run: use some of %s.", strings.Join(can, ", "))
	case len(c.Scopes) == 0:
		return wrong("There is no number of scopes: use 1, 1000, or both.")
	case c.Writers < 1 || c.Writers > 1000:
		return wrong("%d is not a number of writers: use 1 to 1000.", c.Writers)
	case c.Duration <= 0 || c.Duration > 10*time.Minute:
		return wrong("%v is not a duration for a mode: use up to 10m.", c.Duration)
	}
	return nil
}

// modules are those of the application: their constraints, and for what is asked over HTTP their projectors.
var modules = []module.Module{library.Module, catalogue.Module, editions.Module, discovery.Module}

// Modes are the modes in which a constraint can be run: the yardstick first, then those that it can be kept in.
func Modes(constraint string) ([]string, error) {
	set, err := module.Constraints(modules)
	if err != nil {
		return nil, err
	}
	modes := []string{SQL}
	for _, d := range set.Describe() {
		if d.Name == constraint {
			for _, m := range d.Modes {
				modes = append(modes, m.String())
			}
		}
	}
	return modes, nil
}

// Run runs the lab and gives a row for each number of scopes and mode, in the order of the configuration. Everything it made is
// gone when it returns, also when ctx has ended. That numbers are twice in a log, or missing, is no error of Run: ask [Broken].
func Run(ctx context.Context, c Config) ([]Row, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.Database.WriteConns = c.Writers + 8 // the lane has some of its own
	c.Database = c.Database.WithDefaults()
	var rows []Row
	for _, n := range c.Scopes {
		r, err := c.run(ctx, n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// Broken is the error of rows of which some have a duplicate or a gap; nil when all is well.
func Broken(rows []Row) error {
	for _, r := range rows {
		if r.Duplicates > 0 || r.Gaps > 0 {
			return problem.New(problem.Internal, "lab-broken",
				"In mode %s over %d scopes the log has %d numbers twice, and %d are missing. This must never be: report it.", r.Mode, r.Scopes, r.Duplicates, r.Gaps)
		}
	}
	return nil
}

// run runs all modes over so many scopes.
func (c Config) run(ctx context.Context, scopes int) (_ []Row, err error) {
	registry, err1 := module.Registry(modules)
	set, err2 := module.Constraints(modules)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	l := loads[c.Constraint](scopes)
	// The modes write into one log; the yardstick into another, which has no head; those asked over HTTP into a third, in which
	// projectors play.
	const own, hand, asked = 0, 1, 2
	benches := map[int]*bench{}
	defer func() {
		for _, b := range benches {
			err = errors.Join(err, b.close())
		}
	}()
	var turns []*turn
	for _, mode := range c.Modes {
		place := own
		switch {
		case mode == SQL:
			place = hand
		case strings.HasSuffix(mode, HTTP):
			place = asked
		}
		b := benches[place]
		if b == nil {
			if b, err = c.newBench(ctx, l, registry, set); err != nil {
				return nil, err
			}
			if c.Began != nil && len(benches) == 0 {
				c.Began(scopes, b.space.Location())
			}
			benches[place] = b
			if place == asked {
				if err := b.open(ctx); err != nil {
					return nil, err
				}
			}
		}
		t, err := b.turn(ctx, mode)
		if err != nil {
			return nil, err
		}
		turns = append(turns, t)
	}
	return c.measure(ctx, scopes, turns)
}

// measure lets the modes take turns.
func (c Config) measure(ctx context.Context, scopes int, turns []*turn) ([]Row, error) {
	of := map[*Variant]*turn{}
	var variants []*Variant
	for _, t := range turns {
		of[&t.Variant] = t
		variants = append(variants, &t.Variant)
	}
	err := Turns{Writers: c.Writers, Rounds: c.rounds(), Length: c.Duration / time.Duration(c.rounds())}.Run(ctx, variants,
		func(ctx context.Context, v *Variant) error { return of[v].bench.space.wake(ctx, c.Writers) },
		func(ctx context.Context, v *Variant) error {
			t := of[v]
			duplicates, gaps, err := t.bench.check.check(ctx)
			t.duplicates, t.gaps = t.duplicates+duplicates, t.gaps+gaps
			if err == nil && t.bench.front != nil {
				err = t.bench.front.settle(ctx)
			}
			t.bench.space.rest()
			if c.Turned != nil {
				c.Turned()
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(turns))
	for i, t := range turns {
		rows[i] = t.row(c.Writers, scopes)
	}
	return rows, nil
}

// bench is a space in which the scopes have been made.
type bench struct {
	Config
	space    *space
	load     load
	log      eventlog.Log
	register consistency.Register
	set      *consistency.Set
	registry *event.Registry
	check    *checker
	front    *front // nil: it is not asked over HTTP
}

// close ends what runs in the space and removes it.
func (b *bench) close() error {
	if b.front != nil {
		b.front.close()
	}
	return b.space.Close()
}

func (c Config) newBench(ctx context.Context, l load, registry *event.Registry, set *consistency.Set) (*bench, error) {
	s, err := openSpace(ctx, c.Database)
	if err != nil {
		return nil, err
	}
	log := logdb.New(s.DB, registry, c.Settings.LockTimeout)
	b := &bench{
		Config: c, space: s, load: l, set: set, registry: registry,
		log: log, register: registerdb.New(s.Read), check: newChecker(log, l.slot),
	}
	if err := b.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return b, nil
}

// prepare makes the scopes: as many at a time as there are writers, through the lane.
func (b *bench) prepare(ctx context.Context) error {
	run := b.runner(consistency.Queue, nil)
	for _, step := range b.load.steps {
		var next atomic.Int64
		var failed error
		var once sync.Once
		var writers sync.WaitGroup
		ctx, cancel := context.WithCancel(ctx)
		for range min(b.Writers, len(step)) {
			writers.Go(func() {
				for i := int(next.Add(1) - 1); i < len(step); i = int(next.Add(1) - 1) {
					if _, err := run.Run(ctx, step[i]); err != nil {
						once.Do(func() { failed = fmt.Errorf("make scopes: %w", err) })
						cancel()
						return
					}
				}
			})
		}
		writers.Wait()
		cancel()
		if failed != nil {
			return failed
		}
	}
	_, _, err := b.check.check(ctx)
	return err
}

// runner runs commands with every constraint in the mode; one that cannot be kept in it, in lock.
func (b *bench) runner(mode consistency.Mode, m consistency.Meter) *consistency.Runner {
	settings := b.Settings
	settings.Modes = map[string]consistency.Mode{}
	for _, d := range b.set.Describe() {
		settings.Modes[d.Name] = consistency.Lock
		if slices.Contains(d.Modes, mode) {
			settings.Modes[d.Name] = mode
		}
	}
	return consistency.NewRunner(consistency.Config{
		Log: b.log, Register: b.register, Set: b.set, Settings: func() consistency.Settings { return settings }, Meter: m,
		Abreast: registerdb.Abreast(b.space.Dialect),
	})
}

// turn is a mode, with what becomes of it.
type turn struct {
	Variant
	bench            *bench
	meter            *meter // nil: each call is one attempt, and one transaction
	duplicates, gaps int
}

func (b *bench) turn(ctx context.Context, mode string) (*turn, error) {
	if mode == SQL {
		y, err := newYardstick(ctx, b.space, b.load)
		return &turn{Variant: Variant{Name: mode, Do: y.do}, bench: b}, err
	}
	word, throughAPI := strings.CutSuffix(mode, HTTP)
	m, err := consistency.ParseMode(word)
	if err != nil {
		return nil, err
	}
	meter := &meter{constraint: b.Constraint}
	if throughAPI {
		do, err := b.overHTTP(ctx, m, meter)
		return &turn{bench: b, meter: meter, Variant: Variant{Name: mode, Do: do}}, err
	}
	run := b.runner(m, meter)
	return &turn{bench: b, meter: meter, Variant: Variant{Name: mode, Do: func(ctx context.Context, i int) error {
		_, err := run.Run(ctx, b.load.request(i))
		return err
	}}}, nil
}

// row is what was measured.
func (t *turn) row(writers, scopes int) Row {
	ms := func(q float64) float64 { return float64(t.Quantile(q)) / float64(time.Millisecond) }
	r := Row{
		Mode: t.Name, Writers: writers, Scopes: scopes,
		Accepted: t.Rate(t.Accepted), Rejected: t.Rate(t.Rejected), Refused: t.Rate(t.Refused),
		P50: ms(.5), P95: ms(.95), P99: ms(.99),
		Duplicates: t.duplicates, Gaps: t.gaps,
	}
	if t.Accepted == 0 {
		return r
	}
	attempts, batches, batched := t.Accepted+t.Rejected+t.Refused, 0, 0
	if t.meter != nil {
		attempts, batches, batched = int(t.meter.attempts.Load()), int(t.meter.batches.Load()), int(t.meter.batched.Load())
	}
	alone := max(0, t.Accepted-batched) // stored in transactions of their own
	r.Attempts, r.Batch = float64(attempts)/float64(t.Accepted), float64(alone+batched)/float64(alone+batches)
	return r
}

// meter counts what the runner of one mode does.
type meter struct {
	constraint                 string
	attempts, batches, batched atomic.Int64
}

// Attempted implements consistency.Meter.
func (m *meter) Attempted(a consistency.Attempt) {
	if a.Constraint == m.constraint {
		m.attempts.Add(1)
	}
}

// Waited implements consistency.Meter.
func (*meter) Waited(string, consistency.Mode, time.Duration) {}

// Queued implements consistency.Meter.
func (*meter) Queued(int) {}

// Batched implements consistency.Meter.
func (m *meter) Batched(units int) {
	m.batches.Add(1)
	m.batched.Add(int64(units))
}
