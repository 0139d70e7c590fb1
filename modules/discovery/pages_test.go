package discovery_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions/editionsevents"
	"accession/platform/database/dbtest"
	"accession/platform/httpapi"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

// The pages as they are sent; only the hash in the names of assets is left out.
func TestGoldenPages(t *testing.T) {
	t.Parallel()
	full, empty := serve(t, dbtest.SQLite(t), seed()...), serve(t, dbtest.SQLite(t))
	lived := serve(t, dbtest.SQLite(t), append(seed(),
		&catalogueevents.BookCorrected{Book: book(1), Category: category(1), Library: library(1), Title: "Pride & Prejudice", Authors: by("Austen, Jane", "Anon.")},
		&editionsevents.EditionCorrected{Edition: edition(2), Book: book(1), Category: category(1), Library: library(1), Imprint: in("en-GB")},
		&catalogueevents.BookMoved{Book: book(1), From: category(1), Category: category(3), Library: library(1), Number: 3},
		&editionsevents.EditionWithdrawn{Edition: edition(3), Book: book(1), Category: category(3), Library: library(1), Reason: "Never came out"},
		&catalogueevents.BookWithdrawn{Book: book(6), Category: category(3), Library: library(1), Reason: "Eaten by mice"},
		&editionsevents.EditionWithdrawn{Edition: edition(10), Book: book(6), Category: category(3), Library: library(1), Reason: "Eaten by mice"},
	)...)
	l := "/libraries/" + library(1).String()
	for name, page := range map[string]struct {
		site   *site
		path   string
		status int
	}{
		"libraries":       {full, "/", 200},
		"library":         {full, l, 200},
		"category":        {full, "/categories/" + category(3).String(), 200},
		"book":            {full, "/books/" + book(1).String(), 200},
		"book-edit":       {full, "/books/" + book(1).String() + "/edit", 200},
		"book-move":       {lived, "/books/" + book(1).String() + "/move", 200},
		"book-lived":      {lived, "/books/" + book(1).String(), 200},
		"book-withdrawn":  {lived, "/books/" + book(6).String(), 200},
		"category-hiding": {lived, "/categories/" + category(3).String(), 200},
		"category-all":    {lived, "/categories/" + category(3).String() + "?withdrawn=true", 200},
		"search":          {full, l + "/search?q=pride", 200},
		"search-nothing":  {full, l + "/search?q=978-0-306-40615-8", 200},
		"no-library":      {empty, "/", 200},
		"book-not-found":  {full, "/books/" + book(99).String(), 404},
		"search-too-long": {full, l + "/search?q=" + strings.Repeat("x", 1001), 422},
	} {
		t.Run(name, func(t *testing.T) {
			w := page.site.get(page.path)
			if w.Code != page.status {
				t.Errorf("status %d, want %d", w.Code, page.status)
			}
			got := drawn.ReplaceAllString(assetHash.ReplaceAllString(w.Body.String(), "$1.$2"), "$1")
			file := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the page has changed; if it is meant to, run the test with -update\n%s", diff)
			}
		})
	}
}

