package consistency

import (
	"slices"
	"testing"

	"accession/platform/event"
	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// put is an event that needs a shelf, claims a number on it and holds a label in the shelf's room.
type put struct {
	Item, Shelf, Room event.Tag
	Number            int
	Label             string
}

func (*put) EventType() string     { return "plan.put" }
func (e *put) Tags() []event.Tag   { return []event.Tag{e.Item, e.Shelf} }
func (e *put) stamp(a []event.Tag) { e.Room = append(a, "")[0] }

var (
	taken   = problem.New(problem.Conflict, "taken", "taken")
	missing = problem.New(problem.NotFound, "missing", "missing")
)

func putSet(t *testing.T) *Set {
	t.Helper()
	set, err := NewSet(
		Reference{Name: "shelf", Missing: missing, Parts: Parts{Needs(func(e *put) Need {
			return Need{In: e.Shelf, Key: Here, Stamp: e.stamp}
		})}},
		Sequence{Name: "number", Taken: taken, Parts: Parts{Numbered(func(e *put) Slot {
			return Slot{In: e.Shelf, Of: e.Item, N: &e.Number}
		})}},
		Unique{Name: "label", Taken: taken, Parts: Parts{Holds(func(e *put) Hold {
			return Hold{In: e.Room, Key: e.Label, Of: e.Item}
		})}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestPlan(t *testing.T) {
	t.Parallel()
	set := putSet(t)
	guard := func(shelf event.Tag) Key { return Key{Constraint: "number", Scope: shelf} }
	here := func(shelf event.Tag) Key { return Key{Constraint: "shelf", Scope: shelf, Key: Here} }
	at := func(constraints ...string) map[string]event.Tag {
		m := map[string]event.Tag{}
		for _, c := range constraints {
			m[c] = "shelf:a"
		}
		return m
	}
	for _, c := range []struct {
		name      string
		events    []*put
		modes     map[string]Mode
		contended []Key
		want      plan
	}{
		{
			"the default lines up", []*put{{Item: "item:1", Shelf: "shelf:a"}}, nil, nil,
			plan{
				modes: map[string]Mode{"number": Queue, "shelf": Lock}, rivalry: at("number", "shelf"), lane: true,
				load: Questions{Guards: []Key{guard("shelf:a")}, Held: []Key{here("shelf:a")}},
			},
		},
		{
			"scopes are sorted, and named once", []*put{{Item: "item:1", Shelf: "shelf:b"}, {Item: "item:1", Shelf: "shelf:a"}, {Item: "item:1", Shelf: "shelf:b"}}, map[string]Mode{"number": Lock}, nil,
			plan{modes: map[string]Mode{"number": Lock, "shelf": Lock}, rivalry: map[string]event.Tag{"number": "shelf:b", "shelf": "shelf:b"}, load: Questions{
				Guards: []Key{guard("shelf:a"), guard("shelf:b")}, Held: []Key{here("shelf:a"), here("shelf:b")},
			}},
		},
		{
			"reject and retry compare as well", []*put{{Item: "item:1", Shelf: "shelf:a"}}, map[string]Mode{"number": Retry}, nil,
			plan{
				modes: map[string]Mode{"number": Retry, "shelf": Lock}, rivalry: at("number", "shelf"), compare: []Key{guard("shelf:a")},
				load: Questions{Guards: []Key{guard("shelf:a")}, Held: []Key{here("shelf:a")}},
			},
		},
		{
			"who lines up compares nothing in retry", []*put{{Item: "item:1", Shelf: "shelf:a"}}, map[string]Mode{"number": Retry, "shelf": Queue}, nil,
			plan{
				modes: map[string]Mode{"number": Retry, "shelf": Queue}, rivalry: at("number", "shelf"), lane: true,
				load: Questions{Guards: []Key{guard("shelf:a")}, Held: []Key{here("shelf:a")}},
			},
		},
		{
			"reject wants its conflict in the lane, too", []*put{{Item: "item:1", Shelf: "shelf:a"}}, map[string]Mode{"number": Reject, "shelf": Queue}, nil,
			plan{
				modes: map[string]Mode{"number": Reject, "shelf": Queue}, rivalry: at("number", "shelf"), lane: true, compare: []Key{guard("shelf:a")},
				load: Questions{Guards: []Key{guard("shelf:a")}, Held: []Key{here("shelf:a")}},
			},
		},
		{
			"nobody lines up for a scope that the unit itself begins", []*put{{Item: "item:1", Shelf: "item:1"}}, nil, nil,
			plan{modes: map[string]Mode{"number": Queue, "shelf": Lock}, rivalry: map[string]event.Tag{}},
		},
		{
			"adaptive goes as retry", []*put{{Item: "item:1", Shelf: "shelf:a"}}, map[string]Mode{"number": Adaptive}, nil,
			plan{
				modes: map[string]Mode{"number": Adaptive, "shelf": Lock}, rivalry: at("number", "shelf"), adaptive: []Key{guard("shelf:a")},
				compare: []Key{guard("shelf:a")}, load: Questions{Guards: []Key{guard("shelf:a")}, Held: []Key{here("shelf:a")}},
			},
		},
		{
			"adaptive lines up for a scope that is contended", []*put{{Item: "item:1", Shelf: "shelf:a"}}, map[string]Mode{"number": Adaptive}, []Key{guard("shelf:a")},
			plan{
				modes: map[string]Mode{"number": Adaptive, "shelf": Lock}, rivalry: at("number", "shelf"), adaptive: []Key{guard("shelf:a")}, lane: true,
				load: Questions{Guards: []Key{guard("shelf:a")}, Held: []Key{here("shelf:a")}},
			},
		},
		{
			"a scope that hangs on an ancestor is concerned, though not known yet", []*put{{Item: "item:1", Shelf: "shelf:a", Label: "x"}}, map[string]Mode{"number": Lock, "label": Reject}, nil,
			plan{
				modes: map[string]Mode{"number": Lock, "shelf": Lock, "label": Reject}, rivalry: map[string]event.Tag{"number": "shelf:a", "shelf": "shelf:a", "label": ""},
				load: Questions{Guards: []Key{guard("shelf:a")}, Held: []Key{here("shelf:a")}},
			},
		},
		{
			"a mode that a constraint cannot have is passed by", []*put{{Item: "item:1", Shelf: "shelf:a"}}, map[string]Mode{"number": Lock, "shelf": Reject}, nil,
			plan{modes: map[string]Mode{"number": Lock, "shelf": Lock}, rivalry: at("number", "shelf"), load: Questions{Guards: []Key{guard("shelf:a")}, Held: []Key{here("shelf:a")}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWork(set)
			for _, e := range c.events {
				w.add(uuid.New(), "item:1", 1, e)
			}
			got := newPlan(w, w.decide(NewState()), Settings{Modes: c.modes}, func(k Key) bool { return slices.Contains(c.contended, k) })
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(plan{})); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	set := putSet(t)
	const shelf = event.Tag("shelf:a")
	known := func(last int) *State {
		s := NewState()
		s.SetGuard(Key{Constraint: "number", Scope: shelf}, last)
		s.SetRow(Key{"shelf", shelf, Here}, &Row{Owner: shelf, Ancestors: []event.Tag{"room:1"}})
		s.SetRow(Key{"label", "room:1", "x"}, nil)
		return s
	}
	decide := func(s *State, version int, events ...*put) (*work, verdict) {
		w := newWork(set)
		for _, e := range events {
			w.add(uuid.New(), e.Item, version, e)
		}
		return w, w.decide(s)
	}

	t.Run("numbers go on from the guard, and ancestors are stamped", func(t *testing.T) {
		t.Parallel()
		a, b := &put{Item: "item:1", Shelf: shelf, Label: "x"}, &put{Item: "item:2", Shelf: shelf}
		_, v := decide(known(7), 1, a, b)
		if a.Number != 8 || b.Number != 9 || a.Room != "room:1" || v.broken != nil || !v.missing.None() {
			t.Errorf("a = %+v, b = %+v, verdict %+v", a, b, v)
		}
		if diff := cmp.Diff([]Guard{{Key{Constraint: "number", Scope: shelf}, 9}}, v.delta.Guards); diff != "" {
			t.Errorf("guards (-want +got):\n%s", diff)
		}
	})
	t.Run("asked twice it says the same", func(t *testing.T) {
		t.Parallel()
		e := &put{Item: "item:1", Shelf: shelf}
		w, first := decide(known(7), 1, e)
		if diff := cmp.Diff(first.delta, w.decide(known(7)).delta); diff != "" || e.Number != 8 {
			t.Errorf("number %d, delta (-first +second):\n%s", e.Number, diff)
		}
		if w.decide(known(9)); e.Number != 10 {
			t.Errorf("on another state: %d", e.Number)
		}
	})
	t.Run("what is not known is asked for, level by level", func(t *testing.T) {
		t.Parallel()
		w, v := decide(NewState(), 1, &put{Item: "item:1", Shelf: shelf, Label: "x"})
		want := Questions{Guards: []Key{{Constraint: "number", Scope: shelf}}, Held: []Key{{"shelf", shelf, Here}}}
		if diff := cmp.Diff(want, v.missing); diff != "" {
			t.Errorf("first (-want +got):\n%s", diff)
		}
		s := known(0)
		delete(s.rows, Key{"label", "room:1", "x"})
		want = Questions{Taken: []Key{{"label", "room:1", "x"}}}
		if diff := cmp.Diff(want, w.decide(s).missing); diff != "" {
			t.Errorf("then (-want +got):\n%s", diff)
		}
	})
	t.Run("what is not there is said before what is taken", func(t *testing.T) {
		t.Parallel()
		s := known(0)
		s.SetRow(Key{"shelf", "shelf:gone", Here}, nil)
		s.SetGuard(Key{Constraint: "number", Scope: "shelf:gone"}, 0)
		s.SetRow(Key{"label", "room:1", "x"}, &Row{Owner: "item:9"})
		_, v := decide(s, 1, &put{Item: "item:1", Shelf: shelf, Label: "x"}, &put{Item: "item:2", Shelf: "shelf:gone"})
		if v.broken != missing || v.at.Scope != "shelf:gone" {
			t.Errorf("broken %v at %+v", v.broken, v.at)
		}
	})
	t.Run("what refers to nothing at all is refused", func(t *testing.T) {
		t.Parallel()
		_, v := decide(NewState(), 1, &put{Item: "item:1"})
		if v.broken != missing || !v.missing.None() {
			t.Errorf("broken %v, missing %+v", v.broken, v.missing)
		}
	})
	t.Run("a scope that the unit begins needs no questions", func(t *testing.T) {
		t.Parallel()
		e := &put{Item: shelf, Shelf: shelf} // its stream is the shelf's own
		_, v := decide(NewState(), 1, e)
		if !v.missing.None() || v.broken != missing {
			t.Errorf("missing %+v, broken %v", v.missing, v.broken)
		}
	})
}

func TestMistakesInTheProgramAreFoundAtOnce(t *testing.T) {
	t.Parallel()
	part := Parts{Numbered(func(e *put) Slot { return Slot{N: &e.Number} })}
	_, err := NewSet(
		Sequence{Name: "a", Taken: taken, Parts: part}, Sequence{Name: "a", Taken: taken, Parts: part},
		Sequence{Name: "b", Taken: taken}, Unique{Parts: part, Taken: taken}, Reference{Name: "c", Parts: part},
	)
	if err == nil {
		t.Fatal("nothing was found")
	}
	if got := len(err.(interface{ Unwrap() []error }).Unwrap()); got != 4 {
		t.Errorf("found %d mistakes: %v", got, err)
	}
}

func TestCheckSettings(t *testing.T) {
	t.Parallel()
	set := putSet(t)
	if err := set.Check(DefaultSettings()); err != nil {
		t.Errorf("defaults: %v", err)
	}
	err := set.Check(Settings{Modes: map[string]Mode{"nobody": Lock, "shelf": Reject}})
	if err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 5 {
		t.Errorf("got %v", err)
	}
}
