// Package problem is the one vocabulary of errors: what went wrong for the person who asked, first by meaning and only at
// the very edge by status.
//
// Everything that a caller may see is an [Error] with a [Kind] and a code. Any other error is Internal: the caller reads
// "internal error" and a request id, the operator reads the cause in the log. One table, in this file, turns a Kind into an
// HTTP status and into the exit status of the command line.
package problem

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind is the meaning of an error. The zero value is Internal, so that what nobody classified tells nobody anything.
type Kind uint8

// The kinds. Each says whose turn it is: the caller's to mend the request, or the operator's to mend the system.
const (
	Internal    Kind = iota // ours: a bug or a broken machine
	Malformed               // the request cannot be parsed at all
	Invalid                 // it can be parsed, but a field is wrong
	TooLarge                // the body is over the limit
	NotFound                // the thing named does not exist, or is withdrawn
	Conflict                // a rival has what was asked for, or the state forbids it
	Refused                 // a rule that no later attempt can meet
	Stale                   // the version the caller based the request on is no longer the present one
	Unavailable             // not now: busy, behind, in doubt, no database, no port
	Usage                   // the command line or the configuration is wrong
)

// kinds is the one table from meaning to status. Both columns are promises: clients and scripts go by them.
var kinds = [...]struct {
	name   string
	status int
	exit   int
}{
	Internal:    {"internal", http.StatusInternalServerError, 1},
	Malformed:   {"malformed", http.StatusBadRequest, 1},
	Invalid:     {"invalid", http.StatusUnprocessableEntity, 1},
	TooLarge:    {"too-large", http.StatusRequestEntityTooLarge, 1},
	NotFound:    {"not-found", http.StatusNotFound, 3},
	Conflict:    {"conflict", http.StatusConflict, 4},
	Refused:     {"refused", http.StatusUnprocessableEntity, 4},
	Stale:       {"stale", http.StatusPreconditionFailed, 4},
	Unavailable: {"unavailable", http.StatusServiceUnavailable, 5},
	Usage:       {"usage", http.StatusInternalServerError, 2},
}

// String is the kind in one word, which is also the code of an Error that has none of its own.
func (k Kind) String() string { return kinds[k].name }

// Status is the HTTP status of the kind.
func (k Kind) Status() int { return kinds[k].status }

// Exit is the exit status of a command that ends with an error of the kind.
func (k Kind) Exit() int { return kinds[k].exit }

// A Field says what is wrong at one place of the request.
type Field struct {
	Location string `json:"location"` // where: "body.title", "query.cursor", "path.id"
	Message  string `json:"message"`  // what is wrong there, and what would be right
	Value    any    `json:"value,omitempty"`
}

// Error is an error that a user may see. Its fields are the fields of the problem document (RFC 9457) that HTTP answers
// with. Build one with [New], or as a literal when it carries more.
type Error struct {
	Kind    Kind
	Code    string // stable, hyphenated: "book-number-not-unique"; Kind's own name when empty
	Message string // one sentence for people: what is wrong and what to do; never a driver's text
	Fields  []Field

	// What a constraint adds: which rule, where, how it is kept, how often it was tried, and whether trying again may help.
	Constraint, Scope, Mode string
	Attempts                int
	Retryable               bool

	RetryAfter time.Duration // how long to wait before asking again; 0 says nothing
	Cause      error         // for the operator's log; never shown to a user
}

// New returns an error of the kind k. The format's arguments reach the user: pass what they typed, never an error of a driver.
func New(k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e that carries cause for the operator.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error is the message, with the cause behind it: it is what the operator's log shows.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is an Error with the same code, so that a sentinel such as ErrBookNotFound matches every copy of
// it, whatever its message says.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.CodeOrKind() == e.CodeOrKind()
}

// CodeOrKind is the code, or the kind's name when there is none.
func (e *Error) CodeOrKind() string {
	if e.Code == "" {
		return e.Kind.String()
	}
	return e.Code
}

// Of finds the Error in err's chain. An error that has none is Internal: its text stays with the operator.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Message: "Internal error. The log of the server says more under the id of this request.", Cause: err}
}

// InvalidField is an Invalid error about one field.
func InvalidField(location string, value any, format string, args ...any) *Error {
	msg := fmt.Sprintf(format, args...)
	return &Error{Kind: Invalid, Message: location + ": " + msg, Fields: []Field{{Location: location, Message: msg, Value: value}}}
}

// Fields gathers what is wrong with several fields, so that a user reads all of it at once.
// The zero value is ready to use; it is not safe for concurrent use.
type Fields []Field

// Add notes what is wrong at location.
func (f *Fields) Add(location, format string, args ...any) {
	*f = append(*f, Field{Location: location, Message: fmt.Sprintf(format, args...)})
}

// Check notes err, if it is one, at location.
func (f *Fields) Check(location string, err error) {
	if err != nil {
		*f = append(*f, Field{Location: location, Message: err.Error()})
	}
}

// Under puts prefix before every location of err's fields: the fields of a part seen from the whole. Other errors pass
// unchanged.
func Under(prefix string, err error) error {
	var e *Error
	if !errors.As(err, &e) || len(e.Fields) == 0 {
		return err
	}
	c := *e
	c.Fields = make([]Field, len(e.Fields))
	for i, f := range e.Fields {
		f.Location = prefix + f.Location
		c.Fields[i] = f
	}
	c.Message = invalidMessage(c.Fields)
	return &c
}

// Join makes one error of several: the first that is more than wrong fields, else one with the fields of all. Nil errors do
// not count; nil when none is left.
func Join(errs ...error) error {
	var all Fields
	for _, err := range errs {
		if err == nil {
			continue
		}
		e := Of(err)
		if e.Kind != Invalid {
			return err
		}
		all = append(all, e.Fields...)
	}
	return all.Err()
}

// Err is nil when nothing was noted, else one Invalid error.
func (f Fields) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Message: invalidMessage(f), Fields: f}
}

func invalidMessage(fs []Field) string {
	if len(fs) == 1 {
		return fs[0].Location + ": " + fs[0].Message
	}
	return fmt.Sprintf("%s: %s (and %d more)", fs[0].Location, fs[0].Message, len(fs)-1)
}
