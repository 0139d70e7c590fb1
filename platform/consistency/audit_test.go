package consistency_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"accession/platform/consistency"
	registermemory "accession/platform/consistency/memory"
	"accession/platform/event"
	"accession/platform/eventlog"
	logmemory "accession/platform/eventlog/memory"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
)

// damaged is a log in which an event cannot be decoded.
type damaged struct {
	eventlog.Reader
	at event.Position
}

var errDamaged = errors.New("it is damaged")

func (d damaged) Read(ctx context.Context, q eventlog.Query) iter.Seq2[event.Envelope, error] {
	return func(yield func(event.Envelope, error) bool) {
		for env, err := range d.Reader.Read(ctx, q) {
			if env.Position == d.at {
				env.Event, err = nil, errDamaged
			}
			if !yield(env, err) || err != nil {
				return
			}
		}
	}
}

// tampered is a register in which somebody has changed something.
type tampered struct {
	consistency.Register
	guard func(*consistency.Guard)
	row   func(*consistency.Row)
}

func (r tampered) Guards(ctx context.Context) iter.Seq2[consistency.Guard, error] {
	return changed(r.Register.Guards(ctx), r.guard)
}

func (r tampered) Rows(ctx context.Context) iter.Seq2[consistency.Row, error] {
	return changed(r.Register.Rows(ctx), r.row)
}

