package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	koanfyaml "github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"

	"accession/platform/problem"
)

const (
	envPrefix  = "ACCESSION_"
	testPrefix = envPrefix + "TEST_" // the tests' own
	envFile    = envPrefix + "CONFIG"
)

// Sources are where a configuration comes from. The zero value gives the defaults.
type Sources struct {
	File  string            // what --config names; when empty, the one ACCESSION_CONFIG names in Env, if any
	Env   []string          // as os.Environ gives it
	Flags map[string]string // the flags that were given, by the key that they set: {"http.addr": ":0"}

	// Constraints is the modes that each constraint can have, by the constraint's name: modules own them.
	Constraints map[string][]string
	// Modes is the default mode of each constraint, by its name; one that is missing has DefaultMode.
	Modes map[string]string
}

// Load reads the sources and gives the configuration with the settings that it consists of, in the order of
// configs/accession.yaml. What is wrong with them is a [problem.Error] of the kind Usage, whose message has a line, and whose
// Fields have an entry, for each mistake. Any other error is a mistake in the program: a constraint without modes, or two keys
// with one variable.
func Load(s Sources) (Config, []Setting, error) {
	l, err := newLoader(s.Constraints, s.Modes)
	if err != nil {
		return Config{}, nil, err
	}
	name, namedBy := s.File, "--config"
	if name == "" {
		name, namedBy = lookup(s.Env, envFile), envFile
	}
	if name != "" {
		l.file(name, namedBy)
	}
	l.env(s.Env)
	l.flags(s.Flags)

	var c Config
	if err := l.merged.Unmarshal("", &c); err != nil {
		return Config{}, nil, fmt.Errorf("decode checked configuration: %w", err)
	}
	l.together(c)
	if err := l.err(); err != nil {
		return Config{}, nil, err
	}
	settings := make([]Setting, len(l.keys))
	for i, k := range l.keys {
		settings[i] = Setting{Key: k.name, Value: format(l.merged.Get(k.name)), From: l.from[k.name], Variable: k.variable()}
	}
	return c, settings, nil
}

// A loader lays one source over another and notes what is wrong with them.
type loader struct {
	keys       []key
	byName     map[string]key
	byVariable map[string]key
	merged     *koanf.Koanf      // the checked values so far, in the types of Config
	from       map[string]string // where the value of each key is from
	wrong      map[string]bool   // keys that somebody wrote a wrong value for
	mistakes   problem.Fields
	messages   []string // the same with the place in front, where editors look for it
}

func newLoader(constraints map[string][]string, modes map[string]string) (*loader, error) {
	l := &loader{
		keys:       table(constraints),
		byName:     map[string]key{},
		byVariable: map[string]key{},
		merged:     koanf.New("."),
		from:       map[string]string{},
		wrong:      map[string]bool{},
	}
	for _, k := range l.keys {
		if other, taken := l.byVariable[k.variable()]; taken {
			return nil, fmt.Errorf("make table of keys: %s and %s have one variable, %s", other.name, k.name, k.variable())
		}
		l.byName[k.name], l.byVariable[k.variable()], l.from[k.name] = k, k, "default"
	}
	defaults := map[string]any{}
	for name, can := range constraints {
		if len(can) == 0 || strings.Contains(name, ".") {
			return nil, fmt.Errorf("make table of keys: constraint %q needs a name without dots and at least one mode", name)
		}
		defaults[modesPrefix+name] = can[0]
		if mode := cmp.Or(modes[name], DefaultMode); slices.Contains(can, mode) {
			defaults[modesPrefix+name] = mode
		}
	}
	if err := l.merged.Load(structs.Provider(Default(), "koanf"), nil); err != nil {
		return nil, fmt.Errorf("load defaults: %w", err)
	}
	if err := l.merged.Load(confmap.Provider(defaults, "."), nil); err != nil {
		return nil, fmt.Errorf("load default modes: %w", err)
	}
	return l, nil
}

// mistake notes what is wrong with a key, and where it was written.
func (l *loader) mistake(key, from, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.wrong[key] = true
	l.mistakes.Add(key, "%s (%s)", text, from)
	if key != "" {
		from += ": " + key
	}
	l.messages = append(l.messages, from+": "+text)
}

