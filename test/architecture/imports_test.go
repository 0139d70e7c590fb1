package architecture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

const self = "accession/" // before every package of ours

// pkg is a package as the go command sees it, without what it imports of the standard library.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// name is the package's in the table.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, self) }

// packages are all packages of ours.
var packages = sync.OnceValues(func() ([]pkg, error) {
	out, err := goList("-json=ImportPath,Imports,TestImports,XTestImports", self+"...")
	if err != nil {
		return nil, err
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, p)
	}
})

func goList(args ...string) ([]byte, error) {
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, errors.New(string(exit.Stderr))
	}
	return out, err
}

func load(t *testing.T) []pkg {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	if len(all) < 10 {
		t.Fatalf("there are only %d packages: the test looks in the wrong place", len(all))
	}
	return all
}

func TestEveryPackageHasItsPlace(t *testing.T) {
	t.Parallel()
	all := load(t)
	for _, p := range all {
		if _, ok := place(p.name()); !ok {
			t.Errorf("%s has no place in the table of walls_test.go: add a row that says what it may import", p.name())
		}
	}
	for _, r := range slices.Concat(walls, tests) {
		if !slices.ContainsFunc(all, func(p pkg) bool { return matches(r.pkg, p.name()) }) {
			t.Errorf("%s is in the table of walls_test.go, but is not there: remove the row", r.pkg)
		}
	}
}

func TestPackagesImportOnlyWhatIsBelowThem(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		r, ok := place(p.name())
		if !ok {
			continue // said above
		}
		for _, imported := range p.Imports {
			if why := r.forbids(imported); why != "" {
				t.Errorf("%s imports %s: %s", p.name(), imported, why)
			}
		}
	}
}

// What a package may import, its tests may too, and more: any part of the platform, the suites, and of other modules what
// their tests need to set a scene. But the platform's tests know no module: what they need an example for, they make.
func TestTestsOfThePlatformKnowNoModule(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		if !strings.HasPrefix(p.name(), "platform/") {
			continue
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, self+"modules/") || strings.HasPrefix(imported, self+"cmd/") {
				t.Errorf("tests of %s import %s: the platform does not know what is built on it", p.name(), imported)
			}
		}
	}
}

func TestWhatIsForTestsIsNotInTheBinary(t *testing.T) {
	t.Parallel()
	load(t)
	out, err := goList("-deps", self+"cmd/...")
	if err != nil {
		t.Fatalf("list what the binary is made of: %v", err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		name, ours := strings.CutPrefix(dep, self)
		switch {
		case ours && isForTests(name):
			t.Errorf("%s is built into the binary, but is for tests", name)
		case library(dep) == "testing":
			t.Errorf("%s is built into the binary, but is for tests", dep)
		}
	}
}

// The test above sees what is used by now, this one also what nobody uses yet.
func TestOnlyTestsImportWhatIsForTests(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		if isForTests(p.name()) {
			continue
		}
		for _, imported := range p.Imports {
			if name, ours := strings.CutPrefix(imported, self); ours && isForTests(name) {
				t.Errorf("%s imports %s, which is for tests", p.name(), name)
			}
		}
	}
}

func TestImportsNeverNameAPlace(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, "/") || strings.HasPrefix(imported, ".") {
				t.Errorf("%s imports %q: an import names a package, not a directory", p.name(), imported)
			}
		}
	}
}

// place finds the row of a package.
func place(name string) (row, bool) {
	for _, r := range slices.Concat(walls, tests) {
		if matches(r.pkg, name) {
			return r, true
		}
	}
	return row{}, false
}

// isForTests reports whether no binary may have the package in it.
func isForTests(name string) bool {
	return slices.ContainsFunc(tests, func(r row) bool { return matches(r.pkg, name) })
}

