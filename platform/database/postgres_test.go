package database_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/problem"
)

func TestSettingsOfPostgres(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	for name, c := range map[string]struct {
		cfg  database.Config
		want map[string]string
	}{
		"by default": {database.Config{URL: url}, map[string]string{
			"application_name":                    "accession",
			"default_transaction_isolation":       "read committed",
			"synchronous_commit":                  "on",
			"timezone":                            "UTC",
			"lock_timeout":                        "5s",
			"statement_timeout":                   "30s",
			"idle_in_transaction_session_timeout": "1min",
			"search_path":                         `"$user", public`,
		}},
		"without limits": {database.Config{URL: url, LockTimeout: -1, StatementTimeout: -1, IdleInTransactionTimeout: -1}, map[string]string{
			"lock_timeout": "0", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
		}},
		"as the URL says": {database.Config{URL: with(t, url, "application_name=me&synchronous_commit=remote_apply&search_path=x&TimeZone=Asia/Tokyo&work_mem=5MB")}, map[string]string{
			"application_name": "me", "synchronous_commit": "remote_apply", "search_path": "x", "timezone": "UTC", "work_mem": "5MB",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, c.cfg)
			for setting, want := range c.want {
				for _, pool := range []*bun.DB{db.Write, db.Read} {
					var got string
					if err := pool.QueryRow("SHOW " + setting).Scan(&got); err != nil || got != want {
						t.Errorf("%s = %q, %v; want %q", setting, got, err, want)
					}
				}
			}
		})
	}
	_, err := database.Open(t.Context(), database.Config{URL: with(t, url, "synchronous_commit=OFF")})
	wantProblem(t, err, problem.Usage, "database-url", "synchronous_commit")
}

func TestReadDoesNotWrite(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		mustExec(t, db.Write, "CREATE TABLE t (n INTEGER)")
		if _, err := db.Read.Exec("INSERT INTO t VALUES (1)"); err == nil {
			t.Error("a statement on Read writes")
		}
		err := db.Read.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.Exec("INSERT INTO t VALUES (1)")
			return err
		})
		if err == nil {
			t.Error("a transaction on Read writes")
		}
		// What database/sql looks for in a connection is still there.
		if err := db.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		var n int
		if err := db.Read.DB.QueryRow("SELECT $1 + 1", 41).Scan(&n); err != nil || n != 42 {
			t.Errorf("a parameter on Read: %d, %v", n, err)
		}
	})
}