func (l *loader) err() error {
	switch n := len(l.messages); n {
	case 0:
		return nil
	case 1:
		return &problem.Error{Kind: problem.Usage, Code: "configuration", Message: l.messages[0], Fields: l.mistakes}
	default:
		return &problem.Error{Kind: problem.Usage, Code: "configuration", Fields: l.mistakes,
			Message: fmt.Sprintf("%d mistakes in the configuration:\n  %s", n, strings.Join(l.messages, "\n  "))}
	}
}

// lay puts a source over those before it. from says where each of its keys was written; line orders them.
func (l *loader) lay(source map[string]any, from func(key string) string, line func(key string) int) {
	good := map[string]any{}
	names := slices.Sorted(maps.Keys(source))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(line(a), line(b)) })
	for _, name := range names {
		k, known := l.byName[name]
		if !known {
			if v := source[name]; !l.emptySection(name, v) {
				l.mistake(name, from(name), "%s", l.unknown(name, v))
			}
			continue
		}
		v, err := k.check(source[name])
		if err != nil {
			l.mistake(name, from(name), "%s", err)
			continue
		}
		good[name], l.from[name] = v, from(name)
	}
	_ = l.merged.Load(confmap.Provider(good, "."), nil) // Read of a map does not fail
}

// emptySection is a section of which every key is commented out. It says nothing, which is no mistake.
func (l *loader) emptySection(name string, v any) bool {
	m, isMap := v.(map[string]any)
	return len(l.under(name)) > 0 && (v == nil || isMap && len(m) == 0)
}

// under is the keys below a section, by name.
func (l *loader) under(section string) []string {
	var names []string
	for _, k := range l.keys {
		if strings.HasPrefix(k.name, section+".") {
			names = append(names, k.name)
		}
	}
	return names
}

// unknown says what is wrong with a name that is not a key, and which names are.
func (l *loader) unknown(name string, v any) string {
	if keys := l.under(name); len(keys) > 0 {
		return fmt.Sprintf("%s where a section is wanted, with %s", show(v), list(keys))
	}
	for k := range l.byName {
		if strings.HasPrefix(name, k+".") {
			return fmt.Sprintf("%s has a value, not keys of its own", k)
		}
	}
	if constraint, ok := strings.CutPrefix(name, modesPrefix); ok {
		var names []string
		for _, k := range l.under(strings.TrimSuffix(modesPrefix, ".")) {
			names = append(names, strings.TrimPrefix(k, modesPrefix))
		}
		if len(names) == 0 {
			return "there are no constraints"
		}
		if guess := didYouMean(constraint, names); guess != "" {
			return "there is no such constraint" + guess
		}
		return "there is no such constraint; there are " + strings.Join(names, ", ")
	}
	all := make([]string, len(l.keys))
	for i, k := range l.keys {
		all[i] = k.name
	}
	if guess := didYouMean(name, all); guess != "" {
		return "there is no such key" + guess
	}
	for section := name; section != ""; {
		section = section[:max(0, strings.LastIndex(section, "."))]
		if keys := l.under(section); section != "" && len(keys) > 0 {
			return fmt.Sprintf("there is no such key; %s has %s", section, strings.Join(keys, ", "))
		}
	}
	return "there is no such key; `accession config print` lists all there are"
}

// file lays the YAML file over what there is.
func (l *loader) file(name, namedBy string) {
	raw, y := koanf.New("."), &linedYAML{lines: map[string]int{}}
	if err := raw.Load(file.Provider(name), y); err != nil {
		switch typed := (*yaml.TypeError)(nil); {
		case errors.Is(err, fs.ErrNotExist):
			l.mistake("", namedBy, "there is no file %s", name)
		case errors.As(err, &typed):
			for _, e := range typed.Errors {
				l.badYAML(name, e)
			}
		case y.read:
			l.badYAML(name, err.Error())
		default:
			l.mistake("", namedBy, "the file %s cannot be read: %s", name, err)
		}
		return
	}
	for _, t := range y.twice {
		l.mistake(t.key, fmt.Sprintf("%s:%d", name, t.line), "the key was written before, on line %d", y.lines[t.key])
	}
	from := func(key string) string {
		if n := y.line(key); n > 0 {
			return fmt.Sprintf("%s:%d", name, n)
		}
		return name
	}
	l.lay(raw.All(), from, y.line)
}

