//go:build unix

package process_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// What the tests need of the API's answers.
type (
	page[T any] struct {
		Items []T     `json:"items"`
		Next  *string `json:"next"`
	}
	library struct {
		ID         string `json:"id"`
		Name       string `json:"name"`
		Categories int    `json:"categories"`
	}
	category struct {
		ID     string `json:"id"`
		Number int    `json:"number"`
		Name   string `json:"name"`
		Book   book   `json:"book"`
	}
	book struct {
		ID        string `json:"id"`
		Number    int    `json:"number"`
		Title     string `json:"title"`
		Reference string `json:"reference"`
	}
	edition struct {
		ID     string `json:"id"`
		Number int    `json:"number"`
	}
)

// get decodes the answer to a GET of the API, from read models that have seen the log up to the position.
func get[T any](s *server, path string, position int) T {
	s.home.Helper()
	var v T
	if err := json.Unmarshal(s.fetch("/api/v1"+path, position), &v); err != nil {
		s.home.Fatalf("GET %s: %v", path, err)
	}
	return v
}

// list is get for all pages of a list.
func list[T any](s *server, path string, position int) []T {
	s.home.Helper()
	var all []T
	for cursor := ""; ; {
		p := get[page[T]](s, path+"?limit=500"+cursor, position)
		all = append(all, p.Items...)
		if p.Next == nil {
			return all
		}
		cursor = "&cursor=" + *p.Next
	}
}

// fetch gives the body of a successful GET, which knows the log up to the position. On a busy machine that may take longer than the
// server waits: half a minute for the API; a page shows what there is after a second, and says how far that is. So it asks again.
func (s *server) fetch(path string, position int) []byte {
	s.home.Helper()
	for late := time.Now().Add(patience); ; {
		status, at, body := s.ask(path, position)
		behind := status == http.StatusServiceUnavailable
		if n, err := strconv.Atoi(at); err == nil && n < position {
			behind = true
		}
		switch {
		case behind && position > 0 && time.Now().Before(late):
			continue
		case behind || status != http.StatusOK:
			s.home.Fatalf("GET %s: %d, at position %q, want %d\n%s", path, status, at, position, body)
		}
		return body
	}
}

// ask gives the answer to a GET, and the position that it is good for, if it says one.
func (s *server) ask(path string, position int) (status int, at string, body []byte) {
	s.home.Helper()
	r, err := http.NewRequestWithContext(s.home.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.home.Fatal(err)
	}
	r.Header.Set("Accession-Min-Position", fmt.Sprint(position))
	r.Header.Set("Prefer", "wait=30")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.home.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		s.home.Fatalf("GET %s: %v", path, err)
	}
	return answer.StatusCode, answer.Header.Get("Accession-Position"), body
}

// links are the addresses on a page that the pattern finds, each once.
func (s *server) links(path string, position int, pattern string) []string {
	s.home.Helper()
	var all []string
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`href="(`+pattern+`)"`).FindAllSubmatch(s.fetch(path, position), -1) {
		if link := string(m[1]); !seen[link] {
			seen[link] = true
			all = append(all, link)
		}
	}
	return all
}

// create posts something that must be created, and decodes it.
func create[T any](s *server, path string, body any) T {
	s.home.Helper()
	v, err := post[T](s.url+"/api/v1"+path, body)
	if err != nil {
		s.home.Fatal(err)
	}
	return v
}

// post is create for clients that may see the server go away.
func post[T any](url string, body any) (T, error) {
	var v T
	b, err := json.Marshal(body)
	if err != nil {
		return v, err
	}
	answer, err := http.Post(url, "application/json", bytes.NewReader(b))
	if err != nil {
		return v, err
	}
	defer answer.Body.Close()
	b, err = io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return v, err
	case answer.StatusCode != http.StatusCreated:
		return v, fmt.Errorf("POST %s: %s\n%s", url, answer.Status, b)
	}
	return v, json.Unmarshal(b, &v)
}

// newBook is the body of a new book.
func newBook(title string) map[string]any {
	return map[string]any{"title": title, "authors": []string{"Somebody"}, "edition": map[string]any{"year": 1999}}
}
