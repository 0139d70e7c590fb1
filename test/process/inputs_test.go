//go:build unix

package process_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"accession/platform/database"

	"github.com/google/go-cmp/cmp"
)

// words of machines have no place in a sentence for people. What a driver says may stand below, as the cause.
var machineWords = regexp.MustCompile(`(?i)goroutine|panic|sqlite_|\bpq:|sql logic|strconv|syscall|database/sql|no such table|\bEOF\b|%!`)

// refuses checks that the command ends with the status, a sentence that the pattern finds, and nothing on stdout, and that it
// has not changed a file.
func (h *home) refuses(exit int, pattern string, args ...string) {
	h.Helper()
	before := h.files()
	h.says(exit, pattern, args...)
	h.unchanged(before)
}

// says is refuses beside a server, which writes what its constraints did into the same file, some seconds later.
func (h *home) says(exit int, pattern string, args ...string) {
	h.Helper()
	r := h.run(args...)
	message, _, _ := strings.Cut(strings.TrimSuffix(r.err, "\n"), "\n  cause: ")
	switch {
	case r.exit != exit || r.out != "":
		h.Errorf("accession %q: exit %d, want %d; stdout %q, stderr:\n%s", args, r.exit, exit, r.out, r.err)
	case !strings.HasPrefix(r.err, "accession: ") || !regexp.MustCompile(pattern).MatchString(message):
		h.Errorf("accession %q: want %s, stderr:\n%s", args, pattern, r.err)
	case machineWords.MatchString(message):
		h.Errorf("accession %q speaks like a machine:\n%s", args, r.err)
	}
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("f.csv", header)
	for _, c := range []struct{ args, want string }{
		{"serv", "There is no command \"accession serv\". Did you mean serve\\? See `accession --help`.$"},
		{"nonsense", "There is no command \"accession nonsense\". See `accession --help`.$"},
		{"events tial", "There is no command \"accession events tial\". Did you mean tail\\? See `accession events --help`.$"},
		{"help serv", "There is no command \"accession serv\""},
		{"completion tcsh", "There is no command \"accession completion tcsh\""},
		{"completion bash x", "takes no arguments"},
		{"--nonsense", "accession has no flag --nonsense. See `accession --help`.$"},
		{"events tail -q", "accession events tail has no flag -q. See"},
		{"version --database x", "accession version has no flag --database"},
		{"serve now", "accession serve takes no arguments, but there is \"now\". See `accession serve --help`.$"},
		{"serve --addr", "--addr needs a value. See"},
		{"serve --sample=perhaps", `--sample is "perhaps": use true or false. See`},
		{"import", "accession import needs a FILE. See"},
		{"import f.csv g.csv", `accession import takes one FILE, but there is also "g.csv". See`},
		{"import f.csv --format xml", `--format is "xml": use gutenberg, csv or jsonl. See`},
		{"import f.csv --workers many", `--workers is "many": use a whole number. See`},
		{"import f.csv --workers 0", `--workers is 0: use 1 to 256. See`},
		{"import f.csv --workers 257", `--workers is 257: use 1 to 256. See`},
		{"import f.csv --library=", `The name of the library must not be empty. Choose one with --library.$`},
		{"import f.csv --library=" + strings.Repeat("x", 201), `The name of the library is 201 characters long; at most 200 are allowed. Choose one with --library.$`},
		{"events show", "accession events show needs a POSITION. See"},
		{"events show first", `"first" is not a position: use a number from 1. See`},
		{"events show 0", `"0" is not a position: use a number from 1. See`},
		{"events tail --after -1", "--after is -1: use 0 or more. See"},
		{"events tail --last 0", "--last is 0: use 1 or more. See"},
		{"events tail --last x", `--last is "x": use a whole number. See`},
		{"events tail --last 1 --after 1", "--after and --last do not go together: leave one out. See"},
		{"events tail --scope book", `--scope is "book": write the kind of a thing and its id, as book:`},
		{"events tail --stream :x", `--stream is ":x": write the kind of a thing and its id, as book:`},
		{"events tail --follow --output table", "--follow has no end, and a table is written at its end: use --output ndjson. See"},
		{"verify --output xml", `--output is "xml": use table, json or ndjson. See`},
		{"version -o yaml", `--output is "yaml": use table, json or ndjson. See`},
		{"completion bash -o yaml", `--output is "yaml": use table, json or ndjson. See`},
		{"serve --addr here", `--addr: http.addr: "here" is not host:port, such as 127.0.0.1:8080, :8080 or \[::1\]:0$`},
		{"serve --addr 127.0.0.1:99999", `is not host:port, such as`},
		{"serve --addr 192.0.2.1:8080", `192.0.2.1:8080 is not an address of this machine. Choose another with --addr`},
		{"serve --database mysql:x", `--database: database.url: "mysql:x" is not one of sqlite:PATH, sqlite::memory: or postgres://`},
		{"verify --database sqlite::memory:", `sqlite::memory: begins empty and belongs to one process: there is nothing to read in it. Name a file.$`},
		{"verify --config none.yaml", `--config: there is no file none.yaml$`},
	} {
		h.refuses(2, c.want, strings.Fields(c.args)...)
	}
}

