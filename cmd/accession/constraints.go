package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"accession/modules/operations"
	"accession/modules/operations/operationsevents"
	"accession/platform/config"
	"accession/platform/consistency"
	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	logmemory "accession/platform/eventlog/memory"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/tally"
	"accession/platform/usecase"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
)

func (c *cli) constraints() *cobra.Command {
	return group("constraints", "The rules that cross aggregates, and how each is kept",
		"  accession constraints list\n  accession constraints mode book-number queue --reason \"the sale begins\"", c.constraintsList(), c.constraintsMode())
}

func (c *cli) constraintsList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Every constraint: how it is kept, how that goes, and advice",
		Long: `Lists every constraint with the mode it is kept in and how that went in the last five minutes, in all processes on
the database. Then, where something happened: attempts by outcome, in the last minute and the last five; waits; the lane;
the hottest scopes; and advice where a figure has passed a threshold. json and ndjson have all of it in one object for each
constraint, and the rule in words.
It changes nothing, and can run beside a server, whose figures are some seconds old.`,
		Example: "  accession constraints list\n  accession constraints list --output json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runConstraintsList(cmd.Context()) },
	}
	databaseFlag(cmd)
	return cmd
}

func (c *cli) runConstraintsList(ctx context.Context) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	all, err := c.overview(ctx, cfg)
	if err != nil {
		return err
	}
	l := c.list(false, "constraint", "mode", "scope", "kind", "can be", "conflicts")
	for _, o := range all {
		mode := o.Mode
		if o.Live != nil {
			mode += " (live)"
		}
		figures := o.LastFiveMinutes
		conflicts := ""
		if figures.Attempts > 0 {
			conflicts = fmt.Sprintf("%.1f %%", 100*figures.ConflictRate)
		}
		if err := l.add(o, o.Name, mode, o.Scope, o.Kind, strings.Join(o.Modes, ", "), conflicts); err != nil {
			return err
		}
	}
	if err := l.end(); err != nil || l.mode != "table" {
		return err
	}
	return errors.Join(c.rates(all), c.lane(all), c.hottest(all), c.advice(all))
}

// rates writes what those constraints did lately that did anything.
func (c *cli) rates(all []operations.Constraint) error {
	l := c.list(false, "constraint", "by second, last minute", "last five minutes", "wait p50, ms", "wait p95, ms")
	for _, o := range all {
		five := o.LastFiveMinutes
		if five.Attempts == 0 {
			continue
		}
		if err := l.add(nil, o.Name, outcomes(o.LastMinute), outcomes(five), milliseconds(five.WaitP50), milliseconds(five.WaitP95)); err != nil {
			return err
		}
	}
	return l.below()
}

func outcomes(r operations.Rates) string {
	var all []string
	for _, o := range slices.Sorted(maps.Keys(r.PerSecond)) {
		all = append(all, fmt.Sprintf("%s %.2f", o, r.PerSecond[o]))
	}
	return strings.Join(all, ", ")
}

// lane writes how the lane, which is everybody's, did.
func (c *cli) lane(all []operations.Constraint) error {
	if len(all) == 0 || all[0].Queue.Batches == 0 && all[0].Queue.Depth == 0 {
		return nil
	}
	q := all[0].Queue
	_, err := fmt.Fprintf(c.out, "\nIn the lane: waiting %d, at most %d in the last five minutes; batches %d, commands in a batch %.1f in the mean.\n",
		q.Depth, q.Deepest, q.Batches, q.BatchMean)
	return err
}

// hottest writes where most happened: a scope that was used once is not hot, and more than three are in the JSON.
func (c *cli) hottest(all []operations.Constraint) error {
	l := c.list(false, "constraint", "hottest scopes", "attempts", "conflicts")
	for _, o := range all {
		for i, h := range o.Hottest {
			if i == 3 || h.Attempts == 1 {
				break
			}
			if err := l.add(nil, o.Name, h.Scope, h.Attempts, h.Conflicts); err != nil {
				return err
			}
		}
	}
	return l.below()
}

// advice writes what an operator might do.
func (c *cli) advice(all []operations.Constraint) error {
	lead := "\n"
	for _, o := range all {
		for _, a := range o.Advice {
			if _, err := fmt.Fprintf(c.out, "%s%s (rule %s, in %s)\n", lead, a.Text, a.Rule, a.Because); err != nil {
				return err
			}
			lead = ""
		}
	}
	return nil
}

