package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"accession/modules/catalogue"
	"accession/modules/discovery"
	"accession/modules/editions"
	"accession/modules/library"
	"accession/modules/operations"
	"accession/platform/bus"
	"accession/platform/config"
	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/telemetry"
	"accession/platform/usecase"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
)

// modules are the bounded contexts of the application. This list is all there is to adding one.
var modules = []module.Module{library.Module, catalogue.Module, editions.Module, discovery.Module, operations.Module}

// load reads the configuration.
func (c *cli) load() (config.Config, []config.Setting, error) {
	set, err := module.Constraints(modules)
	if err != nil {
		return config.Config{}, nil, err
	}
	modes := map[string][]string{}
	defaults := map[string]string{}
	for _, d := range set.Describe() {
		defaults[d.Name] = d.Default.String()
		for _, m := range d.Modes {
			modes[d.Name] = append(modes[d.Name], m.String())
		}
	}
	return config.Load(config.Sources{File: c.config, Env: c.env, Flags: c.flags, Constraints: modes, Modes: defaults})
}

// access is what a command wants to do with the database.
type access int

const (
	look    access = iota // read only: takes no lock, works beside a server
	write                 // migrates first; on SQLite keeps other processes out
	inspect               // looks, even where the log cannot say where it ends
)

// app is the application as a command uses it.
type app struct {
	config  config.Config
	db      *database.DB
	logger  *slog.Logger
	tracker *telemetry.Tracker // nil: there is none
	head    eventlog.Head      // where the log ended when the database was opened; not known to who inspects it
}

// open reads the configuration and opens the database, migrated. Close what it gives.
func (c *cli) open(ctx context.Context, a access) (*app, error) {
	cfg, _, err := c.load()
	if err != nil {
		return nil, err
	}
	return c.openWith(ctx, cfg, a)
}

// openWith is open with a configuration that was read already. Close what it gives.
func (c *cli) openWith(ctx context.Context, cfg config.Config, a access) (*app, error) {
	if a == write {
		if err := bus.CheckDriver(cfg.Bus.Driver); err != nil { // before anything is made
			return nil, err
		}
	}
	logger := telemetry.Logger(c.err, cfg.Log.Level, cfg.Log.Format)
	tracker, err := newTracker(cfg, logger)
	if err != nil {
		return nil, err
	}
	logger = tracker.Logger(logger)
	db, err := openDatabase(ctx, cfg, a)
	if err != nil {
		return nil, err
	}
	if a == write {
		err = database.Migrate(ctx, db, nil)
	} else {
		err = database.CheckCurrent(ctx, db, nil)
	}
	var head eventlog.Head
	if err == nil && a != inspect {
		head, err = logdb.HeadOf(ctx, db.Read)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &app{config: cfg, db: db, logger: logger, tracker: tracker, head: head}, nil
}

// openDatabase opens the database as it is.
func openDatabase(ctx context.Context, cfg config.Config, a access) (*database.DB, error) {
	db, err := database.Open(ctx, databaseConfig(cfg, a))
	if p := *problem.Of(err); errors.Is(err, fs.ErrNotExist) {
		p.Message += " Name another with --database, or make this one: `accession serve`, `accession import` and `accession migrate up` do."
		err = &p
	}
	return db, err
}

// databaseConfig is how the configuration wants the database to be opened.
func databaseConfig(cfg config.Config, a access) database.Config {
	d := cfg.Database
	return database.Config{
		URL: d.URL, ReadOnly: a != write,
		// Two thirds write: a command holds its connection while it waits for a lock, a read for a moment only.
		WriteConns: max(1, d.MaxOpen*2/3), ReadConns: max(1, d.MaxOpen-d.MaxOpen*2/3),
		LockTimeout: cfg.Consistency.Lock.Timeout, StatementTimeout: unlimited(d.StatementTimeout),
		IdleInTransactionTimeout: unlimited(d.IdleInTransactionTimeout),
	}
}

// unlimited translates "0 waits for ever" into the database's words for it.
func unlimited(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// wire builds what the options ask for, usually parts to fx.Populate. Constructors do nothing but construct; what runs in the
// background starts with the fx.App that is returned.
func (a *app) wire(options ...fx.Option) (*fx.App, error) {
	app := fx.New(
		fx.WithLogger(func() fxevent.Logger {
			l := &fxevent.SlogLogger{Logger: a.logger}
			l.UseLogLevel(slog.LevelDebug)
			return l
		}),
		fx.StartTimeout(time.Hour), // Boot may have to play a whole log into immediate projectors
		fx.StopTimeout(time.Minute),
		fx.Supply(a, a.config, a.db, a.logger),
		module.Fx(modules...),
		fx.Provide(
			telemetry.New,
			settings,
			newModes, newTally, newMeter,
			newLog, newReader, newRegister, newRunner, newProjectionist, newBus, newAPI,
		),
		fx.Options(options...),
	)
	return app, app.Err()
}

// stopApp ends what app started, and does not wait for that longer than its StopTimeout, also when ctx has ended.
func stopApp(ctx context.Context, app *fx.App) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), app.StopTimeout())
	defer cancel()
	if err := app.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

