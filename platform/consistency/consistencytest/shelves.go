package consistencytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/mutant"
	"accession/platform/problem"
	"accession/platform/usecase"
)

// A small world with a constraint of each kind: shelves, and items put on them, numbered, some with a label.

type shelf struct{}

func (shelf) Kind() string { return "shelf" }

type item struct{}

func (item) Kind() string { return "item" }

// ShelfBuilt begins a shelf in a room.
type ShelfBuilt struct {
	Shelf event.ID[shelf] `json:"shelf"`
	Room  string          `json:"room"`
}

// EventType implements event.Event.
func (*ShelfBuilt) EventType() string { return "shelves.shelf_built" }

// Tags implements event.Event.
func (e *ShelfBuilt) Tags() []event.Tag { return []event.Tag{e.Shelf.Tag(), event.Tag(e.Room)} }

// ItemPut puts an item on a shelf. Its room is the shelf's, stamped.
type ItemPut struct {
	Item   event.ID[item]  `json:"item"`
	Shelf  event.ID[shelf] `json:"shelf"`
	Room   event.Tag       `json:"room"`
	Number int             `json:"number,omitempty"`
	Label  string          `json:"label,omitempty"`
}

// EventType implements event.Event.
func (*ItemPut) EventType() string { return "shelves.item_put" }

// Tags implements event.Event.
func (e *ItemPut) Tags() []event.Tag { return []event.Tag{e.Item.Tag(), e.Shelf.Tag(), e.Room} }

var (
	errNumberTaken = problem.New(problem.Conflict, "number-taken", "Another item got the number.")
	errLabelTaken  = problem.New(problem.Conflict, "label-taken", "Another item in the room has the label.")
	errNoShelf     = problem.New(problem.NotFound, "no-shelf", "There is no such shelf.")
)

var shelfExists = consistency.Reference{
	Name: "shelf-exists", Scope: "shelf", Missing: errNoShelf,
	Parts: consistency.Parts{
		consistency.Holds(func(e *ShelfBuilt) consistency.Hold {
			return consistency.Hold{In: e.Shelf.Tag(), Key: consistency.Here, Of: e.Shelf.Tag(), Ancestors: []event.Tag{event.Tag(e.Room)}}
		}),
		consistency.Needs(func(e *ItemPut) consistency.Need {
			return consistency.Need{In: e.Shelf.Tag(), Key: consistency.Here, Stamp: func(a []event.Tag) {
				if e.Room = ""; len(a) > 0 {
					e.Room = a[0]
				}
			}}
		}),
	},
}

var itemNumber = consistency.Sequence{
	Name: "item-number", Scope: "shelf", Taken: errNumberTaken,
	Parts: consistency.Parts{consistency.Numbered(func(e *ItemPut) consistency.Slot {
		return consistency.Slot{In: e.Shelf.Tag(), Of: e.Item.Tag(), N: &e.Number}
	})},
}

// label is unique in a room: a scope that is known only once the shelf's row has been read.
var label = consistency.Unique{
	Name: "label", Scope: "room", Taken: errLabelTaken,
	Parts: consistency.Parts{consistency.Holds(func(e *ItemPut) consistency.Hold {
		return consistency.Hold{In: e.Room, Key: e.Label, Of: e.Item.Tag()}
	})},
}

type buildShelf struct {
	id   event.ID[shelf]
	room string
}

func (c buildShelf) Execute(_ context.Context, u *usecase.Unit) error {
	u.Record(c.id.Tag(), &ShelfBuilt{Shelf: c.id, Room: c.room})
	return nil
}

// putItem puts items on one shelf, in one unit.
type putItem struct {
	shelf event.ID[shelf]
	items []ItemPut
}

func (c putItem) Execute(_ context.Context, u *usecase.Unit) error {
	for _, i := range c.items {
		i.Shelf = c.shelf
		u.Record(i.Item.Tag(), &i)
	}
	return nil
}

func put(s event.ID[shelf], labels ...string) usecase.Request {
	c := putItem{shelf: s}
	for _, l := range labels {
		c.items = append(c.items, ItemPut{Item: event.NewID[item](), Label: l})
	}
	return usecase.Request{Command: c, Actor: "tester", Key: string(c.items[0].Item.Tag())}
}

func shelfOf(scope event.Tag) event.ID[shelf] {
	id, err := event.ParseID[shelf](scope.ID())
	if err != nil {
		panic(err)
	}
	return id
}

