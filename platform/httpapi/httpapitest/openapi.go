package httpapitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// CheckOpenAPI fails the test when an OpenAPI 3.1 document is broken: a $ref that leads nowhere, an operation without an id or
// with one that another has, a parameter of a path that is not declared or declared without being there, an operation that
// declares no success or an error that is no problem document.
func CheckOpenAPI(t testing.TB, document []byte) {
	t.Helper()
	for _, err := range checkOpenAPI(document) {
		t.Errorf("OpenAPI document: %v", err)
	}
}

var pathParam = regexp.MustCompile(`\{([^}]*)\}`)

func checkOpenAPI(document []byte) []error {
	var doc map[string]any
	if err := json.Unmarshal(document, &doc); err != nil {
		return []error{err}
	}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		wrong("openapi is %v, not 3.1", doc["openapi"])
	}
	for _, ref := range refs(doc) {
		if _, err := resolve(doc, ref); err != nil {
			wrong("%v", err)
		}
	}
	ids := map[string]string{}
	for pattern, op := range operations(doc) {
		id, _ := op["operationId"].(string)
		switch other := ids[id]; {
		case id == "":
			wrong("%s has no operationId", pattern)
		case other != "":
			wrong("%s and %s both have the operationId %s", other, pattern, id)
		}
		ids[id] = pattern

		var inPath, declared []string
		for _, m := range pathParam.FindAllStringSubmatch(pattern, -1) {
			inPath = append(inPath, m[1])
		}
		for _, p := range array(op["parameters"]) {
			if object(p)["in"] == "path" {
				name, _ := object(p)["name"].(string)
				declared = append(declared, name)
			}
		}
		slices.Sort(inPath)
		slices.Sort(declared)
		if !slices.Equal(inPath, declared) {
			wrong("%s declares the path parameters %v", pattern, declared)
		}

		success := false
		for status, response := range object(op["responses"]) {
			_, isProblem := object(object(response)["content"])["application/problem+json"]
			isError := status[0] == '4' || status[0] == '5'
			success = success || !isError
			if isError != isProblem {
				wrong("%s declares %s as %v", pattern, status, slices.Sorted(maps.Keys(object(object(response)["content"]))))
			}
		}
		if !success {
			wrong("%s declares no success", pattern)
		}
	}
	return errs
}

// operations yields "GET /path/{id}" and the operation, in order.
func operations(doc map[string]any) iter.Seq2[string, map[string]any] {
	return func(yield func(string, map[string]any) bool) {
		paths := object(doc["paths"])
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			item := object(paths[path])
			for _, method := range []string{"get", "head", "post", "put", "patch", "delete", "options", "trace"} {
				if op, ok := item[method]; ok && !yield(strings.ToUpper(method)+" "+path, object(op)) {
					return
				}
			}
		}
	}
}

// refs are the values of every $ref in v.
func refs(v any) []string {
	var found []string
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if ref, ok := v[name].(string); ok && name == "$ref" {
				found = append(found, ref)
			}
			found = append(found, refs(v[name])...)
		}
	case []any:
		for _, item := range v {
			found = append(found, refs(item)...)
		}
	}
	return found
}

func resolve(doc map[string]any, ref string) (map[string]any, error) {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("the $ref %s leads out of the document", ref)
	}
	var at any = doc
	for part := range strings.SplitSeq(path, "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if at, ok = object(at)[part]; !ok {
			return nil, fmt.Errorf("the $ref %s leads nowhere", ref)
		}
	}
	return object(at), nil
}

// checker checks values against the part of JSON Schema that the document uses to describe shapes. Formats, lengths and bounds
// are for requests; here they are passed over.
type checker struct{ doc map[string]any }

func (c checker) check(schema map[string]any, v any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		target, err := resolve(c.doc, ref)
		if err != nil {
			return err
		}
		return c.check(target, v, at)
	}
	if err := checkType(schema["type"], v, at); err != nil {
		return err
	}
	if allowed := array(schema["enum"]); allowed != nil && v != nil && !slices.Contains(allowed, v) {
		return fmt.Errorf("%s is %v, which is none of %v", at, v, allowed)
	}
	var errs []error
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			errs = append(errs, c.check(object(schema["items"]), item, fmt.Sprintf("%s[%d]", at, i)))
		}
	case map[string]any:
		for _, name := range array(schema["required"]) {
			if _, ok := v[name.(string)]; !ok {
				errs = append(errs, fmt.Errorf("%s.%s is required and not there", at, name))
			}
		}
		properties := object(schema["properties"])
		for _, name := range slices.Sorted(maps.Keys(v)) {
			switch property, ok := properties[name]; {
			case ok:
				errs = append(errs, c.check(object(property), v[name], at+"."+name))
			case schema["additionalProperties"] == false:
				errs = append(errs, fmt.Errorf("%s.%s is not in the schema", at, name))
			default:
				errs = append(errs, c.check(object(schema["additionalProperties"]), v[name], at+"."+name))
			}
		}
	}
	return errors.Join(errs...)
}

func checkType(types, v any, at string) error {
	allowed := array(types)
	if one, ok := types.(string); ok {
		allowed = []any{one}
	}
	if len(allowed) == 0 {
		return nil
	}
	var got []any
	switch v := v.(type) {
	case nil:
		got = []any{"null"}
	case bool:
		got = []any{"boolean"}
	case string:
		got = []any{"string"}
	case float64:
		got = []any{"number"}
		if v == float64(int64(v)) {
			got = append(got, "integer")
		}
	case []any:
		got = []any{"array"}
	case map[string]any:
		got = []any{"object"}
	}
	for _, g := range got {
		if slices.Contains(allowed, g) {
			return nil
		}
	}
	return fmt.Errorf("%s is %v, not %v", at, got[0], types)
}

// object is v as an object; nil, which is an empty one, when it is none.
func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func array(v any) []any {
	a, _ := v.([]any)
	return a
}
