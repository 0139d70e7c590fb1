// Package architecture_test holds the walls of the house: which package may import which. The table below is the rule, not a
// description of what happens to be; docs/architecture.md has the picture. A package that is not in the table fails the test:
// whoever makes one decides where it stands.
package architecture_test

// row is a package and what it may import of ours and of those libraries that not everybody may know; of the standard library
// it may import anything. What is not granted is forbidden, also to those further down.
type row struct {
	pkg  string // without "accession/"
	ours string // packages of ours, separated by spaces; a name beginning with $ is a group
	libs string // libraries, by their names in libraries
}

// walls are all packages that are built into the binary, from the bottom up: a package stands below those that import it.
var walls = []row{
	// Words. They know nothing of ours, and anybody may know them.
	{"platform/problem", "", ""},
	{"platform/text", "", "x"},
	{"platform/isbn", "", ""},
	{"platform/reference", "", ""},

	// event ← eventlog ← usecase ← consistency: facts, their one order, units of work, the rules across aggregates. None of
	// these knows that there are databases, HTTP or metrics.
	{"platform/event", "", "uuid"},
	{"platform/eventlog", "platform/event", "uuid"},
	{"platform/usecase", "platform/event platform/eventlog", "uuid"},
	{"platform/consistency", "platform/event platform/eventlog platform/problem platform/usecase", "uuid"},

	// The implementations in memory are the reference. That of the register is made for that of the log.
	{"platform/eventlog/memory", "platform/event platform/eventlog", "uuid"},
	{"platform/consistency/memory", "platform/event platform/eventlog platform/eventlog/memory platform/consistency", "uuid"},

	// The only package that knows a driver; next to it those that speak SQL, all through bun.
	{"platform/database", "platform/problem", "uuid bun bun/dialect drivers sql/driver flock"},
	{"platform/eventlog/sqldb", "platform/database platform/event platform/eventlog", "uuid bun sql/driver"},
	{"platform/consistency/sqldb", "platform/database platform/event platform/eventlog platform/eventlog/sqldb platform/consistency", "uuid bun"},
	{"platform/projection", "platform/database platform/event platform/eventlog platform/eventlog/sqldb platform/problem", "uuid bun bun/dialect"},

	// The outside, each way a package of its own: whoever decides something does not know them.
	{"platform/bus", "platform/event platform/problem", "uuid watermill otel"},
	{"platform/httpapi", "platform/event platform/problem", "uuid huma"},
	{"platform/web", "platform/problem platform/reference", "uuid"},
	{"configs", "", ""},
	{"platform/config", "platform/problem", "koanf yaml"},
	{"platform/telemetry", "platform/consistency platform/event platform/httpapi platform/problem platform/projection platform/usecase", "prometheus"},

	// What a bounded context is made of. The only package beside cmd that knows Fx.
	{"platform/module", "platform/consistency platform/event platform/eventlog platform/httpapi platform/problem platform/projection platform/usecase", "bun fx"},

	// Facts are public: a module's events and ids are pure data, and any module may import them.
	{"modules/library/libraryevents", "platform/event", "uuid"},
	{"modules/catalogue/catalogueevents", "platform/event modules/library/libraryevents", "uuid"},
	{"modules/editions/editionsevents", "platform/event modules/library/libraryevents modules/catalogue/catalogueevents", "uuid"},

	// Commands go down, library → catalogue → editions: a module may call those of the modules below it, in its own unit.
	// Nothing else of another module is known to it, its tables least of all.
	{"modules/editions", "$context platform/isbn", "uuid bun huma"},
	{"modules/catalogue", "$context modules/editions", "uuid bun huma"},
	{"modules/library", "$context modules/catalogue modules/editions", "uuid bun huma"},

	// Discovery reads across the contexts, from their facts alone: it calls no command and reads no table but its own.
	{"modules/discovery", "$context platform/isbn platform/web", "uuid bun huma x"},

	// Exchange brings files in through the commands of the contexts.
	{"modules/exchange/gutenberg", "platform/problem platform/text", ""},
	{"modules/exchange/sample", "", ""},
	{"modules/exchange", "$events modules/library modules/catalogue modules/editions modules/exchange/gutenberg modules/exchange/sample " +
		"platform/event platform/eventlog platform/problem platform/text platform/usecase", "uuid"},

	// The binary knows everything and is known to nobody.
	{"cmd/accession", "$platform $modules configs", "uuid bun cobra fx terminal"},
}

