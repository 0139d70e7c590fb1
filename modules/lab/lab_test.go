package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"accession/modules/catalogue"
	"accession/platform/consistency"
	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/module"
	"accession/platform/problem"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// each runs f on the configuration of a SQLite file that is not there yet, and of an empty PostgreSQL database.
func each(t *testing.T, f func(t *testing.T, cfg database.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, database.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "catalogue.db"), Synchronous: "OFF"})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, database.Config{URL: dbtest.PostgresURL(t)})
	})
}

// there lists what is there of labs, and else: the tables of the database, or the files in its directory.
func there(t *testing.T, cfg database.Config) []string {
	t.Helper()
	names := []string{}
	if path, ok := strings.CutPrefix(cfg.URL, "sqlite:"); ok {
		files, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, f.Name())
		}
		return names
	}
	db, err := database.Open(t.Context(), cfg)
	for problem.Of(err).Kind == problem.Unavailable { // PostgreSQL takes a moment to see that those before have gone
		db, err = database.Open(t.Context(), cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = db.Read.NewRaw(`SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
		UNION ALL SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema' ORDER BY 1`).Scan(t.Context(), &names)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return names
}

func open(t *testing.T, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func tiny(cfg database.Config, constraint string) Config {
	modes, err := Modes(constraint)
	if err != nil {
		panic(err)
	}
	s := consistency.DefaultSettings()
	return Config{Constraint: constraint, Modes: modes, Writers: 3, Scopes: []int{1, 2}, Duration: time.Millisecond, Settings: s, Database: cfg}
}

func TestEveryConstraintRunsInEveryModeAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	for _, constraint := range Constraints() {
		t.Run(constraint, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, cfg database.Config) {
				before := there(t, cfg)
				c := tiny(cfg, constraint)
				c.Modes = append(c.Modes, "lock"+HTTP, "queue"+HTTP)
				turned := 0
				c.Turned = func() { turned++ }
				rows, err := Run(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if turned != c.Turns() {
					t.Errorf("%d turns, %d were announced", turned, c.Turns())
				}
				var want, got []string
				for _, n := range c.Scopes {
					for _, m := range c.Modes {
						want = append(want, fmt.Sprint(m, " over ", n))
					}
				}
				for _, r := range rows {
					got = append(got, fmt.Sprint(r.Mode, " over ", r.Scopes))
					// Each writer calls once at least in each turn, and all but rivals of retry and reject get through.
					if r.Accepted <= 0 || r.Attempts < 1 || r.Batch < 1 || r.P50 <= 0 || r.P50 > r.P95 || r.P95 > r.P99 || r.Writers != 3 ||
						r.Settled != nil || r.Refused != 0 || r.Duplicates != 0 || r.Gaps != 0 {
						t.Errorf("%+v", r)
					}
					if one := r.Mode == SQL || r.Mode == "lock" || r.Mode == "lock"+HTTP; one && (r.Rejected != 0 || r.Attempts != 1 || r.Batch != 1) {
						t.Errorf("nobody is in each other's way in %+v", r)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("rows (-want +got):\n%s", diff)
				}
				if err := Broken(rows); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(before, there(t, cfg)); diff != "" {
					t.Errorf("left (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// TestTheLabWorksBesideACatalogueInUse holds the catalogue open for writing meanwhile, and finds it as it was.
func TestTheLabWorksBesideACatalogueInUse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg database.Config) {
		db := open(t, cfg)
		if err := database.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		before := dump(t, &space{DB: db})
		names := there(t, cfg)
		if _, err := Run(t.Context(), tiny(cfg, "book-number")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(names, there(t, cfg)); diff != "" {
			t.Errorf("left (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(before, dump(t, &space{DB: db})); diff != "" {
			t.Errorf("the catalogue (-before +after):\n%s", diff)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnInterruptedLabLeavesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg database.Config) {
		before := there(t, cfg)
		ctx, interrupt := context.WithCancel(t.Context())
		c := tiny(cfg, "book-number")
		c.Duration = 10 * time.Minute
		c.Modes, c.Scopes = []string{"lock"}, []int{1}
		began := make(chan struct{})
		c.Began = func(int, string) { close(began) }
		go func() {
			<-began
			interrupt()
		}()
		for _, when := range []string{"while it measures", "before it begins"} {
			if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted %s it ended with %v", when, err)
			}
		}
		if diff := cmp.Diff(before, there(t, cfg)); diff != "" {
			t.Errorf("left (-before +after):\n%s", diff)
		}
	})
}

// TestTheNextLabRemovesWhatAKilledOneLeft has two spaces, of which one is in use, and one that only looks like one.
func TestTheNextLabRemovesWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg database.Config) {
		inUse, err := openSpace(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		leave(t, cfg)
		left := there(t, cfg)
		s, err := openSpace(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		want := slices.DeleteFunc(left, func(name string) bool {
			return regexp.MustCompile(`^accession.lab.0123456789ab(\.|$)`).MatchString(name)
		})
		if diff := cmp.Diff(want, there(t, cfg)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		var n int
		if err := inUse.Write.NewRaw(`SELECT count(*) FROM log_events`).Scan(t.Context(), &n); err != nil {
			t.Errorf("the space in use: %v", err)
		}
		if err := inUse.Close(); err != nil {
			t.Error(err)
		}
	})
}

// leave makes what a killed lab leaves, and something of the user's own with almost the same name.
func leave(t *testing.T, cfg database.Config) {
	t.Helper()
	if path, ok := strings.CutPrefix(cfg.URL, "sqlite:"); ok {
		for _, name := range []string{"accession-lab-0123456789ab.db", "accession-lab-mine.db"} {
			for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
				if err := os.WriteFile(filepath.Join(filepath.Dir(path), name+suffix), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		return
	}
	db := open(t, cfg)
	_, err := db.Write.ExecContext(t.Context(), `CREATE SCHEMA accession_lab_0123456789ab; CREATE TABLE accession_lab_0123456789ab.log_events (position bigint);
		CREATE SCHEMA accession_lab_mine; CREATE TABLE accession_lab_mine.log_events (position bigint)`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// dump is all rows of what commands write, as text, with what is drawn or measured anew each time left out.
func dump(t *testing.T, s *space) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for table, columns := range map[string]string{
		"log_events":      `stream || ' ' || version || ' ' || type || ' ' || schema || ' ' || actor || ' ' || data`,
		"log_tags":        `tag || ' ' || (SELECT stream FROM log_events AS e WHERE e.position = log_tags.position)`,
		"log_units":       `key || ' ' || events || ' ' || length(fingerprint) || ' ' || (SELECT stream FROM log_events AS e WHERE e.position = log_units.position)`,
		"register_guards": `"constraint" || ' ' || scope || ' ' || last`,
		"register_rows": `"constraint" || ' ' || scope || ' ' || key || ' ' || owner || ' ' || ancestors || ' ' ||
			(SELECT stream FROM log_events AS e WHERE e.id = register_rows.cause)`,
	} {
		var rows []string
		if err := s.Read.NewRaw(`SELECT `+columns+` FROM `+table).Scan(t.Context(), &rows); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		slices.Sort(rows)
		all[table] = rows
	}
	return all
}

// TestTheYardstickWritesTheSameRows has one and the same request run by the runner in one space and by hand in another.
func TestTheYardstickWritesTheSameRows(t *testing.T) {
	t.Parallel()
	for _, constraint := range Constraints() {
		t.Run(constraint, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, cfg database.Config) {
				c := tiny(cfg, constraint)
				c.Writers = 1 // so that the scopes are made in one order
				l := loads[constraint](2)
				own, hand := newTestBench(t, c, l), newTestBench(t, c, l)
				y, err := newYardstick(t.Context(), hand.space, l)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(dump(t, own.space), dump(t, hand.space)); diff != "" {
					t.Fatalf("the spaces differ from the start:\n%s", diff)
				}
				run := own.runner(consistency.Lock, nil)
				for i := range 3 {
					r := l.request(i)
					if _, err := run.Run(t.Context(), r); err != nil {
						t.Fatal(err)
					}
					if err := y.transaction(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(dump(t, own.space), dump(t, hand.space)); diff != "" {
					t.Errorf("rows (-runner +by hand):\n%s", diff)
				}
			})
		})
	}
}

// TestASpaceSleepsAndWakes counts what PostgreSQL has of sessions: no mode is measured by how many it begins, to read ones neither.
func TestASpaceSleepsAndWakes(t *testing.T) {
	t.Parallel()
	s, err := openSpace(t.Context(), database.Config{URL: dbtest.PostgresURL(t), WriteConns: 12, ReadConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.rest()
		if w, r := s.Write.Stats().OpenConnections, s.Read.Stats().OpenConnections; w != 0 || r != 0 {
			t.Errorf("at rest it has %d to write and %d to read", w, r)
		}
		if err := s.wake(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		if w, r := s.Write.Stats().Idle, s.Read.Stats().Idle; w != 5 || r != 2 {
			t.Errorf("for 5 writers it has %d to write and %d to read", w, r)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestTooFewConnectionsAreSaid(t *testing.T) {
	t.Parallel()
	cfg := database.Config{URL: dbtest.NewServer(t, "max_connections=20").URL()}
	before := there(t, cfg)
	c := tiny(cfg, catalogue.BookNumber.Name)
	c.Modes, c.Writers = []string{"lock"}, 40
	_, err := Run(t.Context(), c)
	if p := problem.Of(err); p.Code != "lab-connections" || p.Kind != problem.Unavailable || !strings.Contains(p.Message, "40 writers need 48") ||
		strings.Count(fmt.Sprint(errors.Unwrap(err)), "too many clients") > 1 {
		t.Errorf("it says %v, because of %v", err, errors.Unwrap(err))
	}
	if diff := cmp.Diff(before, there(t, cfg)); diff != "" {
		t.Errorf("left (-before +after):\n%s", diff)
	}
}

func newTestBench(t *testing.T, c Config, l load) *bench {
	t.Helper()
	registry, err1 := module.Registry(modules)
	set, err2 := module.Constraints(modules)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	b, err := c.newBench(t.Context(), l, registry, set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.space.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestDuplicatesAndGapsAreFound has a mode that damages the log, once in its first turn, beside one that does not.
func TestDuplicatesAndGapsAreFound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg database.Config) {
		c := tiny(cfg, catalogue.BookNumber.Name)
		c.Writers = 1
		c.Database = c.Database.WithDefaults()
		b := newTestBench(t, c, loads[c.Constraint](1))
		honest, err := b.turn(t.Context(), "lock")
		if err != nil {
			t.Fatal(err)
		}
		mutant, err := b.turn(t.Context(), "lock")
		if err != nil {
			t.Fatal(err)
		}
		do := mutant.Do
		mutant.Name = "mutant"
		mutant.Do = func(ctx context.Context, i int) error {
			if err := do(ctx, i); err != nil || i > 0 {
				return err
			}
			// The book that was just added says that it has the number of the first: that one is there twice, and its own is missing
			// below the next book's.
			_, err := b.space.Write.ExecContext(ctx, `UPDATE log_events SET data = replace(data, '"number":' || (SELECT last FROM register_guards WHERE "constraint" = 'book-number'), '"number":1')
				WHERE position = (SELECT max(position) FROM log_events WHERE type = 'catalogue.book_added')`)
			return errors.Join(err, do(ctx, i))
		}
		rows, err := b.measure(t.Context(), 1, []*turn{honest, mutant})
		if err != nil {
			t.Fatal(err)
		}
		if r := rows[0]; r.Duplicates != 0 || r.Gaps != 0 {
			t.Errorf("the honest mode is blamed: %+v", r)
		}
		if r := rows[1]; r.Duplicates != 1 || r.Gaps != 1 {
			t.Errorf("the mutant has %d duplicates and %d gaps", r.Duplicates, r.Gaps)
		}
		if err := Broken(rows); err == nil || problem.Of(err).Kind.Exit() != 1 || !strings.Contains(err.Error(), "mutant") {
			t.Errorf("the verdict is %v", err)
		}
		if err := Broken(rows[:1]); err != nil {
			t.Errorf("the verdict on the honest mode is %v", err)
		}
	})
}

func TestWhatCannotBeRunIsRefused(t *testing.T) {
	t.Parallel()
	good := tiny(database.Config{URL: "sqlite::memory:"}, "book-number")
	for name, tc := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"a constraint that is none":       {func(c *Config) { c.Constraint = "x" }, "use one of book-number, category-number, edition-number"},
		"a constraint without a load":     {func(c *Config) { c.Constraint = "isbn" }, "use one of book-number, category-number, edition-number"},
		"a mode that is none":             {func(c *Config) { c.Modes = []string{"lock", "x"} }, `the mode "x": use some of sql, reject, retry, lock`},
		"the yardstick over HTTP":         {func(c *Config) { c.Modes = []string{"sql+http"} }, `the mode "sql+http"`},
		"a mode twice":                    {func(c *Config) { c.Modes = []string{"lock", "lock"} }, "twice"},
		"no mode":                         {func(c *Config) { c.Modes = nil }, "no mode"},
		"no scope":                        {func(c *Config) { c.Scopes = []int{1, 0} }, "0 is not a number of scopes"},
		"a number of scopes twice":        {func(c *Config) { c.Scopes = []int{1, 1} }, "twice"},
		"no scopes at all":                {func(c *Config) { c.Scopes = nil }, "no number of scopes"},
		"no writer":                       {func(c *Config) { c.Writers = 0 }, "0 is not a number of writers"},
		"no time":                         {func(c *Config) { c.Duration = 0 }, "0s is not a duration"},
		"more time than anybody waits":    {func(c *Config) { c.Duration = time.Hour }, "1h0m0s is not a duration"},
		"more writers than a server lets": {func(c *Config) { c.Writers = 1001 }, "1001 is not a number of writers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := good
			tc.change(&c)
			_, err := Run(t.Context(), c)
			if p := problem.Of(err); p.Kind != problem.Usage || !strings.Contains(p.Message, tc.says) {
				t.Errorf("it says %v", err)
			}
		})
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}
