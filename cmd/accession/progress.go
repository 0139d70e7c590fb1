package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar is a progress bar on stderr, if that is a terminal; else nothing. Like all that accession writes it has no colours, so
// there is nothing for NO_COLOR to switch off.
type bar struct{ *progressbar.ProgressBar }

func (c *cli) bar(total int, what string) bar {
	f, ok := c.err.(*os.File)
	if !ok || !isTerminal(f) {
		return bar{}
	}
	return bar{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(f),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// tick moves the bar by one. It may be called from several goroutines.
func (b bar) tick() {
	if b.ProgressBar != nil {
		_ = b.Add(1) // a bar that cannot be drawn is no reason to stop
	}
}

func (b bar) finish() {
	if b.ProgressBar != nil {
		_ = b.Finish()
	}
}
