package consistency

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"accession/platform/event"
	"accession/platform/eventlog"

	"github.com/google/uuid"
)

// Register is what constraints know: in this scope, this key is held by this owner, because of that event; and, for each scope
// of a sequence, a guard with the last number given. It is played from events in the transaction that stores them, so it is
// always current. It is safe for concurrent use.
//
// Two unique indexes stand behind everything that is decided in memory: one over (constraint, scope, key), so that a key has
// one owner; one over (owner, constraint, cause), so that nothing gets two numbers because of one event.
type Register interface {
	// Load answers q into s. Inside a transaction it first locks, in this order and sorted: the guards, so that nobody else can
	// give a number in their scopes; the held rows, so that nobody can take them away. With a nil transaction it reads what is
	// committed and locks nothing. A lock that others keep too long is an eventlog.ErrBusy.
	Load(ctx context.Context, tx eventlog.Tx, q Questions, s *State) error
	// Try is Load that waits for nobody: it locks what is free, and answers that. What others hold is not answered but given
	// back, as the part of q that has to wait. Where locks are not what keeps transactions apart, nothing ever has to. After it
	// no statement of the transaction but its commit waits for a lock longer than a moment: that is an eventlog.ErrBusy, too.
	Try(ctx context.Context, tx eventlog.Tx, q Questions, s *State) (waiting Questions, err error)
	// Save writes d into the transaction, once and last of all but the log. A key that a rival holds, or a cause that has its key
	// already, fails with a [*Lost], here or when the transaction is committed.
	Save(ctx context.Context, tx eventlog.Tx, d Delta) error
	// Guards and Rows read the whole register, for checking it. One that is damaged comes as an [eventlog.ErrUnreadable] with its
	// key, or without one where none can be read; behind it others may follow.
	Guards(ctx context.Context) iter.Seq2[Guard, error]
	Rows(ctx context.Context) iter.Seq2[Row, error]
}

// Key names a row of the register; a guard's has no Key part.
type Key struct {
	Constraint string
	Scope      event.Tag
	Key        string
}

func compareKeys(a, b Key) int {
	return cmp.Or(strings.Compare(a.Constraint, b.Constraint), strings.Compare(string(a.Scope), string(b.Scope)), strings.Compare(a.Key, b.Key))
}

// Guard is the last number given in a scope.
type Guard struct {
	Key
	Last int
}

// Row says who holds a key.
type Row struct {
	Key
	Owner     event.Tag
	Cause     uuid.UUID // the event because of which it does
	Ancestors []event.Tag
}

// Questions are what a decision needs to know. Each list is sorted, without repetitions.
type Questions struct {
	Guards []Key // the last numbers of these scopes; nobody else may give one until the transaction is over
	Owned  []Key // which keys this owner (in Key) holds; nobody else may so much as rely on them until the transaction is over
	Scopes []Key // which keys are held in these scopes; nobody else may rely on them or let go of them either
	Held   []Key // whether these are held, and by whom; nobody may let go of them until the transaction is over
	Taken  []Key // whether these are held; what becomes of them until they are written is settled by the index
	Listed []Key // which keys are held in these scopes; who may change that is settled by another lock
}

// Locked is the part of the questions that takes locks. They are asked at once, at the beginning, so that locks are taken in one
// order; what remains can be asked at any time.
func (q Questions) Locked() Questions {
	q.Taken, q.Listed = nil, nil
	return q
}

// None reports whether nothing is asked.
func (q Questions) None() bool {
	return len(q.Guards)+len(q.Owned)+len(q.Scopes)+len(q.Held)+len(q.Taken)+len(q.Listed) == 0
}

// And is the questions of both.
func (q Questions) And(other Questions) Questions {
	var both Questions
	both.add(q)
	both.add(other)
	both.tidy()
	return both
}

// add adds questions, which then are not sorted any more.
func (q *Questions) add(more Questions) {
	theirs := more.pointers()
	for i, l := range q.pointers() {
		*l = append(*l, *theirs[i]...)
	}
}

// only is the questions about these keys.
func (q Questions) only(keys []Key) Questions {
	for _, l := range q.pointers() {
		*l = slices.DeleteFunc(slices.Clone(*l), func(k Key) bool { return !slices.Contains(keys, k) })
	}
	return q
}

// keys are the keys of all questions.
func (q Questions) keys() []Key { return slices.Concat(q.lists()...) }

func (q *Questions) pointers() []*[]Key {
	return []*[]Key{&q.Guards, &q.Owned, &q.Scopes, &q.Held, &q.Taken, &q.Listed}
}

func (q Questions) lists() [][]Key {
	return [][]Key{q.Guards, q.Owned, q.Scopes, q.Held, q.Taken, q.Listed}
}

func (q *Questions) tidy() {
	for _, l := range q.pointers() {
		slices.SortFunc(*l, compareKeys)
		*l = slices.Compact(*l)
	}
}

