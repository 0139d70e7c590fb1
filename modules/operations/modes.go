package operations

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"accession/modules/operations/operationsevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/eventlog"
)

// Live is a mode that was set while the application ran.
type Live struct {
	_ struct{} `nullable:"true"` // where there is none, it is null

	Mode     string         `json:"mode"`
	Since    time.Time      `json:"since"`
	By       string         `json:"by" doc:"Who, as they said; not verified."`
	Reason   string         `json:"reason"`
	Position event.Position `json:"position" doc:"Of the event in the log."`

	version int // of the constraint's stream
}

// lastChanges are the last changes of the mode of each constraint in the log, up to a position. A constraint whose mode was never
// changed is missing; one that was set back has the mode operationsevents.Default.
func lastChanges(ctx context.Context, log eventlog.Reader, set *consistency.Set, until event.Position) (map[string]Live, error) {
	all := map[string]Live{}
	if until == 0 {
		return all, nil // 0 would be no bound
	}
	for _, d := range set.Describe() {
		q := eventlog.Query{Stream: operationsevents.ConstraintTag(d.Name), Until: until, Last: 1}
		for env, err := range log.Read(ctx, q) {
			if err != nil {
				return nil, fmt.Errorf("read live mode of %s: %w", d.Name, err)
			}
			if e, ok := env.Event.(*operationsevents.ModeChanged); ok {
				all[d.Name] = liveOf(e, env)
			}
		}
	}
	return all, nil
}

func liveOf(e *operationsevents.ModeChanged, env event.Envelope) Live {
	return Live{Mode: e.To, Since: env.RecordedAt, By: env.Actor, Reason: e.Reason, Position: env.Position, version: env.Version}
}

// inForce is the mode that a constraint is kept in: the live one, unless there is none or it is one that the constraint cannot
// have (another version of the program set it); else the configured one.
func inForce(d consistency.Description, configured consistency.Settings, live Live) consistency.Mode {
	if m, err := consistency.ParseMode(live.Mode); err == nil && slices.Contains(d.Modes, m) {
		return m
	}
	return configuredMode(d, configured)
}

func configuredMode(d consistency.Description, configured consistency.Settings) consistency.Mode {
	if m, ok := configured.Modes[d.Name]; ok {
		return m
	}
	return d.Default
}

// followEvery is how often the log is looked at for what other processes have set: every process follows within two seconds.
const followEvery = time.Second

// followPatience is how long one look may take.
const followPatience = 10 * time.Second

// Modes follows the live modes in the log. It is safe for concurrent use. Make one with [NewModes].
type Modes struct {
	log        eventlog.Reader
	set        *consistency.Set
	configured consistency.Settings
	logger     *slog.Logger

	settings atomic.Pointer[consistency.Settings]

	mu   sync.Mutex
	live map[string]Live
	read event.Position // up to where the log was read
}

// NewModes returns modes that are those of the configuration, until the log has been read. A nil logger is slog.Default.
func NewModes(log eventlog.Reader, set *consistency.Set, configured consistency.Settings, logger *slog.Logger) *Modes {
	m := &Modes{log: log, set: set, configured: configured, logger: cmp.Or(logger, slog.Default()), live: map[string]Live{}}
	m.settings.Store(&configured)
	return m
}

// Settings are the present ones: those of the configuration, with the modes that were set live. The maps in them are shared and
// must not be changed. It costs next to nothing, so that it can be asked for every attempt.
func (m *Modes) Settings() consistency.Settings { return *m.settings.Load() }

// Load reads all that was set before. Call it before the first command is run.
func (m *Modes) Load(ctx context.Context) error {
	head, err := m.log.Head(ctx)
	if err != nil {
		return fmt.Errorf("read live modes: %w", err)
	}
	all, err := lastChanges(ctx, m.log, m.set, head.Position)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, live := range all {
		m.take(name, live)
	}
	m.read = max(m.read, head.Position)
	m.publish()
	return nil
}

// Committed takes over what this process has just stored, so that here a mode is in force before its change is answered.
func (m *Modes) Committed(events []event.Envelope) {
	for _, env := range events {
		if e, ok := env.Event.(*operationsevents.ModeChanged); ok {
			m.mu.Lock()
			m.take(e.Constraint, liveOf(e, env))
			m.publish()
			m.mu.Unlock()
		}
	}
}

// Follow looks at the log every second for what other processes have set, until ctx ends. While the log cannot be read, the modes
// stay as they are.
func (m *Modes) Follow(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := m.Look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			m.logger.WarnContext(ctx, "the live modes cannot be followed for the time being", "error", err)
		}
		failing = err != nil
	}
}

// Look reads what is new in the log at once.
func (m *Modes) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followPatience)
	defer cancel()
	head, err := m.log.Head(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	after := m.read
	m.mu.Unlock()
	if head.Position <= after {
		return nil
	}
	q := eventlog.Query{After: after, Until: head.Position, Types: []string{(*operationsevents.ModeChanged)(nil).EventType()}}
	changes, err := eventlog.Collect(m.log.Read(ctx, q))
	if err != nil {
		return err
	}
	m.Committed(changes)
	m.mu.Lock()
	m.read = max(m.read, head.Position)
	m.mu.Unlock()
	return nil
}

// take notes a change, unless a later one is known: what this process stores and what it reads may come in any order. The caller
// holds mu.
func (m *Modes) take(name string, live Live) {
	if live.Position > m.live[name].Position {
		m.live[name] = live
	}
}

// publish makes the settings that the live modes give the present ones. The caller holds mu.
func (m *Modes) publish() {
	s := m.configured
	s.Modes = maps.Clone(m.configured.Modes)
	if s.Modes == nil {
		s.Modes = map[string]consistency.Mode{}
	}
	for _, d := range m.set.Describe() {
		live, ok := m.live[d.Name]
		if !ok {
			continue
		}
		mode := inForce(d, m.configured, live)
		if live.Mode != operationsevents.Default && live.Mode != mode.String() {
			m.logger.Warn("a live mode is one that this version does not have: the configured one holds", "constraint", d.Name, "live", live.Mode, "mode", mode.String())
		}
		s.Modes[d.Name] = mode
	}
	m.settings.Store(&s)
}
