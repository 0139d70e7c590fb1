package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModesThatAreAlsoAskedOverHTTP(t *testing.T) {
	t.Parallel()
	for modes, want := range map[string]string{
		"sql":                       "sql",
		"sql,lock,queue":            "sql,lock,queue,lock+http,queue+http",
		"queue+http":                "queue+http",
		"queue,queue+http,sql,lock": "queue,queue+http,sql,lock,lock+http",
	} {
		if diff := cmp.Diff(want, strings.Join(alsoHTTP(strings.Split(modes, ",")), ",")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", modes, diff)
		}
	}
}
