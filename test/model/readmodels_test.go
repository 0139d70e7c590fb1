package model_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/projection"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// readModels are what people read: they are played in the background, and asked over HTTP.
type readModels struct {
	*projection.Projectionist
	http http.Handler
}

// newReadModels plays the log into the database until the test ends.
func newReadModels(t *testing.T, db *database.DB, log eventlog.Log, registry *event.Registry, runner usecase.Runner) *readModels {
	t.Helper()
	projectors, err := module.Projectors(modules)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	p, err := projection.New(projection.Config{DB: db, Log: log, Registry: registry, Projectors: projectors, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	api := httpapi.New(httpapi.Config{Logger: quiet})
	for _, m := range modules {
		if m.Routes != nil {
			m.Routes(api, module.Env{Runner: runner, Log: log, Projections: p})
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); p.Play(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	return &readModels{p, api}
}

// agree compares what is read with the model, when everything up to the position has been played: every reference that ever was
// given and the next ones that were not, all lists with and without what is withdrawn, and what words and ISBNs find.
func (m *readModels) agree(t *testing.T, r *rapid.T, d *draw, position event.Position) {
	m.Ring()
	for _, p := range m.Projectors {
		if err := m.Wait(t.Context(), p.Name, position); err != nil {
			r.Fatal(err)
		}
	}
	want := d.pages()
	got := map[string][]string{}
	for path := range want {
		got[path] = m.get(t, r, path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("what is read differs from the model (-model +read):\n%s", diff)
	}
}

// card is anything as the API shows it, as far as it is compared.
type card struct {
	ID         string
	Number     *int
	Reference  *string
	Name       string
	Title      string
	ISBN       *string
	Withdrawn  bool
	Categories *int
}

// String is the card in a line: its reference, or a number that is one; what it says; whose it is.
func (c card) String() string {
	ref, isbn := "", ""
	switch {
	case c.Reference != nil:
		ref = *c.Reference
	case c.Number != nil:
		ref = strconv.Itoa(*c.Number)
	case c.Categories != nil:
		ref = fmt.Sprint(*c.Categories, " categories")
	}
	if c.ISBN != nil {
		isbn = *c.ISBN
	}
	return line(ref, c.Name+c.Title, isbn, c.ID, c.Withdrawn)
}

func line(ref, text, isbn, id string, withdrawn bool) string {
	s := fmt.Sprintf("%s %q %s %s", ref, text, isbn, id)
	if withdrawn {
		s += " withdrawn"
	}
	return s
}

// get reads a page: a line for each thing on it, or its status where it is not 200. What a search finds is sorted.
func (m *readModels) get(t *testing.T, r *rapid.T, path string) []string {
	w := httptest.NewRecorder()
	m.http.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, httpapi.Prefix+path, nil))
	if w.Code != http.StatusOK {
		return []string{strconv.Itoa(w.Code)}
	}
	var page struct {
		card
		Category, Book, Edition *card // of a reference
		Items                   *[]card
		Next                    *string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || page.Next != nil {
		r.Fatalf("GET %s: %v, next page %v, in %s", path, err, page.Next, w.Body)
	}
	switch {
	case page.Items != nil:
		lines := []string{}
		for _, c := range *page.Items {
			lines = append(lines, c.String())
		}
		if strings.Contains(path, "/search?") {
			slices.Sort(lines)
		}
		return lines
	case page.Edition != nil:
		return []string{page.Edition.String()}
	case page.Book != nil:
		return []string{page.Book.String()}
	case page.Category != nil:
		return []string{page.Category.String()}
	}
	return []string{page.String()}
}

// The lines of the model's things.

func (l *libraryThing) line(m *model) string {
	live := 0
	for _, c := range m.categories {
		if c.in == l && !c.withdrawn {
			live++
		}
	}
	return line(fmt.Sprint(live, " categories"), l.name, "", l.id.String(), false)
}

func (c *categoryThing) line() string {
	return line(strconv.Itoa(c.number), c.name, "", c.id.String(), c.withdrawn)
}

func (b *bookThing) reference() string { return fmt.Sprintf("%d.%d", b.in.number, b.number) }

func (b *bookThing) line() string {
	return line(b.reference(), b.title, "", b.id.String(), b.withdrawn)
}

// line is the edition by itself, or with the title of its book, as a search shows it.
func (e *editionThing) line(title string) string {
	return line(fmt.Sprintf("%s.%d", e.of.reference(), e.number), title, e.imprint.ISBN, e.id.String(), e.withdrawn)
}

// queries are searched for: words with and without accents, beginnings of words, several of them, and what nothing has.
var queries = []string{"poetry", "PLAY", "cafe", "Café", "maps cafe", "letters poe", "nnn", "atlas"}

// pages is what must be read, by path.
func (m *model) pages() map[string][]string {
	pages := map[string][]string{}
	list := func(path, line string, withdrawn bool) {
		shown, all := path+"?limit=500", path+"?limit=500&withdrawn=true"
		for _, p := range []string{shown, all} {
			if pages[p] == nil {
				pages[p] = []string{}
			}
			if line != "" && (p == all || !withdrawn) {
				pages[p] = append(pages[p], line)
			}
		}
	}
	never := func(l *libraryThing, numbers string) {
		pages["/libraries/"+l.id.String()+"/references/"+numbers] = []string{"404"}
	}
	for _, l := range m.libraries {
		path := "/libraries/" + l.id.String()
		pages[path] = []string{l.line(m)}
		list(path+"/categories", "", false)
		never(l, strconv.Itoa(l.last+1))
		for query, lines := range m.finds(l) {
			for _, withdrawn := range []bool{false, true} {
				p := path + "/search?limit=500&q=" + url.QueryEscape(query) + "&withdrawn=" + strconv.FormatBool(withdrawn)
				pages[p] = append([]string{}, lines[withdrawn]...)
				slices.Sort(pages[p])
			}
		}
	}
	for _, c := range m.categories {
		list("/libraries/"+c.in.id.String()+"/categories", c.line(), c.withdrawn)
		list("/categories/"+c.id.String()+"/books", "", false)
		never(c.in, fmt.Sprintf("%d.%d", c.number, c.last+1))
	}
	books := slices.Clone(m.books) // one that has moved stands among the others by its new number
	slices.SortFunc(books, func(a, b *bookThing) int { return a.number - b.number })
	for _, b := range books {
		list("/categories/"+b.in.id.String()+"/books", b.line(), b.withdrawn)
		never(b.in.in, fmt.Sprintf("%s.%d", b.reference(), b.last+1))
	}
	for _, e := range m.editions {
		list("/books/"+e.of.id.String()+"/editions", e.line(""), e.withdrawn)
	}
	for reference, thing := range m.references {
		library, numbers, _ := strings.Cut(reference, " ")
		path := "/libraries/" + event.Tag(library).ID() + "/references/" + numbers
		switch thing := m.byID[thing].(type) {
		case *categoryThing:
			pages[path] = []string{thing.line()}
		case *bookThing:
			pages[path] = []string{thing.line()}
		case *editionThing:
			pages[path] = []string{thing.line("")}
		}
	}
	return pages
}

// finds is what is found in the library, without (false) and with (true) what is withdrawn.
func (m *model) finds(l *libraryThing) map[string]map[bool][]string {
	found := map[string]map[bool][]string{}
	find := func(query, line string, withdrawn bool) {
		if found[query] == nil {
			found[query] = map[bool][]string{}
		}
		if line == "" {
			return
		}
		found[query][true] = append(found[query][true], line)
		if !withdrawn {
			found[query][false] = append(found[query][false], line)
		}
	}
	for _, q := range queries {
		find(q, "", false)
		for _, b := range m.books {
			if b.in.in == l && b.has(q) {
				find(q, b.line(), b.withdrawn)
			}
		}
	}
	for _, e := range m.editions {
		if e.of.in.in == l && e.imprint.ISBN != "" {
			find(e.imprint.ISBN, e.line(e.of.title), e.withdrawn)
		}
	}
	return found
}

// has reports whether every word of the query begins a word of the title or of an author.
func (b *bookThing) has(query string) bool {
	words := strings.Fields(plain(b.title + " " + strings.Join(b.authors, " ")))
	for q := range strings.FieldsSeq(plain(query)) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, q) }) {
			return false
		}
	}
	return true
}

// plain is a text without capitals and without the accent that words_test.go has.
func plain(s string) string { return strings.ReplaceAll(strings.ToLower(s), "é", "e") }
