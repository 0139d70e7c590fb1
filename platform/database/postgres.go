package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"accession/platform/problem"
)

func openPostgres(ctx context.Context, cfg Config, u *url.URL) (*DB, error) {
	server, err := postgresConfig(cfg, u)
	if err != nil {
		return nil, err
	}
	db := &DB{Dialect: Postgres, location: withoutPassword(u), readOnly: cfg.ReadOnly, config: cfg, server: server}

	readers := server.Clone()
	readers.Runtime["default_transaction_read_only"] = "on"
	connector, err := newConnector(cfg, readers)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	dialect := pgdialect.New()
	db.Read = bun.NewDB(postgresPool(cfg.ReadConns, readOnlyConnector{connector}), dialect)
	db.Write = db.Read
	if !cfg.ReadOnly {
		connector, err := newConnector(cfg, server)
		if err != nil {
			return nil, fmt.Errorf("open database: %w", err)
		}
		db.Write = bun.NewDB(postgresPool(cfg.WriteConns, writeConnector{connector}), dialect)
	}

	if err := db.Write.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, postgresProblem(server, err)
	}
	return db, nil
}

func postgresPool(conns int, c driver.Connector) *sql.DB {
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return pool
}

// newConnector makes connections that do not wait for a server for ever: where the network swallows everything, lib/pq goes on waiting
// even after a context has ended, for its answer to the request to cancel.
func newConnector(cfg Config, server pq.Config) (*pq.Connector, error) {
	c, err := pq.NewConnectorConfig(server)
	if err == nil && cfg.StatementTimeout > 0 { // which bounds what a server that is there may take
		c.Dialer(dialer{limit: 2*cfg.StatementTimeout + max(cfg.LockTimeout, 0) + time.Second})
	}
	return c, err
}

// dialer dials for lib/pq, which uses DialContext of it.
type dialer struct {
	limit time.Duration // how long a server may be silent
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &impatientConn{Conn: c, limit: d.limit}, nil
}

// impatientConn reads, and writes, for no longer than a limit at a time, unless it was given a deadline.
type impatientConn struct {
	net.Conn
	limit    time.Duration
	deadline time.Time // lib/pq's for the handshake
}

