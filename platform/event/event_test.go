package event_test

import (
	"encoding/json"
	"strings"
	"testing"

	"accession/platform/event"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

type ship struct{}

func (ship) Kind() string { return "ship" }

type crew struct{}

func (crew) Kind() string { return "crew" }

type launched struct {
	Ship event.ID[ship] `json:"ship"`
	Crew event.ID[crew] `json:"crew,omitzero"`
	Name string         `json:"name"`
}

func (*launched) EventType() string   { return "harbour.launched" }
func (e *launched) Tags() []event.Tag { return []event.Tag{e.Ship.Tag(), e.Crew.Tag()} }

type renamed struct{ launched }

func (*renamed) EventType() string { return "harbour.renamed" }
func (*renamed) EventSchema() int  { return 3 }

func TestIDs(t *testing.T) {
	t.Parallel()
	id := event.NewID[ship]()
	if v := id.UUID().Version(); v != 7 {
		t.Errorf("a new id has version %d", v)
	}
	back, err := event.ParseID[ship](strings.ToUpper(id.String()))
	if err != nil || back != id {
		t.Errorf("parse: %v %v", back, err)
	}
	if got, want := id.Tag(), event.Tag("ship:"+id.String()); got != want || got.Kind() != "ship" || got.ID() != id.String() {
		t.Errorf("tag %q", got)
	}
	var none event.ID[ship]
	if !none.IsZero() || !none.Tag().IsZero() {
		t.Errorf("the zero id: %v %q", none.IsZero(), none.Tag())
	}
	for _, bad := range []string{"", "x", id.String()[1:], "{" + id.String() + "}", "urn:uuid:" + id.String(), strings.ReplaceAll(id.String(), "-", "")} {
		if _, err := event.ParseID[ship](bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestTakeFrom(t *testing.T) {
	t.Parallel()
	s, c := event.NewID[ship](), event.NewID[crew]()
	var gotShip event.ID[ship]
	var gotCrew event.ID[crew]
	gotShip.TakeFrom([]event.Tag{c.Tag(), s.Tag()})
	gotCrew.TakeFrom([]event.Tag{c.Tag(), s.Tag()})
	if gotShip != s || gotCrew != c {
		t.Errorf("took %v and %v", gotShip, gotCrew)
	}
	if gotShip.TakeFrom([]event.Tag{c.Tag()}); !gotShip.IsZero() {
		t.Errorf("took %v where there is none", gotShip)
	}
}

func TestDerivedIDs(t *testing.T) {
	t.Parallel()
	space := uuid.MustParse("00000000-0000-7000-8000-000000000001")
	// Stored: an import that runs again must name the same things for ever.
	if got, want := event.DerivedID[ship](space, "a", "bc").String(), "2312e980-53e7-5b5b-bc93-f13a35b6ee40"; got != want {
		t.Errorf("derived %s, want %s", got, want)
	}
	seen := map[uuid.UUID]string{}
	for name, id := range map[string]uuid.UUID{
		"a, bc": event.Derive(space, "a", "bc"), "ab, c": event.Derive(space, "ab", "c"), "abc": event.Derive(space, "abc"),
		"other space": event.Derive(uuid.Nil, "a", "bc"), "none": event.Derive(space),
		"ship": event.DerivedID[ship](space, "a").UUID(), "crew": event.DerivedID[crew](space, "a").UUID(),
	} {
		if id.Version() != 5 {
			t.Errorf("%s has version %d", name, id.Version())
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have one id", name, other)
		}
		seen[id] = name
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	r, err := event.NewRegistry(&launched{}, &renamed{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"harbour.launched", "harbour.renamed"}, r.Types()); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	want := &launched{Ship: event.NewID[ship](), Name: "Argo"}
	data, err := event.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "crew") {
		t.Errorf("what is not there is stored: %s", data)
	}
	got, err := r.Decode("harbour.launched", 1, data)
	if diff := cmp.Diff(event.Event(want), got); err != nil || diff != "" {
		t.Errorf("decode: %v (-want +got):\n%s", err, diff)
	}
	if event.SchemaOf(want) != 1 || event.SchemaOf(&renamed{}) != 3 {
		t.Error("wrong schema version")
	}

	for name, schema := range map[string]int{"harbour.sunk": 1, "harbour.launched": 2} {
		future, err := r.Decode(name, schema, json.RawMessage(`{"of":"the future"}`))
		u, ok := future.(*event.Unknown)
		if err != nil || !ok || u.EventType() != name || event.SchemaOf(u) != schema || len(u.Tags()) != 0 {
			t.Errorf("%s %d: %#v %v", name, schema, future, err)
			continue
		}
		if b, err := event.Encode(u); err != nil || string(b) != `{"of":"the future"}` {
			t.Errorf("bytes of an unknown event: %s %v", b, err)
		}
	}
	if _, err := r.Decode("harbour.launched", 1, json.RawMessage(`{"ship":17}`)); err == nil {
		t.Error("bytes that are not the event were taken")
	}
	if _, err := event.NewRegistry(&launched{}, &launched{}); err == nil {
		t.Error("two events under one name were taken")
	}
}
