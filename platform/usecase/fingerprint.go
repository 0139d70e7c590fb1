package usecase

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// Fingerprint tells whether two requests under one key ask for the same: the SHA-256 of the content as JSON, with the members of
// every object sorted and those that are null left out, so that neither the order of a struct's fields nor a field added later
// changes it. It panics if the content cannot be encoded, which is a mistake in the program.
func Fingerprint(content ...any) []byte {
	raw, err := canonical(content)
	if err != nil {
		panic(fmt.Sprintf("fingerprint %T: %v", content, err))
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

func canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a number keeps the digits it was written with
	var parsed any
	if err := d.Decode(&parsed); err != nil {
		return nil, err
	}
	return json.Marshal(withoutNulls(parsed)) // maps are written in the order of their keys
}

// withoutNulls changes v in place.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
			} else {
				v[name] = withoutNulls(member)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}
