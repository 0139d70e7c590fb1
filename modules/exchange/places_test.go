package exchange_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/exchange"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
)

// travels is a library in which two books have come around: back to where they were, out of a category that then was empty, and
// through two that were withdrawn; and a third began in one of these. Of what was withdrawn one book had two editions and two places, and another was the second of a
// category that was withdrawn too.
func travels(t *testing.T) *store {
	t.Helper()
	s := newStore()
	lib := libraryevents.NewLibraryID()
	s.do(t, library.OpenLibrary{ID: lib, Name: "City"}.Request("t"))
	found := func(name string) (libraryevents.CategoryID, catalogueevents.BookID) {
		c := library.CreateCategory{ID: libraryevents.NewCategoryID(), Library: lib, Name: name, Book: catalogue.AddBook{
			ID: catalogueevents.NewBookID(), Title: "First of " + name, Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID()},
		}}
		s.do(t, c.Request("t"))
		return c.ID, c.Book.ID
	}
	move := func(b catalogueevents.BookID, to ...libraryevents.CategoryID) {
		for _, c := range to {
			s.do(t, catalogue.MoveBook{ID: b, To: c}.Request("t"))
		}
	}
	novels, emma := found("Novels")
	plays, faust := found("Plays")
	poems, odes := found("Poems")
	move(emma, plays, poems, novels)
	move(faust, poems, novels)
	essays, essais := found("Essays")
	move(emma, essays, novels)
	add := func(title string) catalogue.AddBook {
		b := catalogue.AddBook{
			ID: catalogueevents.NewBookID(), Category: essays, Title: title, Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID()},
		}
		s.do(t, b.Request("t"))
		return b
	}
	more := add("More")
	move(add("Letters").ID, novels)
	s.do(t, editions.AddEdition{ID: editionsevents.NewEditionID(), Book: more.ID, Base: more.Edition.ID}.Request("t"))
	move(more.ID, plays)
	move(odes, essays)
	for _, b := range []catalogueevents.BookID{odes, essais, more.ID} {
		s.do(t, catalogue.WithdrawBook{ID: b}.Request("t"))
	}
	for _, c := range []libraryevents.CategoryID{poems, essays} {
		s.do(t, library.WithdrawCategory{ID: c}.Request("t"))
	}
	return s
}

func TestFormerReferencesComeBack(t *testing.T) {
	t.Parallel()
	s := travels(t)
	file := s.export(t)
	for _, want := range []string{`"reference":"1.4","former":["1.1","2.2","3.2","1.2","4.2"]`, `"reference":"1.3","former":["2.1","3.3"]`} {
		if !strings.Contains(file, want) {
			t.Errorf("%s is not in\n%s", want, file)
		}
	}
	for _, want := range []string{`/2.3","last":2}`, `/3","last":3}`, `/4","last":5}`, `/4.3","last":2}`} {
		if !strings.Contains(file, want) {
			t.Errorf("%s is not in\n%s", want, file)
		}
	}
	if n := len(s.references(t)); n != 38 {
		t.Errorf("%d references, want 38", n)
	}
	other := newStore()
	other.restored(t, file, other.jsonl(t, "", file), s)
	other.audited(t)

	// Under ids of its own, too.
	third := newStore()
	third.do(t, library.OpenLibrary{ID: libraryevents.NewLibraryID(), Name: "Town"}.Request("t"))
	if r := third.jsonl(t, "Town", file); r.Refusals() > 0 || r.Anew || len(third.references(t)) != 38 {
		t.Errorf("refused %v, numbered anew %v, references %v", r.Lines(), r.Anew, third.references(t))
	}
	third.audited(t)
}

// TestAnImportOfMovedBooksThatWasCutOffGoesOn stops an import after each of its commands.
func TestAnImportOfMovedBooksThatWasCutOffGoesOn(t *testing.T) {
	t.Parallel()
	from := travels(t)
	file := from.export(t)
	for n := 1; ; n++ {
		s, left := newStore(), n
		limited := runner(func(r usecase.Request) (usecase.Receipt, error) {
			if left--; left < 0 {
				return usecase.Receipt{}, errors.New("cut off")
			}
			return s.Run(t.Context(), r)
		})
		_, err := exchange.Importer{Runner: limited, Log: s.log, Actor: "t"}.Catalogue(t.Context(), "", must(exchange.ParseJSONL(strings.NewReader(file))))
		s.restored(t, file, s.jsonl(t, "", file), from)
		s.audited(t)
		if t.Failed() {
			t.Fatal("cut off after ", n)
		}
		if err == nil {
			return
		}
	}
}

