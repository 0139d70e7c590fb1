package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"accession/modules/lab"
	"accession/platform/module"

	"github.com/jedib0t/go-pretty/v6/table"
	jtext "github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

// labOptions are what the command line says of a run.
type labOptions struct {
	constraint, output string
	modes              []string
	writers            int
	scopes             []int
	duration           time.Duration
	http               bool
}

var labOutputs = []string{"table", "json", "ndjson", "html"}

func (c *cli) lab() *cobra.Command {
	var o labOptions
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Measure what each consistency mode costs on your database",
		Long: `Lets writers run one command again and again, without a pause, and measures each mode: how many a second are
accepted, rejected (a rival was faster) and refused (busy, full), attempts, latencies and batches; over one hot scope
and over many. The mode "sql" is the yardstick: the same rows in the same tables, written by hand without the log's
order. The modes take turns, so ratios within one run are fair; figures of two machines, or two days, are not.

It works beside the catalogue's data, in a schema or a file of its own, which it removes at the end; what a lab that
was killed has left, the next one removes. The catalogue may be in use, and need not be there yet. The disk and the
machine are the same, though: what is served meanwhile is slower.

After each turn the log is read for duplicates and gaps. If there is one, the exit status is 1.`,
		Example: "  accession lab\n" +
			"  accession lab --constraint book-number --modes sql,lock,queue --scopes 1\n" +
			"  accession lab --duration 10s --output html > lab.html",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.output != "" && !slices.Contains(labOutputs, o.output) {
				return usage(cmd, "--output is %q: use table, json, ndjson or html.", o.output)
			}
			return c.runLab(cmd.Context(), o)
		},
	}
	databaseFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&o.constraint, "constraint", "book-number", "measure the constraint `NAME`: "+strings.Join(lab.Constraints(), ", "))
	f.StringSliceVar(&o.modes, "modes", []string{"all"}, "`MODES` to compare, with commas: all, or some of those the constraint can be kept in and sql; queue+http goes through the API")
	f.IntVar(&o.writers, "writers", 32, "let `N` write at a time")
	f.IntSliceVar(&o.scopes, "scopes", []int{1, 1000}, "over `N` scopes; several numbers, with commas, one after another")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "run each mode for this `TIME`, all its turns together")
	f.BoolVar(&o.http, "http", false, "measure each mode a second time, as requests to the API of a server in this process")
	f.StringVarP(&o.output, "output", "o", "", "`FORMAT` of the data: table, json, ndjson or html, a page of its own with plots (default table)")
	choices(cmd, "constraint", lab.Constraints()...)
	choices(cmd, "output", labOutputs...)
	return cmd
}

func (c *cli) runLab(ctx context.Context, o labOptions) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	set, err := module.Constraints(modules)
	if err != nil {
		return err
	}
	s, err := settings(cfg, set)
	if err != nil {
		return err
	}
	run := lab.Config{
		Constraint: o.constraint, Modes: o.modes, Writers: o.writers, Scopes: o.scopes, Duration: o.duration,
		Settings: s, Database: databaseConfig(cfg, write),
	}
	if slices.Equal(o.modes, []string{"all"}) {
		if run.Modes, err = lab.Modes(o.constraint); err != nil {
			return err
		}
	}
	if o.http {
		run.Modes = alsoHTTP(run.Modes)
	}
	if err := run.Check(); err != nil { // before a bar is drawn
		return err
	}
	bar := c.bar(run.Turns(), "lab")
	run.Turned = bar.tick
	run.Began = func(scopes int, place string) {
		_, _ = fmt.Fprintf(c.err, "%s: writers: %d, scopes: %d, modes: %d, each for %v, in %s\n", o.constraint, o.writers, scopes, len(run.Modes), o.duration, place)
	}
	rows, err := lab.Run(ctx, run)
	bar.finish()
	if err != nil {
		return err
	}
	if o.output == "html" {
		err = lab.Report{Constraint: o.constraint, Version: buildVersion().Version, Taken: time.Now(), Duration: o.duration, Rows: rows}.WriteHTML(c.out)
	} else {
		c.output = o.output
		err = c.labRows(rows)
	}
	return errors.Join(err, lab.Broken(rows))
}

// alsoHTTP adds each mode a second time, as it is asked over HTTP, unless it is there already. The yardstick has no API.
func alsoHTTP(modes []string) []string {
	all := slices.Clone(modes)
	for _, m := range modes {
		if asked := m + lab.HTTP; m != lab.SQL && !strings.HasSuffix(m, lab.HTTP) && !slices.Contains(all, asked) {
			all = append(all, asked)
		}
	}
	return all
}

// labRows lists what was measured.
func (c *cli) labRows(rows []lab.Row) error {
	columns := []string{"mode", "scopes", "accepted/s", "× sql", "rejected/s", "refused/s", "attempts", "p50 ms", "p95 ms", "p99 ms", "batch", "settled s", "duplicates", "gaps"}
	l := c.list(false, columns...)
	if l.table != nil {
		var right []table.ColumnConfig
		for i := range columns[1:] {
			right = append(right, table.ColumnConfig{Number: i + 2, Align: jtext.AlignRight, AlignHeader: jtext.AlignRight})
		}
		l.table.SetColumnConfigs(right)
	}
	for _, r := range rows {
		ratio, settled := "", ""
		if x, ok := lab.Ratio(rows, r); ok {
			ratio = decimals(x, 2)
		}
		if r.Settled != nil {
			settled = decimals(*r.Settled, 3)
		}
		err := l.add(r, r.Mode, r.Scopes, decimals(r.Accepted, 0), ratio, decimals(r.Rejected, 0), decimals(r.Refused, 0), decimals(r.Attempts, 2),
			decimals(r.P50, 1), decimals(r.P95, 1), decimals(r.P99, 1), decimals(r.Batch, 1), settled, r.Duplicates, r.Gaps)
		if err != nil {
			return err
		}
	}
	return l.end()
}

func decimals(x float64, n int) string { return strconv.FormatFloat(x, 'f', n, 64) }
