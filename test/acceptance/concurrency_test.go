package acceptance_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"accession/platform/consistency"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/projection"
	"accession/test/app"

	gocmp "github.com/google/go-cmp/cmp"
)

// clients is how many ask at once.
const clients = 16

// atOnce has each of the clients ask once, all at the same moment.
func atOnce(ask func(client int) app.Answer) []app.Answer { return together(clients, ask) }

// together has each of n clients ask once, all at the same moment.
func together(n int, ask func(client int) app.Answer) []app.Answer {
	answers := make([]app.Answer, n)
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-gate
			answers[i] = ask(i)
		})
	}
	close(gate)
	all.Wait()
	return answers
}

// taken are the numbers in answers that have the status, in order.
func taken(answers []app.Answer, status int) []any {
	var got []any
	for _, a := range answers {
		if a.Status == status {
			got = append(got, a.Body["number"])
		}
	}
	slices.SortFunc(got, func(a, b any) int { return cmp.Compare(a.(float64), b.(float64)) })
	return got
}

// claims are the three creations that take a number, by kind.
var claims = map[string]struct {
	path, body string // %d stands for the client
	scope      string // where numbers count
	events     int    // of one creation
}{
	"category": {"/libraries/$lib1/categories", `{"name": "Shelf %d", "book": {"title": "T"}}`, "library:$lib1", 3},
	"book":     {"/categories/$cat1/books", `{"title": "Book %d", "edition": {"id": "$ed1%d"}}`, "category:$cat1", 2},
	"edition":  {"/books/$book1/editions", `{"base_edition_id": "$ed1", "format": "print %d"}`, "book:$book1", 1},
}

// references are the constraints that cannot be kept in reject.
var references = []string{"base-edition", "last-edition", "book-exists", "category-exists", "library-exists"}

// inEveryMode runs f on every database in every mode; a constraint that cannot be kept in it has its default.
func inEveryMode(t *testing.T, constraints []string, f func(t *testing.T, s site, mode consistency.Mode)) {
	for _, mode := range consistency.Built() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, db *database.DB) {
				modes := map[string]consistency.Mode{}
				for _, c := range constraints {
					if mode != consistency.Reject || !slices.Contains(references, c) {
						modes[c] = mode
					}
				}
				f(t, start(t, app.Config{DB: db, Timing: projection.Immediate, Modes: modes}), mode)
			})
		})
	}
}

// TestNumbersOfManyAtOnce: those who ask for a number in one place at once get consecutive ones, and none is refused where the
// mode says that they wait or try again; where it says that rivals are refused, those who are not get consecutive ones.
func TestNumbersOfManyAtOnce(t *testing.T) {
	t.Parallel()
	inEveryMode(t, []string{"category-number", "book-number", "edition-number"}, func(t *testing.T, s site, mode consistency.Mode) {
		s.furnish(t)
		for kind, c := range claims {
			t.Run(kind, func(t *testing.T) {
				before := s.Position()
				answers := atOnce(func(client int) app.Answer {
					return s.post(c.path, strings.ReplaceAll(c.body, "%d", fmt.Sprint(client)))
				})
				created := len(taken(answers, http.StatusCreated))
				for _, a := range answers {
					switch {
					case a.Status == http.StatusCreated:
					case mode == consistency.Reject:
						refused(t, a, http.StatusConflict, kind+"-number-not-unique")
						equal(t, without(a.Body, "type", "title", "status", "detail", "code", "request_id"), fmt.Sprintf(
							`{"constraint": "%s-number", "scope": "%s", "mode": "reject", "attempts": 1, "retryable": true}`, kind, c.scope))
					default:
						t.Errorf("answered %d: %s", a.Status, a.Text)
					}
				}
				want := numbers(1 + created) // one was there before
				if diff := gocmp.Diff(want[1:], taken(answers, http.StatusCreated)); created == 0 || diff != "" {
					t.Errorf("%d created, numbers want -, got +\n%s", created, diff)
				}
				if diff := gocmp.Diff(want, column(items(must(t, http.StatusOK, s.get(c.path))), "number")); diff != "" {
					t.Errorf("listed, want -, got +\n%s", diff)
				}
				if got := int(s.Position() - before); got != created*c.events {
					t.Errorf("%d events of %d creations", got, created)
				}
			})
		}
	})
}

