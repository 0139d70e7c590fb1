package lab

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ratio is how many a second a row accepted, measured by the yardstick over as many scopes; false when that did not run.
func Ratio(rows []Row, r Row) (float64, bool) {
	for _, y := range rows {
		if y.Mode == SQL && y.Scopes == r.Scopes && y.Writers == r.Writers && y.Accepted > 0 {
			return r.Accepted / y.Accepted, true
		}
	}
	return 0, false
}

// Report is a run of the lab as a page to keep or to send.
type Report struct {
	Constraint string
	Version    string // of accession
	Taken      time.Time
	Duration   time.Duration // of each mode
	Rows       []Row
}

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"rate":  func(x float64) string { return thousands(math.Round(x)) },
	"fixed": func(n int, x float64) string { return strconv.FormatFloat(x, 'f', n, 64) },
}).Parse(page))

// WriteHTML writes the report as one HTML page that asks for nothing else: its plots are SVG within it, and a table has the same
// figures.
func (r Report) WriteHTML(w io.Writer) error {
	p := struct {
		Report
		Writers int
		Broken  string
		Parts   []part
	}{Report: r}
	if err := Broken(r.Rows); err != nil {
		p.Broken = err.Error()
	}
	for _, row := range r.Rows {
		p.Writers = row.Writers
		if n := len(p.Parts); n == 0 || p.Parts[n-1].Scopes != row.Scopes {
			p.Parts = append(p.Parts, part{Scopes: row.Scopes})
		}
		last := &p.Parts[len(p.Parts)-1]
		entry := entry{Row: row}
		if x, ok := Ratio(r.Rows, row); ok {
			entry.Ratio = strconv.FormatFloat(x, 'f', 2, 64)
		}
		last.Entries = append(last.Entries, entry)
	}
	for i := range p.Parts {
		p.Parts[i].draw()
	}
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// part is what was measured over one number of scopes.
type part struct {
	Scopes  int
	Entries []entry
	Rates   plot
	Times   plot
}

// Title names the part.
func (p part) Title() string {
	if p.Scopes == 1 {
		return "One hot scope"
	}
	return thousands(float64(p.Scopes)) + " scopes"
}

type entry struct {
	Row
	Ratio string // to the yardstick; empty when that did not run
}

// A plot has a line for each mode: its name at the left, then a scale from left to right.
const (
	plotLeft  = 102
	plotWidth = 550
	lineHigh  = 30
	plotTop   = 8
)

// plot is drawn by the template; all lengths are in the units of the SVG.
type plot struct {
	Height, Bottom int
	Ticks          []tick
	Lines          []line
}

type tick struct {
	X     float64
	Label string
}

// line is a mode: marks for a plot of times, bars for one of rates.
type line struct {
	Mode   string
	Y      int // its middle
	Bars   []bar
	Marks  []float64 // p50, p95, p99
	Label  string
	LabelX float64
	Said   string // the same in words
}

type bar struct {
	Class    string
	X, Width float64
}

func (p *part) draw() {
	var most float64
	least, longest := math.Inf(1), 0.0
	for _, e := range p.Entries {
		most = max(most, e.Accepted+e.Rejected+e.Refused)
		if e.P50 > 0 {
			least, longest = min(least, e.P50), max(longest, e.P99)
		}
	}
	p.Rates, p.Times = newPlot(len(p.Entries)), newPlot(len(p.Entries))
	rate := func(x float64) float64 { return x / most * (plotWidth - 120) } // room for the labels behind the bars
	if most > 0 {
		for _, x := range roundSteps(most) {
			p.Rates.Ticks = append(p.Rates.Ticks, tick{plotLeft + rate(x), thousands(x)})
		}
	}
	from, to := math.Floor(math.Log10(least)), math.Ceil(math.Log10(longest))
	if to <= from {
		to = from + 1
	}
	at := func(ms float64) float64 { return plotLeft + (math.Log10(ms)-from)/(to-from)*(plotWidth-120) }
	if longest > 0 {
		for d := from; d <= to; d++ {
			p.Times.Ticks = append(p.Times.Ticks, tick{at(math.Pow(10, d)), milliseconds(math.Pow(10, d))})
		}
	}
	for i, e := range p.Entries {
		y := plotTop + i*lineHigh + lineHigh/2
		l := line{Mode: e.Mode, Y: y, Label: thousands(math.Round(e.Accepted)), LabelX: plotLeft + 6}
		l.Said = l.Label + " accepted a second"
		if e.Ratio != "" && e.Mode != SQL {
			l.Label += " · " + e.Ratio + "×"
			l.Said += ", " + e.Ratio + " times sql"
		}
		for _, b := range []struct {
			class string
			n     float64
		}{{"accepted", e.Accepted}, {"rejected", e.Rejected}, {"refused", e.Refused}} {
			if b.n > 0 {
				class := b.class
				if e.Mode == SQL {
					class += " sql"
				}
				l.Bars = append(l.Bars, bar{class, l.LabelX - 6, rate(b.n)})
				l.LabelX += rate(b.n)
			}
		}
		p.Rates.Lines = append(p.Rates.Lines, l)

		t := line{Mode: e.Mode, Y: y, LabelX: plotLeft + 6, Label: "nothing accepted", Said: "nothing accepted"}
		if e.P50 > 0 {
			t.Marks = []float64{at(e.P50), at(e.P95), at(e.P99)}
			t.LabelX = at(e.P99) + 12
			t.Label = milliseconds(e.P50) + " · " + milliseconds(e.P99)
			t.Said = fmt.Sprintf("half within %s, 95 of 100 within %s, 99 within %s", milliseconds(e.P50), milliseconds(e.P95), milliseconds(e.P99))
		}
		p.Times.Lines = append(p.Times.Lines, t)
	}
}

func newPlot(lines int) plot {
	bottom := plotTop + lines*lineHigh
	return plot{Bottom: bottom, Height: bottom + 24}
}

// roundSteps are some four round numbers from 0 to x.
func roundSteps(x float64) []float64 {
	step := math.Pow(10, math.Floor(math.Log10(x)))
	for x/step < 3 {
		step /= 2
	}
	for x/step > 6 {
		step *= 2
	}
	var steps []float64
	for at := 0.0; at <= x; at += step {
		steps = append(steps, at)
	}
	return steps
}

// milliseconds writes a time with three digits at most.
func milliseconds(ms float64) string {
	switch {
	case ms >= 1000:
		return strconv.FormatFloat(ms/1000, 'g', 3, 64) + " s"
	case ms < .1:
		return strconv.FormatFloat(ms*1000, 'f', 0, 64) + " µs"
	}
	digits := 3 - max(1, int(math.Floor(math.Log10(ms)))+1)
	s := strconv.FormatFloat(ms, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + " ms"
}

// thousands writes a number of things with commas.
func thousands(x float64) string {
	s := strconv.FormatFloat(x, 'f', -1, 64)
	whole, rest, _ := strings.Cut(s, ".")
	var parts []string
	for len(whole) > 3 {
		parts = append(parts, whole[len(whole)-3:])
		whole = whole[:len(whole)-3]
	}
	parts = append(parts, whole)
	slices.Reverse(parts)
	s = strings.Join(parts, ",")
	if rest != "" {
		s += "." + rest
	}
	return s
}
