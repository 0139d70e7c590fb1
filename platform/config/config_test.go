package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"

	"accession/configs"
	"accession/platform/problem"
)

// constraints are those of the product, with modes enough to get one wrong.
func constraints() map[string][]string {
	c := map[string][]string{}
	for _, name := range []string{"base-edition", "book-exists", "book-number", "category-exists", "category-name",
		"category-number", "edition-number", "isbn", "last-edition", "library-exists"} {
		c[name] = []string{"reject", "lock", "queue"}
	}
	return c
}

// documented are the same constraints, which can also have the modes that are their defaults in accession.yaml.
func documented() Sources {
	s := Sources{Constraints: constraints(), Modes: map[string]string{"category-name": "retry", "isbn": "retry"}}
	for name := range s.Constraints {
		s.Constraints[name] = append(s.Constraints[name], "retry")
	}
	for _, name := range []string{"category-number", "book-number", "edition-number"} {
		s.Modes[name] = "queue"
	}
	return s
}

// write puts text into a file of the test's own.
func write(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "my.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func setting(t *testing.T, settings []Setting, key string) Setting {
	t.Helper()
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Key == key })
	if i < 0 {
		t.Fatalf("there is no setting %s", key)
	}
	return settings[i]
}

// mistakes gives the lines of a Usage error, with the directory of the file cut away.
func mistakes(t *testing.T, file string, err error) []string {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Kind != problem.Usage || p.Code != "configuration" {
		t.Fatalf("error is %#v, want a problem.Error of the kind Usage", err)
	}
	lines := strings.Split(strings.ReplaceAll(p.Message, file, "my.yaml"), "\n  ")
	if len(lines) > 1 {
		lines = lines[1:]
	}
	if len(p.Fields) != len(lines) {
		t.Errorf("%d fields for %d mistakes: %v", len(p.Fields), len(lines), p.Fields)
	}
	return lines
}

func TestNothingSaidGivesTheDefaults(t *testing.T) {
	t.Parallel()
	got, settings, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("not the defaults (-want +got):\n%s", diff)
	}
	for _, s := range settings {
		if s.From != "default" {
			t.Errorf("%s is from %s, want default", s.Key, s.From)
		}
	}
}