// Shelves is the suite's own sequence: items on a shelf.
func Shelves() Sequence {
	registry, err := event.NewRegistry(&ShelfBuilt{}, &ItemPut{})
	if err != nil {
		panic(err)
	}
	set, err := consistency.NewSet(shelfExists, itemNumber, label)
	if err != nil {
		panic(err)
	}
	return Sequence{
		Name: "item-number", Registry: registry, Set: set, Taken: errNumberTaken,
		Prepare: func(ctx context.Context, run usecase.Runner, n int) ([]event.Tag, error) {
			var scopes []event.Tag
			for range n {
				id := event.NewID[shelf]()
				if _, err := run.Run(ctx, usecase.Request{Command: buildShelf{id, "room:1"}, Key: string(id.Tag())}); err != nil {
					return nil, err
				}
				scopes = append(scopes, id.Tag())
			}
			return scopes, nil
		},
		Claim: func(scope event.Tag) usecase.Request { return put(shelfOf(scope), "") },
		Unknown: func() (usecase.Request, *problem.Error) {
			return put(event.NewID[shelf](), ""), errNoShelf
		},
	}
}

// Run is the contract of a register and the log beside it: its own sequence raced in every mode, and what only a constraint
// made for the purpose can show.
func Run(t *testing.T, open Open, features Features) {
	t.Helper()
	RaceSequence(t, Shelves(), open, features)
	for _, c := range shelfRules {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(&race{t: t, s: Shelves(), store: open(t, Shelves().Registry)})
		})
	}
}

// Caught checks that the suite notices what is wrong with a store.
func Caught(t *testing.T, open Open) {
	t.Helper()
	mutant.Caught(t, func(m mutant.T) {
		for _, c := range slices.Concat(sequenceRules, shelfRules) {
			if c.overlap {
				continue
			}
			if c.check(&race{t: m, s: Shelves(), store: open(t, Shelves().Registry)}); m.Failed() {
				return
			}
		}
	})
}