// TestTwoImportsOfMovedBooksAtOnceMoveNothingTwice runs a second import before each command of the first.
func TestTwoImportsOfMovedBooksAtOnceMoveNothingTwice(t *testing.T) {
	t.Parallel()
	from := travels(t)
	file := from.export(t)
	for n := 1; ; n++ {
		s, left := newStore(), n
		meanwhile := runner(func(r usecase.Request) (usecase.Receipt, error) {
			if left--; left == 0 {
				s.jsonl(t, "", file)
			}
			return s.Run(t.Context(), r)
		})
		_, err := exchange.Importer{Runner: meanwhile, Log: s.log, Actor: "t"}.Catalogue(t.Context(), "", must(exchange.ParseJSONL(strings.NewReader(file))))
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("a second import before command ", n), file, s.export(t))
		if t.Failed() || left > 0 {
			return
		}
	}
}

// interrupted is a runner of the store that does something before one of its commands.
type interrupted struct {
	runner
	left int // commands until then
}

// before does something before the n-th command, which is not run if it is cut off there.
func (s *store) before(t *testing.T, n int, cut bool, do func()) *interrupted {
	i := &interrupted{left: n}
	i.runner = func(r usecase.Request) (usecase.Receipt, error) {
		if i.left--; i.left == 0 {
			do()
			if cut {
				return usecase.Receipt{}, errors.New("cut off")
			}
		}
		return s.Run(t.Context(), r)
	}
	return i
}

// TestSomebodyAddsABookMeanwhile: before each command of an import in turn, a book comes into every category there is. Whether the
// import is cut off there or not, it is finished in the end; if it is not, all books come to where they stand in the file.
func TestSomebodyAddsABookMeanwhile(t *testing.T) {
	t.Parallel()
	file := travels(t).export(t)
	titles := func(s *store, category string) (all []string) {
		for _, l := range s.read(t).Libraries {
			for _, c := range l.Categories {
				for _, b := range c.Books {
					if c.Name == category && b.Title != "Somebody's" {
						all = append(all, b.Title)
					}
				}
			}
		}
		slices.Sort(all)
		return all
	}
	for n := 1; ; n++ {
		done := false
		for _, cut := range []bool{false, true} {
			s := newStore()
			meanwhile := s.before(t, n, cut, func() {
				for _, l := range s.read(t).Libraries {
					for _, c := range l.Categories {
						s.do(t, catalogue.AddBook{
							ID: catalogueevents.NewBookID(), Category: must(parsed[libraryevents.CategoryID](c.ID)), Title: "Somebody's",
							Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID()},
						}.Request("t"))
					}
				}
			})
			_, err := exchange.Importer{Runner: meanwhile, Log: s.log, Actor: "t"}.Catalogue(t.Context(), "", must(exchange.ParseJSONL(strings.NewReader(file))))
			done = done || meanwhile.left > 0
			if err != nil && (!cut || meanwhile.left > 0) {
				t.Fatalf("before command %d: %v", n, err)
			}
			s.jsonl(t, "", file)
			if !cut {
				if diff := cmp.Diff([]string{"First of Novels", "First of Plays", "Letters"}, titles(s, "Novels")); diff != "" {
					t.Fatalf("before command %d (-want +got):\n%s", n, diff)
				}
			}
			before := s.export(t)
			s.jsonl(t, "", file)
			same(t, fmt.Sprint("importing again after command ", n), before, s.export(t))
			s.audited(t)
		}
		if done {
			return
		}
	}
}

