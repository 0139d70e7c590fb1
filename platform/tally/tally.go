package tally

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"accession/platform/consistency"
	"accession/platform/database"

	"github.com/google/uuid"
)

const (
	slot        = 10 * time.Second
	windowSlots = int64(Window / slot)      // that are whole; the present one comes on top
	minuteSlots = int64(time.Minute / slot) // the same
	slots       = int(windowSlots) + 1      // that are kept

	every    = 5 * time.Second // between two writes
	patience = 5 * time.Second // for one write
	expire   = 3 * Window      // after that rows are deleted, whoever wrote them
)

// Config is what a Tally works with. All but Logger and Now are required.
type Config struct {
	DB          *database.DB // where the figures are shared; migrated
	Constraints *consistency.Set
	Logger      *slog.Logger     // nil: slog.Default
	Now         func() time.Time // nil: time.Now
}

// Tally counts what the constraints of this process do and shares it. It implements consistency.Meter and is safe for concurrent
// use.
type Tally struct {
	Config
	process     uuid.UUID
	constraints map[string]*series[counts] // by name; the map never changes
	lane        series[lane]

	writing sync.Mutex
	written map[int64]int64 // slot → how much had been counted in it when it was written
	failing bool
	cleaned time.Time
}

// New returns a tally in which nothing was counted yet. Nothing is read or written.
func New(c Config) *Tally {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	t := &Tally{Config: c, process: uuid.Must(uuid.NewV7()), constraints: map[string]*series[counts]{}, written: map[int64]int64{}}
	for _, d := range c.Constraints.Describe() {
		t.constraints[d.Name] = &series[counts]{}
	}
	return t
}

// Attempted implements consistency.Meter.
func (t *Tally) Attempted(a consistency.Attempt) {
	if s := t.constraints[a.Constraint]; s != nil {
		now := t.now()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.at(now).attempted(a)
	}
}

// Waited implements consistency.Meter.
func (t *Tally) Waited(constraint string, mode consistency.Mode, d time.Duration) {
	if s := t.constraints[constraint]; s != nil {
		now, bin := t.now(), waitBin(d)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.at(now).mode(mode.String()).Waits[bin]++
	}
}

// Queued implements consistency.Meter.
func (t *Tally) Queued(units int) {
	now := t.now()
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	l := t.lane.at(now)
	l.Depth, l.Deepest = units, max(l.Deepest, units)
}

// Batched implements consistency.Meter.
func (t *Tally) Batched(units int) {
	now := t.now()
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	l := t.lane.at(now)
	l.Batches++
	l.Units += int64(units)
}

// now is the number of the present slot.
func (t *Tally) now() int64 { return slotAt(t.Now()) }

// slotAt is the number of the slot that a time is in.
func slotAt(at time.Time) int64 { return at.UnixNano() / int64(slot) }

// beginning is when the slot with the number began.
func beginning(number int64) time.Time { return time.Unix(0, number*int64(slot)) }

// series is what was counted, slot by slot. Its zero value is ready to use.
type series[T any] struct {
	mu    sync.Mutex
	slots []counted[T] // by number, ascending; at most slots
}

type counted[T any] struct {
	number int64
	times  int64 // how often something was counted in it
	is     *T
}

// at is the slot of the number, which is the present one, to count in. The caller holds mu. Who asked for the time before the
// last slot began, and comes after, counts in the last one. Where the clock was put back, what lies ahead of it now is forgotten.
func (s *series[T]) at(number int64) *T {
	for len(s.slots) > 0 && s.slots[len(s.slots)-1].number > number+1 {
		s.slots = s.slots[:len(s.slots)-1]
	}
	last := len(s.slots) - 1
	if last < 0 || s.slots[last].number < number {
		if last >= 0 {
			if c, ok := any(s.slots[last].is).(*counts); ok {
				c.Scopes.prune(storedScopes)
			}
		}
		s.slots = append(s.slots, counted[T]{number: number, is: new(T)})
		if last++; last == slots {
			s.slots, last = append(s.slots[:0:0], s.slots[1:]...), last-1
		}
	}
	s.slots[last].times++
	return s.slots[last].is
}

// own are the rows of this process that are not older than the window, with how much was counted in each.
func (t *Tally) own() (rows map[int64]*row, times map[int64]int64) {
	now := t.now()
	recent := func(number int64) bool { return now-windowSlots <= number && number <= now+1 } // see series.at
	rows, times = map[int64]*row{}, map[int64]int64{}
	at := func(number int64) *row {
		if rows[number] == nil {
			rows[number] = &row{Constraints: map[string]*counts{}}
		}
		return rows[number]
	}
	for name, s := range t.constraints {
		s.mu.Lock()
		for _, c := range s.slots {
			if recent(c.number) {
				copied := c.is.clone()
				copied.Scopes.prune(storedScopes)
				at(c.number).Constraints[name] = copied
				times[c.number] += c.times
			}
		}
		s.mu.Unlock()
	}
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	for _, c := range t.lane.slots {
		if recent(c.number) {
			copied := *c.is
			at(c.number).Lane = &copied
			times[c.number] += c.times
		}
	}
	return rows, times
}

