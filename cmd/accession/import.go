package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"accession/modules/exchange"
	"accession/modules/exchange/gutenberg"
	"accession/platform/config"
	"accession/platform/consistency"
	"accession/platform/database"
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
gutenberg is Project Gutenberg's catalogue feed; jsonl and csv are what "accession export" writes.
A jsonl file imported into an empty library gives everything its number back, and so its reference, and books that were
moved their former ones; with a row that would be refused, the whole file is. Into any other library, and from csv,
numbers are assigned anew.
Importing a file again does nothing twice; an import that was interrupted goes on where it ended. A row of a feed that
was imported before with other content is reported as differing, and what the catalogue has stays.
Exit status 4 means that the catalogue refused some rows; --report says which and why.`,
		Example: "  accession import pg_catalog.csv --format gutenberg\n  accession import pg_catalog.csv --format gutenberg --library \"City library\" --report report.jsonl\n  accession import catalogue.jsonl --format jsonl",
		Args:    oneArg("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			if !cmd.Flags().Changed("library") && o.format != "jsonl" { // which says what its libraries are called
				o.library = strings.TrimSuffix(filepath.Base(o.file), filepath.Ext(o.file))
			}
			switch {
			case !slices.Contains(importFormats, o.format):
				return usage(cmd, "--format is %q: use gutenberg, csv or jsonl.", o.format)
			case o.format == "jsonl" && cmd.Flags().Changed("library") && o.library == "":
				return usage(cmd, "--library is empty: use a name.")
			case o.workers < 1 || o.workers > 256:
				return usage(cmd, "--workers is %d: use 1 to 256.", o.workers)
			}
			o.idleWorkers = cmd.Flags().Changed("workers") && o.workers > 1 && o.format != "gutenberg"
			return c.runImport(cmd.Context(), o)
		},
	}
	databaseFlag(cmd)
	cmd.Flags().StringVar(&o.library, "library", "", "`NAME` of the library to import into (default: the file's name; jsonl: the libraries of the file)")
	cmd.Flags().StringVar(&o.format, "format", "gutenberg", "`FORMAT` of the file: gutenberg, csv or jsonl")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "look at everything, store nothing")
	cmd.Flags().IntVar(&o.workers, "workers", 4, "fill `N` categories of a gutenberg file at once; one worker imports csv and jsonl")
	cmd.Flags().StringVar(&o.report, "report", "", "write what became of each row to `FILE`, one JSON object a line")
	choices(cmd, "format", importFormats...)
	return cmd
}

var importFormats = []string{"gutenberg", "csv", "jsonl"}

type importOptions struct {
	file, library, format, report string
	dryRun                        bool
	workers                       int
	idleWorkers                   bool // more of them were asked for than there is use for
}

func (c *cli) runImport(ctx context.Context, o importOptions) (err error) {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	file, err := readCatalogue(o.file, o.format)
	if err != nil {
		return err
	}
	if o.library != "" || o.format != "jsonl" {
		if o.library, err = exchange.LibraryName(o.library); err != nil {
			return err
		}
	}
	report, err := c.openReport(o.report, append(databaseFiles(cfg.Database.URL), o.file)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, report.close()) }()
	im := exchange.Importer{Actor: actor(), Workers: o.workers, DryRun: o.dryRun}
	done, err := c.importInto(ctx, cfg, &im)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if o.idleWorkers {
		_, _ = fmt.Fprintf(c.err, "--workers has no effect on %s: one worker imports the file.\n", o.format)
	}
	if o.format == "csv" {
		_, _ = fmt.Fprintln(c.err, "A csv file carries no numbers: they are assigned anew, and references may change.")
	}
	bar := c.bar(file.rows, "import")
	im.Progress = bar.tick
	r, err := file.into(ctx, im, o.library)
	bar.finish()
	if err != nil && r.Library == "" {
		return err // it had not begun
	}
	if o.format == "jsonl" && r.Anew {
		_, _ = fmt.Fprintln(c.err, "The library was not empty, or not everything could be taken: numbers are assigned anew, references may differ from the file's, and former ones may be missing.")
	}
	if err = errors.Join(stopped(ctx, err, r, file.editions, "accession import"), report.write(r)); err != nil {
		return err
	}
	return c.summary(o, r)
}

// stopped is the error of an import that ended early: how far it came, and that another run goes on from there.
func stopped(ctx context.Context, err error, r *exchange.Report, editions int, command string) error {
	if err == nil || r.DryRun {
		return err
	}
	p := *explain(ctx, err)
	if errors.Is(&p, consistency.ErrOutcomeUnknown) {
		p.Message = "The connection to the database was lost." // whether the last row is in, the next run finds out
	}
	p.Message = fmt.Sprintf("%s The import had come to %d of %d editions: run `%s` again, and it goes on from there.",
		p.Message, r.Editions.Created+r.Editions.Present, editions, command)
	return &p
}

// importInto gives the importer a runner and a log. A dry run needs only to read, and does without a database. done stops what
// was started.
func (c *cli) importInto(ctx context.Context, cfg config.Config, im *exchange.Importer) (done func() error, err error) {
	access := write
	if im.DryRun {
		access = look
		empty, err := hasNothing(ctx, cfg)
		if err != nil {
			return nil, err
		}
		if empty {
			im.Log = logmemory.New(nil, 0)
			return func() error { return nil }, nil
		}
	}
	a, err := c.openWith(ctx, cfg, access)
	if err != nil {
		return nil, err
	}
	var log eventlog.Log
	var runner usecase.Runner
	app, err := a.wire(fx.Populate(&log, &runner))
	if err == nil {
		err = app.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, a.db.Close())
	}
	im.Log, im.Runner = log, runner
	return func() error { return errors.Join(stopApp(ctx, app), a.db.Close()) }, nil
}

// hasNothing reports whether there is no database yet, or one without tables.
func hasNothing(ctx context.Context, cfg config.Config) (bool, error) {
	db, err := openDatabase(ctx, cfg, look)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err == nil, err
	}
	defer func() { _ = db.Close() }() // nothing was written
	all, err := database.Status(ctx, db, nil)
	return !slices.ContainsFunc(all, func(m database.Migration) bool { return !m.AppliedAt.IsZero() }), err
}

// summary prints what an import did.
func (c *cli) summary(o importOptions, r *exchange.Report) error {
	if c.output == "json" || c.output == "ndjson" {
		if err := c.object(r); err != nil {
			return err
		}
	} else {
		l := c.list(false, "", "created", "present", "refused")
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
		what := "imported into"
		if r.DryRun {
			what = "looked at, nothing was stored in"
		}
		into := "the libraries of the file"
		if o.library != "" {
			into = strconv.Quote(o.library)
		}
		differs := ""
		if r.Differs > 0 {
			differs = fmt.Sprintf(", %d differ from what was imported before", r.Differs)
		}
		if _, err := fmt.Fprintf(c.out, "%d rows %s %s: %d skipped, %d with a warning%s\n", r.Rows, what, into, r.Skipped, r.Warned, differs); err != nil {
			return err
		}
		if o.report == "" {
			c.remarks(r)
		}
	}
	if n := r.Refusals(); n > 0 {
		return problem.New(problem.Conflict, "rows-refused", "Refused: %d. With --report FILE every row is listed with the reason.", n)
	}
	return nil
}

// remarks shows on stderr the rows that the user should look at.
func (c *cli) remarks(r *exchange.Report) {
	const most = 20
	shown := 0
	for _, l := range r.Lines() {
		remark := l.Warning
		if l.Outcome == exchange.Refused || l.Outcome == exchange.Differs {
			remark = string(l.Outcome) + ": " + l.Detail
		}
		if remark == "" {
			continue
		}
		if shown++; shown > most {
			_, _ = fmt.Fprintln(c.err, "… and more: --report FILE lists everything.")
			return
		}
		_, _ = fmt.Fprintf(c.err, "line %d (%s): %s\n", l.Line, l.Key, remark)
	}
}

// reportFile is the file that --report names; nil without one.
type reportFile struct {
	*os.File
	made    bool // it was not there before
	shared  bool // it is where our own output goes
	written bool
}

// openReport sees to it that the file can be written before anything is stored: afterwards would be too late. What is in it
// stays until there is a report. It must not be any of the others. Where it is standard output or standard error (/dev/stdout, or
// the file that it was sent to), it is written in the line of what else is: opened anew, one would overwrite the other.
func (c *cli) openReport(name string, others ...string) (*reportFile, error) {
	if name == "" {
		return nil, nil
	}
	for _, other := range others {
		if sameFile(name, other) {
			return nil, problem.New(problem.Usage, "usage", "--report would overwrite %s. Name another file.", other)
		}
	}
	there, err := os.Stat(name)
	for _, own := range []any{c.out, c.err} {
		f, ok := own.(*os.File)
		if !ok || err != nil {
			continue
		}
		if mine, err := f.Stat(); err == nil && os.SameFile(there, mine) {
			return &reportFile{File: f, shared: true}, nil
		}
	}
	made := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fileError("write", name, err)
	}
	return &reportFile{File: f, made: made}, nil
}

func (f *reportFile) write(r *exchange.Report) error {
	if f == nil {
		return nil
	}
	f.written = true
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && !f.shared { // and not a pipe, or a terminal
		if err := f.Truncate(0); err != nil {
			return fileError("write", f.Name(), err)
		}
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(r.WriteLines(w), w.Flush()); err != nil {
		return fileError("write", f.Name(), err)
	}
	return nil
}

// close leaves no empty file behind.
func (f *reportFile) close() error {
	if f == nil || f.shared {
		return nil
	}
	err := f.Close()
	if f.made && !f.written {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// databaseFiles are the names of all files of a SQLite database.
func databaseFiles(url string) (names []string) {
	path, is := strings.CutPrefix(url, "sqlite:")
	if !is {
		return nil
	}
	paths := []string{path}
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		paths = append(paths, target) // beside which the others are
	}
	for _, path := range paths {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".lock"} {
			names = append(names, path+suffix)
		}
	}
	return names
}

// sameFile reports whether two names are of one file, also of one that is not there yet.
func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	if errX == nil && errY == nil {
		return os.SameFile(x, y)
	}
	a, errX = filepath.Abs(a)
	b, errY = filepath.Abs(b)
	return errX == nil && errY == nil && a == b
}

// catalogueFile is a file to import, read and found to be in order.
type catalogueFile struct {
	rows, editions int
	into           func(ctx context.Context, im exchange.Importer, library string) (*exchange.Report, error)
}

func readCatalogue(name, format string) (_ catalogueFile, err error) {
	f, err := os.Open(name)
	if err != nil {
		return catalogueFile{}, fileError("read", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	file, err := parse(f, format)
	if wrong := (*fs.PathError)(nil); errors.As(err, &wrong) {
		return file, fileError("read", name, err)
	}
	return file, err
}

func parse(f *os.File, format string) (catalogueFile, error) {
	if format == "gutenberg" {
		c, err := gutenberg.Parse(f)
		if err != nil {
			return catalogueFile{}, err
		}
		return catalogueFile{c.Rows, editionsIn(c), func(ctx context.Context, im exchange.Importer, library string) (*exchange.Report, error) {
			return im.Gutenberg(ctx, library, c)
		}}, nil
	}
	read := exchange.ParseCSV
	if format == "jsonl" {
		read = exchange.ParseJSONL
	}
	c, err := read(f)
	if err != nil {
		return catalogueFile{}, err
	}
	return catalogueFile{c.Rows, c.Editions(), func(ctx context.Context, im exchange.Importer, library string) (*exchange.Report, error) {
		return im.Catalogue(ctx, library, c)
	}}, nil
}

// editionsIn counts the editions of a feed.
func editionsIn(c *gutenberg.Catalogue) int {
	n := 0
	for _, cat := range c.Categories {
		for _, b := range cat.Books {
			n += len(b.Editions)
		}
	}
	return n
}

// fileError says why a file of the user's cannot be used: doing is "read" or "write".
func fileError(doing, name string, err error) error {
	switch {
	case errors.Is(err, syscall.EISDIR):
		return problem.New(problem.Usage, "file-is-directory", "%s is a directory. Name a file.", name)
	case errors.Is(err, fs.ErrNotExist) && doing == "write":
		return problem.New(problem.NotFound, "file-not-found", "There is no directory %s. Create it, or name another file.", filepath.Dir(name))
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.NotFound, "file-not-found", "There is no file %s. Check its name, and where you are.", name)
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.Unavailable, "file-forbidden", "This user may not %s %s. Change its permissions, or name another file.", doing, name)
	}
	return problem.New(problem.Unavailable, "file-unusable", "It is not possible to %s %s. Name another file.", doing, name).Because(err)
}