func TestTheTableHasEveryFieldOfConfig(t *testing.T) {
	t.Parallel()
	k := koanf.New(".")
	if err := k.Load(structs.Provider(Default(), "koanf"), nil); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, key := range table(nil) {
		names = append(names, key.name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(k.Keys(), names); diff != "" {
		t.Errorf("Config and the table of keys differ (-Config +table):\n%s", diff)
	}
}

func TestTheFileThatDocumentsTheKeys(t *testing.T) {
	t.Parallel()
	text, err := fs.ReadFile(configs.Files, "accession.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, string(text))
	sources := documented()
	sources.File = file
	got, settings, err := Load(sources)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("has the defaults", func(t *testing.T) {
		t.Parallel()
		want, _, err := Load(documented())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("accession.yaml and Default differ (-Default +accession.yaml):\n%s", diff)
		}
	})

	t.Run("has every key, in the order of the table, with a comment", func(t *testing.T) {
		t.Parallel()
		lines := strings.Split(string(text), "\n")
		last := 0
		for _, s := range settings {
			var line int
			if n, ok := strings.CutPrefix(s.From, file+":"); ok {
				for _, digit := range n {
					line = 10*line + int(digit-'0')
				}
			}
			if line <= last {
				t.Errorf("%s is from %s, want a line of the file after line %d", s.Key, s.From, last)
				continue
			}
			if last = line; !strings.Contains(lines[line-1], " # ") && !strings.HasPrefix(strings.TrimSpace(lines[line-2]), "#") {
				t.Errorf("line %d: %s has no comment", line, s.Key)
			}
		}
	})
}

func TestTheExamplesHaveNoMistakes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"postgres.yaml", "kafka.yaml"} {
		text, err := fs.ReadFile(configs.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(Sources{File: write(t, string(text)), Constraints: constraints()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheStrongerSourceWins(t *testing.T) {
	t.Parallel()
	file := write(t, "http:\n  addr: ':1'\n  max_body: 2MiB\nlog: {level: warn}\nconsistency: {modes: {book-number: queue, isbn: reject}}\n")
	c, settings, err := Load(Sources{
		File: file,
		Env: []string{"PATH=/bin", "ACCESSION_HTTP_ADDR=:2", "ACCESSION_LOG_LEVEL=error", "ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER=reject",
			"ACCESSION_BUS_KAFKA_BROKERS=a:1, b:2", "ACCESSION_LOG_FORMAT=", "ACCESSION_TEST_ANYTHING=x"},
		Flags:       map[string]string{"http.addr": ":3"},
		Constraints: constraints(),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Setting{
		"http.addr":                     {Value: ":3", From: "--addr", Variable: "ACCESSION_HTTP_ADDR"},
		"http.max_body":                 {Value: "2MiB", From: file + ":3", Variable: "ACCESSION_HTTP_MAX_BODY"},
		"log.level":                     {Value: "error", From: "ACCESSION_LOG_LEVEL", Variable: "ACCESSION_LOG_LEVEL"},
		"log.format":                    {Value: "text", From: "default", Variable: "ACCESSION_LOG_FORMAT"},
		"bus.kafka.brokers":             {Value: "a:1,b:2", From: "ACCESSION_BUS_KAFKA_BROKERS", Variable: "ACCESSION_BUS_KAFKA_BROKERS"},
		"consistency.lock.timeout":      {Value: "5s", From: "default", Variable: "ACCESSION_CONSISTENCY_LOCK_TIMEOUT"},
		"consistency.modes.isbn":        {Value: "reject", From: file + ":5", Variable: "ACCESSION_CONSISTENCY_MODES_ISBN"},
		"consistency.modes.book-number": {Value: "reject", From: "ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER", Variable: "ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER"},
	}
	for key, w := range want {
		w.Key = key
		if diff := cmp.Diff(w, setting(t, settings, key)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if diff := cmp.Diff([]string{"a:1", "b:2"}, c.Bus.Kafka.Brokers); diff != "" {
		t.Errorf("brokers (-want +got):\n%s", diff)
	}
	if c.HTTP.Addr != ":3" || c.HTTP.MaxBody != 2<<20 || c.Consistency.Modes["book-number"] != "reject" || len(c.Consistency.Modes) != len(constraints()) {
		t.Errorf("configuration is %+v", c)
	}
}

func TestTheFileCanBeNamedInTheEnvironment(t *testing.T) {
	t.Parallel()
	file := write(t, "consistency: {retry: {backoff: 7ms}}")
	c, _, err := Load(Sources{Env: []string{"ACCESSION_CONFIG=" + file}})
	if err != nil || c.Consistency.Retry.Backoff != 7*time.Millisecond {
		t.Errorf("backoff is %v, error %v", c.Consistency.Retry.Backoff, err)
	}
	c, _, err = Load(Sources{File: write(t, ""), Env: []string{"ACCESSION_CONFIG=" + file}})
	if err != nil || c.Consistency.Retry.Backoff != 2*time.Millisecond {
		t.Errorf("with --config as well: backoff is %v, error %v", c.Consistency.Retry.Backoff, err)
	}
}

func TestZeroNeedsNoUnit(t *testing.T) {
	t.Parallel()
	c, _, err := Load(Sources{File: write(t, "database: {statement_timeout: 0}"), Env: []string{"ACCESSION_DATABASE_IDLE_IN_TRANSACTION_TIMEOUT=0"}})
	if err != nil || c.Database.StatementTimeout != 0 || c.Database.IdleInTransactionTimeout != 0 {
		t.Errorf("timeouts are %v and %v, error %v", c.Database.StatementTimeout, c.Database.IdleInTransactionTimeout, err)
	}
}

func TestConstraintsWithoutLockGetTheFirstModeTheyCanHave(t *testing.T) {
	t.Parallel()
	c, _, err := Load(Sources{Constraints: map[string][]string{"a": {"retry", "queue"}, "b": {"reject", "lock"}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "retry", "b": "lock"}, c.Consistency.Modes); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
}

func TestMistakesInTheProgramAreNotTheOperators(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]map[string][]string{
		"a constraint without modes":       {"isbn": nil},
		"two constraints, one variable":    {"book-number": {"lock"}, "book_number": {"lock"}},
		"a constraint that names two keys": {"book.number": {"lock"}},
	} {
		_, _, err := Load(Sources{Constraints: bad})
		if err == nil || problem.Of(err).Kind != problem.Internal {
			t.Errorf("%s: error is %v, want one that is Internal", name, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		file  string
		env   []string
		flags map[string]string
		want  []string
	}{
		{
			name: "all of them come at once, in the order of the lines, then the environment, then flags",
			file: "http:\n  adr: x\n  addr: 8080\nconsistency:\n  modes:\n    book-nubmer: lock\n    isbn: eventual\n    book-number: lok\n",
			env:  []string{"ACCESSION_CONSISTENCY_LOCK_TIMOUT=5s", "ACCESSION_LOG_LEVEL=INFO"}, flags: map[string]string{"database.url": "mysql://x"},
			want: []string{
				`my.yaml:2: http.adr: there is no such key; did you mean http.addr?`,
				`my.yaml:3: http.addr: 8080 is not host:port, such as 127.0.0.1:8080, :8080 or [::1]:0`,
				`my.yaml:6: consistency.modes.book-nubmer: there is no such constraint; did you mean book-number?`,
				`my.yaml:7: consistency.modes.isbn: isbn cannot be kept in the mode eventual; it can have reject, lock or queue`,
				`my.yaml:8: consistency.modes.book-number: "lok" is not a mode; book-number can have reject, lock or queue; did you mean lock?`,
				`ACCESSION_CONSISTENCY_LOCK_TIMOUT: there is no such variable; did you mean ACCESSION_CONSISTENCY_LOCK_TIMEOUT?`,
				`ACCESSION_LOG_LEVEL: log.level: "INFO" is not one of debug, info, warn or error; did you mean info?`,
				`--database: database.url: "mysql://x" is not one of sqlite:PATH, sqlite::memory: or postgres://…`,
			},
		},
		{
			name: "a section without keys says nothing, a key without a value is a mistake",
			file: "database:\nbus: {}\nconsistency:\n  modes:\nlog:\n  level:\n",
			want: []string{`my.yaml:6: log.level: nothing is not one of debug, info, warn or error`},
		},
		{
			name: "a value where a section is wanted, and the other way round",
			file: "log: debug\nhttp: {addr: {host: x}}\nbus: {driver: {}}",
			want: []string{
				`my.yaml:1: log: "debug" where a section is wanted, with log.level or log.format`,
				`my.yaml:2: http.addr.host: http.addr has a value, not keys of its own`,
				`my.yaml:3: bus.driver: a section is not one of gochannel or kafka`,
			},
		},
		{
			name: "a name that is like none gets the keys of its section",
			file: "log: {frobnicate: 1}\nfrobnicate: 1\n1: 2\nconsistency: {modes: {xyz: lock}}\n",
			want: []string{
				`my.yaml:1: log.frobnicate: there is no such key; log has log.level, log.format`,
				"my.yaml:2: frobnicate: there is no such key; `accession config print` lists all there are",
				"my.yaml:3: 1: there is no such key; `accession config print` lists all there are",
				`my.yaml:4: consistency.modes.xyz: there is no such constraint; there are base-edition, book-exists, book-number, category-exists, ` +
					`category-name, category-number, edition-number, isbn, last-edition, library-exists`,
			},
		},
		{
			name: "wrong types and values out of bounds",
			file: `
database: {url: "sqlite:", max_open: 0, statement_timeout: 5, idle_in_transaction_timeout: -1s}
http: {addr: 2001-01-01, shutdown_timeout: 25h, max_body: 1MB}
bus: {kafka: {brokers: [a, {b: c}], topic_prefix: "a b"}}
consistency: {retry: {attempts: 1.5, backoff: soon}, lock: {timeout: 0}, queue: {depth: "many", batch: true}}
projectors: {timing: [immediate]}
log: {format: 1}
`,
			want: []string{
				`my.yaml:2: database.idle_in_transaction_timeout: "-1s" is not a duration from 0s to 24h, such as 2ms, 5s or 1m30s`,
				`my.yaml:2: database.max_open: 0 is not a whole number from 2 to 1000`,
				`my.yaml:2: database.statement_timeout: 5 is not a duration from 0s to 24h, such as 2ms, 5s or 1m30s`,
				`my.yaml:2: database.url: "sqlite:" is not one of sqlite:PATH, sqlite::memory: or postgres://…`,
				`my.yaml:3: http.addr: 2001-01-01 00:00:00 +0000 UTC is not host:port, such as 127.0.0.1:8080, :8080 or [::1]:0`,
				`my.yaml:3: http.max_body: "1MB" is not a size from 1B to 1GiB, such as 65536, 512KiB or 1MiB`,
				`my.yaml:3: http.shutdown_timeout: "25h" is not a duration from 0s to 24h, such as 2ms, 5s or 1m30s`,
				`my.yaml:4: bus.kafka.brokers: "a" is not host:port, such as 127.0.0.1:8080, :8080 or [::1]:0`,
				`my.yaml:4: bus.kafka.topic_prefix: "a b" is not the beginning of a topic's name: up to 200 letters, digits, dots, hyphens and underscores`,
				`my.yaml:5: consistency.lock.timeout: "0" is not a duration from 1ms to 24h, such as 2ms, 5s or 1m30s`,
				`my.yaml:5: consistency.queue.batch: true is not a whole number from 1 to 10000`,
				`my.yaml:5: consistency.queue.depth: "many" is not a whole number from 1 to 1000000`,
				`my.yaml:5: consistency.retry.attempts: 1.5 is not a whole number from 1 to 1000`,
				`my.yaml:5: consistency.retry.backoff: "soon" is not a duration from 0s to 1m, such as 2ms, 5s or 1m30s`,
				`my.yaml:6: projectors.timing: a list is not one of background or immediate`,
				`my.yaml:7: log.format: 1 is not one of text or json`,
			},
		},
		{
			name: "a DSN is a URL with a key and a project, and is not shown",
			file: "telemetry: {sentry: {dsn: 'https://sentry.example.org/1'}}\n",
			env:  []string{"ACCESSION_TELEMETRY_SENTRY_DSN=secret@sentry.example.org"},
			want: []string{
				`my.yaml:1: telemetry.sentry.dsn: this is not a DSN, such as https://KEY@sentry.example.org/PROJECT; leave it empty to have no error tracker`,
				`ACCESSION_TELEMETRY_SENTRY_DSN: telemetry.sentry.dsn: this is not a DSN, such as https://KEY@sentry.example.org/PROJECT; leave it empty to have no error tracker`,
			},
		},
		{
			name: "keys that are wrong only together",
			file: "bus: {driver: kafka}\nconsistency: {lock: {timeout: 1m}}\n",
			want: []string{
				`my.yaml:1: bus.kafka.brokers: the driver kafka needs at least one host:port`,
				`my.yaml:2: consistency.lock.timeout: 1m must be less than database.statement_timeout, which is 30s (default): ` +
					`else waiting for a lock ends as a broken statement`,
			},
		},
		{
			name: "a key that is wrong already is not blamed for what it would have meant",
			file: "bus: {driver: kafka, kafka: {brokers: nowhere}}\n",
			want: []string{`my.yaml:1: bus.kafka.brokers: "nowhere" is not host:port, such as 127.0.0.1:8080, :8080 or [::1]:0`},
		},
		{
			name: "a key written twice in one section",
			file: "log:\n  level: info\n  level: warn\n",
			want: []string{`my.yaml:3: not a YAML file of keys: mapping key "level" already defined at line 2`},
		},
		{
			name: "a key written twice in two spellings",
			file: "log:\n  level: info\nlog.level: warn\n",
			want: []string{`my.yaml:3: log.level: the key was written before, on line 2`},
		},
		{
			name: "not YAML",
			file: "log:\n\tlevel: info\n", env: []string{"ACCESSION_LOG_FORMAT=xml"},
			want: []string{
				`my.yaml:2: not a YAML file of keys: found character that cannot start any token`,
				`ACCESSION_LOG_FORMAT: log.format: "xml" is not one of text or json`,
			},
		},
		{
			name: "YAML, but no keys",
			file: "- a\n- b\n",
			want: []string{"my.yaml:1: not a YAML file of keys: cannot unmarshal !!seq into map[string]interface {}"},
		},
		{
			name: "a second document",
			file: "log: {level: info}\n---\nlog: {level: warn}\n",
			want: []string{"my.yaml:2: not a YAML file of keys: a second document begins, which nobody would read"},
		},
		{
			name: "a flag that sets no key",
			file: "", flags: map[string]string{"http.adr": "x"},
			want: []string{"flag: http.adr: there is no such key; did you mean http.addr?"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, tt.file)
			_, _, err := Load(Sources{File: file, Env: tt.env, Flags: tt.flags, Constraints: constraints()})
			if diff := cmp.Diff(tt.want, mistakes(t, file, err)); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, _, err := Load(Sources{File: dir + "/none.yaml"})
	if got, want := mistakes(t, dir, err), []string{"--config: there is no file my.yaml/none.yaml"}; !cmp.Equal(got, want) {
		t.Errorf("mistakes are %q, want %q", got, want)
	}
	_, _, err = Load(Sources{Env: []string{"ACCESSION_CONFIG=" + dir}})
	if got := mistakes(t, dir, err); !strings.HasPrefix(got[0], "ACCESSION_CONFIG: the file my.yaml cannot be read: ") {
		t.Errorf("mistakes are %q", got)
	}
}

func TestAnchorsAndAliasesAreUnderstood(t *testing.T) {
	t.Parallel()
	file := write(t, "bus: &b\n  driver: gochannel\nconsistency:\n  lock: &x {timeout: 3s}\n  queue:\n    <<: *x\n")
	_, _, err := Load(Sources{File: file})
	want := []string{"my.yaml:5: consistency.queue.timeout: there is no such key; did you mean consistency.lock.timeout?"}
	if diff := cmp.Diff(want, mistakes(t, file, err)); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestPasswordsAreMasked(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, want string }{
		{"postgres://u:s3cret@h:5432/db?sslmode=disable", "postgres://u:xxxxx@h:5432/db?sslmode=disable"},
		{"postgres://u:s3c@re@t@h/db", "postgres://u:xxxxx@h/db"},
		{"postgres://u@h/db?password=s3cret&sslmode=disable", "postgres://u@h/db?password=xxxxx&sslmode=disable"},
		{"postgres://h/db?sslmode=disable&sslPassword=s3cret", "postgres://h/db?sslmode=disable&sslPassword=xxxxx"},
		{"postgres://u@h/db", "postgres://u@h/db"},
		{"postgres://:s3cret@h/db", "postgres://:xxxxx@h/db"},
		{"sqlite:a:b@c.db", "sqlite:a:b@c.db"},
		{"127.0.0.1:8080", "127.0.0.1:8080"},
	}
	for _, tt := range tests {
		if got := mask(tt.url); got != tt.want {
			t.Errorf("mask(%q) = %q, want %q", tt.url, got, tt.want)
		}
	}
	for _, url := range []string{"postgres://u:s3cret@h/%zz", "postgres:/u:s3cret@h/db", "mysql://u:s3cret@h", "u:s3cret@h",
		"host=h password=s3cret", "postgres://u:s3cret%@h/db", " postgres://u:s3cret@h/db"} {
		_, _, err := Load(Sources{Flags: map[string]string{"database.url": url}})
		if err == nil {
			t.Errorf("%q was taken for a database", url)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
	_, settings, err := Load(Sources{Flags: map[string]string{"database.url": "postgres://u:s3cret@h/db"}})
	if got := setting(t, settings, "database.url").Value; err != nil || got != "postgres://u:xxxxx@h/db" {
		t.Errorf("the setting is %q, error %v", got, err)
	}
}

func TestSizesAndDurationsReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1MiB", "1000B", "3KiB", "2GiB", "1025B"} {
		if s, err := parseSize(text); err != nil || s.String() != text {
			t.Errorf("parseSize(%q) = %v, %v", text, s, err)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", time.Hour: "1h", time.Minute: "1m", 90 * time.Second: "1m30s", 2 * time.Millisecond: "2ms", time.Hour + time.Second: "1h0m1s"} {
		if got := short(d); got != want {
			t.Errorf("short(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestVariablesAreDistinctAndPlain(t *testing.T) {
	t.Parallel()
	plain := regexp.MustCompile(`^ACCESSION_[A-Z0-9_]+$`)
	seen := map[string]string{}
	for _, k := range table(constraints()) {
		v := k.variable()
		if other := seen[v]; other != "" || !plain.MatchString(v) || v == envFile || strings.HasPrefix(v, testPrefix) {
			t.Errorf("%s has the variable %s, which cannot be (also of %q)", k.name, v, other)
		}
		seen[v] = k.name
	}
}

// FuzzLoad proves that whatever a file and a variable say, the answer is a Usage error with a mistake for each message, or
// settings that give the same configuration when they are handed in again as flags.
func FuzzLoad(f *testing.F) {
	text, err := fs.ReadFile(configs.Files, "accession.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text), "HTTP_ADDR=:1")
	f.Add("log: {level: warn}\n---\n", "LOG_LEVEL=")
	f.Add("a: &a [*a]\n? {x: y}\n: z\n.nan: 1\nhttp: !!binary aGk=\n", "=")
	f.Add("<<: {http: {addr: ':0'}}\nbus.kafka.brokers: [a:1]\n1.5: {2: 3}\n", "BUS_KAFKA_BROKERS=,a:1,")
	f.Fuzz(func(t *testing.T, text, variable string) {
		got, settings, err := Load(Sources{File: write(t, text), Env: []string{"ACCESSION_" + variable}, Constraints: constraints()})
		if err != nil {
			var p *problem.Error
			if !errors.As(err, &p) || p.Kind != problem.Usage || len(p.Fields) == 0 || p.Message == "" {
				t.Fatalf("error is %#v, want a Usage error with mistakes", err)
			}
			return
		}
		flags := map[string]string{}
		for _, s := range settings {
			flags[s.Key] = s.Value
		}
		if strings.Contains(flags["database.url"], masked) {
			return
		}
		again, _, err := Load(Sources{Flags: flags, Constraints: constraints()})
		if err != nil {
			t.Fatalf("settings do not load again: %v", err)
		}
		if diff := cmp.Diff(got, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("settings do not give the same configuration again (-first +again):\n%s", diff)
		}
	})
}

// FuzzMask proves that a password between user and host is never shown, whatever the three are.
func FuzzMask(f *testing.F) {
	f.Add("u", "s3cret", "h:5432/db?sslmode=disable")
	f.Add("", "p@ss:w/rd?#", "h?password=x")
	f.Fuzz(func(t *testing.T, user, password, host string) {
		if strings.Contains(host, "@") || len(password) < 4 {
			return // not a password between user and host, or one too short to look for
		}
		const mark = "\x00secret\x00" // so that it cannot be part of user or host by chance
		if strings.Contains(user+host, mark) {
			return // the mark would be found where it may be shown
		}
		url := "postgres://" + user + ":" + mark + password + "@" + host
		if strings.Contains(mask(url), mark) {
			t.Errorf("mask(%q) = %q", url, mask(url))
		}
	})
}
