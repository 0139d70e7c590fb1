package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// hurry is the body of a request on a connection that gives up when not all of it has come in time. That holds for whoever reads
// it, a handler or, once the answer is there, net/http, which reads what a handler left before it writes: without a deadline a
// client that goes on sending for ever would keep both of them.
func hurry(w http.ResponseWriter, body io.ReadCloser, limit time.Duration) io.ReadCloser {
	conn := http.NewResponseController(w)
	conn.SetReadDeadline(time.Now().Add(limit)) //nolint:errcheck // there is no connection in some tests
	return hurried{body, conn}
}

type hurried struct {
	io.ReadCloser
	conn *http.ResponseController
}

// Read implements io.Reader. At the end of the body the deadline goes: it would end the context of a handler that takes longer. Of
// a body that did not come it stays, so that nobody waits for the rest.
func (b hurried) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	}
	return n, err
}
