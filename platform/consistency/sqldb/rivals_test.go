package sqldb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	"accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/google/uuid"
)

// named gives a thing a name, and a turn in a room.
type named struct {
	Thing event.Tag `json:"thing"`
	Name  string    `json:"name"`
	Room  event.Tag `json:"room"`
	Turn  int       `json:"turn"`
}

func (*named) EventType() string   { return "rivals.named" }
func (e *named) Tags() []event.Tag { return []event.Tag{e.Thing} }

// dubbed gives a thing a name and nothing else.
type dubbed struct {
	Thing event.Tag `json:"thing"`
	Name  string    `json:"name"`
}

func (*dubbed) EventType() string   { return "rivals.dubbed" }
func (e *dubbed) Tags() []event.Tag { return []event.Tag{e.Thing} }

var (
	errName = problem.New(problem.Conflict, "name-taken", "Another thing has the name.")
	errTurn = problem.New(problem.Conflict, "turn-taken", "Another thing got the turn.")

	nameOf = consistency.Unique{Name: "name", Scope: "room", Taken: errName, Parts: consistency.Parts{
		consistency.Holds(func(e *named) consistency.Hold { return consistency.Hold{In: "room:1", Key: e.Name, Of: e.Thing} }),
		consistency.Holds(func(e *dubbed) consistency.Hold { return consistency.Hold{In: "room:1", Key: e.Name, Of: e.Thing} }),
	}}
	turnOf = consistency.Sequence{Name: "turn", Scope: "room", Taken: errTurn, Parts: consistency.Parts{
		consistency.Numbered(func(e *named) consistency.Slot { return consistency.Slot{In: e.Room, Of: e.Thing, N: &e.Turn} }),
	}}
)

// name gives the thing a name, whichever it had.
type name struct {
	thing event.Tag
	make  func() event.Event
}

func (c name) Execute(ctx context.Context, u *usecase.Unit) error {
	if _, _, err := usecase.Fold(ctx, u, c.thing, func(*int, event.Event) {}); err != nil {
		return err
	}
	u.Record(c.thing, c.make())
	return nil
}

func naming(thing event.Tag, as string) usecase.Request {
	return usecase.Request{Command: name{thing, func() event.Event { return &named{Thing: thing, Name: as, Room: "room:1"} }}}
}

func dubbing(thing event.Tag, as string) usecase.Request {
	return usecase.Request{Command: name{thing, func() event.Event { return &dubbed{Thing: thing, Name: as} }}}
}

// turns takes a turn in each of the rooms.
type turns []event.Tag

func (c turns) Execute(_ context.Context, u *usecase.Unit) error {
	for _, room := range c {
		thing := event.NewTag("thing", uuid.NewString())
		u.Record(thing, &named{Thing: thing, Name: thing.ID(), Room: room})
	}
	return nil
}

type room struct {
	db     *database.DB
	config consistency.Config
	meter  *consistencytest.Meter
}

// newRoom is an empty room whose turns are queued for.
func newRoom(t *testing.T, names consistency.Mode) room { return newPatientRoom(t, names, time.Minute) }

// newPatientRoom is one in which patience bounds every wait for a lock.
func newPatientRoom(t *testing.T, names consistency.Mode, patience time.Duration) room {
	t.Helper()
	registry, err := event.NewRegistry(&named{}, &dubbed{}, &burst{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := consistency.NewSet(nameOf, turnOf)
	if err != nil {
		t.Fatal(err)
	}
	db := dbtest.Postgres(t)
	settings := consistency.DefaultSettings()
	settings.Modes = map[string]consistency.Mode{"name": names, "turn": consistency.Queue}
	settings.LockTimeout, settings.Backoff = patience, time.Millisecond
	meter := &consistencytest.Meter{}
	return room{db, consistency.Config{
		Log: logdb.New(db, registry, settings.LockTimeout), Register: sqldb.New(db.Read), Set: set, Meter: meter,
		Settings: func() consistency.Settings { return settings },
	}, meter}
}

// Who takes what another of the same batch lets go of has lost nothing to anybody, whatever a third loses.
func TestALostRowIsLostByWhoWantedIt(t *testing.T) {
	t.Parallel()
	for _, mode := range []consistency.Mode{consistency.Reject, consistency.Retry, consistency.Queue} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			r := newRoom(t, mode)
			elsewhere := r.config
			elsewhere.Meter = nil
			rival := consistency.NewRunner(elsewhere)
			if _, err := rival.Run(t.Context(), naming("thing:x", "N")); err != nil {
				t.Fatal(err)
			}
			reached, release := make(chan struct{}), make(chan struct{})
			batches := 0
			r.config.Probe = func(_ context.Context, s consistency.Stage) {
				if s != consistency.Written {
					return
				}
				switch batches++; batches {
				case 1:
					close(reached)
					<-release
				case 2: // the three are written: now a rival takes the name that the last of them wants
					if _, err := rival.Run(t.Context(), dubbing("thing:w", "K")); err != nil {
						t.Error(err)
					}
				}
			}
			run := consistency.NewRunner(r.config)
			var wg sync.WaitGroup
			start := func(n int, req usecase.Request) *error {
				var err error
				wg.Go(func() { _, err = run.Run(t.Context(), req) })
				r.meter.WaitQueued(t.Context(), n)
				return &err
			}
			first := start(0, naming("thing:first", "first"))
			<-reached
			frees := start(1, naming("thing:x", "M"))
			takes := start(2, naming("thing:y", "N"))
			loses := start(3, naming("thing:z", "K"))
			close(release)
			wg.Wait()
			for who, err := range map[string]error{"first": *first, "who lets go": *frees, "who takes": *takes} {
				if err != nil {
					t.Errorf("%s: %v", who, err)
				}
			}
			if !errors.Is(*loses, errName) {
				t.Errorf("who lost: %v", *loses)
			}
			counts := r.meter.Of("name")
			if lost := counts[consistency.Retried] + counts[consistency.Rejected]; lost != 1 || counts[consistency.Accepted] != 3 {
				t.Errorf("counted %v", counts)
			}
		})
	}
}

