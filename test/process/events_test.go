//go:build unix

package process_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small is a home with a library of the first rows of the catalogue.
func small(t *testing.T) *home {
	t.Helper()
	h := newHome(t)
	h.partOfFeed(40)
	h.do("import", "part.csv")
	return h
}

// tail gives the positions that `events tail` prints.
func (h *home) tail(args ...string) []int {
	h.Helper()
	positions := []int{}
	for line := range strings.Lines(h.do(append([]string{"events", "tail", "--output", "ndjson"}, args...)...)) {
		var e storedEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			h.Fatalf("%v in %s", err, line)
		}
		positions = append(positions, e.Position)
	}
	return positions
}

func TestEventsTailSelects(t *testing.T) {
	t.Parallel()
	h := small(t)
	all := h.events()
	where := func(f func(storedEvent) bool) []int {
		positions := []int{}
		for _, e := range all {
			if f(e) {
				positions = append(positions, e.Position)
			}
		}
		return positions
	}
	last := func(n int, positions []int) []int { return positions[max(0, len(positions)-n):] }
	everything := where(func(storedEvent) bool { return true })
	added := where(func(e storedEvent) bool { return e.Type == "catalogue.book_added" })
	created := where(func(e storedEvent) bool {
		return e.Type == "library.category_created" || e.Type == "library.library_opened"
	})
	category := all[1].Data.Category
	about := where(func(e storedEvent) bool { return e.Data.Category == category })
	stream := all[2].Stream
	of := where(func(e storedEvent) bool { return e.Stream == stream })
	for _, c := range []struct {
		args string
		want []int
	}{
		{"", last(20, everything)},
		{"--last 3", last(3, everything)},
		{"--last 100000", everything},
		{"--after 0", everything},
		{"--after 70", everything[70:]},
		{"--after 100000", []int{}},
		{"--type catalogue.book_added --after 0", added},
		{"--type catalogue.book_added --last 2", last(2, added)},
		{"--type library.category_created --type library.library_opened --after 0", created},
		{"--type library.category_created,library.library_opened --after 0", created},
		{"--type no.such_event", []int{}},
		{"--scope category:" + category + " --after 0", about},
		{"--scope category:" + category + " --type catalogue.book_added --after 0", slices.DeleteFunc(slices.Clone(about), func(p int) bool { return !slices.Contains(added, p) })},
		{"--scope category:01a201fe-0000-7000-8000-000000000000", []int{}},
		{"--stream " + stream, of},
		{"--stream " + stream + " --raw", of},
	} {
		if diff := cmp.Diff(c.want, h.tail(strings.Fields(c.args)...)); diff != "" {
			t.Errorf("events tail %s differs (-want +got):\n%s", c.args, diff)
		}
	}
	if len(added) < 30 || len(about) < 5 || len(of) != 1 {
		t.Errorf("there is too little to select from: %d, %d, %d", len(added), len(about), len(of))
	}
}

func TestEventsInEveryFormat(t *testing.T) {
	t.Parallel()
	h := small(t)
	lines := h.do("events", "tail", "--last", "3")
	if got := h.do("events", "tail", "--last", "3", "-o", "ndjson"); got != lines || strings.Count(lines, "\n") != 3 {
		t.Errorf("in a pipe the default is not ndjson:\n%s", lines)
	}
	var array, stream []map[string]any
	if err := json.Unmarshal([]byte(h.do("events", "tail", "--last", "3", "-o", "json")), &array); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte("["+strings.ReplaceAll(strings.TrimSpace(lines), "\n", ",")+"]"), &stream); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stream, array); diff != "" {
		t.Errorf("json differs from ndjson (-ndjson +json):\n%s", diff)
	}
	if raw := h.do("events", "tail", "--last", "3", "--raw"); raw != lines {
		t.Errorf("what is stored is in the present form, but --raw shows\n%s", raw)
	}
	if none := h.do("events", "tail", "--after", "1000", "-o", "json"); none != "[]\n" {
		t.Errorf("no events are %q", none)
	}

	table := strings.Split(h.do("events", "tail", "--last", "3", "-o", "table"), "\n")
	if len(table) != 6 || !strings.HasPrefix(table[0], " position  recorded ") || !strings.HasPrefix(table[1], "─────") {
		t.Errorf("the table is\n%s", strings.Join(table, "\n"))
	}

	var last map[string]any
	if err := json.Unmarshal([]byte(h.do("events", "show", fmt.Sprint(array[2]["position"]))), &last); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(array[2], last); diff != "" {
		t.Errorf("events show differs from tail (-tail +show):\n%s", diff)
	}
	if text := h.do("events", "show", "1", "-o", "table"); !strings.HasPrefix(text, "position     1\nid           ") || !strings.Contains(text, "\ntype         library.library_opened\n") {
		t.Errorf("events show is\n%s", text)
	}
	h.refuses(3, `There is no event at position 4711: the log ends at \d+.$`, "events", "show", "4711")
	h.refuses(3, `There is no event at position 4711: the log ends at \d+.$`, "events", "show", "4711", "--raw")
}

