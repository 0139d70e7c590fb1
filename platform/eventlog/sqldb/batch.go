package sqldb

import (
	"database/sql/driver"
	"slices"
	"strconv"
	"strings"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"

	"github.com/uptrace/bun"
)

var errBadConn = driver.ErrBadConn

// batch is everything that one commit appends, as rows whose positions are not known yet. It is written with a number of
// statements that does not depend on how much it holds.
type batch struct {
	units  []eventlog.Unit
	events int
}

func newBatch(units []eventlog.Unit) batch {
	b := batch{units: units}
	for _, u := range units {
		b.events += len(u.Events)
	}
	return b
}

// place gives the events their positions, the last of them last.
func (b batch) place(last event.Position) {
	at := last - event.Position(b.events)
	for _, u := range b.units {
		for i := range u.Events {
			at++
			u.Events[i].Position = at
		}
	}
}

// rows lists what goes into the three tables. The n-th event of the batch, counted from 1, is at base + n; a unit is where its last
// event is, or the last before it.
func (b batch) rows(base int64, events, tags, units *database.Values) {
	n := base
	for _, u := range b.units {
		for i := range u.Events {
			n++
			e := &u.Events[i]
			events.Row().Int(n).UUID(e.ID).UUID(e.Unit).Text(string(e.Stream)).Int(int64(e.Version)).Text(e.Type).Int(int64(e.Schema)).
				Time(database.Timestamp(e.RecordedAt)).Text(e.Actor).Text(string(e.Data))
			about := e.Event.Tags()
			for j, t := range about {
				if t != e.Stream && !slices.Contains(about[:j], t) { // see selection
					tags.Row().Text(string(t)).Int(n)
				}
			}
		}
		units.Row().Text(u.Key).Int(n).Int(int64(len(u.Events))).Bytes(u.Fingerprint).Bytes(u.Answer)
		if u.Second.Key != "" {
			units.Row().Text(u.Second.Key).Int(n).Int(int64(len(u.Events))).Bytes(u.Second.Fingerprint).Bytes(u.Answer)
		}
	}
}

const (
	intoEvents = `INSERT INTO log_events (position, id, unit, stream, version, type, schema, recorded_at, actor, data) `
	intoTags   = `INSERT INTO log_tags (tag, position) `
	intoUnits  = `INSERT INTO log_units (key, position, events, fingerprint, answer) `
)

// inserts are SQLite's statements for events that stand behind base.
func (b batch) inserts(db bun.IDB, base event.Position) []string {
	events, tags, units := database.NewValues(db), database.NewValues(db), database.NewValues(db)
	b.rows(int64(base), events, tags, units)
	var all []string
	for _, t := range []struct {
		into   string
		values *database.Values
	}{{intoEvents, events}, {intoTags, tags}, {intoUnits, units}} {
		if t.values.Len() > 0 {
			all = append(all, t.into+"VALUES "+t.values.String())
		}
	}
	return all
}

// appending is the one statement that moves the head by $1, unless it says immediate and $2 is true, and appends behind it. The
// inserts are driven from the arrays, with the head joined to them, so that a head that is not moved breaks NOT NULL instead of
// inserting nothing.
var appending = database.Statement{Name: "log_append", Text: `(integer, boolean,
	integer[], uuid[], uuid[], text[], integer[], text[], integer[], timestamptz[], text[], text[],
	text[], integer[],
	text[], integer[], integer[], bytea[], bytea[]) AS
WITH head AS (UPDATE log_head SET position = position + $1 WHERE NOT (immediate AND $2) RETURNING position, position - $1 AS base),
e AS (` + intoEvents + `SELECT base + n, id, unit, stream, version, type, schema, recorded_at, actor, data
	FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS v (n, id, unit, stream, version, type, schema, recorded_at, actor, data)
	LEFT JOIN head ON true),
t AS (` + intoTags + `SELECT tag, base + n FROM unnest($13, $14) AS v (tag, n) LEFT JOIN head ON true),
u AS (` + intoUnits + `SELECT key, base + n, events, fingerprint, answer
	FROM unnest($15, $16, $17, $18, $19) AS v (key, n, events, fingerprint, answer) LEFT JOIN head ON true)
SELECT position FROM head`}

// postgres is what appending is told.
func (b batch) postgres(db bun.IDB, unlessImmediate bool) string {
	events, tags, units := database.NewArrays(db, 10), database.NewArrays(db, 2), database.NewArrays(db, 5)
	b.rows(0, events, tags, units)
	return strings.Join([]string{strconv.Itoa(b.events), strconv.FormatBool(unlessImmediate), events.String(), tags.String(), units.String()}, ",")
}
