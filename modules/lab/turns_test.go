package lab_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"accession/modules/lab"
	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
)

// In a bubble time passes only while all wait, so that what is measured can be known.

func TestVariantsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := &problem.Error{Kind: problem.Conflict, Retryable: true}
		taken, busy := problem.New(problem.Conflict, "taken", ""), problem.New(problem.Unavailable, "busy", "")
		answers := []error{nil, nil, lost, busy, taken}
		variants := []*lab.Variant{
			{Name: "fast", Do: func(context.Context, int) error {
				<-time.After(time.Second)
				return nil
			}},
			{Name: "mixed", Do: func(_ context.Context, i int) error {
				<-time.After(time.Duration(i+1) * time.Millisecond)
				return answers[i%len(answers)]
			}},
		}
		var order []string
		note := func(what string) func(context.Context, *lab.Variant) error {
			return func(_ context.Context, v *lab.Variant) error {
				order = append(order, what+" "+v.Name)
				return nil
			}
		}
		if err := (lab.Turns{Writers: 1, Rounds: 2, Length: 10 * time.Second}).Run(t.Context(), variants[:1], nil, nil); err != nil {
			t.Fatal(err)
		}
		if v := variants[0]; v.Accepted != 20 || v.Busy != 20*time.Second || v.Rate(v.Accepted) != 1 || v.Quantile(.5) != time.Second {
			t.Errorf("fast: %+v", v)
		}
		variants[0] = &lab.Variant{Name: "fast", Do: variants[0].Do}
		if err := (lab.Turns{Writers: 5, Rounds: 2}).Run(t.Context(), variants, note("before"), note("after")); err != nil {
			t.Fatal(err)
		}
		want := []string{"before fast", "after fast", "before mixed", "after mixed", "before mixed", "after mixed", "before fast", "after fast"}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		// Calls 1 to 5 took 1 to 5 ms, calls 6 to 10 took 6 to 10; of each five the first two were accepted.
		v := variants[1]
		if v.Accepted != 4 || v.Rejected != 2 || v.Refused != 4 || v.Busy != 15*time.Millisecond {
			t.Errorf("mixed: %+v", v)
		}
		for q, ms := range map[float64]int64{0: 1, .25: 1, .5: 2, .51: 6, .75: 6, .95: 7, 1: 7} {
			if got := v.Quantile(q); got.Milliseconds() != ms {
				t.Errorf("quantile %v is %v, want %v ms", q, got, ms)
			}
		}
	})
}

func TestEachVariantFollowsEachOtherEquallyOften(t *testing.T) {
	t.Parallel()
	for n := 2; n <= 11; n++ {
		rounds := n
		if n%2 == 1 {
			rounds *= 2
		}
		var order []string
		variants := make([]*lab.Variant, n)
		for i := range variants {
			variants[i] = &lab.Variant{Name: fmt.Sprint(i), Do: func(context.Context, int) error { return nil }}
		}
		err := lab.Turns{Writers: 1, Rounds: rounds}.Run(t.Context(), variants, nil, func(_ context.Context, v *lab.Variant) error {
			order = append(order, v.Name)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		follows := map[string]int{}
		for round := range slices.Chunk(order, n) {
			if every := slices.Compact(slices.Sorted(slices.Values(round))); len(every) != n {
				t.Fatalf("of %d variants a round has %v", n, round)
			}
			for i, name := range round[1:] {
				follows[name+" follows "+round[i]]++
			}
		}
		if len(follows) != n*(n-1) {
			t.Errorf("of %d variants only %d pairs follow each other", n, len(follows))
		}
		for pair, times := range follows {
			if times != rounds/n {
				t.Errorf("of %d variants %s %d times in %d rounds", n, pair, times, rounds)
			}
		}
	}
}

func TestAVariantThatIsBrokenEndsTheTurns(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	v := &lab.Variant{Do: func(ctx context.Context, i int) error {
		if i == 0 {
			return broken
		}
		<-ctx.Done() // as a statement that is cancelled
		return ctx.Err()
	}}
	if err := (lab.Turns{Writers: 3, Rounds: 1, Length: time.Hour}).Run(t.Context(), []*lab.Variant{v}, nil, nil); !errors.Is(err, broken) {
		t.Errorf("it ended with %v", err)
	}
	if v.Accepted+v.Rejected+v.Refused != 0 || v.Rate(1) == 0 || (&lab.Variant{}).Rate(1) != 0 || v.Quantile(.5) != 0 {
		t.Errorf("%+v", v)
	}
}
