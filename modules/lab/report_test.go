package lab

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestThePageHasEveryFigure(t *testing.T) {
	t.Parallel()
	settled := 1.25
	r := Report{
		Constraint: "book-number", Version: "v1.2.3", Taken: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), Duration: 3 * time.Second,
		Rows: []Row{
			{Mode: SQL, Writers: 32, Scopes: 1, Accepted: 520, Attempts: 1, P50: 58.25, P95: 91, P99: 120.04, Batch: 1},
			{Mode: "queue", Writers: 32, Scopes: 1, Accepted: 5720, Attempts: 1, P50: 5.5, P95: 8, P99: 9, Batch: 15.9},
			{Mode: "reject", Writers: 32, Scopes: 1, Rejected: 6701, Refused: 2}, // which got nothing through
			{Mode: "eventual", Writers: 32, Scopes: 1000, Accepted: 1, Attempts: 1, P50: 1100, P95: 1200, P99: 1300, Batch: 1, Settled: &settled},
		},
	}
	var b strings.Builder
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := html.UnescapeString(b.String())
	for _, want := range []string{
		"<title>book-number in the lab</title>", "32 writers", "3s for each mode", "v1.2.3", "22 November 2026, 09:00 UTC",
		"One hot scope", "1,000 scopes", ">5,720 · 11.00×<", ">5.5 ms · 9 ms<", ">1.1 s · 1.3 s<", ">nothing accepted<",
		"<td>11.00</td>", "<td>6,701</td>", "<td>15.9</td>", "<td>1.250</td>", "<td>58.2</td>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("it has no %s", want)
		}
	}
	if wrong := regexp.MustCompile(`NaN|Inf|%!|role="alert"|ZgotmplZ`).FindString(page); wrong != "" {
		t.Errorf("it has %s", wrong)
	}
	r.Rows[1].Gaps = 1
	b.Reset()
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if page := b.String(); !strings.Contains(page, `role="alert"`) || !strings.Contains(page, `<td class="bad">1</td>`) {
		t.Error("it does not show that the log is broken")
	}
}

func TestAPageOfNothingCanBeDrawn(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := (Report{Rows: []Row{{Mode: "lock", Scopes: 1}}}).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if wrong := regexp.MustCompile(`NaN|Inf`).FindString(b.String()); wrong != "" {
		t.Errorf("it has %s", wrong)
	}
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for ms, want := range map[float64]string{
		.0123: "12 µs", .1: "0.1 ms", .123: "0.12 ms", 1: "1 ms", 5.549: "5.55 ms", 10: "10 ms", 58.25: "58.2 ms", 100: "100 ms", 999.4: "999 ms", 1000: "1 s", 12345: "12.3 s",
	} {
		if got := milliseconds(ms); got != want {
			t.Errorf("%v ms is written %q, want %q", ms, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0", 12: "12", 999: "999", 1000: "1,000", 1234567: "1,234,567", 2.5: "2.5"} {
		if got := thousands(x); got != want {
			t.Errorf("%v is written %q, want %q", x, got, want)
		}
	}
	for x, want := range map[float64]int{1: 5, 3: 4, 100: 5, 793: 4, 5720: 6} {
		if got := roundSteps(x); len(got) != want || got[0] != 0 || got[len(got)-1] > x {
			t.Errorf("steps to %v: %v", x, got)
		}
	}
}
