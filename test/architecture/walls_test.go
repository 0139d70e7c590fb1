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

// walls are the packages of the product, from the bottom up: a package stands below those that import it.
var walls = []row{
	// Words. They know nothing of ours, and anybody may know them.
	{"platform/problem", "", ""},
	{"platform/text", "", ""},
	{"platform/isbn", "", ""},
	{"platform/reference", "", ""},

	// event ← eventlog ← usecase ← consistency: facts, their one order, units of work, the rules across aggregates. None of
	// these knows that there are databases, HTTP or metrics.
	{"platform/event", "", ""},
	{"platform/eventlog", "platform/event", ""},
	{"platform/usecase", "platform/event platform/eventlog platform/problem", ""},
	{"platform/consistency", "platform/event platform/eventlog platform/problem platform/usecase", ""},

	// The implementations in memory are the reference. That of the register is made for that of the log.
	{"platform/eventlog/memory", "platform/event platform/eventlog", ""},
	{"platform/consistency/memory", "platform/eventlog platform/eventlog/memory platform/consistency", ""},

	// The only package that knows a driver; next to it those that speak SQL, all through bun.
	{"platform/database", "platform/problem", "bun bun/dialect drivers sql/driver flock"},
	{"platform/eventlog/sqldb", "platform/database platform/event platform/eventlog", "bun sql/driver"},
	{"platform/consistency/sqldb", "platform/database platform/event platform/eventlog platform/eventlog/sqldb platform/consistency", "bun"},
	{"platform/projection", "platform/database platform/event platform/eventlog platform/eventlog/sqldb platform/problem", "bun bun/dialect"},

	// What constraints have been doing lately, in all processes.
	{"platform/tally", "platform/consistency platform/database platform/event", ""},

	// The outside, each way a package of its own: whoever decides something does not know them.
	{"platform/bus", "platform/event platform/problem", "watermill otel"},
	{"platform/httpapi", "platform/event platform/problem platform/usecase", "huma"},
	{"platform/web", "platform/problem", ""},
	{"configs", "", ""},
	{"platform/config", "platform/problem", "koanf yaml"},
	{"platform/telemetry", "platform/consistency platform/event platform/problem platform/projection platform/usecase", "prometheus sentry"},

	// What a bounded context is made of. The only package beside cmd that knows Fx.
	{"platform/module", "platform/consistency platform/event platform/eventlog platform/httpapi platform/problem platform/projection platform/tally platform/usecase", "bun fx"},

	// Facts are public: a module's events and ids are pure data, and any module may import them.
	{"modules/library/libraryevents", "platform/event", ""},
	{"modules/catalogue/catalogueevents", "platform/event modules/library/libraryevents", ""},
	{"modules/editions/editionsevents", "platform/event modules/library/libraryevents modules/catalogue/catalogueevents", ""},
	{"modules/operations/operationsevents", "platform/event", ""},

	// Commands go down, library → catalogue → editions: a module may call those of the modules below it, in its own unit.
	// Of the others it knows facts and ids alone; its tables are known to nobody else.
	{"modules/editions", "$context platform/isbn", "bun huma"},
	{"modules/catalogue", "$context modules/editions", "bun huma"},
	{"modules/library", "$context modules/catalogue modules/editions", "bun huma"},

	// Discovery reads across the contexts, from their facts alone: it reads no table but its own. It stands above them, because
	// the forms on its pages ask for their commands, as the API does.
	{"modules/discovery", "$context modules/library modules/catalogue modules/editions platform/isbn platform/web", "bun huma"},

	// Operations stands beside the contexts: it is about the rules, not about books.
	{"modules/operations", "modules/operations/operationsevents platform/consistency platform/event platform/eventlog platform/httpapi " +
		"platform/module platform/problem platform/tally platform/text platform/usecase", "huma"},

	// Exchange brings files in through the commands of the contexts.
	{"modules/exchange/gutenberg", "platform/problem platform/text", ""},
	{"modules/exchange/sample", "", ""},
	{"modules/exchange", "$events modules/library modules/catalogue modules/editions modules/exchange/gutenberg " +
		"platform/event platform/eventlog platform/isbn platform/problem platform/reference platform/text platform/usecase", ""},

	// The lab runs the commands of the contexts on a database of its own, and writes the same by hand: it alone beside cmd opens
	// a database.
	{"modules/lab", "$context modules/library modules/catalogue modules/editions modules/discovery " +
		"platform/consistency/sqldb platform/database platform/eventlog/sqldb", "bun"},

	// The binary knows everything and is known to nobody.
	{"cmd/accession", "$platform $modules", "bun cobra fx terminal"},
}

// tests are the packages that are never in a binary: suites, helpers and the tests of the whole.
var tests = []row{
	{"platform/mutant", "", "testing"},

	// Each seam with two implementations has a suite next to it, written against the contract and not against one of them.
	{"platform/eventlog/eventlogtest", "platform/event platform/eventlog platform/mutant", "testing"},
	{"platform/consistency/consistencytest", "platform/consistency platform/event platform/eventlog platform/mutant platform/problem platform/usecase", "testing"},
	{"platform/bus/bustest", "platform/bus platform/event", "testing otel"},

	{"platform/database/dbtest", "platform/database", "testing bun drivers flock"},
	{"platform/httpapi/httpapitest", "", "testing"},
	{"platform/projection/projectiontest", "platform/database platform/database/dbtest platform/event platform/eventlog platform/eventlog/memory " +
		"platform/eventlog/sqldb platform/mutant platform/projection", "testing bun"},

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
	"$modules":  "modules/* modules/library/* modules/catalogue/* modules/editions/* modules/exchange/* modules/operations/*",
	"$tests":    "test/* platform/mutant platform/database/dbtest platform/httpapi/httpapitest platform/projection/projectiontest platform/bus/bustest",
}

// libraries are the modules that we import, by the names that the table has for them. Of two that fit, the longer counts.
var libraries = map[string][]string{
	"anybody":     {"github.com/google/uuid", "golang.org/x/text", "golang.org/x/sync"}, // in no row: everybody may
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
	"sentry":      {"github.com/getsentry/sentry-go"},
	"koanf":       {"github.com/knadh/koanf"},
	"yaml":        {"go.yaml.in/yaml"},
	"cobra":       {"github.com/spf13/cobra", "github.com/spf13/pflag"},
	"terminal":    {"github.com/jedib0t/go-pretty", "github.com/schollz/progressbar"},
	"testing":     {"testing", "github.com/google/go-cmp", "go.uber.org/goleak", "pgregory.net/rapid"},
}
