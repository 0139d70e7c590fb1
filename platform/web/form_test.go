package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"accession/platform/problem"
	"accession/platform/web"
)

// sendForm sends body to a form that says what is wrong with it.
func sendForm(t *testing.T, body string, wrong error) *httptest.ResponseRecorder {
	t.Helper()
	r, err := web.New(fstest.MapFS{"form.html": {Data: []byte(`{{define "content"}}{{template "form" .Body}}{{end}}`)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/form", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h := r.Handler(func(req *http.Request) (web.Page, error) {
		if err := web.ReadForm(req); err != nil {
			return web.Page{}, err
		}
		f := web.Form{Action: "/form", Submit: "Send", Back: "/", Hidden: map[string]string{"id": "7"}, Inputs: []web.Input{
			{Name: "title", Label: "Title", Required: true, Help: "As printed."},
			{Name: "authors", Label: "Authors", Lines: 3},
			{Name: "base", Label: "Base", Options: []web.Option{{Value: "1", Label: "One"}, {Value: "2", Label: "<Two>"}}},
		}}
		f.Fill(req.PostForm.Get)
		f.Blame(problem.Of(wrong))
		return web.Page{Template: "form", Body: f, Wrong: wrong}, nil
	})
	http.MaxBytesHandler(h, 1000).ServeHTTP(w, req)
	return w
}

func TestAFormSaysWhatIsWrongAndKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	wrong := problem.Fields{}
	wrong.Add("book.title", "must not be empty")
	wrong.Add("book.title", "is the second thing")
	wrong.Add("book.authors[2]", "is too long")
	wrong.Add("colour", "is not known")
	w := sendForm(t, "title=%3Cb%3E&authors=%0D%0AA%0D%0AB&base=2", wrong.Err())
	for _, part := range []string{
		`role="alert">colour is not known.<`, `value="&lt;b&gt;"`, `aria-invalid="true" aria-describedby="in-title-help in-title-wrong"`,
		`id="in-title-wrong">Title must not be empty.<`, "Authors has a line that is too long.", "\n\r\nA\r\nB</textarea>",
		`<option value="2" selected="selected">&lt;Two&gt;</option>`, `type="hidden" name="id" value="7"`, `method="post"`,
	} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("no %s in\n%s", part, w.Body)
		}
	}
	if w.Code != http.StatusUnprocessableEntity || w.Header().Get("ETag") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestAPageIsUTF8WhateverWasTyped(t *testing.T) {
	t.Parallel()
	w := sendForm(t, "title=a%ffb&authors=%ed%a0%80", problem.InvalidField("title", nil, "is not text"))
	body := w.Body.String()
	if !utf8.ValidString(body) || !strings.Contains(body, "value=\"a\uFFFDb\"") || w.Header().Get("Content-Length") != strconv.Itoa(len(body)) {
		t.Errorf("%v\n%q", w.Header(), body)
	}
}

func TestAFormsStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		err        error
		status     int
		retry      string
		says       string
	}{
		{"a conflict", "", problem.New(problem.Conflict, "taken", "It is taken."), 409, "", "It is taken."},
		{"not now", "", problem.New(problem.Unavailable, "busy", "Busy."), 503, "1", "Busy."},
		{"what is not for users stays in the log", "", errors.New("pq: secret"), 500, "", "Internal error."},
		{"what cannot be read", "%zz", nil, 400, "", "Go back and send it again."},
		{"too much", strings.Repeat("x", 1001), nil, 413, "", "1000 bytes"},
	} {
		err := c.err
		if err == nil {
			err = errors.New("not reached")
		}
		w := sendForm(t, c.body, err)
		if w.Code != c.status || w.Header().Get("Retry-After") != c.retry || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %v\n%s", c.name, w.Code, w.Header(), w.Body)
		}
	}
}
