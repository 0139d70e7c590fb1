// Package bus carries copies of stored events to those who listen: the projectors of this process. It stands on Watermill;
// nothing outside this package knows.
//
// The bus is a doorbell. It tells at once that there is something new, and shows a copy, but the log is the truth: an event may
// be dropped, come again or overtake another, so whoever must not miss one reads the log from its own checkpoint, and looks
// there from time to time without having been rung for. In return, publishing is cheap and never waits for those who listen:
// it runs after every commit.
//
//	b, err := bus.New(bus.Config{Source: logID}, logger)
//	err = b.Subscribe("books", []string{"catalogue"}, func(ctx context.Context, m bus.Message) error { … })
//	go b.Run(ctx)
//	<-b.Running()
//	err = b.Publish(ctx, events) // after they were committed
//
// Package bustest has the suite that every driver passes.
package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"go.opentelemetry.io/otel/propagation"

	"accession/platform/event"
	"accession/platform/problem"
)

// The drivers that a [Config] can name.
const (
	GoChannel = "gochannel" // inside the process; keeps nothing
	Kafka     = "kafka"     // not built yet
)

// CheckDriver is an error of kind Usage where [New] would not know the driver, for who wants to know before there is a log.
func CheckDriver(name string) error {
	switch name {
	case "", GoChannel:
		return nil
	case Kafka:
		return problem.New(problem.Usage, "bus-driver", "bus.driver: %s is not built yet; use %s.", Kafka, GoChannel)
	}
	return problem.New(problem.Usage, "bus-driver", "bus.driver: there is no %q; use %s.", name, GoChannel)
}

// Config says which bus, and how patient it is. The zero value is a bus inside the process.
type Config struct {
	Driver string // GoChannel when empty
	Source string // the id of the log that the events are from: positions mean nothing without it

	// Buffer is how many events of a topic wait for a subscriber that is slower than the publishers; of more, the oldest are
	// dropped, so that the newest always arrives. 0 means 1024. GoChannel only.
	Buffer int
	// CloseTimeout is how long Close waits for handlers that are at work; 0 means 10 seconds.
	CloseTimeout time.Duration

	Brokers     []string // host:port each. Kafka only
	TopicPrefix string   // put before a module's name to make a topic. Kafka only
}

// ErrClosed is the error of publishing on a bus that was closed.
var ErrClosed = errors.New("the bus is closed")

// Handler takes a copy of an event. The calls for one subscription never overlap. ctx ends when the bus closes.
//
// An error is logged, and so is a panic; either way the event counts as delivered. It does not come again: who wants it again
// reads the log.
type Handler func(ctx context.Context, m Message) error

// Bus publishes events and hands them out. It is safe for concurrent use.
type Bus struct {
	source, prefix string
	pubsub         pubsub
	router         *message.Router
	logger         *slog.Logger
	dropped        *atomic.Int64

	mu            sync.Mutex
	subscriptions []subscription
	started       bool
	closed        bool
	failed        chan struct{} // closed when Run could not start

	closeOnce sync.Once
	closeErr  error
}

type subscription struct {
	name    string
	topics  []string
	handler Handler
}

// pubsub is a driver.
type pubsub interface {
	message.Publisher
	message.Subscriber
}

// New makes a bus of cfg's driver. It opens no connection: Run does. A driver that does not exist is a [problem.Error] of the
// kind Usage. A nil logger is slog.Default.
func New(cfg Config, logger *slog.Logger) (*Bus, error) {
	if cfg.Buffer < 0 || cfg.CloseTimeout < 0 {
		return nil, problem.New(problem.Usage, "bus-config", "The bus needs room for its subscribers, and time to close.")
	}
	if err := CheckDriver(cfg.Driver); err != nil {
		return nil, err
	}
	logger = cmp.Or(logger, slog.Default())
	b := &Bus{source: cfg.Source, logger: logger, failed: make(chan struct{}), dropped: new(atomic.Int64)}
	// What Watermill finds worth informing of ("no subscribers to send message") is at most worth debugging here.
	wlog := watermill.NewSlogLoggerWithLevelMapping(logger, map[slog.Level]slog.Level{
		slog.LevelInfo:  slog.LevelDebug,
		slog.LevelDebug: watermill.LevelTrace,
	})
	// The place of another driver: here, with a marshaler that makes headers of the metadata and a key of the library, and
	// b.prefix = cfg.TopicPrefix. bustest.Run(t, open, bustest.Features{Ordered: true, Persistent: true}) says when it is done.
	b.pubsub = &inbox{
		// Publishing waits until the inbox has the event, which is at once, and so keeps the order: without the wait, each event
		// has a goroutine of its own, and they overtake one another.
		pubsub:  gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, wlog),
		size:    cmp.Or(cfg.Buffer, 1024),
		logger:  logger,
		dropped: b.dropped,
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: cmp.Or(cfg.CloseTimeout, 10*time.Second)}, wlog)
	if err != nil {
		return nil, fmt.Errorf("make router: %w", err)
	}
	router.AddMiddleware(b.passOver, middleware.CorrelationID, middleware.Recoverer) // the first is outermost
	b.router = router
	return b, nil
}

