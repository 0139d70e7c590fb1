// Package sample is the small real catalogue that comes with the product: what `accession serve --sample` fills an empty
// database with. Its origin and licence are in README.md beside it.
package sample

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
)

//go:generate go run generate.go

//go:embed sample.csv.gz
var packed []byte

// Open returns the sample from its beginning, unpacked: a file as package gutenberg reads it. Every call returns a reader of
// its own; there is nothing to close.
func Open() (io.Reader, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("open sample: %w", err)
	}
	return r, nil
}