// forbids says why the package may not import what it imports; "" when it may.
func (r row) forbids(imported string) string {
	if name, ours := strings.CutPrefix(imported, self); ours {
		if slices.ContainsFunc(expand(r.ours), func(p string) bool { return matches(p, name) }) {
			return ""
		}
		return "there is a wall between them; if it is in the wrong place, move it in walls_test.go and say why in docs/architecture.md"
	}
	lib := library(imported)
	switch {
	case lib == "" && !strings.Contains(firstElement(imported), "."):
		return "" // the standard library
	case lib == "":
		return "nobody may import it yet; give the library a name in walls_test.go, and a place where it may be imported"
	case lib == "anybody" || r.libs == "*" || slices.Contains(strings.Fields(r.libs), lib):
		return ""
	}
	var may []string
	for _, r := range slices.Concat(walls, tests) {
		if slices.Contains(strings.Fields(r.libs), lib) {
			may = append(may, r.pkg)
		}
	}
	return lib + " is only for " + strings.Join(may, ", ")
}

// expand is a list of packages with its groups resolved.
func expand(list string) []string {
	var all []string
	for name := range strings.FieldsSeq(list) {
		if strings.HasPrefix(name, "$") {
			if groups[name] == "" {
				panic("there is no group " + name)
			}
			all = append(all, expand(groups[name])...)
			continue
		}
		all = append(all, name)
	}
	return all
}

// matches reports whether a name of the table means the package.
func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// library is the name that the table has for what is imported; "" when it has none.
func library(imported string) string {
	longest, found := 0, ""
	for name, prefixes := range libraries {
		for _, p := range prefixes {
			if (imported == p || strings.HasPrefix(imported, p+"/")) && len(p) > longest {
				longest, found = len(p), name
			}
		}
	}
	return found
}

func firstElement(imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	return first
}

// A rule that nothing fails proves nothing: these are the imports that the walls are there to keep out.
func TestTheWallsHold(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, pkg, imports string }{
		{"a command goes up", "modules/editions", self + "modules/catalogue"},
		{"a command knows the pages", "modules/library", self + "modules/discovery"},
		{"one that reads across contexts knows a database", "modules/discovery", self + "platform/eventlog/sqldb"},
		{"facts depend on a command", "modules/library/libraryevents", self + "modules/library"},
		{"facts know of bun", "modules/catalogue/catalogueevents", "github.com/uptrace/bun"},
		{"a module knows the log's database", "modules/catalogue", self + "platform/eventlog/sqldb"},
		{"a module knows a driver", "modules/catalogue", "github.com/lib/pq"},
		{"a module knows what a dialect is", "modules/catalogue", "github.com/uptrace/bun/dialect/pgdialect"},
		{"a module knows the bus", "modules/library", self + "platform/bus"},
		{"a module knows Watermill", "modules/library", "github.com/ThreeDotsLabs/watermill/message"},
		{"a module knows Fx", "modules/library", "go.uber.org/fx"},
		{"a module knows Prometheus", "modules/library", "github.com/prometheus/client_golang/prometheus"},
		{"a module prints its own commands", "modules/exchange", "github.com/spf13/cobra"},
		{"the platform knows a module", "platform/projection", self + "modules/library/libraryevents"},
		{"events know the log", "platform/event", self + "platform/eventlog"},
		{"the log knows units of work", "platform/eventlog", self + "platform/usecase"},
		{"constraints know a database", "platform/consistency", self + "platform/database"},
		{"constraints know SQL", "platform/consistency", "github.com/uptrace/bun"},
		{"constraints know HTTP", "platform/consistency", self + "platform/httpapi"},
		{"constraints know how they are counted", "platform/consistency", self + "platform/telemetry"},
		{"errors know anything of ours", "platform/problem", self + "platform/event"},
		{"the binary has a suite in it", "cmd/accession", "testing"},
		{"a library that nobody has decided on", "platform/text", "github.com/pkg/errors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, ok := place(tt.pkg)
			if !ok {
				t.Fatalf("%s is not in the table", tt.pkg)
			}
			if r.forbids(tt.imports) == "" {
				t.Errorf("%s may import %s", tt.pkg, tt.imports)
			}
		})
	}
}
