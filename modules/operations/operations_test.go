package operations_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"accession/modules/operations"
	"accession/modules/operations/operationsevents"
	"accession/platform/consistency"
	consistencymemory "accession/platform/consistency/memory"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/memory"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/httpapi"
	"accession/platform/httpapi/httpapitest"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/tally"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// signed is an event that claims a number on a page.
type signed struct {
	Number int `json:"number"`
}

func (*signed) EventType() string { return "guests.signed" }
func (*signed) Tags() []event.Tag { return []event.Tag{"guest:1", "page:1"} }

// guests is a module with a constraint of every kind of choice.
var guests = module.Module{
	Name: "guests", Events: []event.Event{&signed{}},
	Constraints: []consistency.Constraint{
		consistency.Sequence{
			Name: "guest-number", Rule: "The guests of a page are numbered.", Scope: "page", Taken: problem.New(problem.Conflict, "guest-number-not-unique", "Taken."),
			Parts: consistency.Parts{consistency.Numbered(func(e *signed) consistency.Slot {
				return consistency.Slot{In: "page:1", Of: "guest:1", N: &e.Number}
			})},
		},
		consistency.Reference{
			Name: "page-exists", Rule: "A guest signs on a page.", Scope: "page", Missing: problem.New(problem.NotFound, "page-not-found", "No such page."),
			Parts: consistency.Parts{consistency.Holds(func(*signed) consistency.Hold { return consistency.Hold{In: "page:1", Key: "k", Of: "guest:1"} })},
		},
	},
}

var modules = []module.Module{guests, operations.Module}

// office is a process: its API, and what stands behind it.
type office struct {
	testing.TB
	http  http.Handler
	log   eventlog.Log
	modes *operations.Modes
	tally *tally.Tally
	run   usecase.Runner
}

