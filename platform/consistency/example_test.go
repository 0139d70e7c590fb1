package consistency_test

import (
	"context"
	"fmt"
	"time"

	"accession/platform/consistency"
	registermemory "accession/platform/consistency/memory"
	"accession/platform/event"
	logmemory "accession/platform/eventlog/memory"
	"accession/platform/problem"
	"accession/platform/usecase"
)

// TicketDrawn: somebody who waits at a counter has drawn a ticket.
type TicketDrawn struct {
	Ticket  string `json:"ticket"`
	Counter string `json:"counter"`
	Number  int    `json:"number,omitempty"`
}

func (*TicketDrawn) EventType() string   { return "bakery.ticket_drawn" }
func (e *TicketDrawn) Stream() event.Tag { return event.NewTag("ticket", e.Ticket) }
func (e *TicketDrawn) At() event.Tag     { return event.NewTag("counter", e.Counter) }
func (e *TicketDrawn) Tags() []event.Tag { return []event.Tag{e.Stream(), e.At()} }
func (e *TicketDrawn) Slot() consistency.Slot {
	return consistency.Slot{In: e.At(), Of: e.Stream(), N: &e.Number}
}

// ErrTicketNumberNotUnique is what one reads who lost to a rival, where the mode lets it come to that.
var ErrTicketNumberNotUnique = problem.New(problem.Conflict, "ticket-number-not-unique", "Somebody else drew this number. Draw again.")

// TicketNumber keeps the numbers at a counter unique and consecutive: 1, 2, 3 …
var TicketNumber = consistency.Sequence{
	Name:  "ticket-number",
	Rule:  "The numbers of tickets are unique and consecutive at a counter.",
	Scope: "counter",
	Taken: ErrTicketNumberNotUnique,
	Parts: consistency.Parts{consistency.Numbered((*TicketDrawn).Slot)},
}

// DrawTicket knows no number, no lock, no mode: the constraint listens to the event, whoever records it.
type DrawTicket struct{ Ticket, Counter string }

func (c DrawTicket) Execute(_ context.Context, u *usecase.Unit) error {
	e := &TicketDrawn{Ticket: c.Ticket, Counter: c.Counter}
	u.Record(e.Stream(), e)
	return nil
}

// A constraint of one's own, kept in two modes. In each, Ada has decided which number she will get, and before she can store
// it Bob comes and is faster.
func ExampleSequence() {
	ctx := context.Background()
	for _, mode := range []consistency.Mode{consistency.Reject, consistency.Lock} {
		registry, _ := event.NewRegistry(&TicketDrawn{})
		set, _ := consistency.NewSet(TicketNumber)
		log := logmemory.New(registry, time.Second)
		settings := consistency.DefaultSettings()
		settings.Modes = map[string]consistency.Mode{TicketNumber.Name: mode}

		config := consistency.Config{
			Log: log, Register: registermemory.New(log), Set: set,
			Settings: func() consistency.Settings { return settings },
		}
		draw := func(c consistency.Config, who string) {
			receipt, err := consistency.NewRunner(c).Run(ctx, usecase.Request{Command: DrawTicket{Ticket: who, Counter: "bread"}, Actor: who})
			if err != nil {
				fmt.Printf("%s: %s is told %s\n", mode, who, problem.Of(err).Code)
				return
			}
			drawn, _ := usecase.Recorded[*TicketDrawn](receipt)
			fmt.Printf("%s: %s gets number %d\n", mode, who, drawn.Number)
		}

		beaten := config
		beaten.Probe = func(_ context.Context, s consistency.Stage) {
			if s == consistency.Decided {
				draw(config, "Bob")
			}
		}
		draw(beaten, "Ada")
		draw(config, "Cid")
	}

	// Output:
	// reject: Bob gets number 1
	// reject: Ada is told ticket-number-not-unique
	// reject: Cid gets number 2
	// lock: Bob gets number 1
	// lock: Ada gets number 2
	// lock: Cid gets number 3
}
