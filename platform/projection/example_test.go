package projection_test

import (
	"context"
	"fmt"
	"time"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"
	"accession/platform/projection"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// BookLent is a fact of a lending desk. In a module it stands in the module's package of events.
type BookLent struct {
	Book   string `json:"book"`
	Reader string `json:"reader"`
}

func (*BookLent) EventType() string   { return "lending.book_lent" }
func (e *BookLent) Tags() []event.Tag { return []event.Tag{event.NewTag("book", e.Book)} }

// From here on it is what an author writes in one file, modules/lending/projection_loans.go.

// Loans is how often each reader has borrowed.
var Loans = projection.Projector{
	Name: "lending-loans", Version: 1,
	Tables: []projection.Table{{Model: (*loansRow)(nil), Indexes: []projection.Index{{Columns: []string{"books"}}}}},
	Handlers: projection.Handlers{
		projection.On(func(ctx context.Context, w *projection.Writer, e *BookLent, _ event.Envelope) error {
			row, there, err := projection.Get(ctx, w, &loansRow{Reader: e.Reader})
			if err != nil {
				return err
			}
			if !there {
				row = &loansRow{Reader: e.Reader}
			}
			row.Books++
			w.Put(row)
			return nil
		}),
	},
}

type loansRow struct {
	bun.BaseModel `bun:"table:lending_loans"`

	Reader string `bun:",pk"`
	Books  int
}

// Add a projector: a value of its own, and a line in the module's list. Its tables, its place in the log and its playing are
// the projectionist's business.
func Example_addAProjector() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db, log, registry := lendingDesk(ctx)
	defer func() { must(db.Close()) }()

	p, err := projection.New(projection.Config{DB: db, Log: log, Registry: registry, Projectors: []projection.Projector{Loans}})
	must(err)
	must(p.Boot(ctx))
	played := make(chan struct{})
	go func() {
		defer close(played)
		p.Play(ctx)
	}()

	var position event.Position
	for _, e := range []*BookLent{{"emma", "Ann"}, {"dracula", "Bob"}, {"ulysses", "Ann"}} {
		position = record(ctx, log, e)
		p.Ring() // the bus does so after each commit
	}

	var rows []loansRow
	at, err := p.View(ctx, projection.Query{Projector: Loans.Name, Min: position, Wait: 10 * time.Second}, func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model(&rows).Order("reader").Scan(ctx)
	})
	must(err)
	fmt.Println("at", at)
	for _, r := range rows {
		fmt.Println(r.Reader, "has borrowed", r.Books)
	}
	stop()
	<-played
	// Output:
	// at 3
	// Ann has borrowed 2
	// Bob has borrowed 1
}

func lendingDesk(ctx context.Context) (*database.DB, eventlog.Log, *event.Registry) {
	registry, err := event.NewRegistry(&BookLent{})
	must(err)
	db, err := database.Open(ctx, database.Config{URL: "sqlite::memory:"})
	must(err)
	must(database.Migrate(ctx, db, nil))
	return db, sqldb.New(db, registry, 10*time.Second), registry
}

// record stores e in a stream of its own, as a runner would.
func record(ctx context.Context, log eventlog.Log, e event.Event) event.Position {
	data, err := event.Encode(e)
	must(err)
	unit := eventlog.Unit{ID: uuid.New(), Key: uuid.NewString(), Events: []event.Envelope{{
		ID: uuid.New(), Stream: event.NewTag("loan", uuid.NewString()), Version: 1, Type: e.EventType(), Schema: event.SchemaOf(e),
		RecordedAt: time.Now().UTC(), Data: data, Event: e,
	}}}
	tx, err := log.Begin(ctx)
	must(err)
	must(tx.Commit(ctx, unit))
	return unit.Events[0].Position
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
