// Package model_test sends random commands to the product and to a small model of the domain, and compares what each says: every
// answer, and in the end the whole catalogue, with its references and the numbers that are used up, as the log tells of it and as
// people read it over HTTP.
//
// model_test.go is the model, commands_test.go draws the commands, words_test.go has what is typed into them; shelves_test.go
// compares the log, readmodels_test.go the read models. To try much more,
// or what a failure printed once more:
//
//	go test ./test/model -rapid.checks=1000 -run 'TestModel/memory'
//	go test ./test/model -rapid.seed=… -run …
package model_test

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/discovery"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	registermemory "accession/platform/consistency/memory"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	logmemory "accession/platform/eventlog/memory"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMain sets how much is tried when nobody says how much: enough to find what is often wrong, soon.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": "5", "rapid.steps": "30", "rapid.nofailfile": "true", "rapid.shrinktime": "10s"} {
		if err := flag.Set(name, value); err != nil { // the command line, which is read later, goes before
			panic(err)
		}
	}
	os.Exit(dbtest.Main(m))
}

var modules = []module.Module{library.Module, catalogue.Module, editions.Module, discovery.Module}

// stores are the implementations there are. A log in memory is quick, so more is tried on it, each time on a new one; it has no
// read models, which always lie in a database. A database is shared by all checks; each has libraries of its own in it.
var stores = []struct {
	name   string
	shared bool
	rounds int
	open   func(*testing.T, *event.Registry) (consistencytest.Store, *database.DB)
}{
	{"memory", false, 4, func(_ *testing.T, r *event.Registry) (consistencytest.Store, *database.DB) {
		log := logmemory.New(r, time.Minute)
		return consistencytest.Store{Log: log, Register: registermemory.New(log)}, nil
	}},
	{"sqlite", true, 1, onDatabase(dbtest.SQLite)},
	{"postgres", true, 1, onDatabase(dbtest.Postgres)},
}

func onDatabase(db func(testing.TB) *database.DB) func(*testing.T, *event.Registry) (consistencytest.Store, *database.DB) {
	return func(t *testing.T, r *event.Registry) (consistencytest.Store, *database.DB) {
		d := db(t)
		return consistencytest.Store{Log: logdb.New(d, r, time.Minute), Register: registerdb.New(d.Read)}, d
	}
}

// TestModel: whatever is asked for, the product says what the model says, on every store and in every mode there is, and
// afterwards the log and the read models hold what the model holds.
func TestModel(t *testing.T) {
	t.Parallel()
	set, err := module.Constraints(modules)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := module.Registry(modules)
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range stores {
		for _, mode := range consistency.Built() {
			t.Run(store.name+"/"+mode.String(), func(t *testing.T) {
				t.Parallel()
				s, db := store.open(t, registry)
				p := newProduct(s, set, mode)
				if db != nil {
					p.readModels = newReadModels(t, db, s.Log, registry, p.runner)
				}
				for range store.rounds {
					rapid.Check(t, func(r *rapid.T) {
						if !store.shared {
							s, _ := store.open(t, registry)
							p = newProduct(s, set, mode)
						}
						p.follows(t, r)
						if !store.shared {
							p.isSound(t, r)
						}
					})
				}
				p.isSound(t, t)
			})
		}
	}
}

// product is the product as the model sees it.
type product struct {
	store      consistencytest.Store
	set        *consistency.Set
	runner     usecase.Runner
	readModels *readModels // nil: there are none
}

// newProduct keeps every constraint in the mode, if it can be kept so. It is always the same day.
func newProduct(store consistencytest.Store, set *consistency.Set, mode consistency.Mode) product {
	settings := consistency.DefaultSettings()
	settings.Modes = map[string]consistency.Mode{}
	for _, d := range set.Describe() {
		if slices.Contains(d.Modes, mode) {
			settings.Modes[d.Name] = mode
		}
	}
	day := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	return product{store: store, set: set, runner: consistency.NewRunner(consistency.Config{
		Log: store.Log, Register: store.Register, Set: set,
		Settings: func() consistency.Settings { return settings },
		Now:      func() time.Time { return day },
	})}
}

