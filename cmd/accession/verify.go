package main

import (
	"context"
	"errors"
	"fmt"

	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/event"
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
		Long: `Plays the whole log anew and checks every constraint, the register and every projection against it.
Prints what differs, a line each, and exits with 1 if anything does; else "ok at" the position it has read to.
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
	Kind       string         `json:"kind"` // rule | register | guard | projection
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
	findings := []finding{}
	var at event.Position
	err = a.db.Snapshot(ctx, func(ctx context.Context, db bun.IDB) error {
		log := logdb.NewReader(db, registry)
		head, err := log.Head(ctx)
		if err != nil {
			return err
		}
		at = head.Position
		found, err := consistency.Audit(ctx, set, log, registerdb.New(db))
		for _, f := range found {
			findings = append(findings, finding{
				Kind: f.Kind, Constraint: f.Constraint, Scope: string(f.Scope), Key: f.Key, Expected: f.Expected, Found: f.Found, Position: f.Position,
			})
		}
		return err
	})
	if err != nil {
		return err
	}
	rows, err := projections.Verify(ctx)
	for _, f := range rows {
		findings = append(findings, finding{
			Kind: "projection", Projector: f.Projector, Scope: f.Table, Key: f.Key, Expected: f.Expected, Found: f.Found, Position: f.Position,
		})
	}
	return errors.Join(err, c.verdict(findings, at))
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
		if err := c.object(map[string]any{"ok": len(findings) == 0, "position": at, "findings": findings}); err != nil || len(findings) == 0 {
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
		of := f.Constraint + f.Projector
		if err := l.add(f, f.Kind, of, f.Scope, f.Key, clip(f.Expected, 60), clip(f.Found, 60), f.Position); err != nil {
			return err
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	return different
}
