package discovery_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/modules/discovery"
	"accession/modules/editions"
	librarymodule "accession/modules/library"
	"accession/platform/consistency"
	registerdb "accession/platform/consistency/sqldb"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/event"
	"accession/platform/eventlog/sqldb"
	"accession/platform/httpapi"
	"accession/platform/httpapi/httpapitest"
	"accession/platform/module"
	"accession/platform/projection"

	"github.com/google/uuid"
)

// workshop is a server on which things can be changed, on a database of the test's own.
func workshop(t *testing.T, db *database.DB) *site {
	t.Helper()
	modules := []module.Module{librarymodule.Module, catalogue.Module, editions.Module, discovery.Module}
	reg, err := module.Registry(modules)
	if err != nil {
		t.Fatal(err)
	}
	set, err := module.Constraints(modules)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, log: sqldb.New(db, reg, time.Minute), versions: map[event.Tag]int{}}
	p, err := projection.New(projection.Config{
		DB: db, Log: s.log, Registry: reg, Projectors: discovery.Module.Projectors, Timing: projection.Immediate,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	runner := consistency.NewRunner(consistency.Config{
		Log: s.log, Register: registerdb.New(db.Read), Set: set, Immediate: p.Immediate(), Logger: slog.New(slog.DiscardHandler),
	})
	api := httpapi.New(httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	discovery.Module.Routes(api, module.Env{Runner: runner, Log: s.log, Projections: p})
	s.http = httpapitest.Referee(t, api)
	return s
}

// sheet is a form as a reader sees it.
type sheet struct {
	path   string
	values url.Values
}

var (
	inputTag  = regexp.MustCompile(`<input [^>]*?name="([^"]*)"[^>]*?value="([^"]*)"`)
	selectTag = regexp.MustCompile(`(?s)<select [^>]*?name="([^"]*)".*?</select>`)
	optionTag = regexp.MustCompile(`<option value="([^"]*)"( selected="selected")?`)
	areaTag   = regexp.MustCompile(`(?s)<textarea [^>]*?name="([^"]*)"[^>]*>\n(.*?)</textarea>`)
)

// fill opens the form at path and fills it in: "name=value".
func (s *site) fill(path string, typed ...string) sheet {
	s.t.Helper()
	w := s.get(path)
	if w.Code != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return s.read(path, w).with(typed...)
}

// read is the form on a page.
func (s *site) read(path string, w *httptest.ResponseRecorder) sheet {
	s.t.Helper()
	parse(s.t, path, strings.NewReader(w.Body.String()))
	_, body, _ := strings.Cut(w.Body.String(), "<main")
	f := sheet{path, url.Values{}}
	for _, m := range inputTag.FindAllStringSubmatch(body, -1) {
		f.values.Set(m[1], m[2])
	}
	for _, m := range areaTag.FindAllStringSubmatch(body, -1) {
		f.values.Set(m[1], m[2])
	}
	for _, m := range selectTag.FindAllStringSubmatch(body, -1) {
		for _, o := range optionTag.FindAllStringSubmatch(m[0], -1) {
			if o[2] != "" {
				f.values.Set(m[1], o[1])
			}
		}
	}
	return f
}

func (f sheet) with(typed ...string) sheet {
	for _, v := range typed {
		name, value, _ := strings.Cut(v, "=")
		f.values.Set(name, value)
	}
	return f
}

// send sends the form, as a browser does.
func (s *site) send(f sheet) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.post(f, "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
}

func (s *site) post(f sheet, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, f.path, strings.NewReader(f.values.Encode()))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	return w
}

// done sends the form, which must succeed, and gives the path of the thing that the reader is sent to.
func (s *site) done(f sheet) string {
	s.t.Helper()
	w := s.send(f)
	path, at, _ := strings.Cut(w.Header().Get("Location"), "?")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(at, "at=") {
		s.t.Fatalf("POST %s: %d to %q: %s", f.path, w.Code, w.Header().Get("Location"), w.Body)
	}
	return path
}

// says fails the test if the page does not say all of it.
func (s *site) says(w *httptest.ResponseRecorder, status int, parts ...string) {
	s.t.Helper()
	if w.Code != status {
		s.t.Errorf("status %d, want %d", w.Code, status)
	}
	for _, p := range parts {
		if !strings.Contains(w.Body.String(), p) {
			s.t.Errorf("no %s in\n%s", p, w.Body)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := workshop(t, db)
		l := s.done(s.fill("/libraries/new", "name=  Main Library ", "actor=Ada"))
		plays := s.done(s.fill(l+"/categories/new", "name=Plays", "title=L’Avare", "authors=Molière\r\n\r\n", "isbn=978-0-14-143951-8", "year=1668", "language=fr"))
		poems := s.done(s.fill(l+"/categories/new", "name=Poems", "title=Élégies"))
		b := s.done(s.fill(plays+"/books/new", "title=Hamlet", "authors=Shakespere"))
		e := s.done(s.fill(b+"/editions/new", "publisher=Penguin", "year=2003"))
		w := s.get(e + "?at=1")
		if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || !strings.HasPrefix(to, b+"?at=1#edition-") {
			t.Errorf("an edition is shown at %d %q", w.Code, to)
		}

		s.done(s.fill(l+"/edit", "name=Central Library"))
		s.done(s.fill(plays+"/edit", "name=Drama"))
		s.done(s.fill(b+"/edit", "authors=Shakespeare"))
		s.done(s.fill(e+"/edit", "year=", "format=paperback"))
		s.says(s.get(b), 200, "1.2", "Shakespeare", "Penguin", "paperback", "Book corrected: Hamlet, by Shakespeare", "Edition 2 corrected", "Drama", "Central Library")
		if strings.Contains(s.get(b).Body.String(), "2003") {
			t.Error("the year that was cleared is still there")
		}
		s.done(s.fill(b+"/move", "category_id="+strings.TrimPrefix(poems, "/categories/")))
		s.says(s.get(b), 200, "2.2", "Book moved to another category as number 2")
		id := strings.TrimPrefix(l, "/libraries/")
		found := read[discovery.Referenced](s, 200, "/libraries/"+id+"/references/1.2.2")
		if found.Category.Name != "Poems" || *found.Book.Reference != "2.2" || *found.Edition.Reference != "2.2.2" {
			t.Errorf("the former reference 1.2.2 leads to %+v %+v %+v", found.Category, found.Book, found.Edition)
		}

		s.done(s.fill(e+"/withdraw", "reason=Lost at sea"))
		s.says(s.get(b), 200, "Edition 2 withdrawn: Lost at sea")
		s.done(s.fill(b + "/withdraw"))
		if found := read[discovery.Referenced](s, 200, "/libraries/"+id+"/references/2.2"); !found.Book.Withdrawn {
			t.Error("a withdrawn book is not withdrawn by its reference")
		}
		s.says(s.get(b), 200, "withdrawn", "Book withdrawn")
		s.says(s.get(b+"/edit"), 404, "was withdrawn")
		if strings.Contains(s.get(poems).Body.String(), "Hamlet") {
			t.Error("a withdrawn book stands in its drawer")
		}
		s.says(s.get(poems), 200, poems+"?withdrawn=true")
		s.says(s.get(poems+"?withdrawn=true"), 200, "Hamlet", "Hide what was withdrawn")
		s.says(s.get(l+"/search?q=hamlet"), 200, "Nothing in", "withdrawn=true")
		s.says(s.get(l+"/search?q=hamlet&withdrawn=true"), 200, "1 match")
		s.says(s.send(s.fill(plays+"/withdraw")), 409, "role=\"alert\"")
		s.done(s.fill(strings.Replace(findBook(t, s, plays), "?", "", 1) + "/withdraw"))
		s.done(s.fill(plays + "/withdraw"))
		s.says(s.get(l+"?withdrawn=true"), 200, "Drama")

		events := read[httpapi.Page[discovery.Recorded]](s, 200, "/events")
		if events.Items[0].Actor != "Ada" || events.Items[1].Actor != httpapi.Anonymous {
			t.Errorf("the actors are %q and %q", events.Items[0].Actor, events.Items[1].Actor)
		}
	})
}

// findBook is the path of the first book in a drawer.
func findBook(t *testing.T, s *site, category string) string {
	t.Helper()
	m := regexp.MustCompile(`<p class="title"><a href="(/books/[^"]+)"`).FindStringSubmatch(s.get(category).Body.String())
	if m == nil {
		t.Fatal("no book in ", category)
	}
	return m[1]
}

func TestAFormThatIsWrongKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := workshop(t, db)
		l := s.done(s.fill("/libraries/new", "name=Main"))
		c := s.done(s.fill(l+"/categories/new", "name=Plays", "title=L’Avare", "isbn=9780141439518"))
		before, _ := s.log.Head(t.Context())

		s.says(s.send(s.fill("/libraries/new", "name=  ")), 422, "Name must not be empty", `aria-invalid="true"`)
		f := s.fill(c+"/books/new", "title=Ham\u0086let", "authors=Fine\nB\u0086ad", "year=MDC", "publisher=<P>")
		w := s.send(f)
		s.says(w, 422, "Year is not a year", "Authors has a line that", "&lt;P&gt;", "MDC", "Fine")
		s.says(s.send(f.with("year=12")), 422, "Title", "Authors has a line that", "Year 12 is not a year from 1000", `value="&lt;P&gt;"`)
		if again := s.read(f.path, w); again.values.Get("id") != f.values.Get("id") {
			t.Error("the form has another id")
		}
		s.says(s.send(s.fill(c+"/books/new", "title=Hamlet", "isbn=978-0-14-143951-8")), 409, "Another edition in this library has this ISBN", "Hamlet")
		s.says(s.send(s.fill(l+"/categories/new", "name=PLAYS", "title=Hamlet")), 409, "Another category in this library has this name", "PLAYS")
		b := findBook(t, s, c)
		s.says(s.send(s.fill(b+"/move")), 422, "To the category is not chosen")
		s.says(s.send(s.fill(b+"/withdraw", "actor=A\u0086")), 422, "Your name must be printable")
		s.says(s.send(s.fill(b+"/edit", "title=")), 422, "Title must not be empty")
		s.says(s.send(sheet{"/books/" + uuid.NewString() + "/edit", url.Values{}}), 404)
		s.says(s.send(sheet{"/books/x/edit", url.Values{}}), 404)
		if w := s.post(s.fill("/libraries/new", "name=Evil"), "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: cross-site"); w.Code != http.StatusForbidden {
			t.Errorf("from another site: %d", w.Code)
		}
		if w := s.send(s.fill("/libraries/new", "name="+strings.Repeat("x", 2<<20))); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("too large: %d", w.Code)
		}
		if after, _ := s.log.Head(t.Context()); after.Position != before.Position {
			t.Errorf("something was stored: %d events, then %d", before.Position, after.Position)
		}
	})
}

