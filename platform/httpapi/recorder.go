package httpapi

import (
	"net/http"
	"time"
)

// recorder remembers what was answered. It passes everything through; http.ResponseController finds the connection behind it. A
// client that does not read what it asked for is not waited for, as long as there is a patience.
type recorder struct {
	http.ResponseWriter
	status   int           // 0 until the answer begins
	bytes    int64         // of the body
	broken   bool          // the answer began but will not be completed
	patience time.Duration // for each piece; 0: for ever
}

// piece is how much of an answer is written at a time.
const piece = 64 << 10

// newRecorder records an answer to a request that has just come.
func newRecorder(w http.ResponseWriter, patience time.Duration) *recorder {
	r := &recorder{ResponseWriter: w, patience: patience}
	r.deadline(time.Time{}) // the last answer's on the connection
	return r
}

func (r *recorder) deadline(t time.Time) {
	http.NewResponseController(r.ResponseWriter).SetWriteDeadline(t) //nolint:errcheck // there is no connection in some tests
}

// Status is the status that was answered, or 0 when nothing was yet.
func (r *recorder) Status() int { return r.status }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK { // 1xx is not the answer yet
		r.status = status
	}
	r.wait()
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.begin()
	written := 0
	for {
		r.wait()
		n, err := r.ResponseWriter.Write(b[:min(len(b), piece)])
		written, r.bytes, b = written+n, r.bytes+int64(n), b[n:]
		if err != nil || len(b) == 0 {
			return written, err
		}
	}
}

// wait gives the client time for what is written next.
func (r *recorder) wait() {
	if r.patience > 0 {
		r.deadline(time.Now().Add(r.patience))
	}
}

// Flush is for those who ask for an http.Flusher.
func (r *recorder) Flush() { r.FlushError() } //nolint:errcheck // Flush cannot say it

// FlushError is what http.ResponseController calls. To flush is to begin the answer.
func (r *recorder) FlushError() error {
	r.begin()
	r.wait()
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