// People who ask for what is not there, or send what nobody takes, are told so on a page; machines get a problem document.
func TestPathsThatAreNoPages(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t), seed()...)
	b := "/books/" + book(1).String()
	const page, document = "text/html; charset=utf-8", "application/problem+json"
	for _, c := range []struct {
		method, path string
		status       int
		contentType  string
		says         string
	}{
		{"GET", "/nothing", 404, page, "There is no page at /nothing."},
		{"GET", "/books/", 404, page, "There is no page at /books/."},
		{"GET", "/books", 404, page, "There is no page at /books."},
		{"GET", b + "/nothing", 404, page, "There is no page at " + b + "/nothing."},
		{"POST", b + "/nothing", 404, page, "There is no page at " + b + "/nothing."},
		{"GET", "/%3Cscript%3E", 404, page, "There is no page at /&lt;script&gt;."},
		{"GET", "/%FF", 404, page, "There is no page at /\uFFFD."},
		{"GET", "/apis", 404, page, "There is no page at /apis."},
		{"POST", "/", 405, page, "/ cannot be written to. Nothing was stored."},
		{"POST", b, 405, page, b + " cannot be written to."},
		{"DELETE", b + "/edit", 405, page, b + "/edit cannot be written to."},
		{"GET", "/api", 404, document, `"not-found"`},
		{"GET", "/api/v1/nothing", 404, document, `"not-found"`},
		{"POST", httpapi.Prefix + b + "/nothing", 404, document, `"not-found"`},
		{"PUT", httpapi.Prefix + "/events", 405, document, `"method-not-allowed"`},
		{"POST", "/livez", 405, document, `"method-not-allowed"`},
		{"POST", "/openapi.json", 405, document, `"method-not-allowed"`},
		{"POST", "/assets/x.css", 405, document, `"method-not-allowed"`},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			s.http.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
			if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s\n%s", w.Code, w.Header(), w.Body)
			}
			if c.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Error("nothing is allowed")
			}
			if c.contentType == page {
				parse(t, c.path, w.Body)
			}
		})
	}
	t.Run("a form from a page of another site is refused on a page", func(t *testing.T) {
		w := s.post(sheet{b + "/edit", url.Values{}}, "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: cross-site")
		s.says(w, http.StatusForbidden, "<h1>Not from there</h1>", "403 · cross-origin")
	})
}

var assetHash = regexp.MustCompile(`(/assets/[a-z]+)\.[0-9a-f]{12}\.([a-z]+)`)

// drawn is what is another in every form: the name of the request that it asks for.
var drawn = regexp.MustCompile(`(name="token" value=")[0-9a-f-]{36}`)

// From the front page on, every page is well-formed and keeps the rules, and every link leads somewhere.
func TestEveryPageThatCanBeReached(t *testing.T) {
	t.Parallel()
	events := seed()
	for n := 3; n <= 250; n++ { // a drawer of several ranges
		b := fmt.Sprintf("Volume %d", n)
		events = append(events, added(200+n, 2, 1, n, b, nil))
	}
	s := serve(t, dbtest.SQLite(t), events...)
	l := "/libraries/" + library(1).String()
	todo := []string{
		"/", "/libraries/", l + "/search", l + "/search?q=volume", l + "/search?q=none+such", l + "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
		"/books/x", "/books/", l + "/nothing", "/categories/" + category(2).String() + "?from=0", l + "/search?q=!", "/?cursor=x",
	}
	for seen := map[string]bool{}; len(todo) > 0; {
		path := todo[0]
		todo = todo[1:]
		page, fragment, _ := strings.Cut(path, "#")
		if seen[path] {
			continue
		}
		seen[path] = true
		w := s.get(page)
		if strings.HasPrefix(page, "/assets/") || strings.HasPrefix(page, httpapi.Prefix) {
			if w.Code != http.StatusOK {
				t.Errorf("GET %s: %d", page, w.Code)
			}
			continue
		}
		if w.Code == http.StatusSeeOther {
			todo = append(todo, w.Header().Get("Location"))
			continue
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self'; script-src 'none';") || strings.Contains(csp, "unsafe") {
			t.Errorf("GET %s: Content-Security-Policy is %q", page, csp)
		}
		if ct := w.Header().Get("Content-Type"); ct != "text/html; charset=utf-8" {
			t.Errorf("GET %s: Content-Type is %q", page, ct)
		}
		d := parse(t, page, w.Body)
		if fragment != "" && !slices.Contains(d.ids, fragment) {
			t.Errorf("GET %s: nothing has the id %s", page, fragment)
		}
		for _, link := range d.links {
			u, err := url.Parse(link)
			if err != nil || u.Host != "" || u.Scheme != "" {
				t.Errorf("GET %s: links to %q", page, link)
				continue
			}
			if strings.HasPrefix(link, "#") {
				link = page + link
			}
			if w.Code == http.StatusOK || !strings.HasPrefix(link, page) {
				todo = append(todo, link)
			}
		}
		if len(seen) > 4000 {
			t.Fatal("there is no end of pages")
		}
	}
}

// document is what is looked at of a page.
type document struct {
	ids   []string
	links []string
}

