// Package editions is the context of the editions of books: what is printed in each, and which earlier edition it replaces.
//
// One file for each command (add_edition.go), rule (constraint_*.go) and read model (projection_*.go); module.go lists them.
// Its facts are in editionsevents. Books and categories it knows by their facts alone.
package editions
