package consistency

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"accession/platform/event"
	"accession/platform/problem"
)

// Constraint is a rule across aggregates: a [Sequence], a [Unique] or a [Reference]. It attaches to events, not to use cases: a
// command that records one of its events keeps it, whoever wrote the command. The set of kinds is closed.
type Constraint interface{ spec() *spec }

// Sequence keeps numbers unique and consecutive within a scope: 1, 2, 3 … A command records its event with the number 0, and
// the constraint stamps it. A number that is there already (a restore) is claimed as it is.
type Sequence struct {
	Name  string         // stored, hyphenated, for ever: "book-number"
	Rule  string         // one sentence for people
	Scope string         // the kind of thing that a scope is: "category"
	Taken *problem.Error // what a writer reads who lost to a rival
	Parts Parts          // which events claim a number, and where; see Numbered
}

// Unique keeps a value on one owner within a scope.
type Unique struct {
	Name  string
	Rule  string
	Scope string
	Taken *problem.Error // the value is someone else's
	Parts Parts          // which events hold a value; see Holds
}

// Reference keeps what an event refers to there: a parent, a base, the last of something. What is there is said by [Holds] and
// [Frees], what must be there by [Needs] and [Keeps]; the owner's ancestors are handed to whoever needs it, as of that moment,
// under its lock.
type Reference struct {
	Name    string
	Rule    string
	Scope   string
	Missing *problem.Error // what is referred to is not there
	Parts   Parts
}

func (s Sequence) spec() *spec {
	return &spec{name: s.Name, rule: s.Rule, scope: s.Scope, kind: "sequence", modes: []Mode{Reject, Retry, Lock, Queue, Adaptive}, fallback: Queue, broken: s.Taken, parts: s.Parts}
}

func (u Unique) spec() *spec {
	return &spec{name: u.Name, rule: u.Rule, scope: u.Scope, kind: "unique", modes: []Mode{Reject, Retry, Lock, Queue, Adaptive}, fallback: Retry, broken: u.Taken, parts: u.Parts}
}

func (r Reference) spec() *spec {
	return &spec{name: r.Name, rule: r.Rule, scope: r.Scope, kind: "reference", modes: []Mode{Retry, Lock, Queue, Adaptive}, fallback: Lock, broken: r.Missing, parts: r.Parts}
}

// Slot is a place in a sequence that an event claims.
type Slot struct {
	In event.Tag // the scope
	Of event.Tag // the thing that gets the number
	N  *int      // the event's own field: 0 is stamped, anything else is claimed as it is
}

// Hold says that from this event on the key is held, within the scope, by the owner, and no other key any more: what an owner
// held before under the same constraint is free.
type Hold struct {
	In        event.Tag   // the scope
	Key       string      // the value, normalised; with an empty key the owner holds nothing
	Of        event.Tag   // the owner
	Ancestors []event.Tag // what the owner belongs to, nearest first; handed to whoever needs the key
}

// Need says that this event may only be stored while the key is held within the scope.
type Need struct {
	In     event.Tag
	Key    string                      // an empty key needs nothing
	Stamp  func(ancestors []event.Tag) // writes the owner's ancestors into the event; nil when the event wants none
	Broken *problem.Error              // what is said when the key is not held; nil: the reference's own error
}

// Keep says that this event may only be stored if something is left: if, after it, some key of another reference is held
// within the scope, or the thing itself is gone.
type Keep struct {
	Of    string    // the name of the reference whose keys count
	In    event.Tag // the scope in which one must be left
	While Key       // the rule holds while this is held
}

// Vacancy says that this event may only be stored while nothing that has a number in the scope is live there.
type Vacancy struct {
	In       event.Tag // the scope of the sequence: a category
	Numbered string    // the name of the sequence
	Live     string    // the name of the reference that says which of the numbered things are there, and in which scope
	Broken   *problem.Error
}

// Taking says that this event takes with it all that is held within a scope: the same unit lets go of every key there. If it
// does not, because a rival added something after the command had looked, the command is executed again.
type Taking struct {
	Of string    // the name of the reference whose keys go
	In event.Tag // the scope
}

// Here is the key of a thing whose scope is itself: a parent is there, or it is not.
const Here = "here"

// Parts say which events a constraint listens to and what it reads in each.
type Parts []Part

// Part is one event's part in a constraint. Make it with [Numbered], [Holds], [Frees], [Needs], [Keeps], [Takes] or
// [Vacates].
type Part struct {
	event  string
	phase  phase
	slot   func(event.Event) Slot
	hold   func(event.Event) Hold
	free   func(event.Event) event.Tag
	need   func(event.Event) Need
	keep   func(event.Event) Keep
	take   func(event.Event) Taking
	vacate func(event.Event) Vacancy
}

// phase is the order in which the parts of one event are played: what it needs first, because the ancestors that are stamped
// then may say where the rest belongs.
type phase int

const (
	needs phase = iota
	vacancies
	numbers
	holds
	frees
	keeps // it counts what is left
	takes // checked when the whole unit has been played
)

// Numbered says that the event E claims a number.
func Numbered[E event.Event](f func(E) Slot) Part {
	return Part{event: nameOf[E](), phase: numbers, slot: func(e event.Event) Slot { return f(e.(E)) }}
}

// Holds says that the event E makes its owner hold a key.
func Holds[E event.Event](f func(E) Hold) Part {
	return Part{event: nameOf[E](), phase: holds, hold: func(e event.Event) Hold { return f(e.(E)) }}
}

