package consistency

import (
	"slices"

	"accession/platform/event"
)

// plan says how a unit is kept apart from its rivals.
type plan struct {
	modes    map[string]Mode      // of every constraint concerned
	rivalry  map[string]event.Tag // the constraints concerned that rivals could meet the unit in, each with the first such scope
	adaptive []Key                // where it could meet rivals, of the constraints that are kept adaptively
	lane     bool                 // it is stored together with others; else in a transaction of its own
	compare  []Key                // guards read before the transaction begins; it fails if they have moved by the time it has them
	load     Questions            // what the transaction locks and reads first
}

// newPlan is pure: from what a unit asks of the register, and the modes of this moment, to what will be done. first is the
// verdict on a state in which nothing is known, so what it is missing is everything that can be known to be needed. contended
// says which of the places that are kept adaptively are to be queued for by now.
func newPlan(w *work, first verdict, settings Settings, contended func(Key) bool) plan {
	p := plan{modes: map[string]Mode{}, rivalry: map[string]event.Tag{}, load: first.missing.Locked()}
	for _, k := range first.concern {
		m, known := p.modes[k.Constraint]
		if !known {
			m = settings.mode(w.set.byName[k.Constraint])
			p.modes[k.Constraint] = m
		}
		if w.fresh[k.Scope] {
			continue // nobody else can be where the unit itself has only begun
		}
		if _, known := p.rivalry[k.Constraint]; !known {
			p.rivalry[k.Constraint] = k.Scope
		}
		if m == Adaptive && !k.Scope.IsZero() {
			at := w.set.place(k)
			p.adaptive = append(p.adaptive, at)
			p.lane = p.lane || contended(at)
		}
		p.lane = p.lane || m == Queue
	}
	for _, g := range first.missing.Guards {
		// Who has lined up is decided on when its turn comes, so only a mode that wants the conflict compares there.
		if m := p.modes[g.Constraint]; m == Reject || (!p.lane && (m == Retry || m == Adaptive)) {
			p.compare = append(p.compare, g)
		}
	}
	return p
}

// waiting are the constraints because of which the unit waits for others.
func (p plan) waiting() []string {
	if p.lane {
		return p.lining()
	}
	return p.alone()
}

// lining are the constraints because of which the unit lines up.
func (p plan) lining() []string {
	return p.those(func(name string) bool { return p.modes[name] == Queue || p.modes[name] == Adaptive })
}

// alone are the constraints for which the unit needs something for itself alone, or takes something. What is only held is
// shared: only who withdraws it is waited for. If there is nothing else, it is that.
func (p plan) alone() []string {
	shared := map[string]bool{}
	for _, k := range p.load.Held {
		shared[k.Constraint] = true
	}
	for _, k := range slices.Concat(p.load.Guards, p.load.Owned, p.load.Scopes) {
		delete(shared, k.Constraint)
	}
	if names := p.those(func(name string) bool { return !shared[name] }); len(names) > 0 {
		return names
	}
	return p.those(func(string) bool { return true })
}

// those are constraints in which rivals could be met, by name.
func (p plan) those(f func(name string) bool) []string {
	names := make([]string, 0, len(p.rivalry))
	for name := range p.rivalry {
		if f(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
