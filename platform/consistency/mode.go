package consistency

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Mode is how strictly, and how, a constraint is kept. In no mode is a duplicate ever stored: only when and how two writers who
// meet in one scope are kept apart differs. The set is closed, so that everything can be tried in every mode.
type Mode uint8

// The modes. The zero Mode is none.
const (
	// Reject: both go ahead; who commits second fails with the constraint's own error.
	Reject Mode = iota + 1
	// Retry: as Reject, but the loser decides again in a new transaction, a bounded number of times.
	Retry
	// Lock: the scope is locked before it is read; the second waits, at most the lock time-out.
	Lock
	// Queue: writers line up in the lane; those that wait together are decided one after another and stored together.
	Queue
	// Adaptive: as Retry, but a scope that is contended is kept as in Queue, until it is no longer.
	Adaptive
)

// Built are the modes there are, in the order in which they are listed everywhere.
func Built() []Mode { return []Mode{Reject, Retry, Lock, Queue, Adaptive} }

var modeNames = map[Mode]string{Reject: "reject", Retry: "retry", Lock: "lock", Queue: "queue", Adaptive: "adaptive"}

// String is the name that configuration and API use.
func (m Mode) String() string { return modeNames[m] }

// ParseMode reads a mode's name. The error lists the names there are.
func ParseMode(name string) (Mode, error) {
	for m, n := range modeNames {
		if n == name {
			return m, nil
		}
	}
	return 0, fmt.Errorf("unknown mode %q: use one of %s", name, Names(Built()))
}

// Names lists modes for people: "reject, retry, lock".
func Names(modes []Mode) string {
	names := make([]string, len(modes))
	for i, m := range modes {
		names[i] = m.String()
	}
	return strings.Join(names, ", ")
}

// Settings are what the modes go by.
type Settings struct {
	Modes       map[string]Mode // by constraint; one that is missing has its default
	Attempts    int             // how often a command is tried in all, in retry; ≥ 1
	Backoff     time.Duration   // the base of the full-jitter pause before another attempt; the n-th is drawn from [0, Backoff·2ⁿ)
	LockTimeout time.Duration   // how long a writer waits for a lock
	Depth       int             // how many units may wait in the lane; ≥ 1
	Batch       int             // how many units the lane stores in one transaction, at most; ≥ 1
	Contention  Contention      // when adaptive moves a scope into the lane, and back
}

// DefaultSettings are good for a server.
func DefaultSettings() Settings {
	return Settings{
		Attempts: 16, Backoff: 2 * time.Millisecond, LockTimeout: 5 * time.Second,
		Depth: 1024, Batch: 256, Contention: Contention{Raise: 8, Fall: 1, Dwell: 5 * time.Second},
	}
}

// mode is the mode that c is kept in.
func (s Settings) mode(c *spec) Mode {
	if m, ok := s.Modes[c.name]; ok && slices.Contains(c.modes, m) {
		return m
	}
	return c.fallback
}
