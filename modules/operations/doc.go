// Package operations is the context of those who run the application: which constraint is kept in which mode, how that goes, and
// what to do about it.
//
// A mode that is changed while the application runs ([ChangeMode]) is an event like any other, and wins over the configuration
// until it is set back. [Modes] follows these events and is what the runner asks for its settings, so every process on a log
// keeps a constraint in the same mode within two seconds. [Overview] is what an operator reads: the modes, the figures of
// platform/tally, and the advice that the [Rules] give.
package operations
