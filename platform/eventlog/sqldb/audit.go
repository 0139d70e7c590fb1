package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"accession/platform/event"
	"accession/platform/eventlog"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Finding is a place where the tables of the log do not agree.
type Finding struct {
	Scope           string // "log", "units", or the stream or tag
	Key             string // "position", "version", "type", "data", "tag", "end"; of units the unit's id, or its key where there is no such unit
	Expected, Found string // "nothing" where there is or should be none
	Position        event.Position
}

// Audit reads the whole log with db, which is one snapshot, and tells where its tables do not agree: positions and the versions
// within each stream must count 1, 2, 3 … to where the log ends; each event must be one that this binary can read; each must be
// found by its tags, and each unit by its row, or both if it has a second key; and there must be no tag and no unit of an event
// that is not there. Tags are checked of events that are stored in the schema that this binary has, for those of others cannot be known.
//
// Tables that are gone, by their names, are passed by; log_events cannot be one of them.
//
// It gives the events that cannot be read too, in the order of the log: whoever plays the log can do so around them
// ([eventlog.PastGaps]). What was found before an error is given with it.
//
// In memory it needs room for the streams and for some ten thousand events.
func Audit(ctx context.Context, db bun.IDB, registry *event.Registry, gone ...string) ([]Finding, []eventlog.Gap, error) {
	a := newAuditor(db, auditSpan, gone...)
	if err := a.read(ctx, NewReader(db, registry)); err != nil {
		return a.findings, a.gaps, err
	}
	head, err := a.head(ctx)
	switch {
	case err == nil:
		a.count("log", "end", int64(a.last), int64(head.Position), head.Position)
	case IsDamage(ctx, err):
		a.find("log", "end", strconv.FormatInt(int64(a.last), 10), "nothing that can be read: log_head has the log's id and its end", a.last)
	default:
		return a.findings, a.gaps, err
	}
	slices.SortStableFunc(a.findings, func(x, y Finding) int { return cmp.Compare(x.Position, y.Position) })
	return a.findings, a.gaps, nil
}

// IsDamage reports whether err, of reading a database under ctx, is the fault of what is stored there: the same will not go well
// later.
func IsDamage(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !IsTransient(err)
}

// auditSpan is how many events are compared at a time, about: each time costs a look at all tags and units, which have no index
// by position.
const auditSpan = 50_000

type auditor struct {
	db       bun.IDB
	gone     []string // tables
	span     int
	findings []Finding
	gaps     []eventlog.Gap
	unknown  map[kind]*many // events that this binary has no type for

	last     event.Position // of the event before
	versions map[event.Tag]int
	unit     uuid.UUID // that the event before belongs to
	events   int       // how many that has so far

	// What is to be compared, of the events behind after.
	after    event.Position
	tags     map[tagRow]struct{}
	untagged map[event.Position]int // events whose tags cannot be known: which gap each is, -1 for none
	units    map[event.Position]unitOf
}

// kind is what an event says it is.
type kind struct {
	name   string
	schema int
}

func (k kind) String() string { return fmt.Sprintf("%s in schema %d", k.name, k.schema) }

// many is how many events there are of a kind, and the first.
type many struct {
	first  event.Envelope
	events int
}

func newAuditor(db bun.IDB, span int, gone ...string) *auditor {
	return &auditor{db: db, gone: gone, span: span, versions: map[event.Tag]int{}, unknown: map[kind]*many{}}
}

type tagRow struct {
	tag string
	at  event.Position
}

// unitOf is a unit as its events show it.
type unitOf struct {
	id     uuid.UUID
	events int
}

func (a *auditor) read(ctx context.Context, log Reader) error {
	a.begin(0)
	var undecoded error
	past := eventlog.Past(log, func(_ event.Envelope, err error) bool {
		undecoded = err
		return true
	})
	for env, err := range past.Read(ctx, eventlog.Query{}) {
		if err != nil {
			return err
		}
		if env.Unit != a.unit {
			a.endUnit()
			if int(a.last-a.after) >= a.span {
				if err := a.compare(ctx, a.last); err != nil {
					return err
				}
			}
			a.unit = env.Unit
		}
		a.count("log", "position", int64(a.last+1), int64(env.Position), env.Position)
		a.count(string(env.Stream), "version", int64(a.versions[env.Stream]+1), int64(env.Version), env.Position)
		a.last, a.versions[env.Stream] = env.Position, env.Version
		a.events++
		if _, unknown := env.Event.(*event.Unknown); unknown {
			a.untagged[env.Position] = len(a.gaps)
			a.gap(env, undecoded)
			undecoded = nil
			continue
		}
		if env.Schema != event.SchemaOf(env.Event) {
			a.untagged[env.Position] = -1
			continue
		}
		for _, t := range env.Event.Tags() {
			if t != env.Stream {
				a.tags[tagRow{string(t), env.Position}] = struct{}{}
			}
		}
	}
	a.endUnit()
	if err := a.compare(ctx, math.MaxInt64); err != nil {
		return err
	}
	for k, of := range a.unknown {
		a.find(string(of.first.Stream), "type", "an event that this version of accession has", k.String()+": "+counted(of.events), of.first.Position)
	}
	return nil
}

