package consistency

import (
	"math"
	"sync"
	"time"
)

// Contention says when adaptive moves a scope into the lane, and back. Each place where writers meet has a score: one for each
// conflict, that is for each attempt lost to a rival, or for each further unit of the place in a batch of the lane, halved every
// second.
type Contention struct {
	Raise float64       // with this score the scope moves into the lane; above Fall
	Fall  float64       // below this score it may move back
	Dwell time.Duration // but not sooner than this after it has moved
}

// halfLife is the time in which a score is halved.
const halfLife = time.Second

// maxPlaces bounds what is remembered. Beyond it everything is forgotten, which costs some conflicts.
const maxPlaces = 1 << 14

// contention knows where writers meet. The zero value is ready to use; it is safe for concurrent use.
type contention struct {
	mu     sync.Mutex
	places map[Key]*heat
}

type heat struct {
	score  float64
	at     time.Time // when the score was that
	queued bool
	since  time.Time // when queued last changed
}

func (p *heat) cool(now time.Time) {
	if d := now.Sub(p.at); d > 0 {
		p.score *= math.Exp2(-d.Seconds() / halfLife.Seconds())
		p.at = now
	}
}

// met notes n conflicts.
func (c *contention) met(k Key, n int, now time.Time, limits Contention) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.places[k]
	if p == nil {
		if c.places == nil || len(c.places) >= maxPlaces {
			c.places = map[Key]*heat{}
		}
		p = &heat{at: now}
		c.places[k] = p
	}
	p.cool(now)
	p.score += float64(n)
	if !p.queued && p.score >= limits.Raise {
		p.queued, p.since = true, now
	}
}

// queued reports whether the place is to be queued for.
func (c *contention) queued(k Key, now time.Time, limits Contention) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.places[k]
	if p == nil {
		return false
	}
	p.cool(now)
	if p.queued && p.score < limits.Fall && now.Sub(p.since) >= limits.Dwell {
		p.queued, p.since = false, now
	}
	if !p.queued && p.score < 0.01 {
		delete(c.places, k)
		return false
	}
	return p.queued
}

// meet notes who has met whom in a batch of the lane.
func (r *Runner) meet(members []*attempt) {
	units := map[Key]int{}
	for _, m := range members {
		for _, k := range m.plan.adaptive {
			units[k]++
		}
	}
	if len(units) == 0 {
		return
	}
	now, limits := r.Now(), r.Settings().Contention
	for k, n := range units {
		if n > 1 {
			r.contention.met(k, n-1, now, limits)
		}
	}
}
