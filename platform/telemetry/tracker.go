package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"accession/platform/consistency"

	"github.com/getsentry/sentry-go"
)

// Tracker sends what somebody should look at to Sentry, or to anything that speaks its protocol: every conflict that escaped to
// a caller, grouped by constraint and mode, and what is logged as an error: panics and internal errors. A conflict that was
// absorbed, because the command was decided again and stored, is not sent.
//
// It sends no text that a user or a database wrote: of a conflict the constraint, scope, mode and attempts; of an error the
// message that the program has for it, and of what is logged with it only what reported lists. The log has the rest, under the
// id of the request.
//
// It never makes anybody wait: reports line up, and when too many do, further ones are dropped. When they cannot be sent, the log
// says so once, until one has been sent again. It is safe for concurrent use; the nil Tracker sends nothing.
type Tracker struct {
	client  *sentry.Client
	logger  *slog.Logger
	last    time.Duration // for what is waiting at the end
	queue   chan *sentry.Event
	ended   chan struct{} // closed when everything was sent after Stop
	failing atomic.Bool
	dropped atomic.Int64

	mu      sync.RWMutex // held while queue is written to, alone while it is closed
	stopped bool
}

// TrackerConfig says where a Tracker sends its reports.
type TrackerConfig struct {
	DSN     string       // of the project, as Sentry gives it: https://KEY@HOST/PROJECT. Empty: nothing is sent
	Release string       // the version of this program
	Logger  *slog.Logger // is told when reports cannot be sent; nil: slog.Default

	LastTimeout time.Duration // how long Stop waits until what lined up is sent; 0: 5 s
}

const (
	trackerQueue   = 1024
	trackerTimeout = 5 * time.Second // for one report
	lastTimeout    = 5 * time.Second
)

// NewTracker begins to send. Stop it at the end. Without a DSN it is nil. An error says what is wrong with the DSN.
func NewTracker(c TrackerConfig) (*Tracker, error) {
	if c.DSN == "" {
		return nil, nil //nolint:nilnil // the nil Tracker is one that works
	}
	t := &Tracker{logger: cmp.Or(c.Logger, slog.Default()), last: cmp.Or(c.LastTimeout, lastTimeout), queue: make(chan *sentry.Event, trackerQueue), ended: make(chan struct{})}
	transport := sentry.NewHTTPSyncTransport() // the goroutine that waits for it is ours
	transport.Timeout = trackerTimeout
	var err error
	t.client, err = sentry.NewClient(sentry.ClientOptions{
		Dsn: c.DSN,
		// The name of a machine is often that of its owner.
		ServerName: "accession",
		Release:    cmp.Or(c.Release, "dev"), // when it is empty, Sentry's client looks for a Git repository in the working directory
		// The list of all our dependencies and of the machine's properties is of no use here.
		Integrations:         func([]sentry.Integration) []sentry.Integration { return nil },
		Transport:            transport,
		HTTPTransport:        watched{t},
		DisableClientReports: true,
	})
	if err != nil {
		return nil, fmt.Errorf("read the DSN: %w", err)
	}
	go t.send()
	return t, nil
}

func (t *Tracker) send() {
	defer close(t.ended)
	for e := range t.queue {
		t.client.CaptureEvent(e, nil, nil)
	}
}

// Stop sends what is still waiting, until ctx ends or that has taken too long: a thousand reports to a tracker that hangs would keep
// the process for hours. What is reported later is dropped.
func (t *Tracker) Stop(ctx context.Context) {
	if t == nil {
		return
	}
	t.mu.Lock()
	if !t.stopped {
		t.stopped = true
		close(t.queue)
	}
	t.mu.Unlock()
	late := time.NewTimer(t.last)
	defer late.Stop()
	select {
	case <-t.ended:
		return
	case <-late.C:
	case <-ctx.Done():
	}
	t.logger.Warn("reports to the error tracker are dropped: they could not be sent before the end", "dropped", len(t.queue))
}

// report puts e in the queue, if there is room.
func (t *Tracker) report(e *sentry.Event) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.stopped {
		return
	}
	select {
	case t.queue <- e:
	default:
		if n := t.dropped.Add(1); n&(n-1) == 0 { // the 1st, 2nd, 4th, 8th …
			t.logger.Warn("reports to the error tracker are dropped: there are more than it takes", "dropped", n)
		}
	}
}

// watched is the way to the error tracker. What comes of a report, the log is told when it changes.
type watched struct{ t *Tracker }

// RoundTrip implements http.RoundTripper.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	failed := err != nil || answer.StatusCode >= http.StatusBadRequest
	if was := w.t.failing.Swap(failed); failed && !was {
		status := 0
		if answer != nil {
			status = answer.StatusCode
		}
		w.t.logger.Warn("a report could not be sent to the error tracker, and is dropped; so is every further one until this is mended",
			"host", r.URL.Host, "status", status, "error", err)
	}
	return answer, err
}

