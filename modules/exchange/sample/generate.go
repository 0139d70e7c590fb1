//go:build ignore

// This program makes sample.csv.gz from the feed among gutenberg's test data: the first 400 rows of Type Text, and all other
// rows of Type Text of the books those rows belong to, so that the sample has books with several editions. Run it with
// `go generate` in this directory.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"accession/modules/exchange/gutenberg"
)

const first = 400

func main() {
	log.SetFlags(0)
	if err := generate("../gutenberg/testdata/pg_catalog.csv.gz", "sample.csv.gz"); err != nil {
		log.Fatal(err)
	}
}

func generate(from, to string) error {
	feed, err := unpack(from)
	if err != nil {
		return err
	}
	catalogue, err := gutenberg.Parse(bytes.NewReader(feed))
	if err != nil {
		return err
	}
	bookOf := make(map[string]string) // Text# → the key of its book
	for _, category := range catalogue.Categories {
		for _, book := range category.Books {
			for _, edition := range book.Editions {
				bookOf[edition.Key] = book.Key
			}
		}
	}

	rows, err := csv.NewReader(bytes.NewReader(feed)).ReadAll()
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := csv.NewWriter(z)
	chosen := make(map[string]bool) // keys of books
	texts := 0
	err = w.Write(rows[0])
	for _, row := range rows[1:] {
		book, isText := bookOf[row[0]]
		if !isText {
			continue
		}
		if texts++; texts <= first {
			chosen[book] = true
		}
		if chosen[book] {
			err = errors.Join(err, w.Write(row))
		}
	}
	w.Flush()
	if err := errors.Join(err, w.Error(), z.Close()); err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

func unpack(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", name, err)
	}
	return io.ReadAll(z)
}
