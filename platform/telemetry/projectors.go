package telemetry

import (
	"maps"
	"strconv"
	"sync"

	"accession/platform/projection"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	projectorLabels   = []string{"projector", "version"}
	projectorPosition = prometheus.NewDesc("accession_projector_position",
		"The position in the log up to which the projector has played.", projectorLabels, nil)
	projectorLagEvents = prometheus.NewDesc("accession_projector_lag_events",
		"How many events the log is ahead of the projector.", projectorLabels, nil)
	projectorLagSeconds = prometheus.NewDesc("accession_projector_lag_seconds",
		"How long ago the first event was recorded that the projector has not played; 0 when there is none.", projectorLabels, nil)
	projectorState = prometheus.NewDesc("accession_projector_state",
		"1 for the state that the projector is in, 0 for the others.", append([]string{"state"}, projectorLabels...), nil)
)

// projectors is how every projector stood when it was last heard of. It is a collector of its own, so that a scrape sees a
// projector's figures as they belong together, and in one state only.
type projectors struct {
	mu sync.Mutex
	is map[projector]projection.Status
}

type projector struct {
	name    string
	version int
}

func (p *projectors) set(s projection.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.is[projector{s.Name, s.Version}] = s
}

// Describe implements prometheus.Collector.
func (p *projectors) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{projectorPosition, projectorLagEvents, projectorLagSeconds, projectorState} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *projectors) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	is := maps.Clone(p.is) // whoever plays does not wait for a scrape
	p.mu.Unlock()
	for _, s := range is {
		version := strconv.Itoa(s.Version)
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append(labels, s.Name, version)...)
		}
		gauge(projectorPosition, float64(s.Position))
		gauge(projectorLagEvents, float64(s.Lag))
		gauge(projectorLagSeconds, s.Age.Seconds())
		for _, state := range []projection.State{projection.Playing, projection.Broken} {
			is := 0.0
			if s.State == state {
				is = 1
			}
			gauge(projectorState, is, string(state))
		}
	}
}