func settings(cfg config.Config, set *consistency.Set) (consistency.Settings, error) {
	s := consistency.DefaultSettings()
	s.Modes = map[string]consistency.Mode{}
	s.Attempts, s.Backoff = cfg.Consistency.Retry.Attempts, cfg.Consistency.Retry.Backoff
	s.LockTimeout = cfg.Consistency.Lock.Timeout
	s.Depth, s.Batch = cfg.Consistency.Queue.Depth, cfg.Consistency.Queue.Batch
	for name, word := range cfg.Consistency.Modes {
		m, err := consistency.ParseMode(word)
		if err != nil {
			return s, err
		}
		s.Modes[name] = m
	}
	return s, set.Check(s)
}

func newLog(db *database.DB, r *event.Registry, s consistency.Settings) eventlog.Log {
	return logdb.New(db, r, s.LockTimeout)
}

func newReader(l eventlog.Log) eventlog.Reader { return l }

func newRegister(db *database.DB) consistency.Register { return registerdb.New(db.Read) }

func newProjectionist(a *app, l eventlog.Reader, r *event.Registry, all []projection.Projector, m *telemetry.Metrics) (*projection.Projectionist, error) {
	return projection.New(projection.Config{
		DB: a.db, Log: l, Registry: r, Projectors: all, Timing: projection.Timing(a.config.Projectors.Timing),
		Patience: a.config.Consistency.Lock.Timeout, Logger: a.logger, Meter: m,
	})
}

func newBus(a *app) (*bus.Bus, error) {
	b := a.config.Bus
	return bus.New(bus.Config{Driver: b.Driver, Source: a.head.Log.String(), Brokers: b.Kafka.Brokers, TopicPrefix: b.Kafka.TopicPrefix}, a.logger)
}

func newRunner(a *app, l eventlog.Log, r consistency.Register, set *consistency.Set, modes *operations.Modes, meter consistency.Meter, p *projection.Projectionist, b *bus.Bus, m *telemetry.Metrics) usecase.Runner {
	return m.Runner(consistency.NewRunner(consistency.Config{
		Log: l, Register: r, Set: set, Settings: modes.Settings, Abreast: registerdb.Abreast(a.db.Dialect),
		Immediate: p.Immediate(), Meter: meter, Logger: a.logger,
		Committed: func(ctx context.Context, receipt usecase.Receipt) {
			modes.Committed(receipt.Events)
			if err := b.Publish(ctx, receipt.Events); err != nil {
				// The events are stored; whoever needs them looks into the log by and by.
				a.logger.WarnContext(ctx, "publish events", "position", receipt.Position, "error", err)
			}
		},
	}))
}

func newAPI(a *app, m *telemetry.Metrics) *httpapi.API {
	return httpapi.New(httpapi.Config{
		Logger: a.logger, MaxBody: int64(a.config.HTTP.MaxBody), Version: buildVersion().Version,
		Ready: a.db.Ping, Metrics: m.Handler(), Meter: m,
	})
}

// background runs what plays behind the commands: the projectors, and the bus that wakes them.
func background(lc fx.Lifecycle, p *projection.Projectionist, b *bus.Bus, modules []module.Module) error {
	var topics []string
	for _, m := range modules {
		if len(m.Events) > 0 {
			topics = append(topics, m.Name)
		}
	}
	err := b.Subscribe("projectors", topics, func(context.Context, bus.Message) error {
		p.Ring()
		return nil
	})
	if err != nil {
		return err
	}
	// The context of a start hook ends with the start: what runs in the background has its own.
	ctx, cancel := context.WithCancel(context.Background())
	played := make(chan struct{})
	lc.Append(fx.Hook{
		OnStart: func(start context.Context) error {
			if err := p.Boot(start); err != nil {
				return err
			}
			go func() {
				defer close(played)
				p.Play(ctx)
			}()
			go func() { _ = b.Run(ctx) }() // Running or Close tell what became of it
			select {
			case <-b.Running():
				return nil
			case <-start.Done():
				return start.Err()
			}
		},
		OnStop: func(stop context.Context) error {
			err := b.Close()
			cancel()
			select {
			case <-played:
				return err
			case <-stop.Done():
				return errors.Join(err, stop.Err())
			}
		},
	})
	return nil
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
