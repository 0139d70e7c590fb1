package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A key is one row of the table of keys.
type key struct {
	name  string // "consistency.lock.timeout"
	flag  string // "--database"; empty when the key has no flag of its own
	check check
}

// A check turns what was written into the value that [Config] holds, or says what is wrong with it and what would be right.
// YAML hands it text, numbers, lists and so on; the environment and flags hand it text only.
type check func(raw any) (any, error)

const (
	modesPrefix = "consistency.modes."
	longest     = 24 * time.Hour // no timeout is longer: PostgreSQL's are milliseconds in 32 bits, and a day is for ever
)

// modes are all there are, whether or not a given constraint can have them.
var modes = []string{"reject", "retry", "lock", "queue", "eventual", "adaptive"}

// table gives every key in the order of configs/accession.yaml. Constraints have no order of their own: theirs is by name.
func table(constraints map[string][]string) []key {
	keys := []key{
		{"database.url", "--database", databaseURL},
		{"database.max_open", "", count(2, 1000)},
		{"database.statement_timeout", "", duration(0, longest)},
		{"database.idle_in_transaction_timeout", "", duration(0, longest)},
		{"http.addr", "--addr", address},
		{"http.shutdown_timeout", "", duration(0, longest)},
		{"http.max_body", "", size(1, 1<<30)},
		{"bus.driver", "", oneOf("gochannel", "kafka")},
		{"bus.kafka.brokers", "", addresses},
		{"bus.kafka.topic_prefix", "", topicPrefix},
	}
	names := make([]string, 0, len(constraints))
	for name := range constraints {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		keys = append(keys, key{modesPrefix + name, "", mode(name, constraints[name])})
	}
	return append(keys,
		key{"consistency.retry.attempts", "", count(1, 1000)},
		key{"consistency.retry.backoff", "", duration(0, time.Minute)},
		key{"consistency.lock.timeout", "", duration(time.Millisecond, longest)},
		key{"consistency.queue.depth", "", count(1, 1_000_000)},
		key{"consistency.queue.batch", "", count(1, 10_000)},
		key{"projectors.timing", "", oneOf("background", "immediate")},
		key{"log.level", "", level},
		key{"log.format", "", oneOf("text", "json")},
		key{"telemetry.sentry.dsn", "", dsn},
	)
}

// variable is the name of the environment variable that sets the key.
func (k key) variable() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(k.name))
}

func oneOf(words ...string) check {
	return func(raw any) (any, error) {
		if s, ok := raw.(string); ok && slices.Contains(words, s) {
			return s, nil
		}
		return nil, fmt.Errorf("%s is not one of %s%s", show(raw), list(words), didYouMean(raw, words))
	}
}

// mode knows two mistakes apart: a mode that nobody has, and one that this constraint cannot have.
func mode(constraint string, can []string) check {
	return func(raw any) (any, error) {
		s, ok := raw.(string)
		switch {
		case ok && slices.Contains(can, s):
			return s, nil
		case ok && slices.Contains(modes, s):
			return nil, fmt.Errorf("%s cannot be kept in the mode %s; it can have %s", constraint, s, list(can))
		default:
			return nil, fmt.Errorf("%s is not a mode; %s can have %s%s", show(raw), constraint, list(can), didYouMean(raw, can))
		}
	}
}

func count(least, most int) check {
	return func(raw any) (any, error) {
		n, ok := raw.(int)
		if s, text := raw.(string); text {
			var err error
			n, err = strconv.Atoi(s)
			ok = err == nil
		}
		if !ok || n < least || n > most {
			return nil, fmt.Errorf("%s is not a whole number from %d to %d", show(raw), least, most)
		}
		return n, nil
	}
}

func duration(least, most time.Duration) check {
	return func(raw any) (any, error) {
		if raw == 0 {
			raw = "0" // the one duration that needs no unit
		}
		s, ok := raw.(string)
		d, err := time.ParseDuration(s)
		if !ok || err != nil || d < least || d > most {
			return nil, fmt.Errorf("%s is not a duration from %s to %s, such as 2ms, 5s or 1m30s", show(raw), least, short(most))
		}
		return d, nil
	}
}

