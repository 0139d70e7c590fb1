package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Registry knows events by their stored names. It is built once, from all modules, and then only read: it is safe for
// concurrent use.
type Registry struct {
	types map[string]reflect.Type // stored name → the struct
}

// NewRegistry takes a value of each event; what it holds does not matter. Two events under one name, or an event that is not
// a struct, are mistakes in the program and are returned all together.
func NewRegistry(events ...Event) (*Registry, error) {
	r := &Registry{types: make(map[string]reflect.Type, len(events))}
	var errs []error
	for _, e := range events {
		t := reflect.TypeOf(e)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		name := e.EventType()
		switch had, taken := r.types[name]; {
		case t.Kind() != reflect.Struct:
			errs = append(errs, fmt.Errorf("register event %q: %v is not a struct", name, t))
		case taken:
			errs = append(errs, fmt.Errorf("register event %q: %v and %v both have the name", name, had, t))
		default:
			r.types[name] = t
		}
	}
	return r, errors.Join(errs...)
}

// Types are the stored names, sorted.
func (r *Registry) Types() []string {
	names := make([]string, 0, len(r.types))
	for n := range r.types {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Encode gives the bytes under which e is stored.
func Encode(e Event) (json.RawMessage, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.EventType(), err)
	}
	return b, nil
}

// Decode turns stored bytes into an event. An event whose name this binary does not know comes back as [Unknown], not as an
// error: a newer binary may have written it.
func (r *Registry) Decode(name string, schema int, data json.RawMessage) (Event, error) {
	t, ok := r.types[name]
	if !ok {
		return &Unknown{Type: name, Schema: schema, Data: data}, nil
	}
	e := reflect.New(t).Interface().(Event)
	if SchemaOf(e) < schema {
		return &Unknown{Type: name, Schema: schema, Data: data}, nil
	}
	if err := json.Unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("decode event %s: %w", name, err)
	}
	return e, nil
}
