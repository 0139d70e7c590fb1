package sample_test

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"testing"

	"accession/modules/exchange/gutenberg"
	"accession/modules/exchange/sample"
	"accession/platform/text"

	"github.com/google/go-cmp/cmp"
)

// TestTheSampleIsWhatItsRuleGives says the rule of generate.go a second time, in its own words: the first 400 rows of Type
// Text, and all others with the title and authors of one of them.
func TestTheSampleIsWhatItsRuleGives(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../gutenberg/testdata/pg_catalog.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	feed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := readCSV(t, feed)

	type book struct{ title, authors string }
	var texts [][]string
	for _, row := range rows[1:] {
		if row[1] == "Text" {
			texts = append(texts, row)
		}
	}
	of := func(row []string) book { return book{text.Fold(row[3]), text.Fold(row[5])} }
	chosen := map[book]bool{}
	for _, row := range texts[:400] {
		chosen[of(row)] = true
	}
	want := rows[:1]
	for _, row := range texts {
		if chosen[of(row)] {
			want = append(want, row)
		}
	}

	r, err := sample.Open()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, readCSV(t, r)); diff != "" {
		t.Errorf("sample.csv.gz is not what its rule gives; run `go generate ./modules/exchange/sample` (-want +got):\n%s", diff)
	}
}

func readCSV(t *testing.T, r io.Reader) [][]string {
	t.Helper()
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestEveryRowOfTheSampleIsTaken(t *testing.T) {
	t.Parallel()
	for range 2 { // Open starts anew each time
		r, err := sample.Open()
		if err != nil {
			t.Fatal(err)
		}
		c, err := gutenberg.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Notes) != 0 {
			t.Errorf("the sample has notes: %+v", c.Notes)
		}
	}
}

func ExampleOpen() {
	r, err := sample.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := gutenberg.Parse(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	books, several := 0, 0
	for _, category := range c.Categories {
		for _, book := range category.Books {
			books++
			if len(book.Editions) > 1 {
				several++
			}
		}
	}
	fmt.Printf("%d categories, %d books, %d of them with several editions, %d editions\n", len(c.Categories), books, several, c.Rows)
	// Output:
	// 51 categories, 394 books, 14 of them with several editions, 408 editions
}
