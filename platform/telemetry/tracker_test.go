package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"accession/platform/consistency"

	"github.com/google/go-cmp/cmp"
)

var (
	_ consistency.Meter = (*Tracker)(nil)
	_ consistency.Meter = fan{}
)

// sentryServer takes envelopes as Sentry does: lines of JSON, of which the third is the event.
type sentryServer struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	events []sentryEvent
	raw    bytes.Buffer
	tries  int
}

type sentryEvent struct {
	Message, Level string
	Fingerprint    []string
	Tags           map[string]string
	Contexts       map[string]map[string]any
}

func newSentryServer(t *testing.T) *sentryServer {
	t.Helper()
	s := &sentryServer{status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/api/7/envelope/" || !strings.Contains(r.Header.Get("X-Sentry-Auth"), "sentry_key=public") {
			t.Errorf("%s %s with %q: %v", r.Method, r.URL, r.Header.Get("X-Sentry-Auth"), err)
		}
		s.tries++
		s.raw.Write(body)
		w.WriteHeader(s.status)
		if s.status != http.StatusOK {
			return
		}
		lines := bufio.NewScanner(bytes.NewReader(body))
		for n := 0; lines.Scan(); n++ {
			if n != 2 {
				continue
			}
			var e sentryEvent
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Error(err)
			}
			s.events = append(s.events, e)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sentryServer) dsn() string { return strings.Replace(s.URL, "://", "://public@", 1) + "/7" }

func track(t *testing.T, dsn string, log io.Writer) *Tracker {
	t.Helper()
	tracker, err := NewTracker(TrackerConfig{DSN: dsn, Release: "1.2.3", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tracker.Stop(t.Context()) })
	return tracker
}

