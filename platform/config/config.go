// Package config reads the configuration: what an operator may set, from where, and what is wrong with it.
//
// [Config] is every setting, [Default] what holds when nobody says otherwise, and configs/accession.yaml the same with a
// comment at each key. [Load] puts the sources together, the stronger over the weaker:
//
//	flags  >  environment  >  file  >  defaults
//
// A file is read only when it is named, by --config or by ACCESSION_CONFIG: a server that also read a file which happens to
// lie in the directory it was started from would be another server in another directory.
//
// The variable of a key is ACCESSION_ and the key in capitals, with "_" for each "." and "-": consistency.modes.book-number is
// ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER. The way back is never guessed: variables are looked up in the table of keys, which
// [Setting] carries for printing. An ACCESSION_ variable that is not in the table is a mistake, but for those under
// ACCESSION_TEST_, which belong to the tests. An empty variable counts as not set.
//
// Mistakes are found all at once and come back as one [problem.Error] of the kind Usage that names for each the key, the place
// it was written at, what is allowed there and, where something similar exists, what may have been meant.
package config

import (
	"log/slog"
	"time"
)

// Config is every setting, checked. The names of the keys, their units and their defaults are a contract with users.
type Config struct {
	Database    Database    `koanf:"database"`
	HTTP        HTTP        `koanf:"http"`
	Bus         Bus         `koanf:"bus"`
	Consistency Consistency `koanf:"consistency"`
	Projectors  Projectors  `koanf:"projectors"`
	Log         Log         `koanf:"log"`
	Telemetry   Telemetry   `koanf:"telemetry"`
}

// Database is where the data lies and how patient its connections are.
type Database struct {
	// URL is sqlite:PATH, sqlite::memory: or postgres://…
	URL string `koanf:"url"`
	// MaxOpen is how many connections to PostgreSQL this process may hold at once, for writing and for reading together. SQLite
	// has one writer whatever it says.
	MaxOpen int `koanf:"max_open"`
	// StatementTimeout is how long PostgreSQL lets one statement run; 0 lets it run for ever.
	StatementTimeout time.Duration `koanf:"statement_timeout"`
	// IdleInTransactionTimeout is how long PostgreSQL lets a transaction do nothing before it undoes it, so that a process that
	// froze does not keep its locks; 0 waits for ever.
	IdleInTransactionTimeout time.Duration `koanf:"idle_in_transaction_timeout"`
}

// HTTP is where and how the server answers.
type HTTP struct {
	// Addr is host:port. Without a host it is every interface; port 0 is any free one.
	Addr string `koanf:"addr"`
	// ShutdownTimeout is how long requests under way may take to finish once the server is told to stop.
	ShutdownTimeout time.Duration `koanf:"shutdown_timeout"`
	// MaxBody is the largest body of a request that is read; a larger one is answered 413.
	MaxBody Size `koanf:"max_body"`
}

// Bus is what carries copies of events to those who listen.
type Bus struct {
	Driver string `koanf:"driver"` // gochannel (inside the process) or kafka
	Kafka  Kafka  `koanf:"kafka"`
}

// Kafka is where the driver of that name publishes.
type Kafka struct {
	Brokers     []string `koanf:"brokers"`      // host:port each; needed with the driver kafka
	TopicPrefix string   `koanf:"topic_prefix"` // put before a module's name, so that the topic is accession.library
}

// Consistency is how constraints are kept. A mode changed while the server runs wins over the one set here.
type Consistency struct {
	// Modes is the mode of each constraint by the constraint's name. After Load every constraint is in it.
	Modes map[string]string `koanf:"modes,omitempty"`
	Retry Retry             `koanf:"retry"`
	Lock  Lock              `koanf:"lock"`
	Queue Queue             `koanf:"queue"`
}

// Retry bounds the mode of that name.
type Retry struct {
	Attempts int           `koanf:"attempts"` // how often a command is decided in all; 1 is as reject
	Backoff  time.Duration `koanf:"backoff"`  // the longest first pause between two attempts; it doubles, and is drawn at random below that
}

// Lock bounds the mode of that name.
type Lock struct {
	Timeout time.Duration `koanf:"timeout"` // how long to wait for a scope before it is reported busy
}

// Queue bounds the mode of that name.
type Queue struct {
	Depth int `koanf:"depth"` // how many commands may wait before further ones are refused
	Batch int `koanf:"batch"` // how many of them are decided and committed together
}

// Projectors is how events are played into read models.
type Projectors struct {
	Timing string `koanf:"timing"` // background, or immediate: in the command's own transaction, for acceptance tests
}

// Log is what the process says about itself, on stderr.
type Log struct {
	Level  slog.Level `koanf:"level"`  // debug, info, warn or error
	Format string     `koanf:"format"` // text or json
}

// Telemetry is who else is told what happens.
type Telemetry struct {
	Sentry Sentry `koanf:"sentry"`
}

// Sentry is an error tracker: Sentry, or anything that speaks its protocol.
type Sentry struct {
	DSN string `koanf:"dsn"` // https://KEY@HOST/PROJECT; empty: there is none
}

// DefaultMode is the mode of a constraint that nobody set one for, if it can have it; else it is the first it can have.
const DefaultMode = "lock"

// Default is the configuration when nobody says anything, but for the modes of constraints: those are known only to [Load],
// which is told the constraints.
func Default() Config {
	return Config{
		Database: Database{
			URL:                      "sqlite:accession.db",
			MaxOpen:                  24,
			StatementTimeout:         30 * time.Second,
			IdleInTransactionTimeout: time.Minute,
		},
		HTTP: HTTP{
			Addr:            "127.0.0.1:8080",
			ShutdownTimeout: 10 * time.Second,
			MaxBody:         1 << 20,
		},
		Bus: Bus{
			Driver: "gochannel",
			Kafka:  Kafka{TopicPrefix: "accession."},
		},
		Consistency: Consistency{
			Retry: Retry{Attempts: 16, Backoff: 2 * time.Millisecond},
			Lock:  Lock{Timeout: 5 * time.Second},
			Queue: Queue{Depth: 1024, Batch: 256},
		},
		Projectors: Projectors{Timing: "background"},
		Log:        Log{Level: slog.LevelInfo, Format: "text"},
	}
}
