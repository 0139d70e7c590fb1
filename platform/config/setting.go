package config

import (
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Setting is one key as it stands: a row of `accession config print`.
type Setting struct {
	Key      string `json:"key"`
	Value    string `json:"value"`    // as one would write it in the environment; passwords are masked
	From     string `json:"from"`     // "default", "accession.yaml:7", "ACCESSION_HTTP_ADDR" or "--addr"
	Variable string `json:"variable"` // the environment variable that sets the key
}

// Size is a number of bytes.
type Size int64

var units = [...]struct {
	name  string
	bytes Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String is the number in the largest unit that it is whole in: "1MiB", "1000B".
func (s Size) String() string {
	for _, u := range units {
		if s >= u.bytes && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// parseSize reads "1MiB", "512KiB", "10B" and "65536".
func parseSize(text string) (Size, error) {
	unit := Size(1)
	for _, u := range units {
		if t, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = t, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 32) // × GiB stays below 64 bits
	return Size(n) * unit, err
}

// format is a value as one would write it in the environment.
func format(v any) string {
	switch v := v.(type) {
	case []string:
		return strings.Join(v, ",")
	case time.Duration:
		return short(v)
	case slog.Level:
		return strings.ToLower(v.String())
	default:
		return mask(fmt.Sprint(v))
	}
}

// short is the duration without the zeroes that Duration.String puts behind: "1h", not "1h0m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// show is what was written, for a message about it.
func show(raw any) string {
	switch v := raw.(type) {
	case nil:
		return "nothing"
	case string:
		if v = mask(v); len(v) > 200 {
			v = strings.ToValidUTF8(v[:200], "") + "…"
		}
		return strconv.Quote(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a section"
	default:
		return fmt.Sprint(v)
	}
}

const masked = "xxxxx"

var secrets = regexp.MustCompile(`(?i)([?&;\s](?:ssl)?password\s*=)[^&;\s]*`)

// mask hides passwords in what may be the URL of a database, well-formed or not: rather too much than too little.
func mask(s string) string {
	s = secrets.ReplaceAllString(s, "${1}"+masked)
	at := strings.LastIndex(s, "@") // the last one, for a password that holds one itself
	if at < 0 || strings.HasPrefix(s, "sqlite:") {
		return s
	}
	scheme, rest, ok := strings.Cut(s[:at], "://")
	if !ok {
		scheme, rest = "", s[:at]
	} else {
		scheme += "://"
	}
	user, _, has := strings.Cut(rest, ":")
	if !has {
		return s
	}
	return scheme + user + ":" + masked + s[at:]
}
