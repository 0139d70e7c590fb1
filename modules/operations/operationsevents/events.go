// Package operationsevents holds the facts of the operations context: how the application is run. It is pure data: any module may
// import it.
package operationsevents

import "accession/platform/event"

// Default is the live mode of a constraint that is kept as the configuration says.
const Default = "default"

// ModeChanged: the mode in which a constraint is kept was changed while the application ran. The envelope says who did it, and
// when. From and To are live modes: the name of a mode, or [Default].
type ModeChanged struct {
	Constraint string `json:"constraint"`
	From       string `json:"from"`
	To         string `json:"to"`
	Reason     string `json:"reason"`
}

// EventType implements event.Event.
func (*ModeChanged) EventType() string { return "operations.mode_changed" }

// Tags implements event.Event.
func (e *ModeChanged) Tags() []event.Tag { return []event.Tag{ConstraintTag(e.Constraint)} }

// ConstraintTag is the tag of a constraint: what has happened to it is its stream.
func ConstraintTag(name string) event.Tag { return event.NewTag("constraint", name) }
