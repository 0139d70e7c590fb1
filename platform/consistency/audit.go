package consistency

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"accession/platform/event"
	"accession/platform/eventlog"

	"github.com/google/uuid"
)

// Finding is one thing that is not as the log says.
type Finding struct {
	Kind            string // what was looked at: "register" | "guard" | "rule"
	Constraint      string
	Scope           event.Tag
	Key             string
	Expected, Found string
	Position        event.Position // of the event that speaks of it, or that is named as the cause; 0 when there is none
}

// String is the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s %s %s %q at %d: expected %s, found %s", f.Kind, f.Constraint, f.Scope, f.Key, f.Position, f.Expected, f.Found)
}

// Audit plays the whole log anew and compares: that no rule is broken in the log itself, and that the register says what the
// log says. It reads the log up to where it ends when Audit begins; nothing else should write meanwhile, or the register may be
// ahead of what was read.
//
// Playing never refuses: facts are facts. The first holder of a key in the order of the log holds it; further ones are findings.
//
// The gaps, sorted by position, are events that cannot be read: it plays around them. What would not be a difference if one of
// them said the right thing follows from it, and is no finding.
//
// Rows of the register that cannot be read are findings too, with an empty scope and key where it cannot be told which; then what
// else may be missing is none. What was found before an error is given with it.
func Audit(ctx context.Context, set *Set, log eventlog.Reader, register Register, gaps ...eventlog.Gap) ([]Finding, error) {
	p := newPlayer(set, gaps)
	err := p.audit(ctx, eventlog.PastGaps(log, gaps), register)
	slices.SortFunc(p.findings, func(a, b Finding) int {
		return compareKeys(Key{a.Constraint, a.Scope, a.Kind + a.Key}, Key{b.Constraint, b.Scope, b.Kind + b.Key})
	})
	return p.findings, err
}

func (p *player) audit(ctx context.Context, log eventlog.Reader, register Register) error {
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	for env, err := range log.Read(ctx, eventlog.Query{Until: head.Position}) {
		if err != nil {
			return err
		}
		p.play(env)
	}
	p.endUnit()
	all := true // could be read
	for row, err := range register.Rows(ctx) {
		if err != nil && !errors.Is(err, eventlog.ErrUnreadable) {
			return err
		}
		want, ok := p.rows[row.Key]
		delete(p.rows, row.Key)
		if err != nil {
			expected := "nothing"
			switch {
			case row.Key == Key{}:
				all, expected = false, "rows that can be read"
			case ok:
				expected = describe(want.row)
			}
			p.find("register", row.Key, expected, unreadable, want.at)
			continue
		}
		switch found := describe(row); {
		case ok && describe(want.row) == found, p.gaps.events[row.Cause], ok && p.letGo(row.Key, want):
		case ok:
			p.find("register", row.Key, describe(want.row), found, want.at)
		default:
			p.find("register", row.Key, "nothing", found, p.events[row.Cause])
		}
	}
	for k, want := range p.rows {
		if all && !p.letGo(k, want) {
			p.find("register", k, describe(want.row), "nothing", want.at)
		}
	}
	all = true
	for g, err := range register.Guards(ctx) {
		if err != nil && !errors.Is(err, eventlog.ErrUnreadable) {
			return err
		}
		want := p.guards[g.Key]
		delete(p.guards, g.Key)
		if err != nil {
			expected := strconv.Itoa(want.last)
			if g.Key == (Key{}) {
				all, expected = false, "rows that can be read"
			}
			p.find("guard", g.Key, expected, unreadable, want.at)
			continue
		}
		if g.Last < want.last || g.Last > want.last && !p.gaps.may(g.Constraint, g.Scope, want.at, 0) {
			p.find("guard", g.Key, strconv.Itoa(want.last), strconv.Itoa(g.Last), want.at)
		}
	}
	for k, want := range p.guards {
		if !all {
			break
		}
		p.find("guard", k, strconv.Itoa(want.last), "nothing", want.at)
	}
	return nil
}

// unreadable is what was found of a row of the register that is there, but says nothing.
const unreadable = "nothing that can be read"

