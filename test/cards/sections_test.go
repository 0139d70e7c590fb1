package cards_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"accession/modules/operations"
	"accession/platform/event"
	"accession/platform/module"
	"accession/platform/problem"

	"go.yaml.in/yaml/v3"
)

// sections are the parts of documents that are written from the code: by document, by the name in its marks.
var sections = map[string]map[string]func(*testing.T) string{
	"docs/api.md":        {"requests": requests, "errors": codes},
	"docs/events.md":     {"events": eventTable},
	"docs/modes.md":      {"constraints": constraintTable, "advice": adviceTable},
	"docs/operations.md": {"configuration": configuration, "metrics": metrics, "kinds": kinds},
}

func TestSectionsWrittenFromTheCode(t *testing.T) { //nolint:paralleltest // with -update it writes what the tour reads
	for name, parts := range sections {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			for _, part := range slices.Sorted(maps.Keys(parts)) {
				begin := fmt.Sprintf("<!-- begin %s: written by test/cards, do not edit -->\n", part)
				end := fmt.Sprintf("<!-- end %s -->", part)
				before, rest, ok := strings.Cut(text, begin)
				_, after, closed := strings.Cut(rest, end)
				if !ok || !closed {
					t.Errorf("%s has no part between the marks %q and %q", name, strings.TrimSpace(begin), end)
					continue
				}
				text = before + begin + "\n" + parts[part](t) + "\n" + end + after
			}
			golden(t, name, text)
		})
	}
}

func eventTable(t *testing.T) string {
	t.Helper()
	var p page
	var rows [][]string
	for _, m := range modules {
		for _, e := range m.Events {
			about := kindsOf(sampleOf(t, e.EventType()))
			rows = append(rows, []string{
				code(e.EventType()), strconv.Itoa(event.SchemaOf(e)), code(about[0] + ":…"), list(about),
				fmt.Sprintf("[%s](modules/%s.md)", m.Name, m.Name),
			})
		}
	}
	p.table([]string{"Stored name", "Schema", "Stream", "About", "Module"}, rows...)
	return p.String()
}

func constraintTable(t *testing.T) string {
	t.Helper()
	set, err := module.Constraints(modules)
	if err != nil {
		t.Fatal(err)
	}
	var p page
	var rows [][]string
	for _, d := range set.Describe() {
		rows = append(rows, []string{code(d.Name), d.Kind, code(d.Scope), list(d.Modes), code(d.Default.String()), code(d.Error)})
	}
	p.table([]string{"Constraint", "Kind", "Scope", "Modes it can have", "Default", "Broken rule is"}, rows...)
	return p.String()
}

func adviceTable(*testing.T) string {
	var p page
	var rows [][]string
	for _, r := range operations.Rules {
		rows = append(rows, []string{code(r.Name), code(r.Mode.String()), r.When, list(r.Try)})
	}
	p.table([]string{"Rule", "Speaks of", "When, in the last five minutes", "Advises"}, rows...)
	return p.String()
}

func requests(t *testing.T) string {
	t.Helper()
	var p page
	var rows [][]string
	for _, r := range routesIn(t, modules...) {
		rows = append(rows, []string{code(r.method + " " + r.path), r.summary, strings.Join(r.good, ", ")})
	}
	p.table([]string{"Request", "Does", "Answers"}, rows...)
	return p.String()
}

// allKinds are the kinds of problems, in their order.
var allKinds = map[string]problem.Kind{
	"Internal": problem.Internal, "Malformed": problem.Malformed, "Invalid": problem.Invalid, "TooLarge": problem.TooLarge,
	"NotFound": problem.NotFound, "Conflict": problem.Conflict, "Refused": problem.Refused, "Stale": problem.Stale,
	"Unavailable": problem.Unavailable, "Usage": problem.Usage,
}

func kinds(t *testing.T) string {
	t.Helper()
	var p page
	var rows [][]string
	inOrder := slices.Sorted(maps.Values(allKinds))
	for i, k := range inOrder {
		if int(k) != i {
			t.Errorf("there are kinds of problems that this test does not know")
		}
		rows = append(rows, []string{code(k.String()), strconv.Itoa(k.Exit()), strconv.Itoa(k.Status()) + " " + http.StatusText(k.Status())})
	}
	p.table([]string{"Kind of problem", "Exit status", "HTTP status"}, rows...)
	return p.String()
}

func configuration(t *testing.T) string {
	t.Helper()
	meaning := meanings(t)
	var p page
	var rows [][]string
	for _, s := range settings(t) {
		value := ""
		if s.Value != "" {
			value = code(s.Value)
		}
		rows = append(rows, []string{code(s.Key), value, code(s.Variable), meaning[s.Key]})
	}
	p.table([]string{"Key", "Default", "Variable", "Meaning"}, rows...)
	return p.String()
}

