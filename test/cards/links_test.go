package cards_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"accession/platform/config"
)

// documents are all pages, from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	read := func(name string) {
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(b)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		read(name)
	}
	err := fs.WalkDir(os.DirFS(root), "docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".md") {
			read(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

var (
	fences  = regexp.MustCompile("(?ms)^```.*?^```")
	links   = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	ticks   = regexp.MustCompile("`([^`\n]+)`")
)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	texts := documents(t)
	for name, text := range texts {
		for _, m := range links.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
			words, target := m[1], m[2]
			if strings.Contains(target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			to := name
			if file != "" {
				to = path.Join(path.Dir(name), file)
			}
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(to)))
			if info, statErr := os.Stat(filepath.Join(root, filepath.FromSlash(to))); statErr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s links to %s, which is not there", name, target)
				continue
			}
			if anchor != "" && !hasAnchor(string(b), anchor) {
				t.Errorf("%s links to %s, but %s has no such heading", name, target, to)
			}
			// [`ExampleSequence`](…/example_test.go): what a link names in code must be in the file.
			if word := strings.Trim(words, "`"); word != words && strings.HasSuffix(to, ".go") && !strings.ContainsAny(word, "/ ") {
				if last := word[strings.LastIndex(word, ".")+1:]; !regexp.MustCompile(`\b` + regexp.QuoteMeta(last) + `\b`).Match(b) {
					t.Errorf("%s says that %s has %s", name, to, word)
				}
			}
		}
	}
}

// hasAnchor reports whether a heading of the page has the anchor.
func hasAnchor(text, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(m[1]) {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				b.WriteRune(r)
			case r == ' ':
				b.WriteByte('-')
			}
		}
		if b.String() == anchor {
			return true
		}
	}
	return false
}

func TestEveryDocumentIsInTheIndex(t *testing.T) {
	t.Parallel()
	texts := documents(t)
	for name := range texts {
		if below, ok := strings.CutPrefix(name, "docs/"); ok && below != "index.md" && !strings.Contains(texts["docs/index.md"], "]("+below+")") {
			t.Errorf("docs/index.md has no line for %s", below)
		}
	}
}

// Rules that tests name by number are in docs/rules.md, each with a place where it is tested.
func TestRulesThatTestsNameAreListed(t *testing.T) {
	t.Parallel()
	rules := documents(t)["docs/rules.md"]
	number := regexp.MustCompile(`\b(?:rules? |")(R\d+)\b`)
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || name != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		for _, m := range number.FindAllStringSubmatch(string(b), -1) {
			if !strings.Contains(rules, "| "+m[1]+" |") {
				t.Errorf("%s speaks of rule %s, of which docs/rules.md does not", name, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	fileName   = regexp.MustCompile(`^(?:platform|modules|cmd|configs|docs|test|\.ci)/[A-Za-z0-9_./*-]+$`)
	identifier = regexp.MustCompile(`^([a-z]+)\.([A-Z]\w*)(?:\.([A-Z]\w*))?(?:\(\))?$`)
	variable   = regexp.MustCompile(`\bACCESSION_[A-Z_]+\b`)
	metric     = regexp.MustCompile(`^accession_[a-z_]+$`)
)

// Whatever a document says in `code` that looks like a file, an identifier of ours, a variable or a metric, is there.
func TestWhatDocumentsNameIsThere(t *testing.T) {
	t.Parallel()
	declared := identifiers(t)
	variables := map[string]bool{"ACCESSION_CONFIG": true, "ACCESSION_TEST_POSTGRES_URL": true}
	for _, s := range settings(t) {
		variables[s.Variable] = true
	}
	measured := metrics(t)
	for name, text := range documents(t) {
		for _, v := range variable.FindAllString(text, -1) {
			if !variables[v] {
				t.Errorf("%s names the variable %s, which is not there", name, v)
			}
		}
		for _, m := range ticks.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
			word := m[1]
			switch id := identifier.FindStringSubmatch(word); {
			case fileName.MatchString(word):
				if found, err := fs.Glob(os.DirFS(root), strings.TrimSuffix(word, "/")); err != nil || len(found) == 0 {
					t.Errorf("%s names the file %s, which is not there", name, word)
				}
			case metric.MatchString(word) && !strings.Contains(measured, code(word)):
				t.Errorf("%s names the metric %s, which is not there", name, word)
			case id != nil && declared[id[1]] != nil:
				if !declared[id[1]][strings.TrimSuffix(id[2]+"."+id[3], ".")] {
					t.Errorf("%s names %s, which is not there", name, word)
				}
			}
		}
	}
}

// identifiers are what packages of ours declare: by the package's name, "Type", "Func", "Type.Method" and "Type.Field".
func identifiers(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		names := all[file.Name.Name]
		if names == nil {
			names = map[string]bool{}
			all[file.Name.Name] = names
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
						members(names, s)
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// receiver is "Type." for a method.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	typ := f.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.Ident:
			return t.Name + "."
		default:
			return ""
		}
	}
}

func members(names map[string]bool, s *ast.TypeSpec) {
	var fields *ast.FieldList
	switch typ := s.Type.(type) {
	case *ast.StructType:
		fields = typ.Fields
	case *ast.InterfaceType:
		fields = typ.Methods
	default:
		return
	}
	for _, f := range fields.List {
		for _, n := range f.Names {
			names[s.Name.Name+"."+n.Name] = true
		}
	}
}

// settings is the configuration when nobody says anything.
func settings(t *testing.T) []config.Setting {
	t.Helper()
	can, defaults := modesOfConstraints(t)
	_, all, err := config.Load(config.Sources{Constraints: can, Modes: defaults})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
