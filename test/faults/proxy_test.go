package faults_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// proxy stands between a client and PostgreSQL, and does harm to a message of the test's choice.
type proxy struct {
	url      string
	listener net.Listener
	upstream string

	mu       sync.Mutex
	armed    bool
	seen     int    // messages of clients since it was armed
	at       int    // the message that it happens to, from 1
	fault    fault  // what happens to it
	outage   outage // what follows the cut
	refusing int    // how many connections are refused from now on; below 0: all
	fired    bool
	open     map[net.Conn]bool
}

// fault is what happens to a message.
type fault int

const (
	neverArrives fault = iota // the connection is cut before the server has it
	answerLost                // the server does what it says, but its answer is lost with the connection
	failsThere                // the server gets a statement that fails in its place; nothing is cut
)

func (f fault) String() string {
	return [...]string{"never arrives", "answer lost", "fails there"}[f]
}

// outage is what follows a cut: how many who come anew are refused. With any but 0 all other connections are cut too.
type outage int

const (
	backAtOnce     outage = 0
	backAfterTries outage = 4
	notBack        outage = -1
)

func (o outage) String() string {
	return map[outage]string{backAtOnce: "back at once", backAfterTries: "back after some tries", notBack: "not back"}[o]
}

func newProxy(t *testing.T, serverURL, socket string) *proxy {
	t.Helper()
	dir := t.TempDir()
	if len(dir) > 80 { // the path of a socket has room for some hundred bytes
		t.Fatalf("the temporary directory's name is too long for a socket: %s", dir)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	p := &proxy{url: u.String(), listener: l, upstream: socket, open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		_ = l.Close()
		p.cutAll()
	})
	go p.accept()
	return p
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refused := p.refusing != 0
		if p.refusing > 0 {
			p.refusing--
		}
		p.mu.Unlock()
		if refused {
			_ = c.Close()
			continue
		}
		go p.serve(c)
	}
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("unix", p.upstream)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	stop := func() {
		_, _ = client.Close(), server.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, client)
		delete(p.open, server)
	}
	lost := make(chan struct{}) // closed: what the server answers from now on is lost
	go func() {
		defer stop()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			select {
			case <-lost:
				return // the server has answered, so it has done what it was told
			default:
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	defer stop()
	startup := true
	for {
		message, err := readMessage(client, startup)
		if err != nil {
			return
		}
		at, f := false, neverArrives
		if !startup && message[0] != 'X' {
			at, f = p.count(client, server)
		}
		startup = false
		switch {
		case at && f == neverArrives:
			return
		case at && f == answerLost:
			close(lost)
		case at:
			message = query("SELECT 1/0")
		}
		if _, err := server.Write(message); err != nil {
			return
		}
		if at && f == answerLost {
			_, _ = io.Copy(io.Discard, client) // until the answer closes both
			return
		}
	}
}

// count counts a message on its way from a client to the server, and says whether it is the one, and what happens to it.
func (p *proxy) count(client, server net.Conn) (bool, fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.armed {
		return false, 0
	}
	if p.seen++; p.seen != p.at {
		return false, 0
	}
	p.armed, p.fired, p.refusing = false, true, int(p.outage)
	for c := range p.open {
		if p.outage != backAtOnce && c != client && c != server {
			_ = c.Close()
		}
	}
	return true, p.fault
}

// arm has the fault happen to the at-th message from now on.
func (p *proxy) arm(at int, f fault, then outage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.seen, p.at, p.fault, p.outage, p.fired, p.refusing = true, 0, at, f, then, false, 0
}

// disarm lets everything pass again and reports whether the fault happened.
func (p *proxy) disarm() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.refusing = false, 0
	return p.fired
}

func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

// query is a message of a client that asks for one statement.
func query(statement string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(4+len(statement)+1))
	return append(append(m, statement...), 0)
}

// readMessage reads one message of a client: https://www.postgresql.org/docs/current/protocol-message-formats.html
func readMessage(r io.Reader, startup bool) ([]byte, error) {
	header := make([]byte, 5)
	if startup {
		header = header[:4]
	}
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(header[len(header)-4:]))
	if length < 4 || length > 64<<20 {
		return nil, errors.New("not a message")
	}
	body := make([]byte, length-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return slices.Concat(header, body), nil
}