// modesOfConstraints is what the configuration is told about constraints: the modes that each can have, and its default.
func modesOfConstraints(t *testing.T) (can map[string][]string, defaults map[string]string) {
	t.Helper()
	set, err := module.Constraints(modules)
	if err != nil {
		t.Fatal(err)
	}
	can, defaults = map[string][]string{}, map[string]string{}
	for _, d := range set.Describe() {
		defaults[d.Name] = d.Default.String()
		for _, m := range d.Modes {
			can[d.Name] = append(can[d.Name], m.String())
		}
	}
	return can, defaults
}

// meanings are the comments of configs/accession.yaml, by key.
func meanings(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "configs", "accession.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			comment := strings.NewReplacer("\n#", "", "#", "").Replace(k.HeadComment + v.LineComment)
			comments[path+k.Value] = strings.TrimSpace(comment)
			walk(v, path+k.Value+".")
		}
	}
	walk(doc.Content[0], "")
	return comments
}

var (
	helpLine = regexp.MustCompile(`(?m)^# HELP (\S+) (.*)$`)
	typeLine = regexp.MustCompile(`(?m)^# TYPE (\S+) (.*)$`)
)

// metrics reads the golden file of platform/telemetry, which has everything that can be measured in it.
func metrics(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "platform", "telemetry", "testdata", "metrics.txt"))
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, m := range typeLine.FindAllStringSubmatch(string(b), -1) {
		types[m[1]] = m[2]
	}
	var p page
	var rows [][]string
	for _, m := range helpLine.FindAllStringSubmatch(string(b), -1) {
		var labels []string
		for _, l := range regexp.MustCompile(`(?m)^` + m[1] + `(?:_count)?\{(.*)\}`).FindStringSubmatch(string(b)) {
			labels = labels[:0]
			for _, name := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(l, -1) {
				labels = append(labels, name[1])
			}
		}
		rows = append(rows, []string{code(m[1]), types[m[1]], list(labels), m[2]})
	}
	p.table([]string{"Metric", "Type", "Labels", "Meaning"}, rows...)
	return p.String()
}

// codes are the errors that the API can answer with, as the code makes them.
func codes(t *testing.T) string {
	t.Helper()
	type told struct{ code, kind, message string }
	var all []told
	note := func(kind, code, message string) {
		if !slices.ContainsFunc(all, func(x told) bool { return x.code == code }) {
			all = append(all, told{code, kind, message})
		}
	}
	files := []string{"platform/database/explain.go"} // whatever else is wrong with a database is told on the command line
	for _, dir := range []string{"platform/usecase", "platform/consistency", "platform/projection", "modules/library", "modules/catalogue", "modules/editions", "modules/discovery", "modules/operations", "platform/httpapi"} {
		for _, name := range goFiles(t, dir) {
			if name != "platform/httpapi/server.go" { // what is wrong with an address is told on the command line
				files = append(files, name)
			}
		}
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 2 && selected(call.Fun) == "New" {
				if code := literal(call.Args[1]); code != "" {
					note(selected(call.Args[0]), code, literal(call.Args[2]))
				}
			}
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			fields := map[string]ast.Expr{}
			for _, e := range lit.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok {
						fields[key.Name] = kv.Value
					}
				}
			}
			if code := literal(fields["Code"]); code != "" {
				kind := selected(fields["Kind"])
				if kind == "" {
					kind = selected(fields["Status"])
				}
				note(kind, code, literal(fields["Message"])+literal(fields["Detail"]))
			}
			return true
		})
	}
	slices.SortFunc(all, func(a, b told) int { return strings.Compare(a.code, b.code) })
	var p page
	var rows [][]string
	for _, x := range all {
		var status string
		switch k, ok := allKinds[x.kind]; {
		case ok:
			status = strconv.Itoa(k.Status())
		case x.kind == "StatusForbidden":
			status = strconv.Itoa(http.StatusForbidden)
		case x.code == "client-gone":
			continue // nobody receives it
		default:
			t.Errorf("what is the status of %q, of the kind %q?", x.code, x.kind)
		}
		rows = append(rows, []string{code(x.code), status, x.message})
	}
	if len(rows) < 20 {
		t.Errorf("only %d codes were found: the test looks in the wrong places", len(rows))
	}
	p.table([]string{"Code", "Status", "What the client reads"}, rows...)
	return p.String()
}

// selected is the name behind the dot of problem.Conflict.
func selected(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return ""
}

// literal is the text of a string, also of one in pieces; "" when it is no literal.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}
