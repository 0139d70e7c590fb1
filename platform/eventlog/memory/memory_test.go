package memory_test

import (
	"testing"

	"accession/platform/eventlog"
	"accession/platform/eventlog/eventlogtest"
	"accession/platform/eventlog/memory"
)

func TestContract(t *testing.T) {
	t.Parallel()
	eventlogtest.Run(t, func(*testing.T) eventlog.Log {
		return memory.New(eventlogtest.Registry(), eventlogtest.Patience)
	}, eventlogtest.Features{})
}
