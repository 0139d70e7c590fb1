package discovery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/discovery"
	"accession/modules/editions/editionsevents"
	"accession/modules/library/libraryevents"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/eventlog/sqldb"
	"accession/platform/httpapi"
	"accession/platform/httpapi/httpapitest"
	"accession/platform/module"
	"accession/platform/projection"

	"github.com/google/uuid"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// Ids that can be read: the kind, then a number.
func numbered(kind, n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("0%d000000-0000-7000-8000-00000000%04d", kind, n))
}

func library(n int) libraryevents.LibraryID     { return libraryevents.LibraryID(numbered(1, n)) }
func category(n int) libraryevents.CategoryID   { return libraryevents.CategoryID(numbered(2, n)) }
func book(n int) catalogueevents.BookID         { return catalogueevents.BookID(numbered(3, n)) }
func edition(n int) editionsevents.EditionID    { return editionsevents.EditionID(numbered(4, n)) }
func by(authors ...string) []string             { return authors }
func in(language string) editionsevents.Imprint { return editionsevents.Imprint{Language: language} }

func opened(l int, name string) event.Event {
	return &libraryevents.LibraryOpened{Library: library(l), Name: name}
}

func created(c, l, number int, name string) event.Event {
	return &libraryevents.CategoryCreated{Category: category(c), Library: library(l), Number: number, Name: name}
}

func added(b, c, l, number int, title string, authors []string) event.Event {
	return &catalogueevents.BookAdded{Book: book(b), Category: category(c), Library: library(l), Number: number, Title: title, Authors: authors}
}

func issued(e, base, b, c, l, number int, i editionsevents.Imprint) event.Event {
	a := &editionsevents.EditionAdded{Edition: edition(e), Book: book(b), Category: category(c), Library: library(l), Number: number, Imprint: i}
	if base != 0 {
		a.Base = edition(base)
	}
	return a
}

// seed is a small log with what is hard: branches, scripts, accents, and things that are not numbered yet.
func seed() []event.Event {
	return []event.Event{
		opened(1, "Main Library"),
		created(1, 1, 1, "English fiction"),
		added(1, 1, 1, 1, "Pride and Prejudice", by("Austen, Jane, 1775-1817")),
		issued(1, 0, 1, 1, 1, 1, editionsevents.Imprint{Publisher: "T. Egerton, Whitehall", Year: 1813, Language: "en", Format: "three volumes"}),
		issued(2, 1, 1, 1, 1, 2, editionsevents.Imprint{ISBN: "9780141439518", Publisher: "Penguin", Year: 2003, Language: "en", Format: "paperback"}),
		issued(3, 1, 1, 1, 1, 3, editionsevents.Imprint{Publisher: "دار الآداب", Language: "ar"}),
		issued(4, 2, 1, 1, 1, 4, editionsevents.Imprint{}),
		issued(5, 4, 1, 1, 1, 0, editionsevents.Imprint{Year: 2026, Language: "de; en"}),
		added(2, 1, 1, 2, "The 39 Steps", by("Buchan, John")),
		issued(6, 0, 2, 1, 1, 1, in("en")),
		added(3, 1, 1, 3, "1984", by("Orwell, George")),
		issued(7, 0, 3, 1, 1, 1, editionsevents.Imprint{ISBN: "9780306406157"}),
		created(2, 1, 2, "Français"),
		added(4, 2, 1, 1, "L’Avare", by("Molière")),
		issued(8, 0, 4, 2, 1, 1, in("fr")),
		added(5, 2, 1, 2, "Élégies <et> chansons", by("Ronsard, Pierre de", "Ærø, Łukasz")),
		issued(9, 0, 5, 2, 1, 1, in("fr")),
		created(3, 1, 3, "東亞"),
		added(6, 3, 1, 1, "三國演義", by("羅貫中")),
		issued(10, 0, 6, 3, 1, 1, in("zh")),
		added(7, 3, 1, 0, "ألف ليلة وليلة", nil),
		issued(11, 0, 7, 3, 1, 1, in("ar")),
		created(4, 1, 0, "New arrivals"),
		added(8, 4, 1, 1, "The Trees of Pride", by("Chesterton, G. K.")),
		issued(12, 0, 8, 4, 1, 1, in("en")),
		opened(2, "Other Library"),
		created(5, 2, 1, "Prose"),
		added(9, 5, 2, 1, "Pride and Prejudice", by("Austen, Jane, 1775-1817")),
		issued(13, 0, 9, 5, 2, 1, editionsevents.Imprint{ISBN: "9780141439518"}),
	}
}

