//go:build unix

// Package soak_test lets real processes of the binary run for a while as badly treated as can be: many writers, modes that
// change at random and differ between processes, processes that are killed in the middle of everything. What a client was told
// must be so in the end, and the rest must not be.
//
// It runs for ACCESSION_SOAK_DURATION: `task soak` for ten minutes, by default a minute with CI=true and else some seconds.
package soak_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/editions"
	"accession/modules/library"
	"accession/platform/consistency"
	"accession/platform/database/dbtest"
	"accession/platform/module"

	"github.com/google/uuid"
)

const (
	writers = 32
	// patience is how long a writer asks for something that should have been answered long ago.
	patience    = 2 * time.Minute
	changeEvery = 200 * time.Millisecond // a mode
	endEvery    = 2 * time.Second        // a process; in a short time more often
)

func duration(t *testing.T) time.Duration {
	t.Helper()
	switch given := os.Getenv("ACCESSION_SOAK_DURATION"); {
	case given != "":
		d, err := time.ParseDuration(given)
		if err != nil {
			t.Fatalf("ACCESSION_SOAK_DURATION: %v", err)
		}
		return d
	case os.Getenv("CI") == "true":
		return time.Minute
	}
	return 6 * time.Second
}

// TestSoakPostgres: three processes on one database; three quarters of the time.
func TestSoakPostgres(t *testing.T) { //nolint:paralleltest // it wants the machine for itself
	url, dir := dbtest.NewServer(t, "fsync=off").URL(), t.TempDir() // but for that, as users have it
	s := newSoak(t)
	for _, mode := range []consistency.Mode{consistency.Queue, consistency.Adaptive, consistency.Retry} {
		s.servers = append(s.servers, newServer(t, dir, url, s.configured(mode)...))
	}
	s.run(duration(t)*3/4, dir, url)
}

// TestSoakSQLite: one process, for the rest of the time.
func TestSoakSQLite(t *testing.T) { //nolint:paralleltest // it wants the machine for itself
	dir := t.TempDir()
	url := "sqlite:" + dir + "/accession.db"
	s := newSoak(t)
	s.servers = []*server{newServer(t, dir, url, s.configured(consistency.Queue)...)}
	s.run(duration(t)/4, dir, url)
}

// place is where something is numbered, and the number.
type place struct {
	Scope  string
	Number int
}

// soak is a number of servers on one database, and those who write through them.
type soak struct {
	t           *testing.T
	constraints []consistency.Description
	servers     []*server
	client      *http.Client
	library     string
	over        chan struct{} // closed when the time is up

	mu         sync.Mutex
	categories []string           // ids, of one library
	books      []book             // the last ones of all writers
	told       map[string][]place // by stream: what its writer was told, in that order
	refused    map[string]bool    // streams whose writer was told that they are not there
	counts     map[string]int     // of what happened
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	set, err := module.Constraints([]module.Module{library.Module, catalogue.Module, editions.Module})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: writers}
	t.Cleanup(transport.CloseIdleConnections)
	return &soak{
		t: t, constraints: set.Describe(), over: make(chan struct{}),
		client: &http.Client{Transport: transport, Timeout: time.Minute},
		told:   map[string][]place{}, refused: map[string]bool{}, counts: map[string]int{},
	}
}

// configured is the environment of a process that keeps every constraint in the mode which can be kept so.
func (s *soak) configured(mode consistency.Mode) []string {
	var env []string
	for _, d := range s.constraints {
		if slices.Contains(d.Modes, mode) {
			name := strings.ToUpper(strings.ReplaceAll(d.Name, "-", "_"))
			env = append(env, "ACCESSION_CONSISTENCY_MODES_"+name+"="+mode.String())
		}
	}
	return env
}

// count counts something that happened.
func (s *soak) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

