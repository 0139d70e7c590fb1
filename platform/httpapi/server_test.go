package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
