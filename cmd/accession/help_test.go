package main

import (
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

// invoke runs a command line in this process.
func invoke(t *testing.T, env []string, args ...string) (out, err string, exit int) {
	t.Helper()
	var o, e bytes.Buffer
	exit = run(t.Context(), args, system{in: strings.NewReader(""), out: &o, err: &e, env: env})
	return o.String(), e.String(), exit
}

// TestHelp keeps the help of every command in testdata/help, a file each: what users read changes only on purpose.
func TestHelp(t *testing.T) {
	t.Parallel()
	const dir = "testdata/help"
	got := map[string]string{}
	for _, cmd := range below((&cli{flags: map[string]string{}}).root()) {
		path := strings.Fields(cmd.CommandPath())
		out, stderr, exit := invoke(t, nil, append(slices.Clone(path[1:]), "--help")...)
		if exit != 0 || stderr != "" {
			t.Errorf("%s --help: exit %d\n%s", cmd.CommandPath(), exit, stderr)
		}
		if !strings.Contains(out, "\nExamples:\n") {
			t.Errorf("%s --help has no example", cmd.CommandPath())
		}
		got[strings.Join(path, "_")+".txt"] = out
	}
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range got {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := map[string]string{}
	files, err := fs.Glob(os.DirFS(dir), "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want[name] = string(text)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("commands differ from %s; is it `task golden`? (-want +got):\n%s", dir, diff)
	}
	for name, text := range want {
		if diff := cmp.Diff(text, got[name]); diff != "" {
			t.Errorf("%s differs; is it `task golden`? (-want +got):\n%s", name, diff)
		}
	}
}
