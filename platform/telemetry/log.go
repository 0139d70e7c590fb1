package telemetry

import (
	"io"
	"log/slog"
)

// Logger writes what is at least as severe as level to w: in the format "json", one object a line, for machines; in any other as
// text for people.
func Logger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
