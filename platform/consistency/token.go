package consistency

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"accession/platform/eventlog"
	"accession/platform/problem"
	"accession/platform/usecase"
)

// Refusals of requests that carry a token. Over HTTP it is the Idempotency-Key, and so it is called there.
var (
	// ErrTokenReused: the token was another request's.
	ErrTokenReused = problem.New(problem.Refused, "idempotency-key-reused",
		"The Idempotency-Key was used before, for another request. Use a key for one request only, and repeat that word for word.")
	// ErrTokenInUse: a request with the token is still running, for longer than one waits for it.
	ErrTokenInUse = problem.New(problem.Conflict, "idempotency-key-in-use",
		"A request with this Idempotency-Key is still running. Repeat it in a moment, and it is answered as the one that runs.")
)

// tokens keeps requests with the same token apart, so that one is not decided while the other may still be stored. It sees only
// this process; of two processes one finds the other's row in the log.
type tokens struct {
	mu      sync.Mutex
	running map[string]chan struct{} // by token; closed when its request is over
}

// enter waits until no request with the token is running, at most for patience. Call leave when the request is over.
func (t *tokens) enter(ctx context.Context, token string, patience time.Duration) (leave func(), err error) {
	var late <-chan time.Time
	for {
		other, leave := t.take(token)
		if leave != nil {
			return leave, nil
		}
		if late == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-other:
			continue
		case <-late:
			err = fmt.Errorf("waited %v", patience)
		case <-ctx.Done():
			if err = ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
				return nil, err
			}
		}
		e := ErrTokenInUse.Because(err)
		e.RetryAfter, e.Retryable = time.Second, true
		return nil, e
	}
}

// take takes the token, or gives what is closed when it is free.
func (t *tokens) take(token string) (other <-chan struct{}, leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other, ok := t.running[token]; ok {
		return other, nil
	}
	if t.running == nil {
		t.running = map[string]chan struct{}{}
	}
	over := make(chan struct{})
	t.running[token] = over
	return nil, func() {
		t.mu.Lock()
		delete(t.running, token)
		t.mu.Unlock()
		close(over)
	}
}

// tokenKey is the key of the log for a token: nothing else has one that begins so.
func tokenKey(t usecase.Token) string {
	if t.Key == "" {
		return ""
	}
	return "token:" + t.Key
}

// note remembers that the request with the token was done though it stored no events: it came to nothing, or it asked for what
// was there already. as is then the key under which that was stored, and whose answer it gets.
func (a *attempt) note(ctx context.Context, as string) (usecase.Receipt, error) {
	d, found, err := a.Log.Done(ctx, a.token)
	if err == nil && !found {
		switch err := a.commitNote(ctx, as); {
		case errors.Is(err, eventlog.ErrBusy): // with the log: there is nothing else that it could wait for
			return usecase.Receipt{}, a.busy(err)
		case err != nil:
			return a.settle(ctx, err)
		}
		d, found, err = a.look(ctx)
	}
	if err == nil && !found {
		err = fmt.Errorf("look up unit %q, which was stored: it is not there", a.token)
	}
	if err != nil {
		return usecase.Receipt{}, a.busy(err)
	}
	return a.asThen(ctx, d)
}

func (a *attempt) commitNote(ctx context.Context, as string) error {
	tx, err := a.Log.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return tx.Commit(ctx, eventlog.Unit{ID: a.unit, Key: a.token, Fingerprint: a.req.Token.Fingerprint, Answer: []byte(as)})
}