func size(least, most Size) check {
	return func(raw any) (any, error) {
		var n Size
		var err error
		switch v := raw.(type) {
		case int:
			n = Size(v)
		case string:
			n, err = parseSize(v)
		default:
			err = errors.New("neither text nor a number")
		}
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("%s is not a size from %s to %s, such as 65536, 512KiB or 1MiB", show(raw), least, most)
		}
		return n, nil
	}
}

func level(raw any) (any, error) {
	words := []string{"debug", "info", "warn", "error"}
	s, err := oneOf(words...)(raw)
	if err != nil {
		return nil, err
	}
	return [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[slices.Index(words, s.(string))], nil
}

func databaseURL(raw any) (any, error) {
	s, _ := raw.(string)
	switch scheme, rest, _ := strings.Cut(s, ":"); scheme {
	case "sqlite":
		if rest != "" && !strings.HasPrefix(rest, "//") && !strings.ContainsFunc(rest, unicode.IsControl) {
			return s, nil
		}
	case "postgres", "postgresql":
		// The error of url.Parse is not shown: it quotes the password.
		if _, err := url.Parse(s); err == nil && strings.HasPrefix(rest, "//") {
			return s, nil
		}
		return nil, fmt.Errorf("%s is not a URL; write postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=…, "+
			"with special characters of the password as %%XX", show(raw))
	}
	return nil, fmt.Errorf("%s is not one of sqlite:PATH, sqlite::memory: or postgres://…", show(raw))
}

// dsn takes what Sentry gives for a project. What was written is not shown: the key in it is nobody's business.
func dsn(raw any) (any, error) {
	s, ok := raw.(string)
	u, err := url.Parse(s)
	if ok && (s == "" || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User.Username() != "" && strings.Trim(u.Path, "/") != "") {
		return s, nil
	}
	return nil, errors.New("this is not a DSN, such as https://KEY@sentry.example.org/PROJECT; leave it empty to have no error tracker")
}

func address(raw any) (any, error) {
	s, _ := raw.(string)
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || port != strconv.FormatUint(n, 10) ||
		strings.ContainsFunc(host, func(r rune) bool { return r == ',' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, fmt.Errorf("%s is not host:port, such as 127.0.0.1:8080, :8080 or [::1]:0", show(raw))
	}
	return s, nil
}

// addresses takes a list, or text with commas where there are no lists.
func addresses(raw any) (any, error) {
	var items []any
	switch v := raw.(type) {
	case []any:
		items = v
	case string:
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				items = append(items, s)
			}
		}
	default:
		return nil, fmt.Errorf("%s is not a list of host:port, such as [kafka-1:9092, kafka-2:9092]", show(raw))
	}
	var all []string
	for _, item := range items {
		a, err := address(item)
		if err != nil {
			return nil, err
		}
		all = append(all, a.(string))
	}
	return all, nil
}

// topicPrefix allows what Kafka allows in the name of a topic.
func topicPrefix(raw any) (any, error) {
	s, ok := raw.(string)
	if !ok || len(s) > 200 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
		return nil, fmt.Errorf("%s is not the beginning of a topic's name: up to 200 letters, digits, dots, hyphens and underscores", show(raw))
	}
	return s, nil
}

// list is "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// didYouMean is "; did you mean X?" for the word that is nearest to what was written, or nothing when none is near.
func didYouMean(raw any, words []string) string {
	s, ok := raw.(string)
	if !ok || len(s) > 100 {
		return ""
	}
	s = strings.ToLower(s)
	best, fewest := "", len(s)/3+1 // so many letters may be wrong
	for _, w := range words {
		if d := distance(s, strings.ToLower(w)); d <= fewest && d < len(w) {
			best, fewest = w, d-1
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance counts the letters to put in, take out, exchange or swap with a neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
