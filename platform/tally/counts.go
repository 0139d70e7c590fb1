package tally

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"accession/platform/consistency"
	"accession/platform/event"
)

// row is what one process counted in one slot, as it is stored.
type row struct {
	Constraints map[string]*counts `json:"constraints,omitempty"`
	Lane        *lane              `json:"lane,omitempty"`
}

// counts is what a constraint did.
type counts struct {
	Modes  map[string]*modeCounts `json:"modes,omitempty"`
	Scopes scopes                 `json:"scopes,omitempty"`
}

// modeCounts is what a constraint did in one mode.
type modeCounts struct {
	Outcomes map[consistency.Outcome]int64 `json:"outcomes,omitempty"`
	Tries    histogram                     `json:"tries,omitempty"` // commands by the attempts that they took
	Waits    histogram                     `json:"waits,omitempty"` // waits by waitBin
}

// lane is what the lane of a process did.
type lane struct {
	Depth   int   `json:"depth"` // the last that was heard of
	Deepest int   `json:"deepest"`
	Batches int64 `json:"batches"`
	Units   int64 `json:"units"`
}

// conflict reports whether the outcome came of a rival.
func conflict(o consistency.Outcome) bool {
	return o == consistency.Rejected || o == consistency.Retried || o == consistency.Exhausted || o == consistency.Busy
}

func (c *counts) attempted(a consistency.Attempt) {
	m := c.mode(a.Mode.String())
	m.Outcomes[a.Outcome]++
	if a.Outcome != consistency.Retried { // the last attempt of its command
		m.Tries[min(a.Number, maxTries)]++
	}
	if a.Scope.IsZero() {
		return
	}
	s := c.Scopes[a.Scope]
	s.Attempts++
	if conflict(a.Outcome) {
		s.Conflicts++
	}
	c.Scopes[a.Scope] = s
	if len(c.Scopes) > maxScopes {
		c.Scopes.thin()
	}
}

// maxTries is the most that is told apart.
const maxTries = 100

// mode is what was counted in the mode with the name. Names are kept as they are: a newer process may have a mode that this one
// does not know, and what it did in it happened all the same.
func (c *counts) mode(name string) *modeCounts {
	if c.Modes == nil {
		c.Modes, c.Scopes = map[string]*modeCounts{}, scopes{}
	}
	if c.Modes[name] == nil {
		c.Modes[name] = &modeCounts{map[consistency.Outcome]int64{}, histogram{}, histogram{}}
	}
	return c.Modes[name]
}

// add adds what another counted.
func (c *counts) add(other *counts) {
	if other == nil { // as another process may have stored it
		return
	}
	for name, m := range other.Modes {
		if m == nil {
			continue
		}
		mine := c.mode(name)
		for o, n := range m.Outcomes {
			mine.Outcomes[o] += n
		}
		mine.Tries.add(m.Tries)
		mine.Waits.add(m.Waits)
	}
	for tag, s := range other.Scopes {
		if c.Scopes == nil {
			c.Scopes = scopes{}
		}
		c.Scopes[tag] = Scope{Attempts: c.Scopes[tag].Attempts + s.Attempts, Conflicts: c.Scopes[tag].Conflicts + s.Conflicts}
	}
}

func (c *counts) clone() *counts {
	n := &counts{}
	n.add(c)
	return n
}

// scopes are the attempts by scope. Only so many are kept: when there are too many, those with few attempts are forgotten, so
// what is hot stays, and the count of what was once forgotten is too low.
type scopes map[event.Tag]Scope

const (
	maxScopes    = 128 // in memory, of one constraint and slot
	storedScopes = 16
)

// thin forgets those that have had no more attempts than the mean. It runs in the middle of a command, so it does not sort.
func (s scopes) thin() {
	var all int64
	for _, of := range s {
		all += of.Attempts
	}
	mean := all / int64(len(s))
	for tag, of := range s {
		if of.Attempts <= mean {
			delete(s, tag)
		}
	}
}

// prune keeps the n hottest.
func (s scopes) prune(n int) {
	if len(s) <= n {
		return
	}
	for _, tag := range s.hottest()[n:] {
		delete(s, tag)
	}
}

// hottest are the tags, those with most attempts first.
func (s scopes) hottest() []event.Tag {
	return slices.SortedFunc(maps.Keys(s), func(a, b event.Tag) int {
		return cmp.Or(cmp.Compare(s[b].Attempts, s[a].Attempts), cmp.Compare(s[b].Conflicts, s[a].Conflicts), strings.Compare(string(a), string(b)))
	})
}

// histogram counts by a small number.
type histogram map[int]int64

func (h histogram) add(other histogram) {
	for i, n := range other {
		h[i] += n
	}
}

func (h histogram) count() int64 {
	var all int64
	for _, n := range h {
		all += n
	}
	return all
}

// quantile is the least number that at least the share q of all is not above; 0 when there is nothing.
func (h histogram) quantile(q float64) int {
	rank := int64(math.Ceil(q * float64(h.count())))
	for _, i := range slices.Sorted(maps.Keys(h)) {
		if rank -= h[i]; rank <= 0 {
			return i
		}
	}
	return 0
}

// Waits are told apart by a quarter: the i-th bin holds those up to leastWait·1.25ⁱ.
const (
	leastWait = 50 * time.Microsecond
	waitStep  = 1.25
	maxWait   = 80 // more than half an hour
)

func waitBin(d time.Duration) int {
	if d <= leastWait {
		return 0
	}
	return min(maxWait, int(math.Ceil(math.Log(float64(d)/float64(leastWait))/math.Log(waitStep))))
}

// waitOf is the longest wait of a bin.
func waitOf(bin int) time.Duration {
	return time.Duration(float64(leastWait) * math.Pow(waitStep, float64(bin)))
}
