package consistency

// plan says how a unit is kept apart from its rivals. Every unit has a transaction of its own so far; a lane, which stores many
// units in one, will be decided on here.
type plan struct {
	modes   map[string]Mode // of every constraint concerned
	compare []Key           // guards read before the transaction begins; it fails if they have moved by the time it has them
	load    Questions       // what the transaction locks and reads first
}

// newPlan is pure: from what a unit asks of the register, and the modes of this moment, to what will be done. first is the
// verdict on a state in which nothing is known, so what it is missing is everything that can be known to be needed.
func newPlan(set *Set, first verdict, settings Settings) plan {
	p := plan{modes: map[string]Mode{}, load: first.missing.Locked()}
	for _, k := range first.concern {
		p.modes[k.Constraint] = settings.mode(set.byName[k.Constraint])
	}
	for _, g := range first.missing.Guards {
		if m := p.modes[g.Constraint]; m == Reject || m == Retry {
			p.compare = append(p.compare, g)
		}
	}
	return p
}
