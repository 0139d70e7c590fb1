package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/problem"
	"accession/platform/projection"

	"github.com/google/uuid"
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
An event that cannot be read, because it is damaged or of a newer version, is one such line; so is a table, an index or a view that
is gone, and a row that cannot be read. What may differ because of an event is not listed: when it can be read again, verify again.
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
	Kind       string         `json:"kind"` // schema | log | rule | register | guard | projection | checkpoint
	Constraint string         `json:"constraint,omitempty"`
	Projector  string         `json:"projector,omitempty"`
	Scope      string         `json:"scope"`
	Key        string         `json:"key"`
	Expected   string         `json:"expected"`
	Found      string         `json:"found"`
	Position   event.Position `json:"position"`
}

func (c *cli) runVerify(ctx context.Context) error {
	a, err := c.open(ctx, inspect)
	if err != nil {
		return err
	}
	defer func() { _ = a.db.Close() }() // nothing was written
	v := verifier{app: a}
	if _, err := a.wire(fx.Populate(&v.set, &v.registry, &v.projections)); err != nil {
		return err
	}
	err = a.db.Snapshot(ctx, v.state)
	if err == nil {
		err = v.readModels(ctx)
	}
	if err != nil {
		return err
	}
	return c.verdict(v.findings, v.head.Position)
}

// verifier compares everything with the log. Its methods give the errors after which it cannot go on, as a connection that is lost;
// what is wrong with the database itself are findings.
type verifier struct {
	*app
	set         *consistency.Set
	registry    *event.Registry
	projections *projection.Projectionist

	gone     []string // tables
	head     eventlog.Head
	gaps     []eventlog.Gap
	findings []finding
}

func (v *verifier) find(f finding) { v.findings = append(v.findings, f) }

// unread finds, where err is the fault of what is stored, that not all of a kind could be compared.
func (v *verifier) unread(ctx context.Context, kind string, err error) error {
	if !logdb.IsDamage(ctx, err) {
		return err
	}
	v.logger.DebugContext(ctx, "not everything could be verified", "kind", kind, "error", err)
	v.find(finding{Kind: kind, Expected: "tables that can be read", Found: "something that cannot be: not all of them were compared"})
	return nil
}

// state compares what decisions are made by, with db, which is a snapshot.
func (v *verifier) state(ctx context.Context, db bun.IDB) error {
	missing, err := database.Missing(ctx, db)
	if err != nil {
		return v.unread(ctx, "schema", err)
	}
	for _, m := range missing {
		if m.Index == "" {
			v.gone = append(v.gone, m.Table)
			v.find(finding{Kind: "schema", Scope: m.Table, Key: "table", Expected: m.Table, Found: "nothing: restore it from a backup. What needs it was not compared"})
			continue
		}
		v.find(finding{Kind: "schema", Scope: m.Table, Key: m.Index, Expected: m.SQL(), Found: "nothing: make it, or what it keeps out may come in"})
	}
	if slices.Contains(v.gone, "log_events") {
		return nil
	}
	log := logdb.NewReader(db, v.registry)
	if v.head, err = v.endOf(ctx, log); err != nil {
		return v.unread(ctx, "log", err)
	}
	stored, gaps, err := logdb.Audit(ctx, db, v.registry, v.gone...)
	v.gaps = gaps
	for _, f := range stored {
		v.find(finding{Kind: "log", Scope: f.Scope, Key: f.Key, Expected: f.Expected, Found: f.Found, Position: f.Position})
	}
	if err := v.unread(ctx, "log", err); err != nil {
		return err
	}
	found, err := consistency.Audit(ctx, v.set, ended{log, v.head}, rest{registerdb.New(db), v.gone}, gaps...)
	for _, f := range found {
		v.find(finding{
			Kind: f.Kind, Constraint: f.Constraint, Scope: string(f.Scope), Key: f.Key, Expected: f.Expected, Found: f.Found, Position: f.Position,
		})
	}
	return v.unread(ctx, "register", err)
}

// endOf reads where the log ends: where its head is gone or damaged, from its last event, and without the log's id.
func (v *verifier) endOf(ctx context.Context, log eventlog.Reader) (head eventlog.Head, err error) {
	if !slices.Contains(v.gone, "log_head") {
		if head, err = log.Head(ctx); !logdb.IsDamage(ctx, err) {
			return head, err
		}
	}
	head = eventlog.Head{}
	for env, err := range log.Read(ctx, eventlog.Query{Last: 1}) {
		if err != nil && env.Position == 0 {
			return head, err
		}
		head.Position = env.Position // whatever else it says
	}
	return head, nil
}

// readModels compares the read models, and how far they are.
func (v *verifier) readModels(ctx context.Context) error {
	if slices.Contains(v.gone, "log_events") || slices.Contains(v.gone, "projectors") {
		return nil
	}
	if v.head.Log == uuid.Nil {
		v.projections.Log = ended{v.projections.Log, v.head}
	}
	rows, err := v.projections.Verify(ctx, v.gaps...)
	for _, f := range rows {
		kind := "projection"
		if f.Checkpoint() {
			kind = "checkpoint"
		}
		v.find(finding{
			Kind: kind, Projector: f.Projector, Scope: f.Table, Key: f.Key, Expected: cmp.Or(f.Expected, "nothing"), Found: cmp.Or(f.Found, "nothing"), Position: f.Position,
		})
	}
	return err
}

// ended is a log that ends where its head says.
type ended struct {
	eventlog.Reader
	head eventlog.Head
}

// Head implements eventlog.Reader.
func (e ended) Head(context.Context) (eventlog.Head, error) { return e.head, nil }

// rest is what is left of a register. Of a table that is gone it does not ask: PostgreSQL would answer nothing more after that.
type rest struct {
	consistency.Register
	gone []string
}

// Rows implements consistency.Register.
func (r rest) Rows(ctx context.Context) iter.Seq2[consistency.Row, error] {
	return unless(slices.Contains(r.gone, "register_rows"), r.Register.Rows(ctx))
}

// Guards implements consistency.Register.
func (r rest) Guards(ctx context.Context) iter.Seq2[consistency.Guard, error] {
	return unless(slices.Contains(r.gone, "register_guards"), r.Register.Guards(ctx))
}

func unless[T any](gone bool, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	if !gone {
		return all
	}
	return func(yield func(T, error) bool) {
		var none T
		yield(none, eventlog.ErrUnreadable)
	}
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
