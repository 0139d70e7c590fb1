package telemetry

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

var update = flag.Bool("update", false, "write golden files anew")

// Metrics is the meter of everybody who counts.
var (
	_ consistency.Meter = (*Metrics)(nil)
	_ projection.Meter  = (*Metrics)(nil)
	_ httpapi.Meter     = (*Metrics)(nil)
)

// AddBook ends as it says.
type AddBook struct{ err error }

func (AddBook) Execute(context.Context, *usecase.Unit) error { return nil }

type runner struct{}

func (runner) Run(_ context.Context, r usecase.Request) (usecase.Receipt, error) {
	err := r.Command.(*AddBook).err
	if err != nil {
		return usecase.Receipt{}, err
	}
	return usecase.Receipt{Position: 41}, nil
}

// busy is metrics in which everything has happened.
func busy() *Metrics {
	m := New()
	attempted := func(constraint string, mode consistency.Mode, outcome consistency.Outcome) {
		m.Attempted(consistency.Attempt{Constraint: constraint, Scope: "category:1", Mode: mode, Outcome: outcome, Number: 1})
	}
	attempted("book-number", consistency.Retry, consistency.Retried)
	attempted("book-number", consistency.Retry, consistency.Accepted)
	attempted("category-exists", consistency.Lock, consistency.Accepted)
	m.Queued(7)
	m.Batched(1)
	m.Batched(5)
	m.Waited("category-exists", consistency.Lock, 3*time.Millisecond)
	m.Served("GET /api/v1/books/{id}", 200, 2*time.Millisecond)
	m.Served("none", 404, time.Millisecond)
	m.Projector(projection.Status{Name: "books", Version: 2, State: projection.Playing, Position: 40, Lag: 2, Age: 1500 * time.Millisecond})
	m.Projector(projection.Status{Name: "books", Version: 1, State: projection.Playing, Position: 12})
	m.Projector(projection.Status{Name: "books", Version: 1, State: projection.Broken, Position: 12, Lag: 30})
	m.UseCase("catalogue.AddBook", nil, 4*time.Millisecond)
	m.UseCase("catalogue.AddBook", fmt.Errorf("run: %w", context.Canceled), time.Second)
	return m
}

func TestMetricsPassPrometheusLinter(t *testing.T) {
	t.Parallel()
	families, err := busy().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint() // what promtool check metrics runs
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsAreGolden(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	busy().Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var got bytes.Buffer
	for line := range strings.Lines(answer.Body.String()) {
		if strings.Contains(line, "accession_") { // the rest is Go's and the system's
			got.WriteString(line)
		}
	}
	const file = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
	for _, other := range []string{"go_goroutines", "process_start_time_seconds"} {
		if !strings.Contains(answer.Body.String(), other) {
			t.Errorf("%s is missing", other)
		}
	}
}

func TestRunnerMeasuresCommands(t *testing.T) {
	t.Parallel()
	m := New()
	measured := m.Runner(runner{})
	for _, err := range []error{
		nil,
		problem.New(problem.Conflict, "book-number-not-unique", "Taken."),
		fmt.Errorf("wait: %w", context.DeadlineExceeded),
		errors.New("pq: gone"),
	} {
		if _, got := measured.Run(t.Context(), usecase.Request{Command: &AddBook{err}}); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
	for _, outcome := range []string{"done", "conflict", "cancelled", "internal"} {
		if !m.usecases.DeleteLabelValues("telemetry.AddBook", outcome) {
			t.Errorf("nothing ended %s", outcome)
		}
	}
	rest := make(chan prometheus.Metric, 10)
	m.usecases.Collect(rest)
	if n := len(rest); n != 0 {
		t.Errorf("%d outcomes more than expected", n)
	}
	if got := m.head.Load(); got != 41 {
		t.Errorf("the log is at %d, want 41", got)
	}
}

func TestLogPositionNeverGoesBack(t *testing.T) {
	t.Parallel()
	m := New()
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for p := range 1000 {
				m.LogPosition(event.Position(p*8 + w))
			}
		})
	}
	writers.Wait()
	m.LogPosition(1)
	if got := m.head.Load(); got != 7999 {
		t.Errorf("position %d, want 7999", got)
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ format, want string }{
		{"json", `"level":"WARN","msg":"slow","took":1000000000}`},
		{"text", `level=WARN msg=slow took=1s`},
		{"", `level=WARN msg=slow took=1s`},
	} {
		var b bytes.Buffer
		l := Logger(&b, slog.LevelWarn, test.format)
		l.Info("not severe enough")
		l.Warn("slow", "took", time.Second)
		if got := b.String(); !strings.Contains(got, test.want) || strings.Contains(got, "enough") {
			t.Errorf("%q: %s", test.format, got)
		}
	}
}
