// Package cards_test keeps the documents true: it writes what can be derived from the code, and fails when the code has moved on.
//
//   - cards_test.go: a card for each module, docs/modules/<name>.md;
//   - sections_test.go: the tables in docs/*.md, between marks;
//   - events_test.go: the stored form of every event, testdata/events, which nothing may change;
//   - links_test.go: links, file names and examples that documents speak of;
//   - tour_test.go: what README.md shows of the binary, command by command.
//
// `task golden -- test/cards` writes anew what is derived. Read the difference before you commit it.
package cards_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"accession/modules/catalogue"
	"accession/modules/discovery"
	"accession/modules/editions"
	"accession/modules/library"
	"accession/modules/operations"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/module"
	"accession/platform/projection"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
)

var update = flag.Bool("update", false, "write anew what is derived from the code")

// root is the repository.
const root = "../.."

// modules are those of cmd/accession; a test below compares.
var modules = []module.Module{library.Module, catalogue.Module, editions.Module, discovery.Module, operations.Module}

func TestModuleCards(t *testing.T) {
	t.Parallel()
	wanted := map[string]bool{}
	for _, m := range modules {
		name := filepath.Join("docs", "modules", m.Name+".md")
		wanted[m.Name+".md"] = true
		golden(t, name, card(t, m))
	}
	cards, err := os.ReadDir(filepath.Join(root, "docs", "modules"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cards {
		if !wanted[c.Name()] {
			t.Errorf("docs/modules/%s is the card of a module that is not there", c.Name())
		}
	}
}

func TestTheseAreTheModulesOfTheBinary(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "cmd", "accession", "app.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "modules" {
			return true
		}
		for _, value := range v.Values {
			for _, e := range value.(*ast.CompositeLit).Elts {
				names = append(names, e.(*ast.SelectorExpr).X.(*ast.Ident).Name)
			}
		}
		return false
	})
	var ours []string
	for _, m := range modules {
		ours = append(ours, m.Name)
	}
	if diff := cmp.Diff(names, ours); diff != "" {
		t.Errorf("cmd/accession has other modules than this test (-binary +test):\n%s", diff)
	}
}

// golden compares a file with what it should say, or writes it with -update.
func golden(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v: run `task golden -- test/cards`", err)
		return
	}
	if diff := cmp.Diff(strings.Split(string(got), "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("%s is out of date; run `task golden -- test/cards` and read the difference (-file +code):\n%s", name, diff)
	}
}

// A page of Markdown on its way.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// table writes rows; cells may be anything that prints.
func (p *page) table(head []string, rows ...[]string) {
	p.line("| %s |", strings.Join(head, " | "))
	p.line("|%s", strings.Repeat("---|", len(head)))
	for _, r := range rows {
		for i := range r {
			r[i] = strings.ReplaceAll(r[i], "|", `\|`)
		}
		p.line("| %s |", strings.Join(r, " | "))
	}
}

func card(t *testing.T, m module.Module) string {
	t.Helper()
	var p page
	dir := "modules/" + m.Name
	p.line("# The %s module", m.Name)
	p.line("")
	p.line("<!-- Written by test/cards from the module's own value: `task golden -- test/cards`. Do not edit. -->")
	p.line("")
	p.line("%s", packageDoc(t, dir))
	p.line("")
	p.line("Code: [`%s`](../../%s/module.go). [All documents](../index.md).", dir, dir)
	eventsOf(t, &p, m)
	constraintsOf(&p, m)
	projectorsOf(&p, m)
	routesOf(t, &p, m)
	return p.String()
}

func eventsOf(t *testing.T, p *page, m module.Module) {
	t.Helper()
	p.line("")
	p.line("## Events")
	p.line("")
	if len(m.Events) == 0 {
		p.line("It has none: it owns no fact.")
		return
	}
	for i, e := range m.Events {
		if i > 0 {
			p.line("")
		}
		s := sampleOf(t, e.EventType())
		p.line("### `%s`", e.EventType())
		p.line("")
		p.line("%s", typeDoc(t, e))
		p.line("")
		p.line("- Schema version %d; Go type `%s`.", event.SchemaOf(e), strings.TrimPrefix(fmt.Sprintf("%T", e), "*"))
		p.line("- About: %s. The first is its stream.", list(kindsOf(s)))
		p.line("- Constraints that listen: %s.", orNone(list(constraintsOn(e.EventType()))))
		p.line("- Projectors that listen: %s.", orNone(list(projectorsOn(e.EventType()))))
		p.line("")
		p.line("```json")
		p.line("%s", indented(t, s))
		p.line("```")
	}
}

func constraintsOf(p *page, m module.Module) {
	p.line("")
	p.line("## Constraints")
	p.line("")
	if len(m.Constraints) == 0 {
		p.line("It keeps none.")
		return
	}
	var rows [][]string
	for _, c := range m.Constraints {
		d := consistency.Describe(c)
		rows = append(rows, []string{code(d.Name), d.Rule, d.Kind, code(d.Scope), list(d.Modes), code(d.Default.String()), code(d.Error), list(d.Events)})
	}
	p.table([]string{"Constraint", "Rule", "Kind", "Scope", "Modes", "Default", "Broken rule is", "Listens to"}, rows...)
}