// opened is another process on the database, with guest-number configured as it says.
func opened(t testing.TB, db *database.DB, configured consistency.Mode) *office {
	t.Helper()
	registry, err := module.Registry(modules)
	must(t, err)
	set, err := module.Constraints(modules)
	must(t, err)
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	settings := consistency.DefaultSettings()
	settings.Modes = map[string]consistency.Mode{"guest-number": configured}
	o := &office{TB: t, log: logdb.New(db, registry, time.Minute)}
	o.modes = operations.NewModes(o.log, set, settings, logger)
	must(t, o.modes.Load(t.Context()))
	o.tally = tally.New(tally.Config{DB: db, Constraints: set, Logger: logger})
	o.run = consistency.NewRunner(consistency.Config{
		Log: o.log, Register: registerdb.New(db.Read), Set: set, Settings: o.modes.Settings, Meter: o.tally, Logger: logger,
		Committed: func(_ context.Context, r usecase.Receipt) { o.modes.Committed(r.Events) },
	})
	api := httpapi.New(httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	module.Routes(modules, api, module.Env{Runner: o.run, Log: o.log, Constraints: set, Settings: settings, Tally: o.tally})
	o.http = httpapitest.Referee(t, api)
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// constraint is one as the API shows it.
type constraint struct {
	Name, Mode, Configured string
	Modes                  []string
	Live                   *struct {
		Mode, By, Reason string
		Since            time.Time
		Position         event.Position
	}
	LastMinute struct {
		Attempts int64
		Outcomes map[string]int64
	} `json:"last_minute"`
	Advice []struct{ Rule, Text, Because string }
}

func (o *office) request(method, path, body string) *http.Request {
	r := httptest.NewRequestWithContext(o.Context(), method, "/api/v1/ops/constraints"+path, strings.NewReader(body))
	r.Header.Set("X-Actor", "Ada")
	return r
}

func (o *office) ask(method, path, body string) *httptest.ResponseRecorder {
	o.Helper()
	w := httptest.NewRecorder()
	o.http.ServeHTTP(w, o.request(method, path, body))
	return w
}

// change sets a mode, which must succeed.
func (o *office) change(name, mode, reason string) (constraint, *httptest.ResponseRecorder) {
	o.Helper()
	w := o.ask(http.MethodPut, "/"+name+"/mode", fmt.Sprintf(`{"mode": %q, "reason": %q}`, mode, reason))
	var c constraint
	if w.Code != http.StatusOK {
		o.Fatalf("%d: %s", w.Code, w.Body)
	}
	must(o, json.Unmarshal(w.Body.Bytes(), &c))
	return c, w
}

// list is all constraints by name.
func (o *office) list() map[string]constraint {
	o.Helper()
	w := o.ask(http.MethodGet, "", "")
	var page struct{ Items []constraint }
	if w.Code != http.StatusOK {
		o.Fatalf("%d: %s", w.Code, w.Body)
	}
	must(o, json.Unmarshal(w.Body.Bytes(), &page))
	all := map[string]constraint{}
	for _, c := range page.Items {
		all[c.Name] = c
	}
	return all
}

// inForce is the mode that the process's runner goes by.
func (o *office) inForce() string { return o.modes.Settings().Modes["guest-number"].String() }

// follow looks at the log now, instead of within a second.
func (o *office) follow() {
	o.Helper()
	must(o, o.modes.Look(o.Context()))
}

func (o *office) events() []event.Envelope {
	o.Helper()
	all, err := eventlog.Collect(o.log.Read(o.Context(), eventlog.Query{Types: []string{"operations.mode_changed"}}))
	must(o, err)
	return all
}

func TestAModeIsChangedLiveInEveryProcess(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		here, there := opened(t, db, consistency.Lock), opened(t, db, consistency.Reject)
		if here.inForce() != "lock" || there.inForce() != "reject" {
			t.Fatalf("configured lock and reject, in force %s and %s", here.inForce(), there.inForce())
		}
		c, w := here.change("guest-number", "retry", "  it is Monday ")
		if c.Mode != "retry" || c.Configured != "lock" || c.Live == nil || c.Live.By != "Ada" || c.Live.Reason != "it is Monday" || c.Live.Position != 1 {
			t.Errorf("answered %+v", c)
		}
		if w.Header().Get("Accession-Position") != "1" || w.Header().Get("ETag") != `"1"` {
			t.Errorf("headers %v", w.Header())
		}
		if here.inForce() != "retry" {
			t.Errorf("here %s is in force before it is answered, want retry", here.inForce())
		}
		there.follow()
		if there.inForce() != "retry" {
			t.Errorf("there %s is in force, want retry", there.inForce())
		}
		if c := there.list()["guest-number"]; c.Mode != "retry" || c.Configured != "reject" || c.Live == nil {
			t.Errorf("there it is listed as %+v", c)
		}
		if c := there.list()["page-exists"]; c.Mode != "lock" || c.Live != nil {
			t.Errorf("another is listed as %+v", c)
		}

		if c, w := there.change("guest-number", "retry", "again"); c.Mode != "retry" || c.Live == nil || w.Header().Get("Accession-Position") != "1" || len(here.events()) != 1 {
			t.Errorf("the same mode again: %+v, headers %v, %d events", c, w.Header(), len(here.events()))
		}

		restarted := opened(t, db, consistency.Reject)
		if restarted.inForce() != "retry" {
			t.Errorf("after a restart %s is in force, want retry", restarted.inForce())
		}

		if c, _ := there.change("guest-number", "default", "it is over"); c.Mode != "reject" || c.Live != nil {
			t.Errorf("set back, it is answered as %+v", c)
		}
		here.follow()
		if here.inForce() != "lock" || there.inForce() != "reject" {
			t.Errorf("set back, %s and %s are in force, want what is configured", here.inForce(), there.inForce())
		}

		var got []string
		for _, env := range here.events() {
			e := env.Event.(*operationsevents.ModeChanged)
			got = append(got, fmt.Sprint(env.Stream, " ", env.Version, " ", env.Actor, ": ", e.Constraint, " ", e.From, " → ", e.To, ", ", e.Reason))
		}
		if diff := cmp.Diff([]string{
			"constraint:guest-number 1 Ada: guest-number default → retry, it is Monday",
			"constraint:guest-number 2 Ada: guest-number retry → default, it is over",
		}, got); diff != "" {
			t.Errorf("in the log (-want +got):\n%s", diff)
		}
	})
}