// stillWait counts once more how many wait in the lane, if somebody does and it was said long ago: while nobody comes or goes, the
// lane says nothing.
func (t *Tally) stillWait() {
	now := t.now()
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	last := len(t.lane.slots) - 1
	if last < 0 || t.lane.slots[last].number >= now {
		return
	}
	if depth := t.lane.slots[last].is.Depth; depth > 0 {
		l := t.lane.at(now)
		l.Depth, l.Deepest = depth, depth
	}
}

// Share writes what was counted every few seconds, until ctx ends, and then once more. What goes wrong is logged, once until it
// goes right again.
func (t *Tally) Share(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.write(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			t.write(ctx)
		}
	}
}

func (t *Tally) write(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := t.Write(bounded)
	if ctx.Err() != nil {
		return // it is time to stop, which is no failure
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	if err != nil && !t.failing {
		t.Logger.WarnContext(ctx, "the figures of constraints cannot be shared for the time being", "error", err)
	}
	t.failing = err != nil
}

// Write writes what has been counted since it was last written. When that is nothing, it does not touch the database.
func (t *Tally) Write(ctx context.Context) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.stillWait()
	rows, times := t.own()
	maps.DeleteFunc(t.written, func(number, _ int64) bool { return rows[number] == nil })
	maps.DeleteFunc(rows, func(number int64, _ *row) bool { return t.written[number] == times[number] })
	if len(rows) == 0 {
		return nil
	}
	for _, number := range slices.Sorted(maps.Keys(rows)) {
		text, err := json.Marshal(rows[number])
		if err != nil {
			return fmt.Errorf("encode figures: %w", err)
		}
		_, err = t.DB.Write.NewRaw(`INSERT INTO constraint_figures (process, since, figures) VALUES (?, ?, ?)
			ON CONFLICT (process, since) DO UPDATE SET figures = excluded.figures`,
			t.process, database.Timestamp(beginning(number)), string(text)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("write figures: %w", err)
		}
		t.written[number] = times[number]
	}
	if now := t.Now(); now.Sub(t.cleaned) > time.Minute {
		if _, err := t.DB.Write.NewRaw(`DELETE FROM constraint_figures WHERE since < ?`, database.Timestamp(now.Add(-expire))).Exec(ctx); err != nil {
			return fmt.Errorf("delete old figures: %w", err)
		}
		t.cleaned = now
	}
	return nil
}

// Recent is what this process and the others have counted lately. Of the others it knows what they have written. Each of them goes
// by its own clock: who is ahead of this one is heard of later, who is behind counts as long ago.
func (t *Tally) Recent(ctx context.Context) (*Recent, error) {
	at := t.Now()
	now := slotAt(at)
	r := &Recent{
		minute: map[string]*counts{}, overMinute: at.Sub(beginning(now - minuteSlots)),
		window: map[string]*counts{}, overWindow: at.Sub(beginning(now - windowSlots)),
	}
	depths := map[string]lastDepth{}
	var stored []struct {
		Process string
		Since   database.Timestamp
		Figures string
	}
	err := t.DB.Read.NewRaw(`SELECT process, since, figures FROM constraint_figures WHERE since >= ? AND since <= ? AND process <> ?`,
		database.Timestamp(beginning(now-windowSlots)), database.Timestamp(beginning(now)), t.process).Scan(ctx, &stored)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	for _, s := range stored {
		var of row
		if err := json.Unmarshal([]byte(s.Figures), &of); err != nil {
			// Another version of this program, or a hand: neither is to hide the figures of all others, and the modes beside them.
			t.Logger.DebugContext(ctx, "figures of another process cannot be read, and are left out", "process", s.Process, "error", err)
			continue
		}
		r.add(&of, slotAt(s.Since.Time()), now, s.Process, depths)
	}
	rows, _ := t.own()
	for number, of := range rows {
		r.add(of, number, now, "", depths)
	}
	for _, d := range depths {
		if d.slot >= now-2 { // who says nothing for longer is gone
			r.lane.Depth += d.depth
		}
	}
	return r, nil
}

// lastDepth is the depth that a process told last.
type lastDepth struct {
	slot  int64
	depth int
}

func (r *Recent) add(of *row, number, now int64, process string, depths map[string]lastDepth) {
	windows := []map[string]*counts{r.window}
	if number >= now-minuteSlots {
		windows = append(windows, r.minute)
	}
	for name, c := range of.Constraints {
		for _, w := range windows {
			if w[name] == nil {
				w[name] = &counts{}
			}
			w[name].add(c)
		}
	}
	if l := of.Lane; l != nil {
		r.lane.Batches += l.Batches
		r.lane.Units += l.Units
		r.lane.Deepest = max(r.lane.Deepest, l.Deepest)
		if d, known := depths[process]; !known || d.slot < number {
			depths[process] = lastDepth{number, l.Depth}
		}
	}
}