// Publish hands each event to those who subscribed to the topic of its module. The events must have been committed: one
// without a position is refused, and then none is published. It takes some microseconds for each event, waits for no
// subscriber, and does not care whether there is one, nor whether ctx has ended meanwhile. From ctx it takes the trace.
//
// An error means that some events were not announced; they are in the log all the same. After Close it is [ErrClosed].
func (b *Bus) Publish(ctx context.Context, events []event.Envelope) error {
	var topics []string
	messages := map[string][]*message.Message{}
	for i := range events {
		e := &events[i]
		if e.Position == 0 {
			return fmt.Errorf("publish event %s: it is not stored yet", e.Type)
		}
		m := encode(e, b.source)
		propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(m.Metadata))
		topic := Topic(e.Type)
		if !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
		messages[topic] = append(messages[topic], m)
	}
	var errs []error
	for _, topic := range topics {
		if err := b.pubsub.Publish(b.prefix+topic, messages[topic]...); err != nil {
			if b.isClosed() {
				return ErrClosed
			}
			errs = append(errs, fmt.Errorf("publish %d events to %s: %w", len(messages[topic]), topic, err))
		}
	}
	return errors.Join(errs...)
}

// Subscribe has handler called for each event that is published to one of the topics while the bus runs. A topic is the name
// of a module; name says who listens and is used once. All subscriptions are made before Run.
//
// The bus of this process delivers the events of one publisher and one topic in the order they were published; between topics
// there is no order, and there is none to rely on with other drivers: compare positions.
func (b *Bus) Subscribe(name string, topics []string, handler Handler) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.started || b.closed:
		return fmt.Errorf("subscribe %s: the bus runs already, or no longer", name)
	case name == "" || len(topics) == 0 || handler == nil:
		return fmt.Errorf("subscribe %q: a name, topics and a handler are needed", name)
	case slices.ContainsFunc(b.subscriptions, func(s subscription) bool { return s.name == name }):
		return fmt.Errorf("subscribe %s: the name is taken", name)
	}
	topics = slices.Compact(slices.Sorted(slices.Values(topics)))
	b.subscriptions = append(b.subscriptions, subscription{name, topics, handler})
	return nil
}

// Run delivers events until ctx ends or Close is called, closes the bus, and then gives nil, or what went wrong with closing.
// A bus runs once.
func (b *Bus) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.started || b.closed {
		b.mu.Unlock()
		return errors.New("run bus: it runs already, or no longer")
	}
	b.started = true
	for _, s := range b.subscriptions {
		handle := s.handle()
		for _, topic := range s.topics {
			b.router.AddConsumerHandler(s.name+"."+topic, b.prefix+topic, b.pubsub, func(m *message.Message) error { return handle(topic, m) })
		}
	}
	b.mu.Unlock()

	// The router leaves ctx alone, so that there is one way to stop. It would not stop at the end of ctx anyway when nobody
	// subscribed.
	stop := context.AfterFunc(ctx, func() { _ = b.Close() })
	defer stop()
	if err := b.router.Run(context.WithoutCancel(ctx)); err != nil {
		close(b.failed)
		return errors.Join(fmt.Errorf("run bus: %w", err), b.Close())
	}
	return b.Close()
}

// Running is closed once every subscription takes events. What is published earlier reaches nobody, unless the driver keeps it.
func (b *Bus) Running() <-chan struct{} { return b.router.Running() }

// Close ends Run. It waits for handlers that are at work, drops what waits for them, and gives an error when they take longer
// than CloseTimeout. A handler must not call it. A second call gives what the first gave.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	started := b.started
	b.mu.Unlock()
	b.closeOnce.Do(func() {
		var err error
		if started { // a router that does not run waits in vain for its handlers to end
			select {
			case <-b.router.Running():
				err = b.router.Close()
			case <-b.failed:
			}
		}
		if err = errors.Join(err, b.pubsub.Close()); err != nil {
			b.closeErr = fmt.Errorf("close bus: %w", err)
		}
	})
	return b.closeErr
}

// Dropped is how many events were dropped so far because a subscriber was slow.
func (b *Bus) Dropped() int64 { return b.dropped.Load() }

func (b *Bus) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// handle makes the calls of a subscription: one at a time, whatever its topics.
func (s subscription) handle() func(topic string, m *message.Message) error {
	var one sync.Mutex
	return func(topic string, m *message.Message) error {
		one.Lock()
		defer one.Unlock()
		ctx := propagation.TraceContext{}.Extract(m.Context(), propagation.MapCarrier(m.Metadata))
		if ctx.Err() != nil {
			return ctx.Err() // the bus closed while this one waited for its turn
		}
		got, err := decode(topic, m)
		if err != nil {
			return err
		}
		return s.handler(ctx, got)
	}
}

// passOver is the middleware by which an event that a handler failed on, or panicked on, still counts as delivered. Else a
// driver would bring it back at once, and again, for ever.
func (b *Bus) passOver(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		produced, err := h(m)
		if ctx := m.Context(); err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
			b.logger.ErrorContext(ctx, "A subscriber failed; the event is passed over.",
				"subscription", message.HandlerNameFromCtx(ctx), "event", m.UUID, "position", m.Metadata[cePosition], "error", err)
		}
		return produced, nil
	}
}
