package consistency

import (
	"cmp"
	"slices"
	"strconv"

	"accession/platform/event"
	"accession/platform/problem"

	"github.com/google/uuid"
)

// recording is an event on its way to the log, as far as constraints see it.
type recording struct {
	id    uuid.UUID
	event event.Event
}

// work is one unit on its way.
type work struct {
	set    *Set
	events []recording
	fresh  map[event.Tag]bool // streams that the unit begins: the register can know nothing of them yet
	preset map[*int]int       // numbers that were there before anything was stamped
}

func newWork(set *Set) *work {
	return &work{set: set, fresh: map[event.Tag]bool{}, preset: map[*int]int{}}
}

// add takes one more event. version is the place in its stream that it is meant for.
func (w *work) add(id uuid.UUID, stream event.Tag, version int, e event.Event) {
	w.events = append(w.events, recording{id, e})
	if version == 1 {
		w.fresh[stream] = true
	}
	for _, b := range w.set.byEvent[e.EventType()] {
		if b.phase == numbers {
			n := b.slot(e).N
			w.preset[n] = *n
		}
	}
}

// verdict is what came of a decision.
type verdict struct {
	delta   Delta
	missing Questions // what must be loaded before it counts
	stale   bool      // the command did not know all that it had to: it must be executed again
	broken  *problem.Error
	by      *spec // whose rule is broken
	at      Key   // and where
	concern []Key // every constraint and scope that had something to say, in the order in which it was heard
}