func TestAFormThatSomebodyElseOvertook(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := workshop(t, db)
		l := s.done(s.fill("/libraries/new", "name=Main"))
		c := s.done(s.fill(l+"/categories/new", "name=Plays", "title=L’Avare", "authors=Moliere"))
		b := findBook(t, s, c)
		mine := s.fill(b+"/edit", "title=The Miser")
		s.done(s.fill(b+"/edit", "title=Avare", "authors=Molière"))
		w := s.send(mine)
		s.says(w, 412, "Somebody else has changed this", "There now: <bdi>Avare</bdi>", `value="The Miser"`, "There now: <bdi>Molière</bdi>")
		s.done(s.read(mine.path, w)) // sent again, knowing
		s.says(s.get(b), 200, "The Miser", "Moliere")

		gone := s.fill(b+"/edit", "title=Too late")
		s.done(s.fill(b + "/withdraw"))
		s.says(s.send(gone), 404, "Too late", "or it was withdrawn")
	})
}

func TestAFormSentTwiceMakesOneThing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := workshop(t, db)
		f := s.fill("/libraries/new", "name=Main")
		l := s.done(f)
		c := s.fill(l+"/categories/new", "name=Plays", "title=L’Avare")
		category := s.done(c)
		b := s.fill(category+"/books/new", "title=Hamlet")
		book := s.done(b)
		e := s.fill(book+"/editions/new", "year=1999")
		edition := s.done(e)
		before, _ := s.log.Head(t.Context())
		if got, want := []string{s.done(f), s.done(c), s.done(b), s.done(e)}, []string{l, category, book, edition}; !slices.Equal(got, want) {
			t.Errorf("sent twice: %v, then %v", want, got)
		}
		w := s.send(b.with("title=Macbeth"))
		s.says(w, 409, "This form was sent before", "Macbeth")
		if after, _ := s.log.Head(t.Context()); after.Position != before.Position {
			t.Errorf("%d events, then %d", before.Position, after.Position)
		}
		if other := s.done(s.read(b.path, w)); other == book {
			t.Error("sent again on purpose, it made nothing new")
		}
	})
}

func TestAChangeSentTwiceHappensOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := workshop(t, db)
		l := s.done(s.fill("/libraries/new", "name=Main"))
		from := s.done(s.fill(l+"/categories/new", "name=Plays", "title=L’Avare"))
		to := s.done(s.fill(l+"/categories/new", "name=Poems", "title=Odes"))
		book := s.done(s.fill(from+"/books/new", "title=Hamlet"))
		edit := s.fill(book+"/edit", "title=Hamlet, Prince of Denmark")
		s.done(edit)
		move := s.fill(book+"/move", "category_id="+strings.TrimPrefix(to, "/categories/"))
		s.done(move)
		gone := s.fill(book + "/withdraw")
		s.done(gone)
		before, _ := s.log.Head(t.Context())
		for _, f := range []sheet{edit, move, gone} {
			if got := s.done(f); got != book {
				t.Errorf("%s, sent twice, leads to %s", f.path, got)
			}
		}
		s.says(s.send(edit.with("title=Othello")), 404, "Othello") // another change is looked at as one
		if after, _ := s.log.Head(t.Context()); after.Position != before.Position {
			t.Errorf("%d events, then %d", before.Position, after.Position)
		}
	})
}
