package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
)

// Thing is a kind of thing that has ids and a stream. A module declares one for each of its aggregates, as an empty struct
// whose Kind is the word before the colon of its tags: `type book struct{}; func (book) Kind() string { return "book" }`.
type Thing interface{ Kind() string }

// ID is the id of a thing of the kind K: any UUID; those made here are version 7, so that new ones sort last.
// Ids of different kinds are different types. The zero ID is no thing.
type ID[K Thing] uuid.UUID

// NewID draws a new id (UUID version 7, RFC 9562). It panics only when the system has no randomness left.
func NewID[K Thing]() ID[K] { return ID[K](uuid.Must(uuid.NewV7())) }

// DerivedID is the id that the parts always give (UUID version 5, RFC 9562, under the space's id), so that doing the same
// import again names the same thing.
func DerivedID[K Thing](space uuid.UUID, parts ...string) ID[K] {
	var k K
	return ID[K](Derive(space, append([]string{k.Kind()}, parts...)...))
}

// Derive is the UUID that the parts always give under space. Parts are kept apart: ("a", "bc") and ("ab", "c") differ.
func Derive(space uuid.UUID, parts ...string) uuid.UUID {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	return uuid.NewSHA1(space, h.Sum(nil))
}

// ParseID reads an id in the canonical form of 36 characters, either case.
func ParseID[K Thing](s string) (ID[K], error) {
	if len(s) != 36 { // uuid.Parse also takes urn:uuid:, braces and no hyphens
		return ID[K]{}, fmt.Errorf("parse id: %q is not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", s)
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return ID[K]{}, fmt.Errorf("parse id: %q is not a UUID", s)
	}
	return ID[K](u), nil
}

// UUID is the id without its kind.
func (id ID[K]) UUID() uuid.UUID { return uuid.UUID(id) }

// String is the canonical form, lower case.
func (id ID[K]) String() string { return uuid.UUID(id).String() }

// IsZero reports whether id names nothing.
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// Tag is the tag of the thing, which is also the name of its stream and its scope. The zero ID's is the zero Tag.
func (id ID[K]) Tag() Tag {
	if id.IsZero() {
		return ""
	}
	var k K
	var text [80]byte // there is one for every scope, key and tag of a command: not worth three allocations
	t := append(text[:0], k.Kind()...)
	t = append(t, ':')
	t = appendUUID(t, uuid.UUID(id))
	return Tag(t)
}

// appendUUID appends the canonical form.
func appendUUID(b []byte, id uuid.UUID) []byte {
	for i, group := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, group)
	}
	return b
}

// TakeFrom sets id to the one of its kind among the tags; to the zero ID when there is none.
func (id *ID[K]) TakeFrom(tags []Tag) {
	var k K
	*id = ID[K]{}
	for _, t := range tags {
		if t.Kind() == k.Kind() {
			*id, _ = ParseID[K](t.ID()) // a tag of ours is well formed; anything else is no thing
			return
		}
	}
}

// MarshalText writes the canonical form.
func (id ID[K]) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText reads the canonical form.
func (id *ID[K]) UnmarshalText(b []byte) error {
	p, err := ParseID[K](string(b))
	if err == nil {
		*id = p
	}
	return err
}