// tests are the packages that no binary has in it. They may import each other and whatever they test.
var tests = []row{
	{"platform/mutant", "", "testing"},

	// Each seam with two implementations has a suite next to it, written against the contract and not against one of them.
	{"platform/eventlog/eventlogtest", "platform/event platform/eventlog platform/mutant", "uuid testing"},
	{"platform/consistency/consistencytest", "platform/consistency platform/event platform/eventlog platform/mutant platform/problem platform/usecase", "uuid testing"},
	{"platform/bus/bustest", "platform/bus platform/event", "uuid testing otel"},

	{"platform/database/dbtest", "platform/database", "uuid testing bun drivers flock"},
	{"platform/httpapi/httpapitest", "platform/httpapi platform/problem", "testing"},
	{"platform/projection/projectiontest", "platform/database platform/database/dbtest platform/event platform/eventlog platform/eventlog/memory " +
		"platform/eventlog/sqldb platform/mutant platform/projection", "uuid testing bun"},

	// Tests of the whole: of several modules together, of the binary, of documents. Only they import each other.
	{"test/*", "$platform $modules $tests configs", "*"},
}

// groups are names for several packages. A "*" at the end stands for one or more letters, but not for a slash.
var groups = map[string]string{
	"$events": "modules/library/libraryevents modules/catalogue/catalogueevents modules/editions/editionsevents",

	// What every bounded context is written with.
	"$context": "$events platform/consistency platform/event platform/eventlog platform/httpapi platform/module platform/problem " +
		"platform/projection platform/reference platform/text platform/usecase",

	"$platform": "platform/* platform/eventlog/* platform/consistency/*",
	"$modules":  "modules/* modules/library/* modules/catalogue/* modules/editions/* modules/exchange/*",
	"$tests":    "test/* platform/mutant platform/database/dbtest platform/httpapi/httpapitest platform/projection/projectiontest platform/bus/bustest",
}

// libraries are the modules that we import, by the names that the table has for them. Of two that fit, the longer counts.
var libraries = map[string][]string{
	"uuid":        {"github.com/google/uuid"},
	"x":           {"golang.org/x"},
	"fx":          {"go.uber.org/fx", "go.uber.org/dig"},
	"watermill":   {"github.com/ThreeDotsLabs"},
	"otel":        {"go.opentelemetry.io/otel"},
	"bun":         {"github.com/uptrace/bun"},
	"bun/dialect": {"github.com/uptrace/bun/dialect", "github.com/uptrace/bun/driver", "github.com/uptrace/bun/migrate", "github.com/uptrace/bun/schema"},
	"drivers":     {"github.com/lib/pq", "modernc.org/sqlite"},
	"sql/driver":  {"database/sql/driver"}, // what drivers and database/sql say to each other
	"flock":       {"github.com/gofrs/flock"},
	"huma":        {"github.com/danielgtaylor/huma"},
	"prometheus":  {"github.com/prometheus"},
	"koanf":       {"github.com/knadh/koanf"},
	"yaml":        {"go.yaml.in/yaml"},
	"cobra":       {"github.com/spf13/cobra", "github.com/spf13/pflag"},
	"terminal":    {"github.com/jedib0t/go-pretty", "github.com/schollz/progressbar"},
	"testing":     {"testing", "github.com/google/go-cmp", "go.uber.org/goleak", "pgregory.net/rapid"},
}