// parse reads a page strictly, as XML, which our templates are written to be, and checks what holds for all of them.
func parse(t *testing.T, page string, body io.Reader) document {
	t.Helper()
	var doc document
	count := map[string]int{}
	labels := map[string]bool{}
	var inputs []string
	d := xml.NewDecoder(body)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("GET %s: %v", page, err)
			return doc
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		name := start.Name.Local
		count[name]++
		attr := map[string]string{}
		for _, a := range start.Attr {
			attr[a.Name.Local] = a.Value
			if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("GET %s: <%s> has the attribute %s", page, name, a.Name.Local)
			}
		}
		if id := attr["id"]; id != "" {
			if slices.Contains(doc.ids, id) {
				t.Errorf("GET %s: two have the id %s", page, id)
			}
			doc.ids = append(doc.ids, id)
		}
		if href := attr["href"]; href != "" {
			doc.links = append(doc.links, href)
		}
		switch name {
		case "script", "style", "iframe", "object":
			t.Errorf("GET %s: there is a <%s>", page, name)
		case "html":
			if attr["lang"] != "en" {
				t.Errorf("GET %s: the language is %q", page, attr["lang"])
			}
		case "nav", "section":
			if attr["aria-label"]+attr["aria-labelledby"] == "" {
				t.Errorf("GET %s: a <%s> has no name", page, name)
			}
		case "label":
			labels[attr["for"]] = true
		case "input", "select", "textarea":
			if attr["type"] == "hidden" {
				continue
			}
			inputs = append(inputs, attr["id"])
		}
	}
	for name, n := range map[string]int{"h1": 1, "main": 1, "title": 1} {
		if count[name] != n {
			t.Errorf("GET %s: there are %d <%s>", page, count[name], name)
		}
	}
	for _, id := range inputs {
		if !labels[id] {
			t.Errorf("GET %s: input %q has no label", page, id)
		}
	}
	return doc
}

func TestSearchPageGoesStraightToWhatWasPasted(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t), seed()...)
	for q, want := range map[string]string{
		"1.1.2":             "/books/" + book(1).String() + "#edition-" + edition(2).String(),
		"1.1":               "/books/" + book(1).String(),
		"978-0-14-143951-8": "/books/" + book(1).String() + "#edition-" + edition(2).String(),
		"austen":            "", // one hit, but not asked for by its number
		"2":                 "",
	} {
		w := s.get("/libraries/" + library(1).String() + "/search?q=" + q)
		status := http.StatusOK
		if want != "" {
			status = http.StatusSeeOther
		}
		if w.Code != status || w.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", q, w.Code, w.Header().Get("Location"), want)
		}
	}
}

func TestPagesSayThatTheyAreBehind(t *testing.T) {
	t.Parallel()
	s, play := open(t, dbtest.SQLite(t), seed()...)
	if w := s.get("/"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "catching up") || w.Header().Get("Accession-Position") != "0" {
		t.Errorf("%d at %q", w.Code, w.Header().Get("Accession-Position"))
	}
	if w := s.get("/books/" + book(1).String()); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "try again</a>") {
		t.Errorf("a book that is recorded but cannot be shown yet: %d %s", w.Code, w.Body)
	}
	play()
	s.played()
	if w := s.get("/"); strings.Contains(w.Body.String(), "catching up") || w.Header().Get("Accession-Position") != "29" {
		t.Errorf("at %q: %s", w.Header().Get("Accession-Position"), w.Body)
	}
}

func TestAPagesLanguages(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t), seed()...)
	for path, want := range map[string][]string{
		"/categories/" + category(3).String(): {`<bdi lang="zh">三國演義</bdi>`, `<bdi lang="ar">ألف ليلة وليلة</bdi>`, "not yet numbered"},
		"/categories/" + category(2).String(): {`<bdi lang="fr">Élégies &lt;et&gt; chansons</bdi>`},
		"/categories/" + category(1).String(): {`<bdi lang="">1984</bdi>`}, // nobody knows
		"/books/" + book(1).String():          {"German, English", "Arabic", "ISBN 9780141439518"},
	} {
		body := s.get(path).Body.String()
		for _, part := range want {
			if !strings.Contains(body, part) {
				t.Errorf("GET %s: no %s in\n%s", path, part, body)
			}
		}
	}
}
