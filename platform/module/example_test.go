package module_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/event"
	logdb "accession/platform/eventlog/sqldb"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/usecase"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"
)

// The facts: in a module of one's own they stand in a package of pure data, modules/visitors/visitorsevents.

type visitor struct{}

func (visitor) Kind() string { return "visitor" }

// VisitorID names a visitor.
type VisitorID = event.ID[visitor]

// VisitorSigned: somebody has signed the visitors' book of a day.
type VisitorSigned struct {
	Visitor VisitorID `json:"visitor_id"`
	Day     string    `json:"day"`
	Number  int       `json:"number,omitempty"`
	Name    string    `json:"name"`
}

func (*VisitorSigned) EventType() string   { return "visitors.visitor_signed" }
func (e *VisitorSigned) Tags() []event.Tag { return []event.Tag{e.Visitor.Tag(), e.Page()} }

// Page is the page of the book that the visitor is on: each day has one.
func (e *VisitorSigned) Page() event.Tag { return event.NewTag("page", e.Day) }

// The rule: constraint_visitor_number.go.

// ErrVisitorNumberNotUnique: another visitor of the day got the number.
var ErrVisitorNumberNotUnique = problem.New(problem.Conflict, "visitor-number-not-unique", "Another visitor signed at the same moment. Sign again.")

// VisitorNumber keeps the numbers of a day's visitors unique and consecutive.
var VisitorNumber = consistency.Sequence{
	Name: "visitor-number", Rule: "The numbers of visitors are unique and consecutive in a day.", Scope: "page", Taken: ErrVisitorNumberNotUnique,
	Parts: consistency.Parts{
		consistency.Numbered(func(e *VisitorSigned) consistency.Slot {
			return consistency.Slot{In: e.Page(), Of: e.Visitor.Tag(), N: &e.Number}
		}),
	},
}

// The command: sign.go.

// Sign enters a visitor into the book of today.
type Sign struct {
	ID   VisitorID
	Name string
}

// Execute implements usecase.Command.
func (c Sign) Execute(_ context.Context, u *usecase.Unit) error {
	if c.Name == "" {
		return problem.InvalidField("name", nil, "is empty: say who you are")
	}
	u.Record(c.ID.Tag(), &VisitorSigned{Visitor: c.ID, Day: u.Now().Format(time.DateOnly), Name: c.Name})
	return nil
}

// Request is the command on its way, named after the visitor: asked twice, it enters one.
func (c Sign) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor, Key: string(c.ID.Tag()), Fingerprint: usecase.Fingerprint(c.Name)}
}

// The read model: projection_visitors.go.

type visitorRow struct {
	bun.BaseModel `bun:"table:visitors_visitors,alias:v"`

	ID     string `bun:"id,pk" json:"-"`
	Number int    `bun:"number,notnull" json:"number"`
	Name   string `bun:"name,notnull" json:"name"`
}

// Visitors is the read model behind the list.
var Visitors = projection.Projector{
	Name: "visitors", Version: 1,
	Tables: []projection.Table{{Model: (*visitorRow)(nil)}},
	Handlers: projection.Handlers{
		projection.On(func(_ context.Context, w *projection.Writer, e *VisitorSigned, _ event.Envelope) error {
			w.Put(&visitorRow{ID: e.Visitor.String(), Number: e.Number, Name: e.Name})
			return nil
		}),
	},
}

// The routes: http.go.

type signInput struct {
	httpapi.Actor
	httpapi.Repeatable
	Body struct {
		Name string `json:"name"`
	}
}

func numberOf(v visitorRow) int { return v.Number }

func listVisitors(ctx context.Context, db bun.IDB, after, limit int) (found []visitorRow, err error) {
	err = db.NewSelect().Model(&found).Where("v.number > ?", after).OrderExpr("v.number").Limit(int64(limit)).Scan(ctx)
	return found, err
}

type signed struct {
	Number int `json:"number"`
}

type listInput struct {
	httpapi.Consistency
	httpapi.Paging
}

