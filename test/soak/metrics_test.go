//go:build unix

package soak_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"accession/platform/consistency"
)

// TestMetricsPassPromtool lets Prometheus's own tool look at the metrics of a server that has worked in every mode. Where there
// is none (Debian has it in the package prometheus) the test is skipped; with CI=true it fails.
func TestMetricsPassPromtool(t *testing.T) { //nolint:paralleltest // the soaks want the machine for themselves
	promtool, err := exec.LookPath("promtool")
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skip("NOT CHECKED BY PROMTOOL: ", err)
	}
	dir := t.TempDir()
	s := newSoak(t)
	server := newServer(t, dir, "sqlite:"+dir+"/accession.db")
	s.servers = append(s.servers, server)
	s.begin()
	for _, mode := range consistency.Built() {
		w := s.writer()
		if !w.settle("", http.MethodPut, "/ops/constraints/book-number/mode", body{"mode": mode.String(), "reason": "metrics"}, nil) {
			t.Fatalf("the mode does not become %s", mode)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(s.writer().addBook)
		}
		wg.Wait()
	}
	metrics := s.metrics()
	for _, mode := range consistency.Built() {
		if !strings.Contains(metrics, fmt.Sprintf(`accession_constraint_attempts_total{constraint="book-number",mode="%s"`, mode)) {
			t.Errorf("nothing was counted in %s", mode)
		}
	}
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(metrics)
	if said, err := check.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("promtool: %v\n%s", err, said)
	}
	server.end(syscall.SIGTERM)
}

// metrics are those of the first server.
func (s *soak) metrics() string {
	s.t.Helper()
	answer, err := s.client.Get(s.servers[0].reach() + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("metrics: %s %v", answer.Status, err)
	}
	return string(b)
}

// writer is another writer.
func (s *soak) writer() *writer {
	return &writer{soak: s}
}
