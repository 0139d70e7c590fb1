package database_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"

	"github.com/uptrace/bun"
)

var sum = database.Statement{Name: "sum", Text: "(bigint, bigint) AS SELECT $1 + $2"}

// A session is told of a statement once; a message that fails leaves it open whether it knows, and such a session is discarded.
func TestASessionKeepsStatements(t *testing.T) {
	t.Parallel()
	db := open(t, database.Config{URL: dbtest.PostgresURL(t), WriteConns: 2})
	add := func(conn bun.Conn, args string) (text string, n int, err error) {
		text, kept, err := database.Keep(conn, sum)
		if err != nil {
			t.Fatal(err)
		}
		if err = conn.QueryRowContext(t.Context(), text+sum.Execute(args)).Scan(&n); err == nil {
			kept()
		}
		return text, n, err
	}
	take := func() bun.Conn {
		conn, err := db.Write.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	one, other := take(), take()
	for _, conn := range []bun.Conn{one, other, one, other} {
		if _, n, err := add(conn, "1, 2"); n != 3 || err != nil {
			t.Errorf("1 + 2 = %d, %v", n, err)
		}
	}
	if text, _, _ := add(one, "1, 2"); text != "" {
		t.Errorf("told again: %s", text)
	}
	for _, conn := range []bun.Conn{one, other} {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn, err := db.Write.Conn(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			if text, n, err := add(conn, "2, 2"); text != "" || n != 4 || err != nil {
				t.Errorf("a session from the pool: told %q, 2 + 2 = %d, %v", text, n, err)
			}
		})
	}
	wg.Wait()

	sqlite := dbtest.SQLite(t)
	conn, err := sqlite.Write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, _, err := database.Keep(conn, sum); err == nil {
		t.Error("SQLite keeps statements")
	}
}

// What the server says when it ended a session that did nothing is a lost connection, as any other.
func TestASessionEndedWhileIdleIsALostConnection(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	watch := open(t, database.Config{URL: url})
	db := open(t, database.Config{URL: newProxy(t, url).url, WriteConns: 1})
	conn, err := db.Write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var pid int
	if err := conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "SET idle_session_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	for there := true; there; {
		if err := watch.Read.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ?)", pid).Scan(&there); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN"); !database.IsConnection(err) {
		t.Errorf("%v; want a lost connection", err)
	}
}

// Where the network swallows everything there is no answer, not even to the request to cancel.
func TestAServerThatSaysNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	p := newProxy(t, dbtest.PostgresURL(t))
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var silent atomic.Bool
	pass := func(client net.Conn) {
		defer func() { _ = client.Close() }()
		server, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		}()
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if !silent.Load() {
				_, _ = client.Write(buf[:n])
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go pass(c)
		}
	}()
	through := *u
	through.Host = l.Addr().String()
	db := open(t, database.Config{URL: through.String(), StatementTimeout: time.Second, LockTimeout: time.Millisecond})
	conns := map[string]bun.Conn{}
	for name, pool := range map[string]*bun.DB{"reads": db.Read, "writes": db.Write} {
		if conns[name], err = pool.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	silent.Store(true)
	var wg sync.WaitGroup
	for name, conn := range conns {
		wg.Go(func() {
			if _, err := conn.ExecContext(t.Context(), "SELECT 1"); !database.IsConnection(err) {
				t.Errorf("%s: %v; want a lost connection", name, err)
			}
			_ = conn.Close()
		})
	}
	wg.Wait()
}
