// Package memory is the register beside the log in memory: the reference that consistencytest is written against.
package memory

import (
	"context"
	"iter"
	"maps"
	"slices"

	"accession/platform/consistency"
	"accession/platform/eventlog"
	logmemory "accession/platform/eventlog/memory"

	"github.com/google/uuid"
)

// Register is a register in memory. Its transactions are those of the log it was made for, and its locks the log's one.
type Register struct {
	log    *logmemory.Log
	guards map[consistency.Key]int
	rows   map[consistency.Key]consistency.Row
	causes map[cause]bool
}

type cause struct {
	constraint string
	event      uuid.UUID
}

// New is an empty register beside log.
func New(log *logmemory.Log) *Register {
	return &Register{log: log, guards: map[consistency.Key]int{}, rows: map[consistency.Key]consistency.Row{}, causes: map[cause]bool{}}
}

// Load implements consistency.Register. A transaction has the log to itself, so there is nothing left to lock.
func (r *Register) Load(_ context.Context, _ eventlog.Tx, q consistency.Questions, s *consistency.State) error {
	r.log.View(func() {
		for _, k := range q.Guards {
			s.SetGuard(k, r.guards[k])
		}
		for _, k := range slices.Concat(q.Held, q.Taken) {
			if row, ok := r.rows[k]; ok {
				s.SetRow(k, &row)
			} else {
				s.SetRow(k, nil)
			}
		}
		for _, k := range q.Owned {
			s.SetOwned(k)
		}
		for _, k := range slices.Concat(q.Scopes, q.Listed) {
			s.SetScope(k)
		}
		if len(q.Owned)+len(q.Scopes)+len(q.Listed) == 0 {
			return
		}
		for k := range r.rows {
			row := r.rows[k]
			owned := slices.Contains(q.Owned, consistency.Key{Constraint: k.Constraint, Key: string(row.Owner)})
			scope := consistency.Key{Constraint: k.Constraint, Scope: k.Scope}
			if owned || slices.Contains(q.Scopes, scope) || slices.Contains(q.Listed, scope) {
				s.SetRow(k, &row)
			}
		}
	})
	return nil
}

// Try implements consistency.Register: nobody holds anything.
func (r *Register) Try(ctx context.Context, tx eventlog.Tx, q consistency.Questions, s *consistency.State) (consistency.Questions, error) {
	return consistency.Questions{}, r.Load(ctx, tx, q, s)
}

// Save implements consistency.Register.
func (r *Register) Save(_ context.Context, tx eventlog.Tx, d consistency.Delta) error {
	var lost error
	r.log.View(func() {
		for _, row := range d.Rows {
			_, held := r.rows[row.Key]
			if held && !slices.Contains(d.Freed, row.Key) || r.causes[cause{row.Constraint, row.Cause}] {
				lost = &consistency.Lost{Key: row.Key}
				return
			}
		}
	})
	if lost != nil {
		return lost
	}
	tx.(*logmemory.Tx).Stage(func() {
		for _, g := range d.Guards {
			r.guards[g.Key] = g.Last
		}
		for _, k := range d.Freed {
			delete(r.causes, cause{k.Constraint, r.rows[k].Cause})
			delete(r.rows, k)
		}
		for _, row := range slices.Concat(d.Changed, d.Rows) {
			delete(r.causes, cause{row.Constraint, r.rows[row.Key].Cause})
			r.rows[row.Key] = row
			r.causes[cause{row.Constraint, row.Cause}] = true
		}
	})
	return nil
}

// Guards implements consistency.Register.
func (r *Register) Guards(context.Context) iter.Seq2[consistency.Guard, error] {
	var all map[consistency.Key]int
	r.log.View(func() { all = maps.Clone(r.guards) })
	return func(yield func(consistency.Guard, error) bool) {
		for k, last := range all {
			if !yield(consistency.Guard{Key: k, Last: last}, nil) {
				return
			}
		}
	}
}

// Rows implements consistency.Register.
func (r *Register) Rows(context.Context) iter.Seq2[consistency.Row, error] {
	var all map[consistency.Key]consistency.Row
	r.log.View(func() { all = maps.Clone(r.rows) })
	return func(yield func(consistency.Row, error) bool) {
		for _, row := range all {
			if !yield(row, nil) {
				return
			}
		}
	}
}
