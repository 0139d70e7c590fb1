package main

import (
	"context"
	"errors"
	"fmt"

	"accession/modules/exchange"
	"accession/modules/exchange/gutenberg"
	"accession/modules/exchange/sample"
	"accession/platform/eventlog"
	"accession/platform/httpapi"
	"accession/platform/module"
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
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runServe(cmd.Context(), withSample) },
	}
	setting(cmd, "addr", "http.addr", "address to listen on; port 0 is any free one (default 127.0.0.1:8080)")
	databaseFlag(cmd)
	cmd.Flags().BoolVar(&withSample, "sample", false, "fill an empty database with the sample catalogue")
	return cmd
}

func (c *cli) runServe(ctx context.Context, withSample bool) (err error) {
	a, err := c.open(ctx, write)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	var api *httpapi.API
	var runner usecase.Runner
	var log eventlog.Log
	app, err := a.wire(fx.Options(fx.Populate(&api, &runner, &log), fx.Invoke(module.Routes, background)))
	if err != nil {
		return err
	}
	server, err := httpapi.Listen(ctx, httpapi.ServerConfig{
		Addr: a.config.HTTP.Addr, ShutdownTimeout: a.config.HTTP.ShutdownTimeout, Logger: a.logger, OnStop: api.Stop,
	}, api)
	if err != nil {
		return err
	}
	if err := app.Start(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	defer func() { err = errors.Join(err, app.Stop(context.WithoutCancel(ctx))) }()
	if withSample {
		if err := c.fillWithSample(ctx, a, runner, log); err != nil {
			return errors.Join(err, server.Close())
		}
	}
	if _, err := fmt.Fprintf(c.out, "Accession listens on %s, its data lies in %s\n", server.URL(), a.db.Location()); err != nil {
		return errors.Join(err, server.Close())
	}
	return server.Serve(ctx)
}

// sampleLibrary is the name of the library that --sample makes.
const sampleLibrary = "Sample library"

// fillWithSample fills an empty database, or finishes what an earlier run, killed half-way, began. A database that has
// anything else in it is left alone.
func (c *cli) fillWithSample(ctx context.Context, a *app, runner usecase.Runner, log eventlog.Reader) error {
	first, err := eventlog.Collect(log.Read(ctx, eventlog.Query{Limit: 1}))
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
	report, err := exchange.Importer{Runner: runner, Log: log, Actor: sampleActor, Progress: bar.tick}.Gutenberg(ctx, sampleLibrary, catalogue)
	bar.finish()
	if err != nil {
		return err
	}
	a.logger.InfoContext(ctx, "sample", "categories", report.Categories.Created, "books", report.Books.Created, "editions", report.Editions.Created)
	return nil
}

// sampleActor is recorded as the actor of everything in the sample, which tells a database that has nothing else in it.
const sampleActor = "cli:sample"