func TestOfChangesAtOnceTheLastInTheLogHolds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		offices := []*office{opened(t, db, consistency.Lock), opened(t, db, consistency.Lock)}
		var all sync.WaitGroup
		for i, mode := range []string{"retry", "reject", "queue", "default"} {
			all.Go(func() { offices[i%2].change("guest-number", mode, "race") })
		}
		all.Wait()
		events := offices[0].events()
		live := "default"
		for _, env := range events { // each knows what it changes
			e := env.Event.(*operationsevents.ModeChanged)
			if e.From != live {
				t.Errorf("at %d it is changed from %s, but it was %s", env.Position, e.From, live)
			}
			live = e.To
		}
		want := live
		if live == "default" {
			want = "lock"
		}
		for i, o := range offices {
			o.follow()
			if o.inForce() != want {
				t.Errorf("process %d has %s in force, want %s", i, o.inForce(), want)
			}
		}
	})
}

// Of two people who have looked at the same mode, the second to change it is told, if they ask for that.
func TestAChangeOfWhatWasSeen(t *testing.T) {
	t.Parallel()
	o := opened(t, dbtest.SQLite(t), consistency.Lock)
	if _, w := o.change("guest-number", "default", "nothing to set back"); w.Header().Get("ETag") != "" {
		t.Errorf("a mode that was never changed has the ETag %s", w.Header().Get("ETag"))
	}
	_, w := o.change("guest-number", "retry", "it is Monday")
	seen := w.Header().Get("ETag")
	for _, test := range []struct {
		name, seen, mode string
		status           int
	}{
		{"the first", seen, "queue", http.StatusOK},
		{"the second", seen, "reject", http.StatusPreconditionFailed},
		{"the second, to what it is by now", seen, "queue", http.StatusPreconditionFailed},
		{"whatever there is", "*", "reject", http.StatusOK},
	} {
		r := o.request(http.MethodPut, "/guest-number/mode", fmt.Sprintf(`{"mode": %q, "reason": "r"}`, test.mode))
		r.Header.Set("If-Match", test.seen)
		w := httptest.NewRecorder()
		o.http.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: %d, want %d\n%s", test.name, w.Code, test.status, w.Body)
		}
	}
	if n := len(o.events()); n != 3 {
		t.Errorf("%d changes, want 3", n)
	}
}

func TestRefusedChanges(t *testing.T) {
	t.Parallel()
	o := opened(t, dbtest.SQLite(t), consistency.Lock)
	for _, test := range []struct {
		name, constraint, body string
		status                 int
		code, says             string
	}{
		{"there is no such constraint", "guest-numbers", `{"mode": "lock", "reason": "r"}`, 404, "constraint-not-found", "no such constraint"},
		{"there is no such mode", "guest-number", `{"mode": "hope", "reason": "r"}`, 422, "invalid", "reject, retry, lock, queue, adaptive, default"},
		{"the constraint cannot have the mode", "page-exists", `{"mode": "reject", "reason": "r"}`, 422, "invalid", "body.mode: is not one that page-exists can have: use one of retry, lock, queue, adaptive, default"},
		{"no reason is given", "guest-number", `{"mode": "retry"}`, 422, "invalid", "body.reason"},
		{"the reason is empty", "guest-number", `{"mode": "retry", "reason": " "}`, 422, "invalid", "body.reason"},
		{"the reason is too long", "guest-number", `{"mode": "retry", "reason": "` + strings.Repeat("x", 1001) + `"}`, 422, "invalid", "body.reason"},
		{"a field is unknown", "guest-number", `{"mode": "retry", "reason": "r", "why": "r"}`, 422, "invalid", "body.why"},
		{"the body is none", "guest-number", `mode`, 400, "malformed", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := o.ask(http.MethodPut, "/"+test.constraint+"/mode", test.body)
			var p struct{ Code string }
			must(t, json.Unmarshal(w.Body.Bytes(), &p))
			if w.Code != test.status || p.Code != test.code || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("%d: %s", w.Code, w.Body)
			}
		})
	}
	if n := len(o.events()); n != 0 {
		t.Errorf("%d events of refused changes", n)
	}
}

// sign is a command that claims a number.
type sign struct{}

func (sign) Execute(_ context.Context, u *usecase.Unit) error {
	u.Record(event.NewTag("guest", fmt.Sprint(time.Now().UnixNano())), &signed{})
	return nil
}

