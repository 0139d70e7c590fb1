//go:build unix

package process_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"accession/platform/database/dbtest"

	"github.com/google/go-cmp/cmp"
)

// homes are homes with an empty database each, by where it lies.
var homes = map[string]func(t *testing.T) *home{
	"sqlite": func(t *testing.T) *home { return newHome(t) },
	"postgres": func(t *testing.T) *home {
		h := newHome(t)
		h.env = append(h.env, "ACCESSION_DATABASE_URL="+dbtest.PostgresURL(t))
		return h
	},
}

// send sends a change, which must be answered with 200.
func send(s *server, method, path string, body any) {
	s.home.Helper()
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.home.Fatal(err)
		}
		sent = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(s.home.Context(), method, s.url+"/api/v1"+path, sent)
	if err != nil {
		s.home.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.home.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		s.home.Fatalf("%s %s: %s %v\n%s", method, path, answer.Status, err, b)
	}
}

func remove(s *server, path string) {
	s.home.Helper()
	send(s, http.MethodDelete, path, nil)
}

// made is a thing that was created, with what came with it.
type made struct {
	ID      string `json:"id"`
	Book    *made  `json:"book"`
	Edition *made  `json:"edition"`
}

// live lets a catalogue have a life, with everything that changes references or lets go of something, and gives its library's id.
func (h *home) live() (library string) {
	h.Helper()
	s := h.serve()
	type fields = map[string]any
	library = create[made](s, "/libraries", fields{"name": "Town"}).ID
	send(s, http.MethodPatch, "/libraries/"+library, fields{"name": "Città, \"vecchia\""})
	category := func(library, name, title string) made {
		return create[made](s, "/libraries/"+library+"/categories", fields{"name": name, "book": newBook(title)})
	}
	novels, plays, poems := category(library, "Novels", "Ema"), category(library, "Plays", "Faust"), category(library, "Poems", "Odes")
	send(s, http.MethodPatch, "/books/"+novels.Book.ID, fields{"title": "Emma; \\ a novel", "authors": []string{"Austen, Jane", "A; B"}})
	moved := create[made](s, "/categories/"+novels.ID+"/books", newBook("Moved"))
	lost := create[made](s, "/categories/"+novels.ID+"/books", newBook("Lost"))
	create[made](s, "/categories/"+novels.ID+"/books", newBook("Behind it"))
	send(s, http.MethodPost, "/books/"+moved.ID+"/move", fields{"category_id": plays.ID})
	remove(s, "/books/"+lost.ID+"?reason=lost")
	edition := func(base string, more fields) made {
		more["base_edition_id"] = base
		return create[made](s, "/books/"+novels.Book.ID+"/editions", more)
	}
	second := edition(novels.Book.Edition.ID, fields{"isbn": "9780141439587", "publisher": "Penguin"})
	edition(second.ID, fields{"language": "de"})
	remove(s, "/editions/"+second.ID)
	third := edition(novels.Book.Edition.ID, fields{"isbn": "9780141439587", "year": 2003})
	send(s, http.MethodPatch, "/editions/"+third.ID, fields{"isbn": nil, "format": "paperback"})
	traveller := create[made](s, "/categories/"+poems.ID+"/books", newBook("Around"))
	for _, to := range []made{plays, poems, plays} {
		send(s, http.MethodPost, "/books/"+traveller.ID+"/move", fields{"category_id": to.ID})
	}
	remove(s, "/books/"+poems.Book.ID)
	remove(s, "/categories/"+poems.ID)
	send(s, http.MethodPatch, "/categories/"+plays.ID, fields{"name": "poems"}) // the name is free again
	category(library, "Essays", "Essais")

	create[made](s, "/libraries", fields{"name": "Nothing in it"})
	other := create[made](s, "/libraries", fields{"name": "Other"}).ID
	emptied, full := category(other, "Emptied", "Goes"), category(other, "Novels", "Stays")
	send(s, http.MethodPost, "/books/"+emptied.Book.ID+"/move", fields{"category_id": full.ID})
	s.stop(syscall.SIGTERM)
	return library
}

// exported is a line of an export.
type exported struct {
	ID        string   `json:"id"`
	LibraryID string   `json:"library_id"`
	Reference string   `json:"reference"`
	Former    []string `json:"former"`
	In        string   `json:"in"`
}