// TestAllKindsAtOnce: creating in different places at once, nobody is refused either, and every number is there once.
func TestAllKindsAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s site) {
		s.furnish(t)
		kinds := slices.Sorted(maps.Keys(claims))
		answers := atOnce(func(client int) app.Answer {
			c := claims[kinds[client%len(kinds)]]
			return s.post(c.path, strings.ReplaceAll(c.body, "%d", fmt.Sprint(client)))
		})
		for _, a := range answers {
			if a.Status != http.StatusCreated {
				t.Errorf("answered %d: %s", a.Status, a.Text)
			}
		}
		for _, c := range claims {
			got := column(items(must(t, http.StatusOK, s.get(c.path))), "number")
			if diff := gocmp.Diff(numbers(len(got)), got); diff != "" || len(got) < clients/len(claims) {
				t.Errorf("%s: want -, got +\n%s", c.path, diff)
			}
		}
	})
}

// TestOneValueWantedByMany: of those who want one name, or one ISBN, at once, one gets it, and the others leave nothing behind.
func TestOneValueWantedByMany(t *testing.T) {
	t.Parallel()
	names := []string{"Drama", " drama", "DRAMA", "Drama "}
	inEveryMode(t, []string{"category-name", "isbn"}, func(t *testing.T, s site, _ consistency.Mode) {
		s.furnish(t)
		must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat2", "name": "Lyric", "book": {"title": "T"}}`))
		for _, c := range []struct {
			name, code string
			path, body string   // %d stands for 1 or 2, %q for the value
			values     []string // that are all the same
			next       string   // goes through afterwards
			events     int      // of one creation
		}{
			{
				"a category's name", "category-name-taken", "/libraries/$lib1/categories", `{"name": %q, "book": {"title": "T"}}`,
				names, `{"name": "Another", "book": {"title": "T"}}`, 3,
			},
			{
				"an ISBN, in one book", "isbn-taken", "/books/$book1/editions", `{"base_edition_id": "$ed1", "isbn": %q}`,
				[]string{"9780306406157", "0306406152", "978-0-306-40615-7", "0-306-40615-2"}, `{"base_edition_id": "$ed1"}`, 1,
			},
			{
				"an ISBN, in two categories", "isbn-taken", "/categories/$cat%d/books", `{"title": "T", "edition": {"isbn": %q}}`,
				[]string{"9780804429573", "080442957X", "0-8044-2957-x"}, `{"title": "T"}`, 2,
			},
		} {
			t.Run(c.name, func(t *testing.T) {
				path := func(client int) string { return strings.Replace(c.path, "%d", fmt.Sprint(client%2+1), 1) }
				before := s.Position()
				answers := atOnce(func(client int) app.Answer {
					return s.post(path(client), fmt.Sprintf(c.body, c.values[client%len(c.values)]))
				})
				won := 0
				for _, a := range answers {
					if a.Status == http.StatusCreated {
						won++
						continue
					}
					refused(t, a, http.StatusConflict, c.code)
				}
				if got := int(s.Position() - before); won != 1 || got != c.events {
					t.Errorf("%d got it, %d events were recorded", won, got)
				}
				must(t, http.StatusCreated, s.post(path(0), c.next))
				for client := range 2 {
					got := column(items(must(t, http.StatusOK, s.get(path(client)))), "number")
					if diff := gocmp.Diff(numbers(len(got)), got); diff != "" {
						t.Errorf("numbers want -, got +\n%s", diff)
					}
				}
			})
		}
	})
}

// TestOneCreationAskedForByMany: a creation under one id happens once, whoever asks, and all are answered with it.
func TestOneCreationAskedForByMany(t *testing.T) {
	t.Parallel()
	events := map[string]int{"library": 1, "category": 3, "book": 2, "edition": 1}
	for name, bodies := range map[string]func(c creation) []string{
		"with all ids": func(c creation) []string { return []string{c.body, c.same["written otherwise"]} },
		"with its own id alone": func(c creation) []string {
			return []string{cmp.Or(c.same["without the ids of what comes with it"], c.body)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s site) {
				s.parents(t)
				for kind, c := range creations {
					t.Run("a "+kind, func(t *testing.T) {
						before := s.Position()
						answers := atOnce(func(client int) app.Answer { return s.post(c.path, bodies(c)[client%len(bodies(c))]) })
						created := 0
						for _, a := range answers {
							switch a.Status {
							case http.StatusCreated:
								created++
							case http.StatusOK:
							default:
								t.Errorf("answered %d: %s", a.Status, a.Text)
							}
							if diff := gocmp.Diff(answers[0].Body, a.Body); diff != "" {
								t.Errorf("one -, another +\n%s", diff)
							}
							headers(t, a, fmt.Sprintf("Accession-Position: %d", s.Position()))
						}
						if got := int(s.Position() - before); created != 1 || got != events[kind] {
							t.Errorf("%d were told that they created it, %d events were recorded", created, got)
						}
					})
				}
			})
		})
	}
}
