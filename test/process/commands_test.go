//go:build unix

package process_test

import (
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"accession/platform/config"

	"github.com/google/go-cmp/cmp"
)

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	commands := 0
	var walk func(path ...string)
	walk = func(path ...string) {
		commands++
		r := h.run(append(slices.Clone(path), "--help")...)
		name := strings.Join(append([]string{"accession"}, path...), " ")
		if r.exit != 0 || r.err != "" {
			t.Errorf("%s --help: exit %d\n%s", name, r.exit, r.err)
		}
		if !strings.Contains(r.out, "\nExamples:\n  ") || !strings.Contains(r.out, name) {
			t.Errorf("%s --help has no example:\n%s", name, r.out)
		}
		if same := h.do(append([]string{"help"}, path...)...); same != r.out {
			t.Errorf("accession help differs from %s --help:\n%s", name, cmp.Diff(r.out, same))
		}
		_, below, _ := strings.Cut(r.out, "\nAvailable Commands:\n")
		below, _, _ = strings.Cut(below, "\n\n")
		for _, m := range regexp.MustCompile(`(?m)^  (\S+) `).FindAllStringSubmatch(below, -1) {
			if m[1] != "help" {
				walk(append(slices.Clone(path), m[1])...)
			}
		}
	}
	walk()
	if commands < 20 {
		t.Errorf("there are only %d commands", commands)
	}
	// A group without a command, and accession alone, say what there is.
	for _, group := range []string{"", "events", "migrate", "constraints", "config", "completion"} {
		if out := h.do(strings.Fields(group)...); !strings.Contains(out, "Available Commands:") {
			t.Errorf("accession %s prints\n%s", group, out)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, c := range []struct {
		typed string
		want  string // a line, or nothing at all
	}{
		{"ev", "events\tLook at the log"},
		{"events ", "tail\tThe last events, or those after a position"},
		{"help events ", "show\tOne event, whole"},
		{"verify --output ", "ndjson"},
		{"import x --format ", "gutenberg"},
		{"events tail --type ", "catalogue.book_added"},
		{"serve --sam", "--sample\tfill an empty database with the sample catalogue"},
		{"verify ", ""},
	} {
		words := strings.Split(c.typed, " ")
		out := h.do(append([]string{"__complete"}, words...)...)
		lines := strings.Split(out, "\n")
		if c.want != "" && !slices.Contains(lines, c.want) || c.want == "" && out != ":4\n" {
			t.Errorf("%q is completed by\n%s", c.typed, out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		script := h.do("completion", shell)
		if len(script) < 1000 {
			t.Errorf("the script for %s is\n%s", shell, script)
		}
		h.write(shell, script)
		if path, err := exec.LookPath(shell); err == nil && shell != "powershell" {
			if out, err := exec.Command(path, "-n", h.path(shell)).CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v\n%s", shell, err, out)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	platform := runtime.GOOS + "/" + runtime.GOARCH
	if out := h.do("version"); !strings.HasPrefix(out, "accession  ") || !strings.HasSuffix(out, "\nplatform   "+platform+"\n") {
		t.Errorf("version is\n%s", out)
	}
	if v := object[map[string]string](h, "version"); v["version"] == "" || v["go"] == "" || v["platform"] != platform {
		t.Errorf("version is %v", v)
	}
	h.unchanged(map[string]string{})
}

func TestConfigPrint(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("c.yaml", "http:\n  addr: :1\nconsistency: {modes: {book-number: retry}}\nlog: {format: json}\n")
	h.env = append(h.env, "ACCESSION_CONFIG=c.yaml", "ACCESSION_LOG_LEVEL=warn", "ACCESSION_LOG_FORMAT=text", "ACCESSION_DATABASE_URL=sqlite:env.db")
	got := map[string]config.Setting{}
	for _, s := range object[[]config.Setting](h, "config", "print", "--database", "postgres://me:secret@example.org/x?sslpassword=secret") {
		got[s.Key] = s
	}
	for _, want := range []config.Setting{
		{Key: "http.addr", Value: ":1", From: "c.yaml:2", Variable: "ACCESSION_HTTP_ADDR"},
		{Key: "consistency.modes.book-number", Value: "retry", From: "c.yaml:3", Variable: "ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER"},
		{Key: "consistency.modes.isbn", Value: "retry", From: "default", Variable: "ACCESSION_CONSISTENCY_MODES_ISBN"},
		{Key: "log.level", Value: "warn", From: "ACCESSION_LOG_LEVEL", Variable: "ACCESSION_LOG_LEVEL"},
		{Key: "log.format", Value: "text", From: "ACCESSION_LOG_FORMAT", Variable: "ACCESSION_LOG_FORMAT"},
		{Key: "database.url", Value: "postgres://me:xxxxx@example.org/x?sslpassword=xxxxx", From: "--database", Variable: "ACCESSION_DATABASE_URL"},
	} {
		if diff := cmp.Diff(want, got[want.Key]); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", want.Key, diff)
		}
	}
	table := h.do("config", "print")
	if !strings.HasPrefix(table, " key ") || !regexp.MustCompile(`(?m)^ database.url +sqlite:env.db +ACCESSION_DATABASE_URL +ACCESSION_DATABASE_URL$`).MatchString(table) {
		t.Errorf("the table is\n%s", table)
	}
	h.do("config", "print", "--config", "c.yaml")
	h.unchanged(map[string]string{"c.yaml": h.files()["c.yaml"]})
}

func TestConstraintsList(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.env = append(h.env, "ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER=reject")
	want := map[string]string{}
	for _, s := range object[[]config.Setting](h, "config", "print") {
		if name, ok := strings.CutPrefix(s.Key, "consistency.modes."); ok {
			want[name] = s.Value
		}
	}
	if want["book-number"] != "reject" || want["isbn"] != "retry" {
		t.Errorf("the modes are %v", want)
	}
	got := map[string]string{}
	for _, c := range object[[]struct{ Name, Mode, Scope, Rule, Kind string }](h, "constraints", "list") {
		got[c.Name] = c.Mode
		if c.Scope == "" || c.Rule == "" || c.Kind == "" {
			t.Errorf("something is missing in %+v", c)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("constraints differ (-want +got):\n%s", diff)
	}
	if table := h.do("constraints", "list"); !regexp.MustCompile(`(?m)^ book-number +reject +category +sequence +reject, retry, lock`).MatchString(table) {
		t.Errorf("the table is\n%s", table)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("accession.db", "") // as an empty database on a server
	h.refuses(5, "The database .*/accession.db lacks 0001_log, .*. Run `accession migrate up` on it.$", "verify")
	if out := h.do("migrate", "status"); !regexp.MustCompile(` 0001_log +pending\n`).MatchString(out) {
		t.Errorf("status is\n%s", out)
	}
	out := h.do("migrate", "up")
	if want := regexp.MustCompile(`^up to date  /.*/accession.db\n$`); !want.MatchString(out) {
		t.Errorf("up is %q", out)
	}
	h.verified(0)
	before := h.files()
	if again := h.do("migrate", "up"); again != out {
		t.Errorf("up again is %q", again)
	}
	h.unchanged(before)
	status := object[[]map[string]any](h, "migrate", "status")
	for _, m := range status {
		if m["name"] == "" || m["applied_at"] == nil {
			t.Errorf("status is %v", m)
		}
	}
	if len(status) == 0 {
		t.Error("there are no migrations")
	}
	h.serve("--sample").stop(syscall.SIGINT)
	h.verified(sampleEnd)
}
