package problem_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
)

var errGone = problem.New(problem.NotFound, "gone", "It is gone.")

func TestMeaningsHaveOneStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind         problem.Kind
		name         string
		status, exit int
	}{
		{problem.Internal, "internal", http.StatusInternalServerError, 1},
		{problem.Malformed, "malformed", http.StatusBadRequest, 1},
		{problem.Invalid, "invalid", http.StatusUnprocessableEntity, 1},
		{problem.TooLarge, "too-large", http.StatusRequestEntityTooLarge, 1},
		{problem.NotFound, "not-found", http.StatusNotFound, 3},
		{problem.Conflict, "conflict", http.StatusConflict, 4},
		{problem.Refused, "refused", http.StatusUnprocessableEntity, 4},
		{problem.Stale, "stale", http.StatusPreconditionFailed, 4},
		{problem.Unavailable, "unavailable", http.StatusServiceUnavailable, 5},
		{problem.Usage, "usage", http.StatusInternalServerError, 2},
	} {
		if c.kind.String() != c.name || c.kind.Status() != c.status || c.kind.Exit() != c.exit {
			t.Errorf("%s: %d and %d", c.kind, c.kind.Status(), c.kind.Exit())
		}
	}
}

func TestAnErrorIsKnownByItsCode(t *testing.T) {
	t.Parallel()
	cause := errors.New("no such row")
	err := fmt.Errorf("find it: %w", errGone.Because(cause))
	if !errors.Is(err, errGone) || !errors.Is(err, cause) || errGone.Cause != nil {
		t.Errorf("%v", err)
	}
	if errors.Is(err, problem.New(problem.NotFound, "lost", "")) {
		t.Error("another code matches")
	}
	if got := problem.Of(err); got.Kind != problem.NotFound || got.Message != "It is gone." {
		t.Errorf("%+v", got)
	}
}

func TestAnErrorNobodyClassifiedTellsNothing(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 10.0.0.1: password is hunter2")
	got := problem.Of(cause)
	if got.Kind != problem.Internal || got.CodeOrKind() != "internal" || !errors.Is(got, cause) {
		t.Errorf("%+v", got)
	}
	if got.Message == cause.Error() {
		t.Error("the user reads the cause")
	}
}

func TestFieldsAreReportedTogether(t *testing.T) {
	t.Parallel()
	var none, book, category problem.Fields
	if problem.Join(none.Err(), nil) != nil || problem.Under("body.", nil) != nil {
		t.Error("an error out of nothing")
	}
	book.Add("title", "must not be empty")
	category.Check("name", errors.New("is too long"))
	category.Check("other", nil)
	err := problem.Under("body.", problem.Join(category.Err(), problem.Under("book.", book.Err())))
	want := []problem.Field{{Location: "body.name", Message: "is too long"}, {Location: "body.book.title", Message: "must not be empty"}}
	if diff := cmp.Diff(want, problem.Of(err).Fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if got, want := problem.Of(err).Message, "body.name: is too long (and 1 more)"; got != want {
		t.Errorf("message %q", got)
	}
	if err := problem.Join(category.Err(), errGone); !errors.Is(err, errGone) {
		t.Errorf("more than wrong fields: %v", err)
	}
	if err := problem.Under("body.", errGone); !errors.Is(err, errGone) {
		t.Errorf("an error without fields: %v", err)
	}
}
