package races_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	"accession/platform/eventlog"
	"accession/platform/module"

	"github.com/anishathalye/porcupine"
)

// Numbering, as one who knows nothing of logs and locks would have it: each category has a counter. Adding a book to it, or
// moving one there, takes the next number, or takes none (a refusal, a book that is there already); reading gives the last one that was taken.
var numbering = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[libraryevents.CategoryID][]porcupine.Operation{}
		for _, op := range history {
			c := op.Input.(call).category
			by[c] = append(by[c], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return 1 }, // a category begins with its first book
	Step: func(state, input, output any) (bool, any) {
		last, number := state.(int), output.(int)
		switch {
		case input.(call).reads:
			return number == last, last
		case number == 0:
			return true, last
		}
		return number == last+1, number
	},
}

// call is what a client asks for; the answer is a number, 0 if none was taken.
type call struct {
	category libraryevents.CategoryID
	reads    bool // else it takes a number
}

// history is what clients saw. Its clock is the order of calls and returns.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// record records a call, with what do returns as its answer.
func (h *history) record(client int, c call, do func() (int, error)) error {
	op := porcupine.Operation{ClientId: client, Input: c, Call: h.clock.Add(1)}
	number, err := do()
	op.Output, op.Return = number, h.clock.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	return err
}

// TestNumberingIsLinearizable: in every mode, and while modes change, what clients see is what they would see if one thing
// happened after another, each between its call and its return.
func TestNumberingIsLinearizable(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, mode := range append(consistency.Built(), 0) {
			name := mode.String()
			if mode == 0 {
				name = "changing"
			}
			t.Run(store.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				checkHistory(t, observe(t, store.open(t, must(module.Registry(modules))), mode))
			})
		}
	}
}

func checkHistory(t *testing.T, ops []porcupine.Operation) {
	t.Helper()
	if got := porcupine.CheckOperationsTimeout(numbering, ops, time.Minute); got != porcupine.Ok {
		t.Errorf("linearizable: %s", got)
		for _, op := range ops {
			t.Logf("%+v", op)
		}
	}
}

// observe records what the clients of two processes see who add, move and look at books in three categories. Without a mode,
// the processes change theirs all the time.
func observe(t *testing.T, s consistencytest.Store, mode consistency.Mode) []porcupine.Operation {
	t.Helper()
	start := runnerIn(s, consistency.Lock, nil)
	lib := openLibrary()
	mustRun(t, start, lib.Request("t"))
	var categories []libraryevents.CategoryID
	for range 3 {
		c := createCategory(lib.ID)
		mustRun(t, start, c.Request("t"))
		categories = append(categories, c.ID)
	}
	modes := []consistency.Mode{mode}
	if mode == 0 {
		modes = consistency.Built()
	}
	processes := []*process{newProcess(s, modes[0], nil), newProcess(s, modes[len(modes)/2], nil)}
	var h history
	var mu sync.Mutex
	var books []catalogueevents.BookID // that anybody moves
	const clients, each = 8, 20
	gate := consistencytest.NewBarrier(clients)
	var wg sync.WaitGroup
	for client := range clients {
		random := rand.New(rand.NewPCG(97, uint64(client)))
		p := processes[client%len(processes)]
		wg.Go(func() {
			gate.Wait(t.Context())
			for range each {
				if mode == 0 && random.IntN(4) == 0 {
					p.keep(modes[random.IntN(len(modes))])
				}
				to := categories[random.IntN(len(categories))]
				var err error
				mu.Lock()
				var book catalogueevents.BookID
				if n := random.IntN(len(books) + 1); n > 0 {
					book = books[n-1]
				}
				mu.Unlock()
				switch n := random.IntN(10); {
				case n < 2:
					err = h.record(client, call{to, true}, func() (int, error) { return lastNumber(t.Context(), s.Log, to) })
				case n < 6 && !book.IsZero():
					err = h.record(client, call{to, false}, func() (int, error) {
						r, err := p.Run(t.Context(), catalogue.MoveBook{ID: book, To: to}.Request("t"))
						if err != nil || len(r.Events) == 0 {
							return 0, err // it is there already, and keeps its number
						}
						return r.Events[0].Event.(*catalogueevents.BookMoved).Number, nil
					})
				default:
					b := addBook(to)
					err = h.record(client, call{to, false}, func() (int, error) {
						r, err := p.Run(t.Context(), b.Request("t"))
						if err != nil {
							return 0, err
						}
						mu.Lock()
						defer mu.Unlock()
						books = append(books, b.ID)
						return r.Events[0].Event.(*catalogueevents.BookAdded).Number, nil
					})
				}
				rejects := mode == 0 || mode == consistency.Reject
				if err != nil && !(rejects && errors.Is(err, catalogue.ErrBookNumberNotUnique)) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
	return h.ops
}

// lastNumber is the last number that was taken in the category, as the log has it now.
func lastNumber(ctx context.Context, log eventlog.Reader, c libraryevents.CategoryID) (last int, err error) {
	for env, err := range log.Read(ctx, eventlog.Query{Tag: c.Tag()}) {
		if err != nil {
			return 0, err
		}
		switch e := env.Event.(type) {
		case *catalogueevents.BookAdded:
			last = e.Number
		case *catalogueevents.BookMoved:
			if e.Category == c {
				last = e.Number
			}
		}
	}
	return last, nil
}

// TestAHistoryThatIsNot: the model finds what may not be, in histories that are real but for one answer.
func TestAHistoryThatIsNot(t *testing.T) {
	t.Parallel()
	seen := observe(t, stores[0].open(t, must(module.Registry(modules))), consistency.Queue)
	checkHistory(t, seen)
	first := slices.IndexFunc(seen, func(op porcupine.Operation) bool { return !op.Input.(call).reads && op.Output.(int) > 0 })
	at := seen[first].Input.(call).category
	// The next to take a number in the same category when the first had its answer. One that took none would not do: to
	// exchange the two answers would tell a story that is possible.
	later := slices.IndexFunc(seen, func(op porcupine.Operation) bool {
		return op.Input.(call) == seen[first].Input.(call) && op.Call > seen[first].Return && op.Output.(int) > 0
	})
	if later < 0 {
		t.Fatal("nothing came later: the test needs another seed")
	}
	end := seen[len(seen)-1].Return
	for name, falsify := range map[string]func(ops []porcupine.Operation) []porcupine.Operation{
		"one number twice": func(ops []porcupine.Operation) []porcupine.Operation {
			ops[later].Output = ops[first].Output
			return ops
		},
		"a number left out": func(ops []porcupine.Operation) []porcupine.Operation {
			ops[first].Output = 1000
			return ops
		},
		"who came later has the smaller number": func(ops []porcupine.Operation) []porcupine.Operation {
			ops[first].Output, ops[later].Output = ops[later].Output, ops[first].Output
			return ops
		},
		"a refusal that took a number": func(ops []porcupine.Operation) []porcupine.Operation {
			ops[first].Output = 0
			return ops
		},
		"a read that does not see what was answered": func(ops []porcupine.Operation) []porcupine.Operation {
			return append(ops, porcupine.Operation{ClientId: 99, Input: call{at, true}, Output: 1, Call: end + 1, Return: end + 2})
		},
	} {
		if porcupine.CheckOperations(numbering, falsify(slices.Clone(seen))) {
			t.Errorf("%s: not found", name)
		}
	}
}
