package bus

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"
)

// inbox stands between a driver whose publishers wait for subscribers and subscribers that take their time: it takes every
// message at once, keeps some, and hands them out one by one. So a publisher waits for a hand-over and never for a handler,
// and a handler that is stuck costs a bounded number of messages and no goroutine for each.
type inbox struct {
	pubsub
	size    int
	logger  *slog.Logger
	dropped *atomic.Int64
}

// Subscribe implements message.Subscriber.
func (i *inbox) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := i.pubsub.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	kept := make(chan *message.Message, i.size)
	out := make(chan *message.Message)
	go func() {
		defer close(kept)
		for m := range in {
			c := m.Copy() // to be acknowledged by the handler
			c.SetContext(ctx)
			i.keep(kept, c, topic)
			m.Ack()
		}
	}()
	go func() {
		defer close(out)
		for m := range kept {
			select {
			case out <- m:
			case <-ctx.Done():
				return
			}
			select { // the router starts a goroutine for each message: the next one only when this one is done
			case <-m.Acked():
			case <-m.Nacked():
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// keep never blocks: when there is no room it drops the oldest, because only the newest says how far the log has come.
func (i *inbox) keep(kept chan *message.Message, m *message.Message, topic string) {
	for {
		select {
		case kept <- m:
			return
		default:
		}
		select {
		case <-kept:
			if n := i.dropped.Add(1); n&(n-1) == 0 { // the 1st, 2nd, 4th, 8th …: seen, but not in the way
				i.logger.Warn("A subscriber is slower than the publishers; events are dropped on the bus. It will find them in the log.",
					"topic", topic, "dropped", n)
			}
		default:
		}
	}
}
