package memory_test

import (
	"testing"
	"time"

	"accession/platform/consistency/consistencytest"
	"accession/platform/consistency/memory"
	"accession/platform/event"
	logmemory "accession/platform/eventlog/memory"
)

func TestContract(t *testing.T) {
	t.Parallel()
	consistencytest.Run(t, open, consistencytest.Features{})
}

func open(_ *testing.T, registry *event.Registry) consistencytest.Store {
	log := logmemory.New(registry, time.Minute)
	return consistencytest.Store{Log: log, Register: memory.New(log)}
}
