// Command accession is the whole product in one binary: the server with its page and API, and the tools of those who run it.
//
// Every subcommand has a file of its own; app.go wires what they share. Data goes to stdout, everything else to stderr; the
// exit status says what happened (see platform/problem).
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// The heap of a server is some ten MiB: collected as soon as it has doubled, it would be collected all the time.
		debug.SetGCPercent(400)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	os.Exit(run(ctx, os.Args[1:], system{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ()}))
}

// system is what a command sees of the world.
type system struct {
	in       io.Reader
	out, err io.Writer
	env      []string
}
