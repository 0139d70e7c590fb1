package consistency_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	"accession/platform/consistency/memory"
	logmemory "accession/platform/eventlog/memory"
)

// The lane waits for more to come for a part of the time that a batch took. Where that was long because the database stood still,
// those who wait already have waited long enough.
func TestABatchThatWasHeldUpDoesNotHoldUpTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const stall = time.Minute
		shelves := consistencytest.Shelves()
		log := logmemory.New(shelves.Registry, 0)
		config := consistency.Config{Log: log, Register: memory.New(log), Set: shelves.Set}
		scopes, err := shelves.Prepare(t.Context(), consistency.NewRunner(config), 1)
		if err != nil {
			t.Fatal(err)
		}
		batches := 0
		config.Probe = func(_ context.Context, s consistency.Stage) {
			if s == consistency.Written {
				if batches++; batches <= 2 { // the second is of two
					<-time.After(stall)
				}
			}
		}
		run := consistency.NewRunner(config)
		began := time.Now()
		var wg sync.WaitGroup
		for _, writers := range []int{1, 2} {
			for range writers {
				wg.Go(func() {
					if _, err := run.Run(t.Context(), shelves.Claim(scopes[0])); err != nil {
						t.Error(err)
					}
				})
			}
			<-time.After(stall / 2)
		}
		<-time.After(stall / 2) // and now the batch of two is under way
		if _, err := run.Run(t.Context(), shelves.Claim(scopes[0])); err != nil {
			t.Error(err)
		}
		if late := time.Since(began) - 2*stall; late > time.Second {
			t.Errorf("who came during the stall was stored %v after it", late)
		}
		wg.Wait()
	})
}
