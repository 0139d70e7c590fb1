//go:build unix

package process_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"accession/platform/database/dbtest"

	"github.com/google/go-cmp/cmp"
)

// ask is a POST under an Idempotency-Key, and the answer to it as far as two must be alike.
type ask struct{ path, body, key string }

func (a ask) send(url string) (string, error) {
	r, err := http.NewRequest(http.MethodPost, url+"/api/v1"+a.path, strings.NewReader(a.body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", a.key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err // a part of an answer is none
	}
	h := answer.Header
	return fmt.Sprint(answer.StatusCode, h.Get("Location"), h.Get("ETag"), h.Get("Accession-Position"), string(body)), nil
}

// TestPOSTsUnderKeysWhileTheServerIsKilled kills the server four times in the middle of what eight clients post under keys. Then
// all is posted again: each has its one effect, and whoever had an answer gets it again.
func TestPOSTsUnderKeysWhileTheServerIsKilled(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T) []string{
		"sqlite":   func(*testing.T) []string { return nil },
		"postgres": func(t *testing.T) []string { return []string{"--database", dbtest.PostgresURL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, flags := newHome(t), database(t)
			if name == "postgres" {
				h.do(append([]string{"migrate", "up"}, flags...)...)
			}
			s := h.serve(flags...)
			l := create[library](s, "/libraries", map[string]any{"name": "L"})
			from := create[category](s, "/libraries/"+l.ID+"/categories", map[string]any{"name": "A", "book": newBook("first")})
			to := create[category](s, "/libraries/"+l.ID+"/categories", map[string]any{"name": "B", "book": newBook("second")})

			const clients = 8
			var mu sync.Mutex
			answers := map[ask]string{} // "" when there was none
			for round := range 4 {
				var wg sync.WaitGroup
				enough := make(chan struct{})
				answered := 0
				for c := range clients {
					wg.Go(func() {
						for n := 0; ; n++ {
							key := fmt.Sprintf("round %d, client %d, request %d", round, c, n)
							a := ask{"/categories/" + from.ID + "/books", fmt.Sprintf(`{"title": %q}`, key), key}
							answer, err := a.send(s.url)
							mu.Lock()
							answers[a] = answer
							if answered++; answered == 60 {
								close(enough)
							}
							mu.Unlock()
							if err != nil {
								return // with this one unanswered
							}
							var b book
							if _, body, ok := strings.Cut(answer, "{"); !ok || json.Unmarshal([]byte("{"+body), &b) != nil || b.Reference == "" {
								t.Errorf("%s: %s", key, answer)
								return
							}
							a = ask{"/books/" + b.ID + "/move", fmt.Sprintf(`{"category_id": %q}`, to.ID), "move, " + key}
							answer, err = a.send(s.url)
							mu.Lock()
							answers[a] = answer
							mu.Unlock()
							if err != nil {
								return
							}
						}
					})
				}
				ended := make(chan struct{})
				go func() { wg.Wait(); close(ended) }()
				select {
				case <-enough:
				case <-ended: // in errors
				}
				s.kill()
				<-ended
				s = h.serve(flags...)
			}

			unanswered, titles, moves := 0, map[string]bool{}, 0
			for a, first := range answers {
				again, err := a.send(s.url)
				if err != nil {
					t.Fatal(err)
				}
				if first == "" {
					unanswered++
					first, _ = a.send(s.url)
				}
				if diff := cmp.Diff(first, again); diff != "" || !strings.HasPrefix(first, "20") {
					t.Errorf("%s: first -, again +\n%s", a.key, diff)
				}
				if strings.HasPrefix(a.key, "move") {
					moves++
				} else {
					titles[a.key] = true
				}
			}
			t.Logf("%d requests, %d of them unanswered", len(answers), unanswered)
			if unanswered == 0 {
				t.Error("the server was killed four times and owes nobody an answer")
			}
			position := h.end(flags...)
			books := append(list[book](s, "/categories/"+from.ID+"/books", position), list[book](s, "/categories/"+to.ID+"/books", position)...)
			for _, b := range books {
				if b.Title != "first" && b.Title != "second" && !titles[b.Title] {
					t.Errorf("%q is there twice, or was never added", b.Title)
				}
				delete(titles, b.Title)
			}
			if len(titles) > 0 {
				t.Errorf("not there: %v", titles)
			}
			end := 1 + 2*3 + 2*(len(books)-2) + moves
			s.stop(syscall.SIGTERM)
			if r := h.run(append([]string{"verify"}, flags...)...); r.out != fmt.Sprintf("ok at %d\n", end) {
				t.Errorf("verify: exit %d, want ok at %d:\n%s%s", r.exit, end, r.out, r.err)
			}
		})
	}
}
