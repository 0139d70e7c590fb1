package acceptance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/platform/database/dbtest"
	"accession/platform/httpapi"
	"accession/test/app"
)

// prismCLI is Prism's program. `.ci/test` installs it, as .ci/referee/package-lock.json says.
const prismCLI = "../../.ci/referee/node_modules/@stoplight/prism-cli/dist/index.js"

// prism is Prism's proxy as a second referee, beside our own of httpapitest: one that others wrote, from the document alone.
//
// Prism reads a request before it passes it on: it takes JSON apart and puts it together again, answers what it cannot read by
// itself, and ends when a path is no UTF-8. An application behind it would never see what many of these tests are about. So the
// application is asked first, as the test asks it, and then Prism, behind which stands a server that gives the same answer.
// Races stay races, too.
type prism struct {
	url      string
	dir      string // of the document: Prism watches it, and starts anew when it changes or goes
	process  *exec.Cmd
	gone     chan struct{} // closed when the process has ended
	upstream *httptest.Server

	last    atomic.Int64
	answers sync.Map // number of the exchange → *httptest.ResponseRecorder
	words   lastWords
}

// lastWords are the last that Prism said: why it ended, if it did.
type lastWords struct {
	sync.Mutex
	said []byte
}

func (l *lastWords) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	l.said = append(l.said, b...)
	l.said = l.said[max(0, len(l.said)-4000):]
	return len(b), nil
}

func (l *lastWords) String() string {
	l.Lock()
	defer l.Unlock()
	return string(l.said)
}

// exchangeHeader carries the number of an exchange through Prism, there and back.
const exchangeHeader = "Test-Exchange"

var errNoPrism = errors.New("there is no Prism here: `.ci/test` installs it where there are node and npm")

// referee is the one Prism of this process. It starts when it is first asked for.
var referee struct {
	sync.Once
	*prism
	err error
}

// front puts Prism in front of an application's handler: an answer that it finds undeclared fails the test. Where it is not
// installed the handler stays as it is, but with CI=true the test fails.
func front(t testing.TB) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		p, err := prismFor(h)
		switch {
		case errors.Is(err, errNoPrism) && os.Getenv("CI") != "true":
			return h
		case err != nil:
			t.Fatalf("start Prism: %v", err)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, fault := range p.serve(w, r, h) {
				t.Errorf("Prism: %s %s: %s", r.Method, r.URL, fault)
			}
		})
	}
}

// prismFor is Prism with the document of an application. They all have the same.
func prismFor(h http.Handler) (*prism, error) {
	referee.Do(func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
		referee.prism, referee.err = startPrism(w.Body.Bytes())
	})
	return referee.prism, referee.err
}

// stopPrism ends Prism, if it was started.
func stopPrism() {
	if referee.prism != nil {
		referee.stop()
	}
}

func startPrism(document []byte) (*prism, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errNoPrism
	}
	if _, err := os.Stat(prismCLI); err != nil {
		return nil, errNoPrism
	}
	dir, err := os.MkdirTemp("", "accession-prism-")
	if err != nil {
		return nil, err
	}
	p := &prism{dir: dir, gone: make(chan struct{})}
	p.upstream = httptest.NewServer(http.HandlerFunc(p.replay))
	file := filepath.Join(dir, "openapi.json")
	p.process = exec.Command(node, prismCLI, "proxy", file, p.upstream.URL,
		"--host=127.0.0.1", "--port=0", "--errors=false", "--cors=false", "--multiprocess=false")
	p.process.SysProcAttr = noOrphan()
	out, err := p.process.StdoutPipe()
	p.process.Stderr = p.process.Stdout
	listens := make(chan error, 1)
	if err := errors.Join(err, os.WriteFile(file, document, 0o600)); err != nil {
		listens <- err
		close(p.gone)
	} else {
		go p.run(out, listens)
	}
	if err := <-listens; err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// run runs the process until it ends, and says when it listens.
func (p *prism) run(out io.Reader, listens chan<- error) {
	defer close(p.gone)
	runtime.LockOSThread() // with the thread that started it the process ends, too: see noOrphan
	if err := p.process.Start(); err != nil {
		listens <- err
		return
	}
	said := bufio.NewReader(io.TeeReader(out, &p.words))
	for p.url == "" {
		line, err := said.ReadString('\n')
		if err != nil {
			listens <- fmt.Errorf("%w: it said %s", err, &p.words)
			break
		}
		if _, address, ok := strings.Cut(line, "Prism is listening on "); ok {
			p.url = strings.TrimSpace(address)
			listens <- nil
		}
	}
	_, _ = io.Copy(io.Discard, said) // until it ends
	_ = p.process.Wait()             // it was killed, or its last words say why
}

func (p *prism) stop() {
	if p.process.Process != nil {
		_ = p.process.Process.Kill()
	}
	<-p.gone
	p.upstream.Close()
	_ = os.RemoveAll(p.dir) // a temporary one
}

// replay is the server behind Prism.
func (p *prism) replay(w http.ResponseWriter, r *http.Request) {
	number := r.Header.Get(exchangeHeader)
	a, ok := p.answers.Load(number)
	if !ok {
		http.Error(w, "no such exchange", http.StatusTeapot)
		return
	}
	answer := a.(*httptest.ResponseRecorder)
	maps.Copy(w.Header(), answer.Result().Header)
	w.Header().Set(exchangeHeader, number)
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // Prism says what it missed
}

// client opens a connection for each request: on one that is kept, a request may meet Prism hanging up.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

