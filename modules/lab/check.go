package lab

import (
	"context"

	"accession/platform/event"
	"accession/platform/eventlog"
)

// checker reads a log and counts what must not be there. Its order does not matter to it, so that numbers which are given later
// than their events are counted too.
type checker struct {
	log    eventlog.Reader
	slot   func(event.Event) (scope event.Tag, number int)
	at     event.Position // everything up to here was read
	scopes map[event.Tag]*numbers
}

// numbers are those given in a scope.
type numbers struct {
	given map[int]struct{}
	last  int
}

func newChecker(log eventlog.Reader, slot func(event.Event) (event.Tag, int)) *checker {
	return &checker{log: log, slot: slot, scopes: map[event.Tag]*numbers{}}
}

// check reads on to the end of the log and says how many numbers it has there a second time (duplicates), and how many more
// than before are missing below one that was given (gaps).
func (c *checker) check(ctx context.Context) (duplicates, gaps int, err error) {
	was := c.gaps()
	for env, err := range c.log.Read(ctx, eventlog.Query{After: c.at}) {
		if err != nil {
			return 0, 0, err
		}
		c.at = env.Position
		scope, number := c.slot(env.Event)
		if number == 0 {
			continue
		}
		n := c.scopes[scope]
		if n == nil {
			n = &numbers{given: map[int]struct{}{}}
			c.scopes[scope] = n
		}
		if _, again := n.given[number]; again {
			duplicates++
		}
		n.given[number], n.last = struct{}{}, max(n.last, number)
	}
	return duplicates, c.gaps() - was, nil
}

func (c *checker) gaps() int {
	sum := 0
	for _, n := range c.scopes {
		sum += n.last - len(n.given)
	}
	return sum
}
