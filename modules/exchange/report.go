package exchange

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"accession/modules/exchange/gutenberg"
)

// Outcome is what became of one row of a file.
type Outcome string

// The outcomes.
const (
	Created Outcome = "created" // taken
	Present Outcome = "present" // taken by an earlier run; a feed's row with the same content
	Differs Outcome = "differs" // taken by an earlier run, of a feed, with other content: the catalogue keeps what it has
	Skipped Outcome = "skipped" // not taken: the file says nothing to take, or nothing that can be read
	Refused Outcome = "refused" // not taken: the catalogue refused it
)

// Line is what there is to say about one row.
type Line struct {
	Line    int     `json:"line"` // of the file, counted from 1
	Key     string  `json:"key"`  // what the file calls the row
	Outcome Outcome `json:"outcome"`
	Code    string  `json:"code,omitempty"`    // the error's, of what was refused
	Detail  string  `json:"detail,omitempty"`  // for people: why it was skipped or refused, or what differs
	Warning string  `json:"warning,omitempty"` // for people: what to look at in a row that was taken all the same
}

// Report is what an import did. Of an import that was not ended it says how far that came.
type Report struct {
	Library    string `json:"library"` // its id; empty before the import has one
	Rows       int    `json:"rows"`
	Categories Counts `json:"categories"`
	Books      Counts `json:"books"`
	Editions   Counts `json:"editions"`
	Skipped    int    `json:"skipped"` // rows
	Warned     int    `json:"warned"`  // rows
	Differs    int    `json:"differs"` // rows; what they are about counts as present
	DryRun     bool   `json:"dry_run"`
	Anew       bool   `json:"numbered_anew,omitempty"` // the numbers, and so the references, may not be those of the file

	mu       sync.Mutex
	lines    []Line
	warnings map[int]string // by line
}

// Counts are how many things of a kind an import made, found made, or was refused.
type Counts struct {
	Created int `json:"created"`
	Present int `json:"present"` // made before
	Refused int `json:"refused"`
}

func (c *Counts) count(o Outcome) {
	switch o {
	case Created:
		c.Created++
	case Present, Differs:
		c.Present++
	case Refused:
		c.Refused++
	case Skipped: // rows, not things
	}
}

// Refusals is how many things were refused.
func (r *Report) Refusals() int { return r.Categories.Refused + r.Books.Refused + r.Editions.Refused }

// note takes over what the reader of the file says about its rows.
func (r *Report) note(notes []gutenberg.Note) {
	r.warnings = map[int]string{}
	for _, n := range notes {
		if n.Kind == gutenberg.Skipped {
			r.Skipped++
			r.lines = append(r.lines, Line{Line: n.Line, Key: n.Key, Outcome: Skipped, Detail: n.Reason})
			continue
		}
		if before, again := r.warnings[n.Line]; again {
			n.Reason = before + "; " + n.Reason
		}
		r.warnings[n.Line] = n.Reason
	}
	r.Warned = len(r.warnings)
}

// add reports what became of a row.
func (r *Report) add(l Line, counts ...*Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.Warning = r.warnings[l.Line]
	if l.Outcome == Differs {
		r.Differs++
	}
	for _, c := range counts {
		c.count(l.Outcome)
	}
	r.lines = append(r.lines, l)
}

// Lines is a line for every row that was dealt with, in the order of the file.
func (r *Report) Lines() []Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.lines, func(a, b Line) int { return cmp.Compare(a.Line, b.Line) })
	return r.lines
}

// WriteLines writes the lines to w, one JSON object each.
func (r *Report) WriteLines(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, l := range r.Lines() {
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}