func routes(api *httpapi.API, env module.Env) {
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "sign", Method: http.MethodPost, Path: "/visitors", DefaultStatus: http.StatusCreated,
		Errors: httpapi.Errors(ErrVisitorNumberNotUnique, consistency.ErrScopeBusy),
	}, func(ctx context.Context, in *signInput) (*httpapi.Written[signed], error) {
		req := Sign{ID: event.NewID[visitor](), Name: in.Body.Name}.Request(in.Who())
		req.Token = in.Token(ctx)
		receipt, err := env.Runner.Run(ctx, req)
		if err != nil {
			return nil, problem.Under("body.", err)
		}
		e, _ := usecase.Recorded[*VisitorSigned](receipt) // the answer comes from what was stored, never from a read model
		return httpapi.Created(signed{e.Number}, 1, "/visitors/"+e.Visitor.String(), receipt.Position, e.Number == 0, receipt.Repeated), nil
	})
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "list-visitors", Method: http.MethodGet, Path: "/visitors", Errors: httpapi.Errors(projection.ErrBehind),
	}, func(ctx context.Context, in *listInput) (*httpapi.List[visitorRow], error) {
		return module.ReadList(ctx, env.From(Visitors, in.Consistency, nil), in.Paging, httpapi.Listing{"visitors"}, numberOf, listVisitors)
	})
}

// VisitorsModule is all of it: module.go. In cmd/accession, one more entry in the list of modules wires it.
var VisitorsModule = module.Module{
	Name:        "visitors",
	Events:      []event.Event{&VisitorSigned{}},
	Constraints: []consistency.Constraint{VisitorNumber},
	Projectors:  []projection.Projector{Visitors},
	Routes:      routes,
}

// A whole module, from its facts to its routes, and what it takes to run it without Fx.
func Example() {
	api, stop, err := run(VisitorsModule)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	ask := func(method, body string) {
		r := httptest.NewRequest(method, "/api/v1/visitors", strings.NewReader(body))
		r.Header.Set("X-Request-ID", "1")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	ask("POST", `{"name": "Ada"}`)
	ask("POST", `{"name": "Bob"}`)
	ask("POST", `{"name": ""}`)
	ask("GET", "")

	// Output:
	// 201 {"number":1}
	// 201 {"number":2}
	// 422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"body.name: is empty: say who you are","code":"invalid","errors":[{"location":"body.name","message":"is empty: say who you are"}],"request_id":"1"}
	// 200 {"items":[{"number":1,"name":"Ada"},{"number":2,"name":"Bob"}],"next":null}
}

// run does what cmd/accession does with Fx: it puts the parts of the modules together.
func run(modules ...module.Module) (_ http.Handler, stop func(), _ error) {
	ctx := context.Background()
	logger := slog.New(slog.DiscardHandler)
	registry, err := module.Registry(modules)
	if err != nil {
		return nil, nil, err
	}
	constraints, err := module.Constraints(modules)
	if err != nil {
		return nil, nil, err
	}
	projectors, err := module.Projectors(modules)
	if err != nil {
		return nil, nil, err
	}
	db, err := database.Open(ctx, database.Config{URL: "sqlite::memory:"})
	if err != nil {
		return nil, nil, err
	}
	if err := database.Migrate(ctx, db, nil); err != nil {
		return nil, nil, err
	}
	log := logdb.New(db, registry, time.Second)
	projections, err := projection.New(projection.Config{
		DB: db, Log: log, Registry: registry, Projectors: projectors, Timing: projection.Immediate, Logger: logger,
	})
	if err != nil {
		return nil, nil, err
	}
	if err := projections.Boot(ctx); err != nil {
		return nil, nil, err
	}
	runner := consistency.NewRunner(consistency.Config{
		Log: log, Register: registerdb.New(db.Read), Set: constraints, Immediate: projections.Immediate(), Logger: logger,
	})
	api := httpapi.New(httpapi.Config{Logger: logger})
	module.Routes(modules, api, module.Env{Runner: runner, Log: log, Projections: projections})
	return api, func() { _ = db.Close() }, nil // what was in it is gone anyway
}
