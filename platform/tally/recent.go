package tally

import (
	"time"

	"accession/platform/consistency"
	"accession/platform/event"
)

// Window is how far back Recent looks, and up to ten seconds further.
const Window = 5 * time.Minute

// Recent is what all processes on a log have counted lately. The zero Recent is when nothing was counted.
type Recent struct {
	minute, window         map[string]*counts
	overMinute, overWindow time.Duration
	lane                   Lane
}

// Lane is how the lanes of all processes did together.
type Lane struct {
	Depth   int   // how many commands wait, as far as is known
	Deepest int   // the most that waited in one lane in the window
	Batches int64 // in the window
	Units   int64 // that were stored in them
}

// Mean is the mean size of a batch; 0 when there was none.
func (l Lane) Mean() float64 {
	if l.Batches == 0 {
		return 0
	}
	return float64(l.Units) / float64(l.Batches)
}

// Lane is how the lane does, which all constraints share.
func (r *Recent) Lane() Lane { return r.lane }

// Minute is what the constraint did in the last minute, in all modes.
func (r *Recent) Minute(constraint string) Figures {
	return figures(r.minute[constraint], r.overMinute, "")
}

// Window is what the constraint did in the last five minutes, in all modes.
func (r *Recent) Window(constraint string) Figures {
	return figures(r.window[constraint], r.overWindow, "")
}

// In is what the constraint did in the last five minutes while it was kept in the mode.
func (r *Recent) In(constraint string, mode consistency.Mode) Figures {
	return figures(r.window[constraint], r.overWindow, mode.String())
}

// Hottest are the constraint's scopes of the last five minutes, at most n, those with most attempts first. Where there
// are many scopes some are forgotten, so that the figures say what happened at least.
func (r *Recent) Hottest(constraint string, n int) []Scope {
	c := r.window[constraint]
	if c == nil {
		return nil
	}
	var hottest []Scope
	for _, tag := range c.Scopes.hottest() {
		if len(hottest) == n {
			break
		}
		s := c.Scopes[tag]
		s.Tag = tag
		hottest = append(hottest, s)
	}
	return hottest
}

// Scope is how often there was an attempt in a scope.
type Scope struct {
	Tag       event.Tag `json:"-"`
	Attempts  int64     `json:"a"`
	Conflicts int64     `json:"c,omitempty"` // of them, those that met a rival
}

// Figures are what a constraint did in some time.
type Figures struct {
	Over      time.Duration                 // how long they are of: what they are called, and up to ten seconds more
	Outcomes  map[consistency.Outcome]int64 // attempts by outcome; those that did not occur are missing
	Attempts  int64                         // all of them
	Conflicts int64                         // of them, those that met a rival: rejected, retried, exhausted, busy
	Tries     int                           // attempts that 95 of 100 commands did not need more than; 0 when there was none
	Waits     int64                         // how many attempts waited
	P50, P95  time.Duration                 // that half of the waits, and 95 of 100, were not longer than; to a quarter
}

// Share is the share of the attempts that had one of the outcomes; 0 when there was none.
func (f Figures) Share(outcomes ...consistency.Outcome) float64 {
	if f.Attempts == 0 {
		return 0
	}
	var n int64
	for _, o := range outcomes {
		n += f.Outcomes[o]
	}
	return float64(n) / float64(f.Attempts)
}

// figures sums up the modes, or one of them.
func figures(c *counts, over time.Duration, mode string) Figures {
	f := Figures{Over: over, Outcomes: map[consistency.Outcome]int64{}}
	if c == nil {
		return f
	}
	tries, waits := histogram{}, histogram{}
	for name, m := range c.Modes {
		if mode != "" && name != mode {
			continue
		}
		for o, n := range m.Outcomes {
			f.Outcomes[o] += n
			f.Attempts += n
			if conflict(o) {
				f.Conflicts += n
			}
		}
		tries.add(m.Tries)
		waits.add(m.Waits)
	}
	f.Tries, f.Waits = tries.quantile(.95), waits.count()
	if f.Waits > 0 {
		f.P50, f.P95 = waitOf(waits.quantile(.5)), waitOf(waits.quantile(.95))
	}
	return f
}