// begin makes a library with some categories.
func (s *soak) begin() {
	s.t.Helper()
	w := s.writer()
	var lib struct{ ID string }
	if !w.settle("begin", http.MethodPost, "/libraries", body{"name": "Library"}, &lib) {
		s.t.Fatal("there is no library")
	}
	s.library = lib.ID
	for range 4 {
		w.createCategory()
	}
	if len(s.categories) == 0 {
		s.t.Fatal("there is no category")
	}
}

// run is the soak, and what is checked after it.
func (s *soak) run(d time.Duration, dir, db string) {
	s.begin()
	time.AfterFunc(d, func() { close(s.over) })
	var wg, disturbers sync.WaitGroup
	for range writers {
		wg.Go(s.writer().write)
	}
	disturbers.Go(s.changeModes)
	disturbers.Go(func() { s.endProcesses(min(endEvery, d/6)) })
	disturbers.Wait()
	wg.Wait()
	over := time.Now()
	for _, server := range s.servers {
		server.end(syscall.SIGTERM)
	}
	for _, what := range slices.Sorted(maps.Keys(s.counts)) {
		s.t.Logf("%8d %s", s.counts[what], what)
	}
	s.check(dir, db)
	s.t.Logf("%8s to stop and to check", time.Since(over).Round(time.Second))
}

// changeModes changes the mode of some constraint again and again, to one that it can have or to what each process has
// configured: then they differ.
func (s *soak) changeModes() {
	tick := time.NewTicker(changeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.over:
			return
		}
		c := s.constraints[rand.IntN(len(s.constraints))]
		mode := "default"
		if i := rand.IntN(len(c.Modes) + 1); i < len(c.Modes) {
			mode = c.Modes[i].String()
		}
		status, problem, err := s.send("", http.MethodPut, "/ops/constraints/"+c.Name+"/mode", body{"mode": mode, "reason": "soak"}, nil)
		switch {
		case err != nil, status == http.StatusServiceUnavailable, status == http.StatusConflict:
			s.count("change of a mode failed: " + problem)
		case status != http.StatusOK:
			s.t.Errorf("set %s to %s: %d %s", c.Name, mode, status, problem)
		default:
			s.count("mode changed")
		}
	}
}

// endProcesses ends some process again and again, mostly with kill -9, and starts it anew.
func (s *soak) endProcesses(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-s.over:
			return
		}
		server := s.servers[rand.IntN(len(s.servers))]
		if i%4 == 3 {
			server.end(syscall.SIGTERM)
			s.count("process stopped")
		} else {
			server.end(syscall.SIGKILL)
			s.count("process killed")
		}
		if !server.start() {
			return
		}
	}
}

type body map[string]any

// send sends a request to a server that is up. What is not a success is told as the code of the problem.
func (s *soak) send(key, method, path string, b body, into any) (status int, problem string, err error) {
	server := s.servers[rand.IntN(len(s.servers))]
	for range s.servers {
		if server.isUp() {
			break
		}
		server = s.servers[rand.IntN(len(s.servers))]
	}
	content, err := json.Marshal(b)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, server.reach()+"/api/v1"+path, bytes.NewReader(content))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return 0, "no connection", err
	}
	defer answer.Body.Close()
	content, err = io.ReadAll(answer.Body)
	if err != nil {
		return 0, "cut off", err
	}
	if answer.StatusCode >= 300 {
		var p struct{ Code, Detail string }
		err = json.Unmarshal(content, &p)
		return answer.StatusCode, p.Code, err
	}
	if into != nil {
		err = json.Unmarshal(content, into)
	}
	return answer.StatusCode, "", err
}

// writer writes one thing after another.
type writer struct {
	*soak
	mine []book
}

type book struct{ id, category, edition string }

func (w *writer) write() {
	for {
		select {
		case <-w.over:
			return
		default:
		}
		switch n := rand.IntN(100); {
		case n < 4:
			w.createCategory()
		case n < 24 && len(w.mine) > 0:
			w.addEdition()
		case n < 44 && len(w.mine) > 0:
			w.moveBook()
		default:
			w.addBook()
		}
	}
}

