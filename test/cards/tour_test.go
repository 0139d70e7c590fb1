package cards_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The blocks marked "console" in README.md and in docs are what one sees in a terminal: "$ " and a command, then what it prints.
// This test types the commands, in one directory and from top to bottom, and compares. A document that has
//
//	<!-- tour: serve -->   and later   <!-- tour: stop -->
//
// is served in between, with the sample in the database. With -update what the commands print is written into the document,
// where it differs in more than ids and times.
func TestTheTourIsTrue(t *testing.T) {
	t.Parallel()
	for name, text := range documents(t) {
		if !strings.Contains(text, "```console\n") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tour := &terminal{t: t, dir: t.TempDir()}
			defer tour.stop()
			got := tour.follow(text)
			if same(text, got) {
				return
			}
			if *update {
				if err := os.WriteFile(filepath.Join(root, name), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s shows what the binary does not print; run `task golden -- test/cards` and read the difference (-document +binary):\n%s",
				name, cmp.Diff(lines(text), lines(got)))
		})
	}
}

// Every command that a document names in `code` exists.
func TestCommandsThatDocumentsNameExist(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile("`(?:bin/)?accession((?: [a-z]+)+)[^`]*`")
	asked := map[string]bool{}
	for name, text := range documents(t) {
		if name == "CHANGELOG.md" {
			continue // it tells of the past
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			line := strings.Join(words[:min(2, len(words))], " ")
			if asked[line] {
				continue
			}
			asked[line] = true
			out, err := exec.CommandContext(t.Context(), binary(t), append(strings.Fields(line), "--help")...).Output()
			if err != nil || !strings.Contains(string(out), "accession "+line) {
				t.Errorf("%s names `accession %s`, which is no command", name, line)
			}
		}
	}
}

// binDir is where the binary is built; TestMain makes and removes it.
var binDir string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "accession-tour-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binDir = dir
	status := m.Run()
	_ = os.RemoveAll(dir) // it is among temporary files
	os.Exit(status)
}

var build = sync.OnceValues(func() (string, error) {
	name := filepath.Join(binDir, "accession")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", name, "accession/cmd/accession").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return name, nil
})

// binary is the product, built once.
func binary(t *testing.T) string {
	t.Helper()
	name, err := build()
	if err != nil {
		t.Fatalf("build accession: %v", err)
	}
	return name
}

// terminal is where the commands of one document are typed.
type terminal struct {
	t      *testing.T
	dir    string // where the commands run; documents say bin/ for where the binary is
	server *exec.Cmd
	url    string // of the server
	wrote  int    // the position of the last write that it told of
}

// shownURL is where the server of a document listens.
const shownURL = "http://127.0.0.1:8080"

// follow gives the document with what the commands print now.
func (c *terminal) follow(text string) string {
	c.t.Helper()
	var out strings.Builder
	inside, printed := false, ""
	all := strings.SplitAfter(text, "\n")
	for i := 0; i < len(all); i++ {
		l := all[i]
		switch {
		case l == "```console\n":
			inside = true
		case inside && l == "```\n":
			inside = false
			out.WriteString(printed)
			printed = ""
		case inside && strings.HasPrefix(l, "$ "):
			out.WriteString(printed + l)
			command := strings.TrimPrefix(l, "$ ")
			for strings.HasSuffix(command, "\\\n") && i+1 < len(all) {
				i++
				out.WriteString(all[i])
				command = strings.TrimSuffix(command, "\\\n") + all[i]
			}
			printed = c.run(strings.TrimSpace(command))
			continue
		case inside:
			continue // what was printed when the document was written
		case l == "<!-- tour: serve -->\n":
			c.serve()
		case l == "<!-- tour: stop -->\n":
			c.stop()
		}
		out.WriteString(l)
	}
	return out.String()
}

// serve starts the server on an empty database, with the sample.
func (c *terminal) serve() {
	c.t.Helper()
	c.server = exec.Command(binary(c.t), "serve", "--sample", "--addr", "127.0.0.1:0")
	c.server.Dir = c.dir
	c.server.Env = c.environment()
	out, err := c.server.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	var said bytes.Buffer
	c.server.Stderr = &said
	if err := c.server.Start(); err != nil {
		c.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	m := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	if err != nil || m == "" {
		c.stop()
		c.t.Fatalf("the server said %q, and on stderr:\n%s", line, said.String())
	}
	c.url = m
}

// stop stops the server, as Ctrl-C does.
func (c *terminal) stop() {
	if c.server == nil {
		return
	}
	_ = c.server.Process.Signal(syscall.SIGINT)
	if err := c.server.Wait(); err != nil {
		c.t.Errorf("stop server: %v", err)
	}
	c.server = nil
}

// environment is that of the test, without what would configure the binary.
func (c *terminal) environment(more ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ACCESSION_") {
			env = append(env, e)
		}
	}
	return append(env, more...)
}

