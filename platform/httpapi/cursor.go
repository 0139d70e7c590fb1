package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"accession/platform/problem"
)

// Listing names a list together with everything that decides what is in it and in which order: its kind, its parent, its filter.
// A cursor of one listing is refused by every other.
//
//	listing := httpapi.Listing{"books", category.String(), strconv.FormatBool(in.Withdrawn)}
type Listing []string

// cursorVersion is raised when the form of cursors changes; those of before are refused then, and clients begin anew.
const cursorVersion = 1

// maxCursor is far more than any cursor has, in bytes.
const maxCursor = 2000

// cursor is what clients get to see, as base64url of its JSON.
type cursor struct {
	Version int             `json:"v"`
	At      json.RawMessage `json:"at"`
	Sum     []byte          `json:"sum"` // over listing and At
}

// Cursor is the cursor that goes on behind at: the sort key of the last item, as a value that JSON can hold. It panics if it
// cannot, which is a mistake in the program.
func (l Listing) Cursor(at any) string {
	raw, err := json.Marshal(at)
	if err != nil {
		panic(fmt.Sprintf("make cursor of %s: %v", strings.Join(l, "/"), err))
	}
	return l.encode(raw)
}

func (l Listing) encode(at json.RawMessage) string {
	raw, err := json.Marshal(cursor{Version: cursorVersion, At: at, Sum: l.sum(at)})
	if err != nil {
		panic(fmt.Sprintf("make cursor of %s: %v", strings.Join(l, "/"), err))
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Open reads a cursor that [Listing.Cursor] made into at, which is left alone when there is none. A cursor of another listing, or
// one that was changed, is an Invalid error at query.cursor. The check is against mistakes, not against enemies: there is no
// secret in it, and whoever can read a list can begin anywhere in it.
func (l Listing) Open(s string, at any) error {
	if s == "" {
		return nil
	}
	var c cursor
	if len(s) <= maxCursor {
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(s); err == nil && json.Unmarshal(raw, &c) != nil {
			c = cursor{}
		}
	}
	if c.Version != cursorVersion || len(c.At) == 0 || l.encode(c.At) != s {
		return errCursor()
	}
	if hasNUL(c.At) {
		return errCursor()
	}
	d := json.NewDecoder(bytes.NewReader(c.At))
	d.DisallowUnknownFields()
	if err := d.Decode(at); err != nil {
		return errCursor().Because(err)
	}
	return nil
}

// hasNUL reports whether a text in the JSON holds a NUL, which no sort key does and no database takes.
func hasNUL(raw []byte) bool {
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		token, err := d.Token()
		if err != nil {
			return false // the end, or for Open to find
		}
		if s, ok := token.(string); ok && strings.Contains(s, "\x00") {
			return true
		}
	}
}

func errCursor() *problem.Error {
	return problem.InvalidField("query.cursor", nil, "is not a cursor of this list: leave it out to begin at the front")
}

// sum binds a cursor to its listing. Parts are kept apart: ("a", "bc") and ("ab", "c") differ.
func (l Listing) sum(at []byte) []byte {
	h := sha256.New()
	for _, part := range l {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	fmt.Fprintf(h, "%d:%s", len(at), at)
	return h.Sum(nil)[:12]
}
