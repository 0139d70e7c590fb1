package sqldb

import (
	"database/sql/driver"
	"strings"

	"accession/platform/database"
	"accession/platform/event"
	"accession/platform/eventlog"
)

var errBadConn = driver.ErrBadConn

// batch is everything that one commit appends, as rows whose positions are not known yet. It is written with a number of
// statements that does not depend on how much it holds.
type batch struct {
	units  []eventlog.Unit
	events int
}

type statement struct {
	query string
	args  []any
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

// rows lists the values of the three tables. at gives the position of the n-th event of the batch, counted from 1; a unit's is
// that of its last event.
func (b batch) rows(at func(n int) any) (events, tags, units values) {
	n := 0
	for _, u := range b.units {
		for i := range u.Events {
			n++
			e := &u.Events[i]
			events.add(at(n), e.ID.String(), e.Unit.String(), string(e.Stream), e.Version, e.Type, e.Schema,
				database.Timestamp(e.RecordedAt), e.Actor, string(e.Data))
			for _, t := range e.Event.Tags() {
				tags.add(string(t), at(n))
			}
		}
		units.add(u.Key, at(n), len(u.Events), u.Fingerprint, u.Answer)
	}
	return events, tags, units
}

// inserts are the statements for events that have their positions.
func (b batch) inserts() []statement {
	first := event.Position(0)
	for _, u := range b.units {
		if len(u.Events) > 0 {
			first = u.Events[0].Position
			break
		}
	}
	events, tags, units := b.rows(func(n int) any { return int64(first) + int64(n) - 1 })
	var all []statement
	for _, t := range []struct {
		into string
		values
	}{
		{`INSERT INTO log_events (position, id, unit, stream, version, type, schema, recorded_at, actor, data) VALUES `, events},
		{`INSERT INTO log_tags (tag, position) VALUES `, tags},
		{`INSERT INTO log_units (key, position, events, fingerprint, answer) VALUES `, units},
	} {
		if t.len() > 0 {
			all = append(all, statement{t.into + t.text.String(), t.args})
		}
	}
	return all
}

// postgres is the one statement that moves the head, unless that says otherwise, and appends behind it. The inserts are driven
// from VALUES, with the head joined to them, so that a head that is not moved breaks NOT NULL instead of inserting nothing.
func (b batch) postgres(unless string) statement {
	events, tags, units := b.rows(func(n int) any { return n })
	var q strings.Builder
	args := []any{b.events}
	with := func(name, into, sel string, v values) {
		if v.len() == 0 {
			return
		}
		q.WriteString(", " + name + " AS (INSERT INTO " + into + " SELECT " + sel + " FROM (VALUES " + v.text.String() +
			") AS v LEFT JOIN head ON true)")
		args = append(args, v.args...)
	}
	q.WriteString(`WITH head AS (UPDATE log_head SET position = position + ?` + unless + ` RETURNING position, position - ? AS base)`)
	args = append(args, b.events)
	with("e", "log_events (position, id, unit, stream, version, type, schema, recorded_at, actor, data)",
		"base + column1, column2::uuid, column3::uuid, column4, column5, column6, column7, column8::timestamptz, column9, column10", events)
	with("t", "log_tags (tag, position)", "column1, base + column2", tags)
	with("u", "log_units (key, position, events, fingerprint, answer)",
		"column1, base + column2, column3, column4::bytea, column5::bytea", units)
	q.WriteString(` SELECT position FROM head`)
	return statement{q.String(), args}
}

// values is the text of a VALUES list and what belongs into it.
type values struct {
	text strings.Builder
	args []any
}

func (v *values) add(row ...any) {
	if len(v.args) > 0 {
		v.text.WriteByte(',')
	}
	v.text.WriteByte('(')
	for i := range row {
		if i > 0 {
			v.text.WriteByte(',')
		}
		v.text.WriteByte('?')
	}
	v.text.WriteByte(')')
	v.args = append(v.args, row...)
}

func (v *values) len() int { return len(v.args) }
