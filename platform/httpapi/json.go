package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	typeJSON       = "application/json"
	typeMergePatch = "application/merge-patch+json"
	typeProblem    = "application/problem+json"
)

// encodeJSON is JSON for an answer: "<" stays "<", and there is a newline at the end.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// parseJSON reads one JSON value and nothing behind it. It is stricter than encoding/json where that would guess: bytes that are
// no UTF-8, an escape that is half of a surrogate pair, and a member that is there twice (I-JSON, RFC 7493, forbids all three).
func parseJSON(data []byte, v *any) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8")
	}
	if err := json.Unmarshal(data, v); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line, column := place(data, syntax.Offset)
			return fmt.Errorf("not JSON at line %d, column %d: %w", line, column, syntax)
		}
		return fmt.Errorf("not JSON: %w", err)
	}
	if at, found := halfPair(data); found {
		line, column := place(data, int64(at)+1)
		return fmt.Errorf("not text at line %d, column %d: %s is half of a surrogate pair, and the other half is not there", line, column, data[at:at+6])
	}
	if path, twice := repeated(json.NewDecoder(bytes.NewReader(data))); twice {
		slices.Reverse(path)
		return fmt.Errorf("body%s is there twice", shorten(strings.Join(path, "")))
	}
	return nil
}

// longestPath is how much is said of the way to a member, in characters: a body can be one long way.
const longestPath = 200

func shorten(path string) string {
	n := 0
	for i := range path {
		if n++; n > longestPath {
			return path[:i] + "…"
		}
	}
	return path
}

// place is where in the text the byte before offset is, both counted from 1.
func place(data []byte, offset int64) (line, column int) {
	before := data[:min(int(offset), len(data))]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, max(1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]))
}

// halfPair finds an escape that stands for half of a UTF-16 surrogate pair, without the other half beside it, and says at which
// byte it begins. The input is known to be JSON: a backslash is in a string, and begins an escape.
func halfPair(data []byte) (at int, found bool) {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		r := escaped(data[i:])
		switch {
		case r < 0:
			i++ // over what is escaped, which may be a backslash
		case !utf16.IsSurrogate(r):
			i += 5
		case utf16.DecodeRune(r, escaped(data[i+6:])) == utf8.RuneError:
			return i, true
		default:
			i += 11
		}
	}
	return 0, false
}

// escaped is the UTF-16 code unit that data begins with as an escape, \u and four hexadecimal digits; -1 when it begins with
// anything else.
func escaped(data []byte) rune {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// repeated finds a member that an object has twice, and the steps to it, the last one first. The input is known to be JSON, and not
// deeper than encoding/json allows.
func repeated(d *json.Decoder) (path []string, found bool) {
	token, err := d.Token()
	if err != nil {
		return nil, false
	}
	switch token {
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			token, _ := d.Token()
			name, _ := token.(string)
			if seen[name] {
				return []string{"." + name}, true
			}
			seen[name] = true
			if path, found := repeated(d); found {
				return append(path, "."+name), true
			}
		}
		d.Token() //nolint:errcheck // the closing brace
	case json.Delim('['):
		for i := 0; d.More(); i++ {
			if path, found := repeated(d); found {
				return append(path, "["+strconv.Itoa(i)+"]"), true
			}
		}
		d.Token() //nolint:errcheck // the closing bracket
	}
	return nil, false
}