// Attempted implements consistency.Meter.
func (t *Tracker) Attempted(a consistency.Attempt) {
	if t == nil {
		return
	}
	switch a.Outcome {
	case consistency.Rejected, consistency.Exhausted, consistency.Busy:
	default:
		return
	}
	e := sentry.NewEvent()
	e.Level = sentry.LevelWarning
	e.Logger = "consistency"
	e.Message = fmt.Sprintf("A conflict over %s escaped to the caller in mode %s: %s", a.Constraint, a.Mode, a.Outcome)
	e.Fingerprint = []string{"conflict", a.Constraint, a.Mode.String()}
	e.Tags = map[string]string{
		"constraint": a.Constraint, "scope": string(a.Scope), "scope_kind": a.Scope.Kind(),
		"mode": a.Mode.String(), "outcome": string(a.Outcome), "attempts": strconv.Itoa(a.Number),
	}
	t.report(e)
}

// Waited implements consistency.Meter.
func (*Tracker) Waited(string, consistency.Mode, time.Duration) {}

// Queued implements consistency.Meter.
func (*Tracker) Queued(int) {}

// Batched implements consistency.Meter.
func (*Tracker) Batched(int) {}

// reported are what is sent of what was logged with an error: words of the program and of machines, never of people. An error's
// own text is not among them: it may quote a title, or what a database says of one.
var reported = map[string]bool{
	"request_id": true, "method": true, "route": true, "status": true, "code": true, "command": true, "stack": true,
	"projector": true, "version": true, "position": true, "event": true, "constraint": true, "mode": true, "subscription": true,
}

// Logger is l, and what it logs as an error is also reported.
func (t *Tracker) Logger(l *slog.Logger) *slog.Logger {
	if t == nil {
		return l
	}
	return slog.New(tracked{l.Handler(), t, nil})
}

// tracked is a handler that reports errors on the way.
type tracked struct {
	slog.Handler
	t     *Tracker
	attrs []slog.Attr
}

// Handle implements slog.Handler.
func (h tracked) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.t.report(h.event(r))
	}
	return h.Handler.Handle(ctx, r)
}

// Enabled implements slog.Handler: errors are reported whatever is logged.
func (h tracked) Enabled(ctx context.Context, l slog.Level) bool { return h.Handler.Enabled(ctx, l) }

// WithAttrs implements slog.Handler.
func (h tracked) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracked{h.Handler.WithAttrs(attrs), h.t, append(slices.Clip(h.attrs), attrs...)}
}

// WithGroup implements slog.Handler.
func (h tracked) WithGroup(name string) slog.Handler {
	return tracked{h.Handler.WithGroup(name), h.t, h.attrs}
}

func (h tracked) event(r slog.Record) *sentry.Event {
	e := sentry.NewEvent()
	e.Level = sentry.LevelError
	e.Logger = "log"
	e.Message = r.Message
	e.Timestamp = r.Time
	e.Tags = map[string]string{}
	fingerprint := []string{"error", r.Message}
	logged := sentry.Context{}
	note := func(a slog.Attr) bool {
		switch {
		case a.Key == "error":
			logged["error_type"] = fmt.Sprintf("%T", a.Value.Any())
		case a.Key == "panic":
			logged["panic_type"] = fmt.Sprintf("%T", a.Value.Any())
		case !reported[a.Key]:
		case a.Key == "stack":
			logged["stack"] = a.Value.String()
		default:
			e.Tags[a.Key] = a.Value.String()
			switch a.Key {
			case "request_id", "position", "event": // these are other ones each time
			default:
				fingerprint = append(fingerprint, a.Value.String())
			}
		}
		return true
	}
	for _, a := range h.attrs {
		note(a)
	}
	r.Attrs(note)
	if r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		logged["function"] = frame.Function
	}
	e.Contexts = map[string]sentry.Context{"logged": logged}
	e.Fingerprint = fingerprint
	return e
}

// Fan is a consistency.Meter that tells all of them, in order.
func Fan(meters ...consistency.Meter) consistency.Meter { return fan(meters) }

type fan []consistency.Meter

func (f fan) Attempted(a consistency.Attempt) {
	for _, m := range f {
		m.Attempted(a)
	}
}

func (f fan) Waited(constraint string, mode consistency.Mode, d time.Duration) {
	for _, m := range f {
		m.Waited(constraint, mode, d)
	}
}

func (f fan) Queued(units int) {
	for _, m := range f {
		m.Queued(units)
	}
}

func (f fan) Batched(units int) {
	for _, m := range f {
		m.Batched(units)
	}
}