func lines(t *testing.T, file string) (all []exported) {
	t.Helper()
	for line := range strings.Lines(file) {
		var e exported
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// TestAnExportIsTheSameAfterItsImport: export, import into an empty database, export is the identity, wherever each lies; every
// reference leads to the same thing, also a former one, and what is added next gets the same number.
func TestAnExportIsTheSameAfterItsImport(t *testing.T) {
	t.Parallel()
	for from, origin := range homes {
		t.Run("from "+from, func(t *testing.T) {
			t.Parallel()
			h := origin(t)
			library := h.live()
			r := h.run("export")
			if r.exit != 0 || r.err != "" {
				t.Fatalf("export: exit %d, stderr %q", r.exit, r.err)
			}
			h.refersAs(t, r.out, library)
			for to, empty := range homes {
				other := empty(t)
				other.write("f.jsonl", r.out)
				for _, outcome := range []string{"created", "present"} {
					got := object[report](other, "import", "f.jsonl", "--format", "jsonl", "--report", "r.jsonl")
					if got.Refusals() != 0 || got.Skipped != 0 || (got.Books.Created > 0) != (outcome == "created") {
						t.Errorf("into %s: %+v", to, got)
					}
					if n := strings.Count(other.read("r.jsonl"), `"outcome":"`+outcome+`"`); n != got.Rows {
						t.Errorf("into %s: %d of %d rows are reported as %s", to, n, got.Rows, outcome)
					}
					if diff := cmp.Diff(strings.Split(r.out, "\n"), strings.Split(other.do("export"), "\n")); diff != "" {
						t.Errorf("into %s the export differs (-want +got):\n%s", to, diff)
					}
				}
				if out := other.do("verify"); !strings.HasPrefix(out, "ok at ") {
					t.Errorf("into %s: verify says %q", to, out)
				}
				other.refersAs(t, r.out, library)
			}
		})
	}
}

// refersAs checks that the references of an export lead to the things they are of, former ones too, with the present ones inside.
// Those of what was withdrawn lead to something that is withdrawn.
func (h *home) refersAs(t *testing.T, file, library string) {
	t.Helper()
	end := h.end()
	s := h.serve()
	type answer struct {
		Category      made
		Book, Edition *struct {
			ID, Reference string
			Withdrawn     bool
		}
	}
	now, former := 0, 0
	for _, e := range lines(t, file) {
		if e.Reference == "" {
			continue
		}
		now++
		got := get[answer](s, "/libraries/"+e.LibraryID+"/references/"+e.Reference, end)
		id := got.Category.ID
		if got.Edition != nil {
			id = got.Edition.ID
		} else if got.Book != nil {
			id = got.Book.ID
		}
		if id != e.ID {
			t.Errorf("%s leads to %s, want %s", e.Reference, id, e.ID)
		}
		for _, was := range e.Former {
			former++
			for reference, want := range map[string]string{was: e.Reference, was + ".1": e.Reference + ".1"} {
				got := get[answer](s, "/libraries/"+e.LibraryID+"/references/"+reference, end)
				if got.Book == nil || got.Book.ID != e.ID || got.Book.Withdrawn || got.Book.Reference != e.Reference ||
					(got.Edition != nil) != (want != e.Reference) || got.Edition != nil && got.Edition.Reference != want {
					t.Errorf("the former reference %s leads to %+v, want %s of %s", reference, got, want, e.ID)
				}
			}
		}
	}
	if now != 24 || former != 5 {
		t.Errorf("%d references and %d former ones were looked up, want 24 and 5", now, former)
	}
	for _, gone := range []string{"1.3", "3.1"} { // of a book that was withdrawn, the second with its category
		if got := get[answer](s, "/libraries/"+library+"/references/"+gone, end); got.Book == nil || !got.Book.Withdrawn {
			t.Errorf("%s leads to %+v", gone, got)
		}
	}
	s.stop(syscall.SIGTERM)
}

func TestExportOfOneLibrary(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	library := h.live()
	var want strings.Builder
	ours := map[string]bool{library: true}
	all := h.do("export")
	for i, e := range lines(t, all) {
		_, in, _ := strings.Cut(e.In, ":")
		in, _, _ = strings.Cut(in, "/") // the number of a category or a book in it that was withdrawn
		if ours[e.ID] || ours[e.LibraryID] || ours[in] {
			ours[e.ID] = e.ID != ""
			want.WriteString(strings.SplitAfter(all, "\n")[i])
		}
	}
	if diff := cmp.Diff(want.String(), h.do("export", "--library", library)); diff != "" || strings.Count(want.String(), "\n") < 10 {
		t.Errorf("the export of one differs (-want +got):\n%s", diff)
	}
	if got := h.do("export", "--library", strings.ToUpper(library)); got != want.String() {
		t.Errorf("with its id in capitals:\n%s", got)
	}
	for _, test := range []struct {
		exit int
		err  string
		args []string
	}{
		{3, "There is no such library.", []string{"--library", "00000000-0000-7000-8000-000000000001"}},
		{3, "There is no such library.", []string{"--library", "00000000-0000-7000-8000-000000000001", "--format", "csv"}},
		{2, `--library is "Town": use the id of a library.`, []string{"--library", "Town"}},
		{2, `--library is "": use the id of a library.`, []string{"--library", ""}},
		{2, `--format is "xml": use jsonl or csv.`, []string{"--format", "xml"}},
		{2, "There are 3 libraries, and a csv file holds one. Name it with --library.", []string{"--format", "csv"}},
	} {
		r := h.run(append([]string{"export"}, test.args...)...)
		if r.exit != test.exit || r.out != "" || !strings.Contains(r.err, test.err) {
			t.Errorf("export %s: exit %d, stdout %q, stderr %q; want %d and %q", test.args, r.exit, r.out, r.err, test.exit, test.err)
		}
	}
}

func TestACSVExportComesBack(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	r := h.run("export", "--format", "csv", "--library", h.live())
	if r.exit != 0 || r.err != "A csv file carries no numbers: references may change when it is imported.\n" {
		t.Errorf("export: exit %d, stderr %q", r.exit, r.err)
	}
	other := newHome(t)
	other.write("Town.csv", r.out)
	before := other.files()
	dry := object[report](other, "import", "Town.csv", "--format", "csv", "--dry-run")
	other.unchanged(before)
	want := report{Rows: 8, DryRun: true, Categories: counts{Created: 3}, Books: counts{Created: 6}, Editions: counts{Created: 8}}
	reported(t, dry, want)
	want.DryRun = false
	got := other.run("import", "Town.csv", "--format", "csv", "--workers", "8", "--output", "json", "--report", "r.jsonl")
	if got.exit != 0 || got.err != "--workers has no effect on csv: one worker imports the file.\n"+
		"A csv file carries no numbers: they are assigned anew, and references may change.\n" {
		t.Errorf("import: exit %d, stderr %q", got.exit, got.err)
	}
	var did report
	if err := json.Unmarshal([]byte(got.out), &did); err != nil {
		t.Fatal(err)
	}
	reported(t, did, want)
	if n := strings.Count(other.read("r.jsonl"), `"outcome":"created"`); n != 8 {
		t.Errorf("%d rows are reported as created", n)
	}
	want.Categories, want.Books, want.Editions = counts{Present: 3}, counts{Present: 6}, counts{Present: 8}
	reported(t, object[report](other, "import", "Town.csv", "--format", "csv"), want)

	// The same rows again, under other names of things.
	if diff := cmp.Diff(unnamed(t, r.out), unnamed(t, other.do("export", "--format", "csv"))); diff != "" {
		t.Errorf("the export of the import differs (-want +got):\n%s", diff)
	}
	other.verified(other.position("accession.db"))
}

// unnamed are the rows of a csv file, sorted, without what only has a meaning in it.
func unnamed(t *testing.T, file string) []string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, row := range rows[1:] {
		row[1], row[4], row[5] = "", "", fmt.Sprint(row[5] != "")
		all = append(all, fmt.Sprintf("%q", row))
	}
	slices.Sort(all)
	return all
}

// TestImportsOfOurFilesThatAreKilled kills imports of jsonl and csv on the way, and looks at the end whether anything is there
// twice or missing.
func TestImportsOfOurFilesThatAreKilled(t *testing.T) {
	t.Parallel()
	origin := newHome(t)
	origin.partOfFeed(300)
	origin.do("import", "part.csv", "--library", "L")
	whole := origin.position("accession.db")
	for _, format := range []string{"jsonl", "csv"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			file := origin.do("export", "--format", format)
			importing := []string{"import", "L." + format, "--format", format}
			var dry report
			h := inTime(t, func(h *home) bool {
				h.write("L."+format, file)
				dry = object[report](h, append(importing, "--dry-run")...)
				for _, position := range []int{0, 1, 2, 60, 150, 300} {
					p := h.start(importing...)
					p.await(position)
					p.kill()
				}
				at := h.position("accession.db")
				if at < 100 {
					t.Errorf("at position %d of %d there is nothing to go on from", at, whole)
				}
				return at < whole
			})
			r := object[report](h, importing...)
			if r.Refusals() != 0 || r.Editions.Created+r.Editions.Present != dry.Editions.Created || r.Editions.Present == 0 {
				t.Errorf("the last import did %+v, the dry run said %+v", r, dry)
			}
			h.verified(whole) // nothing was stored twice
			if format == "jsonl" && h.do("export") != file {
				t.Error("the export differs")
			}
			if format == "csv" {
				if diff := cmp.Diff(unnamed(t, file), unnamed(t, h.do("export", "--format", "csv"))); diff != "" {
					t.Errorf("the export differs (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestARowOfACSVFileThatIsWrongIsReported: a row in whose fields something is wrong is refused alone; a file that is none of ours,
// as a whole.
func TestARowOfACSVFileThatIsWrongIsReported(t *testing.T) {
	t.Parallel()
	const header = "category,book,title,authors,edition,base,isbn,publisher,year,language,format\n"
	h := newHome(t)
	h.write("f.csv", header+
		"Novels,a,,,a1,,,,,,\n"+
		"Novels,b,Emma,,b1,,,,abc,,\n"+
		"Novels,b,Emma,,b2,b1,,,1815,,\n"+
		"Novels,c,Faust,,c1,,,,1808,,\n"+
		"Novels,c,Faust,,c2,x,,,1809,,\n"+
		"Novels,d,Odes,,d1,,,,3000,,\n")
	for _, outcome := range []string{"created", "present"} {
		r := h.run("import", "f.csv", "--format", "csv", "--report", "r.jsonl")
		if r.exit != 4 || !strings.Contains(r.err, "Refused: 8. With --report FILE every row is listed with the reason.") { // 5 rows, 3 of them books
			t.Errorf("exit %d, stderr:\n%s", r.exit, r.err)
		}
		got := regexp.MustCompile(`1000 to [0-9]+`).ReplaceAllString(h.read("r.jsonl"), "1000 to YEAR")
		want := `{"line":2,"key":"a1","outcome":"refused","code":"invalid","detail":"title: must not be empty"}
{"line":3,"key":"b1","outcome":"refused","code":"invalid","detail":"year: \"abc\" is not a year"}
{"line":4,"key":"b2","outcome":"refused","code":"book-not-found","detail":"its book was refused"}
{"line":5,"key":"c1","outcome":"` + outcome + `"}
{"line":6,"key":"c2","outcome":"refused","code":"base-edition-not-found","detail":"the base \"x\" is not an edition of the book above it in the file"}
{"line":7,"key":"d1","outcome":"refused","code":"invalid","detail":"year: 3000 is not a year from 1000 to YEAR"}
`
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("report differs (-want +got):\n%s", diff)
		}
	}
	for _, broken := range []string{"", "category,book\n", header + "Novels,a,Emma\n", header + "\"Novels,a\n"} {
		h.write("broken.csv", broken)
		before := h.files()
		if r := h.run("import", "broken.csv", "--format", "csv", "--report", "none.jsonl"); r.exit != 1 || !strings.Contains(r.err, "Line ") {
			t.Errorf("%q: exit %d, stderr:\n%s", broken, r.exit, r.err)
		}
		h.unchanged(before)
	}
}

// TestAFileWithNumbersIsTakenWholeOrNotAtAll: a row that is refused would shift those behind it.
func TestAFileWithNumbersIsTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(20)
	h.do("import", "part.csv", "--library", "L")
	file := h.do("export")
	other := newHome(t)
	other.write("f.jsonl", strings.Replace(file, `"title":"`, `"title":"`+strings.Repeat("x", 1001), 1))
	r := other.run("import", "f.jsonl", "--format", "jsonl")
	if r.exit != 1 || !strings.Contains(r.err, "Line 3: title: is 1,0") || !strings.Contains(r.err, "Nothing of the file is taken") {
		t.Errorf("exit %d, stderr:\n%s", r.exit, r.err)
	}
	if out := other.do("export"); out != "" {
		t.Errorf("imported:\n%s", out)
	}
	other.write("f.jsonl", file)
	other.do("import", "f.jsonl", "--format", "jsonl")
	if other.do("export") != file {
		t.Error("mended, the file does not come in as it is")
	}
}

func TestExportInPipes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(300)
	h.do("import", "part.csv", "--library", "L")

	// Straight into an import.
	shell := func(script string) (string, error) {
		c := exec.Command("sh", "-c", script)
		c.Dir, c.Env = h.dir, slices.Concat(h.env, []string{"ACCESSION=" + binary})
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := shell(`"$ACCESSION" export | "$ACCESSION" import /dev/stdin --format jsonl --database sqlite:other.db`); err != nil {
		t.Errorf("export | import: %v\n%s", err, out)
	}
	if want := h.do("export"); want != h.do("export", "--database", "sqlite:other.db") {
		t.Error("after export | import the exports differ")
	}

	// Into something that does not want all of it, or takes nothing.
	if out, err := shell(`"$ACCESSION" export | head -n 1`); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("export | head: %v\n%s", err, out)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	c := exec.Command(binary, "export")
	var stderr bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr = h.dir, h.env, write, &stderr
	err = c.Run()
	write.Close()
	if state, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || state.Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
		t.Errorf("with stdout closed: %v, stderr %q", err, stderr.String())
	}
	if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		defer full.Close()
		c := exec.Command(binary, "export")
		stderr.Reset()
		c.Dir, c.Env, c.Stdout, c.Stderr = h.dir, h.env, full, &stderr
		if err := c.Run(); c.ProcessState.ExitCode() != 1 || !strings.HasPrefix(stderr.String(), "accession: The output could not be written.\n") ||
			strings.Count(stderr.String(), "no space left") != 1 {
			t.Errorf("with a full disk: %v, stderr %q", err, stderr.String())
		}
	}
}
