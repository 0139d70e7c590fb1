package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"accession/configs"
	"accession/platform/module"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// TestTheConfigurationFileListsTheConstraints keeps accession.yaml in step with the modules: platform/config knows nothing of
// them.
func TestTheConfigurationFileListsTheConstraints(t *testing.T) {
	t.Parallel()
	text, err := fs.ReadFile(configs.Files, "accession.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Consistency struct{ Modes map[string]string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	set, err := module.Constraints(modules)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range set.Describe() {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(file.Consistency.Modes))); diff != "" {
		t.Errorf("configs/accession.yaml lists other constraints than there are (-modules +file):\n%s", diff)
	}
}

func TestTheConfigurationFilesCanBeUsed(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(configs.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(configs.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, stderr, exit := invoke(t, nil, "config", "print", "--config", file); exit != 0 {
			t.Errorf("%s: exit %d\n%s", name, exit, stderr)
		}
	}
}