func TestWrongFilesToImport(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	row := "1,Text,1999-01-01,Title,en,Somebody,,PR,\n"
	for name, content := range map[string]string{
		"empty.csv":   "",
		"header.csv":  "id,title\n1,x\n",
		"quoting.csv": header + row + "2,Text,1999-01-01,\"Title\"x,en,Somebody,,PR,\n" + row,
		"open.csv":    header + row + "2,Text,1999-01-01,\"Title,en,Somebody,,PR,\n3,Text,1999-01-01,Title,en,Somebody,,PR,\n",
		"latin1.csv":  header + row + "2,Text,1999-01-01,Caf\xe9,en,Somebody,,PR,\n",
		"utf16.csv":   "\xff\xfeT\x00e\x00x\x00t\x00",
		"packed.csv":  "\x1f\x8b\x08\x00",
	} {
		h.write(name, content)
	}
	if err := os.Mkdir(h.path("directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		exit int
		want string
	}{
		{"empty.csv", 1, "line 1: the file is empty. Export or download the catalogue again. Nothing was taken.$"},
		{"header.csv", 1, `line 1: the header is "id,title". A Project Gutenberg catalogue begins with "Text#,Type.*; check that it is the right file. Nothing was taken.$`},
		{"quoting.csv", 1, "line 3: a quotation mark is missing or one too many .* mend the row and import again. Nothing was taken.$"},
		{"open.csv", 1, "line 3: a quotation mark opens here .* Close it, or delete the row, and import again. Nothing was taken.$"},
		{"latin1.csv", 1, "line 3: the file is not in UTF-8. Save or convert the file as UTF-8 and import it again. Nothing was taken.$"},
		{"utf16.csv", 1, "line 1: the file is in UTF-16. Save or convert"},
		{"packed.csv", 1, `line 1: the file is packed \(gzip\). Unpack it first.`},
		{"none.csv", 3, "There is no file none.csv. Check its name, and where you are.$"},
		{"directory", 2, "directory is a directory. Name a file.$"},
		{". --format gutenberg", 2, "\\. is a directory. Name a file.$"},
		{"empty.csv --report none/report.jsonl", 1, "the file is empty"},
		{"ok.csv --report none/report.jsonl", 3, "There is no directory none. Create it, or name another file.$"},
		{"ok.csv --report directory", 2, "directory is a directory. Name a file.$"},
		{"ok.csv --report report.jsonl --database sqlite:none/accession.db", 5, "The directory .*/none does not exist. Create it, or name another file.$"},
		{"ok.csv --report report.jsonl --database postgres://x@127.0.0.1:1/x", 5, "PostgreSQL at 127.0.0.1:1 cannot be reached. Is it running, and is the address right\\?$"},
	} {
		h.write("ok.csv", header+row)
		for _, more := range []string{"", " --dry-run"} {
			h.refuses(c.exit, c.want, strings.Fields("import "+c.args+more)...)
		}
	}
}

func TestDatabasesThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(10)
	h.write("garbage.db", strings.Repeat("This is no database. ", 1000))
	if err := os.Mkdir(h.path("directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	whole := newHome(t)
	whole.partOfFeed(10)
	whole.do("import", "part.csv")
	content := whole.read("accession.db")
	h.write("half.db", content[:len(content)/2])
	writes := []string{"serve --addr 127.0.0.1:0", "import part.csv", "migrate up"}
	looks := []string{"import part.csv --dry-run", "verify", "events tail", "events show 1", "events stats", "migrate status"}
	for _, c := range []struct {
		url      string
		commands []string
		want     string
	}{
		{"sqlite:none/accession.db", append(writes, looks...), "The directory .*/none does not exist. Create it, or name another file.$"},
		{"sqlite:part.csv/accession.db", append(writes, looks...), "part.csv is not a directory, so there can be no database in it.$"},
		{"sqlite:directory", append(writes, looks...), "directory is a directory. Name a file in it, such as sqlite:.*/directory/accession.db.$"},
		{"sqlite:garbage.db", append(writes, looks...), "garbage.db is not a SQLite database. It was left as it is; name another file.$"},
		{"sqlite:half.db", looks, "half.db is damaged. Restore it from a backup.$"},
		{"sqlite:none.db", looks[1:], "There is no database at .*/none.db. Name another with --database, or make this one: `accession serve`"},
		{"postgres://user:secret@127.0.0.1:1/name", append(writes, looks...), "PostgreSQL at 127.0.0.1:1 cannot be reached. Is it running, and is the address right\\?$"},
	} {
		for _, command := range c.commands {
			h.refuses(5, c.want, append(strings.Fields(command), "--database", c.url)...)
		}
	}
	if r := h.run("verify", "--database", "postgres://user:secret@127.0.0.1:1/name"); strings.Contains(r.err, "secret") {
		t.Errorf("the password is shown:\n%s", r.err)
	}
}

func TestADatabaseThatANewerBinaryMigrated(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(10)
	h.do("import", "part.csv")
	h.sql("INSERT INTO bun_migrations (name, group_id) VALUES ('9999', 99)")
	for _, command := range []string{
		"serve --addr 127.0.0.1:0", "serve --sample --addr 127.0.0.1:0", "import part.csv", "import part.csv --dry-run",
		"migrate up", "verify", "events tail", "events show 1", "events stats",
	} {
		h.refuses(5, `The database .*/accession.db was migrated by a newer version of accession \(it has 9999, which this one does not know\). Upgrade accession.$`,
			strings.Fields(command)...)
	}
	if out := h.do("migrate", "status"); !strings.Contains(out, ", by a newer accession\n") {
		t.Errorf("migrate status says\n%s", out)
	}
}

// sql changes the database of the home behind accession's back.
func (h *home) sql(statements ...string) {
	h.Helper()
	db, err := database.Open(h.Context(), database.Config{URL: "sqlite:" + h.path("accession.db")})
	if err != nil {
		h.Fatal(err)
	}
	for _, s := range statements {
		if r, err := db.Write.ExecContext(h.Context(), s); err != nil {
			h.Errorf("%s: %v", s, err)
		} else if n, err := r.RowsAffected(); err != nil || n != 1 {
			h.Errorf("%s: %d rows, want 1 %v", s, n, err)
		}
	}
	if err := db.Close(); err != nil {
		h.Fatal(err)
	}
}

func TestADatabaseThatMayOnlyBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		mode       os.FileMode // of the directory
		alone      bool        // without what SQLite has beside the file
		want       string
		unwritable bool
	}{
		{"in a directory that may only be read", 0o555, false, "cannot be written to by this user, and SQLite needs to write beside .*/accession.db.$", true},
		{"in a directory that may be written to", 0o777, false, "accession.db is read-only for this user. Make it writable, or open it with a command that only reads.$", false},
		{"a copy of the file alone", 0o555, true, "cannot be written to by this user, and SQLite needs to write beside .*/accession.db.$", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.partOfFeed(10)
			h.do("import", "part.csv")
			for _, name := range []string{"accession.db", "accession.db-wal", "accession.db-shm"} {
				if c.alone && name != "accession.db" {
					if err := os.Remove(h.path(name)); err != nil {
						t.Fatal(err)
					}
				} else if err := os.Chmod(h.path(name), 0o444); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(h.dir, c.mode); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(h.dir, 0o755) })
			if os.Geteuid() == 0 { // who may do anything: be somebody who may not
				h.as = &syscall.Credential{Uid: 65534, Gid: 65534}
			}
			for _, command := range []string{"serve --addr 127.0.0.1:0", "import part.csv", "migrate up"} {
				h.refuses(5, c.want, strings.Fields(command)...)
			}
			if c.unwritable {
				h.refuses(5, "This user may not write report.jsonl. Change its permissions, or name another file.$", "import", "part.csv", "--report", "report.jsonl")
			}
			before := h.files()
			for _, command := range []string{
				"verify", "events tail", "events show 1", "events stats", "migrate status", "import part.csv --dry-run", "constraints list", "config print",
			} {
				if r := h.run(strings.Fields(command)...); r.exit != 0 || r.out == "" || r.err != "" {
					t.Errorf("accession %s: exit %d\n%s", command, r.exit, r.err)
				}
			}
			h.unchanged(before)
		})
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	want := "Another process listens on " + address + ` already. Stop it, or choose another address with --addr \(or http.addr in the configuration\); port 0 takes any free one.$`
	h.refuses(5, want, "serve", "--addr", address)
	h.refuses(5, want, "serve", "--sample", "--addr", address)
}