// settle sends a request, to one server or another, until it is known what came of it: true when it is done, false when it was
// refused and is not. Whoever is in doubt asks again: with the ids in the body, or with the key, if there is one.
func (w *writer) settle(key, method, path string, b body, into any) bool {
	doubt := false
	for began := time.Now(); ; {
		status, problem, err := w.send(key, method, path, b, into)
		switch {
		case err != nil:
			w.count("in doubt: " + problem)
			doubt = true
		case status < 300:
			if doubt {
				w.count("asked again: done")
			}
			w.count(fmt.Sprint("answered ", status))
			return true
		case problem == consistency.ErrOutcomeUnknown.Code:
			w.count("in doubt: " + problem)
			doubt = true
		case status == http.StatusServiceUnavailable, problem == consistency.ErrTokenInUse.Code:
			w.count("not now: " + problem)
		case status == http.StatusConflict && (strings.HasSuffix(problem, "-number-not-unique") || problem == consistency.ErrVersionConflict.Code):
			w.count("refused: " + problem)
			if !doubt {
				return false
			}
		default:
			w.t.Errorf("%s %s: %d %s", method, path, status, problem)
			return false
		}
		if time.Since(began) > patience {
			w.t.Errorf("%s %s is never answered: %d %s %v", method, path, status, problem, err)
			return false
		}
	}
}

// tell notes what a writer was told of a stream.
func (w *writer) tell(stream, scope string, number *int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := place{Scope: scope}
	if number != nil {
		p.Number = *number
	}
	w.told[stream] = append(w.told[stream], p)
}

func (w *writer) refuse(streams ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stream := range streams {
		if !strings.HasSuffix(stream, ":") { // a key named it
			w.refused[stream] = true
		}
	}
}

// category is one of those that are there.
func (w *writer) category() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.categories[rand.IntN(min(len(w.categories), 12))] // not too many, so that writers meet
}

// numbered is something that was created.
type numbered struct {
	ID     string
	Number *int
}

// names are how a request is named, to be repeated: by ids of the writer's own for what it creates, or by a key.
func names(n int) (ids []string, key string) {
	ids = make([]string, n)
	if rand.IntN(2) == 0 {
		return ids, uuid.NewString()
	}
	for i := range ids {
		ids[i] = uuid.NewString()
	}
	return ids, ""
}

// creation is the body of something that is created, with the id, if it is not empty.
func creation(id string, b body) body {
	if id != "" {
		b["id"] = id
	}
	return b
}

func (w *writer) createCategory() {
	ids, key := names(3)
	var answer struct {
		numbered
		Book struct {
			numbered
			Edition numbered
		}
	}
	b := creation(ids[0], body{"name": "Category " + uuid.NewString(), "book": newBook(ids[1], ids[2])})
	if !w.settle(key, http.MethodPost, "/libraries/"+w.library+"/categories", b, &answer) {
		w.refuse("category:"+ids[0], "book:"+ids[1], "edition:"+ids[2])
		return
	}
	w.created("category", ids[0], "library:"+w.library, answer.numbered)
	w.added(ids[1], ids[2], answer.ID, answer.Book.numbered, answer.Book.Edition)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.categories = append(w.categories, answer.ID)
}

func newBook(id, edition string) body {
	return creation(id, body{"title": "A book", "edition": creation(edition, body{"year": 1999})})
}

// created notes what a writer was told of something new, under the id that it wanted, if any.
func (w *writer) created(kind, wanted, scope string, n numbered) {
	if wanted != "" && wanted != n.ID {
		w.t.Errorf("created %s %s, the answer is about %s", kind, wanted, n.ID)
	}
	w.tell(kind+":"+n.ID, scope, n.Number)
}