func milliseconds(ms *float64) string {
	if ms == nil {
		return ""
	}
	return fmt.Sprintf("%.1f", *ms)
}

// overview is all constraints. Where there is no database yet, nothing was set live and nothing has happened.
func (c *cli) overview(ctx context.Context, cfg config.Config) ([]operations.Constraint, error) {
	a, err := c.openWith(ctx, cfg, look)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := fmt.Fprintf(c.err, "%s Until there is one, this is what the configuration says.\n", problem.Of(err).Message); err != nil {
			return nil, err
		}
		set, err := module.Constraints(modules)
		if err != nil {
			return nil, err
		}
		s, err := settings(cfg, set)
		if err != nil {
			return nil, err
		}
		all, _, err := operations.Watch{Log: logmemory.New(nil, 0), Constraints: set, Configured: s}.Overview(ctx)
		return all, err
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.db.Close() }() // nothing was written
	var log eventlog.Log
	var set *consistency.Set
	var s consistency.Settings
	var t *tally.Tally
	if _, err := a.wire(fx.Populate(&log, &set, &s, &t)); err != nil {
		return nil, err
	}
	all, _, err := operations.Watch{Log: log, Constraints: set, Configured: s, Tally: t}.Overview(ctx)
	return all, err
}

func (c *cli) constraintsMode() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "mode NAME MODE",
		Short: "Change the mode in which a constraint is kept, live",
		Long: `Changes the mode in which a constraint is kept: in every process on the database within two seconds, and after restarts
too, whatever the configuration says, until it is set to "default". Who did it, when and why is in the log.
Only one process writes to a SQLite file: while a server has it, the server is asked to make the change.`,
		Example: "  accession constraints mode book-number queue --reason \"the sale begins\"\n  accession constraints mode book-number default --reason \"the sale is over\"",
		Args:    nameAndMode,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runConstraintsMode(cmd, args[0], args[1], reason)
		},
	}
	databaseFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why, for those who wonder later; it must be given")
	cmd.ValidArgsFunction = c.completeMode
	return cmd
}

func nameAndMode(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) < 2:
		return usage(cmd, "%s needs the NAME of a constraint and a MODE.", cmd.CommandPath())
	case len(args) > 2:
		return usage(cmd, "%s takes a NAME and a MODE, but there is also %q.", cmd.CommandPath(), args[2])
	}
	return nil
}

