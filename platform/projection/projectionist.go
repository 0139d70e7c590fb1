package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
)

// Config is what a [Projectionist] works with. DB, Log and Registry are required.
type Config struct {
	DB       *database.DB    // where the tables and checkpoints are; its migrations have run
	Log      eventlog.Reader // what is played; Immediate needs it to be in DB
	Registry *event.Registry // every event that a projector listens to must be in it

	Projectors []Projector
	Timing     Timing // of all projectors, settled by Boot; Background when empty

	Poll     time.Duration // how often to look without having been rung for; 0 means 250 ms
	Rest     int           // how many times as long as a batch took to let events gather after it, while nobody waits; 0 means 3
	Batch    int           // how many events are played in one transaction, at most; 0 means 500
	Patience time.Duration // how long to wait for a lock or a connection; 0 means 5 s

	Logger *slog.Logger // nil: slog.Default
	Meter  Meter        // nil: nothing is measured
	// Probe is called at each stage of a batch in the background. An error ends the batch there as a crash would. For tests; nil
	// in production.
	Probe func(ctx context.Context, projector string, s Stage) error
}

// Meter is told how a projector of this process stands: after each batch and each look, and when it breaks. It is called from
// many goroutines and must not block. For figures of the moment ask [Projectionist.Status].
type Meter interface {
	Projector(s Status)
}

type noMeter struct{}

func (noMeter) Projector(Status) {}

// Stage is a moment in the playing of a batch at which a test can stop it.
type Stage string

// The stages, in order.
const (
	Read      Stage = "read"      // the events are read, nothing is begun
	Moved     Stage = "moved"     // in the transaction: the checkpoint is moved, no row is written
	Written   Stage = "written"   // in the transaction: the rows are written too, nothing is committed
	Committed Stage = "committed" // it is committed, and nobody knows yet
)

// Projectionist plays events into projectors. It is safe for concurrent use; there may be any number of them, in this process
// and in others, on one database.
type Projectionist struct {
	Config
	players []*player   // by name
	none    atomic.Bool // no projector was immediate when a command last asked: see timing.go
}

// New checks the projectors and completes the configuration. What is wrong is wrong with the program, and is returned all
// together. Nothing is read or written yet.
func New(c Config) (*Projectionist, error) {
	if c.Timing == "" {
		c.Timing = Background
	}
	if c.Timing != Background && c.Timing != Immediate {
		return nil, fmt.Errorf("make projectionist: the timing %q is neither %s nor %s", c.Timing, Background, Immediate)
	}
	if c.Poll <= 0 {
		c.Poll = 250 * time.Millisecond
	}
	if c.Rest <= 0 {
		c.Rest = 3
	}
	if c.Batch <= 0 {
		c.Batch = 500
	}
	if c.Patience <= 0 {
		c.Patience = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Meter == nil {
		c.Meter = noMeter{}
	}
	if c.Probe == nil {
		c.Probe = func(context.Context, string, Stage) error { return nil }
	}
	p := &Projectionist{Config: c}
	var errs []error
	owners := map[string]string{} // table → projector
	names := map[string]bool{}
	for _, of := range c.Projectors {
		pr, err := compile(of, c.DB.Write)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		wrong := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("register projector %q: "+format, append([]any{of.Name}, args...)...))
		}
		if names[of.Name] {
			wrong("two have the name")
		}
		names[of.Name] = true
		for _, t := range pr.tables {
			if owner, taken := owners[t.Name]; taken {
				wrong("table %s is projector %q's", t.Name, owner)
			}
			owners[t.Name] = of.Name
		}
		for _, e := range pr.events {
			if !slices.Contains(c.Registry.Types(), e) {
				wrong("it listens to %s, which is not registered", e)
			}
		}
		p.players = append(p.players, &player{
			projector: pr, Projectionist: p, bell: make(chan struct{}, 1), urgent: make(chan struct{}, 1), logger: c.Logger.With("projector", of.Name, "version", of.Version),
		})
	}
	slices.SortFunc(p.players, func(a, b *player) int { return strings.Compare(a.Name, b.Name) })
	return p, errors.Join(errs...)
}

// player plays one projector.
type player struct {
	*projector
	*Projectionist
	logger   *slog.Logger
	bell     chan struct{} // rung when there may be something to do
	urgent   chan struct{} // rung by who waits for it
	waiting  atomic.Int32  // how many wait for the checkpoint to move
	progress progress

	playing sync.Mutex // guards what follows
	seen    checkpoint // where the checkpoint was last
	known   bool       // whether seen can be relied on
	moved   time.Time  // when it was last moved
	looked  time.Time  // when there were last events after it
}

// player finds a projector of this process by its name.
func (p *Projectionist) player(name string) (*player, error) {
	i, found := slices.BinarySearchFunc(p.players, name, func(pl *player, name string) int { return strings.Compare(pl.Name, name) })
	if !found {
		return nil, fmt.Errorf("there is no projector %q", name)
	}
	return p.players[i], nil
}

// Ring says that there may be new events. It never waits; many rings at once are one. A ring that is lost costs a Poll.
func (p *Projectionist) Ring() {
	for _, pl := range p.players {
		pl.ring()
	}
}

func (p *player) ring() { ring(p.bell) }

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// progress tells those who wait in this process how far a player has come. The zero value is ready to use.
type progress struct {
	mu       sync.Mutex
	position event.Position
	changed  chan struct{}
}

// announce wakes everybody who watches.
func (p *progress) announce(at event.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position = at
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// watch gives what was announced last, and a channel that is closed when it is no longer so.
func (p *progress) watch() (event.Position, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.position, p.changed
}