func TestOneProcessWritesToAFile(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.partOfFeed(10)
	s := h.serve("--sample")
	s.sample()
	s.fetch("/", sampleEnd)
	want := fmt.Sprintf(`/accession.db is in use by another accession process \(pid %d\). Stop it, or use PostgreSQL to run several processes.$`, s.cmd.Process.Pid)
	files := slices.Sorted(maps.Keys(h.files()))
	for _, command := range []string{"serve --addr 127.0.0.1:0", "import part.csv", "migrate up"} {
		h.says(5, want, strings.Fields(command)...)
		if diff := cmp.Diff(files, slices.Sorted(maps.Keys(h.files()))); diff != "" || h.position("accession.db") != sampleEnd {
			t.Errorf("%s: the log is at %d, and files changed (-before +after):\n%s", command, h.position("accession.db"), diff)
		}
	}
	for _, command := range []string{
		"verify", "events tail", "events show 1", "events stats", "constraints list", "migrate status", "config print", "import part.csv --dry-run",
	} {
		if r := h.run(strings.Fields(command)...); r.exit != 0 || r.out == "" || r.err != "" {
			t.Errorf("beside the server, accession %s: exit %d\n%s", command, r.exit, r.err)
		}
	}
	s.stop(syscall.SIGTERM)
	h.verified(sampleEnd)
	if _, err := os.Stat(h.path("accession.db.lock")); err == nil {
		t.Error("the lock file was left behind")
	}
}