// TestSomebodyWithdrawsMeanwhileWhatUsesUpNumbers: before each command of an import in turn, what is there only for its number is
// withdrawn. Whether the import is cut off there or not, it is finished in the end, all books come to where they stand in the file,
// and where a reference is lost the report says so.
func TestSomebodyWithdrawsMeanwhileWhatUsesUpNumbers(t *testing.T) {
	t.Parallel()
	from := travels(t)
	file := from.export(t)
	withdraw := func(s *store) {
		for _, c := range s.read(t).Libraries[0].Categories {
			for _, b := range c.Books {
				if b.Title == "Withdrawn" {
					s.do(t, catalogue.WithdrawBook{ID: must(parsed[catalogueevents.BookID](b.ID))}.Request("t"))
				}
			}
			if strings.HasPrefix(c.Name, "Withdrawn") {
				s.do(t, library.WithdrawCategory{ID: must(parsed[libraryevents.CategoryID](c.ID))}.Request("t"), catalogue.ErrCategoryNotEmpty)
			}
		}
	}
	for n := 2; ; n++ { // the first command opens the library
		done := false
		for _, cut := range []bool{false, true} {
			s := newStore()
			meanwhile := s.before(t, n, cut, func() { withdraw(s) })
			first, err := exchange.Importer{Runner: meanwhile, Log: s.log, Actor: "t"}.Catalogue(t.Context(), "", must(exchange.ParseJSONL(strings.NewReader(file))))
			done = done || meanwhile.left > 0
			if err != nil && (!cut || meanwhile.left > 0) {
				t.Fatalf("before command %d: %v", n, err)
			}
			second := s.jsonl(t, "", file)
			if second.Refusals() > 0 {
				t.Errorf("refused after command %d: %v", n, second.Lines())
			}
			if diff := cmp.Diff(from.references(t), s.references(t)); diff != "" && !first.Anew && !second.Anew {
				t.Errorf("before command %d, cut off %v, references that differ without a word (-want +got):\n%s", n, cut, diff)
			}
			var got []string
			for _, c := range s.read(t).Libraries[0].Categories {
				for _, b := range c.Books {
					got = append(got, c.Name+": "+b.Title)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff([]string{"Novels: First of Novels", "Novels: First of Plays", "Novels: Letters"}, got); diff != "" {
				t.Fatalf("before command %d, cut off %v (-want +got):\n%s", n, cut, diff)
			}
			before := s.export(t)
			s.jsonl(t, "", file)
			same(t, fmt.Sprint("importing again after command ", n), before, s.export(t))
			s.audited(t)
		}
		if done {
			return
		}
	}
}

func parsed[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](s string) (id T, err error) {
	return id, P(&id).UnmarshalText([]byte(s))
}

// TestABookThatWasPlacedOtherwiseStays: an import takes no book away from where somebody has put it.
func TestABookThatWasPlacedOtherwiseStays(t *testing.T) {
	t.Parallel()
	file := travels(t).export(t)
	older := regexp.MustCompile(`,"former":[^]]*]|.*/.*"last":.*\n`).ReplaceAllString(file, "") // as before there were such in files
	for name, first := range map[string]string{"this file": file, "an older one": older} {
		for _, moved := range []bool{false, true} {
			t.Run(fmt.Sprint("after ", name, ", moved ", moved), func(t *testing.T) {
				t.Parallel()
				s := newStore()
				if r := s.jsonl(t, "", first); r.Refusals() > 0 || r.Anew {
					t.Errorf("refused %v, numbered anew %v", r.Lines(), r.Anew)
				}
				if moved {
					c := s.read(t).Libraries[0]
					s.do(t, catalogue.MoveBook{
						ID: must(parsed[catalogueevents.BookID](c.Categories[0].Books[1].ID)),
						To: must(parsed[libraryevents.CategoryID](c.Categories[1].ID)),
					}.Request("t"))
				}
				want := s.export(t)
				if r := s.jsonl(t, "", file); r.Refusals() > 0 || r.Anew != (first == older) {
					t.Errorf("refused %v, numbered anew %v", r.Lines(), r.Anew)
				}
				same(t, "importing again", want, s.export(t))
			})
		}
	}
}

func TestIntoALibraryThatIsNotEmptyFormerPlacesAreLeftOut(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.jsonl(t, "", small())
	file := travels(t).export(t)
	if r := s.jsonl(t, "City", file); r.Refusals() > 0 || !r.Anew || r.Books.Created != 3 {
		t.Errorf("report %+v, %v", r, r.Lines())
	}
	got := s.export(t)
	if strings.Contains(got, "former") {
		t.Errorf("books were moved:\n%s", got)
	}
	if r := s.jsonl(t, "City", file); r.Books.Present != 3 {
		t.Errorf("again: %+v", r)
	}
	same(t, "importing again", got, s.export(t))
	s.audited(t)
}

// TestPlacesThatContradictEachOtherAreRefused: such a file is refused before anything is created.
func TestPlacesThatContradictEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	// Each category has used the numbers 1 to 3. A book is given by its number and its former places, one that is gone by its place
	// and the last number of its editions, as "/3.14 2", and a category that is gone likewise.
	file := func(books ...[]string) string {
		var b strings.Builder
		b.WriteString(`{"kind":"library","id":"` + id(1) + `","name":"City"}` + "\n" + `{"kind":"number","in":"library:` + id(1) + `","last":3}` + "\n")
		for c, books := range books {
			category := id(10 + c)
			fmt.Fprintf(&b, `{"kind":"category","id":%q,"library_id":%q,"number":%d,"name":"C%d"}`+"\n", category, id(1), c+1, c+1)
			fmt.Fprintf(&b, `{"kind":"number","in":"category:%s","last":3}`+"\n", category)
			for i, book := range books {
				number, former, _ := strings.Cut(book, " ")
				if number[0] == '/' {
					fmt.Fprintf(&b, `{"kind":"number","in":"library:%s%s","last":%s}`+"\n", id(1), number, former)
					continue
				}
				if former = strings.ReplaceAll(former, " ", `","`); former != "" {
					former = `,"former":["` + former + `"]`
				}
				n := 100*c + i
				fmt.Fprintf(&b, `{"kind":"book","id":%q,"category_id":%q,"number":%s,"title":"T"%s}`+"\n", id(1000+n), category, number, former)
				fmt.Fprintf(&b, `{"kind":"edition","id":%q,"book_id":%q,"number":1}`+"\n", id(2000+n), id(1000+n))
			}
		}
		return b.String()
	}
	for name, test := range map[string]struct {
		want  string
		books [][]string
	}{
		"no place":                     {`Line 5: former has "1.1.1", and not the numbers of a category and of a book in it, as 3.14.`, [][]string{{"2 1.1.1"}}},
		"number 0":                     {`Line 5: former has "1.0", and not`, [][]string{{"2 1.0"}}},
		"two books in one place":       {"Line 9: the place 1.1 is taken by another book in the file, or by this one before.", [][]string{{"1"}, {"1 1.1"}}},
		"two that were in one place":   {"Line 7: the place 2.1 is taken", [][]string{{"2 2.1", "3 2.1"}, {}}},
		"the same place twice":         {"Line 7: the place 1.2 is taken", [][]string{{}, {"3 1.2 2.2 1.2"}}},
		"the present place before":     {"Line 7: the place 2.2 is taken", [][]string{{}, {"2 2.2 1.2"}}},
		"behind the last of a number":  {"Line 7: its former place 1.4 was never used: the last number in that category is 3.", [][]string{{}, {"2 1.4"}}},
		"behind the last category":     {"Line 5: its former place 4.1 is in no category: the last number of one is 3.", [][]string{{"2 4.1"}}},
		"within a category":            {"Line 5: from its former place 1.1 it cannot have moved within the category.", [][]string{{"2 1.1"}}},
		"founding by a move":           {"Line 7: the book was moved to the first number of a category, and a category begins with a book that is new.", [][]string{{}, {"1 1.2"}}},
		"a later number before":        {"Line 7: the book cannot have had its places in this order beside the other books in the file.", [][]string{{}, {"2 2.3 1.3"}}},
		"each waits for the other":     {"Line 5: the book cannot have had its places in this order", [][]string{{"2 2.3"}, {"2 1.3"}}},
		"gone, and an edition":         {`Line 5: in is "library:` + id(1) + `/3.1.1", and not a category or book of a library above it`, [][]string{{"/3.1.1 2"}}},
		"gone, and no last":            {"Line 5: last is 0: it counts from 1 to 2147483647.", [][]string{{"/3 0"}}},
		"gone behind the last":         {"Line 5: in names 4.1, and that is in no category: the last number of one is 3.", [][]string{{"/4.1 2"}}},
		"gone behind the last book":    {"Line 5: in names 1.4, and that was never used: the last number in that category is 3.", [][]string{{"/1.4 2"}}},
		"gone, and in the file":        {"Line 5: in names 1 as gone, and that category is in the file: write category:ID.", [][]string{{"/1 2"}}},
		"gone, and a book":             {"Line 6: a book that is in the file was in 1.2, and what was there is said to be gone.", [][]string{{"/1.2 2", "2"}}},
		"gone, and a former place":     {"Line 8: a book that is in the file was in 1.2, and what was there is said to be gone.", [][]string{{"/1.2 2"}, {"2 1.2"}}},
		"too much that is gone":        {"Line 5: more than 100000 numbers are used up in it.", [][]string{{"/3 100002"}}},
		"too much in a book":           {"Line 5: more than 100000 numbers are used up in it.", [][]string{{"/1.2 100001"}}},
		"a book far behind":            {"Line 5: more than 100000 numbers are used up in it.", [][]string{{"/3.200000 2"}}},
		"too much in one that is gone": {"Line 5: more than 100000 numbers are used up in it.", [][]string{{"2 2.200000"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := exchange.ParseJSONL(strings.NewReader(file(test.books...)))
			if !errors.Is(err, exchange.ErrFile) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	for name, books := range map[string][][]string{
		"moved on":                    {{}, {"2 1.1"}},
		"two that change places":      {{"3 2.1"}, {"3 1.2"}},
		"around":                      {{"3 1.2 2.2 3.2 2.3", "1"}, {}},
		"through one that is gone":    {{"3 2.3", "2 2.2 3.2"}},
		"before what is not numbered": {{"1", "2 2.1"}, {}},
		"beside what is gone":         {{"/1.1 3", "/3 2", "/3.2 4", "3"}, {"/2.3 2", "2 3.3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore()
			if r := s.jsonl(t, "", file(books...)); r.Refusals() > 0 || r.Anew {
				t.Errorf("refused %v, numbered anew %v", r.Lines(), r.Anew)
			}
			s.audited(t)
			other := newStore()
			exported := s.export(t)
			other.restored(t, exported, other.jsonl(t, "", exported), s)
		})
	}
}