// serve answers with h, and says what Prism finds wrong with that.
func (p *prism) serve(w http.ResponseWriter, r *http.Request, h http.Handler) []string {
	var read bytes.Buffer
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r.Body, &read), r.Body}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)

	maps.Copy(w.Header(), answer.Result().Header)
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // a recorder's never fails
	if r.Context().Err() != nil {
		return nil // nobody was there to be answered
	}
	faults, err := p.judge(r, read.Bytes(), answer)
	if err != nil {
		return []string{err.Error()}
	}
	return faults
}

// violation is what Prism says of an exchange.
type violation struct {
	Location []string // begins with "request" or "response"
	Message  string
}

// judge plays an exchange to Prism. What is wrong with an answer is a fault; so is what is wrong with a request that was
// answered with success, because then the document refuses what the application takes. Of other requests Prism is told no more
// than where they went.
func (p *prism) judge(r *http.Request, body []byte, answer *httptest.ResponseRecorder) ([]string, error) {
	accepted := answer.Code < http.StatusBadRequest
	at := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath}
	if valid := strings.ToValidUTF8(at.Path, "\uFFFD"); valid != at.Path {
		at = url.URL{Path: valid}
	}
	header := http.Header{}
	if accepted {
		at.RawQuery, header = r.URL.RawQuery, r.Header.Clone()
		if len(body) > 0 && header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json") // as which the application reads it
		}
	} else {
		body = nil
	}
	number := fmt.Sprint(p.last.Add(1))
	p.answers.Store(number, answer)
	defer p.answers.Delete(number)

	asked, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, p.url+at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	header.Set(exchangeHeader, number)
	asked.Header = header
	judged, err := client.Do(asked)
	if err != nil {
		return nil, fmt.Errorf("it gives no answer: %w; its last words: %s", err, &p.words)
	}
	defer judged.Body.Close()
	if judged.Header.Get(exchangeHeader) != number {
		text, _ := io.ReadAll(judged.Body)
		return nil, fmt.Errorf("it did not pass the request on, but answered %d: %s", judged.StatusCode, text)
	}
	said := judged.Header.Get("Sl-Violations")
	if said == "" {
		return nil, nil
	}
	var violations []violation
	if err := json.Unmarshal([]byte(said), &violations); err != nil {
		return nil, fmt.Errorf("it said what cannot be read: %s", said)
	}
	var faults []string
	for _, v := range violations {
		where := strings.Join(v.Location, ".")
		if !strings.HasPrefix(where, "request") || accepted && r.Method != http.MethodHead && strings.HasPrefix(at.Path, httpapi.Prefix) {
			faults = append(faults, where+": "+v.Message)
		}
	}
	return faults, nil
}

// TestPrismFindsWhatIsUndeclared gives Prism answers that the document does not know, and some that it does.
func TestPrismFindsWhatIsUndeclared(t *testing.T) {
	t.Parallel()
	start(t, app.Config{DB: dbtest.SQLite(t)})
	if referee.prism == nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(errNoPrism, ", and with CI=true no test is skipped")
		}
		t.Skip("NOT JUDGED BY PRISM: ", errNoPrism)
	}
	library := expand(`{"id": "$lib1", "name": "N", "categories": 0}`)
	const isProblem = `{"type": "about:blank", "title": "T", "status": 404, "detail": "D", "code": "c"}`
	for _, c := range []struct {
		name         string
		method, path string
		sent         string
		status       int
		contentType  string
		body         string
		fault        string // what one of the faults says; "" when there is none
	}{
		{"as declared", "GET", "/api/v1/libraries/7", "", 200, "application/json", library, ""},
		{"a declared problem", "GET", "/api/v1/libraries/7", "", 404, "application/problem+json", isProblem, ""},
		{"a wrong request that is refused", "POST", "/api/v1/libraries", `{"nome": 7}`, 422, "application/problem+json", isProblem, ""},
		{"no JSON, which is refused", "POST", "/api/v1/libraries", `{`, 400, "application/problem+json", isProblem, ""},
		{"nothing there", "GET", "/api/v1/nothing", "", 404, "application/problem+json", isProblem, ""},
		{"a path that is no UTF-8", "GET", "/api/v1/libraries/%FF", "", 404, "application/problem+json", isProblem, ""},

		{"an undeclared status", "GET", "/api/v1/libraries/7", "", 418, "application/problem+json", isProblem, "status"},
		{"an undeclared success", "GET", "/api/v1/libraries/7", "", 203, "application/json", library, "status"},
		{"an undeclared media type", "GET", "/api/v1/libraries/7", "", 200, "text/html", "<p>7</p>", "media type"},
		{"a field that is missing", "GET", "/api/v1/libraries/7", "", 200, "application/json", `{"name": "N", "categories": 0}`, "'id'"},
		{"a field too many", "GET", "/api/v1/libraries/7", "", 200, "application/json", strings.Replace(library, "{", `{"colour": "red", `, 1), "'colour'"},
		{"a field of another type", "GET", "/api/v1/libraries/7", "", 200, "application/json", strings.Replace(library, "0}", `"none"}`, 1), "response.body.categories"},
		{"a wrong request that is taken", "POST", "/api/v1/libraries", `{"name": 7}`, 201, "application/json", library, "request.body.name"},
		{"a route that is not in the document", "GET", "/api/v1/nothing", "", 200, "application/json", `{}`, "route not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", c.contentType)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			w := httptest.NewRecorder()
			faults := referee.serve(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.sent)), h)
			if found := strings.Join(faults, "\n"); (c.fault == "") != (found == "") || !strings.Contains(found, c.fault) {
				t.Errorf("found %q, want one that says %q", faults, c.fault)
			}
			if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Content-Type") != c.contentType {
				t.Errorf("the answer came through as %d %s %s", w.Code, w.Header(), w.Body)
			}
		})
	}
}