var shelfRules = []sequenceRule{
	{name: "numbers of different shelves have nothing to do with each other", check: func(r *race) {
		scopes := r.prepare(2)
		r.claimAll(consistency.Lock, scopes[0], 2)
		r.claimAll(consistency.Lock, scopes[1], 1)
		r.consecutive(scopes[0], 2)
		r.consecutive(scopes[1], 1)
	}},
	{name: "one unit may claim several numbers, and gets them in order", check: func(r *race) {
		scope := r.prepare(1)[0]
		for _, mode := range consistency.Built() {
			receipt, err := r.runner(mode, 4, nil).Run(r.t.Context(), put(shelfOf(scope), "", "", ""))
			if err != nil {
				r.t.Fatalf("%s: %v", mode, err)
			}
			first := receipt.Events[0].Event.(*ItemPut).Number
			for i, e := range receipt.Events {
				if n := e.Event.(*ItemPut).Number; n != first+i {
					r.t.Errorf("%s: item %d has number %d, the first has %d", mode, i, n, first)
				}
			}
		}
		r.consecutive(scope, 3*len(consistency.Built()))
	}},
	{name: "R4 a unit that would hold one number twice fails whole", check: func(r *race) {
		scope := r.prepare(1)[0]
		before := r.head()
		for _, mode := range consistency.Built() {
			req := put(shelfOf(scope), "", "")
			c := req.Command.(putItem)
			c.items[0].Number, c.items[1].Number = 1, 1
			if _, err := r.runner(mode, 4, nil).Run(r.t.Context(), req); !errors.Is(err, errNumberTaken) {
				r.t.Errorf("%s: %v", mode, err)
			}
		}
		if r.head() != before {
			r.t.Errorf("something was stored")
		}
		r.claimAll(consistency.Lock, scope, 1)
		r.consecutive(scope, 1)
	}},
	{name: "a number that is there already is claimed as it is, and the next one follows it", check: func(r *race) {
		for _, mode := range consistency.Built() {
			scope := r.prepare(1)[0]
			run := r.runner(mode, 4, nil)
			for _, want := range []int{1, 2} {
				req := put(shelfOf(scope), "")
				req.Command.(putItem).items[0].Number = want
				if _, err := run.Run(r.t.Context(), req); err != nil {
					r.t.Fatalf("%s: claim %d: %v", mode, want, err)
				}
			}
			req := put(shelfOf(scope), "")
			req.Command.(putItem).items[0].Number = 2
			if _, err := run.Run(r.t.Context(), req); !errors.Is(err, errNumberTaken) {
				r.t.Errorf("%s: a number claimed again: %v", mode, err)
			}
			r.claimAll(mode, scope, 1)
			r.consecutive(scope, 3)
		}
	}},
	{name: "what an event needs stamps its ancestors, and scopes that hang on them", check: func(r *race) {
		scopes := r.prepare(2) // both in one room
		for _, mode := range consistency.Built() {
			run := r.runner(mode, 4, nil)
			name := "label of " + mode.String()
			receipt, err := run.Run(r.t.Context(), put(shelfOf(scopes[0]), name))
			if err != nil {
				r.t.Fatalf("%s: %v", mode, err)
			}
			if e := receipt.Events[0].Event.(*ItemPut); e.Room != "room:1" {
				r.t.Errorf("%s: stamped room %q", mode, e.Room)
			}
			_, err = run.Run(r.t.Context(), put(shelfOf(scopes[1]), name))
			e := problem.Of(err)
			if !errors.Is(err, errLabelTaken) || e.Constraint != "label" || e.Scope != "room:1" || e.Retryable {
				r.t.Errorf("%s: the label again: %v: %+v", mode, err, e)
			}
			r.claimAll(mode, scopes[1], 1)
		}
		r.consecutive(scopes[0], len(consistency.Built()))
		r.consecutive(scopes[1], len(consistency.Built()))
	}},
	{name: "a value held twice in one unit fails it whole", check: func(r *race) {
		scope := r.prepare(1)[0]
		for _, mode := range consistency.Built() {
			_, err := r.runner(mode, 4, nil).Run(r.t.Context(), put(shelfOf(scope), "twice", "twice"))
			if !errors.Is(err, errLabelTaken) {
				r.t.Errorf("%s: %v", mode, err)
			}
		}
		r.consecutive(scope, 0)
	}},
	{name: "of 8 who want one value one gets it, in every mode, and the others leave no gap", check: func(r *race) {
		for _, mode := range consistency.Built() {
			for _, stage := range []consistency.Stage{consistency.Begin, consistency.Decided} {
				scopes := r.prepare(8)
				name := fmt.Sprint(mode, stage)
				run := r.runner(mode, 64, NewBarrier(8).At(stage))
				errs := make([]error, len(scopes))
				var wg sync.WaitGroup
				for i, s := range scopes {
					wg.Go(func() { _, errs[i] = run.Run(r.t.Context(), put(shelfOf(s), name)) })
				}
				wg.Wait()
				for i, err := range errs {
					switch {
					case err == nil:
						r.consecutive(scopes[i], 1)
					case errors.Is(err, errLabelTaken):
						r.consecutive(scopes[i], 0)
					default:
						r.t.Errorf("%s %s: a loser got %v", mode, stage, err)
					}
				}
				won := 0
				for _, err := range errs {
					if err == nil {
						won++
					}
				}
				if won != 1 {
					r.t.Errorf("%s %s: %d won", mode, stage, won)
				}
			}
		}
	}},
	{name: "a command that panics fails alone and leaves nothing", check: func(r *race) {
		scope := r.prepare(1)[0]
		before := r.head()
		for _, mode := range consistency.Built() {
			_, err := r.runner(mode, 4, nil).Run(r.t.Context(), usecase.Request{Command: panics{}})
			if err == nil || problem.Of(err).Kind != problem.Internal {
				r.t.Errorf("%s: %v", mode, err)
			}
			r.claimAll(mode, scope, 1)
		}
		if got := int(r.head() - before); got != len(consistency.Built()) {
			r.t.Errorf("the log grew by %d", got)
		}
		r.consecutive(scope, len(consistency.Built()))
	}},
	{name: "a key used for other content is refused", check: func(r *race) {
		scope := r.prepare(1)[0]
		for _, mode := range consistency.Built() {
			req := put(shelfOf(scope), "")
			req.Fingerprint = []byte("one")
			run := r.runner(mode, 4, nil)
			if _, err := run.Run(r.t.Context(), req); err != nil {
				r.t.Fatalf("%s: %v", mode, err)
			}
			req.Fingerprint = []byte("two")
			if _, err := run.Run(r.t.Context(), req); !errors.Is(err, consistency.ErrIDTaken) {
				r.t.Errorf("%s: %v", mode, err)
			}
		}
		r.consecutive(scope, len(consistency.Built()))
	}},
}

type panics struct{}

func (panics) Execute(context.Context, *usecase.Unit) error { panic("on purpose") }
