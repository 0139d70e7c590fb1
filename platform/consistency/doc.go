// Package consistency keeps the rules that cross aggregates: the constraints.
//
// A [Constraint] knows the events it listens to and, for each, its scope: the smallest set of events it must be current with.
// How it is kept there is its [Mode], which is configuration. Nothing in a module knows about modes.
//
// The life of a command ([Runner.Run]):
//
//  1. Execute: the command runs on a unit. It reads streams and records events; nothing is locked.
//  2. Plan (plan.go): what the recorded events ask of the register, and the modes of this moment, say what will be compared,
//     what will be locked, and whether the unit lines up. Pure.
//  3. Line up (lane.go), if so: those who wait together are stored together.
//  4. Load (register.go): in the transaction, guards and held rows are locked in sorted order and read; then keys.
//  5. Decide (decide.go): numbers and ancestors are stamped, or the command is refused. Pure.
//  6. Write and commit: immediate projectors, the register, and last the log, whose head is held only while committing.
//
// Steps 4 to 6 are one transaction, for one unit or for many (batch.go).
//
// What constraints know is in one [Register]; consistency/memory is the reference, consistency/sqldb what runs, and
// consistencytest the suite that both pass, in every mode.
//
// To add a constraint, write one value in a file of its module, modules/<module>/constraint_<name>.go, and list it in the
// module. See the example of [Sequence].
package consistency