func changed[T any](seq iter.Seq2[T, error], change func(*T)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range seq {
			if change != nil {
				change(&v)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

func TestAuditAroundAnEventThatCannotBeRead(t *testing.T) {
	t.Parallel()
	registry, err := event.NewRegistry(&TicketDrawn{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := consistency.NewSet(TicketNumber)
	if err != nil {
		t.Fatal(err)
	}
	log := logmemory.New(registry, time.Minute)
	register := registermemory.New(log)
	run := consistency.NewRunner(consistency.Config{Log: log, Register: register, Set: set})
	for _, c := range []DrawTicket{{"Ada", "bread"}, {"Bob", "bread"}, {"Cid", "bread"}, {"Dan", "cake"}} {
		if _, err := run.Run(t.Context(), usecase.Request{Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	drawn, err := eventlog.Collect(log.Read(t.Context(), eventlog.Query{}))
	if err != nil {
		t.Fatal(err)
	}
	guard := func(counter event.Tag, last int) func(*consistency.Guard) {
		return func(g *consistency.Guard) {
			if g.Scope == counter {
				g.Last = last
			}
		}
	}
	held := func(at int) string {
		return "held by " + string(drawn[at-1].Stream) + " because of " + drawn[at-1].ID.String()
	}
	for _, c := range []struct {
		what  string
		at    event.Position
		guard func(*consistency.Guard)
		row   func(*consistency.Row)
		want  []consistency.Finding
	}{
		{"the first of a scope", 1, nil, nil, nil},
		{"one in the middle", 2, nil, nil, nil},
		{"the last, which has moved the guard", 3, nil, nil, nil},
		{"the only one", 4, nil, nil, nil},
		{"a guard that is ahead in another scope", 4, guard("counter:bread", 7), nil, []consistency.Finding{
			{Kind: "guard", Constraint: "ticket-number", Scope: "counter:bread", Expected: "3", Found: "7", Position: 3},
		}},
		{"a guard that is ahead, of an event behind it", 2, guard("counter:bread", 7), nil, []consistency.Finding{
			{Kind: "guard", Constraint: "ticket-number", Scope: "counter:bread", Expected: "3", Found: "7", Position: 3},
		}},
		{"a guard that is behind", 3, guard("counter:bread", 1), nil, []consistency.Finding{
			{Kind: "guard", Constraint: "ticket-number", Scope: "counter:bread", Expected: "2", Found: "1", Position: 2},
		}},
		{"a row with another key", 3, nil, func(r *consistency.Row) {
			if r.Owner == "ticket:Ada" {
				r.Key.Key = "9"
			}
		}, []consistency.Finding{
			{Kind: "register", Constraint: "ticket-number", Scope: "counter:bread", Key: "1", Expected: held(1), Found: "nothing", Position: 1},
			{Kind: "register", Constraint: "ticket-number", Scope: "counter:bread", Key: "9", Expected: "nothing", Found: held(1), Position: 1},
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			env := drawn[c.at-1]
			gap := eventlog.Gap{Envelope: env, Tags: env.Event.Tags(), Err: errDamaged}
			got, err := consistency.Audit(t.Context(), set, damaged{log, c.at}, tampered{register, c.guard, c.row}, gap)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, err := consistency.Audit(t.Context(), set, damaged{log, 2}, register); !errors.Is(err, errDamaged) {
		t.Errorf("where nobody says that there is a gap: %v", err)
	}
}

// unreadable is a register of which not everything can be read.
type unreadable struct {
	consistency.Register
	rows, guards func(consistency.Key) (readable bool)
	rest         error // instead of what would come
}

func (u unreadable) Rows(ctx context.Context) iter.Seq2[consistency.Row, error] {
	return unread(u.Register.Rows(ctx), u.rest, func(r consistency.Row) (consistency.Row, bool) {
		return consistency.Row{Key: r.Key}, u.rows(r.Key)
	})
}

func (u unreadable) Guards(ctx context.Context) iter.Seq2[consistency.Guard, error] {
	return unread(u.Register.Guards(ctx), u.rest, func(g consistency.Guard) (consistency.Guard, bool) {
		return consistency.Guard{Key: g.Key}, u.guards(g.Key)
	})
}

func unread[T any](seq iter.Seq2[T, error], rest error, readable func(T) (T, bool)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range seq {
			key, ok := readable(v)
			switch {
			case rest != nil:
				var none T
				yield(none, rest)
				return
			case !ok:
				v, err = key, fmt.Errorf("read: %w", eventlog.ErrUnreadable)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

func TestAuditOfARegisterThatCannotBeRead(t *testing.T) {
	t.Parallel()
	registry, err := event.NewRegistry(&TicketDrawn{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := consistency.NewSet(TicketNumber)
	if err != nil {
		t.Fatal(err)
	}
	log := logmemory.New(registry, time.Minute)
	register := registermemory.New(log)
	run := consistency.NewRunner(consistency.Config{Log: log, Register: register, Set: set})
	for _, c := range []DrawTicket{{"Ada", "bread"}, {"Bob", "bread"}, {"Dan", "cake"}} {
		if _, err := run.Run(t.Context(), usecase.Request{Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	drawn, err := eventlog.Collect(log.Read(t.Context(), eventlog.Query{}))
	if err != nil {
		t.Fatal(err)
	}
	const nothing = "nothing that can be read"
	all := func(consistency.Key) bool { return true }
	for _, c := range []struct {
		what         string
		rows, guards func(consistency.Key) bool
		rest         error
		want         []consistency.Finding
		err          error
	}{
		{"all of it can", all, all, nil, nil, nil},
		{"a row cannot", func(k consistency.Key) bool { return k.Key != "2" }, all, nil, []consistency.Finding{
			{Kind: "register", Constraint: "ticket-number", Scope: "counter:bread", Key: "2", Expected: "held by ticket:Bob because of " + drawn[1].ID.String(), Found: nothing, Position: 2},
		}, nil},
		{"a guard cannot", all, func(k consistency.Key) bool { return k.Scope != "counter:cake" }, nil, []consistency.Finding{
			{Kind: "guard", Constraint: "ticket-number", Scope: "counter:cake", Expected: "1", Found: nothing, Position: 3},
		}, nil},
		{"nothing can", all, all, eventlog.ErrUnreadable, []consistency.Finding{
			{Kind: "guard", Expected: "rows that can be read", Found: nothing}, {Kind: "register", Expected: "rows that can be read", Found: nothing},
		}, nil},
		{"nothing else is damage", all, all, errDamaged, nil, errDamaged},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			got, err := consistency.Audit(t.Context(), set, log, unreadable{register, c.rows, c.guards, c.rest})
			if !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
