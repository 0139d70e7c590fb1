package main

import (
	"context"
	"log/slog"
	"sync"

	"accession/modules/operations"
	"accession/platform/config"
	"accession/platform/consistency"
	"accession/platform/eventlog"
	"accession/platform/problem"
	"accession/platform/tally"
	"accession/platform/telemetry"

	"go.uber.org/fx"
)

// newTracker is the way to the error tracker, if there is one.
func newTracker(cfg config.Config, logger *slog.Logger) (*telemetry.Tracker, error) {
	t, err := telemetry.NewTracker(telemetry.TrackerConfig{DSN: cfg.Telemetry.Sentry.DSN, Release: buildVersion().Version, Logger: logger})
	if err != nil {
		return nil, problem.New(problem.Usage, "configuration", "telemetry.sentry.dsn is not one: copy it from the settings of the project in Sentry.").Because(err)
	}
	return t, nil
}

// newModes follows the live modes: all that were set before are in force when the start is over.
func newModes(lc fx.Lifecycle, a *app, l eventlog.Log, set *consistency.Set, s consistency.Settings) *operations.Modes {
	m := operations.NewModes(l, set, s, a.logger)
	lc.Append(fx.Hook{OnStart: m.Load})
	lc.Append(inBackground(m.Follow))
	return m
}

// newTally counts, and shares the figures with the other processes.
func newTally(lc fx.Lifecycle, a *app, set *consistency.Set) *tally.Tally {
	t := tally.New(tally.Config{DB: a.db, Constraints: set, Logger: a.logger})
	lc.Append(inBackground(t.Share))
	return t
}

// newMeter is everybody who wants to know what becomes of attempts.
func newMeter(lc fx.Lifecycle, a *app, m *telemetry.Metrics, t *tally.Tally) consistency.Meter {
	if a.tracker == nil {
		return telemetry.Fan(m, t)
	}
	lc.Append(fx.Hook{OnStop: func(ctx context.Context) error {
		a.tracker.Stop(ctx)
		return nil
	}})
	return telemetry.Fan(m, t, a.tracker)
}

// inBackground runs f from the start to the stop, which ends its context and waits for it.
func inBackground(f func(context.Context)) fx.Hook {
	ctx, cancel := context.WithCancel(context.Background()) // that of a start hook ends with the start
	var running sync.WaitGroup
	return fx.Hook{
		OnStart: func(context.Context) error {
			running.Go(func() { f(ctx) })
			return nil
		},
		OnStop: func(context.Context) error {
			cancel()
			running.Wait()
			return nil
		},
	}
}
