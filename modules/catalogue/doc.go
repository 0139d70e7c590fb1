// Package catalogue is the context of books: what they are called, who wrote them, and which category they stand in.
//
// One file for each command (add_book.go), rule (constraint_*.go) and read model (projection_*.go); module.go lists them. Its
// facts are in catalogueevents. Libraries and categories it knows by their facts alone; editions are added by the commands of
// the editions context, in the same unit.
package catalogue
