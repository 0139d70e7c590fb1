package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"accession/modules/editions"
	"accession/modules/exchange"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/usecase"
)

// id is one that can be read.
func id(n int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", n) }

// small is a file such as people write: without references, with a used-up number, and ids in capitals.
func small() string {
	return strings.NewReplacer("L1", id(1), "C1", id(11), "B1", id(21), "E1", id(31), "E2", id(32)).Replace(`{"kind":"library","id":"L1","name":"City"}
{"kind":"number","in":"library:L1","last":3}
{"kind":"category","id":"C1","library_id":"L1","number":2,"name":"Novels"}
{"kind":"number","in":"category:C1","last":5}
{"kind":"book","id":"B1","category_id":"C1","number":4,"title":"Emma","authors":["Austen, Jane"]}
{"kind":"edition","id":"E1","book_id":"B1","number":2,"isbn":"9780141439587"}
{"kind":"edition","id":"E2","book_id":"B1","number":4,"base_edition_id":"E1","year":1815}
`)
}

func TestAFileWithUsedUpNumbersGivesThemBack(t *testing.T) {
	t.Parallel()
	s := newStore()
	if r := s.jsonl(t, "", small()); r.Refusals() > 0 || r.Anew || r.Rows != 5 || r.Editions.Created != 2 {
		t.Errorf("report %+v, %v", r, r.Lines())
	}
	s.audited(t)
	got := s.export(t)
	for _, want := range []string{
		`"in":"library:` + id(1) + `","last":3`, `"in":"category:` + id(11) + `","last":5`, `"reference":"2.4.4"`, `"reference":"2.4.2"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestIntoALibraryThatIsNotEmptyNumbersAreAssignedAnew(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.jsonl(t, "", small())
	other := strings.ReplaceAll(strings.ReplaceAll(small(), "00000000-", "11111111-"), "Novels", "Plays")
	other = strings.ReplaceAll(other, "9780141439587", "9783161484100")
	if r := s.jsonl(t, "City", other); r.Refusals() > 0 || !r.Anew || r.Books.Created != 1 || r.Library != id(1) {
		t.Errorf("report %+v, %v", r, r.Lines())
	}
	before := s.export(t)
	if r := s.jsonl(t, "City", other); r.Books.Present != 1 || r.Books.Created != 0 {
		t.Errorf("again: %+v", r)
	}
	same(t, "importing again", before, s.export(t))
	if !strings.Contains(before, `"reference":"4.1.2"`) || strings.Contains(before, id(11)[:0]+"11111111-") {
		t.Errorf("not numbered anew, or not under ids of the library's:\n%s", before)
	}
	s.audited(t)
}

// TestAnImportThatWasCutOffGoesOn stops an import after each of its commands.
func TestAnImportThatWasCutOffGoesOn(t *testing.T) {
	t.Parallel()
	whole := newStore()
	whole.jsonl(t, "", small())
	want := whole.export(t)
	for n := 1; ; n++ {
		s := newStore()
		c, err := exchange.ParseJSONL(strings.NewReader(small()))
		if err != nil {
			t.Fatal(err)
		}
		left := n
		limited := runner(func(r usecase.Request) (usecase.Receipt, error) {
			if left--; left < 0 {
				return usecase.Receipt{}, errors.New("cut off")
			}
			return s.Run(t.Context(), r)
		})
		_, err = exchange.Importer{Runner: limited, Log: s.log, Actor: "t"}.Catalogue(t.Context(), "", c)
		s.jsonl(t, "", small())
		same(t, fmt.Sprint("cut off after ", n), want, s.export(t))
		s.audited(t)
		if err == nil {
			return
		}
	}
}

func TestACSVFileComesBack(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.jsonl(t, "", small())
	var first bytes.Buffer
	if err := s.read(t).WriteCSV(&first); err != nil {
		t.Fatal(err)
	}
	other := newStore()
	for range 2 {
		c, err := exchange.ParseCSV(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if r := other.importing(t, "City", c); r.Refusals() > 0 || r.Rows != 2 || r.Editions.Created+r.Editions.Present != 2 {
			t.Errorf("report %+v, %v", r, r.Lines())
		}
	}
	if got := other.export(t); strings.Count(got, "\n") != 5 || !strings.Contains(got, `"reference":"1.1.2"`) {
		t.Errorf("imported:\n%s", got)
	}
}

const header = "category,book,title,authors,edition,base,isbn,publisher,year,language,format\n"

func TestACSVFileThatPeopleWrite(t *testing.T) {
	t.Parallel()
	s := newStore()
	c, err := exchange.ParseCSV(strings.NewReader("\ufeff" + header +
		"Novels,,Emma,\"Austen, Jane; A\\;B\",,,,,1815,en,\r\nnovels,,EMMA,\"Austen, Jane;A\\;B\",,,,Penguin,1815,en,\n" +
		"Novels,,Emma,\"Austen, Jane; A\\;B\",,,,,1815,en,\nPlays,,Faust,,,,,,,de,print\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r := s.importing(t, "City", c); r.Refusals() > 0 || r.Skipped != 1 || r.Books.Created != 2 || r.Editions.Created != 3 || r.Categories.Created != 2 {
		t.Errorf("report %+v, %v", r, r.Lines())
	}
	if got := s.export(t); !strings.Contains(got, `"authors":["Austen, Jane","A;B"]`) {
		t.Errorf("imported:\n%s", got)
	}
}

// TestARowInWhichSomethingIsWrongIsRefusedAlone, with what depends on it. Importing again does nothing to the others.
func TestARowInWhichSomethingIsWrongIsRefusedAlone(t *testing.T) {
	t.Parallel()
	rows := []struct{ row, want string }{
		{"Novels,b1,Emma,,e1,,,,abc,en,", `year: "abc" is not a year`},                            // would have made the category
		{"Novels,b1,Emma,,e2,e1,,,1815,en,", "its book was refused"},                              // depends on it
		{"Novels,b2,Persuasion,,e3,,,,1817,en,", ""},                                              // makes it
		{"Novels,b2,Persuasion,,e4,e3,,,-1,en,", `year: "-1" is not a year`},                      // another edition
		{"Novels,b2,Persuasion,,e5,e4,,,1900,en,", "the edition that it is based on was refused"}, // based on that
		{"Novels,b2,Persuasion,,e6,e5,,,1901,en,", "the edition that it is based on was refused"}, // and so on
		{"Novels,b2,Persuasion,,e7,,,,1902,en,", ""},                                              // not based on it
		{"Novels,b2,Persuasion,,e8,e1,,,1903,en,", `the base "e1" is not an edition of the book above it in the file`},
		{"Novels,b2,Persuasion,,e9,e99,,,1903,en,", `the base "e99" is not an edition of the book above it in the file`},
		{"Novels,b2,Persuasion,,e3,,,,1904,en,", `edition: "e3" is that of another row, in line 4`},
		{"Novels,b2,Another,,e10,,,,1904,en,", `book: "b2" has another category, title or authors in line 4`},
		{"Plays,b2,Persuasion,,e11,,,,1904,en,", `book: "b2" has another category, title or authors in line 4`},
		{"Plays,,,,,,123,,abc,en,", `year: "abc" is not a year; title: must not be empty; isbn: `},
		{",,No category,,,,,,1999,en,", "category: must not be empty"},
		{"Plays,,Faust,,,,,,2999,de,", "year: 2999 is not a year from "},
		{"Plays,,Götz,,,,9783161484101,,,de,", "isbn: "},
		{"Plays,,Nathan,,,,9783161484100,,,de,", ""},
		{"Plays,,Emilia,,,,978-3-16-148410-0,,,de,", editions.ErrISBNTaken.Message},
	}
	var file strings.Builder
	file.WriteString(header)
	for _, r := range rows {
		file.WriteString(r.row + "\n")
	}
	s := newStore()
	for _, dry := range []bool{true, false, true, false} { // a dry run says the same
		c, err := exchange.ParseCSV(strings.NewReader(file.String()))
		if err != nil {
			t.Fatal(err)
		}
		r, err := exchange.Importer{Runner: s, Log: s.log, Actor: "t", DryRun: dry}.Catalogue(t.Context(), "City", c)
		if err != nil {
			t.Fatal(err)
		}
		lines := r.Lines()
		if r.Rows != len(rows) || len(lines) != len(rows) || r.Editions.Refused != 15 {
			t.Fatalf("report %+v of %d lines for %d rows", r, len(lines), len(rows))
		}
		for i, l := range lines {
			refused := l.Outcome == exchange.Refused
			if want := rows[i].want; l.Line != i+2 || refused != (want != "") || !strings.HasPrefix(l.Detail, want) || refused != (l.Code != "") || l.Key == "" {
				t.Errorf("dry run %v: %s is reported as %+v, want %q", dry, rows[i].row, l, want)
			}
		}
	}
	if got := s.export(t); strings.Count(got, `"kind":"book"`) != 2 || strings.Count(got, `"kind":"edition"`) != 3 || strings.Count(got, `"kind":"category"`) != 2 {
		t.Errorf("imported:\n%s", got)
	}
	s.audited(t)
}

// TestTextsOfMoreThanOneLineAreFolded, and others are left as they are.
func TestTextsOfMoreThanOneLineAreFolded(t *testing.T) {
	t.Parallel()
	s := newStore()
	file := strings.NewReplacer(`"Novels"`, `"No\u2028vels"`, `"Emma"`, `" Em\r\n\t ma  and  more"`, `"Austen, Jane"`, `"Austen,  Jane"`).Replace(small())
	if r := s.jsonl(t, "", file); r.Refusals() > 0 || r.Anew {
		t.Errorf("refused %v", r.Lines())
	}
	got := s.export(t)
	for _, want := range []string{`"name":"No vels"`, `"title":"Em ma and more"`, `"authors":["Austen,  Jane"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
}

// TestABookThatIsThereFoundsNoCategory: it stays where it is, and its row says so.
func TestABookThatIsThereFoundsNoCategory(t *testing.T) {
	t.Parallel()
	s := newStore()
	for _, rows := range []string{"Novels,b,Emma,,e,,,,,,\n", "Plays,b,Emma,,e,,,,,,\n"} {
		r := s.importing(t, "City", must(exchange.ParseCSV(strings.NewReader(header+rows))))
		if refused := strings.HasPrefix(rows, "Plays"); refused != (r.Refusals() > 0) || refused != (r.Lines()[0].Code == "id-taken") {
			t.Errorf("%s: %+v, %v", rows, r, r.Lines())
		}
	}
	if got := s.export(t); strings.Contains(got, "Plays") {
		t.Errorf("imported:\n%s", got)
	}
}

// TestAFileThatGivesNumbersBackIsTakenWholeOrNotAtAll: a row that is refused would shift the numbers behind it.
func TestAFileThatGivesNumbersBackIsTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(small(), "\n")
	ids := strings.NewReplacer(id(11), id(12), id(21), id(22), id(31), id(33), `"number":2,"name"`, `"number":3,"name"`)
	for name, test := range map[string]struct{ file, want string }{
		"a title that is missing":     {strings.ReplaceAll(small(), "Emma", ""), "Line 5: title: must not be empty. Nothing of the file is taken, because the numbers behind it would shift."},
		"a name that is missing":      {strings.ReplaceAll(small(), "Novels", " "), "Line 3: name: must not be empty."},
		"a year that is none":         {strings.ReplaceAll(small(), "1815", "999"), "Line 7: year: 999 is not a year from 1000 to "},
		"an ISBN that is none":        {strings.ReplaceAll(small(), "9780141439587", "9780141439588"), "Line 6: isbn: "},
		"an ISBN of a first edition":  {strings.NewReplacer("9780141439587", "9780141439588", `"number":2,"isbn"`, `"number":1,"isbn"`).Replace(small()), "Line 6: isbn: "},
		"an ISBN twice":               {strings.ReplaceAll(small(), `"year":1815`, `"isbn":"0-14-143958-0"`), "Line 7: the ISBN 9780141439587 is that of another edition in line 6."},
		"a name twice":                {small() + ids.Replace(strings.ReplaceAll(lines[2]+lines[4]+lines[5], "Novels", "NOVELS ")), `Line 8: the name "NOVELS " is that of another category in line 3.`},
		"the second of two libraries": {small() + strings.NewReplacer("00000000-", "11111111-", "Emma", "").Replace(small()), "Line 12: title: must not be empty."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := exchange.ParseJSONL(strings.NewReader(test.file))
			if err != nil {
				t.Fatal(err)
			}
			s := newStore()
			for _, dry := range []bool{true, false} {
				r, err := exchange.Importer{Runner: s, Log: s.log, Actor: "t", DryRun: dry}.Catalogue(t.Context(), "", c)
				if !errors.Is(err, exchange.ErrFile) || !strings.HasPrefix(err.Error(), test.want) || r.Library != "" {
					t.Errorf("dry run %v: %v, want %s", dry, err, test.want)
				}
			}
			if p := must(s.log.Head(t.Context())).Position; p != 0 {
				t.Errorf("%d events were stored", p)
			}
		})
	}

	// Where numbers are assigned anew, there is nothing to shift: the row alone is refused.
	s := newStore()
	s.jsonl(t, "", small())
	other := strings.NewReplacer("00000000-", "11111111-", "Novels", "Plays", "9780141439587", "", "1815", "999").Replace(small())
	if r := s.jsonl(t, "City", other); r.Editions.Refused != 1 || r.Editions.Created != 1 || r.Books.Created != 1 {
		t.Errorf("report %+v, %v", r, r.Lines())
	}
}

func TestSeveralLibrariesHaveNoOneName(t *testing.T) {
	t.Parallel()
	s := newStore()
	file := `{"kind":"library","id":"` + id(1) + `","name":"A"}` + "\n" + `{"kind":"library","id":"` + id(2) + `","name":"A"}` + "\n"
	c, err := exchange.ParseJSONL(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	im := exchange.Importer{Runner: s, Log: s.log, Actor: "t"}
	if _, err := im.Catalogue(t.Context(), "B", c); !errors.Is(err, exchange.ErrSeveralLibraries) {
		t.Errorf("two under one name: %v", err)
	}
	s.importing(t, "", c)
	same(t, "two of one name", file, s.export(t))
	if _, err := im.Catalogue(t.Context(), "A", must(exchange.ParseJSONL(strings.NewReader(small())))); !errors.Is(err, exchange.ErrLibraryAmbiguous) {
		t.Errorf("into one of two: %v", err)
	}
	s.do(t, library.RenameLibrary{ID: must(parseLibrary(id(1))), Name: "B"}.Request("t"))
	if r := s.jsonl(t, "B", small()); r.Library != id(1) {
		t.Errorf("the renamed one was not found: %+v", r)
	}
}

func parseLibrary(s string) (l libraryevents.LibraryID, err error) {
	return l, l.UnmarshalText([]byte(s))
}

func TestWhatIsWrongWithAFileIsSaidWithItsLine(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(small(), "\n")
	without := func(n int) string { return strings.Join(append(append([]string{}, lines[:n-1]...), lines[n:]...), "") }
	replaced := func(old, by string) string { return strings.Replace(small(), old, by, 1) }
	for name, test := range map[string]struct{ file, want string }{
		"empty":                    {"", "Line 1: the file holds no library"},
		"broken":                   {small() + "{", "Line 8: the object ends too early: a quotation mark or a bracket is missing, or the file was cut off."},
		"a comma too many":         {`{"kind":"library",}`, "Line 1: it stops being JSON at character 19: check the quotation marks, commas and brackets around it."},
		"a comma too few":          {replaced(`"Emma",`, `"Émmä"`), "Line 5: it stops being JSON at character 138: check"},
		"not JSON":                 {"ö", "Line 1: it stops being JSON at character 1: check"},
		"not an object":            {"[]", "Line 1: it is a list; it must be an object, between { and }."},
		"a text":                   {`"x"`, "Line 1: it is text; it must be an object, between { and }."},
		"deeper than anybody goes": {strings.Repeat("[", 10_001), "Line 1: it stops being JSON at character 10001: check"},
		"nothing":                  {"null", `Line 1: kind is "": there are library, category, book, edition and number.`},
		"two objects on a line":    {"{} {}", "Line 1: there is more behind the object"},
		"a withdrawn book":         {replaced(`"title":"Emma"`, `"withdrawn":true,"title":"Emma"`), "Line 5: a book that was withdrawn cannot be in a file: leave it out, and say"},
		"another field":            {replaced(`"name":"City"`, `"nom":"City"`), `Line 1: there is no field "nom": check how it is written.`},
		"text for a number":        {replaced(`"number":2`, `"number":"2"`), "Line 3: number is text; it must be a whole number of at most 2147483647."},
		"half a number":            {replaced(`"number":2`, `"number":2.5`), "Line 3: number is the number 2.5; it must be a whole number of at most 2147483647."},
		"a number that is too big": {replaced(`"number":2`, `"number":3000000000`), "Line 3: number is 3000000000: it counts from 1 to 2147483647."},
		"a huge number":            {replaced(`"last":5`, `"last":1e99`), "Line 4: last is the number 1e99; it must be a whole number of at most 2147483647."},
		"a number for a text":      {replaced(`"title":"Emma"`, `"title":1`), "Line 5: title is a number; it must be text, in quotation marks."},
		"a text for a list":        {replaced(`["Austen, Jane"]`, `"Austen, Jane"`), "Line 5: authors is text; it must be a list of texts."},
		"a list with a number":     {replaced(`["Austen, Jane"]`, `[1]`), "Line 5: authors is a number; it must be text, in quotation marks."},
		"a text for yes or no":     {replaced(`"year":1815`, `"withdrawn":"yes"`), "Line 7: withdrawn is text; it must be true or false."},
		"another kind":             {replaced(`"kind":"book"`, `"kind":"film"`), `Line 5: kind is "film"`},
		"no library":               {without(1), "Line 1: in is "},
		"no category":              {strings.Join(lines[:2], "") + lines[4], "Line 3: its category "},
		"no book":                  {without(5), "Line 5: its book "},
		"no base":                  {without(6), "Line 6: its base "},
		"wrong order":              {lines[2] + lines[0], "Line 1: its library "},
		"an id twice":              {small() + lines[6], "Line 8: the id " + id(32) + " is in the file already."},
		"no id":                    {replaced(id(1), "1"), `Line 1: id is "1"`},
		"a number twice":           {replaced(`"number":4,"base`, `"number":2,"base`), "Line 7: the number 2 is taken"},
		"base below":               {replaced(`"number":4,"base`, `"number":1,"base`), "Line 7: its base has no lower number than its own."},
		"number 0":                 {replaced(`"number":2`, `"number":0`), "Line 3: number is 0"},
		"too many numbers used up": {replaced(`"last":5`, `"last":2000000000`), "Line 3: more than 100000 numbers"},
		"a book without editions":  {strings.Join(lines[:5], ""), "Line 5: the book has no edition"},
		"another encoding":         {replaced("Emma", "Emm\xe4"), "Line 5: the file is not in UTF-8"},
		"UTF-16":                   {"\x00{", "Line 1: the file holds a NUL byte"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := exchange.ParseJSONL(strings.NewReader(test.file))
			if !errors.Is(err, exchange.ErrFile) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	for name, test := range map[string]struct{ file, want string }{
		"empty":           {"", "Line 1: the file is empty."},
		"wrong header":    {"a,b\n", "Line 1: the header is not category,book,"},
		"too few columns": {header + "a,b\n", "Line 2: it has 2 columns, and the header 11."},
		"broken quoting":  {header + "\"a\n,,,\n", "Line 2: a quotation mark is missing"},
	} {
		t.Run("csv: "+name, func(t *testing.T) {
			t.Parallel()
			_, err := exchange.ParseCSV(strings.NewReader(test.file))
			if !errors.Is(err, exchange.ErrFile) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// TestAShortFileCannotAskForAllMemory: each of its lines may say that numbers were used up, but not all of them that many.
func TestAShortFileCannotAskForAllMemory(t *testing.T) {
	t.Parallel()
	file := func(categories int) string {
		var b strings.Builder
		fmt.Fprintf(&b, `{"kind":"library","id":"%s","name":"L"}`+"\n", id(1))
		for c := 1; c <= categories; c++ {
			fmt.Fprintf(&b, `{"kind":"category","id":"%s","library_id":"%s","number":%d,"name":"C%d"}`+"\n", id(10+c), id(1), c, c)
			fmt.Fprintf(&b, `{"kind":"number","in":"category:%s","last":100000}`+"\n", id(10+c))
		}
		return b.String()
	}
	if _, err := exchange.ParseJSONL(strings.NewReader(file(5))); err != nil {
		t.Error(err)
	}
	want := "Line 12: with it, more than 500000 numbers are used up in all."
	if _, err := exchange.ParseJSONL(strings.NewReader(file(6))); !errors.Is(err, exchange.ErrFile) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// FuzzParseJSONL: a file is refused, or it is one that comes back when it is written.
func FuzzParseJSONL(f *testing.F) {
	f.Add([]byte(small()))
	f.Add([]byte("\ufeff{}\n"))
	f.Add([]byte(strings.Replace(small(), `"title"`, `"former":["1.3","2.1","3.2"],"title"`, 1)))
	f.Add([]byte(strings.Replace(small(), `"title"`, `"former":["2.4","x"],"title"`, 1)))
	for _, line := range []string{
		"null", "{", "[1]", "\"", "1e999", `{"kind":"library"}x`, `{"kind":{}}`, `{"authors":[1]}`, `{"number":1.5}`, `{"number":9e99}`, `{"x":1}`,
		`{"kind":"number","in":"library:` + id(1) + `","last":1}`,
		`{"kind":"number","in":"library:` + id(1) + `","last":3}` + "\n" + `{"kind":"number","in":"library:` + id(1) + `/3.2","last":2}`,
	} {
		f.Add([]byte(small() + line + "\n"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		again(t, data, exchange.ParseJSONL, (*exchange.Catalogue).WriteJSONL)
	})
}

// FuzzParseCSV: a file is refused, or it is one that comes back when it is written.
func FuzzParseCSV(f *testing.F) {
	f.Add([]byte(header + "Novels,,Emma,\"A; B\",,,,,1815,en,\nNovels,,Emma,A;B,e,,,,,,\n"))
	f.Add([]byte(header + "Novels,b,Emma,,e,,,,x,,\nNovels,b,,,f,e,,,,,\n,b,Emma,,e,,,,,,\nNovels,b,Emma,,g,h,,,,,\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		again(t, data, exchange.ParseCSV, (*exchange.Catalogue).WriteCSV)
	})
}

// What every error begins with, and what none has in it: the words of Go's packages.
var (
	namesALine = regexp.MustCompile(`^Line [1-9][0-9]*: `)
	quoted     = regexp.MustCompile(`"(\\.|[^"\\])*"`) // what the file has
	gos        = regexp.MustCompile(`json:|invalid character|unmarshal|looking for|Go (struct|value)|parse error`)
)

func again(t *testing.T, data []byte, parse func(io.Reader) (*exchange.Catalogue, error), write func(*exchange.Catalogue, io.Writer) error) {
	c, err := parse(bytes.NewReader(data))
	if err != nil {
		if !errors.Is(err, exchange.ErrFile) || !namesALine.MatchString(err.Error()) || gos.MatchString(quoted.ReplaceAllString(err.Error(), "")) {
			t.Fatalf("%v", err)
		}
		return
	}
	var first, second bytes.Buffer
	if err := write(c, &first); err != nil {
		t.Fatal(err)
	}
	if c, err = parse(bytes.NewReader(first.Bytes())); err != nil {
		t.Fatalf("%v\n%s", err, first.String())
	}
	if err := write(c, &second); err != nil {
		t.Fatal(err)
	}
	same(t, "written again", first.String(), second.String())
}

type runner func(usecase.Request) (usecase.Receipt, error)

func (r runner) Run(_ context.Context, req usecase.Request) (usecase.Receipt, error) { return r(req) }