// follows sends random commands to the product and the model.
func (p product) follows(t *testing.T, r *rapid.T) {
	d := &draw{T: r, model: newModel()}
	for range 2 {
		l := library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: "Maps"}
		p.send(t, d, l)
		for _, name := range []string{"Poetry", "Plays"} {
			p.send(t, d, library.CreateCategory{
				ID: libraryevents.NewCategoryID(), Library: l.ID, Name: name,
				Book: catalogue.AddBook{
					ID: catalogueevents.NewBookID(), Title: "Maps",
					Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID()},
				},
			})
		}
	}
	actions := map[string]func(*rapid.T){}
	for name, command := range commands {
		actions[name] = func(r *rapid.T) {
			d.T = r
			p.send(t, d, command(d))
		}
	}
	r.Repeat(actions)

	held := newShelves()
	for _, l := range d.libraries {
		for env, err := range p.store.Log.Read(t.Context(), eventlog.Query{Tag: l.id.Tag()}) {
			if err != nil {
				r.Fatal(err)
			}
			if err := held.play(env); err != nil {
				r.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(d.shelves(), held); diff != "" {
		r.Fatalf("the catalogue differs from the model (-model +log):\n%s", diff)
	}
	if p.readModels == nil {
		return
	}
	head, err := p.store.Log.Head(t.Context())
	if err != nil {
		r.Fatal(err)
	}
	p.readModels.agree(t, r, d, head.Position)
}

// send sends one command to both, and compares what they say.
func (p product) send(t *testing.T, d *draw, cmd usecase.Command) {
	before, err := p.store.Log.Head(t.Context())
	if err != nil {
		d.Fatal(err)
	}
	want := d.run(cmd)
	receipt, err := p.runner.Run(t.Context(), request(cmd))
	after, headErr := p.store.Log.Head(t.Context())
	if headErr != nil {
		d.Fatal(headErr)
	}
	switch cmd.(type) {
	case library.OpenLibrary, library.CreateCategory, catalogue.AddBook, editions.AddEdition:
		d.sent = append(d.sent, cmd)
	}

	grown := int(after.Position - before.Position)
	code := ""
	if err != nil {
		code = problem.Of(err).CodeOrKind()
	}
	switch {
	case len(want.refusals) > 0 && (!slices.Contains(want.refusals, code) || grown != 0):
		d.Fatalf("%T %s\nis answered %q (%v) and %d events; the model refuses it as %q", cmd, fields(cmd), code, err, grown, want.refusals)
	case len(want.refusals) > 0:
	case err != nil:
		d.Fatalf("%T %s\nis refused as %q (%v); the model stores %s", cmd, fields(cmd), code, err, written(want.events))
	default:
		var got []event.Event
		for _, env := range receipt.Events {
			got = append(got, env.Event)
		}
		if diff := cmp.Diff(written(want.events), written(got)); diff != "" {
			d.Fatalf("%T %s\nis answered otherwise (-model +product):\n%s", cmd, fields(cmd), diff)
		}
		stored := len(want.events)
		if want.repeated {
			stored = 0
		}
		if receipt.Repeated != want.repeated || grown != stored {
			d.Fatalf("%T %s\nstores %d events, repeated: %t; the model stores %d, repeated: %t", cmd, fields(cmd), grown, receipt.Repeated, stored, want.repeated)
		}
	}
}

// request is the command on its way. All commands have the method.
func request(cmd usecase.Command) usecase.Request {
	return cmd.(interface {
		Request(actor string) usecase.Request
	}).Request("tester")
}

// fields is what a command says, for people.
func fields(cmd usecase.Command) string {
	data, err := json.Marshal(cmd)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// written is the events as they are stored. In which order a unit's events stand is not promised.
func written(events []event.Event) []string {
	var all []string
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		all = append(all, e.EventType()+" "+string(data))
	}
	slices.Sort(all)
	return all
}

// isSound looks at the whole log: the positions have no gap, and log and register break no rule.
func (p product) isSound(t *testing.T, tb rapid.TB) {
	var position event.Position
	for env, err := range p.store.Log.Read(t.Context(), eventlog.Query{}) {
		if err != nil {
			tb.Fatal(err)
		}
		if position++; env.Position != position {
			tb.Fatalf("position %d is where %d belongs", env.Position, position)
		}
	}
	findings, err := consistency.Audit(t.Context(), p.set, p.store.Log, p.store.Register)
	if err != nil || len(findings) > 0 {
		tb.Errorf("audit: %v %v", findings, err)
	}
}
