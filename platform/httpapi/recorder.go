package httpapi

import "net/http"

// recorder remembers what was answered. It passes everything through; http.ResponseController finds the connection behind it.
type recorder struct {
	http.ResponseWriter
	status int   // 0 until the answer begins
	bytes  int64 // of the body
	broken bool  // the answer began but will not be completed
}

// Status is the status that was answered, or 0 when nothing was yet.
func (r *recorder) Status() int { return r.status }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK { // 1xx is not the answer yet
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.begin()
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Flush is for those who ask for an http.Flusher.
func (r *recorder) Flush() { r.FlushError() } //nolint:errcheck // Flush cannot say it

// FlushError is what http.ResponseController calls. To flush is to begin the answer.
func (r *recorder) FlushError() error {
	r.begin()
	return http.NewResponseController(r.ResponseWriter).Flush()
}

func (r *recorder) begin() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard is a ResponseWriter of which only the header is kept.
type discard http.Header

func (d discard) Header() http.Header         { return http.Header(d) }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
