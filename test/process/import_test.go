//go:build unix

package process_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The whole catalogue (modules/exchange/gutenberg/testdata).
const (
	wholeRows       = 7660
	wholeSkipped    = 124
	wholeCategories = 147
	wholeBooks      = 7413
	wholeEditions   = 7536
	wholeEnd        = 1 + wholeCategories + wholeBooks + wholeEditions
)

// report is what `import --output json` prints.
type report struct {
	Library    string `json:"library"`
	Rows       int    `json:"rows"`
	Categories counts `json:"categories"`
	Books      counts `json:"books"`
	Editions   counts `json:"editions"`
	Skipped    int    `json:"skipped"`
	Warned     int    `json:"warned"`
	Differs    int    `json:"differs"`
	DryRun     bool   `json:"dry_run"`
}

type counts struct {
	Created int `json:"created"`
	Present int `json:"present"`
	Refused int `json:"refused"`
}

// reported checks a report, but for the library's id.
func reported(t testing.TB, got, want report) {
	t.Helper()
	got.Library = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
}

// wholeFeed writes the whole catalogue to pg_catalog.csv.
func (h *home) wholeFeed() {
	h.Helper()
	text, err := feed()
	if err != nil {
		h.Fatal(err)
	}
	h.write("pg_catalog.csv", text)
}

// partOfFeed writes the first rows of the catalogue to part.csv.
func (h *home) partOfFeed(rows int) {
	h.Helper()
	text, err := feed()
	if err != nil {
		h.Fatal(err)
	}
	r := csv.NewReader(strings.NewReader(text))
	var b strings.Builder
	w := csv.NewWriter(&b)
	for range rows + 1 { // the header too
		row, err := r.Read()
		if err != nil {
			h.Fatal(err)
		}
		if err := w.Write(row); err != nil {
			h.Fatal(err)
		}
	}
	w.Flush()
	h.write("part.csv", b.String())
}

