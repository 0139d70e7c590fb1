package model_test

import (
	"fmt"
	"strings"

	"accession/modules/catalogue"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
)

// What is typed into the fields of commands, and what is stored for it. Only what is in these tables is drawn, so that the model
// needs no rules of text and of ISBNs: somebody has written down what they come to.

// words are names, titles and authors: what is typed, and what is stored. Nothing is stored for what is wrong.
var words = map[string]string{
	"Poetry":     "Poetry",
	"poetry":     "poetry",
	"  POETRY ":  "POETRY",
	"POETRY":     "POETRY",
	"Sea  Tales": "Sea  Tales",
	"sea tales":  "sea tales",
	"Cafe\u0301": "Café",
	"Café":       "Café",
	"CAFÉ":       "CAFÉ",
	"Maps":       "Maps",
	"Plays":      "Plays",
	"Letters":    "Letters",
	full:         full,
	full + "x":   "",
	"":           "",
	"   ":        "",
	"Two\nlines": "",
	"Nul\x00":    "",
}

// full is the longest name there may be. Titles may be longer, so what is too long for a name is drawn for names alone.
var full = strings.Repeat("n", 200)

var (
	names  = []string{"Poetry", "poetry", "  POETRY ", "Sea  Tales", "sea tales", "Cafe\u0301", "Café", "CAFÉ", "Maps", "Plays", "Letters", full, full + "x", "", "   ", "Two\nlines"}
	titles = []string{"Poetry", "  POETRY ", "Cafe\u0301", "Maps", "Plays", full, "", "   ", "Nul\x00"}
	people = []string{"Poetry", "Maps", "Plays", "Letters", "Cafe\u0301", "Two\nlines"}
)

// numbers are ISBNs: what is typed, and what is stored; nothing for what is none.
var isbns = map[string]string{
	"978-0-14-044913-6": "9780140449136",
	"9780140449136":     "9780140449136",
	"0-14-044913-2":     "9780140449136",
	"9780306406157":     "9780306406157",
	"0306406152":        "9780306406157",
	"978-0-8044-2957-3": "9780804429573",
	"080442957x":        "9780804429573",
	"9780804429573":     "9780804429573",
	"979-10-90636-07-1": "9791090636071",
	"9791090636071":     "9791090636071",
	"978-0-14-044913-7": "",
	"0-14-044913-X":     "",
	"12":                "",
}

var typedISBNs = []string{
	"978-0-14-044913-6", "0-14-044913-2", "9780306406157", "0306406152", "978-0-8044-2957-3", "080442957x", "979-10-90636-07-1",
	"978-0-14-044913-7", "0-14-044913-X", "12",
}

// years and prints are what else is printed in an edition. It is 2026 in this test; 0 is drawn for corrections alone.
var (
	years  = []int{1000, 1865, 2026, 2027, 999, 2028}
	prints = []string{"", "Faber", " Faber ", "Insel"}
)

func read(typed string) (stored string, wrong bool) {
	stored, ok := words[typed]
	if !ok {
		panic(fmt.Sprintf("nobody wrote down what %q comes to", typed))
	}
	return stored, stored == ""
}

func isWrong(typed string) bool {
	_, wrong := read(typed)
	return wrong
}

func readAll(typed []string) []string {
	stored := []string{}
	for _, t := range typed {
		s, _ := read(t)
		stored = append(stored, s)
	}
	return stored
}

func readISBN(typed string) string {
	if typed == "" {
		return ""
	}
	stored, ok := isbns[typed]
	if !ok {
		panic(fmt.Sprintf("nobody wrote down what %q comes to", typed))
	}
	return stored
}

func wrongISBN(typed string) bool { return typed != "" && readISBN(typed) == "" }

func wrongYear(y int) bool { return y < 1000 || y > 2027 }

func readImprint(i editions.Imprint) editionsevents.Imprint {
	read := editionsevents.Imprint{
		ISBN: readISBN(i.ISBN), Publisher: strings.TrimSpace(i.Publisher), Language: strings.TrimSpace(i.Language), Format: strings.TrimSpace(i.Format),
	}
	if i.Year != nil {
		read.Year = *i.Year
	}
	return read
}

func wrongImprint(i editions.Imprint) bool {
	return wrongISBN(i.ISBN) || i.Year != nil && wrongYear(*i.Year)
}

func wrongCorrection(c editions.Correction) bool {
	return c.ISBN != nil && wrongISBN(*c.ISBN) || c.Year != nil && *c.Year != 0 && wrongYear(*c.Year)
}

func wrongBook(c catalogue.AddBook) bool {
	wrong := isWrong(c.Title) || wrongImprint(c.Edition.Imprint)
	for _, a := range c.Authors {
		wrong = wrong || isWrong(a)
	}
	return wrong
}

// contentOf is what a repeated request must have in common with the first. The ids of what comes with a thing are not in it:
// the server draws them.
func contentOf(c catalogue.AddBook) string {
	title, _ := read(c.Title)
	return fmt.Sprintf("%q %q %+v", title, readAll(c.Authors), readImprint(c.Edition.Imprint))
}