// completeMode completes the name, and then the mode.
func (c *cli) completeMode(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, m := range modules {
		for _, of := range m.Constraints {
			switch d := consistency.Describe(of); {
			case len(args) == 0:
				words = append(words, d.Name)
			case len(args) == 1 && d.Name == args[0]:
				words = operations.Choices(d)
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// modeChange is what `constraints mode` prints.
type modeChange struct {
	Constraint string         `json:"constraint"`
	From       string         `json:"from"`
	To         string         `json:"to"`
	Changed    bool           `json:"changed"`
	Position   event.Position `json:"position,omitempty"` // of the event
}

func (c *cli) runConstraintsMode(cmd *cobra.Command, name, mode, reason string) error {
	if !cmd.Flags().Changed("reason") {
		return usage(cmd, "%s needs --reason: say why, for those who wonder later.", cmd.CommandPath())
	}
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	set, err := module.Constraints(modules)
	if err != nil {
		return err
	}
	change, err := operations.NewChangeMode(set, name, mode, reason)
	if p := problem.Of(err); err != nil && p.Kind == problem.Invalid {
		return usage(cmd, "%s.", p.Message)
	} else if err != nil {
		return err
	}
	done, err := c.changeMode(cmd.Context(), cfg, change)
	if err != nil {
		return err
	}
	was, position := done.From, fmt.Sprint(done.Position)
	if !done.Changed {
		was, position = "the same", ""
	}
	return c.object(done, [2]any{"constraint", done.Constraint}, [2]any{"mode", done.To}, [2]any{"was", was}, [2]any{"position", position})
}

// changeMode makes the change; where a server has the database to itself, the server does.
func (c *cli) changeMode(ctx context.Context, cfg config.Config, change operations.ChangeMode) (modeChange, error) {
	// A name that was mistyped is no reason to make a database.
	seen, err := openDatabase(ctx, cfg, look)
	if err != nil {
		return modeChange{}, err
	}
	defer func() { _ = seen.Close() }() // nothing was written
	// A mode is no reason to migrate a database either: servers of another version may be running on it.
	if err := database.CheckCurrent(ctx, seen, nil); err != nil {
		return modeChange{}, err
	}
	done, err := c.changeModeHere(ctx, cfg, change)
	if p := problem.Of(err); err == nil || p.Code != "database-in-use" {
		return done, err
	}
	server := seen.Announced()
	if server == "" {
		return modeChange{}, err
	}
	var before event.Position // of the last change
	events, err := c.changes(ctx, change, eventlog.Query{Last: 1})
	if err != nil {
		return modeChange{}, err
	}
	for _, env := range events {
		before = env.Position
	}
	at, err := c.changeModeThere(ctx, server, change)
	if err != nil {
		return modeChange{}, err
	}
	// A change is at the position that was answered. One that was there before was not ours: nothing changed.
	events, err = c.changes(ctx, change, eventlog.Query{After: max(before, at-1), Until: at})
	return doneBy(change, events), err
}

// changes are the changes of the constraint's mode that q asks for.
func (c *cli) changes(ctx context.Context, change operations.ChangeMode, q eventlog.Query) (events []event.Envelope, err error) {
	q.Stream = operationsevents.ConstraintTag(change.Constraint.Name)
	err = c.withLog(ctx, false, func(log eventlog.Reader) error {
		events, err = eventlog.Collect(log.Read(ctx, q))
		return err
	})
	return events, err
}

func (c *cli) changeModeHere(ctx context.Context, cfg config.Config, change operations.ChangeMode) (done modeChange, err error) {
	a, err := c.openWith(ctx, cfg, write)
	if err != nil {
		return modeChange{}, err
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	var runner usecase.Runner
	app, err := a.wire(fx.Populate(&runner))
	if err != nil {
		return modeChange{}, err
	}
	if err := app.Start(ctx); err != nil {
		return modeChange{}, err
	}
	defer func() { err = errors.Join(err, stopApp(ctx, app)) }()
	receipt, err := runner.Run(ctx, change.Request(actor()))
	if err != nil {
		return modeChange{}, err
	}
	return doneBy(change, receipt.Events), nil
}

// changeModeThere asks the server for the change. The position is that of the change or, when there was nothing to change, of the end of the log.
func (c *cli) changeModeThere(ctx context.Context, server string, change operations.ChangeMode) (event.Position, error) {
	unanswered := problem.New(problem.Unavailable, "server-unavailable",
		"The server at %s has the database, and could not be asked to change the mode. Try again, or stop it.", server)
	body, err := json.Marshal(map[string]string{"mode": change.Mode, "reason": change.Reason})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, serverPatience)
	defer cancel()
	path := server + httpapi.Prefix + "/ops/constraints/" + url.PathEscape(change.Constraint.Name) + "/mode"
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, path, bytes.NewReader(body))
	if err != nil {
		return 0, unanswered.Because(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Actor", actor())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy: the server is on this machine
	answer, err := client.Do(r)
	if err != nil {
		return 0, unanswered.Because(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, notDone(answer, server, unanswered)
	}
	at, err := strconv.ParseInt(answer.Header.Get("Accession-Position"), 10, 64)
	if err != nil {
		return 0, unanswered.Because(err)
	}
	return event.Position(at), nil
}

// notDone is why the server did not make the change: the problem that it answered with, or unanswered if that is none of ours.
func notDone(answer *http.Response, server string, unanswered *problem.Error) error {
	var p struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&p); err != nil || p.Code == "" {
		return unanswered.Because(errors.Join(errors.New(answer.Status), err))
	}
	kind := problem.Unavailable
	for _, k := range []problem.Kind{problem.Internal, problem.Invalid, problem.NotFound, problem.Conflict} {
		if k.Status() == answer.StatusCode {
			kind = k
		}
	}
	return problem.New(kind, p.Code, "The server at %s, which has the database, answers: %s", server, p.Detail)
}

// serverPatience is how long a server may take to change a mode.
const serverPatience = 30 * time.Second

// doneBy is what a change did, by what it recorded.
func doneBy(change operations.ChangeMode, events []event.Envelope) modeChange {
	done := modeChange{Constraint: change.Constraint.Name, From: change.Mode, To: change.Mode}
	for _, env := range events {
		if e, ok := env.Event.(*operationsevents.ModeChanged); ok {
			done.From, done.Changed, done.Position = e.From, true, env.Position
		}
	}
	return done
}
