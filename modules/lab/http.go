package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"accession/modules/catalogue"
	"accession/modules/editions"
	"accession/modules/library"
	"accession/platform/consistency"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/projection"
	"accession/platform/usecase"
)

// HTTP is what the name of a mode ends with that is measured through the API: "queue+http". Each call is a request to a server
// in this process, on the loopback interface; behind it the projectors play, as they do in every server.
const HTTP = "+http"

// front is what a space has that is asked over HTTP: servers before its runners, and projectors behind them.
type front struct {
	projections *projection.Projectionist
	run         func(func(context.Context)) // runs it until close
	end         func()
	running     sync.WaitGroup
}

// open boots the projectors and lets them play.
func (b *bench) open(ctx context.Context) error {
	projectors, err := module.Projectors(modules)
	if err != nil {
		return err
	}
	p, err := projection.New(projection.Config{
		DB: b.space.DB, Log: b.log, Registry: b.registry, Projectors: projectors, Timing: projection.Background,
		Patience: b.Settings.LockTimeout, Logger: silent,
	})
	if err != nil {
		return err
	}
	if err := p.Boot(ctx); err != nil {
		return err
	}
	background, end := context.WithCancel(context.WithoutCancel(ctx)) // it ends with close, when nobody asks any more
	f := &front{projections: p, end: end}
	f.run = func(what func(context.Context)) { f.running.Go(func() { what(background) }) }
	f.run(p.Play)
	b.front = f
	return f.settle(ctx)
}

// silent is for what has nothing to say to who measures.
var silent = slog.New(slog.DiscardHandler)

// settle waits until the projectors have played all there is, so that they do not disturb who is next.
func (f *front) settle(ctx context.Context) error {
	head, err := f.projections.Head(ctx)
	if err != nil {
		return err
	}
	for _, p := range f.projections.Projectors {
		if err := f.projections.Wait(ctx, p.Name, head); err != nil {
			return err
		}
	}
	return nil
}

// close ends what runs.
func (f *front) close() {
	f.end()
	f.running.Wait()
}

// overHTTP asks a server of its own for the commands.
func (b *bench) overHTTP(ctx context.Context, mode consistency.Mode, m consistency.Meter) (func(context.Context, int) error, error) {
	f := b.front
	runner := b.runner(mode, m)
	runner.Immediate = f.projections.Immediate()
	runner.Committed = func(context.Context, usecase.Receipt) { f.projections.Ring() }
	api := httpapi.New(httpapi.Config{Logger: silent})
	module.Routes(modules, api, module.Env{Runner: runner, Log: b.log, Projections: f.projections})
	server, err := httpapi.Listen(ctx, httpapi.ServerConfig{Addr: "127.0.0.1:0", Logger: silent, OnStop: api.Stop}, api)
	if err != nil {
		return nil, err
	}
	f.run(func(ctx context.Context) { _ = server.Serve(ctx) }) // whoever asks learns of it
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: b.Writers, DisableCompression: true}}
	return func(ctx context.Context, i int) error {
		path, body := asked(b.load.request(i))
		return post(ctx, client, server.URL()+httpapi.Prefix+path, body)
	}, nil
}

// asked is the request as a client of the API has it, who leaves ids to the server.
func asked(r usecase.Request) (path string, body any) {
	imprint := func(i editions.Imprint) map[string]any {
		return map[string]any{"language": i.Language, "publisher": i.Publisher}
	}
	book := func(c catalogue.AddBook) map[string]any {
		return map[string]any{"title": c.Title, "authors": c.Authors, "edition": imprint(c.Edition.Imprint)}
	}
	switch c := r.Command.(type) {
	case catalogue.AddBook:
		return "/categories/" + c.Category.String() + "/books", book(c)
	case library.CreateCategory:
		return "/libraries/" + c.Library.String() + "/categories", map[string]any{"name": c.Name, "book": book(c.Book)}
	case editions.AddEdition:
		e := imprint(c.Imprint)
		e["base_edition_id"] = c.Base.String()
		return "/books/" + c.Book.String() + "/editions", e
	}
	panic(fmt.Sprintf("no route for %T", r.Command)) // a load without one
}

// post sends the body. An answer that is no success comes back as the problem that it is.
func post(ctx context.Context, client *http.Client, url string, body any) (err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Actor", actor)
	w, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("ask over HTTP: %w", err)
	}
	defer func() { err = errors.Join(err, w.Body.Close()) }()
	text, err = io.ReadAll(w.Body)
	switch {
	case err != nil:
		return fmt.Errorf("read answer: %w", err)
	case w.StatusCode < 300:
		return nil
	}
	var told httpapi.Problem
	if err := json.Unmarshal(text, &told); err != nil {
		return fmt.Errorf("read answer %d: %w", w.StatusCode, err)
	}
	p := problem.New(problem.Internal, told.Code, "%s", told.Detail)
	switch w.StatusCode {
	case http.StatusConflict:
		p.Kind = problem.Conflict
	case http.StatusServiceUnavailable:
		p.Kind = problem.Unavailable
	}
	p.Retryable = told.Retryable != nil && *told.Retryable
	return p
}
