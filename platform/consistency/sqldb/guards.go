package sqldb

import (
	"sync"

	"accession/platform/consistency"
)

// guards remembers guard rows that are known to be there, so that they need not be made before they are locked: they are never
// deleted. The zero value is ready to use; it is safe for concurrent use.
type guards struct {
	mu    sync.Mutex
	there map[consistency.Key]struct{}
}

// maxGuards bounds the memory: some 10 MiB.
const maxGuards = 1 << 16

func (g *guards) all(keys []consistency.Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, k := range keys {
		if _, ok := g.there[k]; !ok {
			return false
		}
	}
	return true
}

// add notes guards that were committed before this transaction looked.
func (g *guards) add(keys []consistency.Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.there == nil || len(g.there)+len(keys) > maxGuards {
		g.there = make(map[consistency.Key]struct{}, len(keys))
	}
	for _, k := range keys {
		g.there[k] = struct{}{}
	}
}

func (g *guards) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.there = nil
}
