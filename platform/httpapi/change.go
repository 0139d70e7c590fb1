package httpapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"accession/platform/problem"

	"github.com/danielgtaylor/huma/v2"
)

// Precondition is embedded in the input of a route that changes a thing.
type Precondition struct {
	IfMatch IfMatch `header:"If-Match" example:"\"1\"" doc:"Change it only if this is still its ETag; * or none changes it however it is. One ETag: a list matches nothing."`
}

// IfMatch is the value of If-Match. The zero IfMatch is none.
type IfMatch string

// Resolve implements huma.Resolver. It refuses a header that is there without an ETag: a client who sends that believes that it
// changes only what it has seen. Several headers are one list (RFC 9110, section 5.3), of which huma has read the first member.
func (m *IfMatch) Resolve(ctx huma.Context) []error {
	given := headers(ctx, "If-Match")
	*m = IfMatch(strings.Join(given, ", "))
	if len(given) > 0 && strings.TrimSpace(string(*m)) == "" {
		return []error{problem.InvalidField("header.If-Match", nil, "must not be empty: leave it out, or give the ETag of what you have seen")}
	}
	return nil
}

// headers are the values of every header with the name, which is in its canonical form.
func headers(ctx huma.Context, name string) []string {
	var given []string
	ctx.EachHeader(func(n, value string) {
		if n == name {
			given = append(given, value)
		}
	})
	return given
}

// noVersion is a version that no stream has.
const noVersion = -1

// Seen is the version that the client wants to change, or 0 when any will do. What is no ETag of ours is a version that nothing
// has, so it does not match (RFC 9110, section 13.1.1); neither does a weak one. A list would match if one of its members does,
// but a command is about one version, so a list matches nothing.
func (p Precondition) Seen() int {
	tag := strings.TrimSpace(string(p.IfMatch))
	if tag == "" || tag == "*" {
		return 0
	}
	version, err := strconv.Atoi(strings.Trim(tag, `"`))
	if err != nil || version < 1 || ETag(version) != tag {
		return noVersion
	}
	return version
}

// Withdrawn is embedded in the input of a list whose things can be withdrawn.
type Withdrawn struct {
	Withdrawn bool `query:"withdrawn" doc:"Whether to list what was withdrawn too."`
}

// Part is what a [Listing] has of it.
func (w Withdrawn) Part() string { return "withdrawn=" + strconv.FormatBool(w.Withdrawn) }

// Optional is a field of a merge patch (RFC 7396), which tells three things apart: the client left the field out, cleared it
// with null, or gave a value. Tag the field json:"…,omitzero"; one that cannot be cleared also nullable:"false", and read it with
// [Optional.Set]. The zero Optional is a field that was left out. T is a scalar or a list.
type Optional[T any] struct {
	Said  bool // the field is there
	Value *T   // nil for null, and when it was left out
}

// Change is what the field asks for: nil to keep what there is, a zero value to clear it, else the new value.
func (o Optional[T]) Change() *T {
	if o.Said && o.Value == nil {
		return new(T)
	}
	return o.Value
}

// Set is Change for a field that cannot be cleared: null is an Invalid error at location. (huma lets null pass wherever a field
// may be left out.)
func (o Optional[T]) Set(location string) (*T, error) {
	if o.Said && o.Value == nil {
		return nil, problem.InvalidField(location, nil, "cannot be null: leave it out to keep it as it is")
	}
	return o.Value, nil
}

// UnmarshalJSON reads the field, which is only called when it is there.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*o = Optional[T]{Said: true}
		return nil
	}
	value := new(T)
	if err := json.Unmarshal(b, value); err != nil {
		return err
	}
	*o = Optional[T]{Said: true, Value: value}
	return nil
}

// Schema implements huma.SchemaProvider: the schema of T, or null.
func (o Optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), false, "")
	s.Nullable = true
	return &s
}
