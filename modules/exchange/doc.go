// Package exchange brings catalogues in from files, through the ordinary commands of the other contexts: nothing that the API
// would refuse comes in here.
//
// [Importer] runs an import; package gutenberg reads the one format there is so far, package sample holds the catalogue that
// comes with the product.
package exchange
