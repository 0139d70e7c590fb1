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
func atOnce(ask func(client int) app.Answer) []app.Answer {
	answers := make([]app.Answer, clients)
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i := range clients {
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

// claims are the three creations that take a number: where, with what, and how many are taken before.
var claims = map[string]struct {
	path, body string // %d stands for the client
	taken      int
}{
	"category": {"/libraries/$lib1/categories", `{"name": "Shelf %d", "book": {"title": "T"}}`, 1},
	"book":     {"/categories/$cat1/books", `{"title": "Book %d", "edition": {"id": "$ed1%d"}}`, 1},
	"edition":  {"/books/$book1/editions", `{"base_edition_id": "$ed1", "format": "print %d"}`, 1},
}

// TestNumbersOfManyAtOnce: those who ask for a number in one place at once get consecutive ones, and none is refused where the
// mode says that they wait or try again; where it says that rivals are refused, those who are not get consecutive ones.
func TestNumbersOfManyAtOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range consistency.Built() {
		for kind, c := range claims {
			t.Run(kind+" in "+mode.String(), func(t *testing.T) {
				t.Parallel()
				dbtest.Each(t, func(t *testing.T, db *database.DB) {
					s := site{app.Start(t, app.Config{DB: db, Timing: projection.Immediate, Modes: map[string]consistency.Mode{kind + "-number": mode}})}
					s.furnish(t)
					before := s.Position()
					answers := atOnce(func(client int) app.Answer {
						body := strings.ReplaceAll(c.body, "%d", fmt.Sprint(client))
						return s.post(c.path, body)
					})
					created := len(taken(answers, http.StatusCreated))
					for _, a := range answers {
						switch {
						case a.Status == http.StatusCreated:
						case mode == consistency.Reject:
							refused(t, a, http.StatusConflict, kind+"-number-not-unique")
							equal(t, without(a.Body, "type", "title", "status", "detail", "code", "request_id", "scope"),
								fmt.Sprintf(`{"constraint": "%s-number", "mode": "reject", "attempts": 1, "retryable": true}`, kind))
						default:
							t.Errorf("answered %d: %s", a.Status, a.Text)
						}
					}
					want := numbers(c.taken + created)
					if diff := gocmp.Diff(want[c.taken:], taken(answers, http.StatusCreated)); created == 0 || diff != "" {
						t.Errorf("%d created, numbers want -, got +\n%s", created, diff)
					}
					if diff := gocmp.Diff(want, column(items(must(t, http.StatusOK, s.get(c.path))), "number")); diff != "" {
						t.Errorf("listed, want -, got +\n%s", diff)
					}
					perCreation := map[string]int{"category": 3, "book": 2, "edition": 1}[kind]
					if got := int(s.Position() - before); got != created*perCreation {
						t.Errorf("%d events of %d creations", got, created)
					}
				})
			})
		}
	}
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
	for _, c := range []struct {
		name, code  string
		path, body  string
		next        string // goes through afterwards
		perCreation int
	}{
		{
			name: "a category's name", code: "category-name-taken", path: "/libraries/$lib1/categories",
			body: `{"name": %q, "book": {"title": "T"}}`, next: `{"name": "Another", "book": {"title": "T"}}`, perCreation: 3,
		},
		{
			name: "an ISBN, in one book", code: "isbn-taken", path: "/books/$book1/editions",
			body: `{"base_edition_id": "$ed1", "isbn": %q}`, next: `{"base_edition_id": "$ed1"}`, perCreation: 1,
		},
		{
			name: "an ISBN, in two categories", code: "isbn-taken", path: "/categories/$cat%d/books",
			body: `{"title": "T", "edition": {"isbn": %q}}`, next: `{"title": "T"}`, perCreation: 2,
		},
	} {
		for _, mode := range consistency.Built() {
			t.Run(c.name+" in "+mode.String(), func(t *testing.T) {
				t.Parallel()
				dbtest.Each(t, func(t *testing.T, db *database.DB) {
					s := site{app.Start(t, app.Config{DB: db, Timing: projection.Immediate, Modes: map[string]consistency.Mode{"category-name": mode, "isbn": mode}})}
					s.furnish(t)
					must(t, http.StatusCreated, s.post("/libraries/$lib1/categories", `{"id": "$cat2", "name": "Lyric", "book": {"title": "T"}}`))
					path := func(client int) string { return strings.Replace(c.path, "%d", fmt.Sprint(client%2+1), 1) }
					values := []string{"Drama", " drama", "DRAMA", "Drama "}
					if c.code == "isbn-taken" {
						values = []string{"9780306406157", "0306406152", "978-0-306-40615-7", "0-306-40615-2"}
					}
					before := s.Position()
					answers := atOnce(func(client int) app.Answer {
						return s.post(path(client), fmt.Sprintf(c.body, values[client%len(values)]))
					})
					won := 0
					for _, a := range answers {
						if a.Status == http.StatusCreated {
							won++
							continue
						}
						refused(t, a, http.StatusConflict, c.code)
					}
					if got := int(s.Position() - before); won != 1 || got != c.perCreation {
						t.Errorf("%d got it, %d events were recorded", won, got)
					}
					for client := range 2 {
						s.post(path(client), strings.Replace(c.next, "Another", fmt.Sprint("Another ", client), 1))
						got := column(items(must(t, http.StatusOK, s.get(path(client)))), "number")
						if diff := gocmp.Diff(numbers(len(got)), got); diff != "" {
							t.Errorf("numbers want -, got +\n%s", diff)
						}
					}
				})
			})
		}
	}
}

// TestOneCreationAskedForByMany: a creation under one id happens once, whoever asks, and all are answered with it.
func TestOneCreationAskedForByMany(t *testing.T) {
	t.Parallel()
	events := map[string]int{"library": 1, "category": 3, "book": 2, "edition": 1}
	for kind, c := range creations {
		for name, bodies := range map[string][]string{
			"": {c.body, c.same["written otherwise"]},
			", without the ids of what comes with it": {c.same["without the ids of what comes with it"]},
		} {
			if bodies[0] == "" {
				continue // nothing comes with it
			}
			t.Run("a "+kind+name, func(t *testing.T) {
				t.Parallel()
				each(t, func(t *testing.T, s site) {
					s.parents(t)
					before := s.Position()
					answers := atOnce(func(client int) app.Answer { return s.post(c.path, bodies[client%len(bodies)]) })
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
						headers(t, a, "Accession-Position: "+fmt.Sprint(s.Position()))
					}
					if got := int(s.Position() - before); created != 1 || got != events[kind] {
						t.Errorf("%d were told that they created it, %d events were recorded", created, got)
					}
				})
			})
		}
	}
}
