package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"accession/modules/exchange"
	"accession/modules/exchange/gutenberg"
	"accession/platform/eventlog"
	logmemory "accession/platform/eventlog/memory"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
)

func (c *cli) importFile() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import a catalogue from a file",
		Long: `Creates the library if it is missing, then categories, books and editions, through the ordinary commands.
Importing a file again does nothing twice; an import that was interrupted goes on where it ended.
Exit status 4 means that the catalogue refused some rows; --report says which and why.`,
		Example: "  accession import pg_catalog.csv --format gutenberg\n  accession import pg_catalog.csv --format gutenberg --library \"City library\" --report report.jsonl",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return c.runImport(cmd.Context(), o)
		},
	}
	databaseFlag(cmd)
	cmd.Flags().StringVar(&o.library, "library", "", "name of the library to import into (default: the file's name)")
	cmd.Flags().StringVar(&o.format, "format", "gutenberg", "format of the file: gutenberg")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "look at everything, store nothing")
	cmd.Flags().IntVar(&o.workers, "workers", 4, "how many categories are filled at once")
	cmd.Flags().StringVar(&o.report, "report", "", "write what became of each row to this file, as one JSON object a line")
	return cmd
}

type importOptions struct {
	file, library, format, report string
	dryRun                        bool
	workers                       int
}

func (c *cli) runImport(ctx context.Context, o importOptions) (err error) {
	if o.format != "gutenberg" {
		return problem.New(problem.Usage, "usage", "--format is %q: use gutenberg.", o.format)
	}
	if o.workers < 1 || o.workers > 256 {
		return problem.New(problem.Usage, "usage", "--workers is %d: use 1 to 256.", o.workers)
	}
	catalogue, err := readCatalogue(o.file)
	if err != nil {
		return err
	}
	if o.library == "" {
		o.library = strings.TrimSuffix(filepath.Base(o.file), filepath.Ext(o.file))
	}
	var report *os.File
	if o.report != "" { // before anything is stored: a report that cannot be written is found out too late otherwise
		if report, err = os.Create(o.report); err != nil {
			return fileError("write", o.report, err)
		}
		defer func() { err = errors.Join(err, report.Close()) }()
	}
	im := exchange.Importer{Actor: actor(), Workers: o.workers, DryRun: o.dryRun}
	done, err := c.importInto(ctx, o.dryRun, &im)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	bar := c.bar(catalogue.Rows, "import")
	im.Progress = bar.tick
	r, err := im.Gutenberg(ctx, o.library, catalogue)
	bar.finish()
	if report != nil {
		w := bufio.NewWriter(report)
		err = errors.Join(err, r.WriteLines(w), w.Flush())
	}
	if err != nil {
		if ctx.Err() != nil {
			err = problem.New(problem.Internal, "interrupted", "interrupted")
		}
		_, _ = fmt.Fprintf(c.err, "The import stopped after %d editions. Run it again to go on from there.\n", r.Editions.Created+r.Editions.Present)
		return err
	}
	return c.summary(r, o.report)
}

// importInto gives the importer a runner and a log. A dry run needs only to read, and does without a database that is not
// there yet. done stops what was started.
func (c *cli) importInto(ctx context.Context, dryRun bool, im *exchange.Importer) (done func() error, err error) {
	access := write
	if dryRun {
		access = look
	}
	a, err := c.open(ctx, access)
	if dryRun && errors.Is(err, fs.ErrNotExist) {
		im.Log = logmemory.New(nil, 0)
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	var log eventlog.Log
	var runner usecase.Runner
	if _, err := a.wire(fx.Populate(&log, &runner)); err != nil {
		return nil, errors.Join(err, a.db.Close())
	}
	im.Log, im.Runner = log, runner
	return a.db.Close, nil
}

func (c *cli) summary(r *exchange.Report, report string) error {
	l := c.list(false, "", "created", "present", "refused")
	if c.output == "json" || c.output == "ndjson" {
		if err := c.object(r); err != nil {
			return err
		}
	} else {
		for _, row := range []struct {
			name string
			exchange.Counts
		}{{"categories", r.Categories}, {"books", r.Books}, {"editions", r.Editions}} {
			if err := l.add(nil, row.name, row.Created, row.Present, row.Refused); err != nil {
				return err
			}
		}
		if err := l.end(); err != nil {
			return err
		}
		what := "imported"
		if r.DryRun {
			what = "looked at, nothing was stored"
		}
		if _, err := fmt.Fprintf(c.out, "%d rows %s, %d of them skipped, %d warned about\n", r.Rows, what, r.Skipped, r.Warned); err != nil {
			return err
		}
		c.remarks(r, report)
	}
	if n := r.Refusals(); n > 0 {
		return problem.New(problem.Conflict, "rows-refused", "%d things were refused. With --report FILE every one is listed with its reason.", n)
	}
	return nil
}

// remarks shows on stderr what the user should look at, as far as it is not in a report.
func (c *cli) remarks(r *exchange.Report, report string) {
	if report != "" {
		return
	}
	shown := 0
	for _, l := range r.Lines() {
		if l.Outcome != exchange.Refused && l.Outcome != exchange.Warned {
			continue
		}
		if shown++; shown > 20 {
			_, _ = fmt.Fprintln(c.err, "… and more; --report FILE lists everything")
			return
		}
		_, _ = fmt.Fprintf(c.err, "line %d (%s) %s: %s %s\n", l.Line, l.Key, l.Outcome, l.Code, l.Detail)
	}
}

func readCatalogue(name string) (_ *gutenberg.Catalogue, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fileError("read", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, problem.New(problem.Usage, "file-is-directory", "%s is a directory. Name a file.", name)
	}
	return gutenberg.Parse(bufio.NewReaderSize(f, 1<<20))
}

// fileError says why a file of the user's cannot be used.
func fileError(doing, name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.NotFound, "file-not-found", "Cannot %s %s: there is no such file or directory.", doing, name)
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.Unavailable, "file-forbidden", "Cannot %s %s: this user may not.", doing, name)
	}
	return problem.New(problem.Unavailable, "file-unusable", "Cannot %s %s.", doing, name).Because(err)
}