// letGo reports whether the holder of a key may have let go of it in an event that cannot be read.
func (p *player) letGo(k Key, held played) bool {
	return p.set.byName[k.Constraint].kind != "sequence" && p.gaps.may(k.Constraint, held.row.Owner, held.at, 0)
}

// player folds the log to what the register should hold.
type player struct {
	set      *Set
	gaps     gaps
	events   map[uuid.UUID]event.Position // where those are that a constraint listens to
	rows     map[Key]played
	owners   map[Key]map[Key]bool // constraint and owner (in Key) → the keys it holds
	scopes   map[Key]map[Key]bool // constraint and scope → the keys held there
	guards   map[Key]played
	findings []Finding

	unit  uuid.UUID      // the unit being played
	gone  map[Key]played // what it has let go of: its own events may still refer to it
	takes []takeaway     // what it takes with it, to be checked when it is over
}

type takeaway struct {
	Taking
	by string // the constraint
	at event.Position
}

type played struct {
	row  Row
	last int
	at   event.Position
}

func newPlayer(set *Set, around []eventlog.Gap) *player {
	return &player{
		set: set, gaps: newGaps(set, around), events: map[uuid.UUID]event.Position{},
		rows: map[Key]played{}, owners: map[Key]map[Key]bool{}, scopes: map[Key]map[Key]bool{},
		guards: map[Key]played{}, gone: map[Key]played{},
	}
}

func (p *player) play(env event.Envelope) {
	if _, unknown := env.Event.(*event.Unknown); unknown {
		return // a newer schema than ours
	}
	if env.Unit != p.unit {
		p.endUnit()
		p.unit = env.Unit
	}
	bindings := p.set.byEvent[env.Type]
	if len(bindings) > 0 {
		p.events[env.ID] = env.Position
	}
	for _, b := range bindings {
		switch b.phase {
		case needs:
			p.need(b, env)
		case vacancies:
			n := b.vacate(env.Event)
			for k := range p.scopes[Key{Constraint: n.Numbered, Scope: n.In}] {
				thing := p.rows[k].row.Owner
				if live, ok := p.rows[Key{n.Live, thing, Here}]; ok && slices.Contains(live.row.Ancestors, n.In) &&
					!p.gaps.may(n.Live, thing, live.at, env.Position) {
					p.find("rule", Key{b.c.name, n.In, string(thing)}, "nothing live", string(thing), env.Position)
				}
			}
		case numbers:
			p.number(b, env)
		case holds:
			h := b.hold(env.Event)
			p.free(b.c.name, h.Of)
			if h.Key != "" {
				p.hold(env, Row{Key: Key{b.c.name, h.In, h.Key}, Owner: h.Of, Cause: env.ID, Ancestors: h.Ancestors})
			}
		case frees:
			p.free(b.c.name, b.free(env.Event))
		case keeps:
			n := b.keep(env.Event)
			_, live := p.rows[n.While]
			if live && len(p.scopes[Key{Constraint: n.Of, Scope: n.In}]) == 0 &&
				!p.gaps.may(n.Of, n.In, 0, env.Position) && !p.gaps.may(n.While.Constraint, n.While.Scope, 0, env.Position) {
				p.find("rule", Key{Constraint: b.c.name, Scope: n.In}, "one left", "none", env.Position)
			}
		case takes:
			p.takes = append(p.takes, takeaway{b.take(env.Event), b.c.name, env.Position})
		}
	}
}

// endUnit checks what the unit had to do as a whole.
func (p *player) endUnit() {
	for _, t := range p.takes {
		for k := range p.scopes[Key{Constraint: t.Of, Scope: t.In}] {
			if p.letGo(k, p.rows[k]) {
				continue
			}
			p.find("rule", Key{t.by, t.In, k.Key}, "let go of in the same unit", "still held", t.at)
		}
	}
	p.takes = nil
	clear(p.gone)
}

