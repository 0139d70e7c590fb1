package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/usecase"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is everything that is measured, in a registry of its own, with what Go and the process say of themselves. It is safe
// for concurrent use. Make it with [New].
type Metrics struct {
	registry *prometheus.Registry

	attempts *prometheus.CounterVec
	waits    *prometheus.HistogramVec
	depth    prometheus.Gauge
	batches  prometheus.Histogram
	usecases *prometheus.HistogramVec
	requests *prometheus.HistogramVec

	head       atomic.Int64
	projectors projectors
}

// buckets are seconds, from what memory takes to the longest that a client may wait.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New returns metrics in which nothing has happened yet.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "accession_constraint_attempts_total",
			Help: "Attempts to store a command, once for each constraint concerned, by what became of them.",
		}, []string{"constraint", "mode", "outcome"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "accession_constraint_wait_seconds", Buckets: buckets,
			Help: "How long an attempt waited for its locks, or in the lane, by the constraints that it waited for.",
		}, []string{"constraint", "mode"}),
		depth: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "accession_constraint_queue_depth",
			Help: "How many commands wait in the lane of this process.",
		}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "accession_constraint_batch_size", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
			Help: "How many commands the lane stored together, batch by batch.",
		}),
		usecases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "accession_usecase_seconds", Buckets: buckets,
			Help: "How long a use case took, all attempts together: done, cancelled, or the kind of problem it ended with.",
		}, []string{"usecase", "outcome"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "accession_http_request_seconds", Buckets: buckets,
			Help: "How long an HTTP request took, by the pattern of its route and the status of the answer; 499: the client went away.",
		}, []string{"route", "status"}),
		projectors: projectors{is: map[projector]projection.Status{}},
	}
	head := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "accession_log_position",
		Help: "The position of the last event in the log, as far as this process knows.",
	}, func() float64 { return float64(m.head.Load()) })
	m.registry.MustRegister(
		m.attempts, m.waits, m.depth, m.batches, m.usecases, m.requests, head, &m.projectors,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers with the metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Attempted implements consistency.Meter.
func (m *Metrics) Attempted(a consistency.Attempt) {
	m.attempts.WithLabelValues(a.Constraint, a.Mode.String(), string(a.Outcome)).Inc()
}

// Waited implements consistency.Meter.
func (m *Metrics) Waited(constraint string, mode consistency.Mode, d time.Duration) {
	m.waits.WithLabelValues(constraint, mode.String()).Observe(d.Seconds())
}

// Queued implements consistency.Meter.
func (m *Metrics) Queued(units int) { m.depth.Set(float64(units)) }

// Batched implements consistency.Meter.
func (m *Metrics) Batched(units int) { m.batches.Observe(float64(units)) }

// Served implements httpapi.Meter.
func (m *Metrics) Served(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

// LogPosition tells that the log has reached the position. It may be told out of order: the furthest counts.
func (m *Metrics) LogPosition(p event.Position) {
	for {
		known := m.head.Load()
		if int64(p) <= known || m.head.CompareAndSwap(known, int64(p)) {
			return
		}
	}
}

// Projector implements projection.Meter. A projector that looks at the log also tells how far the log is.
func (m *Metrics) Projector(s projection.Status) {
	m.projectors.set(s)
	m.LogPosition(s.Position + event.Position(s.Lag))
}

// UseCase tells how long a use case took and what came of it; err is what its caller was told, or nil.
func (m *Metrics) UseCase(name string, err error, took time.Duration) {
	m.usecases.WithLabelValues(name, outcome(err)).Observe(took.Seconds())
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return problem.Of(err).Kind.String()
}

// Runner is next with every command measured, under the command's type: "catalogue.AddBook". It also learns from the receipts
// how far the log is.
func (m *Metrics) Runner(next usecase.Runner) usecase.Runner { return measured{m, next} }

type measured struct {
	m    *Metrics
	next usecase.Runner
}

func (r measured) Run(ctx context.Context, req usecase.Request) (usecase.Receipt, error) {
	began := time.Now()
	receipt, err := r.next.Run(ctx, req)
	r.m.UseCase(strings.TrimPrefix(fmt.Sprintf("%T", req.Command), "*"), err, time.Since(began))
	r.m.LogPosition(receipt.Position)
	return receipt, err
}
