package races_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/module"
)

// TestCallersWhoLeave: callers give up at any moment of anybody's commands. Whoever is told that it is done finds it there, once;
// whoever is told that it was given up does not; nobody else is harmed, and nobody is left in the lane.
func TestCallersWhoLeave(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, mode := range consistency.Built() {
			t.Run(fmt.Sprint(store.name, "/", mode), func(t *testing.T) {
				t.Parallel()
				s := store.open(t, must(module.Registry(modules)))
				scopes := raceBooks(t, s, 2)
				const writers, each = 16, 8
				var mu sync.Mutex
				var callers [writers]context.CancelFunc // of those under way
				leave := func(context.Context, consistency.Stage) {
					if rand.IntN(8) > 0 {
						return
					}
					mu.Lock()
					defer mu.Unlock()
					if cancel := callers[rand.IntN(writers)]; cancel != nil {
						cancel()
					}
				}
				p := newProcess(s, mode, leave)
				told := map[catalogueevents.BookID]int{} // how often it must be there
				var wg sync.WaitGroup
				for w := range writers {
					var category libraryevents.CategoryID
					category.TakeFrom([]event.Tag{scopes[w%len(scopes)]})
					wg.Go(func() {
						for range each {
							ctx, cancel := context.WithCancel(t.Context())
							mu.Lock()
							callers[w] = cancel
							mu.Unlock()
							b := addBook(category)
							_, err := p.Run(ctx, b.Request("t"))
							mu.Lock()
							callers[w] = nil
							told[b.ID] = 0
							if err == nil {
								told[b.ID] = 1
							}
							mu.Unlock()
							cancel()
							if err != nil && !errors.Is(err, context.Canceled) && !(mode == consistency.Reject && errors.Is(err, catalogue.ErrBookNumberNotUnique)) {
								t.Errorf("%v", err)
							}
						}
					})
				}
				wg.Wait()
				there := 0
				for id, want := range told {
					got, err := eventlog.Collect(s.Log.Read(t.Context(), eventlog.Query{Stream: id.Tag()}))
					if err != nil || len(got) != want {
						t.Errorf("a book is there %d times, want %d %v", len(got), want, err)
					}
					there += len(got)
				}
				checkBooks(t, s, scopes, there)
				// The lane takes out of it who has left when it gets there.
				if _, err := p.Run(t.Context(), sequences(t)[1].Claim(scopes[0])); err != nil {
					t.Errorf("in the end: %v", err)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.queued != 0 {
					t.Errorf("%d wait in the lane in the end", p.queued)
				}
				t.Logf("%d of %d were done", there, writers*each)
			})
		}
	}
}
