package architecture_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is built and what is written here must be the same wherever it lies: no file names the directory that it is checked out
// in, nor the home of whoever works on it.
func TestNoFileNamesThePlaceItLiesIn(t *testing.T) {
	t.Parallel()
	out, err := goList("-m", "-f", "{{.Dir}}")
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	root := strings.TrimSpace(string(out))
	places := []string{root}
	if home, err := os.UserHomeDir(); err == nil {
		places = append(places, home)
	}
	looked := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // somebody works here
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == ".task" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // as above
		case err != nil:
			return err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return nil // not text: a database, a packed file, a binary somebody built here
		}
		looked++
		for _, place := range places {
			if strings.Count(place, string(filepath.Separator)) < 2 {
				continue // "/root" may be anything
			}
			if bytes.Contains(text, []byte(place)) {
				t.Errorf("%s names %s, which is a place on this machine", strings.TrimPrefix(path, root), place)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 50 {
		t.Errorf("only %d files were looked at", looked)
	}
}
