package sqldb

import (
	"database/sql/driver"
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

// rows lists the values of the three tables. The n-th event of the batch, counted from 1, is at base + n; a unit is where its
// last event is, or the last before it.
func (b batch) rows(db bun.IDB, base int64) (events, tags, units *database.Values) {
	events, tags, units = database.NewValues(db), database.NewValues(db), database.NewValues(db)
	n := base
	for _, u := range b.units {
		for i := range u.Events {
			n++
			e := &u.Events[i]
			events.Row().Int(n).UUID(e.ID).UUID(e.Unit).Text(string(e.Stream)).Int(int64(e.Version)).Text(e.Type).Int(int64(e.Schema)).
				Time(database.Timestamp(e.RecordedAt)).Text(e.Actor).Text(string(e.Data))
			for _, t := range e.Event.Tags() {
				tags.Row().Text(string(t)).Int(n)
			}
		}
		units.Row().Text(u.Key).Int(n).Int(int64(len(u.Events))).Bytes(u.Fingerprint).Bytes(u.Answer)
		if u.Second.Key != "" {
			units.Row().Text(u.Second.Key).Int(n).Int(int64(len(u.Events))).Bytes(u.Second.Fingerprint).Bytes(u.Answer)
		}
	}
	return events, tags, units
}

// inserts are the statements for events that stand behind base.
func (b batch) inserts(db bun.IDB, base event.Position) []string {
	events, tags, units := b.rows(db, int64(base))
	var all []string
	for _, t := range []struct {
		into   string
		values *database.Values
	}{
		{`INSERT INTO log_events (position, id, unit, stream, version, type, schema, recorded_at, actor, data) VALUES `, events},
		{`INSERT INTO log_tags (tag, position) VALUES `, tags},
		{`INSERT INTO log_units (key, position, events, fingerprint, answer) VALUES `, units},
	} {
		if t.values.Len() > 0 {
			all = append(all, t.into+t.values.String())
		}
	}
	return all
}

// postgres is the one statement that moves the head, unless the head says otherwise, and appends behind it. The inserts are
// driven from VALUES, with the head joined to them, so that a head that is not moved breaks NOT NULL instead of inserting nothing.
func (b batch) postgres(db bun.IDB, unless string) string {
	events, tags, units := b.rows(db, 0)
	var q strings.Builder
	n := strconv.Itoa(b.events)
	q.WriteString(`WITH head AS (UPDATE log_head SET position = position + ` + n + unless + ` RETURNING position, position - ` + n + ` AS base)`)
	with := func(name, into, sel string, v *database.Values) {
		if v.Len() > 0 {
			q.WriteString(", " + name + " AS (INSERT INTO " + into + " SELECT " + sel + " FROM (VALUES " + v.String() + ") AS v LEFT JOIN head ON true)")
		}
	}
	with("e", "log_events (position, id, unit, stream, version, type, schema, recorded_at, actor, data)",
		"base + column1, column2::uuid, column3::uuid, column4, column5, column6, column7, column8::timestamptz, column9, column10", events)
	with("t", "log_tags (tag, position)", "column1, base + column2", tags)
	with("u", "log_units (key, position, events, fingerprint, answer)",
		"column1, base + column2, column3, column4::bytea, column5::bytea", units)
	q.WriteString(` SELECT position FROM head`)
	return q.String()
}
