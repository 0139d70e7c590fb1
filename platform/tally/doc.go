// Package tally is what the constraints have been doing lately: attempts by outcome, waits, the scopes that are hot, and how the
// lane fares, over the last five minutes and over all processes on a log.
//
// A [Tally] counts what its own process does, in memory, ten seconds a slot; it is a consistency.Meter. Every few seconds it
// writes its last slots to a table that all processes share, one row a slot, and whoever asks ([Tally.Recent]) reads the rows of
// the others and adds its own. So the command line, which counts nothing, sees what the servers do.
//
// Counting is meant to cost nothing that anybody would notice: no database, no waiting, memory that is bounded whatever happens.
// Writing may fail; the figures of that time are then missing, and nothing else.
package tally
