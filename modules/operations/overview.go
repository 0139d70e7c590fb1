package operations

import (
	"context"
	"time"

	"accession/modules/operations/operationsevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/tally"
)

// Constraint is a constraint as an operator sees it: what it is, how it is kept, and how that goes.
type Constraint struct {
	Name   string   `json:"name"`
	Rule   string   `json:"rule" doc:"What it says, in a sentence."`
	Kind   string   `json:"kind" enum:"sequence,unique,reference"`
	Scope  string   `json:"scope" doc:"The kind of thing within which it looks."`
	Error  string   `json:"error" doc:"The code of what is refused because of it."`
	Events []string `json:"events" nullable:"false" doc:"The events that it listens to."`

	Modes      []string `json:"modes" nullable:"false" doc:"Those it can be kept in."`
	Mode       string   `json:"mode" doc:"The one it is kept in."`
	Configured string   `json:"configured" doc:"The one that the configuration of the process that answers says."`
	Live       *Live    `json:"live" doc:"The one that was set live, which wins over the configuration; null while there is none."`

	LastMinute      Rates    `json:"last_minute"`
	LastFiveMinutes Rates    `json:"last_five_minutes"`
	Queue           Queue    `json:"queue" doc:"The lane, which all constraints that queue share, in the last five minutes."`
	Hottest         []Hot    `json:"hottest" nullable:"false" doc:"The scopes with most attempts in the last five minutes, at most five."`
	Advice          []Advice `json:"advice" nullable:"false"`

	version int // of its stream
}

// Rates are what happened in some time, in all processes on the log.
type Rates struct {
	Attempts     int64              `json:"attempts"`
	Conflicts    int64              `json:"conflicts" doc:"Of the attempts, those that met a rival: rejected, retried, exhausted or busy."`
	ConflictRate float64            `json:"conflict_rate" doc:"Conflicts as a share of the attempts, 0 to 1."`
	Outcomes     map[string]int64   `json:"outcomes" nullable:"false" doc:"Attempts by outcome; those that did not occur are missing."`
	PerSecond    map[string]float64 `json:"per_second" nullable:"false" doc:"The same as a rate."`
	TriesP95     int                `json:"attempts_p95" doc:"Attempts that 95 of 100 commands did not need more than."`
	WaitP50      *float64           `json:"wait_p50_ms" doc:"Milliseconds that half of those that waited did not wait longer than, to a quarter; null when nobody waited."`
	WaitP95      *float64           `json:"wait_p95_ms"`
}

// Queue is how the lane does.
type Queue struct {
	Depth     int     `json:"depth" doc:"How many commands wait."`
	Deepest   int     `json:"deepest" doc:"The most that waited in one process."`
	Batches   int64   `json:"batches"`
	BatchMean float64 `json:"batch_mean" doc:"How many commands were stored together, in the mean; 0 when none was."`
}

// Hot is a scope in which much happens.
type Hot struct {
	Scope     event.Tag `json:"scope"`
	Attempts  int64     `json:"attempts"`
	Conflicts int64     `json:"conflicts"`
}

// hottest is how many scopes are shown.
const hottest = 5

// Watch is what an overview is made from.
type Watch struct {
	Log         eventlog.Reader
	Constraints *consistency.Set
	Configured  consistency.Settings
	Tally       *tally.Tally // nil: nothing has happened
}

// Overview is all constraints, by name, and the position up to which the log was read for their modes.
func (w Watch) Overview(ctx context.Context) ([]Constraint, event.Position, error) {
	head, err := w.Log.Head(ctx)
	if err != nil {
		return nil, 0, err
	}
	changes, err := lastChanges(ctx, w.Log, w.Constraints, head.Position)
	if err != nil {
		return nil, 0, err
	}
	recent := &tally.Recent{}
	if w.Tally != nil {
		if recent, err = w.Tally.Recent(ctx); err != nil {
			return nil, 0, err
		}
	}
	var all []Constraint
	for _, d := range w.Constraints.Describe() {
		all = append(all, w.constraint(d, changes[d.Name], recent))
	}
	return all, head.Position, nil
}

func (w Watch) constraint(d consistency.Description, last Live, recent *tally.Recent) Constraint {
	mode, lane := inForce(d, w.Configured, last), recent.Lane()
	c := Constraint{
		Name: d.Name, Rule: d.Rule, Kind: d.Kind, Scope: d.Scope, Error: d.Error, Events: d.Events,
		Modes: names(d.Modes), Mode: mode.String(), Configured: configuredMode(d, w.Configured).String(),
		LastMinute: rates(recent.Minute(d.Name)), LastFiveMinutes: rates(recent.Window(d.Name)),
		Queue:   Queue{lane.Depth, lane.Deepest, lane.Batches, lane.Mean()},
		Hottest: []Hot{},
		Advice:  append([]Advice{}, Advise(Facts{Name: d.Name, Mode: mode, Can: d.Modes, Did: recent.In(d.Name, mode), Lane: lane})...),
		version: last.version,
	}
	if last.Mode != "" && last.Mode != operationsevents.Default {
		c.Live = &last
	}
	for _, h := range recent.Hottest(d.Name, hottest) {
		c.Hottest = append(c.Hottest, Hot{h.Tag, h.Attempts, h.Conflicts})
	}
	return c
}

func rates(f tally.Figures) Rates {
	r := Rates{
		Attempts: f.Attempts, Conflicts: f.Conflicts, TriesP95: f.Tries,
		ConflictRate: f.Share(consistency.Rejected, consistency.Retried, consistency.Exhausted, consistency.Busy),
		Outcomes:     map[string]int64{}, PerSecond: map[string]float64{},
	}
	for o, n := range f.Outcomes {
		r.Outcomes[string(o)], r.PerSecond[string(o)] = n, float64(n)/f.Over.Seconds()
	}
	if f.Waits > 0 {
		p50, p95 := milliseconds(f.P50), milliseconds(f.P95)
		r.WaitP50, r.WaitP95 = &p50, &p95
	}
	return r
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
