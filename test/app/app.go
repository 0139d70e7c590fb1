// Package app runs the whole application inside a test: every module, on a database of the test's own, wired as cmd/accession
// wires it but plainly, and asked over HTTP without a socket.
//
//	a := app.Start(t, app.Config{DB: db, Timing: projection.Immediate})
//	created := a.Post("/libraries", `{"name": "Main"}`, "X-Actor: me")
//	found := a.Get(created.Header.Get("Location"))
//
// Two judges come with it, so that no test has to ask. Every answer passes a referee: one that the OpenAPI document does not
// declare fails the test. And when the application stops, at the end of the test at the latest, the log is played anew: a
// broken rule, a row of the register or a read model that differs, or a projector that gave up, fails the test too.
package app

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/discovery"
	"accession/modules/editions"
	"accession/modules/library"
	"accession/modules/operations"
	"accession/platform/bus"
	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/httpapi"
	"accession/platform/httpapi/httpapitest"
	"accession/platform/module"
	"accession/platform/projection"
	"accession/platform/tally"
	"accession/platform/telemetry"
	"accession/platform/usecase"
)

// modules are those of cmd/accession.
var modules = []module.Module{library.Module, catalogue.Module, editions.Module, discovery.Module, operations.Module}

// Config says how the application runs. Only DB is required.
type Config struct {
	DB     *database.DB                // migrated; the test closes it, after the application has stopped
	Timing projection.Timing           // of all projectors; Background when empty
	Modes  map[string]consistency.Mode // by constraint; one that is missing has its default
	// LockTimeout is how long a writer waits for a lock; 0 means 20 s: no test is about how fast the machine is.
	LockTimeout time.Duration
	// Asleep leaves projectors in the background where they are: nothing is ever played into them.
	Asleep bool
	// Front puts something in front of the application, as a proxy is: every request goes through it. nil: nothing is.
	Front func(http.Handler) http.Handler
}

// App is a running application. It is safe for concurrent use.
type App struct {
	t           testing.TB
	handler     http.Handler
	log         eventlog.Log
	register    consistency.Register
	set         *consistency.Set
	projections *projection.Projectionist
	asleep      bool

	end  func() error // ends what runs in the background
	stop sync.Once
}

// patience is how long the application may take to start or stop: much longer than it takes.
const patience = time.Minute

// Start starts the application, or fails the test. It stops when the test ends, unless [App.Stop] was called before.
func Start(t testing.TB, c Config) *App {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("start application: %v", err)
		}
	}
	registry, err := module.Registry(modules)
	must(err)
	set, err := module.Constraints(modules)
	must(err)
	projectors, err := module.Projectors(modules)
	must(err)
	settings := consistency.DefaultSettings()
	settings.Modes = c.Modes
	settings.LockTimeout = cmp.Or(c.LockTimeout, 20*time.Second)
	must(set.Check(settings))

	logger := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	metrics := telemetry.New()
	a := &App{t: t, log: logdb.New(c.DB, registry, settings.LockTimeout), register: registerdb.New(c.DB.Read), set: set, asleep: c.Asleep}
	a.projections, err = projection.New(projection.Config{
		DB: c.DB, Log: a.log, Registry: registry, Projectors: projectors, Timing: c.Timing,
		Patience: settings.LockTimeout, Logger: logger, Meter: metrics,
	})
	must(err)
	doorbell, err := bus.New(bus.Config{}, logger)
	must(err)
	modes := operations.NewModes(a.log, set, settings, logger)
	must(modes.Load(t.Context()))
	figures := tally.New(tally.Config{DB: c.DB, Constraints: set, Logger: logger})
	runner := metrics.Runner(consistency.NewRunner(consistency.Config{
		Log: a.log, Register: a.register, Set: set, Settings: modes.Settings, Abreast: registerdb.Abreast(c.DB.Dialect),
		Immediate: a.projections.Immediate(), Meter: telemetry.Fan(metrics, figures), Logger: logger,
		Committed: func(ctx context.Context, r usecase.Receipt) {
			modes.Committed(r.Events)
			if err := doorbell.Publish(ctx, r.Events); err != nil {
				t.Errorf("publish the events up to %d: %v", r.Position, err)
			}
		},
	}))
	api := httpapi.New(httpapi.Config{Logger: logger, Ready: c.DB.Ping, Metrics: metrics.Handler(), Meter: metrics})
	module.Routes(modules, api, module.Env{
		Runner: runner, Log: a.log, Projections: a.projections, Constraints: set, Settings: settings, Tally: figures,
	})
	a.handler = httpapitest.Referee(t, api)
	if c.Front != nil {
		a.handler = c.Front(a.handler)
	}

	must(a.projections.Boot(t.Context()))
	a.run(doorbell)
	t.Cleanup(a.Stop)
	return a
}