// undisturbed is a home in which the whole catalogue was imported by one worker without anything happening, and the
// references it got. The database is not to be written to.
func undisturbed(t *testing.T) (*home, []string) {
	t.Helper()
	h := &home{TB: t, dir: filepath.Join(base, "undisturbed"), env: environment(base)}
	undisturbedOnce.Do(func() {
		if err := os.Mkdir(h.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		h.wholeFeed()
		h.write("out.json", h.do("import", "pg_catalog.csv", "--workers", "1", "--report", "report.jsonl", "--output", "json"))
		undisturbedReferences = h.references()
	})
	if undisturbedReferences == nil {
		t.Fatal("the import that the others are compared with has failed")
	}
	return h, undisturbedReferences
}

var (
	undisturbedOnce       sync.Once
	undisturbedReferences []string
)

func TestImportOfTheWholeCatalogue(t *testing.T) {
	t.Parallel()
	origin, references := undisturbed(t)
	if len(references) != wholeEditions {
		t.Errorf("there are %d references, want %d", len(references), wholeEditions)
	}
	var got report
	if err := json.Unmarshal([]byte(origin.read("out.json")), &got); err != nil {
		t.Fatal(err)
	}
	want := report{
		Rows: wholeRows, Skipped: wholeSkipped, Warned: 1,
		Categories: counts{Created: wholeCategories}, Books: counts{Created: wholeBooks}, Editions: counts{Created: wholeEditions},
	}
	reported(t, got, want)

	// A line for every row, in the order of the file.
	outcomes := map[string]int{}
	warnings, last := 0, 0
	for line := range strings.Lines(origin.read("report.jsonl")) {
		var l struct {
			Line                          int
			Key, Outcome, Detail, Warning string
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Line <= last || l.Key == "" || (l.Outcome == "skipped") != (l.Detail != "") {
			t.Errorf("bad line: %s", line)
		}
		last = l.Line
		outcomes[l.Outcome]++
		if l.Warning != "" {
			warnings++
		}
	}
	if diff := cmp.Diff(map[string]int{"created": wholeEditions, "skipped": wholeSkipped}, outcomes); diff != "" || warnings != 1 {
		t.Errorf("the lines differ (-want +got), with %d warnings, want 1:\n%s", warnings, diff)
	}

	// Again, in a copy: everything is there.
	h := newHome(t)
	h.wholeFeed()
	h.copyDatabase(origin)
	want.Categories, want.Books, want.Editions = counts{Present: wholeCategories}, counts{Present: wholeBooks}, counts{Present: wholeEditions}
	for _, workers := range []string{"1", "8"} {
		reported(t, object[report](h, "import", "pg_catalog.csv", "--workers", workers), want)
	}
	want.DryRun = true
	before := h.files()
	reported(t, object[report](h, "import", "pg_catalog.csv", "--dry-run"), want)
	h.unchanged(before)
	h.verified(wholeEnd)
	same(t, references, h.references())

	// And readable: served, the read models agree with the log.
	s := h.serve()
	if l := list[library](s, "/libraries", wholeEnd); len(l) != 1 || l[0].Name != "pg_catalog" || l[0].Categories != wholeCategories {
		t.Errorf("the libraries are %+v", l)
	}
	s.fetch("/", wholeEnd)
	s.stop(syscall.SIGTERM)
	h.verified(wholeEnd)
}

// copyDatabase copies accession.db, which nobody has open.
func (h *home) copyDatabase(from *home) {
	h.Helper()
	h.write("accession.db", from.read("accession.db"))
}

func TestTheSummaryOfAnImport(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(30)
	for _, c := range []struct{ args, out string }{
		{"import part.csv --dry-run", "" +
			"             created  present  refused\n" +
			"───────────────────────────────────────\n" +
			" categories       11        0        0\n" +
			" books            29        0        0\n" +
			" editions         30        0        0\n" +
			"30 rows looked at, nothing was stored in \"part\": 0 skipped, 0 with a warning\n"},
		{"import part.csv", "" +
			"             created  present  refused\n" +
			"───────────────────────────────────────\n" +
			" categories       11        0        0\n" +
			" books            29        0        0\n" +
			" editions         30        0        0\n" +
			"30 rows imported into \"part\": 0 skipped, 0 with a warning\n"},
		{"import part.csv --output table", "" +
			"             created  present  refused\n" +
			"───────────────────────────────────────\n" +
			" categories        0       11        0\n" +
			" books             0       29        0\n" +
			" editions          0       30        0\n" +
			"30 rows imported into \"part\": 0 skipped, 0 with a warning\n"},
	} {
		r := h.run(strings.Fields(c.args)...)
		if diff := cmp.Diff(result{out: c.out}, r, cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("accession %s differs (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestADryRunStoresNothing(t *testing.T) {
	t.Parallel()
	want := report{Rows: 200, Skipped: 8, DryRun: true}
	dry := func(h *home, args ...string) report {
		h.Helper()
		before := h.files()
		got := object[report](h, append([]string{"import", "part.csv", "--dry-run"}, args...)...)
		h.unchanged(before)
		return got
	}
	created := func(r report) report {
		for _, c := range []*counts{&r.Categories, &r.Books, &r.Editions} {
			*c = counts{Created: c.Created + c.Present}
		}
		return r
	}

	h := newHome(t)
	h.partOfFeed(200)
	without := dry(h)
	want.Categories, want.Books, want.Editions = without.Categories, without.Books, without.Editions
	want.Skipped = without.Skipped
	reported(t, without, created(want))
	if without.Library != "" || without.Editions.Created != 200-without.Skipped || without.Categories.Created < 2 {
		t.Errorf("without a database: %+v", without)
	}

	h.write("accession.db", "") // there, but empty
	reported(t, dry(h), want)
	if err := os.Remove(h.path("accession.db")); err != nil {
		t.Fatal(err)
	}

	h.do("migrate", "up")
	reported(t, dry(h), want)
	done := object[report](h, "import", "part.csv")
	present := dry(h)
	if done.Library == "" || present.Library != done.Library {
		t.Errorf("a dry run names the library %q, it is %q", present.Library, done.Library)
	}
	want.Categories, want.Books, want.Editions = counts{Present: want.Categories.Created}, counts{Present: want.Books.Created}, counts{Present: want.Editions.Created}
	reported(t, present, want)
	reported(t, dry(h, "--library", "Another"), created(want))
}

func TestWorkersDoNotChangeReferences(t *testing.T) {
	t.Parallel()
	var want []string
	for _, workers := range []string{"1", "8"} {
		h := newHome(t)
		h.partOfFeed(500)
		h.do("import", "part.csv", "--workers", workers)
		got := h.references()
		if want == nil {
			want = got
		}
		same(t, want, got)
	}
}

func TestTheLibraryOfAnImport(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(60)
	// Reused by name, whatever its white space and normal form.
	first := object[report](h, "import", "part.csv", "--library", "Bibliothe\u0300que  de Lyon")
	for _, name := range []string{"Bibliothèque de Lyon", " Bibliothèque\tde Lyon "} {
		again := object[report](h, "import", "part.csv", "--library", name)
		if again.Library != first.Library || again.Editions.Present != 60-first.Skipped || again.Editions.Created != 0 {
			t.Errorf("into %q: %+v, want all present in %s", name, again, first.Library)
		}
	}
	// Another is created.
	other := object[report](h, "import", "part.csv", "--library", "bibliothèque de Lyon")
	if other.Library == first.Library || other.Editions.Created != 60-first.Skipped {
		t.Errorf("into another library: %+v", other)
	}
	h.references()

	// Two of one name.
	s := h.serve()
	for range 2 {
		create[library](s, "/libraries", map[string]string{"name": "Twin"})
	}
	s.stop(syscall.SIGTERM)
	before := h.files()
	r := h.run("import", "part.csv", "--library", "Twin", "--report", "report.jsonl")
	if want := `accession: 2 libraries are called "Twin". Choose another name with --library, or rename all but one.` + "\n"; r.exit != 2 || r.out != "" || r.err != want {
		t.Errorf("exit %d, stdout %q, stderr %q; want 2 and %q", r.exit, r.out, r.err, want)
	}
	h.unchanged(before)
}

func TestImportIntoACategoryThatSomebodyElseMade(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(60)
	dry := object[report](h, "import", "part.csv", "--dry-run")
	s := h.serve()
	lib := create[library](s, "/libraries", map[string]string{"name": "part"})
	theirs := create[category](s, "/libraries/"+lib.ID+"/categories", map[string]any{"name": " ps ", "book": newBook("Theirs")})
	s.stop(syscall.SIGTERM)
	for range 2 {
		got := object[report](h, "import", "part.csv")
		if got.Library != lib.ID || got.Refusals() != 0 {
			t.Errorf("imported: %+v", got)
		}
		if made := got.Categories.Created + got.Categories.Present; made != dry.Categories.Created {
			t.Errorf("%d categories are made or present, want %d", made, dry.Categories.Created)
		}
	}
	in := 0
	names := map[string]int{}
	for _, e := range h.events() {
		switch e.Type {
		case "library.category_created":
			names[strings.ToUpper(e.Data.Name)]++
		case "catalogue.book_added":
			if e.Data.Category == theirs.ID {
				if in++; e.Data.Number != in {
					t.Errorf("%q has the number %d, want %d", e.Data.Title, e.Data.Number, in)
				}
			}
		}
	}
	if in < 2 || slices.Max(slices.Collect(maps.Values(names))) != 1 || len(names) != dry.Categories.Created {
		t.Errorf("%d books stand in their category; the categories are %v", in, names)
	}
	if n := len(h.references()); n != 1+60-dry.Skipped {
		t.Errorf("there are %d references, want %d", n, 1+60-dry.Skipped)
	}
}

// Refusals is how many things were refused.
func (r report) Refusals() int { return r.Categories.Refused + r.Books.Refused + r.Editions.Refused }

const header = "Text#,Type,Issued,Title,Language,Authors,Subjects,LoCC,Bookshelves\n"

func TestARowThatIsRefusedDoesNotEndAnImport(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	long := strings.Repeat("x", 1001)
	h.write("f.csv", header+
		"1,Text,1999-01-01,"+long+",en,A,,PR,\n"+ // would have made the category
		"2,Text,1999-01-01,Good,en,A,,PR,\n"+
		"3,Text,1999-01-01,"+long+",en,A,,PR,\n"+ // another edition of 1
		"4,Text,0999-01-01,Good,"+strings.Repeat("e", 201)+",A,,PR,\n"+ // another edition of 2
		"5,Text,1999-01-01,Good,en,A,,PR,\n"+
		"6,Text,1999-01-01,"+long+" ,en,B,,PS,\n"+ // a category without anything in it
		"7,Sound,1999-01-01,Good,en,A,,PR,\n")
	for _, outcome := range []string{"created", "present"} {
		r := h.run("import", "f.csv", "--report", "r.jsonl")
		if r.exit != 4 || !strings.Contains(r.err, "Refused: 7. With --report FILE every row is listed with the reason.") {
			t.Errorf("exit %d, stderr:\n%s", r.exit, r.err)
		}
		want := strings.NewReplacer("LONG", "is 1,001 characters long; at most 1,000 are allowed", "TAKEN", outcome).Replace(`{"line":2,"key":"1","outcome":"refused","code":"invalid","detail":"title: LONG"}
{"line":3,"key":"2","outcome":"TAKEN"}
{"line":4,"key":"3","outcome":"refused","code":"book-not-found","detail":"its book was refused"}
{"line":5,"key":"4","outcome":"refused","code":"invalid","detail":"language: is 201 characters long; at most 200 are allowed; year: 999 is not a year from 1000 to YEAR"}
{"line":6,"key":"5","outcome":"TAKEN"}
{"line":7,"key":"6","outcome":"refused","code":"invalid","detail":"title: LONG"}
{"line":8,"key":"7","outcome":"skipped","detail":"is of type \"Sound\"; only rows of type Text are taken"}
`)
		got := h.read("r.jsonl")
		if i := strings.Index(got, "1000 to "); i > 0 { // next year
			want = strings.Replace(want, "YEAR", got[i+len("1000 to "):i+len("1000 to ")+4], 1)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("report differs (-want +got):\n%s", diff)
		}
	}
	r := h.run("import", "f.csv")
	if !strings.Contains(r.err, "line 2 (1): refused: title: is 1,001 characters long") {
		t.Errorf("stderr:\n%s", r.err)
	}
	if n := len(h.references()); n != 2 {
		t.Errorf("there are %d references, want 2", n)
	}
}

func TestANewerFileAddsWhatIsNewAndKeepsWhatWasChanged(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("f.csv", header+
		"10,Text,1999-01-01,First,en,A,,PR,\n"+
		"11,Text,1999-01-01,Second,en,A,,PR,\n"+
		"12,Text,2000-01-01,Second,en,A,,PR,\n"+
		"13,Text,2001-01-01,Second,en,A,,PR,\n")
	h.do("import", "f.csv", "--library", "L")
	h.write("f.csv", header+
		"9,Text,1999-01-01,Before the first,en,A,,PR,\n"+ // now stands first in its category
		"10,Text,1999-01-01,First mended,en,A,,PR,\n"+ // the book that the category came with
		"14,Text,2002-01-01,First mended,en,A,,PR,\n"+ // an edition of it
		"11,Text,1999-01-01,Second,en,A,,PR,\n"+
		"12,Text,2000-01-01,Second,fr,A,,PR,\n"+ // an edition that the next is based on
		"13,Text,2001-01-01,Second,en,A,,PR,\n")
	for _, outcome := range []string{"created", "present"} {
		for _, dry := range []bool{true, false} {
			args := []string{"import", "f.csv", "--library", "L", "--report", "r.jsonl"}
			if dry {
				args = append(args, "--dry-run")
			}
			r := h.run(args...)
			if r.exit != 0 || r.err != "" || !strings.HasSuffix(r.out, ": 0 skipped, 0 with a warning, 2 differ from what was imported before\n") {
				t.Errorf("exit %d, stdout:\n%sstderr:\n%s", r.exit, r.out, r.err)
			}
			changed := `"outcome":"differs","detail":"was imported before with other content; the catalogue keeps what it has"`
			want := strings.NewReplacer("CHANGED", changed, "NEW", outcome).Replace(`{"line":2,"key":"9","outcome":"NEW"}
{"line":3,"key":"10",CHANGED}
{"line":4,"key":"14","outcome":"NEW"}
{"line":5,"key":"11","outcome":"present"}
{"line":6,"key":"12",CHANGED}
{"line":7,"key":"13","outcome":"present"}
`)
			if diff := cmp.Diff(want, h.read("r.jsonl")); diff != "" {
				t.Errorf("dry run %v: report differs (-want +got):\n%s", dry, diff)
			}
		}
	}
	same(t, []string{
		"0001.0001.01 based on 0: PR | First | A | 1999 | en",
		"0001.0001.02 based on 1: PR | First | A | 2002 | en",
		"0001.0002.01 based on 0: PR | Second | A | 1999 | en",
		"0001.0002.02 based on 1: PR | Second | A | 2000 | en",
		"0001.0002.03 based on 2: PR | Second | A | 2001 | en",
		"0001.0003.01 based on 0: PR | Before the first | A | 1999 | en",
	}, h.references())

	// Without a report the rows are shown; what they are about counts as present.
	r := h.run("import", "f.csv", "--library", "L")
	want := "line 3 (10): differs: was imported before with other content; the catalogue keeps what it has\n" +
		"line 6 (12): differs: was imported before with other content; the catalogue keeps what it has\n"
	if r.exit != 0 || r.err != want {
		t.Errorf("exit %d, stderr:\n%s", r.exit, r.err)
	}
	reported(t, object[report](h, "import", "f.csv", "--library", "L"), report{
		Rows: 6, Categories: counts{Present: 1}, Books: counts{Present: 3}, Editions: counts{Present: 6}, Differs: 2,
	})
	// What is wrong with another row still is a refusal.
	h.write("f.csv", h.read("f.csv")+"15,Text,1999-01-01,"+strings.Repeat("x", 1001)+",en,A,,PR,\n")
	if r := h.run("import", "f.csv", "--library", "L"); r.exit != 4 || !strings.Contains(r.err, "Refused: 2.") {
		t.Errorf("exit %d, stderr:\n%s", r.exit, r.err)
	}
}

// TestABookThatANewerFileHasInAnotherCategoryStaysWhereItIs, and the category is made for the others.
func TestABookThatANewerFileHasInAnotherCategoryStaysWhereItIs(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	row := func(id, title, class string) string {
		return id + ",Text,1999-01-01," + title + ",en,A,," + class + ",\n"
	}
	h.write("f.csv", header+row("10", "First", "PR")+row("11", "Second", "PR"))
	h.do("import", "f.csv", "--library", "L")
	h.write("f.csv", header+row("10", "First", "PS")+row("11", "Second", "PS")+row("12", "Second", "PS")+row("13", "New", "PS")+row("14", "First", "PZ"))
	for _, file := range []string{h.read("f.csv"), header + row("10", "First", "PT") + row("11", "Second", "PS")} {
		h.write("f.csv", file)
		dry := object[report](h, "import", "f.csv", "--library", "L", "--dry-run")
		got := object[report](h, "import", "f.csv", "--library", "L")
		dry.DryRun = false
		if diff := cmp.Diff(got, dry); diff != "" || got.Differs != 2 || got.Refusals() != 0 {
			t.Errorf("imported %+v, and the dry run (-import +dry run)\n%s", got, diff)
		}
	}
	same(t, []string{
		"0001.0001.01 based on 0: PR | First | A | 1999 | en",
		"0001.0001.02 based on 1: PR | First | A | 1999 | en",
		"0001.0002.01 based on 0: PR | Second | A | 1999 | en",
		"0001.0002.02 based on 1: PR | Second | A | 1999 | en",
		"0002.0001.01 based on 0: PS | New | A | 1999 | en",
	}, h.references())
}

// TestACategoryThatWasWithdrawnSinceDoesNotDiffer: a newer feed has another row first in a category that was imported and
// withdrawn. It is not taken for a row that was there before.
func TestACategoryThatWasWithdrawnSinceDoesNotDiffer(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	row := func(id string) string { return id + ",Text,1999-01-01,Title " + id + ",en,A,,PR,\n" }
	h.write("f.csv", header+row("10"))
	h.do("import", "f.csv", "--library", "L")
	s := h.serve()
	for _, e := range h.events() {
		if e.Type == "catalogue.book_added" {
			remove(s, "/books/"+e.Data.Book)
			remove(s, "/categories/"+e.Data.Category)
		}
	}
	s.stop(syscall.SIGTERM)
	h.write("f.csv", header+row("9")+row("10"))
	r := h.run("import", "f.csv", "--library", "L", "--report", "r.jsonl")
	want := `{"line":2,"key":"9","outcome":"refused","code":"category-not-found","detail":"There is no such category, or it was withdrawn."}
{"line":3,"key":"10","outcome":"present"}
`
	if diff := cmp.Diff(want, h.read("r.jsonl")); diff != "" || r.exit != 4 {
		t.Errorf("exit %d, report differs (-want +got):\n%s", r.exit, diff)
	}
}

func TestTheReportOverwritesNothingThatIsNeeded(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(10)
	for _, name := range []string{"part.csv", "accession.db", "accession.db-wal", "accession.db-shm", "accession.db.lock"} {
		before := h.files()
		r := h.run("import", "part.csv", "--report", h.path(name))
		if r.exit != 2 || r.out != "" || !strings.Contains(r.err, "--report would overwrite") {
			t.Errorf("--report %s: exit %d, stdout %q, stderr %q", name, r.exit, r.out, r.err)
		}
		h.unchanged(before)
	}
	h.do("import", "part.csv", "--report", "r.jsonl")
	want := h.read("r.jsonl")
	h.write("r.jsonl", strings.Repeat("an older and longer report\n", 1000))
	h.do("import", "part.csv", "--report", "r.jsonl")
	if got := strings.ReplaceAll(h.read("r.jsonl"), `"present"`, `"created"`); got != want {
		t.Errorf("the report is\n%s", got)
	}
	if out := h.do("import", "part.csv", "--report", "/dev/stdout", "--output", "json"); !strings.HasPrefix(out, `{"line":2,`) {
		t.Errorf("stdout is\n%s", out)
	}
}

// TestTheReportMayGoWhereTheOutputGoes: to a file to which standard output is appended. Nothing of what is there already, of the
// report and of the summary overwrites the other.
func TestTheReportMayGoWhereTheOutputGoes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(10)
	h.do("import", "part.csv", "--report", "r.jsonl")
	report := h.read("r.jsonl")
	summary := h.do("import", "part.csv")
	for _, name := range []string{"/dev/stdout", "log.txt"} {
		h.write("log.txt", "what was there\n")
		out, err := os.OpenFile(h.path("log.txt"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "import", "part.csv", "--report", name)
		cmd.Dir, cmd.Env, cmd.Stdout = h.dir, h.env, out
		if err := errors.Join(cmd.Run(), out.Close()); err != nil {
			t.Fatal(err)
		}
		want := "what was there\n" + strings.ReplaceAll(report, `"created"`, `"present"`) + summary
		if diff := cmp.Diff(want, h.read("log.txt")); diff != "" {
			t.Errorf("--report %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestImportPassesByWhatAServerHasOpen(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(10)
	s := h.serve()
	before := h.position("accession.db")
	r := h.run("import", "part.csv")
	want := fmt.Sprintf("is in use by another accession process (pid %d). Stop it, or use PostgreSQL to run several processes.\n", s.cmd.Process.Pid)
	if r.exit != 5 || r.out != "" || !strings.HasSuffix(r.err, want) {
		t.Errorf("exit %d, stdout %q, stderr %q; want 5 and %q", r.exit, r.out, r.err, want)
	}
	if at := h.position("accession.db"); at != before {
		t.Errorf("the log went on from %d to %d", before, at)
	}
	h.do("import", "part.csv", "--dry-run")
	s.stop(syscall.SIGTERM)
	h.do("import", "part.csv")
}
