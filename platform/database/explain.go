package database

import (
	"errors"
	"time"

	"accession/platform/problem"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// What the database says, in words for users.
var (
	// ErrUnreachable: there is no connection to the database, or it was lost.
	ErrUnreachable = &problem.Error{
		Kind: problem.Unavailable, Code: "database-unreachable", RetryAfter: 2 * time.Second, Retryable: true,
		Message: "The database cannot be reached at the moment. Nothing was changed; try again soon.",
	}
	// ErrSlow: a statement ran into its time-out.
	ErrSlow = &problem.Error{
		Kind: problem.Unavailable, Code: "database-slow", RetryAfter: 5 * time.Second, Retryable: true,
		Message: "The database took too long to answer. Nothing was changed; try again soon.",
	}
	// ErrReadOnly: the database takes no changes, as a standby does.
	ErrReadOnly = &problem.Error{
		Kind: problem.Unavailable, Code: "database-read-only", RetryAfter: 10 * time.Second, Retryable: true,
		Message: "The database takes no changes at the moment. Nothing was changed; try again later.",
	}
)

// Explain turns what went wrong with the database, and not with what was asked of it, into a problem that carries err as its
// cause; any other error comes back as it is. Errors of COMMIT are not for Explain: there, a lost connection leaves a doubt.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*problem.Error](err); ok {
		return err
	}
	switch e := pq.As(err); {
	case IsConnection(err), e != nil && (e.Code == pqerror.TooManyConnections || e.Code.Class() == pqerror.ClassInsufficientResources):
		return ErrUnreachable.Because(err)
	case e != nil && e.Code == pqerror.QueryCanceled:
		return ErrSlow.Because(err)
	case e != nil && e.Code == pqerror.ReadOnlySQLTransaction:
		return ErrReadOnly.Because(err)
	}
	return err
}
