package operations

import (
	"context"
	"slices"
	"strings"

	"accession/modules/operations/operationsevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/problem"
	"accession/platform/text"
	"accession/platform/usecase"
)

// ErrConstraintNotFound: there is no constraint with the name.
var ErrConstraintNotFound = problem.New(problem.NotFound, "constraint-not-found", "There is no such constraint. `accession constraints list` has all of them.")

// maxReason is how many characters a reason may have.
const maxReason = 1000

// ChangeMode sets the mode in which a constraint is kept, live: in every process on the log, until it is set to
// operationsevents.Default. A mode that is set live already records nothing.
type ChangeMode struct {
	Constraint consistency.Description
	Seen       int    // the version of the constraint's stream that the caller has seen; 0: whatever there is
	Mode       string // the name of one that the constraint can have, or operationsevents.Default
	Reason     string // why, for those who wonder later; 1 to 1,000 characters
}

// NewChangeMode is the change of the constraint with the name, if there is one in the set.
func NewChangeMode(set *consistency.Set, name, mode, reason string) (ChangeMode, error) {
	all := set.Describe()
	i := slices.IndexFunc(all, func(d consistency.Description) bool { return d.Name == name })
	if i < 0 {
		return ChangeMode{}, ErrConstraintNotFound
	}
	c := ChangeMode{Constraint: all[i], Mode: mode, Reason: reason}
	return c, c.check()
}

// check says what is wrong with the change as it is asked for.
func (c ChangeMode) check() error {
	var wrong problem.Fields
	if can := Choices(c.Constraint); !slices.Contains(can, c.Mode) {
		wrong.Add("mode", "is not one that %s can have: use one of %s", c.Constraint.Name, strings.Join(can, ", "))
	}
	_, err := text.Required(c.Reason, maxReason)
	wrong.Check("reason", err)
	return wrong.Err()
}

// Choices are what the mode of a constraint can be set to: the modes that it can have, and operationsevents.Default.
func Choices(d consistency.Description) []string {
	return append(names(d.Modes), operationsevents.Default)
}

func names(modes []consistency.Mode) []string {
	all := make([]string, len(modes))
	for i, m := range modes {
		all[i] = m.String()
	}
	return all
}

// Execute implements usecase.Command.
func (c ChangeMode) Execute(ctx context.Context, u *usecase.Unit) error {
	if err := c.check(); err != nil {
		return err
	}
	reason, _ := text.Required(c.Reason, maxReason) // checked
	stream := operationsevents.ConstraintTag(c.Constraint.Name)
	live, version, err := usecase.Fold(ctx, u, stream, playMode)
	if err != nil {
		return err
	}
	if err := usecase.CheckVersion(c.Seen, version); err != nil {
		return err
	}
	if live == "" {
		live = operationsevents.Default
	}
	if live != c.Mode {
		u.Record(stream, &operationsevents.ModeChanged{Constraint: c.Constraint.Name, From: live, To: c.Mode, Reason: reason})
	}
	return nil
}

// playMode folds a constraint's stream to its live mode; empty when it was never set.
func playMode(live *string, e event.Event) {
	if e, ok := e.(*operationsevents.ModeChanged); ok {
		*live = e.To
	}
}

// Request is the command on its way. Asked twice it changes nothing the second time.
func (c ChangeMode) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}
