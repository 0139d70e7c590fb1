package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/problem"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"go.uber.org/fx"
)

func (c *cli) events() *cobra.Command {
	return group("events", "Look at the log", "  accession events tail --follow\n  accession events show 1\n  accession events stats",
		c.eventsTail(), c.eventsShow(), c.eventsStats())
}

// storedEvent is an event as the command line and pipes see it.
type storedEvent struct {
	Position   event.Position  `json:"position"`
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Schema     int             `json:"schema"`
	Stream     event.Tag       `json:"stream"`
	Version    int             `json:"version"`
	RecordedAt time.Time       `json:"recorded_at"`
	Actor      string          `json:"actor"`
	Data       json.RawMessage `json:"data"`
}

// shown is the event with its bytes as they are stored (raw), or as this binary understands them. Stored bytes that are not JSON
// are shown as a text.
func shown(env event.Envelope, raw bool) (storedEvent, error) {
	data, err := env.Data, error(nil)
	switch {
	case !raw:
		data, err = event.Encode(env.Event)
	case !json.Valid(data):
		data, err = json.Marshal(strings.ToValidUTF8(string(data), "\uFFFD"))
	}
	if err != nil {
		return storedEvent{}, err
	}
	return storedEvent{
		Position: env.Position, ID: env.ID.String(), Type: env.Type, Schema: env.Schema, Stream: env.Stream, Version: env.Version,
		RecordedAt: env.RecordedAt, Actor: env.Actor, Data: data,
	}, nil
}

// withLog runs f on the log of the database, which is only looked at. Who wants stored bytes gets those too that nobody
// understands; anybody else is told where they are.
func (c *cli) withLog(ctx context.Context, raw bool, f func(log eventlog.Reader) error) error {
	a, err := c.open(ctx, look)
	if err != nil {
		return err
	}
	defer func() { _ = a.db.Close() }() // nothing was written
	var log eventlog.Log
	if _, err := a.wire(fx.Populate(&log)); err != nil {
		return err
	}
	var unreadable *event.Envelope
	err = f(eventlog.Past(log, func(env event.Envelope, _ error) bool {
		if !raw {
			unreadable = &env
		}
		return raw
	}))
	if unreadable != nil && err != nil {
		return problem.New(problem.Internal, "event-unreadable",
			"The event at position %d, a %s, cannot be read: what is stored is not what was written. --raw shows it, and `accession verify` what else differs.",
			unreadable.Position, unreadable.Type).Because(err)
	}
	return err
}

func (c *cli) eventsTail() *cobra.Command {
	var types []string
	var scope, stream string
	var after, last int64
	var follow, raw bool
	cmd := &cobra.Command{
		Use:     "tail",
		Short:   "The last events, or those after a position",
		Example: "  accession events tail\n  accession events tail --type catalogue.book_added --follow\n  accession events tail --scope book:0192f3… --after 0",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			behind := cmd.Flags().Changed("after")
			switch {
			case after < 0:
				return usage(cmd, "--after is %d: use 0 or more.", after)
			case last < 1:
				return usage(cmd, "--last is %d: use 1 or more.", last)
			case behind && cmd.Flags().Changed("last"):
				return usage(cmd, "--after and --last do not go together: leave one out.")
			case follow && c.output == "table":
				return usage(cmd, "--follow has no end, and a table is written at its end: use --output ndjson.")
			}
			for _, f := range [][2]string{{"--scope", scope}, {"--stream", stream}} {
				if kind, id, _ := strings.Cut(f[1], ":"); f[1] != "" && (kind == "" || id == "") {
					return usage(cmd, "%s is %q: write the kind of a thing and its id, as book:0192f3….", f[0], f[1])
				}
			}
			q := eventlog.Query{Types: types, Tag: event.Tag(scope), Stream: event.Tag(stream)}
			if behind {
				q.After = event.Position(after)
			} else {
				q.Last = int(last)
			}
			return c.withLog(cmd.Context(), raw, func(log eventlog.Reader) error { return c.tail(cmd.Context(), log, q, follow, raw) })
		},
	}
	databaseFlag(cmd)
	cmd.Flags().StringSliceVar(&types, "type", nil, "only events of this stored `NAME`; may be repeated")
	cmd.Flags().StringVar(&scope, "scope", "", "only events about this `THING`, as category:ID")
	cmd.Flags().StringVar(&stream, "stream", "", "only events of this `STREAM`, as book:ID")
	cmd.Flags().Int64Var(&after, "after", 0, "all events behind position `N`")
	cmd.Flags().Int64Var(&last, "last", 20, "without --after: the last `N` events")
	choices(cmd, "type", eventTypes()...)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until interrupted")
	cmd.Flags().BoolVar(&raw, "raw", false, "show the bytes as they are stored")
	return cmd
}

// followEvery is how often a follower looks: it is another process than the one that writes, and no bell reaches it.
// A writer that ends or begins may be in its way for a moment, so it looks again before it gives up.
const (
	followEvery = 250 * time.Millisecond
	followTries = 20
)