// run types a command and gives what it prints. It knows the few commands that documents show, so that the test needs neither
// a shell nor curl.
func (c *terminal) run(line string) string {
	c.t.Helper()
	words := split(line)
	var env []string
	for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]) {
		env, words = append(env, words[0]), words[1:]
	}
	if len(words) == 0 {
		c.t.Fatalf("no command in %q", line)
	}
	switch words[0] {
	case "curl":
		return c.curl(words[1:])
	case "bin/accession":
		ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Minute) // much longer than it takes
		defer cancel()
		cmd := exec.CommandContext(ctx, binary(c.t), words[1:]...)
		cmd.Dir, cmd.Env = c.dir, c.environment(env...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			c.t.Fatalf("%s: %v", line, err)
		}
		return trailing.ReplaceAllString(strings.ReplaceAll(string(out), c.dir, "…"), "")
	case "gunzip": // gunzip -c FROM > TO
		if len(words) != 5 || words[1] != "-c" || words[3] != ">" {
			c.t.Fatalf("%s: the test knows only gunzip -c FROM > TO", line)
		}
		c.unpack(words[2], words[4])
		return ""
	case "go": // go build: it is built
		return ""
	case "echo": // echo $?
		c.t.Fatalf("%s: show the exit status in words", line)
	}
	c.t.Fatalf("the test does not know the command %s", words[0])
	return ""
}

func (c *terminal) unpack(from, to string) {
	c.t.Helper()
	f, err := os.Open(filepath.Join(root, from))
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	z, err := gzip.NewReader(f)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(filepath.Join(c.dir, to)), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, to), b, 0o644)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// curl is as much of curl as documents show.
func (c *terminal) curl(words []string) string {
	c.t.Helper()
	if c.url == "" {
		c.t.Fatal("curl: nothing is served; the document lacks <!-- tour: serve -->")
	}
	method, url, body := "", "", ""
	header := http.Header{}
	for i := 0; i < len(words); i++ {
		next := func() string {
			i++
			if i >= len(words) {
				c.t.Fatalf("curl: %s needs a value", words[i-1])
			}
			return words[i]
		}
		switch w := words[i]; {
		case w == "-s":
		case w == "-H":
			name, value, _ := strings.Cut(next(), ":")
			header.Set(name, strings.TrimSpace(value))
		case w == "--json":
			body = next()
			header.Set("Content-Type", "application/json")
			method = http.MethodPost
		case strings.HasPrefix(w, shownURL):
			url = c.url + strings.TrimPrefix(w, shownURL)
		default:
			c.t.Fatalf("curl: the test does not know %s", w)
		}
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header = header
	if body == "" { // what is shown is what is there when all was played, however busy the machine is
		header.Set("Prefer", "wait=30")
		if header.Get("Accession-Min-Position") == "" {
			header.Set("Accession-Min-Position", strconv.Itoa(c.wrote))
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" && resp.StatusCode < 300 {
		at, _ := strconv.Atoi(resp.Header.Get("Accession-Position"))
		c.wrote = max(c.wrote, at) // of a request that is repeated it is an earlier one
	}
	text := strings.ReplaceAll(string(b), c.url, shownURL)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// split cuts a command into words as a shell does, as far as quotes go.
func split(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	begun := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// What is printed differs from run to run in ids that are drawn, in times, in figures, and in cursors, which have ids in them.
var (
	idForm     = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|"[0-9a-f]{8}-[0-9a-f-]*…`)
	timeForm   = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	shareForm  = regexp.MustCompile(`(?m)^( [a-z-]+ +(?:reject|retry|lock|queue|adaptive) .*[a-z]) +\d+\.\d %$`)
	figureForm = regexp.MustCompile(`(?m)^\n constraint +by second.*\n─+\n(?: .*\n)+(?:\nIn the lane: .*\n)?(?:\n constraint +hottest.*\n─+\n(?: .*\n)+)?`)
	cursorForm = regexp.MustCompile(`"next":"[^"]*"`)
)

// trailing is what tables end their lines with.
var trailing = regexp.MustCompile(`(?m)[ \t]+$`)

func same(a, b string) bool { return normal(a) == normal(b) }

func normal(s string) string {
	s = idForm.ReplaceAllStringFunc(s, func(id string) string {
		if strings.HasPrefix(strings.TrimPrefix(id, `"`), "00000000-") {
			return id // the document gives it
		}
		return "ID"
	})
	s = timeForm.ReplaceAllString(s, "TIME")
	s = shareForm.ReplaceAllString(figureForm.ReplaceAllString(s, ""), "$1") // of `constraints list`, if there are any by then
	return cursorForm.ReplaceAllString(s, `"next":"CURSOR"`)
}

func lines(s string) []string { return strings.Split(normal(s), "\n") }