func TestAReaderOfPostgresDoesNotWrite(t *testing.T) {
	t.Parallel()
	url := dbtest.PostgresURL(t)
	db := open(t, database.Config{URL: url, ReadOnly: true})
	for _, pool := range []*bun.DB{db.Write, db.Read} {
		if _, err := pool.Exec("CREATE TABLE t (n INTEGER)"); err == nil {
			t.Error("a statement writes")
		}
		tx, err := pool.BeginTx(t.Context(), &sql.TxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("CREATE TABLE t (n INTEGER)"); err == nil {
			t.Error("a transaction writes")
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsWrongWithAServer(t *testing.T) {
	t.Parallel()
	// A server of its own: how one that was given to us lets people in is that one's affair.
	good := dbtest.NewServer(t).URL()
	change := func(f func(u *url.URL)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		f(u)
		return u.String()
	}
	db := open(t, database.Config{URL: good})
	mustExec(t, db.Write, "CREATE ROLE "+dbtest.NeedsPassword)
	mustExec(t, db.Write, "CREATE ROLE librarian LOGIN PASSWORD 'sesame' IN ROLE "+dbtest.NeedsPassword)
	open(t, database.Config{URL: change(func(u *url.URL) { u.User = url.UserPassword("librarian", "sesame") })})

	const closed = "127.0.0.1:1"         // where nobody listens: one that was free a moment ago may be another test's by now
	plain := serve(t, func(c net.Conn) { // a server that is asked for encryption and has none
		_, _ = c.Read(make([]byte, 8))
		_, _ = c.Write([]byte("N"))
		_, _ = c.Read(make([]byte, 8))
	})

	for _, c := range []struct {
		name, url, code string
		words           []string
	}{
		{name: "nobody listens", url: "postgres://u:sesame@" + closed + "/x", code: "database-unavailable", words: []string{"PostgreSQL at " + closed + " cannot be reached"}},
		{name: "there is no socket", url: "postgres:///x?host=/nowhere", code: "database-unavailable", words: []string{"/nowhere/.s.PGSQL.5432 cannot be reached"}},
		{name: "no encryption", url: "postgres://u@" + plain + "/x?sslmode=require", code: "database-unavailable", words: []string{"does not offer encryption", "sslmode=disable"}},
		{name: "unknown database", url: change(func(u *url.URL) { u.Path = "/no_such_database" }), code: "database-not-found", words: []string{`no database "no_such_database"`}},
		{name: "wrong password", url: change(func(u *url.URL) { u.User = url.UserPassword("librarian", "open") }), code: "database-login", words: []string{`refuses the user "librarian"`}},
		{name: "no password", url: change(func(u *url.URL) { u.User = url.User("librarian") }), code: "database-login"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := database.Open(t.Context(), database.Config{URL: c.url})
			wantProblem(t, err, problem.Unavailable, c.code, c.words...)
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

func TestALostConnection(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, db *database.DB, tx bun.Tx, p *proxy){
		"because the server ends the session": func(t *testing.T, db *database.DB, tx bun.Tx, _ *proxy) {
			var pid int
			if err := tx.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
				t.Fatal(err)
			}
			mustExec(t, db.Write, "SELECT pg_terminate_backend(?, 5000)", pid)
		},
		"because the network breaks": func(t *testing.T, db *database.DB, tx bun.Tx, p *proxy) { p.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, dbtest.PostgresURL(t))
			db := open(t, database.Config{URL: p.url})
			mustExec(t, db.Write, "CREATE TABLE t (n INTEGER)")
			tx, err := db.Write.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec("INSERT INTO t VALUES (1)"); err != nil {
				t.Fatal(err)
			}
			lose(t, db, tx, p)
			if err := tx.Commit(); !database.IsConnection(err) || database.IsBusy(err) || database.IsRetryable(err) {
				t.Errorf("COMMIT: %v; want a lost connection", err)
			}
			if n := count(t, db.Read); n != 0 { // and the pool makes itself a new one
				t.Errorf("%d rows", n)
			}
		})
	}
}

func TestContention(t *testing.T) {
	t.Parallel()
	db := open(t, database.Config{URL: dbtest.PostgresURL(t), LockTimeout: 1})
	mustExec(t, db.Write, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 0), (2, 0)")
	begin := func(level sql.IsolationLevel) bun.Tx {
		t.Helper()
		tx, err := db.Write.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
		return tx
	}
	do := func(tx bun.Tx, query string) error {
		_, err := tx.Exec(query)
		return err
	}

	a, b := begin(sql.LevelDefault), begin(sql.LevelDefault)
	if err := do(a, "SELECT * FROM t WHERE id = 1 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	if err := do(b, "SELECT * FROM t WHERE id = 1 FOR UPDATE"); !database.IsBusy(err) || database.IsRetryable(err) {
		t.Errorf("a lock held by another: %v; want busy", err)
	}
	if err := errors.Join(a.Rollback(), b.Rollback()); err != nil {
		t.Fatal(err)
	}

	a, b = begin(sql.LevelRepeatableRead), begin(sql.LevelDefault)
	if err := errors.Join(do(a, "SELECT * FROM t"), do(b, "UPDATE t SET n = n + 1"), b.Commit()); err != nil {
		t.Fatal(err)
	}
	if err := do(a, "UPDATE t SET n = n + 1"); !database.IsRetryable(err) || database.IsBusy(err) {
		t.Errorf("a write on an old snapshot: %v; want retryable", err)
	}
}

func TestADeadlockIsRetryable(t *testing.T) {
	t.Parallel()
	db := open(t, database.Config{URL: with(t, dbtest.PostgresURL(t), "deadlock_timeout=10ms")})
	mustExec(t, db.Write, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 0), (2, 0)")
	var txs [2]bun.Tx
	for i := range txs {
		tx, err := db.Write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("UPDATE t SET n = 1 WHERE id = ?", i+1); err != nil {
			t.Fatal(err)
		}
		txs[i] = tx
	}
	errs := make(chan error)
	for i, tx := range txs {
		go func() {
			_, err := tx.Exec("UPDATE t SET n = 1 WHERE id = ?", 2-i)
			errs <- errors.Join(err, tx.Rollback())
		}()
	}
	first, second := <-errs, <-errs
	if err := errors.Join(first, second); !database.IsRetryable(err) || (first == nil) == (second == nil) {
		t.Errorf("%v, %v; want one deadlock", first, second)
	}
}

// with is the URL with more parameters.
func with(t *testing.T, database, params string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	if u.RawQuery != "" {
		params = u.RawQuery + "&" + params
	}
	u.RawQuery = params
	return u.String()
}

// serve answers one connection after another on a port of its own, and gives its address.
func serve(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// proxy stands between a database and us, and can break every connection through it.
type proxy struct {
	url string
	cut func()
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", u.Host
	if dir := u.Query().Get("host"); dir != "" {
		network, address = "unix", filepath.Join(dir, ".s.PGSQL.5432")
	} else if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "5432")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })

	conns := make(chan net.Conn, 100)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				return
			}
			conns <- client
			conns <- server
			go pipe(client, server)
			go pipe(server, client)
		}
	}()
	q := u.Query()
	q.Del("host")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = l.Addr().String(), q.Encode()
	return &proxy{u.String(), func() {
		for {
			select {
			case c := <-conns:
				_ = c.Close()
			default:
				return
			}
		}
	}}
}

func pipe(from, to net.Conn) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			_ = from.Close()
			_ = to.Close()
			return
		}
	}
}
