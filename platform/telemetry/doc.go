// Package telemetry is what the product says about itself while it runs: [Metrics] for Prometheus, [Logger] for the log, and
// [Tracker] for Sentry and what speaks its protocol.
//
// Packages that have something to count declare an interface for it next to what they count (consistency.Meter,
// projection.Meter, httpapi.Meter); *Metrics is all of them. The names of the metrics are a contract with those who watch them:
// each is written out in metrics.go, a golden file holds them, and Prometheus's own linter reads them in a test. Why this stands
// on client_golang itself is docs/decisions/0004-prometheus-client.md.
package telemetry
