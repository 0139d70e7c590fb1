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

// proxy stands between a client and PostgreSQL and cuts connections at a message of the client's choice.
type proxy struct {
	url      string
	listener net.Listener
	upstream string

	mu       sync.Mutex
	armed    bool
	seen     int  // messages of clients since it was armed
	at       int  // the message to cut at, from 1
	deliver  bool // the server gets that message, but its answer is lost; else it never arrives
	thenDown bool // after the cut nobody is let in
	down     bool
	fired    bool
	open     map[net.Conn]bool
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
		refused := p.down
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
		cut, deliver := false, false
		if !startup && message[0] != 'X' {
			cut, deliver = p.count()
		}
		startup = false
		if cut && !deliver {
			return
		}
		if cut {
			close(lost)
		}
		if _, err := server.Write(message); err != nil {
			return
		}
		if cut {
			_, _ = io.Copy(io.Discard, client) // until the answer closes both
			return
		}
	}
}

func (p *proxy) count() (cut, deliver bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.armed {
		return false, false
	}
	if p.seen++; p.seen != p.at {
		return false, false
	}
	p.armed, p.fired, p.down = false, true, p.thenDown
	return true, p.deliver
}

// arm has the connection cut that sends the at-th message from now on.
func (p *proxy) arm(at int, deliver, thenDown bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.seen, p.at, p.deliver, p.thenDown, p.fired, p.down = true, 0, at, deliver, thenDown, false, false
}

// disarm lets everything pass again and reports whether the cut happened.
func (p *proxy) disarm() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.down = false, false
	return p.fired
}

func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
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