// run starts what plays behind the commands.
func (a *App) run(doorbell *bus.Bus) {
	a.t.Helper()
	var topics []string
	for _, m := range modules {
		if len(m.Events) > 0 {
			topics = append(topics, m.Name)
		}
	}
	err := doorbell.Subscribe("projectors", topics, func(context.Context, bus.Message) error {
		a.projections.Ring()
		return nil
	})
	if err != nil {
		a.t.Fatalf("start application: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // the test's own ends before its cleanup
	var background sync.WaitGroup
	if !a.asleep {
		background.Go(func() { a.projections.Play(ctx) })
	}
	failed := make(chan error, 1)
	background.Go(func() { failed <- doorbell.Run(ctx) })
	select {
	case <-doorbell.Running():
	case err := <-failed:
		a.t.Fatalf("start application: %v", err)
	}
	a.end = func() error {
		err := doorbell.Close()
		cancel()
		background.Wait()
		return err
	}
}

// Stop lets the projectors play to the end of the log, ends everything that runs, and holds what is stored against the log:
// what differs fails the test. Then the database may be closed, or another application started on it. Stopping again does
// nothing.
func (a *App) Stop() {
	a.t.Helper()
	a.stop.Do(func() {
		a.t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if !a.asleep {
			a.settle(ctx)
		}
		if err := a.end(); err != nil {
			a.t.Errorf("stop application: %v", err)
		}
		a.audit(ctx)
	})
}

// Settle waits until every projector has played all that is in the log by now.
func (a *App) Settle() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.settle(ctx)
}

func (a *App) settle(ctx context.Context) {
	a.t.Helper()
	head := a.Position()
	for _, p := range a.projections.Projectors {
		if err := a.projections.Wait(ctx, p.Name, head); err != nil {
			a.t.Error(err)
		}
	}
}

// audit holds constraints, register and read models against the log.
func (a *App) audit(ctx context.Context) {
	a.t.Helper()
	broken, err := consistency.Audit(ctx, a.set, a.log, a.register)
	if err != nil {
		a.t.Errorf("audit: %v", err)
	}
	for _, f := range broken {
		a.t.Errorf("audit: %s", f)
	}
	differs, err := a.projections.Verify(ctx)
	if err != nil {
		a.t.Errorf("verify: %v", err)
	}
	for _, f := range differs {
		a.t.Errorf("verify: %s %s at %d: %s: expected %s, found %s", f.Projector, f.Table, f.Position, f.Key, f.Expected, f.Found)
	}
}

// Position is where the log ends.
func (a *App) Position() event.Position {
	a.t.Helper()
	head, err := a.log.Head(context.Background())
	if err != nil {
		a.t.Fatal(err)
	}
	return head.Position
}

// Answer is what a request was answered with.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any // of a JSON object; else nil
	Text   string         // the body as it came
}

// Code is the code of a problem document; "" for anything else.
func (a Answer) Code() string {
	code, _ := a.Body["code"].(string)
	return code
}

// Get asks for a path below /api/v1, or for one that begins with /api/, as links do. Headers are "Name: value".
func (a *App) Get(path string, headers ...string) Answer {
	return a.Do(request(http.MethodGet, path, "", headers))
}

// Post sends the body, JSON, to a path as [App.Get] has it.
func (a *App) Post(path, body string, headers ...string) Answer {
	return a.Do(request(http.MethodPost, path, body, headers))
}

func request(method, path, body string, headers []string) *http.Request {
	if !strings.HasPrefix(path, "/api/") {
		path = httpapi.Prefix + path
	}
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// ServeHTTP answers on a server's behalf, for tests that need a socket.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// Do sends any request.
func (a *App) Do(r *http.Request) Answer {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	answer := Answer{Status: w.Code, Header: w.Result().Header, Text: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &answer.Body); err != nil {
		answer.Body = nil // no object
	}
	return answer
}