func projectorsOf(p *page, m module.Module) {
	p.line("")
	p.line("## Projectors")
	p.line("")
	if len(m.Projectors) == 0 {
		p.line("It has none.")
		return
	}
	for i, pr := range m.Projectors {
		if i > 0 {
			p.line("")
		}
		p.line("### `%s`, version %d", pr.Name, pr.Version)
		p.line("")
		p.line("Listens to %s.", list(pr.Events()))
		p.line("")
		var rows [][]string
		for _, tb := range pr.Tables {
			name, key, columns := tableOf(tb)
			var indexes []string
			for _, i := range tb.Indexes {
				indexes = append(indexes, strings.Join(i.Columns, ", "))
			}
			rows = append(rows, []string{code(name), list(columns), list(key), list(indexes)})
		}
		p.table([]string{"Table", "Columns", "Key", "Indexes"}, rows...)
	}
}

// tableOf is a table's name and columns as bun sees them.
func tableOf(tb projection.Table) (name string, key, columns []string) {
	t := schema.NewTables(sqlitedialect.New()).Get(reflect.TypeOf(tb.Model).Elem())
	for _, f := range t.PKs {
		key = append(key, f.Name)
	}
	for _, f := range t.Fields {
		columns = append(columns, f.Name)
	}
	return t.Name, key, columns
}

func routesOf(t *testing.T, p *page, m module.Module) {
	t.Helper()
	p.line("")
	p.line("## Routes")
	p.line("")
	routes := routesIn(t, m)
	if len(routes) == 0 {
		p.line("It has none in the API.")
		return
	}
	var rows [][]string
	for _, r := range routes {
		rows = append(rows, []string{code(r.method + " " + r.path), r.summary, strings.Join(r.good, ", "), strings.Join(r.bad, ", ")})
	}
	p.table([]string{"Request", "Does", "Answers", "Refuses"}, rows...)
}

// route is an operation of the OpenAPI document.
type route struct {
	method, path, summary string
	good, bad             []string // statuses
}

// routesIn asks the OpenAPI document that the modules' routes make.
func routesIn(t *testing.T, of ...module.Module) []route {
	t.Helper()
	api := httpapi.New(httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	module.Routes(of, api, module.Env{}) // routes look at their environment when they are asked, not before
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	var d struct {
		Paths map[string]map[string]struct {
			Summary   string                     `json:"summary"`
			Responses map[string]json.RawMessage `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatalf("read OpenAPI document: %v", err)
	}
	var routes []route
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		if !strings.HasPrefix(path, httpapi.Prefix+"/") {
			continue
		}
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			op := d.Paths[path][method]
			r := route{method: strings.ToUpper(method), path: path, summary: op.Summary}
			for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
				if status < "300" {
					r.good = append(r.good, status)
				} else {
					r.bad = append(r.bad, status)
				}
			}
			routes = append(routes, r)
		}
	}
	return routes
}

// packageDoc is the first sentence of a package's comment.
func packageDoc(t *testing.T, dir string) string {
	t.Helper()
	d := docOf(t, dir)
	return d.Synopsis(d.Doc)
}

// typeDoc is the comment of an event's type, in one line.
func typeDoc(t *testing.T, e event.Event) string {
	t.Helper()
	typ := reflect.TypeOf(e).Elem()
	for _, of := range docOf(t, strings.TrimPrefix(typ.PkgPath(), "accession/")).Types {
		if of.Name == typ.Name() {
			return strings.Join(strings.Fields(of.Doc), " ")
		}
	}
	t.Fatalf("%v has no comment", typ)
	return ""
}

func docOf(t *testing.T, dir string) *doc.Package {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, f := range goFiles(t, dir) {
		parsed, err := parser.ParseFile(fset, filepath.Join(root, f), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, parsed)
	}
	d, err := doc.NewFromFiles(fset, files, "accession/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// goFiles are the files of a package that are no tests, from the root.
func goFiles(t *testing.T, dir string) []string {
	t.Helper()
	all, err := fs.Glob(os.DirFS(root), dir+"/*.go")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(f string) bool {
		return strings.HasSuffix(f, "_test.go") || strings.HasSuffix(f, "/generate.go")
	})
}

func constraintsOn(name string) []string {
	var names []string
	for _, m := range modules {
		for _, c := range m.Constraints {
			if d := consistency.Describe(c); slices.Contains(d.Events, name) {
				names = append(names, d.Name)
			}
		}
	}
	return names
}

func projectorsOn(name string) []string {
	var names []string
	for _, m := range modules {
		for _, p := range m.Projectors {
			if slices.Contains(p.Events(), name) {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// kindsOf are the kinds of things that an event is about.
func kindsOf(e event.Event) []string {
	var kinds []string
	for _, tag := range e.Tags() {
		kinds = append(kinds, tag.Kind())
	}
	return kinds
}

func indented(t *testing.T, e event.Event) string {
	t.Helper()
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func code(s string) string { return "`" + s + "`" }

// list is things as code, with commas between.
func list[T any](things []T) string {
	words := make([]string, len(things))
	for i, v := range things {
		words[i] = code(fmt.Sprint(v))
	}
	return strings.Join(words, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
