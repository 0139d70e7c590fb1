package consistency

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/google/uuid"
)

// Outcome is what became of one attempt, as far as one constraint is concerned.
type Outcome string

// The outcomes that are counted: Accepted once for each constraint that the attempt concerned, any other for the constraint
// because of which it was not stored; Busy for each of them, if it cannot be told which it was.
const (
	Accepted  Outcome = "accepted"  // stored
	Rejected  Outcome = "rejected"  // lost to a rival, and the caller was told
	Retried   Outcome = "retried"   // lost to a rival, and decided again
	Exhausted Outcome = "exhausted" // lost to rivals until no attempt was left
	Busy      Outcome = "busy"      // waited for a lock in vain, or found the lane full or the log busy
	Refused   Outcome = "refused"   // the rule cannot be met: no other attempt would help
)

// Attempt is one attempt to store a unit, as far as one constraint is concerned.
type Attempt struct {
	Constraint string
	Scope      event.Tag // the one that rivals could be in, the first if there are several; empty when there is none
	Mode       Mode
	Outcome    Outcome
	Number     int // 1 for a request's first attempt
}

// Meter is told what happens. It is called from many goroutines and must not block.
type Meter interface {
	Attempted(a Attempt)                                  // once for each attempt, by constraint: see [Outcome]
	Waited(constraint string, mode Mode, d time.Duration) // for locks, or in the lane; once for each attempt that had to, by each constraint because of which it may have been
	Queued(units int)                                     // how many wait in the lane by now
	Batched(units int)                                    // how many the lane has just decided on together; at least 1
}

// Immediate plays events in the transaction that stores them, before they have a position. An error fails the command.
type Immediate interface {
	Play(ctx context.Context, tx eventlog.Tx, events []event.Envelope) error
}

// Stage is a moment in the life of an attempt at which a test can hold it.
type Stage string

// The stages at which Config.Probe is called.
const (
	Begin   Stage = "begin"   // before anything is read
	Decided Stage = "decided" // what the decision rests on was read, where the mode compares; nothing is locked
	Locked  Stage = "locked"  // the transaction has its locks
	Written Stage = "written" // everything but the log is written
)

// Config is what a Runner works with. Log, Register and Set are required.
type Config struct {
	Log      eventlog.Log
	Register Register
	Set      *Set
	Settings func() Settings // the present ones; asked once for each attempt. Nil: the defaults

	// Abreast is how many transactions the lane has under way at once: 2 where transactions on disjoint scopes overlap, else 1,
	// which is also what 0 means.
	Abreast int

	Immediate Immediate                                    // nil: none
	Committed func(ctx context.Context, r usecase.Receipt) // called after each commit that stored something, in the caller's goroutine
	Meter     Meter                                        // nil: nothing is counted
	Logger    *slog.Logger                                 // nil: slog.Default
	Now       func() time.Time                             // nil: time.Now
	Probe     func(ctx context.Context, s Stage)           // for tests; nil in production
}

// Runner runs commands and keeps the constraints. It implements usecase.Runner and is safe for concurrent use.
type Runner struct {
	Config
	lane       *lane
	contention contention
	tokens     tokens
}

// NewRunner completes the configuration.
func NewRunner(c Config) *Runner {
	if c.Settings == nil {
		c.Settings = DefaultSettings
	}
	if c.Meter == nil {
		c.Meter = noMeter{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Committed == nil {
		c.Committed = func(context.Context, usecase.Receipt) {}
	}
	if c.Probe == nil {
		c.Probe = func(context.Context, Stage) {}
	}
	c.Abreast = max(1, c.Abreast)
	r := &Runner{Config: c}
	r.lane = newLane(r)
	return r
}

type noMeter struct{}

func (noMeter) Attempted(Attempt)                  {}
func (noMeter) Waited(string, Mode, time.Duration) {}
func (noMeter) Queued(int)                         {}
func (noMeter) Batched(int)                        {}

// Refusals of the runner itself.
var (
	// ErrScopeBusy: a scope stayed locked for longer than the lock time-out.
	ErrScopeBusy = problem.New(problem.Unavailable, "scope-busy", "Others are writing to the same place. Try again in a moment.")
	// ErrLogBusy: the log stayed locked for longer than the lock time-out.
	ErrLogBusy = problem.New(problem.Unavailable, "log-busy", "The catalogue is busy with other writers. Try again in a moment.")
	// ErrOutcomeUnknown: the connection was lost while the command was being stored, and the log cannot be asked.
	ErrOutcomeUnknown = &problem.Error{
		Kind: problem.Unavailable, Code: "outcome-unknown", RetryAfter: time.Second,
		Message: "The connection to the database was lost while this was being stored, so it may or may not have happened. Repeat the request with the same id or Idempotency-Key: it takes effect once.",
	}
	// ErrVersionConflict: others wrote to the same thing, again and again.
	ErrVersionConflict = problem.New(problem.Conflict, "version-conflict", "Others are changing the same thing at the same time. Look at it again and repeat the change.")
	// ErrIDTaken: the id that the caller gave is another thing's.
	ErrIDTaken = problem.New(problem.Conflict, "id-taken", "The id is already in use for something with other content. Leave it out to have one drawn, or use another.")
)

// again is a fault that another attempt may get past.
type again struct {
	cause  error
	lost   *Lost // when it was a constraint's row
	inTurn bool  // the rival was before it in the lane: it costs no attempt, and the place is kept
}

func (e *again) Error() string { return e.cause.Error() }

// Run implements usecase.Runner.
func (r *Runner) Run(ctx context.Context, req usecase.Request) (usecase.Receipt, error) {
	a := &attempt{Runner: r, req: req, unit: uuid.Must(uuid.NewV7()), token: tokenKey(req.Token)}
	if a.key = req.Key; a.key == "" {
		a.key = a.unit.String()
	}
	if a.token != "" {
		leave, err := r.tokens.enter(ctx, a.token, r.Settings().LockTimeout)
		if err != nil {
			return usecase.Receipt{}, err
		}
		defer leave()
	}
	defer a.placed()
	for {
		a.number++
		settings := r.Settings()
		receipt, err := a.run(ctx, settings)
		if retry, ok := errors.AsType[*again](err); ok {
			if err = a.mayRetry(ctx, retry, settings); err == nil {
				continue
			}
		}
		if err != nil {
			receipt, err = a.refused(ctx, err)
		}
		if err != nil {
			return usecase.Receipt{}, err
		}
		if !a.earlier && len(receipt.Events) > 0 {
			a.stored()
			r.Committed(ctx, receipt)
		}
		return receipt, nil
	}
}