var yamlLine = regexp.MustCompile(`(?s)^(?:yaml: )?line (\d+): (.*)$`)

// badYAML notes what the YAML package says, with its line where ours stand.
func (l *loader) badYAML(name, text string) {
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		name, text = name+":"+m[1], m[2]
	}
	l.mistake("", name, "not a YAML file of keys: %s", strings.TrimPrefix(text, "yaml: "))
}

// env lays the environment over what there is.
func (l *loader) env(environ []string) {
	raw := koanf.New(".")
	provider := env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			k, known := l.byVariable[name]
			if !known && name != envFile && !strings.HasPrefix(name, testPrefix) {
				l.mistake("", name, "there is no such variable%s",
					cmp.Or(didYouMean(name, slices.Sorted(maps.Keys(l.byVariable))), "; `accession config print` lists all there are"))
			}
			if value == "" {
				return "", nil
			}
			return k.name, value
		},
	})
	_ = raw.Load(provider, nil) // Read of a slice does not fail
	l.lay(raw.All(), func(name string) string { return l.byName[name].variable() }, noLine)
}

// flags lays the flags over what there is.
func (l *loader) flags(given map[string]string) {
	source := make(map[string]any, len(given))
	for name, value := range given {
		source[name] = value
	}
	l.lay(source, func(name string) string { return cmp.Or(l.byName[name].flag, "flag") }, noLine)
}

func noLine(string) int { return 0 }

// together finds what is wrong with keys that are right one by one.
func (l *loader) together(c Config) {
	if c.Bus.Driver == "kafka" && len(c.Bus.Kafka.Brokers) == 0 && !l.wrong["bus.kafka.brokers"] {
		l.mistake("bus.kafka.brokers", l.from["bus.driver"], "the driver kafka needs at least one host:port")
	}
	if t := c.Database.StatementTimeout; t > 0 && c.Consistency.Lock.Timeout >= t &&
		!l.wrong["database.statement_timeout"] && !l.wrong["consistency.lock.timeout"] {
		l.mistake("consistency.lock.timeout", l.from["consistency.lock.timeout"],
			"%s must be less than database.statement_timeout, which is %s (%s): else waiting for a lock ends as a broken statement",
			short(c.Consistency.Lock.Timeout), short(t), l.from["database.statement_timeout"])
	}
}

// lookup finds a variable in what os.Environ gives; the last one counts.
func lookup(environ []string, name string) string {
	value := ""
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// linedYAML is koanf's parser of YAML that also remembers on which line each key stands.
type linedYAML struct {
	read  bool           // whether there was anything to parse: then what went wrong is the text, not the reading
	lines map[string]int // by the key's dotted path
	twice []keyLine
}

type keyLine struct {
	key  string
	line int
}

// Unmarshal implements koanf.Parser.
func (y *linedYAML) Unmarshal(b []byte) (map[string]any, error) {
	y.read = true
	values, err := koanfyaml.Parser().Unmarshal(b)
	if err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	var first, second yaml.Node
	if err := d.Decode(&first); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: a second document begins, which nobody would read", max(1, second.Line))
	}
	y.walk(&first, "")
	return values, nil
}

// Marshal implements koanf.Parser.
func (y *linedYAML) Marshal(m map[string]any) ([]byte, error) { return koanfyaml.Parser().Marshal(m) }

// walk notes the lines of the keys under n. An alias is not followed: what it repeats has its line already.
func (y *linedYAML) walk(n *yaml.Node, path string) {
	if n.Kind == yaml.DocumentNode {
		for _, c := range n.Content {
			y.walk(c, path)
		}
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		p := strings.TrimPrefix(path+"."+k.Value, ".")
		if _, written := y.lines[p]; !written {
			y.lines[p] = k.Line
		} else if v.Kind != yaml.MappingNode { // "a: {b: 1}" and "a.b: 2": YAML sees two keys, koanf one
			y.twice = append(y.twice, keyLine{p, k.Line})
		}
		y.walk(v, p)
	}
}

// line is where a key stands; of a key that an alias brought in, where what holds it stands; 0 when that is not known.
func (y *linedYAML) line(key string) int {
	for key != "" {
		if n, ok := y.lines[key]; ok {
			return n
		}
		key = key[:max(0, strings.LastIndex(key, "."))]
	}
	return 0
}