// added notes a new book, in the category, with its first edition.
func (w *writer) added(wanted, wantedEdition, category string, n, first numbered) {
	w.created("book", wanted, "category:"+category, n)
	w.created("edition", wantedEdition, "book:"+n.ID, first)
	b := book{n.ID, category, first.ID}
	w.mine = append(w.mine, b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.books = append(w.books[max(0, len(w.books)-3):], b)
}

func (w *writer) addBook() {
	ids, key := names(2)
	category := w.category()
	var answer struct {
		numbered
		Edition numbered
	}
	if !w.settle(key, http.MethodPost, "/categories/"+category+"/books", newBook(ids[0], ids[1]), &answer) {
		w.refuse("book:"+ids[0], "edition:"+ids[1])
		return
	}
	w.added(ids[0], ids[1], category, answer.numbered, answer.Edition)
}

func (w *writer) addEdition() {
	w.mu.Lock()
	b := w.books[rand.IntN(len(w.books))] // anybody's
	w.mu.Unlock()
	ids, key := names(1)
	var answer numbered
	if !w.settle(key, http.MethodPost, "/books/"+b.id+"/editions", creation(ids[0], body{"base_edition_id": b.edition}), &answer) {
		w.refuse("edition:" + ids[0])
		return
	}
	w.created("edition", ids[0], "book:"+b.id, answer)
}

func (w *writer) moveBook() {
	b := &w.mine[rand.IntN(len(w.mine))]
	to := w.category()
	if to == b.category {
		return
	}
	_, key := names(0) // without one, what names a move is where it goes
	var answer struct {
		numbered
		Category string `json:"category_id"`
	}
	if !w.settle(key, http.MethodPost, "/books/"+b.id+"/move", body{"category_id": to}, &answer) {
		return
	}
	if answer.Category != to {
		w.t.Errorf("moved to %s, the answer says %s", to, answer.Category)
	}
	b.category = to
	w.tell("book:"+b.id, "category:"+to, answer.Number)
}

// check compares what is there with what was told: verify, and then the log, event by event.
func (s *soak) check(dir, db string) {
	t := s.t
	t.Helper()
	out, err := accession(t, dir, nil, "verify", "--database", db).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ok at ") {
		t.Errorf("verify: %v\n%.5000s", err, out)
	}
	tail := accession(t, dir, nil, "events", "tail", "--after", "0", "--output", "ndjson", "--database", db)
	lines, err := tail.StdoutPipe()
	if err == nil {
		err = tail.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	got, last := map[string][]place{}, map[string]int{}
	position := 0
	for d := json.NewDecoder(lines); ; {
		var e struct {
			Position     int
			Type, Stream string
			Data         struct {
				Library  string `json:"library_id"`
				Category string `json:"category_id"`
				Book     string `json:"book_id"`
				Number   int
			}
		}
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if position++; e.Position != position {
			t.Fatalf("position %d comes where %d should", e.Position, position)
		}
		p := place{Number: e.Data.Number}
		switch e.Type {
		case "library.category_created":
			p.Scope = "library:" + e.Data.Library
		case "catalogue.book_added", "catalogue.book_moved":
			p.Scope = "category:" + e.Data.Category
		case "editions.edition_added":
			p.Scope = "book:" + e.Data.Book
		default:
			continue
		}
		if last[p.Scope]++; p.Number != last[p.Scope] {
			t.Errorf("in %s number %d comes where %d should", p.Scope, p.Number, last[p.Scope])
		}
		got[e.Stream] = append(got[e.Stream], p)
	}
	if err := tail.Wait(); err != nil {
		t.Errorf("read the log: %v", err)
	}
	told := 0
	for stream, places := range s.told {
		told += len(places)
		if !slices.Equal(places, got[stream]) {
			t.Errorf("%s: told %v, in the log %v", stream, places, got[stream])
		}
		delete(got, stream)
	}
	for stream, places := range got {
		t.Errorf("%s: nobody was told, in the log %v; refused: %v", stream, places, s.refused[stream])
	}
	t.Logf("%8d numbers were told, %d creations refused for good; the log has %d events; verify says %s", told, len(s.refused), position, strings.TrimSpace(string(out)))
	for _, least := range []string{"mode changed", "process killed"} {
		if s.counts[least] == 0 {
			t.Errorf("no %s in all that time", least)
		}
	}
	if told < writers {
		t.Errorf("only %d commands in all that time", told)
	}
}