// decide plays the unit against what is known. It is pure but for the stamps it writes into the unit's own events: asked twice,
// it says the same.
//
// What it would need to know and does not is in verdict.missing, and then the rest of the verdict is only a guess. A place that
// depends on an ancestor not known yet is asked for the next time.
func (w *work) decide(s *State) verdict {
	v := verdict{concern: make([]Key, 0, 4*len(w.events))}
	guards, rows := map[Key]int{}, map[Key]*Row{} // what the unit itself has changed so far; nil: let go of
	for n, was := range w.preset {
		*n = was
	}

	row := func(k Key, fresh bool, ask *[]Key) (held *Row, known bool) {
		if r, ok := rows[k]; ok {
			return r, true
		}
		if r, ok := s.rows[k]; ok {
			return r, true
		}
		if fresh {
			return nil, true
		}
		*ask = append(*ask, k)
		return nil, false
	}
	// owns lists the rows that the owner holds under the constraint by now.
	owns := func(constraint string, owner event.Tag) (keys []Key, known bool) {
		before := s.rows
		if w.fresh[owner] {
			before = nil
		} else if !s.owned[Key{Constraint: constraint, Key: string(owner)}] {
			v.missing.Owned = append(v.missing.Owned, Key{Constraint: constraint, Key: string(owner)})
			return nil, false
		}
		return matching(before, rows, func(k Key, r *Row) bool { return k.Constraint == constraint && r.Owner == owner }), true
	}
	// within lists the rows of a scope by now.
	within := func(constraint string, scope event.Tag, ask *[]Key) (keys []Key, known bool) {
		at := Key{Constraint: constraint, Scope: scope}
		before := s.rows
		if w.fresh[scope] {
			before = nil
		} else if !s.scopes[at] {
			*ask = append(*ask, at)
			return nil, false
		}
		return matching(before, rows, func(k Key, _ *Row) bool { return k.Constraint == constraint && k.Scope == scope }), true
	}
	refuse := func(c *spec, broken *problem.Error, k Key) {
		broken = cmp.Or(broken, c.broken)
		// The first broken rule is the answer, but what is not there at all is said before what is wrong in it.
		if v.broken == nil || (broken.Kind == problem.NotFound && v.broken.Kind != problem.NotFound) {
			v.broken, v.by, v.at = broken, c, k
		}
	}

	// A place without a scope hangs on an ancestor that is not stamped yet: it is known once what the event needs has been loaded.
	// If nothing is left to load, nothing will ever stamp it, and what the event refers to is not there.
	var unplaced []func()
	placed := func(c *spec, broken *problem.Error, k Key) bool {
		v.concern = append(v.concern, k)
		if k.Scope.IsZero() {
			unplaced = append(unplaced, func() { refuse(c, broken, k) })
		}
		return !k.Scope.IsZero()
	}

	var after []func() // what is checked when the whole unit has been played
	for _, rec := range w.events {
		for _, b := range w.set.byEvent[rec.event.EventType()] {
			switch b.phase {
			case needs:
				n := b.need(rec.event)
				if n.Key == "" {
					continue
				}
				k := Key{b.c.name, n.In, n.Key}
				if !placed(b.c, n.Broken, k) {
					continue
				}
				held, known := row(k, w.fresh[n.In], &v.missing.Held)
				if known && held == nil {
					// What the unit itself lets go of, its own events may still refer to: a book that is withdrawn takes its
					// editions with it.
					held = s.rows[k]
				}
				switch {
				case !known:
				case held == nil:
					refuse(b.c, n.Broken, k)
				case n.Stamp != nil:
					n.Stamp(held.Ancestors)
				}

			case vacancies:
				n := b.vacate(rec.event)
				at := Key{Constraint: b.c.name, Scope: n.In}
				v.concern = append(v.concern, at)
				numbered, known := within(n.Numbered, n.In, &v.missing.Listed)
				if !known {
					continue
				}
				for _, k := range numbered {
					thing := now(s.rows, rows, k).Owner
					live, known := row(Key{n.Live, thing, Here}, false, &v.missing.Taken)
					if known && live != nil && slices.Contains(live.Ancestors, n.In) && v.broken == nil {
						v.broken, v.by, v.at = n.Broken, b.c, at
					}
				}

			case numbers:
				slot := b.slot(rec.event)
				g := Key{Constraint: b.c.name, Scope: slot.In}
				if !placed(b.c, nil, g) {
					continue
				}
				last, known := guards[g]
				if !known {
					last, known = s.guards[g]
				}
				if !known && !w.fresh[slot.In] {
					v.missing.Guards = append(v.missing.Guards, g)
					continue
				}
				if *slot.N == 0 {
					*slot.N = last + 1
				}
				k := Key{b.c.name, slot.In, strconv.Itoa(*slot.N)}
				if *slot.N <= last { // claimed as it is, below the guard: it may be taken
					held, known := row(k, w.fresh[slot.In], &v.missing.Taken)
					if known && held != nil {
						refuse(b.c, nil, k)
						continue
					}
				}
				guards[g] = max(last, *slot.N)
				rows[k] = &Row{Key: k, Owner: slot.Of, Cause: rec.id}

			case holds:
				h := b.hold(rec.event)
				before, known := owns(b.c.name, h.Of)
				if !known {
					v.concern = append(v.concern, Key{b.c.name, h.In, h.Key})
					continue
				}
				for _, k := range before {
					rows[k] = nil
				}
				if h.Key == "" {
					continue
				}
				k := Key{b.c.name, h.In, h.Key}
				if !placed(b.c, nil, k) {
					continue
				}
				held, known := row(k, w.fresh[h.In], &v.missing.Taken)
				if known && held != nil && held.Owner != h.Of {
					refuse(b.c, nil, k)
					continue
				}
				rows[k] = &Row{Key: k, Owner: h.Of, Cause: rec.id, Ancestors: h.Ancestors}

			case frees:
				owner := b.free(rec.event)
				v.concern = append(v.concern, Key{Constraint: b.c.name, Scope: owner})
				held, _ := owns(b.c.name, owner)
				for _, k := range held {
					rows[k] = nil
				}

			case keeps:
				n := b.keep(rec.event)
				at := Key{Constraint: b.c.name, Scope: n.In}
				v.concern = append(v.concern, at)
				live, known := row(n.While, w.fresh[n.While.Scope], &v.missing.Held)
				if known && live == nil {
					continue
				}
				left, known := within(n.Of, n.In, &v.missing.Scopes)
				if known && len(left) == 0 {
					refuse(b.c, nil, at)
				}

			case takes:
				n := b.take(rec.event)
				after = append(after, func() {
					left, known := within(n.Of, n.In, &v.missing.Scopes)
					v.stale = v.stale || known && len(left) > 0
				})
			}
		}
	}

	for _, check := range after {
		check()
	}
	if v.missing.None() {
		for _, refuse := range unplaced {
			refuse()
		}
	}
	if v.missing.None() {
		v.delta = newDelta(len(guards), len(rows))
		for _, k := range sortedKeys(guards) {
			v.delta.Guards = append(v.delta.Guards, Guard{Key: k, Last: guards[k]})
		}
		for _, k := range sortedKeys(rows) {
			v.delta.add(k, s.rows[k], rows[k])
		}
	}
	v.missing.tidy()
	return v
}

// now is the row of k once changes are made.
func now(known, changes map[Key]*Row, k Key) *Row {
	if r, changed := changes[k]; changed {
		return r
	}
	return known[k]
}

// matching lists the keys of the rows that match, as they are once changes are made; sorted.
func matching(known, changes map[Key]*Row, match func(Key, *Row) bool) []Key {
	var keys []Key
	for k, r := range known {
		if _, changed := changes[k]; !changed && r != nil && match(k, r) {
			keys = append(keys, k)
		}
	}
	for k, r := range changes {
		if r != nil && match(k, r) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}