// What is stored can be looked at whatever it is, and whoever wants to understand it is told where that ends.
func TestEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := small(t)
	all := h.events()
	h.sql("UPDATE log_events SET data = '{\"n' WHERE position = 3")
	const unreadable = `The event at position 3, a catalogue.book_added, cannot be read: `
	h.refuses(1, unreadable, "events", "show", "3")
	if r := h.run("events", "tail", "--after", "1"); r.exit != 1 || strings.Count(r.out, "\n") != 1 || !strings.Contains(r.err, unreadable) {
		t.Errorf("events tail: exit %d, stdout %q, stderr %q", r.exit, r.out, r.err)
	}
	if shown := object[struct{ Data string }](h, "events", "show", "3", "--raw"); shown.Data != `{"n` {
		t.Errorf("stored is %q", shown.Data)
	}
	if n := strings.Count(h.do("events", "tail", "--after", "0", "--raw"), "\n"); n != len(all) {
		t.Errorf("%d of %d events are shown as they are stored", n, len(all))
	}
	stats := object[struct{ Types []struct{ Known bool } }](h, "events", "stats")
	if len(stats.Types) != 4 || stats.Types[0].Known || !stats.Types[1].Known {
		t.Errorf("stats are %+v", stats)
	}
}

func TestEventsStats(t *testing.T) {
	t.Parallel()
	h := small(t)
	all := h.events()
	type of struct {
		Type   string `json:"type"`
		Schema int    `json:"schema"`
		Events int    `json:"events"`
		First  int    `json:"first"`
		Last   int    `json:"last"`
		Known  bool   `json:"known"`
	}
	var want []of
	for _, name := range []string{"catalogue.book_added", "editions.edition_added", "library.category_created", "library.library_opened"} {
		o := of{Type: name, Schema: 1, Known: true}
		for _, e := range all {
			if e.Type == name {
				o.Events++
				o.Last = e.Position
				if o.First == 0 {
					o.First = e.Position
				}
			}
		}
		want = append(want, o)
	}
	got := object[struct {
		Log      string `json:"log"`
		Position int    `json:"position"`
		Streams  int    `json:"streams"`
		Types    []of   `json:"types"`
	}](h, "events", "stats")
	if diff := cmp.Diff(want, got.Types); diff != "" || got.Position != len(all) || got.Streams != len(all) || len(got.Log) != 36 {
		t.Errorf("stats are %+v (-want +got):\n%s", got, diff)
	}
	table := h.do("events", "stats")
	if !strings.HasSuffix(table, fmt.Sprintf("\nlog %s at position %d, %d streams\n", got.Log, len(all), len(all))) {
		t.Errorf("the table is\n%s", table)
	}

	empty := newHome(t)
	empty.do("migrate", "up")
	if out := empty.do("events", "stats", "-o", "json"); !strings.Contains(out, `"types": []`) {
		t.Errorf("of an empty log stats are\n%s", out)
	}
}

func TestAFollowerSeesWhatComesUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := h.serve()
	c := s.shelf() // four events
	next := func(string) bool { return true }
	lines := h.start("events", "tail", "--follow", "--last", "1")
	array := h.start("events", "tail", "-f", "--after", "1", "--type", "catalogue.book_added", "--output", "json")
	for want := 4; want <= 10; want += 2 {
		var e storedEvent
		if err := json.Unmarshal([]byte(lines.line(next)), &e); err != nil || e.Position != want {
			t.Fatalf("the follower sees %+v, want position %d", e, want)
		}
		create[book](s, "/categories/"+c.ID+"/books", newBook("Another"))
		if line := lines.line(next); !strings.Contains(line, fmt.Sprintf(`"position":%d,`, want+1)) {
			t.Fatalf("the follower sees %s, want position %d", line, want+1)
		}
	}
	array.line(func(line string) bool { return strings.Contains(line, `"position":9,`) })
	lines.signal(syscall.SIGINT)
	array.signal(syscall.SIGTERM)
	if r := lines.wait(); r.exit != 0 || r.err != "" {
		t.Errorf("the follower: exit %d\n%s", r.exit, r.err)
	}
	r := array.wait()
	var all []storedEvent
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || r.exit != 0 || r.err != "" {
		t.Errorf("the follower in JSON: exit %d, %v\n%s%s", r.exit, err, r.out, r.err)
	}
	for i, e := range all {
		if e.Position != 3+2*i || e.Type != "catalogue.book_added" {
			t.Errorf("the follower of books sees %+v", e)
		}
	}
	s.stop(syscall.SIGTERM)
}
