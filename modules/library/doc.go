// Package library is the context of libraries and their categories.
//
// One file for each command (open_library.go, create_category.go), rule (constraint_*.go) and read model (projection_*.go);
// module.go lists them. Its facts are in libraryevents. A category's first book is added by the command of the catalogue
// context, in the same unit.
package library