// gap notes an event that cannot be read. Of those that a newer version may have written there may be many: they are one finding
// for each kind.
func (a *auditor) gap(env event.Envelope, undecoded error) {
	env.Data, env.Event = nil, nil
	a.gaps = append(a.gaps, eventlog.Gap{Envelope: env, Tags: []event.Tag{env.Stream}, Err: undecoded})
	if undecoded != nil {
		why := cmp.Or(errors.Unwrap(undecoded), undecoded) // where it is, the finding says
		a.find(string(env.Stream), "data", "an event that can be read", why.Error(), env.Position)
		return
	}
	k := kind{env.Type, env.Schema}
	if a.unknown[k] == nil {
		a.unknown[k] = &many{first: env}
	}
	a.unknown[k].events++
}

// count notes a number that is not the next.
func (a *auditor) count(scope, key string, expected, found int64, at event.Position) {
	if expected != found {
		a.find(scope, key, strconv.FormatInt(expected, 10), strconv.FormatInt(found, 10), at)
	}
}

func (a *auditor) find(scope, key, expected, found string, at event.Position) {
	a.findings = append(a.findings, Finding{scope, key, expected, found, at})
}

// head reads the end of the log, if there is a table of it.
func (a *auditor) head(ctx context.Context) (eventlog.Head, error) {
	if slices.Contains(a.gone, "log_head") {
		return eventlog.Head{}, sql.ErrNoRows
	}
	return HeadOf(ctx, a.db)
}

func (a *auditor) begin(after event.Position) {
	a.after = after
	a.tags, a.untagged, a.units = map[tagRow]struct{}{}, map[event.Position]int{}, map[event.Position]unitOf{}
}

func (a *auditor) endUnit() {
	if a.events > 0 {
		a.units[a.last] = unitOf{a.unit, a.events}
	}
	a.events = 0
}

// compare compares the tags and units up to a position, the last of a unit.
func (a *auditor) compare(ctx context.Context, until event.Position) error {
	from := len(a.findings)
	if err := a.compareTags(ctx, until); err != nil {
		return Fault("read tags", err)
	}
	if err := a.compareUnits(ctx, until); err != nil {
		return Fault("read units", err)
	}
	slices.SortStableFunc(a.findings[from:], func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Position, y.Position), cmp.Compare(x.Scope, y.Scope), cmp.Compare(x.Key, y.Key))
	})
	a.begin(until)
	return nil
}

func (a *auditor) compareTags(ctx context.Context, until event.Position) error {
	if slices.Contains(a.gone, "log_tags") {
		return nil
	}
	rs, err := a.db.QueryContext(ctx, `SELECT tag, position FROM log_tags WHERE position > ? AND position <= ?`, int64(a.after), int64(until))
	if err != nil {
		return err
	}
	defer func() { _ = rs.Close() }() // Err below says what went wrong
	for rs.Next() {
		var r tagRow
		if err := rs.Scan(&r.tag, &r.at); err != nil {
			return err
		}
		if _, expected := a.tags[r]; expected {
			delete(a.tags, r)
		} else if gap, untagged := a.untagged[r.at]; !untagged {
			a.find(r.tag, "tag", "nothing", "at "+strconv.FormatInt(int64(r.at), 10), r.at)
		} else if gap >= 0 {
			a.gaps[gap].Tags = append(a.gaps[gap].Tags, event.Tag(r.tag))
		}
	}
	for r := range a.tags {
		a.find(r.tag, "tag", "at "+strconv.FormatInt(int64(r.at), 10), "nothing", r.at)
	}
	return rs.Err()
}

func (a *auditor) compareUnits(ctx context.Context, until event.Position) error {
	if slices.Contains(a.gone, "log_units") {
		return nil
	}
	rs, err := a.db.QueryContext(ctx, `SELECT key, position, events FROM log_units WHERE events > 0 AND position > ? AND position <= ?`, int64(a.after), int64(until))
	if err != nil {
		return err
	}
	defer func() { _ = rs.Close() }()  // Err below says what went wrong
	there := map[event.Position]bool{} // units that a row was found of
	for rs.Next() {
		var key string
		var at event.Position
		var events int
		damaged := rs.Scan(&key, &at, &events) != nil // SQLite keeps in a column whatever it is given
		switch u, ok := a.units[at]; {
		case damaged:
			expected := "nothing"
			if ok {
				key, expected = u.id.String(), counted(u.events)
			}
			a.find("units", key, expected, "a row that cannot be read", at)
		case !ok:
			a.find("units", key, "nothing", counted(events), at)
		case u.events != events:
			a.find("units", u.id.String(), counted(u.events), counted(events), at)
		}
		there[at] = true
	}
	for at, u := range a.units {
		if !there[at] {
			a.find("units", u.id.String(), counted(u.events), "nothing", at)
		}
	}
	return rs.Err()
}

func counted(events int) string {
	if events == 1 {
		return "1 event"
	}
	return fmt.Sprint(events, " events")
}
