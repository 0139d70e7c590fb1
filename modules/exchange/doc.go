// Package exchange brings catalogues in from files, through the ordinary commands of the other contexts: nothing that the API
// would refuse comes in here. And it writes them out again.
//
// A [Catalogue] is what a file of ours holds. [Read] makes one from the log, [ParseJSONL] and [ParseCSV] from a file;
// [Catalogue.WriteJSONL] and [Catalogue.WriteCSV] write one. [Importer] runs an import; package gutenberg reads one more
// format, package sample holds the catalogue that comes with the product.
//
// How numbers and former places come back is in places.go (in which order) and restore.go (by which commands); why so, in
// docs/decisions/0009-numbers-come-back-by-being-used-up.md.
package exchange
