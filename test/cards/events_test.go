package cards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/modules/operations/operationsevents"
	"accession/platform/event"
	"accession/platform/module"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// sample is an event as it might be stored. Its bytes are in testdata/events/<stored name>.v<schema>.<variant>.json.
type sample struct {
	variant string // "full": every field says something; "least": only what is always there; others for reasons of their own
	event   event.Event
}

// samples are of every registered event, at least two. Never change one whose file is committed: add another.
var samples = []sample{
	{"full", &libraryevents.LibraryOpened{Library: libraryevents.LibraryID(id(1)), Name: "City library"}},
	{"least", &libraryevents.LibraryOpened{Library: libraryevents.LibraryID(id(1)), Name: "L"}},

	{"full", &libraryevents.CategoryCreated{
		Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)), Number: 3, Name: "Novels",
	}},
	{"least", &libraryevents.CategoryCreated{
		Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)), Name: "N",
	}},
	{"letters", &libraryevents.CategoryCreated{
		Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)), Number: 4, Name: `"Ž" & <ß> \ ≠ 𝄞`,
	}},

	{"full", &libraryevents.LibraryRenamed{Library: libraryevents.LibraryID(id(1)), Name: "City library, east branch"}},
	{"least", &libraryevents.LibraryRenamed{Library: libraryevents.LibraryID(id(1)), Name: "L"}},

	{"full", &libraryevents.CategoryRenamed{
		Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)), Name: "Novels and stories",
	}},
	{"least", &libraryevents.CategoryRenamed{
		Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)), Name: "N",
	}},

	{"full", &libraryevents.CategoryWithdrawn{
		Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)), Reason: "merged with stories",
	}},
	{"least", &libraryevents.CategoryWithdrawn{Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1))}},

	{"full", &catalogueevents.BookAdded{
		Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)),
		Number: 14, Title: "Pride and Prejudice", Authors: []string{"Jane Austen", "Šárka Ó Dálaigh"},
	}},
	{"least", &catalogueevents.BookAdded{
		Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)),
		Title: "P", Authors: []string{},
	}},

	{"full", &catalogueevents.BookCorrected{
		Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)),
		Title: "Pride and Prejudice", Authors: []string{"Jane Austen"},
	}},
	{"least", &catalogueevents.BookCorrected{
		Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)),
		Title: "P", Authors: []string{},
	}},

	{"full", &catalogueevents.BookMoved{
		Book: catalogueevents.BookID(id(3)), From: libraryevents.CategoryID(id(2)), Category: libraryevents.CategoryID(id(6)),
		Library: libraryevents.LibraryID(id(1)), Number: 7,
	}},
	{"least", &catalogueevents.BookMoved{
		Book: catalogueevents.BookID(id(3)), From: libraryevents.CategoryID(id(2)), Category: libraryevents.CategoryID(id(6)),
		Library: libraryevents.LibraryID(id(1)),
	}},

	{"full", &catalogueevents.BookWithdrawn{
		Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)),
		Reason: "lost",
	}},
	{"least", &catalogueevents.BookWithdrawn{
		Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)), Library: libraryevents.LibraryID(id(1)),
	}},

	{"full", &editionsevents.EditionAdded{
		Edition: editionsevents.EditionID(id(5)), Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)),
		Library: libraryevents.LibraryID(id(1)), Number: 2, Base: editionsevents.EditionID(id(4)),
		Imprint: editionsevents.Imprint{ISBN: "9780141439518", Publisher: "Penguin", Year: 2003, Language: "en", Format: "paperback"},
	}},
	{"least", &editionsevents.EditionAdded{
		Edition: editionsevents.EditionID(id(4)), Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)),
		Library: libraryevents.LibraryID(id(1)),
	}},

	{"full", &editionsevents.EditionCorrected{
		Edition: editionsevents.EditionID(id(5)), Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)),
		Library: libraryevents.LibraryID(id(1)),
		Imprint: editionsevents.Imprint{ISBN: "9780141439518", Publisher: "Penguin", Year: 2003, Language: "en", Format: "paperback"},
	}},
	{"least", &editionsevents.EditionCorrected{
		Edition: editionsevents.EditionID(id(5)), Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)),
		Library: libraryevents.LibraryID(id(1)),
	}},

	{"full", &editionsevents.EditionWithdrawn{
		Edition: editionsevents.EditionID(id(5)), Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)),
		Library: libraryevents.LibraryID(id(1)), Reason: "never printed",
	}},
	{"least", &editionsevents.EditionWithdrawn{
		Edition: editionsevents.EditionID(id(5)), Book: catalogueevents.BookID(id(3)), Category: libraryevents.CategoryID(id(2)),
		Library: libraryevents.LibraryID(id(1)),
	}},

	{"full", &operationsevents.ModeChanged{Constraint: "book-number", From: "default", To: "queue", Reason: "the sale begins"}},
	{"least", &operationsevents.ModeChanged{Constraint: "isbn", From: "retry", To: "default", Reason: "r"}},
}

// id is the n-th of a few ids that are always the same.
func id(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("0192f0c4-7d5e-7c3a-9b1f-2a6d4e8c1f%02d", n))
}