func TestMistakesInTheConfiguration(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("c.yaml", "http: {addr: x, port: 1}\nconsistency:\n  modes: {book-number: sometimes, bok-number: lock}\nprojector: {}\n")
	h.env = append(h.env, "ACCESSION_HTTP_ADR=:1", "ACCESSION_CONSISTENCY_MODES_ISBN=eventual", "ACCESSION_LOG_LEVEL=loud")
	for _, command := range []string{"serve --addr y", "verify", "events stats", "migrate up", "config print", "constraints list"} {
		all := []string{
			`c.yaml:1: http.addr: "x" is not host:port`,
			`c.yaml:1: http.port: there is no such key; did you mean http.addr\?`,
			`c.yaml:3: consistency.modes.book-number: "sometimes" is not a mode; book-number can have`,
			`c.yaml:3: consistency.modes.bok-number: there is no such constraint; did you mean book-number\?`,
			"c.yaml:4: projector: there is no such key; `accession config print` lists all there are",
			`ACCESSION_HTTP_ADR: there is no such variable; did you mean ACCESSION_HTTP_ADDR\?`,
			`ACCESSION_CONSISTENCY_MODES_ISBN: consistency.modes.isbn: isbn cannot be kept in the mode eventual; it can have`,
			`ACCESSION_LOG_LEVEL: log.level: "loud" is not one of debug, info, warn or error`,
		}
		if strings.HasPrefix(command, "serve") {
			all = append(all, `--addr: http.addr: "y" is not host:port`)
		}
		for _, one := range append(all, fmt.Sprintf(`^accession: %d mistakes in the configuration:\n`, len(all))) {
			h.refuses(2, one, append(strings.Fields(command), "--config", "c.yaml")...)
		}
	}
	h.env = append(environment(h.dir), "ACCESSION_CONFIG=c.yaml")
	h.write("c.yaml", "http: [\n")
	h.refuses(2, `^accession: c.yaml:1: not a YAML file of keys:`, "config", "print")
	h.write("c.yaml", "database: {url: 'postgres://me:secret@h ost/x'}\n")
	h.refuses(2, `c.yaml:1: database.url: "postgres://me:xxxxx@h ost/x" is not a URL`, "config", "print")
}
