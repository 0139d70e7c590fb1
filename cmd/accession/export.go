package main

import (
	"context"
	"fmt"

	"accession/modules/exchange"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/event"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/problem"

	"github.com/spf13/cobra"
	"github.com/uptrace/bun"
	"go.uber.org/fx"
)

func (c *cli) exportFile() *cobra.Command {
	var only, format string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Export the current catalogue",
		Long: `Writes the catalogue as it is now, from the log, to standard output; it can run beside a server.
jsonl has everything, with ids, numbers and references, also the former ones of books that were moved: imported into an
empty database it gives the same catalogue with the same references. csv has a row for each live edition, and no
numbers: references may change when it is imported.`,
		Example: "  accession export > catalogue.jsonl\n  accession export --library 0192f3… --format csv > catalogue.csv",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "jsonl" && format != "csv" {
				return usage(cmd, "--format is %q: use jsonl or csv.", format)
			}
			var id libraryevents.LibraryID
			if cmd.Flags().Changed("library") && id.UnmarshalText([]byte(only)) != nil {
				return usage(cmd, "--library is %q: use the id of a library.", only)
			}
			return c.runExport(cmd.Context(), id, format)
		},
	}
	databaseFlag(cmd)
	cmd.Flags().StringVar(&only, "library", "", "only the library with this `ID`")
	cmd.Flags().StringVar(&format, "format", "jsonl", "`FORMAT` of the file: jsonl or csv")
	choices(cmd, "format", "jsonl", "csv")
	return cmd
}

func (c *cli) runExport(ctx context.Context, only libraryevents.LibraryID, format string) error {
	a, err := c.open(ctx, look)
	if err != nil {
		return err
	}
	defer func() { _ = a.db.Close() }() // nothing was written
	var registry *event.Registry
	if _, err := a.wire(fx.Populate(&registry)); err != nil {
		return err
	}
	var all *exchange.Catalogue
	err = a.db.Snapshot(ctx, func(ctx context.Context, db bun.IDB) error {
		all, err = exchange.Read(ctx, logdb.NewReader(db, registry), only)
		return err
	})
	switch {
	case err != nil:
		return err
	case !only.IsZero() && len(all.Libraries) == 0:
		return library.ErrLibraryNotFound
	case format == "csv" && len(all.Libraries) > 1:
		return problem.New(problem.Usage, "several-libraries", "There are %d libraries, and a csv file holds one. Name it with --library.", len(all.Libraries))
	case format == "csv":
		_, _ = fmt.Fprintln(c.err, "A csv file carries no numbers: references may change when it is imported.")
		return all.WriteCSV(c.out)
	}
	return all.WriteJSONL(c.out)
}