// Needs says that the event E needs a key to be held.
func Needs[E event.Event](f func(E) Need) Part {
	return Part{event: nameOf[E](), phase: needs, need: func(e event.Event) Need { return f(e.(E)) }}
}

// Frees says that the event E makes an owner let go of all it holds.
func Frees[E event.Event](f func(E) event.Tag) Part {
	return Part{event: nameOf[E](), phase: frees, free: func(e event.Event) event.Tag { return f(e.(E)) }}
}

// Keeps says that the event E must leave something.
func Keeps[E event.Event](f func(E) Keep) Part {
	return Part{event: nameOf[E](), phase: keeps, keep: func(e event.Event) Keep { return f(e.(E)) }}
}

// Takes says that the event E takes all of a scope with it.
func Takes[E event.Event](f func(E) Taking) Part {
	return Part{event: nameOf[E](), phase: takes, take: func(e event.Event) Taking { return f(e.(E)) }}
}

// Vacates says that the event E needs a scope to be empty.
func Vacates[E event.Event](f func(E) Vacancy) Part {
	return Part{event: nameOf[E](), phase: vacancies, vacate: func(e event.Event) Vacancy { return f(e.(E)) }}
}

func nameOf[E event.Event]() string {
	return reflect.New(reflect.TypeFor[E]().Elem()).Interface().(event.Event).EventType()
}

// spec is a constraint of any kind with its kind erased.
type spec struct {
	name, rule, scope, kind string
	modes                   []Mode // those it can be kept in
	fallback                Mode   // the one it is kept in when the configuration says nothing
	broken                  *problem.Error
	parts                   Parts
}

// Set is all constraints of an application. It is built once and then only read: safe for concurrent use.
type Set struct {
	specs   []*spec // by name
	byName  map[string]*spec
	byEvent map[string][]binding // by stored name, in the order in which they are played
}

type binding struct {
	c *spec
	Part
}

// NewSet takes the constraints of all modules. Two under one name, or one without parts or an error, are mistakes in the
// program and are returned all together.
func NewSet(constraints ...Constraint) (*Set, error) {
	s := &Set{byName: map[string]*spec{}, byEvent: map[string][]binding{}}
	var errs []error
	for _, c := range constraints {
		sp := c.spec()
		switch {
		case sp.name == "" || len(sp.parts) == 0 || sp.broken == nil:
			errs = append(errs, fmt.Errorf("register constraint %q: it needs a name, parts and an error", sp.name))
			continue
		case s.byName[sp.name] != nil:
			errs = append(errs, fmt.Errorf("register constraint %q: two have the name", sp.name))
			continue
		}
		s.byName[sp.name] = sp
		s.specs = append(s.specs, sp)
		for _, p := range sp.parts {
			s.byEvent[p.event] = append(s.byEvent[p.event], binding{sp, p})
		}
	}
	slices.SortFunc(s.specs, func(a, b *spec) int { return strings.Compare(a.name, b.name) })
	for _, bs := range s.byEvent {
		slices.SortFunc(bs, func(a, b binding) int {
			if a.phase != b.phase {
				return int(a.phase) - int(b.phase)
			}
			return strings.Compare(a.c.name, b.c.name)
		})
	}
	return s, errors.Join(errs...)
}

// place is where rivals meet over k: the scope of a sequence, the key of anything else.
func (s *Set) place(k Key) Key {
	if s.byName[k.Constraint].kind == "sequence" {
		k.Key = ""
	}
	return k
}

// Description is what a constraint says of itself.
type Description struct {
	Name    string
	Kind    string // sequence | unique | reference
	Rule    string // one sentence
	Scope   string // the kind of thing that a scope is
	Error   string // the code of its error
	Modes   []Mode // those it can be kept in
	Default Mode
	Events  []string // stored names of the events it listens to, sorted
}

// Describe describes the constraint for listings and module cards.
func Describe(c Constraint) Description { return c.spec().describe() }

func (c *spec) describe() Description {
	d := Description{
		Name: c.name, Kind: c.kind, Rule: c.rule, Scope: c.scope, Error: c.broken.CodeOrKind(),
		Modes: slices.Clone(c.modes), Default: c.fallback,
	}
	for _, p := range c.parts {
		if !slices.Contains(d.Events, p.event) {
			d.Events = append(d.Events, p.event)
		}
	}
	slices.Sort(d.Events)
	return d
}

// Describe describes all constraints, by name.
func (s *Set) Describe() []Description {
	all := make([]Description, len(s.specs))
	for i, c := range s.specs {
		all[i] = c.describe()
	}
	return all
}

// Check says what is wrong with settings: a constraint that does not exist, a mode that a constraint cannot be kept in.
func (s *Set) Check(set Settings) error {
	var errs []error
	for name, m := range set.Modes {
		c, ok := s.byName[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("there is no constraint %q", name))
		case !slices.Contains(c.modes, m):
			errs = append(errs, fmt.Errorf("constraint %s cannot be kept in mode %s: use one of %s", name, m, Names(c.modes)))
		}
	}
	if set.Attempts < 1 {
		errs = append(errs, fmt.Errorf("attempts is %d: use 1 or more", set.Attempts))
	}
	if set.LockTimeout <= 0 {
		errs = append(errs, fmt.Errorf("lock time-out is %v: use more than 0", set.LockTimeout))
	}
	if set.Depth < 1 || set.Batch < 1 {
		errs = append(errs, fmt.Errorf("the queue's depth is %d and its batch %d: use 1 or more", set.Depth, set.Batch))
	}
	return errors.Join(errs...)
}
