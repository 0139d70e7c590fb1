// Package mutant proves that a rule can fail: it runs the rule against an implementation that is wrong on purpose, and fails the
// test when the rule does not notice. A rule that nothing fails proves nothing.
//
// It is for tests only.
package mutant

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// T is what a rule may use of *testing.T.
type T interface {
	Helper()
	Context() context.Context
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Logf(format string, args ...any)
}

// Caught runs the rule and fails t unless the rule fails. Whatever the rule panics with counts as a failure of the rule.
func Caught(t *testing.T, rule func(T)) {
	t.Helper()
	r := &recorder{ctx: t.Context()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.note(fmt.Sprint("panic: ", p))
			}
		}()
		rule(r)
	}()
	<-done
	if !r.Failed() {
		t.Error("the mutant was not caught")
		return
	}
	t.Logf("caught: %s", strings.Join(r.notes, "; "))
}

type recorder struct {
	ctx   context.Context //nolint:containedctx // as a *testing.T has one
	mu    sync.Mutex
	notes []string
}

func (r *recorder) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, s)
}

func (r *recorder) Helper()                   {}
func (r *recorder) Context() context.Context  { return r.ctx }
func (r *recorder) Logf(string, ...any)       {}
func (r *recorder) Error(args ...any)         { r.note(fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, a ...any) { r.note(fmt.Sprintf(f, a...)) }

func (r *recorder) Fatal(args ...any) {
	r.note(fmt.Sprint(args...))
	runtime.Goexit()
}

func (r *recorder) Fatalf(f string, a ...any) {
	r.note(fmt.Sprintf(f, a...))
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.notes) > 0
}
