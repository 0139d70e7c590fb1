package discovery

import (
	"fmt"

	"accession/platform/web"
)

// numbers is a range of numbers that a long drawer can be opened at.
type numbers struct {
	Label   string
	Path    string
	Current bool
	Gap     bool // stands for ranges that are left out
}

// drawers cuts the numbers 1 to last into ranges of the size and gives the one that holds the number from, with links to the
// others: to all of them, or to the first, the last and those near. There are none if one range holds everything. The last
// range is open: what is not numbered yet stands at its end.
func drawers(path string, last, from, size int) (span, []numbers) {
	n := max(1, (last+size-1)/size)
	current := min((from-1)/size, n-1)
	shown := span{From: current*size + 1, To: (current + 1) * size, Open: current == n-1}
	if n == 1 {
		return shown, nil
	}
	var links []numbers
	for i := range n {
		if n > maxRanges && i > 0 && i < n-1 && (i < current-nearRanges || i > current+nearRanges) {
			if !links[len(links)-1].Gap {
				links = append(links, numbers{Gap: true})
			}
			continue
		}
		first := i*size + 1
		links = append(links, numbers{
			Label:   web.Thousands(first) + "–" + web.Thousands(min(last, first+size-1)),
			Path:    fmt.Sprintf("%s?from=%d", path, first),
			Current: i == current,
		})
	}
	return shown, links
}

// How many ranges are all shown, and how many on each side of the present one if there are more.
const (
	maxRanges  = 24
	nearRanges = 4
)
