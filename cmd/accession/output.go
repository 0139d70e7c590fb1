package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	jtext "github.com/jedib0t/go-pretty/v6/text"
)

// listing writes rows to stdout as the user wants them: as a table, as one JSON array, or as one JSON object a line. A listing
// that may be long is lines in a pipe; a short one is a table everywhere.
type listing struct {
	c       *cli
	mode    string
	table   table.Writer
	columns []string
	first   bool
}

func (c *cli) list(long bool, columns ...string) *listing {
	mode := c.output
	if mode == "" {
		mode = "table"
		if long && !c.terminal {
			mode = "ndjson"
		}
	}
	l := &listing{c: c, mode: mode, columns: columns, first: true}
	if mode == "table" {
		l.table = table.NewWriter()
		l.table.SetStyle(table.StyleLight)
		l.table.Style().Options = table.Options{SeparateHeader: true}
		l.table.Style().Format.Header = jtext.FormatDefault
		row := table.Row{}
		for _, col := range columns {
			row = append(row, col)
		}
		l.table.AppendHeader(row)
	}
	return l
}

// add adds a row: its cells for a table, the value for JSON.
func (l *listing) add(v any, cells ...any) error {
	switch l.mode {
	case "table":
		l.table.AppendRow(cells)
		return nil
	case "json":
		lead := ",\n"
		if l.first {
			lead = "["
		}
		l.first = false
		if _, err := fmt.Fprint(l.c.out, lead); err != nil {
			return err
		}
		return l.c.writeJSON(v, false)
	}
	if err := l.c.writeJSON(v, false); err != nil {
		return err
	}
	_, err := fmt.Fprintln(l.c.out)
	return err
}

// end writes what is left.
func (l *listing) end() error {
	var err error
	switch l.mode {
	case "table":
		for line := range strings.Lines(l.table.Render()) {
			if _, err = fmt.Fprintln(l.c.out, strings.TrimRight(line, " \n")); err != nil {
				break
			}
		}
	case "json":
		if l.first {
			_, err = fmt.Fprint(l.c.out, "[")
		}
		if err == nil {
			_, err = fmt.Fprintln(l.c.out, "]")
		}
	}
	return err
}

// below writes a table under what stands there already, if it has a row.
func (l *listing) below() error {
	if l.table.Length() == 0 {
		return nil
	}
	_, err := fmt.Fprintln(l.c.out)
	return errors.Join(err, l.end())
}

// object writes one thing: as JSON, or as a table of two columns in which what is empty is left out.
func (c *cli) object(v any, pairs ...[2]any) error {
	if c.output == "json" || c.output == "ndjson" {
		if err := c.writeJSON(v, c.output == "json"); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.out)
		return err
	}
	pairs = slices.DeleteFunc(pairs, func(p [2]any) bool { return fmt.Sprint(p[1]) == "" })
	width := 0
	for _, p := range pairs {
		width = max(width, len(fmt.Sprint(p[0])))
	}
	for _, p := range pairs {
		if _, err := fmt.Fprintf(c.out, "%-*s  %v\n", width, p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) writeJSON(v any, indent bool) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if indent {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := fmt.Fprint(c.out, strings.TrimSuffix(b.String(), "\n"))
	return err
}
