package operations

import (
	"fmt"
	"slices"
	"time"

	"accession/platform/consistency"
	"accession/platform/tally"
)

// Advice is what a rule says of a constraint.
type Advice struct {
	Rule    string `json:"rule" doc:"The name of the rule that it rests on."`
	Text    string `json:"text" doc:"What to do, with the figure."`
	Because string `json:"because" doc:"When the rule speaks."`
}

// Facts are what a rule goes by: a constraint, how it is kept, and what it did in the last five minutes while it was kept so.
type Facts struct {
	Name string
	Mode consistency.Mode   // that it is kept in
	Can  []consistency.Mode // that it can be kept in
	Did  tally.Figures      // in that mode
	Lane tally.Lane         // of all constraints together
}

// Rule gives advice where a figure has passed a threshold. Rules are pure.
type Rule struct {
	Name string
	Mode consistency.Mode // it speaks only of constraints that are kept in this one
	When string           // in words, for documents
	Try  []consistency.Mode
	says func(f Facts, try string) string // empty when there is nothing to say
}

// The thresholds of the rules. A share of few attempts says nothing, so there must have been some.
const (
	leastAttempts = 20
	leastBatches  = 100
	mostRejected  = .05
	mostBusy      = .01
	mostTries     = 4
	leastRetried  = .05 * (mostTries - 1) // for each command: what comes to mostTries for 5 of 100
	mostWait      = 100 * time.Millisecond
	smallBatch    = 1.1
)

// Rules are all rules, in the order in which they speak.
var Rules = []Rule{
	{
		Name: "rejected", Mode: consistency.Reject, Try: []consistency.Mode{consistency.Queue, consistency.Retry},
		When: fmt.Sprintf("%s or more of at least %d attempts were rejected", percent(mostRejected), leastAttempts),
		says: func(f Facts, try string) string {
			return overShare(f, mostRejected, "were rejected: "+try, consistency.Rejected)
		},
	},
	{
		Name: "given-up", Mode: consistency.Retry, Try: []consistency.Mode{consistency.Queue, consistency.Lock},
		When: "a command was given up after all its attempts",
		says: func(f Facts, try string) string {
			n := f.Did.Outcomes[consistency.Exhausted]
			if n == 0 {
				return ""
			}
			return fmt.Sprintf("%s given up over %s after all attempts in the last five minutes: %s.", count(n, "command was", "commands were"), f.Name, try)
		},
	},
	{
		Name: "decided-again", Mode: consistency.Retry, Try: []consistency.Mode{consistency.Queue, consistency.Lock},
		When: fmt.Sprintf("of at least %d attempts, more than 5 of 100 commands needed %d or more, with %.0f or more retries over this constraint for each 100 commands",
			leastAttempts, mostTries, 100*leastRetried),
		says: func(f Facts, try string) string {
			// A command that lost over another constraint has tried this one again as well, which is no fault of this one.
			retried := f.Did.Outcomes[consistency.Retried]
			if f.Did.Attempts < leastAttempts || f.Did.Tries < mostTries || float64(retried) < leastRetried*float64(f.Did.Attempts-retried) {
				return ""
			}
			return fmt.Sprintf("retry: p95 of attempts over %s was %d in the last five minutes: %s.", f.Name, f.Did.Tries, try)
		},
	},
	{
		Name: "busy", Mode: consistency.Lock, Try: []consistency.Mode{consistency.Queue},
		When: fmt.Sprintf("%s or more of at least %d attempts waited in vain", percent(mostBusy), leastAttempts),
		says: func(f Facts, try string) string {
			return overShare(f, mostBusy, "waited for their lock in vain: "+try, consistency.Busy)
		},
	},
	{
		Name: "long-waits", Mode: consistency.Lock, Try: []consistency.Mode{consistency.Queue},
		When: fmt.Sprintf("of at least %d waits for locks, p95 was %v or more", leastAttempts, mostWait),
		says: func(f Facts, try string) string {
			if f.Did.Waits < leastAttempts || f.Did.P95 < mostWait {
				return ""
			}
			return fmt.Sprintf("lock: p95 of the waits for %s was %v in the last five minutes: %s.", f.Name, f.Did.P95.Round(time.Millisecond), try)
		},
	},
	{
		Name: "full", Mode: consistency.Queue,
		When: fullWhen,
		says: full,
	},
	{
		Name: "nobody-waits", Mode: consistency.Queue, Try: []consistency.Mode{consistency.Retry},
		When: fmt.Sprintf("the mean size of at least %d batches was below %.1f", leastBatches, smallBatch),
		says: func(f Facts, try string) string {
			if f.Did.Attempts == 0 || f.Lane.Batches < leastBatches || f.Lane.Mean() >= smallBatch {
				return ""
			}
			return fmt.Sprintf("queue: the mean batch was %.2f in the last five minutes, so hardly anybody waited for anybody: if that is usual, %s would do for %s.", f.Lane.Mean(), try[len("try "):], f.Name)
		},
	},
	{
		Name: "lost-anyway", Mode: consistency.Adaptive, Try: []consistency.Mode{consistency.Queue},
		When: fmt.Sprintf("%s or more of at least %d attempts were lost to rivals", percent(mostRejected), leastAttempts),
		says: func(f Facts, try string) string {
			return overShare(f, mostRejected, "were lost to rivals, though contended scopes line up: "+try, consistency.Retried, consistency.Exhausted)
		},
	},
	{
		Name: "full", Mode: consistency.Adaptive,
		When: fullWhen,
		says: full,
	},
}

// full speaks where there is a lane.
func full(f Facts, _ string) string {
	return overShare(f, mostBusy, "were turned away: the lane is full or the log is busy. Give the database more, or raise consistency.queue.depth", consistency.Busy)
}

var fullWhen = fmt.Sprintf("%s or more of at least %d attempts were turned away", percent(mostBusy), leastAttempts)

// Advise is what the rules have to say of the facts.
func Advise(f Facts) []Advice {
	var all []Advice
	for _, r := range Rules {
		if r.Mode != f.Mode {
			continue
		}
		try := ""
		if i := slices.IndexFunc(r.Try, func(m consistency.Mode) bool { return slices.Contains(f.Can, m) }); i >= 0 {
			try = "try " + r.Try[i].String()
		} else if len(r.Try) > 0 {
			continue // there is nothing better to be had
		}
		if text := r.says(f, try); text != "" {
			all = append(all, Advice{Rule: r.Name, Text: text, Because: r.Mode.String() + ": " + r.When})
		}
	}
	return all
}

// overShare is the sentence on a share of the attempts, if it has come to most.
func overShare(f Facts, most float64, was string, outcomes ...consistency.Outcome) string {
	share := f.Did.Share(outcomes...)
	if f.Did.Attempts < leastAttempts || share < most {
		return ""
	}
	return fmt.Sprintf("%s of %s attempts in the last five minutes %s.", percent(share), f.Name, was)
}

func percent(share float64) string {
	if share > 0 && share < .1 {
		return fmt.Sprintf("%.2g %%", share*100)
	}
	return fmt.Sprintf("%.0f %%", share*100)
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}
