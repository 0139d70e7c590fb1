package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"

	"accession/platform/database"
	"accession/platform/problem"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// cli is one invocation of the binary.
type cli struct {
	system
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
	p := explain(ctx, err)
	fmt.Fprintln(sys.err, "accession:", p.Message)
	// Of a missing file and of a wrong command line the message says all there is.
	if p.Cause != nil && p.Kind != problem.Usage && !errors.Is(p.Cause, fs.ErrNotExist) {
		fmt.Fprintln(sys.err, "  cause:", strings.ReplaceAll(p.Cause.Error(), "\n", "\n         "))
	}
	return p.Kind.Exit()
}

// explain is what the user is told of an error.
func explain(ctx context.Context, err error) *problem.Error {
	var p *problem.Error
	known := errors.As(err, &p)
	var file *fs.PathError
	switch {
	case ctx.Err() != nil && (!known || errors.Is(err, context.Canceled)): // a driver has words of its own for it
		return problem.New(problem.Internal, "interrupted", "Interrupted.")
	case known:
		return p
	case database.IsConnection(err):
		return problem.New(problem.Unavailable, "database-unavailable",
			"The connection to the database was lost. Try again when it is back.").Because(err)
	case errors.As(err, &file) && file.Path == os.Stdout.Name():
		return problem.New(problem.Internal, "output", "The output could not be written.").Because(err)
	}
	return problem.New(problem.Internal, "", "Something is wrong that should never be, in the database or in accession itself. Run `accession verify`, and report this with its cause.").Because(err)
}

func (c *cli) root() *cobra.Command {
	root := group("accession", "A library catalogue whose rules choose their own consistency",
		"  accession serve --sample\n  accession import pg_catalog.csv --format gutenberg\n  accession verify",
		c.serve(), c.importFile(), c.exportFile(), c.events(), c.constraints(), c.lab(), c.verify(), c.migrate(), c.configuration(), c.version())
	root.Long = `Accession is a library catalogue. Every category, book and edition gets a number within its parent;
the three together are its reference, 3.14.2.

Data goes to standard output, everything else to standard error. The exit status is 0 when it is done, 1 when it
failed, 2 for a wrong command line or configuration, 3 when something was not found, 4 for a conflict or a refusal,
5 when something is not available: the database, the address.`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if c.output != "" && c.output != "table" && c.output != "json" && c.output != "ndjson" {
			return usage(cmd, "--output is %q: use table, json or ndjson.", c.output)
		}
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if key, ok := f.Annotations[keyAnnotation]; ok {
				c.flags[key[0]] = f.Value.String()
			}
		})
		return nil
	}
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringVar(&c.config, "config", "", "read the configuration `FILE` (default $ACCESSION_CONFIG)")
	root.PersistentFlags().StringVarP(&c.output, "output", "o", "",
		"`FORMAT` of the data: table, json or ndjson (default table; ndjson in a pipe where rows may be many)")
	choices(root, "output", "table", "json", "ndjson")
	root.SetHelpCommand(help())
	root.InitDefaultHelpCmd()
	completion(root)
	for _, cmd := range below(root) {
		if cmd.ValidArgsFunction == nil && !strings.Contains(cmd.Use, "FILE") {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	return root
}

// below is a command and all that are below it.
func below(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		all = append(all, below(c)...)
	}
	return all
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
	setting(cmd, "database", "database.url", "`URL` of the database: sqlite:PATH, sqlite::memory: or postgres://… (default sqlite:accession.db)")
}

// choices completes a flag by the words that it takes.
func choices(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// group is a command that only has others below it.
func group(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short, Example: example, Args: subcommand, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	g.AddCommand(commands...)
	return g
}

// subcommand refuses an argument of a group: it should have been one of its commands.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	guess := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		guess = fmt.Sprintf(" Did you mean %s?", strings.Join(near, " or "))
	}
	return usage(cmd, "There is no command %q.%s", cmd.CommandPath()+" "+args[0], guess)
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, "%s takes no arguments, but there is %q.", cmd.CommandPath(), args[0])
	}
	return nil
}

// oneArg takes exactly one argument, which help calls by that name.
func oneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usage(cmd, "%s needs a %s.", cmd.CommandPath(), name)
		case 1:
			return nil
		}
		return usage(cmd, "%s takes one %s, but there is also %q.", cmd.CommandPath(), name, args[1])
	}
}

// flagError says what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		return usage(cmd, "--%s needs a value.", missing.GetFlag().Name)
	case errors.As(err, &unknown):
		name := "--" + unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			name = name[1:]
		}
		return usage(cmd, "%s has no flag %s.", cmd.CommandPath(), name)
	case errors.As(err, &wrong):
		want := "a whole number"
		switch wrong.GetFlag().Value.Type() {
		case "bool":
			want = "true or false"
		case "duration":
			want = "a time such as 3s"
		case "intSlice":
			want = "whole numbers, with commas"
		}
		return usage(cmd, "--%s is %q: use %s.", wrong.GetFlag().Name, wrong.GetValue(), want)
	}
	return usage(cmd, "%v.", err)
}

// usage is the error of a command line that cannot be understood.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return problem.New(problem.Usage, "usage", "%s See `%s --help`.", fmt.Sprintf(format, args...), cmd.CommandPath())
}

func help() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "How a command is used",
		Example: "  accession help import\n  accession help events tail",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			above, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range above.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return usage(cmd.Root(), "There is no command %q.", about.CommandPath()+" "+rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// completion adds cobra's command that writes completion scripts, in our manners.
func completion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Short = "A script that lets your shell complete commands and flags"
		c.Long = "Writes a script that lets your shell complete accession's commands and flags. The help of each says how to load it."
		c.Example = "  source <(accession completion bash)"
		c.Args, c.SuggestionsMinimumDistance = subcommand, 2
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range c.Commands() {
			shell.Short = "For " + shell.Name()
			shell.Example = "  accession completion " + shell.Name()
			shell.Args = noArgs
		}
	}
}

// actor is who is recorded for what the command line does.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "cli:" + u.Username
	}
	return "cli:unknown"
}
