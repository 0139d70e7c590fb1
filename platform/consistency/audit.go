package consistency

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"accession/platform/event"
	"accession/platform/eventlog"
)

// Finding is one thing that is not as the log says.
type Finding struct {
	Kind            string // what was looked at: "register" | "guard" | "rule"
	Constraint      string
	Scope           event.Tag
	Key             string
	Expected, Found string
	Position        event.Position // of the event that speaks of it; 0 when none does
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
func Audit(ctx context.Context, set *Set, log eventlog.Reader, register Register) ([]Finding, error) {
	p := player{set: set, rows: map[Key]played{}, guards: map[Key]played{}}
	head, err := log.Head(ctx)
	if err != nil {
		return nil, err
	}
	for env, err := range log.Read(ctx, eventlog.Query{Until: head.Position}) {
		if err != nil {
			return nil, err
		}
		p.play(env)
	}
	for row, err := range register.Rows(ctx) {
		if err != nil {
			return nil, err
		}
		want, ok := p.rows[row.Key]
		delete(p.rows, row.Key)
		switch found := describe(row); {
		case !ok:
			p.find("register", row.Key, "nothing", found, 0)
		case describe(want.row) != found:
			p.find("register", row.Key, describe(want.row), found, want.at)
		}
	}
	for k, want := range p.rows {
		p.find("register", k, describe(want.row), "nothing", want.at)
	}
	for g, err := range register.Guards(ctx) {
		if err != nil {
			return nil, err
		}
		want := p.guards[g.Key]
		delete(p.guards, g.Key)
		if g.Last != want.last {
			p.find("guard", g.Key, strconv.Itoa(want.last), strconv.Itoa(g.Last), want.at)
		}
	}
	for k, want := range p.guards {
		p.find("guard", k, strconv.Itoa(want.last), "nothing", want.at)
	}
	slices.SortFunc(p.findings, func(a, b Finding) int {
		return compareKeys(Key{a.Constraint, a.Scope, a.Kind + a.Key}, Key{b.Constraint, b.Scope, b.Kind + b.Key})
	})
	return p.findings, nil
}

// player folds the log to what the register should hold.
type player struct {
	set      *Set
	rows     map[Key]played
	guards   map[Key]played
	findings []Finding
}

type played struct {
	row  Row
	last int
	at   event.Position
}

func (p *player) play(env event.Envelope) {
	for _, b := range p.set.byEvent[env.Type] {
		if _, unknown := env.Event.(*event.Unknown); unknown {
			return // a newer schema than ours
		}
		switch b.phase {
		case needs:
			n := b.need(env.Event)
			if n.Key == "" {
				continue
			}
			k := Key{b.c.name, n.In, n.Key}
			held, ok := p.rows[k]
			if !ok {
				p.find("rule", k, "held", "nothing", env.Position)
				continue
			}
			if n.Stamp != nil {
				was := fmt.Sprint(env.Event.Tags())
				if n.Stamp(held.row.Ancestors); fmt.Sprint(env.Event.Tags()) != was {
					p.find("rule", k, fmt.Sprint(env.Event.Tags()), was, env.Position)
				}
			}
		case numbers:
			slot := b.slot(env.Event)
			if *slot.N == 0 {
				continue // not yet assigned
			}
			g := Key{Constraint: b.c.name, Scope: slot.In}
			k := Key{b.c.name, slot.In, strconv.Itoa(*slot.N)}
			last := p.guards[g].last
			if *slot.N > last+1 {
				p.find("rule", k, strconv.Itoa(last+1), strconv.Itoa(*slot.N), env.Position)
			}
			p.guards[g] = played{last: max(last, *slot.N), at: env.Position}
			p.hold(env, Row{Key: k, Owner: slot.Of, Cause: env.ID})
		case holds:
			h := b.hold(env.Event)
			if h.Key != "" {
				p.hold(env, Row{Key: Key{b.c.name, h.In, h.Key}, Owner: h.Of, Cause: env.ID, Ancestors: h.Ancestors})
			}
		}
	}
}

func (p *player) hold(env event.Envelope, row Row) {
	if first, ok := p.rows[row.Key]; ok {
		p.find("rule", row.Key, "only "+string(first.row.Owner), "also "+string(row.Owner), env.Position)
		return
	}
	p.rows[row.Key] = played{row: row, at: env.Position}
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