func TestTheListShowsWhatAllProcessesDo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		here, there := opened(t, db, consistency.Reject), opened(t, db, consistency.Reject)
		_, err := here.run.Run(t.Context(), usecase.Request{Command: sign{}, Actor: "Ada"})
		must(t, err)
		for range 30 {
			there.tally.Attempted(consistency.Attempt{Constraint: "guest-number", Scope: "page:1", Mode: consistency.Reject, Outcome: consistency.Rejected, Number: 1})
		}
		must(t, here.tally.Write(t.Context()))
		must(t, there.tally.Write(t.Context()))
		for i, o := range []*office{here, there, opened(t, db, consistency.Reject)} {
			c := o.list()["guest-number"]
			if diff := cmp.Diff(map[string]int64{"accepted": 1, "rejected": 30}, c.LastMinute.Outcomes); diff != "" {
				t.Errorf("%d: outcomes (-want +got):\n%s", i, diff)
			}
			if len(c.Advice) != 1 || c.Advice[0].Rule != "rejected" || !strings.Contains(c.Advice[0].Text, "97 % of guest-number attempts") {
				t.Errorf("%d: advice %+v", i, c.Advice)
			}
		}
	})
}

func TestTheListHasPages(t *testing.T) {
	t.Parallel()
	o := opened(t, dbtest.SQLite(t), consistency.Lock)
	var names []string
	for path := "?limit=1"; path != ""; {
		w := o.ask(http.MethodGet, path, "")
		var page struct {
			Items []constraint
			Next  *string
		}
		must(t, json.Unmarshal(w.Body.Bytes(), &page))
		for _, c := range page.Items {
			names = append(names, c.Name)
		}
		if path = ""; page.Next != nil {
			path = "?limit=1&cursor=" + *page.Next
		}
	}
	if !slices.Equal(names, []string{"guest-number", "page-exists"}) {
		t.Errorf("listed %v", names)
	}
}

// A process that nobody tells anything follows by itself, in less than two seconds.
func TestModesAreFollowed(t *testing.T) {
	t.Parallel()
	registry, err := module.Registry(modules)
	must(t, err)
	set, err := module.Constraints(modules)
	must(t, err)
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(registry, time.Minute)
		settings := consistency.DefaultSettings()
		settings.Modes = map[string]consistency.Mode{"guest-number": consistency.Lock}
		modes := operations.NewModes(log, set, settings, nil)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			modes.Follow(ctx)
		}()
		run := consistency.NewRunner(consistency.Config{Log: log, Register: consistencymemory.New(log), Set: set})
		for _, test := range []struct{ mode, want string }{{"queue", "queue"}, {"default", "lock"}} {
			change, err := operations.NewChangeMode(set, "guest-number", test.mode, "r")
			must(t, err)
			_, err = run.Run(ctx, change.Request("Ada"))
			must(t, err)
			began := time.Now()
			for modes.Settings().Modes["guest-number"].String() != test.want {
				<-time.After(time.Millisecond) // in the bubble, where it takes no time
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s was in force after %v", test.mode, took)
			}
		}
		stop()
		<-ended
		if got := settings.Modes["guest-number"]; got != consistency.Lock {
			t.Errorf("the configuration was changed to %s", got)
		}
	})
}

// A mode that another version of the program set, and that this one does not have, is as good as none.
func TestALiveModeThatIsUnknownHereIsPassedOver(t *testing.T) {
	t.Parallel()
	o := opened(t, dbtest.SQLite(t), consistency.Reject)
	o.modes.Committed([]event.Envelope{
		{Position: 7, Event: &operationsevents.ModeChanged{Constraint: "guest-number", To: "clairvoyant"}},
		{Position: 8, Event: &operationsevents.ModeChanged{Constraint: "nobody's", To: "lock"}},
	})
	if o.inForce() != "reject" {
		t.Errorf("%s is in force, want what is configured", o.inForce())
	}
	o.modes.Committed([]event.Envelope{{Position: 6, Event: &operationsevents.ModeChanged{Constraint: "guest-number", To: "lock"}}})
	if o.inForce() != "reject" {
		t.Errorf("an earlier change took over from a later one: %s", o.inForce())
	}
}