// A unit that locks nothing may still have to wait, for a name that a rival is about to take. It does not hold up the lane.
func TestWhoWaitsForANameDoesNotHoldUpTheLane(t *testing.T) {
	t.Parallel()
	r := newRoom(t, consistency.Queue)
	rival, err := r.db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rival.Rollback() }()
	if _, err := rival.ExecContext(t.Context(),
		`INSERT INTO register_rows VALUES ('name', 'room:1', 'K', 'thing:w', gen_random_uuid(), '')`); err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{})
	var once sync.Once
	r.config.Probe = func(_ context.Context, s consistency.Stage) {
		if s == consistency.Written {
			once.Do(func() { close(reached) })
		}
	}
	run := consistency.NewRunner(r.config)
	waits := make(chan error, 1)
	go func() {
		_, err := run.Run(t.Context(), dubbing("thing:x", "K"))
		waits <- err
	}()
	<-reached
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second) // less than the patience of who is in the way
	defer cancel()
	for _, req := range []usecase.Request{dubbing("thing:y", "L"), naming("thing:z", "M")} {
		if _, err := run.Run(ctx, req); err != nil {
			t.Errorf("behind it: %v", err)
		}
	}
	select {
	case err := <-waits:
		t.Errorf("who waits for the name was told %v", err)
	default:
	}
	if err := rival.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Errorf("who waited: %v", err)
	}
}

// Two who stand in one line because a third needs what both need do not share each other's fate.
func TestWhoWaitsBesideAHeldScopeDoesNotFailWithIt(t *testing.T) {
	t.Parallel()
	r := newPatientRoom(t, consistency.Queue, 4*time.Second) // by when all three stand in line
	run := consistency.NewRunner(r.config)
	if _, err := run.Run(t.Context(), usecase.Request{Command: turns{"room:1", "room:2"}}); err != nil {
		t.Fatal(err)
	}
	hold := func(room string) func() error {
		tx, err := r.db.Write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
		if _, err := tx.ExecContext(t.Context(), `SELECT FROM register_guards WHERE scope = ? FOR UPDATE`, room); err != nil {
			t.Fatal(err)
		}
		return tx.Rollback
	}
	_, letGo := hold("room:1"), hold("room:2")
	var wg sync.WaitGroup
	start := func(n int, rooms ...event.Tag) *error {
		var err error
		wg.Go(func() { _, err = run.Run(t.Context(), usecase.Request{Command: turns(rooms)}) })
		r.meter.WaitQueued(t.Context(), n)
		return &err
	}
	both := start(0, "room:1", "room:2")
	for waits := false; !waits; {
		err := r.db.Read.QueryRowContext(t.Context(),
			`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
	held, free := start(1, "room:1"), start(2, "room:2")
	if err := letGo(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if !errors.Is(*both, consistency.ErrScopeBusy) || !errors.Is(*held, consistency.ErrScopeBusy) {
		t.Errorf("who needs what is held: %v, %v", *both, *held)
	}
	if *free != nil {
		t.Errorf("who needs what is free: %v", *free)
	}
}

// burst is an event that panics when its tags are asked for: when it is stored.
type burst struct{}

func (*burst) EventType() string { return "rivals.burst" }
func (*burst) Tags() []event.Tag { panic("burst") }

// A panic while a batch is being stored is the error of who caused it, and of nobody else.
func TestAPanicInATransactionFailsAlone(t *testing.T) {
	t.Parallel()
	for _, mode := range []consistency.Mode{consistency.Lock, consistency.Queue} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			r := newRoom(t, mode)
			settings := r.config.Settings()
			settings.Modes["turn"] = mode
			reached, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			r.config.Probe = func(_ context.Context, s consistency.Stage) {
				if s == consistency.Written {
					once.Do(func() {
						close(reached)
						<-release
					})
				}
			}
			run := consistency.NewRunner(r.config)
			var wg sync.WaitGroup
			start := func(n int, req usecase.Request) *error {
				var err error
				wg.Go(func() {
					defer func() {
						if p := recover(); p != nil {
							t.Errorf("the panic went through: %v", p)
						}
					}()
					_, err = run.Run(t.Context(), req)
				})
				if mode == consistency.Queue {
					r.meter.WaitQueued(t.Context(), n)
				}
				return &err
			}
			first := start(0, naming("thing:first", "first"))
			<-reached
			before := start(1, naming("thing:x", "X"))
			bad := naming("thing:y", "Y")
			bad.Command = bursting{bad.Command}
			bursts := start(2, bad)
			after := start(3, naming("thing:z", "Z"))
			close(release)
			wg.Wait()
			if err := errors.Join(*first, *before, *after); err != nil {
				t.Errorf("harmed: %v", err)
			}
			if *bursts == nil {
				t.Error("a panic is no error")
			}
			for late := time.Now().Add(time.Minute); r.db.Write.Stats().InUse > 0; { // the last may be a moment after the last answer
				if time.Now().After(late) {
					t.Fatalf("%d connections are not given back", r.db.Write.Stats().InUse)
				}
			}
		})
	}
}

type bursting struct{ usecase.Command }

func (b bursting) Execute(ctx context.Context, u *usecase.Unit) error {
	err := b.Command.Execute(ctx, u)
	u.Record("shell:1", &burst{})
	return err
}
