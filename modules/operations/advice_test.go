package operations_test

import (
	"strings"
	"testing"
	"time"

	"accession/modules/operations"
	"accession/platform/consistency"
	"accession/platform/tally"

	"github.com/google/go-cmp/cmp"
)

// did is figures in which so many attempts had each outcome.
func did(outcomes map[consistency.Outcome]int64) tally.Figures {
	f := tally.Figures{Outcomes: outcomes}
	for _, n := range outcomes {
		f.Attempts += n
	}
	return f
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	quiet := did(map[consistency.Outcome]int64{consistency.Accepted: 1000})
	all := consistency.Built()
	for _, test := range []struct {
		name string
		is   operations.Facts
		want []string // the rule, and the text
	}{
		{"nothing happened", operations.Facts{Mode: consistency.Reject}, nil},
		{"all is well in reject", operations.Facts{Mode: consistency.Reject, Did: quiet}, nil},
		{"all is well in retry", operations.Facts{Mode: consistency.Retry, Did: quiet}, nil},
		{"all is well in lock", operations.Facts{Mode: consistency.Lock, Did: quiet}, nil},
		{"all is well in queue", operations.Facts{Mode: consistency.Queue, Did: quiet, Lane: tally.Lane{Batches: 500, Units: 1000}}, nil},
		{
			"many were rejected",
			operations.Facts{Mode: consistency.Reject, Did: did(map[consistency.Outcome]int64{consistency.Accepted: 72, consistency.Rejected: 28})},
			[]string{"rejected: 28 % of book-number attempts in the last five minutes were rejected: try queue."},
		},
		{
			"many were rejected, and it cannot queue",
			operations.Facts{Mode: consistency.Reject, Can: []consistency.Mode{consistency.Reject, consistency.Retry},
				Did: did(map[consistency.Outcome]int64{consistency.Accepted: 19, consistency.Rejected: 1})},
			[]string{"rejected: 5 % of book-number attempts in the last five minutes were rejected: try retry."},
		},
		{
			"many were rejected, and it can do nothing else",
			operations.Facts{Mode: consistency.Reject, Can: []consistency.Mode{consistency.Reject}, Did: did(map[consistency.Outcome]int64{consistency.Rejected: 100})},
			nil,
		},
		{
			"fewer were rejected than counts",
			operations.Facts{Mode: consistency.Reject, Did: did(map[consistency.Outcome]int64{consistency.Accepted: 96, consistency.Rejected: 4})},
			nil,
		},
		{
			"too few attempts to say anything",
			operations.Facts{Mode: consistency.Reject, Did: did(map[consistency.Outcome]int64{consistency.Accepted: 9, consistency.Rejected: 10})},
			nil,
		},
		{
			"one command was given up",
			operations.Facts{Mode: consistency.Retry, Did: did(map[consistency.Outcome]int64{consistency.Exhausted: 1})},
			[]string{"given-up: 1 command was given up over book-number after all attempts in the last five minutes: try queue."},
		},
		{
			"commands are decided again and again, and some given up",
			operations.Facts{Mode: consistency.Retry, Did: tally.Figures{Attempts: 40, Tries: 6, Outcomes: map[consistency.Outcome]int64{consistency.Retried: 20, consistency.Exhausted: 2}}},
			[]string{
				"given-up: 2 commands were given up over book-number after all attempts in the last five minutes: try queue.",
				"decided-again: retry: p95 of attempts over book-number was 6 in the last five minutes: try queue.",
			},
		},
		{
			"commands are decided three times",
			operations.Facts{Mode: consistency.Retry, Did: tally.Figures{Attempts: 20, Tries: 3, Outcomes: map[consistency.Outcome]int64{consistency.Retried: 10}}},
			nil,
		},
		{
			"commands are decided again because of another constraint",
			operations.Facts{Mode: consistency.Retry, Did: tally.Figures{Attempts: 957, Tries: 9, Outcomes: map[consistency.Outcome]int64{consistency.Accepted: 956, consistency.Retried: 1}}},
			nil,
		},
		{
			"locks are waited for in vain",
			operations.Facts{Mode: consistency.Lock, Did: did(map[consistency.Outcome]int64{consistency.Accepted: 985, consistency.Busy: 15})},
			[]string{"busy: 1.5 % of book-number attempts in the last five minutes waited for their lock in vain: try queue."},
		},
		{
			"locks are waited for long",
			operations.Facts{Mode: consistency.Lock, Did: tally.Figures{Waits: 20, P95: 240 * ms}},
			[]string{"long-waits: lock: p95 of the waits for book-number was 240ms in the last five minutes: try queue."},
		},
		{
			"the lane is full",
			operations.Facts{Mode: consistency.Queue, Did: did(map[consistency.Outcome]int64{consistency.Accepted: 99, consistency.Busy: 1})},
			[]string{"full: 1 % of book-number attempts in the last five minutes were turned away: the lane is full or the log is busy. Give the database more, or raise consistency.queue.depth."},
		},
		{
			"nobody waits in the lane",
			operations.Facts{Mode: consistency.Queue, Did: quiet, Lane: tally.Lane{Batches: 1000, Units: 1020}},
			[]string{"nobody-waits: queue: the mean batch was 1.02 in the last five minutes, so hardly anybody waited for anybody: if that is usual, retry would do for book-number."},
		},
		{
			"others use the lane",
			operations.Facts{Mode: consistency.Queue, Lane: tally.Lane{Batches: 1000, Units: 1020}},
			nil,
		},
		{"all is well in adaptive", operations.Facts{Mode: consistency.Adaptive, Did: quiet}, nil},
		{
			"many are lost to rivals in adaptive",
			operations.Facts{Mode: consistency.Adaptive, Did: did(map[consistency.Outcome]int64{consistency.Accepted: 88, consistency.Retried: 11, consistency.Exhausted: 1})},
			[]string{"lost-anyway: 12 % of book-number attempts in the last five minutes were lost to rivals, though contended scopes line up: try queue."},
		},
		{
			"few are lost to rivals in adaptive",
			operations.Facts{Mode: consistency.Adaptive, Did: did(map[consistency.Outcome]int64{consistency.Accepted: 96, consistency.Retried: 4})},
			nil,
		},
		{
			"the lane is full in adaptive",
			operations.Facts{Mode: consistency.Adaptive, Did: did(map[consistency.Outcome]int64{consistency.Accepted: 95, consistency.Busy: 5})},
			[]string{"full: 5 % of book-number attempts in the last five minutes were turned away: the lane is full or the log is busy. Give the database more, or raise consistency.queue.depth."},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.is.Name = "book-number"
			if test.is.Can == nil {
				test.is.Can = all
			}
			var got []string
			for _, a := range operations.Advise(test.is) {
				got = append(got, a.Rule+": "+a.Text)
				if !strings.HasPrefix(a.Because, test.is.Mode.String()+": ") {
					t.Errorf("it rests on %q", a.Because)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
}