func (c *impatientConn) SetDeadline(t time.Time) error {
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

func (c *impatientConn) Read(b []byte) (int, error) {
	if c.deadline.IsZero() {
		if err := c.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}

func (c *impatientConn) Write(b []byte) (int, error) {
	if c.deadline.IsZero() {
		if err := c.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// postgresConfig is what a pool connects with: what the URL and the environment say, and what this package insists on.
func postgresConfig(cfg Config, u *url.URL) (pq.Config, error) {
	server, err := pq.NewConfig(u.String())
	if err != nil {
		return pq.Config{}, problem.New(problem.Usage, "database-url",
			"The PostgreSQL URL, or a variable such as PGHOST beside it, has a setting that is not understood.").Because(err)
	}
	// Parameters are named without regard to case, and two of one name would both be sent.
	runtime := make(map[string]string, len(server.Runtime))
	for k, v := range server.Runtime {
		runtime[strings.ToLower(k)] = v
	}
	switch c := strings.ToLower(runtime["synchronous_commit"]); {
	case c == "":
		runtime["synchronous_commit"] = "on"
	case !slices.Contains([]string{"on", "remote_apply", "remote_write"}, c):
		return pq.Config{}, problem.New(problem.Usage, "database-url",
			"The PostgreSQL URL sets synchronous_commit to %q, so that what was acknowledged could be lost. Leave it out.", c)
	}
	maps.Copy(runtime, map[string]string{
		"default_transaction_isolation":       "read committed",
		"default_transaction_read_only":       "off", // readers turn it on again
		"default_transaction_deferrable":      "off",
		"standard_conforming_strings":         "on", // what bun writes into statements counts on it
		"array_nulls":                         "on", // and what Values writes on this: else NULL would be a word
		"timezone":                            "UTC",
		"lock_timeout":                        strconv.FormatInt(milliseconds(cfg.LockTimeout, 0), 10),
		"statement_timeout":                   strconv.FormatInt(milliseconds(cfg.StatementTimeout, 0), 10),
		"idle_in_transaction_session_timeout": strconv.FormatInt(milliseconds(cfg.IdleInTransactionTimeout, 0), 10),
	})
	server.Runtime = runtime
	server.Host = strings.Trim(server.Host, "[]") // lib/pq leaves them around an IPv6 address without a port
	orDefault(&server.ApplicationName, "accession")
	orDefault(&server.ConnectTimeout, 10*time.Second)
	if server.SSLMode == "" {
		switch {
		case server.SSLRootCert != "":
			server.SSLMode = pq.SSLModeVerifyFull
		case isLocal(server):
			server.SSLMode = pq.SSLModeDisable
		default:
			server.SSLMode = pq.SSLModeRequire
		}
	}
	return server, nil
}

// isLocal reports whether all hosts are this machine, by what they are called, without asking the network.
func isLocal(server pq.Config) bool {
	local := func(host string, addr netip.Addr) bool {
		if addr.IsValid() {
			return addr.IsLoopback()
		}
		if host == "" || host == "localhost" || filepath.IsAbs(host) || strings.HasPrefix(host, "@") {
			return true
		}
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.IsLoopback()
	}
	return local(server.Host, server.Hostaddr) && !slices.ContainsFunc(server.Multi, func(h pq.ConfigMultihost) bool {
		return !local(h.Host, h.Hostaddr)
	})
}

// withoutPassword is u for people's eyes.
func withoutPassword(u *url.URL) string {
	shown := *u
	if u.User != nil {
		shown.User = url.User(u.User.Username())
	}
	q := u.Query()
	for k := range q {
		if k := strings.ToLower(k); strings.Contains(k, "password") || k == "sslkey" {
			q.Del(k)
		}
	}
	shown.RawQuery = q.Encode()
	return shown.String()
}

// readOnlyConnector makes every transaction read only. The parameter default_transaction_read_only does so for single
// statements, but lib/pq begins a transaction with READ WRITE unless it is asked not to.
type readOnlyConnector struct{ driver.Connector }

func (r readOnlyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return readOnlyConn{conn.(postgresConn)}, nil
}

// postgresConn is all that database/sql looks for in a connection of lib/pq.
type postgresConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type readOnlyConn struct{ postgresConn }

func (c readOnlyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	opts.ReadOnly = true
	return c.postgresConn.BeginTx(ctx, opts)
}

// writeConnector makes connections that know which statements their sessions keep.
type writeConnector struct{ driver.Connector }

func (w writeConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := w.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &writeConn{conn.(postgresConn), map[string]bool{}}, nil
}

// writeConn belongs to one goroutine at a time, as every connection does.
type writeConn struct {
	postgresConn
	keeps map[string]bool // statements, by name
}

// session opens one session without time limits, beside the pools. What belongs to the session ends with it: if its
// connection is lost, the next statement fails instead of going on in another session.
func (db *DB) session() (*bun.DB, error) {
	server := db.server.Clone()
	for _, limit := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
		server.Runtime[limit] = "0"
	}
	connector, err := pq.NewConnectorConfig(server)
	if err != nil {
		return nil, err
	}
	return bun.NewDB(postgresPool(1, &onceConnector{Connector: connector}), pgdialect.New()), nil
}

type onceConnector struct {
	driver.Connector
	used atomic.Bool
}

var errSessionLost = errors.New("the session with the database was lost")

func (c *onceConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.used.Swap(true) {
		return nil, errSessionLost
	}
	return c.Connector.Connect(ctx)
}

// postgresProblem says for people why the server could not be had.
func postgresProblem(server pq.Config, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("open database: %w", err)
	}
	address := net.JoinHostPort(server.Host, strconv.Itoa(int(server.Port)))
	if filepath.IsAbs(server.Host) {
		address = filepath.Join(server.Host, ".s.PGSQL."+strconv.Itoa(int(server.Port)))
	}
	unavailable := func(code, format string, args ...any) error {
		return problem.New(problem.Unavailable, code, "PostgreSQL at "+address+" "+format, args...).Because(err)
	}
	if errors.Is(err, pq.ErrSSLNotSupported) {
		return unavailable("database-unavailable", "does not offer encryption. Set it up there; or, if the network between can be trusted, add sslmode=disable to the URL.")
	}
	if e := pq.As(err); e != nil {
		switch e.Code {
		case pqerror.InvalidPassword, pqerror.InvalidAuthorizationSpecification:
			return unavailable("database-login", "refuses the user %q. Check the user and the password.", server.User)
		case pqerror.InvalidCatalogName:
			return unavailable("database-not-found", "has no database %q. Create it there first: createdb %s.", server.Database, server.Database)
		case pqerror.CannotConnectNow:
			return unavailable("database-unavailable", "is starting or stopping. Try again in a moment.")
		case pqerror.TooManyConnections:
			return unavailable("database-unavailable", "has no connection left. Raise its max_connections, or lower the pools.")
		}
		return unavailable("database-unavailable", "refuses the connection.")
	}
	return unavailable("database-unavailable", "cannot be reached. Is it running, and is the address right?")
}
