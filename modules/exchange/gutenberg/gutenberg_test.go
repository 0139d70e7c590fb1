package gutenberg_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"accession/modules/exchange/gutenberg"
	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const header = "Text#,Type,Issued,Title,Language,Authors,Subjects,LoCC,Bookshelves\n"

// feed is the whole fixture; see testdata/ORIGIN.md.
var feed = sync.OnceValues(func() ([]byte, error) {
	f, err := os.Open("testdata/pg_catalog.csv.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
})

func parseFeed(t testing.TB) (*gutenberg.Catalogue, []byte) {
	t.Helper()
	data, err := feed()
	if err != nil {
		t.Fatal(err)
	}
	c, err := gutenberg.Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return c, data
}

// books are all books of c, in its order.
func books(c *gutenberg.Catalogue) iter.Seq[gutenberg.Book] {
	return func(yield func(gutenberg.Book) bool) {
		for _, category := range c.Categories {
			for _, b := range category.Books {
				if !yield(b) {
					return
				}
			}
		}
	}
}

func TestTheFeedIsReadAsCounted(t *testing.T) {
	t.Parallel()
	c, data := parseFeed(t)

	count := map[string]int{"rows": c.Rows, "categories": len(c.Categories)}
	for _, category := range c.Categories {
		switch category.Name {
		case "PR", gutenberg.Unclassified:
			count[category.Name] = len(category.Books)
		}
		count["books"] += len(category.Books)
	}
	for b := range books(c) {
		count["editions"] += len(b.Editions)
		if len(b.Editions) > 1 {
			count["books with several editions"]++
		}
		if len(b.Authors) == 0 {
			count["editions without author"] += len(b.Editions)
		}
		if strings.EqualFold(b.Title, "Much Ado About Nothing") {
			count["Much Ado About Nothing"] += len(b.Editions)
		}
		count["longest title"] = max(count["longest title"], utf8.RuneCountInString(b.Title))
		if strings.ContainsAny(b.Title, "\r\n") {
			t.Errorf("the title %q has a line break", b.Title)
		}
	}
	for _, n := range c.Notes {
		count[string(n.Kind)]++
	}

	// What the feed itself says, without Parse.
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		if row[5] == "" {
			count["rows without author"]++
		}
		if strings.Contains(row[3], "\n") {
			count["titles with line breaks"]++
		}
		if strings.ContainsFunc(row[3], func(r rune) bool { return r >= utf8.RuneSelf }) {
			count["titles beyond ASCII"]++
		}
	}

	want := map[string]int{
		"rows": 7660, "categories": 147, "books": 7413, "editions": 7536, "skipped": 124, "warned": 1,
		"PR": 1848, gutenberg.Unclassified: 2,
		"books with several editions": 84, "Much Ado About Nothing": 6, "longest title": 381,
		"editions without author": 16, "rows without author": 21, "titles with line breaks": 344, "titles beyond ASCII": 1554,
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestTheFeedComesInTheOrderOfItsRows(t *testing.T) {
	t.Parallel()
	c, _ := parseFeed(t)
	lastCategory := 0
	for _, category := range c.Categories {
		first := category.Books[0].Editions[0].Line
		if first <= lastCategory {
			t.Errorf("category %s begins on line %d, after one that begins on line %d", category.Name, first, lastCategory)
		}
		lastCategory = first
		lastBook := 0
		for _, b := range category.Books {
			if b.Editions[0].Line <= lastBook {
				t.Errorf("book %s in %s begins on line %d, after one that begins on line %d", b.Key, category.Name, b.Editions[0].Line, lastBook)
			}
			lastBook = b.Editions[0].Line
			if b.Key != b.Editions[0].Key {
				t.Errorf("book %s has the first edition %s", b.Key, b.Editions[0].Key)
			}
		}
	}
}

func TestTheFirstAndTheLastBookOfTheFeed(t *testing.T) {
	t.Parallel()
	c, _ := parseFeed(t)
	first := c.Categories[0]
	if first.Name != "E" {
		t.Errorf("the first category is %q, want E", first.Name)
	}
	want := gutenberg.Book{
		Key: "1", Title: "The Declaration of Independence of the United States of America", Authors: []string{"Jefferson, Thomas, 1743-1826"},
		Editions: []gutenberg.Edition{{Key: "1", Line: 2, Year: 1971, Language: "en"}},
	}
	if diff := cmp.Diff(want, first.Books[0], unexported); diff != "" {
		t.Errorf("the first book (-want +got):\n%s", diff)
	}
	for b := range books(c) {
		if b.Key == "7702" {
			want := []gutenberg.Note{{Line: b.Editions[0].Line, Key: "7702", Kind: gutenberg.Warned,
				Reason: "may be cut off by the end of the file in its last column, Bookshelves, from which nothing is taken"}}
			if diff := cmp.Diff(want, c.Notes[len(c.Notes)-1:]); diff != "" || b.Title != `"My Novel" — Volume 01` {
				t.Errorf("the last book is %+v, with the note (-want +got):\n%s", b, diff)
			}
			return
		}
	}
	t.Error("the last row, 7702, was not taken")
}

var unexported = cmpopts.IgnoreUnexported(gutenberg.Edition{})

func TestRowsBecomeBooks(t *testing.T) {
	t.Parallel()
	got, err := gutenberg.Parse(strings.NewReader(header +
		"30,Text,2001-01-31,\"The  Ring\nand the Book\",en,\"Browning, Robert; Doe,  Jane [Editor]\",,PR; PS,\n" +
		"4,Text,1999-02-28,CAFE\u0301,fr; en,,,,x\n" +
		"7,Text,2002-03-31,the ring AND the book,en,\"BROWNING, Robert;Doe, Jane [editor]\",,E201; JK,\n" +
		"8,Text,2003-01-01,Café,,,,KDZ12,\n" +
		"9,Text,2003-01-01,Cafe,, ; ,,pr,\n" +
		"10,Text,2003-01-01,By another,en,\"Roe, R.\",,; F001; E,\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &gutenberg.Catalogue{
		Rows: 6,
		Categories: []gutenberg.Category{
			{Name: "PR", Books: []gutenberg.Book{
				{Key: "7", Title: "The Ring and the Book", Authors: []string{"Browning, Robert", "Doe, Jane [Editor]"}, Editions: []gutenberg.Edition{
					{Key: "7", Line: 5, Year: 2002, Language: "en"},
					{Key: "30", Line: 2, Year: 2001, Language: "en"},
				}},
				{Key: "9", Title: "Cafe", Editions: []gutenberg.Edition{{Key: "9", Line: 7, Year: 2003}}},
			}},
			{Name: gutenberg.Unclassified, Books: []gutenberg.Book{
				{Key: "4", Title: "CAFE\u0301", Editions: []gutenberg.Edition{
					{Key: "4", Line: 4, Year: 1999, Language: "fr; en"},
					{Key: "8", Line: 6, Year: 2003},
				}},
			}},
			{Name: "F", Books: []gutenberg.Book{
				{Key: "10", Title: "By another", Authors: []string{"Roe, R."}, Editions: []gutenberg.Edition{{Key: "10", Line: 8, Year: 2003, Language: "en"}}},
			}},
		},
	}
	if diff := cmp.Diff(want, got, unexported); diff != "" {
		t.Errorf("catalogue (-want +got):\n%s", diff)
	}
}

func TestRowsThatAreReported(t *testing.T) {
	t.Parallel()
	const good = "1,Text,2001-01-31,A,en,B,,PR,\n"
	note := func(line int, key string, kind gutenberg.Kind, reason string) []gutenberg.Note {
		return []gutenberg.Note{{Line: line, Key: key, Kind: kind, Reason: reason}}
	}
	for _, c := range []struct {
		name, rows string
		taken      int
		want       []gutenberg.Note
	}{
		{"another type", good + "2,Sound,2001-01-31,A,en,B,,PR,\n", 1,
			note(3, "2", gutenberg.Skipped, `is of type "Sound"; only rows of type Text are taken`)},
		{"no title", good + "2,Text,2001-01-31,\" \n \",en,B,,PR,\n", 1,
			note(3, "2", gutenberg.Skipped, "has no title")},
		{"no date", good + "2,Text,,C,en,B,,PR,\n", 1,
			note(3, "2", gutenberg.Skipped, `has the Issued date ""; it should be one such as 1998-06-01`)},
		{"a date that does not exist", good + "2,Text,2001-02-30,C,en,B,,PR,\n", 1,
			note(3, "2", gutenberg.Skipped, `has the Issued date "2001-02-30"; it should be one such as 1998-06-01`)},
		{"a year only", good + "2,Text,2001,C,en,B,,PR,\n", 1,
			note(3, "2", gutenberg.Skipped, `has the Issued date "2001"; it should be one such as 1998-06-01`)},
		{"a Text# that is no number", good + "x2,Text,2001-01-31,C,en,B,,PR,\n", 1,
			note(3, "x2", gutenberg.Skipped, `has the Text# "x2"; it should be a number such as 1342`)},
		{"a Text# with a leading zero", good + "01,Text,2001-01-31,C,en,B,,PR,\n", 1,
			note(3, "01", gutenberg.Skipped, `has the Text# "01"; it should be a number such as 1342`)},
		{"no Text#", good + ",Text,2001-01-31,C,en,B,,PR,\n", 1,
			note(3, "", gutenberg.Skipped, `has the Text# ""; it should be a number such as 1342`)},
		{"a Text# that was there before", good + "1,Text,2001-01-31,C,en,B,,PR,\n", 1,
			note(3, "1", gutenberg.Skipped, "has the Text# of the row on line 2")},
		{"a Text# whose first row was skipped", "1,Text,2001-01-31,,en,B,,PR,\n" + good, 1,
			note(2, "1", gutenberg.Skipped, "has no title")},
		{"too few columns", "2,Text,2001-01-31,C,en,B,,PR\n" + good, 1,
			note(2, "2", gutenberg.Skipped, "has 8 columns instead of 9")},
		{"too many columns", "2,Text,2001-01-31,C,en,B,,PR,,\n" + good, 1,
			note(2, "2", gutenberg.Skipped, "has 10 columns instead of 9")},
		{"a line that is no row", "hello\n\n" + good, 1,
			note(2, "hello", gutenberg.Skipped, "has 1 columns instead of 9")},
		{"a class that is none", "2,Text,2001-01-31,C,en,B,,813.54,\n", 1,
			note(2, "2", gutenberg.Warned, `has the LoCC "813.54", which does not begin with the letters of a class; it counts as Unclassified`)},
		{"a class of too many letters", "2,Text,2001-01-31,C,en,B,,FICTION,\n", 1,
			note(2, "2", gutenberg.Warned, `has the LoCC "FICTION", which does not begin with the letters of a class; it counts as Unclassified`)},
		{"what is quoted is kept short", strings.Repeat("é", 100) + ",Text,2001-01-31,C,en,B,,PR,\n", 0,
			note(2, strings.Repeat("é", 80)+"…", gutenberg.Skipped, `has the Text# "`+strings.Repeat("é", 80)+`…"; it should be a number such as 1342`)},

		{"cut off before its last column", good + "2,Text,2001-01-31,C,en,B,,P", 1,
			note(3, "2", gutenberg.Skipped, "is cut off by the end of the file in its column LoCC")},
		{"cut off in a quoted title", good + "2,Text,2001-01-31,\"C and\nD", 1,
			note(3, "2", gutenberg.Skipped, "is cut off by the end of the file in its column Title")},
		{"cut off at a line break in a title", good + "2,Text,2001-01-31,\"C and\n", 1,
			note(3, "2", gutenberg.Skipped, "is cut off by the end of the file in its column Title")},
		{"cut off in its Text#", good + "2", 1,
			note(3, "2", gutenberg.Skipped, "is cut off by the end of the file in its column Text#")},
		{"cut off in its last column", good + "2,Text,2001-01-31,C,en,B,,PR,Brow", 2,
			note(3, "2", gutenberg.Warned, "may be cut off by the end of the file in its last column, Bookshelves, from which nothing is taken")},
		{"cut off in its last column, in quotes", good + "2,Text,2001-01-31,C,en,B,,PR,\"Brow", 2,
			note(3, "2", gutenberg.Warned, "may be cut off by the end of the file in its last column, Bookshelves, from which nothing is taken")},
		{"cut off inside a character", good + "2,Text,2001-01-31,C,en,B,,PR,\"\xe4\xb8", 2,
			note(3, "2", gutenberg.Warned, "may be cut off by the end of the file in its last column, Bookshelves, from which nothing is taken")},
		{"cut off inside its first character", good + "\xe4\xb8", 1,
			note(3, "\uFFFD", gutenberg.Skipped, "is cut off by the end of the file in its column Text#")},
		{"cut off and of another type", good + "2,Sound,2001-01-31,C,en,B,,PR,Brow", 1,
			note(3, "2", gutenberg.Skipped, `is of type "Sound"; only rows of type Text are taken`)},
		{"lines that end in CR LF", strings.ReplaceAll(good, "\n", "\r\n") + "\r\n", 1, nil},
		{"no rows", "", 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := gutenberg.Parse(strings.NewReader(header + c.rows))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			taken := 0
			for b := range books(got) {
				taken += len(b.Editions)
			}
			if taken != c.taken {
				t.Errorf("%d rows were taken, want %d", taken, c.taken)
			}
		})
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	const good = "1,Text,2001-01-31,A,en,B,,PR,\n"
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "line 1: the file is empty. Export or download the catalogue again. Nothing was taken."},
		{"blank lines", "\n\r\n", "line 1: the file is empty. Export or download the catalogue again. Nothing was taken."},
		{"a byte order mark and nothing else", "\ufeff", "line 1: the file is empty. Export or download the catalogue again. Nothing was taken."},
		{"another header", "id,title\n1,A\n", `line 1: the header is "id,title". A Project Gutenberg catalogue begins with "Text#,Type,Issued,Title,Language,Authors,Subjects,LoCC,Bookshelves"; check that it is the right file. Nothing was taken.`},
		{"no header", good, `line 1: the header is "1,Text,2001-01-31,A,en,B,,PR,". A Project Gutenberg catalogue begins with "Text#,Type,Issued,Title,Language,Authors,Subjects,LoCC,Bookshelves"; check that it is the right file. Nothing was taken.`},
		{"Latin-1", header + good + "2,Text,2001-01-31,Caf\xe9,en,B,,PR,\n", "line 3: the file is not in UTF-8. Save or convert the file as UTF-8 and import it again. Nothing was taken."},
		{"UTF-16, little-endian", "\xff\xfeT\x00", "line 1: the file is in UTF-16. Save or convert the file as UTF-8 and import it again. Nothing was taken."},
		{"UTF-16, big-endian", "\xfe\xff\x00T", "line 1: the file is in UTF-16. Save or convert the file as UTF-8 and import it again. Nothing was taken."},
		{"UTF-16 without a mark", "T\x00e\x00", "line 1: the file holds a NUL byte, as text in UTF-16 or a damaged file does. Save or convert the file as UTF-8 and import it again. Nothing was taken."},
		{"packed", "\x1f\x8b\x08", "line 1: the file is packed (gzip). Unpack it first. Nothing was taken."},
		{"a spreadsheet", "PK\x03\x04", "line 1: the file is packed (zip) or a spreadsheet. Unpack it, or save it as CSV in UTF-8. Nothing was taken."},
		{"a quotation mark inside a plain text", header + good + "2,Text,2001-01-31,The \"A\",en,B,,PR,\n" + good,
			"line 3: a quotation mark is missing or one too many in the row that begins here (noticed at byte 23 of line 3). A text with commas, line breaks or quotation marks stands in quotation marks, and those inside it are doubled; mend the row and import again. Nothing was taken."},
		{"a quotation mark that is not doubled", header + good + "2,Text,2001-01-31,\"The\n\"A\"\",en,B,,PR,\n",
			"line 3: a quotation mark is missing or one too many in the row that begins here (noticed at byte 1 of line 4). A text with commas, line breaks or quotation marks stands in quotation marks, and those inside it are doubled; mend the row and import again. Nothing was taken."},
		{"a quotation mark never closed", header + "1,Text,2001-01-31,\"A,en,B,,PR,\n" + "2,Text,2001-01-31,C,en,B,,PR,\n",
			"line 2: a quotation mark opens here and swallows the rows below it. Close it, or delete the row, and import again. Nothing was taken."},
		{"a quotation mark never closed in the last column", header + "1,Text,2001-01-31,A,en,B,,PR,\"x\n" + "2,Text,2001-01-31,C,en,B,,PR,\n",
			"line 2: a quotation mark opens here and swallows the rows below it. Close it, or delete the row, and import again. Nothing was taken."},
		{"a quotation mark closed rows later", header + "1,Text,2001-01-31,\"A\nB,en,B,,PR,\n" + "2,Text,2001-01-31,C\",en,B,,PR,\n" + good,
			"line 2: a quotation mark opens here and swallows the rows below it. Close it, or delete the row, and import again. Nothing was taken."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := gutenberg.Parse(strings.NewReader(c.file))
			var p *problem.Error
			if got != nil || !errors.As(err, &p) || p.Kind != problem.Invalid {
				t.Fatalf("Parse = %+v, %v; want nothing and a problem of kind invalid", got, err)
			}
			if diff := cmp.Diff(c.want, p.Message); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAByteOrderMarkIsPassedOver(t *testing.T) {
	t.Parallel()
	got, err := gutenberg.Parse(strings.NewReader("\ufeff" + header + "1,Text,2001-01-31,A,en,B,,PR,\n"))
	if err != nil || len(got.Categories) != 1 || len(got.Notes) != 0 {
		t.Errorf("Parse = %+v, %v; want one category and no notes", got, err)
	}
}

func TestAnErrorOfTheReaderIsNotTheUsersFault(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	got, err := gutenberg.Parse(io.MultiReader(strings.NewReader(header), iotest.ErrReader(broken)))
	var p *problem.Error
	if got != nil || !errors.Is(err, broken) || errors.As(err, &p) {
		t.Errorf("Parse = %+v, %v; want nothing and the reader's error, wrapped", got, err)
	}
}

func TestTheFeedMayBeCutOffAnywhere(t *testing.T) {
	t.Parallel()
	data, err := feed()
	if err != nil {
		t.Fatal(err)
	}
	data = append(slices.Clone(data[:3_000]), "\n9001,Text,2004-01-01,\"\"\"三國演義\"\"\n— Café\",zh,\"Luo, Guanzhong\",,PL,\"Bücher\"\n"...)
	before := 0 // rows never get fewer as the file gets longer
	for n := len(header); n <= len(data); n++ {
		c, err := gutenberg.Parse(bytes.NewReader(data[:n]))
		if err != nil {
			t.Fatalf("after %d bytes, …%q: %v", n, data[max(0, n-40):n], err)
		}
		checkNothingIsLost(t, c)
		if c.Rows < before || len(c.Notes) > 1+c.Rows {
			t.Fatalf("after %d bytes: %d rows, %d before", n, c.Rows, before)
		}
		before = c.Rows
	}
}

// checkNothingIsLost checks that every row is either taken or skipped, and what Catalogue promises besides.
func checkNothingIsLost(t testing.TB, c *gutenberg.Catalogue) {
	t.Helper()
	taken, skipped := 0, 0
	keys, names, lines := map[string]bool{}, map[string]bool{}, map[int]bool{}
	for _, category := range c.Categories {
		if names[category.Name] || len(category.Books) == 0 {
			t.Errorf("category %q comes twice or is empty", category.Name)
		}
		names[category.Name] = true
	}
	for b := range books(c) {
		if len(b.Editions) == 0 || b.Key != b.Editions[0].Key || b.Title == "" {
			t.Fatalf("book %+v lacks editions, key or title", b)
		}
		for _, e := range b.Editions {
			if keys[e.Key] || lines[e.Line] {
				t.Errorf("edition %s on line %d comes twice", e.Key, e.Line)
			}
			keys[e.Key], lines[e.Line] = true, true
			taken++
		}
	}
	for _, n := range c.Notes {
		if n.Kind == gutenberg.Skipped {
			skipped++
			if lines[n.Line] {
				t.Errorf("the row on line %d was taken and skipped, or skipped twice", n.Line)
			}
			lines[n.Line] = true
		} else if !keys[n.Key] {
			t.Errorf("there is a warning about %q, which was not taken", n.Key)
		}
	}
	if !slices.IsSortedFunc(c.Notes, func(a, b gutenberg.Note) int { return a.Line - b.Line }) {
		t.Error("the notes are not in the order of the file")
	}
	if taken+skipped != c.Rows {
		t.Errorf("%d rows were taken and %d skipped of %d", taken, skipped, c.Rows)
	}
}

func FuzzParse(f *testing.F) {
	for _, rows := range []string{
		"",
		"1,Text,2001-01-31,A,en,\"B; C\",,PR,\n2,Text,2001-01-31,a,en,b; c,,E201; JK,x\n",
		"1,Text,2001-01-31,\"A\nB\",en,,,,\n1,Text,2001-01-31,A,en,,,,\n3,Sound,x,,,,,,\n",
		"x,Text,2001-01-31,A,en,,,9,\n\n \n2,Text,2001-13-31,A,en,,,9,\"\n",
		"1,Text,2001-01-31,A,en,,,\"PR\",\"\xe4\xb8",
		"1,Text,2001-01-31,\"\"\"A\"\"",
	} {
		f.Add([]byte(header + rows))
		f.Add([]byte("\ufeff" + strings.ReplaceAll(header+rows, "\n", "\r\n")))
	}
	f.Add([]byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := gutenberg.Parse(bytes.NewReader(data))
		if err != nil {
			var p *problem.Error
			if c != nil || !errors.As(err, &p) || p.Kind != problem.Invalid || !strings.HasPrefix(p.Message, "line ") {
				t.Errorf("Parse = %+v, %v; want nothing and a problem with its line", c, err)
			}
			return
		}
		checkNothingIsLost(t, c)

		// The rows as another reading of the file counts them, where it can be read as it is.
		rows := csv.NewReader(bytes.NewReader(data))
		rows.FieldsPerRecord = -1
		if all, err := rows.ReadAll(); err == nil && c.Rows != len(all)-1 {
			t.Errorf("%d rows of %d were seen", c.Rows, len(all)-1)
		}
		again, err := gutenberg.Parse(bytes.NewReader(data))
		if diff := cmp.Diff(c, again, unexported); diff != "" || err != nil {
			t.Errorf("read again it differs (-first +second), %v:\n%s", err, diff)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data, err := feed()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := gutenberg.Parse(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleParse() {
	c, err := gutenberg.Parse(strings.NewReader(`Text#,Type,Issued,Title,Language,Authors,Subjects,LoCC,Bookshelves
1519,Text,1998-11-01,Much Ado about Nothing,en,"Shakespeare, William, 1564-1616",,PR,
2240,Text,2000-07-01,Much Ado About Nothing,en,"Shakespeare, William, 1564-1616",,PR,
2241,Sound,2000-07-01,Much Ado About Nothing,en,"Shakespeare, William, 1564-1616",,PR,
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, category := range c.Categories {
		for _, book := range category.Books {
			fmt.Println(category.Name, book.Title, len(book.Editions))
		}
	}
	for _, n := range c.Notes {
		fmt.Printf("line %d: %s was %s: it %s\n", n.Line, n.Key, n.Kind, n.Reason)
	}
	// Output:
	// PR Much Ado about Nothing 2
	// line 4: 2241 was skipped: it is of type "Sound"; only rows of type Text are taken
}
