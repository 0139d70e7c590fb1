package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"accession/platform/httpapi"
	"accession/platform/problem"
)

// serve runs a server until stop is called; what Serve then returned is in the channel.
func serve(t *testing.T, c httpapi.ServerConfig, h http.Handler) (*httpapi.Server, context.CancelFunc, <-chan error) {
	t.Helper()
	c.Addr = "127.0.0.1:0"
	s, err := httpapi.Listen(t.Context(), c, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error, 1)
	go func() { returned <- s.Serve(ctx) }()
	return s, cancel, returned
}

func TestServerFinishesWhatItAccepted(t *testing.T) {
	t.Parallel()
	began, stopping, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s, stop, done := serve(t, httpapi.ServerConfig{ShutdownTimeout: time.Minute, OnStop: func() { close(stopping) }},
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(began)
			<-release
			fmt.Fprint(w, "whole")
		}))
	answered := make(chan string, 1)
	go func() {
		answer, err := http.Get(s.URL())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		answered <- string(body)
	}()
	<-began
	stop()
	<-stopping
	close(release)
	if got := <-answered; got != "whole" {
		t.Errorf("the client got %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
	if conn, err := net.Dial("tcp", s.Addr().String()); err == nil {
		conn.Close()
		t.Error("it still accepts")
	}
}

func TestServerCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	began, cut := make(chan struct{}), make(chan struct{})
	s, stop, done := serve(t, httpapi.ServerConfig{ShutdownTimeout: time.Millisecond},
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(began)
			<-r.Context().Done()
			close(cut)
		}))
	go func() {
		if answer, err := http.Get(s.URL()); err == nil {
			answer.Body.Close()
		}
	}()
	<-began
	stop()
	if err := <-done; problem.Of(err).Code != "shutdown-timeout" {
		t.Errorf("serve: %v", err)
	}
	<-cut
}

// TestABodyThatDoesNotComeKeepsNobody: whoever is to read it, a handler of the API, one of a page, or nobody.
func TestABodyThatDoesNotComeKeepsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{BodyTimeout: time.Millisecond})
	b.api.Page("POST /page", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		http.Error(w, "gave up", map[bool]int{true: 400, false: 200}[err != nil])
	}))
	s, stop, done := serve(t, httpapi.ServerConfig{}, b.api)
	for request, status := range map[string]int{
		"POST /api/v1/shelves": 408, "POST /api/v1/nothing": 404, "GET /api/v1/shelves": 200, "POST /page": 400, "POST /nothing": 404, "GET /livez": 200,
	} {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", request)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		if answer.Body.Close(); answer.StatusCode != status || !answer.Close {
			t.Errorf("%s: %d, closes %v; want %d, and that it closes", request, answer.StatusCode, answer.Close, status)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTheTimeForABodyIsNotThatOfAHandler: one that works longer than the body may take is not interrupted.
func TestTheTimeForABodyIsNotThatOfAHandler(t *testing.T) {
	t.Parallel()
	const limit = 5 * time.Second // far more than a busy machine takes to read what is there
	b := setup(t, httpapi.Config{BodyTimeout: limit})
	b.api.Page("POST /page", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		late := time.NewTimer(limit + limit/10)
		defer late.Stop()
		select {
		case <-late.C:
		case <-r.Context().Done():
			err = errors.Join(err, r.Context().Err())
		}
		fmt.Fprintf(w, "%s %v", body, err)
	}))
	server := httptest.NewServer(b.api)
	defer server.Close()
	answer, err := http.Post(server.URL+"/page", "text/plain", strings.NewReader("all"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); string(got) != "all <nil>" || err != nil {
		t.Errorf("the handler says %q, %v", got, err)
	}
}

// TestAnAnswerThatNobodyReadsKeepsNobody: a client that asks and does not read is left alone.
func TestAnAnswerThatNobodyReadsKeepsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, httpapi.Config{ReadingTimeout: time.Millisecond})
	wrote := make(chan error, 1)
	b.api.Page("GET /long", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20)) // more than any socket takes
		wrote <- err
	}))
	s, stop, done := serve(t, httpapi.ServerConfig{ShutdownTimeout: time.Minute}, b.api)
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-wrote; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the handler wrote: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestAConnectionIsUsedAgainAfterItsTimeIsOver: what one answer was given does not count for the next.
func TestAConnectionIsUsedAgainAfterItsTimeIsOver(t *testing.T) {
	t.Parallel()
	const limit = 5 * time.Second // far more than a busy machine takes from a write to its flush
	b := setup(t, httpapi.Config{ReadingTimeout: limit})
	b.api.Page("GET /late", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "silent" {
			late := time.NewTimer(limit + limit/10)
			defer late.Stop()
			<-late.C
			return
		}
		fmt.Fprint(w, "first")
	}))
	s, _, _ := serve(t, httpapi.ServerConfig{}, b.api)
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, path := range []string{"/late", "/late?silent", "/late"} {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		want := map[string]string{"/late": "first"}[path]
		body, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK || string(body) != want {
			t.Errorf("%s: %d %q %v", path, answer.StatusCode, body, err)
		}
	}
}

func TestServerStopsBeforeItBegan(t *testing.T) {
	t.Parallel()
	_, stop, done := serve(t, httpapi.ServerConfig{}, http.NotFoundHandler())
	stop()
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestListenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	taken, err := httpapi.Listen(t.Context(), httpapi.ServerConfig{Addr: "127.0.0.1:0"}, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		name, addr, code string
		kind             problem.Kind
	}{
		{"taken", taken.Addr().String(), "address-in-use", problem.Unavailable},
		{"not of this machine", "192.0.2.1:0", "address-unknown", problem.Usage},
		{"no port", "127.0.0.1", "address-malformed", problem.Usage},
		{"a port that is none", "127.0.0.1:http!", "address-malformed", problem.Usage},
		{"a port that is too large", "127.0.0.1:65536", "address-malformed", problem.Usage},
		{"nothing at all", "::::", "address-malformed", problem.Usage},
	} {
		s, err := httpapi.Listen(t.Context(), httpapi.ServerConfig{Addr: test.addr}, http.NotFoundHandler())
		if err == nil {
			s.Close()
		}
		var e *problem.Error
		if !errors.As(err, &e) || e.Kind != test.kind || e.Code != test.code || !strings.Contains(e.Message, "--addr") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestServerURLCanBeOpened(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{"127.0.0.1:0": "http://127.0.0.1:", ":0": "http://localhost:"} {
		s, err := httpapi.Listen(t.Context(), httpapi.ServerConfig{Addr: addr}, http.NotFoundHandler())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.URL(); !strings.HasPrefix(got, want) || strings.HasSuffix(got, ":0") {
			t.Errorf("%s is %s", addr, got)
		}
		s.Close()
	}
}
