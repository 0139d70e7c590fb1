package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/problem"
	"accession/platform/projection"

	"github.com/spf13/cobra"
	"github.com/uptrace/bun"
	"go.uber.org/fx"
)

func (c *cli) verify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read the whole log and check everything against it",
		Long: `Plays the whole log anew and checks the log itself with its tags and units, every constraint, the register, and every
projection and its checkpoint against it.
Prints what differs, a line each, and exits with 1 if anything does; else "ok at" the position it has read to.
An event that cannot be read, because it is damaged or of a newer version, is one such line. What may differ because of it is not
listed: when it can be read again, verify again.
With --output json both are one object, with ndjson every difference is one.
It changes nothing, and can run beside a server.`,
		Example: "  accession verify\n  accession verify --output json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runVerify(cmd.Context()) },
	}
	databaseFlag(cmd)
	return cmd
}

// finding is a difference, as it is printed.
type finding struct {
	Kind       string         `json:"kind"` // log | rule | register | guard | projection | checkpoint
	Constraint string         `json:"constraint,omitempty"`
	Projector  string         `json:"projector,omitempty"`
	Scope      string         `json:"scope"`
	Key        string         `json:"key"`
	Expected   string         `json:"expected"`
	Found      string         `json:"found"`
	Position   event.Position `json:"position"`
}

func (c *cli) runVerify(ctx context.Context) error {
	a, err := c.open(ctx, look)
	if err != nil {
		return err
	}
	defer func() { _ = a.db.Close() }() // nothing was written
	var set *consistency.Set
	var registry *event.Registry
	var projections *projection.Projectionist
	if _, err := a.wire(fx.Populate(&set, &registry, &projections)); err != nil {
		return err
	}
	var findings []finding
	var at event.Position
	var gaps []eventlog.Gap
	err = a.db.Snapshot(ctx, func(ctx context.Context, db bun.IDB) error {
		head, err := logdb.HeadOf(ctx, db)
		if err != nil {
			return err
		}
		at = head.Position
		stored, unread, err := logdb.Audit(ctx, db, registry)
		gaps = unread
		for _, f := range stored {
			findings = append(findings, finding{
				Kind: "log", Scope: f.Scope, Key: f.Key, Expected: f.Expected, Found: f.Found, Position: f.Position,
			})
		}
		if err != nil {
			return err
		}
		found, err := consistency.Audit(ctx, set, logdb.NewReader(db, registry), registerdb.New(db), gaps...)
		for _, f := range found {
			findings = append(findings, finding{
				Kind: f.Kind, Constraint: f.Constraint, Scope: string(f.Scope), Key: f.Key, Expected: f.Expected, Found: f.Found, Position: f.Position,
			})
		}
		return err
	})
	if err == nil {
		var rows []projection.Finding
		rows, err = projections.Verify(ctx, gaps...)
		for _, f := range rows {
			kind := "projection"
			if f.Checkpoint() {
				kind = "checkpoint"
			}
			findings = append(findings, finding{
				Kind: kind, Projector: f.Projector, Scope: f.Table, Key: f.Key, Expected: cmp.Or(f.Expected, "nothing"), Found: cmp.Or(f.Found, "nothing"), Position: f.Position,
			})
		}
	}
	switch {
	case err != nil && ctx.Err() == nil && !database.IsConnection(err):
		unfinished := problem.New(problem.Internal, "unverified", "Not everything could be checked: something in the database cannot be read.").Because(err)
		if len(findings) == 0 {
			return unfinished
		}
		return errors.Join(unfinished, c.verdict(findings, at))
	case err != nil:
		return err
	}
	return c.verdict(findings, at)
}

// verdict prints what was found, reading to the position.
func (c *cli) verdict(findings []finding, at event.Position) error {
	count := "1 difference"
	if n := len(findings); n != 1 {
		count = fmt.Sprint(n, " differences")
	}
	different := problem.New(problem.Internal, "differences", "%s from the log, which was read to %d.", count, at)
	switch {
	case c.output == "json":
		verdict := struct {
			OK       bool           `json:"ok"`
			Position event.Position `json:"position"`
			Findings []finding      `json:"findings"`
		}{len(findings) == 0, at, append([]finding{}, findings...)} // not null
		if err := c.object(verdict); err != nil || len(findings) == 0 {
			return err
		}
		return different
	case len(findings) == 0 && c.output == "ndjson":
		return nil
	case len(findings) == 0:
		_, err := fmt.Fprintf(c.out, "ok at %d\n", at)
		return err
	}
	l := c.list(true, "kind", "of", "scope", "key", "expected", "found", "position")
	for _, f := range findings {
		expected, found := differing(f.Expected, f.Found)
		if err := l.add(f, f.Kind, f.Constraint+f.Projector, f.Scope, f.Key, clip(expected, 100), clip(found, 100), f.Position); err != nil {
			return err
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	return different
}

// differing is what is in only one of two rows, if that is what they are: JSON objects, column by column.
func differing(expected, found string) (string, string) {
	var a, b map[string]json.RawMessage
	if json.Unmarshal([]byte(expected), &a) != nil || json.Unmarshal([]byte(found), &b) != nil {
		return expected, found
	}
	for column, value := range a {
		if bytes.Equal(value, b[column]) {
			delete(a, column)
			delete(b, column)
		}
	}
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	if errA != nil || errB != nil {
		return expected, found
	}
	return string(x), string(y)
}