// State is what is known of the register while a decision is made. It belongs to one goroutine.
type State struct {
	guards map[Key]int
	rows   map[Key]*Row // nil: known not to be held
	owned  map[Key]bool // constraint and owner (in Key) whose rows are all known
	scopes map[Key]bool // constraint and scope whose rows are all known

	guardsWere map[Key]was[int] // what was known of whatever changes were applied to
	rowsWere   map[Key]was[*Row]
}

// NewState knows nothing.
func NewState() *State {
	return &State{
		guards: map[Key]int{}, rows: map[Key]*Row{}, owned: map[Key]bool{}, scopes: map[Key]bool{},
		guardsWere: map[Key]was[int]{}, rowsWere: map[Key]was[*Row]{},
	}
}

// apply makes the changes, to be undone or gathered.
func (s *State) apply(d Delta) {
	for _, g := range d.Guards {
		change(s.guards, s.guardsWere, g.Key, g.Last)
	}
	for _, k := range d.Freed {
		change(s.rows, s.rowsWere, k, nil)
	}
	for _, rows := range [][]Row{d.Changed, d.Rows} {
		for i := range rows {
			change(s.rows, s.rowsWere, rows[i].Key, &rows[i])
		}
	}
}

// was is what was known of something before it was changed.
type was[T any] struct {
	value T
	known bool
}

func change[T any](m map[Key]T, before map[Key]was[T], k Key, v T) {
	if _, touched := before[k]; !touched {
		old, known := m[k]
		before[k] = was[T]{old, known}
	}
	m[k] = v
}

// undo takes back what was applied.
func (s *State) undo() {
	takeBack(s.guards, s.guardsWere)
	takeBack(s.rows, s.rowsWere)
}

func takeBack[T any](m map[Key]T, before map[Key]was[T]) {
	for k, w := range before {
		if w.known {
			m[k] = w.value
		} else {
			delete(m, k)
		}
	}
	clear(before)
}

// changes is all that was applied, as one delta.
func (s *State) changes() Delta {
	d := newDelta(len(s.guardsWere), len(s.rowsWere))
	for _, k := range sortedKeys(s.guardsWere) {
		d.Guards = append(d.Guards, Guard{Key: k, Last: s.guards[k]})
	}
	for _, k := range sortedKeys(s.rowsWere) {
		d.add(k, s.rowsWere[k].value, s.rows[k])
	}
	return d
}

func sortedKeys[V any](m map[Key]V) []Key {
	keys := make([]Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// Forget drops what is known of the rows of owners (in Key) and scopes, before they are read anew.
func (s *State) Forget(owners, scopes []Key) {
	for k, r := range s.rows {
		if r != nil && slices.Contains(owners, Key{Constraint: k.Constraint, Key: string(r.Owner)}) || slices.Contains(scopes, Key{Constraint: k.Constraint, Scope: k.Scope}) {
			delete(s.rows, k)
		}
	}
}

// SetOwned notes that all rows of the owner (in Key) are known.
func (s *State) SetOwned(k Key) { s.owned[k] = true }

// SetScope notes that all rows of the scope are known.
func (s *State) SetScope(k Key) { s.scopes[k] = true }

// SetGuard notes the last number given; 0 when there is none.
func (s *State) SetGuard(k Key, last int) { s.guards[k] = last }

// SetRow notes who holds k; nil when nobody does.
func (s *State) SetRow(k Key, r *Row) { s.rows[k] = r }

// Delta is what a decision changes.
type Delta struct {
	Guards  []Guard // their new last numbers, sorted
	Freed   []Key   // rows that go, sorted; they go before new ones come
	Changed []Row   // rows whose key is held on, by another cause or with other ancestors; they stay the same row, so that who waits for it gets it
	Rows    []Row   // new ones, sorted
}

// newDelta has room for so many changes, most of them new rows.
func newDelta(guards, rows int) Delta {
	return Delta{Guards: make([]Guard, 0, guards), Rows: make([]Row, 0, rows)}
}

// add adds what becomes of the row of k; nil: nobody holds it.
func (d *Delta) add(k Key, before, after *Row) {
	switch {
	case before != nil && after != nil:
		d.Changed = append(d.Changed, *after)
	case after != nil:
		d.Rows = append(d.Rows, *after)
	case before != nil:
		d.Freed = append(d.Freed, k)
	}
}

// Lost says that a rival was faster: what was decided on is no longer so. The transaction is to be undone; whether the command
// is decided again depends on the constraint's mode.
type Lost struct {
	Key Key // zero when it is not known which it was
}

func (e *Lost) Error() string {
	if e.Key == (Key{}) {
		return "lost a row to a rival"
	}
	return "lost " + e.Key.Constraint + " in " + string(e.Key.Scope) + " to a rival"
}
