package projection

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"

	"accession/platform/event"

	"github.com/uptrace/bun"
)

// Projector says how events become a read model. It is plain data; nothing happens until a [Projectionist] has it.
type Projector struct {
	Name    string // stored, hyphenated, for ever: "catalogue-books"
	Version int    // from 1; raise it when a table or an index changes, or when a handler would now write other rows from the same events
	Tables  []Table
	// Handlers say what each event does. Events that no handler is for are passed by; two handlers of one event are called in
	// this order.
	Handlers Handlers
}

// Table is a table of a read model. It belongs to one projector, and nothing else writes to it.
type Table struct {
	// Model is a nil pointer to the bun model of a row: (*bookRow)(nil). Its primary key is what rows are put and deleted by.
	// Use types that both dialects have (strings, integers, booleans, time.Time, slices and structs, which are kept as JSON).
	// No unique columns besides the key, nothing generated, no soft delete: what is unique is for constraints to say, and rows
	// must come out the same from the same events.
	Model   any
	Indexes []Index
}

// Index is an index of a table: it is never unique, for it is there to read by.
type Index struct {
	Columns []string // by their names in the table
}

// Handlers are the handlers of a projector. Make each with [On].
type Handlers []Handler

// Handler is what one event does.
type Handler struct {
	event string
	play  func(context.Context, *Writer, event.Envelope) error
}

// On makes a handler of the event E, a pointer.
//
// f may be called more than once for one event, because a transaction was undone: what it does goes through w, and nowhere
// else. It must not change e, nor keep what it reads. env is the event as stored, but for its Position, which is always 0: in
// immediate play it is not known yet, and rows must not depend on the timing. An error, or a panic, makes the projector Broken;
// in immediate play it fails the command.
func On[E event.Event](f func(ctx context.Context, w *Writer, e E, env event.Envelope) error) Handler {
	t := reflect.TypeFor[E]()
	if t.Kind() != reflect.Pointer {
		panic(fmt.Sprintf("projection.On: %v is not a pointer to an event", t))
	}
	return Handler{
		event: reflect.New(t.Elem()).Interface().(event.Event).EventType(),
		play: func(ctx context.Context, w *Writer, env event.Envelope) error {
			e, ok := env.Event.(E)
			if !ok {
				return nil // an event.Unknown: a newer binary wrote it, under the same name
			}
			return f(ctx, w, e, env)
		},
	}
}

// Events are the stored names of the events that the projector listens to, sorted.
func (p Projector) Events() []string {
	var names []string
	for _, h := range p.Handlers {
		names = append(names, h.event)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// projector is a Projector as one database sees it.
type projector struct {
	Projector
	events  []string // stored names, sorted
	tables  []*table
	byModel map[reflect.Type]*table
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// compile checks a Projector and makes it ready for db. What is wrong with it is wrong with the program, and is returned all
// together.
func compile(p Projector, db *bun.DB) (*projector, error) {
	c := &projector{Projector: p, events: p.Events(), byModel: map[reflect.Type]*table{}}
	var errs []error
	if !nameForm.MatchString(p.Name) || len(p.Name) > 60 {
		errs = append(errs, errors.New("the name must be lower case words with hyphens between, at most 60 characters"))
	}
	if p.Version < 1 {
		errs = append(errs, fmt.Errorf("the version is %d: begin with 1", p.Version))
	}
	if len(p.Handlers) == 0 {
		errs = append(errs, errors.New("it has no handlers"))
	}
	for _, h := range p.Handlers {
		if h.play == nil {
			errs = append(errs, errors.New("a handler is empty: make it with projection.On"))
		}
	}
	for _, t := range p.Tables {
		made, err := newTable(t, p.Version, db)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, twice := c.byModel[made.Type]; twice {
			errs = append(errs, fmt.Errorf("two tables have the model %v", made.Type))
		}
		c.byModel[made.Type] = made
		c.tables = append(c.tables, made)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register projector %q: %w", p.Name, err)
	}
	return c, nil
}

// listens reports whether the projector has a handler for the event.
func (p *projector) listens(name string) bool {
	_, found := slices.BinarySearch(p.events, name)
	return found
}

// play plays the events into the transaction db and writes everything that came of it. A failure of a handler is a *failure.
func (p *projector) play(ctx context.Context, db bun.IDB, events []event.Envelope) error {
	w := newWriter(p, db)
	for _, env := range events {
		if err := p.handle(ctx, w, env); err != nil {
			return &failure{env, err}
		}
	}
	return w.flush(ctx)
}

func (p *projector) handle(ctx context.Context, w *Writer, env event.Envelope) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicked{value: r, stack: debug.Stack()}
		}
	}()
	env.Position = 0
	for _, h := range p.Handlers {
		if h.event != env.Type {
			continue
		}
		if err := h.play(ctx, w, env); err != nil {
			return err
		}
	}
	return nil
}

// failure is an event that could not be played.
type failure struct {
	event event.Envelope
	err   error
}

func (f *failure) Error() string {
	if f.event.Position == 0 { // not stored yet
		return fmt.Sprintf("play %s: %v", f.event.Type, f.err)
	}
	return fmt.Sprintf("play %s at %d: %v", f.event.Type, f.event.Position, f.err)
}

func (f *failure) Unwrap() error { return f.err }

type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }
