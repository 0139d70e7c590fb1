// Package projection plays events into read models.
//
// A [Projector] is one file in a module: a name, a version, tables made from bun models, and a handler for each event it
// listens to. No migration and no wiring: it is listed in its module, and that is all. See the example "add a projector" and,
// for its test, package projectiontest.
//
// The [Projectionist] gives projectors their tables and plays the log into them:
//
//	p, err := projection.New(projection.Config{DB: db, Log: log, Registry: registry, Projectors: projectors})
//	err = p.Boot(ctx)   // tables, views, checkpoints; settles the timing
//	go p.Play(ctx)      // the background, until ctx ends
//	p.Ring()            // after each commit; never waits
//
// and those who read do it in one snapshot, in which the rows and the position they are good for agree:
//
//	at, err := p.View(ctx, projection.Query{Projector: "catalogue-books", Min: min, Wait: wait}, func(ctx context.Context, db bun.IDB) error {
//		return db.NewSelect().Model(&rows).Where("category_id = ?", id).Order("number").Scan(ctx)
//	})
//
// # What is promised
//
// The rows and the checkpoint of a projector move in one transaction, compare and set, so every event counts exactly once,
// whatever crashes and however many processes play (play.go). Handlers see a batch of events through a [Writer], which turns
// puts, changes and deletes into one statement for each table (writer.go). What a projector leaves behind does not depend on
// the size of the batches, the dialect or the timing; projectiontest checks that.
//
// Read models are caches. They are never migrated: a projector whose tables or handlers change gets another version, and with
// it new tables, played from the first event. Its tables carry the version in their names, books_v2; readers use the view
// books over them (table.go).
//
// # Timing
//
// In the [Background] a projector follows the log from its own checkpoint: at once after a rest, and under load in batches, for which
// it lets events gather a few times as long as the last one took, unless somebody waits for them (play.go). [Immediate] ones are played in the transaction of
// the command, so that a reader never waits; this is for acceptance tests and for what must never be late (immediate.go).
// Which timing a projector has stands in the database, never only in a process's configuration: [Projectionist.Boot] changes
// it there, with all who append kept out for that moment (timing.go). Where none is immediate a command asks nothing to know it:
// its commit finds out. A process stores nothing while a projector is immediate that it does not have, or not in this
// version: it cannot know what that listens to. When it boots, it takes one that it has never heard of out of commands.
//
// # When a handler fails
//
// Nothing of its batch stays. It is played again event by event to find which one it is; then the projector is [Broken], its
// checkpoint stands right before that event, and all others go on. It is tried again after a restart. A lock, a lost connection
// or a cancelled context is nobody's failure: it is waited out.
//
// # What is not here yet
//
// The table projectors has room for versions side by side, but one is there at a time: Boot of another one takes its place at
// once, and readers who ask for a position wait until it has caught up. Booting beside the old version and swapping at its
// checkpoint, rebuild, pause, resume (also past one event), retire and the run modes belong beside Boot, in boot.go; the lease
// that saves a second process the work of being too late belongs into play.go.
package projection
