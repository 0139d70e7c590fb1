package projection

import (
	"context"
	"strings"
	"testing"

	"accession/platform/database/dbtest"
	"accession/platform/event"

	"github.com/uptrace/bun"
)

func TestNewRefusesMistakesOfTheProgram(t *testing.T) {
	t.Parallel()
	type noKey struct {
		bun.BaseModel `bun:"table:books"`
		ID            string
	}
	type counted struct {
		ID int64 `bun:",pk,autoincrement"`
	}
	type one struct {
		ID   string `bun:",pk"`
		Name string `bun:",unique"`
	}
	type typeless struct {
		ID string `bun:",pk"`
		Of [3]int
	}
	type lengthy struct {
		bun.BaseModel `bun:"table:a_name_of_more_characters_than_postgresql_keeps_of_a_name"`
		ID            string `bun:",pk"`
	}
	with := func(change func(*Projector)) []Projector {
		p := books()
		change(&p)
		return []Projector{p}
	}
	for name, c := range map[string]struct {
		projectors []Projector
		want       string
	}{
		"no name":                         {with(func(p *Projector) { p.Name = "" }), "the name must be"},
		"a name with a blank":             {with(func(p *Projector) { p.Name = "shelf books" }), "the name must be"},
		"no version":                      {with(func(p *Projector) { p.Version = 0 }), "begin with 1"},
		"no handlers":                     {with(func(p *Projector) { p.Handlers = nil }), "no handlers"},
		"an empty handler":                {with(func(p *Projector) { p.Handlers = Handlers{{}} }), "make it with projection.On"},
		"no model":                        {with(func(p *Projector) { p.Tables = []Table{{}} }), "not a pointer to a struct"},
		"a model that is a struct":        {with(func(p *Projector) { p.Tables = []Table{{Model: bookRow{}}} }), "not a pointer to a struct"},
		"one model twice":                 {with(func(p *Projector) { p.Tables = append(p.Tables, p.Tables[0]) }), "two tables have the model"},
		"a table without a key":           {with(func(p *Projector) { p.Tables = []Table{{Model: (*noKey)(nil)}} }), "no field is the primary key"},
		"a key that the database makes":   {with(func(p *Projector) { p.Tables = []Table{{Model: (*counted)(nil)}} }), "made by the database"},
		"a unique column":                 {with(func(p *Projector) { p.Tables = []Table{{Model: (*one)(nil)}} }), "unique columns are for constraints"},
		"a column that has no type":       {with(func(p *Projector) { p.Tables = []Table{{Model: (*typeless)(nil)}} }), "column of: there is no SQL type for [3]int"},
		"a long name":                     {with(func(p *Projector) { p.Tables = []Table{{Model: (*lengthy)(nil)}} }), "at most 59 bytes"},
		"an index over nothing":           {with(func(p *Projector) { p.Tables[0].Indexes = []Index{{}} }), "an index has no columns"},
		"an index over an unknown column": {with(func(p *Projector) { p.Tables[0].Indexes[0].Columns[0] = "shelf_id" }), `"shelf_id"; there are id, shelf, title, authors, added_at`},
		"two with one name":               {[]Projector{books(), books()}, "two have the name"},
		"two with one table":              {append(with(func(p *Projector) { p.Name = "others" }), books()), `table books is projector "others"'s`},
		"an event that is not registered": {with(func(p *Projector) {
			p.Handlers = append(p.Handlers, On(func(context.Context, *Writer, *unregistered, event.Envelope) error { return nil }))
		}), "it listens to shelf.unregistered, which is not registered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(Config{DB: dbtest.SQLite(t), Registry: registry(t), Projectors: c.projectors})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
	if _, err := New(Config{DB: dbtest.SQLite(t), Registry: registry(t), Timing: "soon"}); err == nil {
		t.Error("an unknown timing was accepted")
	}
}

type unregistered struct{}

func (*unregistered) EventType() string { return "shelf.unregistered" }
func (*unregistered) Tags() []event.Tag { return nil }

func TestAHandlerOfAValueIsAMistake(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("On took an event that is not a pointer")
		}
	}()
	On(func(context.Context, *Writer, byValue, event.Envelope) error { return nil })
}

type byValue struct{}

func (byValue) EventType() string { return "shelf.by_value" }
func (byValue) Tags() []event.Tag { return nil }