func registry(t testing.TB) *event.Registry {
	t.Helper()
	r, err := event.NewRegistry(&libraryevents.LibraryOpened{}, &libraryevents.CategoryCreated{}, &catalogueevents.BookAdded{}, &editionsevents.EditionAdded{},
		&libraryevents.LibraryRenamed{}, &libraryevents.CategoryRenamed{}, &libraryevents.CategoryWithdrawn{},
		&catalogueevents.BookCorrected{}, &catalogueevents.BookMoved{}, &catalogueevents.BookWithdrawn{},
		&editionsevents.EditionCorrected{}, &editionsevents.EditionWithdrawn{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// site is a server over a log.
type site struct {
	t    *testing.T
	log  eventlog.Log
	http http.Handler

	projections *projection.Projectionist // of what open serves

	versions map[event.Tag]int // of the streams that were recorded to
}

// open serves the events from db, a database of the test's own. Nobody plays them into the cards before play is called.
func open(t *testing.T, db *database.DB, events ...event.Event) (_ *site, play func()) {
	t.Helper()
	reg := registry(t)
	s := &site{t: t, log: sqldb.New(db, reg, time.Minute), versions: map[event.Tag]int{}}
	p, err := projection.New(projection.Config{DB: db, Log: s.log, Registry: reg, Projectors: discovery.Module.Projectors})
	if err != nil {
		t.Fatal(err)
	}
	s.projections = p
	if err := p.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	api := httpapi.New(httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	discovery.Module.Routes(api, module.Env{Log: s.log, Projections: p})
	s.http = httpapitest.Referee(t, api)
	s.record(events...)
	return s, func() {
		ctx, cancel := context.WithCancel(context.Background())
		over := make(chan struct{})
		go func() { defer close(over); p.Play(ctx) }()
		t.Cleanup(func() { cancel(); <-over })
	}
}

// serve is open and play, with the events played.
func serve(t *testing.T, db *database.DB, events ...event.Event) *site {
	t.Helper()
	s, play := open(t, db, events...)
	play()
	s.played()
	return s
}

// played waits until all is played that was recorded: on a busy machine that may take longer than a page waits.
func (s *site) played() {
	s.t.Helper()
	head, err := s.log.Head(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range s.projections.Projectors {
		if err := s.projections.Wait(s.t.Context(), p.Name, head.Position); err != nil {
			s.t.Fatal(err)
		}
	}
}

// record stores each event, at a time of its own.
func (s *site) record(events ...event.Event) {
	s.t.Helper()
	head, err := s.log.Head(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for i, e := range events {
		data, err := event.Encode(e)
		if err != nil {
			s.t.Fatal(err)
		}
		tx, err := s.log.Begin(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		id := uuid.New()
		stream := e.Tags()[0]
		s.versions[stream]++
		at := time.Date(2026, time.November, 2, 14, 0, int(head.Position)+i, 0, time.UTC)
		if err := tx.Commit(s.t.Context(), eventlog.Unit{ID: id, Key: id.String(), Events: []event.Envelope{{
			ID: uuid.New(), Unit: id, Stream: stream, Version: s.versions[stream], Type: e.EventType(), Schema: event.SchemaOf(e),
			RecordedAt: at, Actor: "cli:ada", Data: data, Event: e,
		}}}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// get asks for a path. Headers are "Name: value".
func (s *site) get(path string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	return w
}

// read asks the API for a path and reads the answer, which must have the status.
func read[T any](s *site, status int, path string, headers ...string) T {
	s.t.Helper()
	w := s.get(httpapi.Prefix+path, headers...)
	if w.Code != status {
		s.t.Fatalf("GET %s: %d %s, want %d", path, w.Code, w.Body, status)
	}
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		s.t.Fatalf("GET %s: %v in %s", path, err, w.Body)
	}
	return v
}
