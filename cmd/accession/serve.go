package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"accession/modules/exchange"
	"accession/modules/exchange/gutenberg"
	"accession/modules/exchange/sample"
	"accession/modules/library/libraryevents"
	"accession/platform/eventlog"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/telemetry"
	"accession/platform/usecase"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
)

func (c *cli) serve() *cobra.Command {
	var withSample bool
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve the page, the API and the metrics",
		Long:    "Migrates the database, plays the projectors and serves the page, the API and the metrics until it is interrupted.\nWhat was accepted by then is finished first.",
		Example: "  accession serve --sample\n  accession serve --addr :8080 --database sqlite:/var/lib/accession/catalogue.db",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runServe(cmd.Context(), withSample) },
	}
	setting(cmd, "addr", "http.addr", "listen on `HOST:PORT`; port 0 is any free one (default 127.0.0.1:8080)")
	databaseFlag(cmd)
	cmd.Flags().BoolVar(&withSample, "sample", false, "fill an empty database with the sample catalogue")
	return cmd
}

func (c *cli) runServe(ctx context.Context, withSample bool) (err error) {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	var api *httpapi.API
	// The address first: without it nothing is created or migrated. Nobody is answered before Serve, when there is an API.
	server, err := httpapi.Listen(ctx, httpapi.ServerConfig{
		Addr: cfg.HTTP.Addr, ShutdownTimeout: cfg.HTTP.ShutdownTimeout,
		Logger: telemetry.Logger(c.err, cfg.Log.Level, cfg.Log.Format), OnStop: func() { api.Stop() },
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { api.ServeHTTP(w, r) }))
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }() // Serve has closed it, if it came so far
	a, err := c.openWith(ctx, cfg, write)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	var runner usecase.Runner
	var log eventlog.Log
	app, err := a.wire(fx.Options(fx.Populate(&api, &runner, &log), fx.Invoke(module.Routes, background)))
	if err != nil {
		return err
	}
	if err := app.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopApp(ctx, app)) }()
	if withSample {
		if err := c.fillWithSample(ctx, a, runner, log); err != nil {
			return err
		}
	}
	if err := a.db.Announce(server.URL()); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.out, "Accession listens on %s, its data lies in %s\n", server.URL(), a.db.Location()); err != nil {
		return err
	}
	return server.Serve(ctx)
}

// sampleLibrary is the name of the library that --sample makes.
const sampleLibrary = "Sample library"

// fillWithSample fills an empty database, or finishes what an earlier run, killed half-way, began. A database that has
// anything else in it is left alone.
func (c *cli) fillWithSample(ctx context.Context, a *app, runner usecase.Runner, log eventlog.Reader) error {
	// Every catalogue begins with a library; that a mode was set before is nothing that the sample would be mixed with.
	opened := (*libraryevents.LibraryOpened)(nil).EventType()
	first, err := eventlog.Collect(log.Read(ctx, eventlog.Query{Types: []string{opened}, Limit: 1}))
	if err != nil {
		return err
	}
	if len(first) > 0 && first[0].Actor != sampleActor {
		a.logger.InfoContext(ctx, "the database is not empty: the sample is left out")
		return nil
	}
	r, err := sample.Open()
	if err != nil {
		return err
	}
	catalogue, err := gutenberg.Parse(r)
	if err != nil {
		return err
	}
	bar := c.bar(catalogue.Rows, "sample")
	report, err := exchange.Importer{
		Runner: runner, Log: log, Actor: sampleActor, Progress: bar.tick,
		Into: exchange.DerivedLibraryID(a.head.Log, "sample"), // whatever other libraries are called
	}.Gutenberg(ctx, sampleLibrary, catalogue)
	bar.finish()
	if err != nil {
		return stopped(ctx, err, report, editionsIn(catalogue), "accession serve --sample")
	}
	a.logger.InfoContext(ctx, "the sample is in", "categories", report.Categories.Created, "books", report.Books.Created, "editions", report.Editions.Created)
	return nil
}

// sampleActor is recorded as the actor of everything in the sample, which tells a database that has nothing else in it.
const sampleActor = "cli:sample"
