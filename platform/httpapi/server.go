package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"accession/platform/problem"
)

// ServerConfig says where and how a [Server] listens. Only Addr is required.
type ServerConfig struct {
	Addr            string        // host:port; without a host every interface, port 0 is any free one
	ShutdownTimeout time.Duration // how long requests under way may take once the server stops; 0: 10 s
	Logger          *slog.Logger  // nil: slog.Default
	OnStop          func()        // called when the server begins to stop, usually API.Stop; nil: nothing
}

// How long a client may take, and be idle.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Server answers on an address.
type Server struct {
	config   ServerConfig
	listener net.Listener
	http     *http.Server
}

// Listen takes the address: from here on clients can connect; they are answered when [Server.Serve] is called. Its error is a
// *problem.Error that says what to do: Usage when there is no such address, Unavailable when it cannot be had now. ctx bounds only
// the look-up of the host's name.
func Listen(ctx context.Context, c ServerConfig, h http.Handler) (*Server, error) {
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, DefaultShutdownTimeout)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, listenError(c.Addr, err)
	}
	return &Server{config: c, listener: l, http: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelWarn),
	}}, nil
}

func listenError(addr string, err error) error {
	const setting = "--addr (or http.addr in the configuration)"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return problem.New(problem.Unavailable, "address-in-use",
			"Another process listens on %s already. Stop it, or choose another address with %s; port 0 takes any free one.", addr, setting).Because(err)
	case errors.Is(err, syscall.EACCES):
		return problem.New(problem.Unavailable, "address-forbidden",
			"This user may not listen on %s. Choose a port above 1023 with %s.", addr, setting).Because(err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return problem.New(problem.Usage, "address-unknown",
			"%s is not an address of this machine. Choose another with %s, for example 127.0.0.1:8080, or :8080 for every interface.", addr, setting).Because(err)
	}
	return problem.New(problem.Usage, "address-malformed",
		"%q is not an address to listen on. Choose one with %s as host:port, for example 127.0.0.1:8080.", addr, setting).Because(err)
}

// Addr is the address that was taken, with the port that was found.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is the address as something to open in a browser.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		return "http://" + s.Addr().String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Close gives the address back, instead of a call of Serve.
func (s *Server) Close() error { return s.listener.Close() }

// Serve answers until ctx is done. Then it stops accepting, finishes what it accepted, and returns nil; if that takes longer than
// the shutdown time-out it cuts off the rest and returns an Unavailable error. Call it once.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	if s.config.OnStop != nil {
		s.config.OnStop()
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = s.http.Close() // it is over either way
		return problem.New(problem.Unavailable, "shutdown-timeout", "Some requests took longer than %v to finish and were cut off.", s.config.ShutdownTimeout)
	}
	if err != nil {
		return fmt.Errorf("stop HTTP server: %w", err)
	}
	return nil
}