func TestConflictsThatEscapeAreTracked(t *testing.T) {
	t.Parallel()
	s := newSentryServer(t)
	tracker := track(t, s.dsn(), io.Discard)
	for _, o := range []consistency.Outcome{consistency.Accepted, consistency.Retried, consistency.Refused, consistency.Exhausted} {
		tracker.Attempted(consistency.Attempt{Constraint: "book-number", Scope: "category:1", Mode: consistency.Retry, Outcome: o, Number: 16})
	}
	tracker.Attempted(consistency.Attempt{Constraint: "isbn", Scope: "library:2", Mode: consistency.Reject, Outcome: consistency.Rejected, Number: 1})
	tracker.Attempted(consistency.Attempt{Constraint: "book-number", Mode: consistency.Lock, Outcome: consistency.Busy, Number: 2})
	tracker.Stop(t.Context())
	tracker.Stop(t.Context())
	tracker.Attempted(consistency.Attempt{Outcome: consistency.Busy}) // too late

	want := []sentryEvent{
		{
			Message: "A conflict over book-number escaped to the caller in mode retry: exhausted", Level: "warning",
			Fingerprint: []string{"conflict", "book-number", "retry"},
			Tags:        map[string]string{"constraint": "book-number", "scope": "category:1", "scope_kind": "category", "mode": "retry", "outcome": "exhausted", "attempts": "16"},
		},
		{
			Message: "A conflict over isbn escaped to the caller in mode reject: rejected", Level: "warning",
			Fingerprint: []string{"conflict", "isbn", "reject"},
			Tags:        map[string]string{"constraint": "isbn", "scope": "library:2", "scope_kind": "library", "mode": "reject", "outcome": "rejected", "attempts": "1"},
		},
		{
			Message: "A conflict over book-number escaped to the caller in mode lock: busy", Level: "warning",
			Fingerprint: []string{"conflict", "book-number", "lock"},
			Tags:        map[string]string{"constraint": "book-number", "scope": "", "scope_kind": "", "mode": "lock", "outcome": "busy", "attempts": "2"},
		},
	}
	if diff := cmp.Diff(want, s.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestErrorsInTheLogAreTrackedWithoutWhatPeopleWrote(t *testing.T) {
	t.Parallel()
	s := newSentryServer(t)
	var log bytes.Buffer
	tracker := track(t, s.dsn(), io.Discard)
	l := tracker.Logger(slog.New(slog.NewTextHandler(&log, nil))).With("request_id", "r1", "actor", "Ada")
	l.Warn("not severe enough")
	l.Error("request failed", "status", 500, "error", errors.New(`pq: cannot store "Emma"`), "path", "/books/Emma")
	for _, event := range []string{"e1", "e2"} {
		l.Error("a subscriber failed", "subscription", "s", "event", event, "position", 1)
	}
	l.Error("handler panicked", "panic", "Emma", "stack", "goroutine 1 …")
	tracker.Stop(t.Context())

	if n := len(s.events); n != 4 {
		t.Fatalf("%d events, want 4", n)
	}
	got := s.events[0]
	if diff := cmp.Diff(map[string]string{"request_id": "r1", "status": "500"}, got.Tags); diff != "" || got.Message != "request failed" || got.Level != "error" {
		t.Errorf("%s: %s, tags (-want +got):\n%s", got.Level, got.Message, diff)
	}
	if diff := cmp.Diff([]string{"error", "request failed", "500"}, got.Fingerprint); diff != "" {
		t.Errorf("fingerprint (-want +got):\n%s", diff)
	}
	for i, event := range []string{"e1", "e2"} { // one group for all of them
		got := s.events[1+i]
		if diff := cmp.Diff([]string{"error", "a subscriber failed", "s"}, got.Fingerprint); diff != "" || got.Tags["event"] != event {
			t.Errorf("tags %v, fingerprint (-want +got):\n%s", got.Tags, diff)
		}
	}
	if got := s.events[3].Contexts["logged"]["stack"]; got != "goroutine 1 …" {
		t.Errorf("the stack is %v", got)
	}
	for _, private := range []string{"Emma", "Ada"} {
		if bytes.Contains(s.raw.Bytes(), []byte(private)) {
			t.Errorf("%s was sent: %s", private, s.raw.String())
		}
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 4 {
		t.Errorf("%d errors in the log, want 4:\n%s", n, log.String())
	}
}

func TestATrackerThatCannotBeReachedIsLoggedOnce(t *testing.T) {
	t.Parallel()
	s := newSentryServer(t)
	s.status = http.StatusBadGateway
	var log bytes.Buffer
	tracker := track(t, s.dsn(), &log)
	for range 3 {
		tracker.Attempted(consistency.Attempt{Constraint: "isbn", Mode: consistency.Reject, Outcome: consistency.Rejected, Number: 1})
	}
	tracker.Stop(t.Context())
	if n := strings.Count(log.String(), "could not be sent"); n != 1 || s.tries != 3 {
		t.Errorf("logged %d times, want once, and %d tries, want 3:\n%s", n, s.tries, log.String())
	}
}

func TestATrackerThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-open }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(open) })
	var log bytes.Buffer
	dsn := strings.Replace(s.URL, "://", "://public@", 1) + "/7"
	tracker, err := NewTracker(TrackerConfig{DSN: dsn, Logger: slog.New(slog.NewTextHandler(&log, nil)), LastTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range trackerQueue + 10 { // none of these waits
		tracker.Attempted(consistency.Attempt{Constraint: "isbn", Mode: consistency.Reject, Outcome: consistency.Rejected, Number: 1})
	}
	if tracker.dropped.Load() < 8 {
		t.Errorf("%d dropped", tracker.dropped.Load())
	}
	tracker.Stop(t.Context()) // nor does this
	if !strings.Contains(log.String(), "could not be sent before the end") {
		t.Errorf("the log says nothing of what is dropped at the end:\n%s", log.String())
	}
	patient, err := NewTracker(TrackerConfig{DSN: dsn, Logger: slog.New(slog.DiscardHandler), LastTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	patient.Attempted(consistency.Attempt{Constraint: "isbn", Mode: consistency.Reject, Outcome: consistency.Rejected, Number: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	patient.Stop(ctx) // for longer than its context
}

func TestWithoutADSNNothingIsTracked(t *testing.T) {
	t.Parallel()
	tracker, err := NewTracker(TrackerConfig{})
	if err != nil || tracker != nil {
		t.Fatalf("%v, %v", tracker, err)
	}
	Fan(tracker).Attempted(consistency.Attempt{Outcome: consistency.Busy})
	l := slog.New(slog.DiscardHandler)
	if tracker.Logger(l) != l {
		t.Error("the logger was wrapped")
	}
	tracker.Stop(t.Context())
	if _, err := NewTracker(TrackerConfig{DSN: "not one"}); err == nil {
		t.Error("a DSN that is none was taken")
	}
}

func TestAFanTellsEveryMeter(t *testing.T) {
	t.Parallel()
	a, b := New(), New()
	all := Fan(a, b)
	all.Attempted(consistency.Attempt{Constraint: "isbn", Mode: consistency.Lock, Outcome: consistency.Accepted, Number: 1})
	all.Waited("isbn", consistency.Lock, time.Millisecond)
	all.Queued(3)
	all.Batched(2)
	for _, m := range []*Metrics{a, b} {
		if !m.attempts.DeleteLabelValues("isbn", "lock", "accepted") || !m.waits.DeleteLabelValues("isbn", "lock") {
			t.Error("one was not told")
		}
	}
}