func (c *cli) tail(ctx context.Context, log eventlog.Reader, q eventlog.Query, follow, raw bool) error {
	if follow && c.output == "" {
		c.output = "ndjson" // a table ends
	}
	l := c.list(true, "position", "recorded", "type", "stream", "actor", "data")
	failed := 0
	for {
		var broken error
		for env, err := range log.Read(ctx, q) {
			if err != nil {
				broken = err
				break
			}
			e, err := shown(env, raw)
			if err != nil {
				return err
			}
			if err := l.add(e, e.Position, e.RecordedAt.Format(time.RFC3339), e.Type, e.Stream, e.Actor, clip(string(e.Data), 80)); err != nil {
				return err
			}
			q.After, q.Last = env.Position, 0
		}
		switch {
		case follow && ctx.Err() != nil:
			return l.end() // this is how one ends it
		case broken != nil && (!follow || failed == followTries):
			return broken
		case broken != nil:
			failed++
		case !follow:
			return l.end()
		default:
			failed, q.Last = 0, 0
		}
		select {
		case <-ctx.Done():
			return l.end()
		case <-time.After(followEvery):
		}
	}
}

// eventTypes are the stored names that this binary knows.
func eventTypes() []string {
	var names []string
	for _, m := range modules {
		for _, e := range m.Events {
			names = append(names, e.EventType())
		}
	}
	return names
}

// clip cuts s to n characters for a table.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func (c *cli) eventsShow() *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:     "show POSITION",
		Short:   "One event, whole",
		Example: "  accession events show 1",
		Args:    oneArg("POSITION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || at < 1 {
				return usage(cmd, "%q is not a position: use a number from 1.", args[0])
			}
			return c.withLog(cmd.Context(), raw, func(log eventlog.Reader) error {
				q := eventlog.Query{After: event.Position(at - 1), Until: event.Position(at)}
				for env, err := range log.Read(cmd.Context(), q) {
					if err != nil {
						return err
					}
					e, err := shown(env, raw)
					if err != nil {
						return err
					}
					if c.output == "" {
						c.output = "json"
					}
					return c.object(e,
						[2]any{"position", e.Position}, [2]any{"id", e.ID}, [2]any{"type", e.Type}, [2]any{"schema", e.Schema},
						[2]any{"stream", e.Stream}, [2]any{"version", e.Version}, [2]any{"recorded_at", e.RecordedAt.Format(time.RFC3339Nano)},
						[2]any{"actor", e.Actor}, [2]any{"data", string(e.Data)})
				}
				head, err := log.Head(cmd.Context())
				if err != nil {
					return err
				}
				return problem.New(problem.NotFound, "event-not-found", "There is no event at position %d: the log ends at %d.", at, head.Position)
			})
		},
	}
	databaseFlag(cmd)
	cmd.Flags().BoolVar(&raw, "raw", false, "show the bytes as they are stored")
	return cmd
}

func (c *cli) eventsStats() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "stats",
		Short:   "What is in the log, counted",
		Example: "  accession events stats --output json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withLog(cmd.Context(), true, func(log eventlog.Reader) error { return c.stats(cmd.Context(), log) })
		},
	}
	databaseFlag(cmd)
	return cmd
}

// typeStats counts the events of one stored name and schema version.
type typeStats struct {
	Type   string         `json:"type"`
	Schema int            `json:"schema"`
	Events int            `json:"events"`
	First  event.Position `json:"first"`
	Last   event.Position `json:"last"`
	Known  bool           `json:"known"` // this binary understands all of them
}

func (c *cli) stats(ctx context.Context, log eventlog.Reader) error {
	type key struct {
		name   string
		schema int
	}
	counts := map[key]*typeStats{}
	streams := map[event.Tag]bool{}
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	for env, err := range log.Read(ctx, eventlog.Query{Until: head.Position}) {
		if err != nil {
			return err
		}
		k := key{env.Type, env.Schema}
		s := counts[k]
		if s == nil {
			s = &typeStats{Type: env.Type, Schema: env.Schema, First: env.Position, Known: true}
			counts[k] = s
		}
		if _, unknown := env.Event.(*event.Unknown); unknown {
			s.Known = false
		}
		s.Events++
		s.Last = env.Position
		streams[env.Stream] = true
	}
	all := []*typeStats{}
	for _, s := range counts {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *typeStats) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Schema, b.Schema))
	})
	if c.output == "json" || c.output == "ndjson" {
		return c.object(struct {
			Log      uuid.UUID      `json:"log"`
			Position event.Position `json:"position"`
			Streams  int            `json:"streams"`
			Types    []*typeStats   `json:"types"`
		}{head.Log, head.Position, len(streams), all})
	}
	l := c.list(false, "type", "schema", "events", "first", "last")
	for _, s := range all {
		if err := l.add(s, s.Type, s.Schema, s.Events, s.First, s.Last); err != nil {
			return err
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "log %s at position %d, %d streams\n", head.Log, head.Position, len(streams))
	return err
}