// sampleOf is the sample of the stored name that says most.
func sampleOf(t *testing.T, name string) event.Event {
	t.Helper()
	var most event.Event
	for _, e := range samplesOf(name) {
		if most == nil || len(empty(e)) < len(empty(most)) {
			most = e
		}
	}
	if most == nil {
		t.Fatalf("%s has no sample: add some to the samples of test/cards/events_test.go, full and least", name)
	}
	return most
}

func samplesOf(name string) []event.Event {
	var found []event.Event
	for _, s := range samples {
		if s.event.EventType() == name {
			found = append(found, s.event)
		}
	}
	return found
}

// file is where the bytes of a sample are kept.
func (s sample) file() string {
	return fmt.Sprintf("%s.v%d.%s.json", s.event.EventType(), event.SchemaOf(s.event), s.variant)
}

const eventFiles = "testdata/events"

// What was stored is stored for ever, so this test writes files that are missing and never changes one.
func TestStoredFormOfEvents(t *testing.T) {
	t.Parallel()
	registry := registry(t)
	for _, s := range samples {
		t.Run(s.file(), func(t *testing.T) {
			t.Parallel()
			got, err := event.Encode(s.event)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(eventFiles, s.file())
			want, err := os.ReadFile(name)
			if os.IsNotExist(err) && *update {
				if err := os.WriteFile(name, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v: run `task golden -- test/cards`", err)
			}
			stored := strings.TrimSuffix(string(want), "\n")
			if diff := cmp.Diff(stored, string(got)); diff != "" {
				t.Errorf("the stored form of %s has changed (-stored +code):\n%s\n%s", s.event.EventType(), diff, instead(s.event))
			}
			decoded, err := registry.Decode(s.event.EventType(), event.SchemaOf(s.event), []byte(stored))
			if err != nil {
				t.Fatalf("what was stored cannot be read any more: %v\n%s", err, instead(s.event))
			}
			if diff := cmp.Diff(s.event, decoded); diff != "" {
				t.Errorf("what was stored reads otherwise now (-sample +read):\n%s\n%s", diff, instead(s.event))
			}
		})
	}
}

// instead says what to do instead of changing what was stored.
func instead(e event.Event) string {
	n := event.SchemaOf(e)
	return fmt.Sprintf(`Logs have events in this form, and their bytes never change. Leave the file alone, and instead:
  1. give the event the new form, and an EventSchema method that returns %d;
  2. write an upgrader from %d to %d, so that what is stored is still read (see docs/events.md: until there are upgraders,
     a stored form can only get further fields that may be missing);
  3. add samples of the new form, and let "task golden -- test/cards" write their files.
To rename an event, give the new one a new stored name, and do the same.`, n+1, n, n+1)
}

func TestEveryEventHasItsSamples(t *testing.T) {
	t.Parallel()
	for _, name := range registry(t).Types() {
		least := slices.ContainsFunc(samples, func(s sample) bool { return s.event.EventType() == name && s.variant == "least" })
		if !least {
			t.Errorf(`%s has no sample "least": add it to the samples of test/cards/events_test.go`, name)
		}
		for _, field := range empty(sampleOf(t, name)) {
			if !slices.ContainsFunc(samplesOf(name), func(e event.Event) bool { return !slices.Contains(empty(e), field) }) {
				t.Errorf("no sample of %s says anything in %s, so no file shows how that is stored: add a sample", name, field)
			}
		}
	}
}

// empty are the fields of an event that say nothing.
func empty(e event.Event) []string { return emptyFields("", reflect.ValueOf(e).Elem()) }

func emptyFields(prefix string, v reflect.Value) []string {
	var names []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Type.Kind() == reflect.Struct:
			names = append(names, emptyFields(prefix+f.Name+".", v.Field(i))...)
		case v.Field(i).IsZero():
			names = append(names, prefix+f.Name)
		}
	}
	return names
}

var eventFile = regexp.MustCompile(`^([a-z_]+\.[a-z_]+)\.v([0-9]+)\.[a-z]+\.json$`)

// Files of older versions stay when an event gets a newer one: they are what is in the logs.
func TestEveryStoredFormCanBeRead(t *testing.T) {
	t.Parallel()
	registry := registry(t)
	files, err := os.ReadDir(eventFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		m := eventFile.FindStringSubmatch(f.Name())
		if m == nil {
			t.Errorf("%s is not named <stored name>.v<schema>.<variant>.json", f.Name())
			continue
		}
		stored, err := os.ReadFile(filepath.Join(eventFiles, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		version, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		e, err := registry.Decode(m[1], version, stored)
		if err != nil {
			t.Errorf("%s cannot be read any more: %v", f.Name(), err)
			continue
		}
		if _, unknown := e.(*event.Unknown); unknown {
			t.Errorf("%s is of an event that this binary does not understand any more: logs have it for ever, so it needs its old type, or an upgrader", f.Name())
		}
	}
}

func TestStoredNamesBeginWithTheirModule(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z]+\.[a-z]+(_[a-z]+)*$`)
	for _, m := range modules {
		for _, e := range m.Events {
			if n := e.EventType(); !name.MatchString(n) || !strings.HasPrefix(n, m.Name+".") {
				t.Errorf("%T is stored as %q: use %s.<what_happened>, which is also the topic that it is published under", e, n, m.Name)
			}
		}
	}
}

func registry(t *testing.T) *event.Registry {
	t.Helper()
	r, err := module.Registry(modules)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