func (p *player) need(b binding, env event.Envelope) {
	n := b.need(env.Event)
	if n.Key == "" {
		return
	}
	k := Key{b.c.name, n.In, n.Key}
	held, ok := p.rows[k]
	if !ok {
		held, ok = p.gone[k]
	}
	if !ok {
		if !p.gaps.may(b.c.name, n.In, 0, env.Position) {
			p.find("rule", k, "held", "nothing", env.Position)
		}
		return
	}
	if n.Stamp != nil {
		was := fmt.Sprint(env.Event.Tags())
		if n.Stamp(held.row.Ancestors); fmt.Sprint(env.Event.Tags()) != was && !p.gaps.may(b.c.name, n.In, held.at, env.Position) {
			p.find("rule", k, fmt.Sprint(env.Event.Tags()), was, env.Position)
		}
	}
}

func (p *player) number(b binding, env event.Envelope) {
	slot := b.slot(env.Event)
	if *slot.N == 0 {
		return // not yet assigned
	}
	g := Key{Constraint: b.c.name, Scope: slot.In}
	k := Key{b.c.name, slot.In, strconv.Itoa(*slot.N)}
	last := p.guards[g].last
	if *slot.N > last+1 && !p.gaps.may(b.c.name, slot.In, p.guards[g].at, env.Position) {
		p.find("rule", k, strconv.Itoa(last+1), strconv.Itoa(*slot.N), env.Position)
	}
	p.guards[g] = played{last: max(last, *slot.N), at: env.Position}
	p.hold(env, Row{Key: k, Owner: slot.Of, Cause: env.ID})
}

func (p *player) hold(env event.Envelope, row Row) {
	if first, ok := p.rows[row.Key]; ok && p.letGo(row.Key, first) {
		p.free(row.Constraint, first.row.Owner)
	} else if ok {
		p.find("rule", row.Key, "only "+string(first.row.Owner), "also "+string(row.Owner), env.Position)
		return
	}
	p.rows[row.Key] = played{row: row, at: env.Position}
	note(p.owners, Key{Constraint: row.Constraint, Key: string(row.Owner)}, row.Key)
	note(p.scopes, Key{Constraint: row.Constraint, Scope: row.Scope}, row.Key)
}

func note(index map[Key]map[Key]bool, at, k Key) {
	if index[at] == nil {
		index[at] = map[Key]bool{}
	}
	index[at][k] = true
}

func (p *player) free(constraint string, owner event.Tag) {
	at := Key{Constraint: constraint, Key: string(owner)}
	for k := range p.owners[at] {
		p.gone[k] = p.rows[k]
		delete(p.rows, k)
		delete(p.scopes[Key{Constraint: k.Constraint, Scope: k.Scope}], k)
	}
	delete(p.owners, at)
}

func (p *player) find(kind string, k Key, expected, found string, at event.Position) {
	p.findings = append(p.findings, Finding{
		Kind: kind, Constraint: k.Constraint, Scope: k.Scope, Key: k.Key, Expected: expected, Found: found, Position: at,
	})
}

func describe(r Row) string {
	s := "held by " + string(r.Owner) + " because of " + r.Cause.String()
	if len(r.Ancestors) > 0 {
		s += " in " + fmt.Sprint(r.Ancestors)
	}
	return s
}

// gaps are the events that cannot be read.
type gaps struct {
	set    *Set
	events map[uuid.UUID]bool
	about  map[event.Tag][]eventlog.Gap
}

func newGaps(set *Set, around []eventlog.Gap) gaps {
	g := gaps{set: set, events: map[uuid.UUID]bool{}, about: map[event.Tag][]eventlog.Gap{}}
	for _, gap := range around {
		g.events[gap.ID] = true
		for _, t := range gap.Tags {
			g.about[t] = append(g.about[t], gap)
		}
	}
	return g
}

// may reports whether one of them that is about the thing, behind after and up to until, if that is not 0, may have changed what
// the constraint knows of it.
func (g gaps) may(constraint string, thing event.Tag, after, until event.Position) bool {
	for _, gap := range g.about[thing] {
		if gap.Position > after && (until == 0 || gap.Position <= until) && g.changes(constraint, gap) {
			return true
		}
	}
	return false
}

// changes reports whether the event may change what the constraint knows. One that this binary has no type for may do anything.
func (g gaps) changes(constraint string, gap eventlog.Gap) bool {
	return gap.Err == nil || slices.ContainsFunc(g.set.byEvent[gap.Type], func(b binding) bool {
		return b.c.name == constraint && (b.phase == numbers || b.phase == holds || b.phase == frees)
	})
}
