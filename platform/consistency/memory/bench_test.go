package memory_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	"accession/platform/consistency/memory"
	logmemory "accession/platform/eventlog/memory"
)

// BenchmarkRun is what a command costs without a database, in time and allocations, by 32 writers in one scope.
func BenchmarkRun(b *testing.B) {
	shelves := consistencytest.Shelves()
	for _, mode := range []consistency.Mode{consistency.Lock, consistency.Queue} {
		b.Run(mode.String(), func(b *testing.B) {
			log := logmemory.New(shelves.Registry, time.Minute)
			settings := consistency.DefaultSettings()
			settings.Modes = map[string]consistency.Mode{shelves.Name: mode}
			run := consistency.NewRunner(consistency.Config{
				Log: log, Register: memory.New(log), Set: shelves.Set, Settings: func() consistency.Settings { return settings },
			})
			ctx := context.Background()
			scopes, err := shelves.Prepare(ctx, run, 1)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var calls atomic.Int64
			var wg sync.WaitGroup
			for range 32 {
				wg.Go(func() {
					for calls.Add(1) <= int64(b.N) {
						req := shelves.Claim(scopes[0])
						req.Fresh = true
						if _, err := run.Run(ctx, req); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
