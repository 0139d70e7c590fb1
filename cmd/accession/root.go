package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"

	"accession/platform/problem"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// cli is one invocation of the binary.
type cli struct {
	system
	ran      bool              // a command has begun: from here on an error is not about the command line
	config   string            // --config
	flags    map[string]string // flags that set a key of the configuration, by key, if they were given
	output   string            // --output
	terminal bool              // stdout is one
}

// run runs the command line and gives the exit status.
func run(ctx context.Context, args []string, sys system) int {
	c := &cli{system: sys, flags: map[string]string{}, terminal: isTerminal(sys.out)}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(sys.in)
	root.SetOut(sys.out)
	root.SetErr(sys.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var p *problem.Error
	switch {
	case errors.As(err, &p):
	case !c.ran: // cobra's own words about arguments and flags
		p = problem.New(problem.Usage, "usage", "%v. See accession %s--help.", err, commandPath(root, args))
	case errors.Is(err, context.Canceled):
		p = problem.New(problem.Internal, "interrupted", "interrupted")
	default:
		fmt.Fprintln(sys.err, "accession:", err)
		return problem.Internal.Exit()
	}
	fmt.Fprintln(sys.err, "accession:", p.Message)
	if p.Cause != nil && p.Kind != problem.Usage {
		fmt.Fprintln(sys.err, "  cause:", p.Cause)
	}
	return p.Kind.Exit()
}

// commandPath is how far the arguments name a command, to point to its help.
func commandPath(root *cobra.Command, args []string) string {
	cmd, _, err := root.Find(args)
	if err != nil || cmd == root {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ") + " "
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "accession",
		Short: "A library catalogue whose rules choose their own consistency",
		Long: `Accession is a library catalogue. Every category, book and edition gets a number within its parent;
the three together are its reference, 3.14.2.`,
		Example:       "  accession serve --sample\n  accession import pg_catalog.csv --format gutenberg\n  accession verify",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if c.output != "" && c.output != "table" && c.output != "json" && c.output != "ndjson" {
				return problem.New(problem.Usage, "usage", "--output is %q: use table, json or ndjson.", c.output)
			}
			cmd.Flags().Visit(func(f *pflag.Flag) {
				if key, ok := f.Annotations[keyAnnotation]; ok {
					c.flags[key[0]] = f.Value.String()
				}
			})
			c.ran = true
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: cobra.NoArgs,
	}
	root.PersistentFlags().StringVar(&c.config, "config", "", "configuration file (default $ACCESSION_CONFIG)")
	root.PersistentFlags().StringVarP(&c.output, "output", "o", "", "table, json or ndjson (default: table on a terminal)")
	root.AddCommand(
		c.serve(), c.importFile(), c.events(), c.constraints(), c.verify(), c.migrate(), c.configuration(), c.version(),
	)
	return root
}

// keyAnnotation marks a flag that sets a key of the configuration.
const keyAnnotation = "accession.key"

// setting adds a flag that sets the key.
func setting(cmd *cobra.Command, flag, key, usage string) {
	cmd.Flags().String(flag, "", usage)
	cmd.Flags().Lookup(flag).Annotations = map[string][]string{keyAnnotation: {key}}
}

// databaseFlag adds --database.
func databaseFlag(cmd *cobra.Command) {
	setting(cmd, "database", "database.url", "sqlite:PATH, sqlite::memory: or postgres://… (default sqlite:accession.db)")
}

// group is a command that only has others below it.
func group(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	g.AddCommand(commands...)
	return g
}

// actor is who is recorded for what the command line does.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "cli:" + u.Username
	}
	return "cli:unknown"
}
