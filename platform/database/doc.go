// Package database opens the database, migrates it and knows everything in which SQLite and PostgreSQL differ, so that no
// other package has to.
//
// [Open] takes a [Config] and gives a [DB]: Write for transactions that change something, Read for everything else. Then
// [Migrate] brings the tables up to date; commands that only look call [CheckCurrent] instead. What an error of the driver
// means is asked of [UniqueViolation], [IsNull], [IsBusy], [IsRetryable] and [IsConnection], never read from its text elsewhere.
// Tests take a database of their own from package dbtest.
//
// # SQLite
//
// The file is in WAL mode: one connection writes, the others read beside it, each from a snapshot, and nobody waits for a
// reader. A transaction on Write begins IMMEDIATE, so it never has to be upgraded half-way, which is what SQLITE_BUSY comes
// from. Commits are synced to disk (synchronous=FULL): an acknowledged command survives a power cut.
//
// One process at a time may open a file for writing. It holds a lock of the operating system on PATH.lock, which a kill -9
// releases too. Processes that only read ([Config.ReadOnly]) take no such lock, create no file and write nothing; they work
// beside a writer, without one, and on a file or directory they may not write to. To make that possible, PATH-wal and
// PATH-shm stay when the writer stops, the former empty, which [DB.Close] sees to: PATH alone is then the whole database and
// may be copied. If the two are missing (in such a copy), a reader takes the file to be immutable for as long as one query lasts; do not start the
// first writer on a copy in the middle of a long read of it.
//
// sqlite::memory: is a private file in the directory for temporary files, without syncing, gone at [DB.Close]. It is not
// SQLite's own memory database on purpose. Those live in one connection, so that a reader inside a write transaction would
// wait for itself for ever; or in a shared cache, which answers SQLITE_LOCKED at once, whatever the timeout; or in the memdb
// file system, which has no WAL, so that an open reader keeps a writer from committing. A file has the behaviour of the real
// thing because it is the real thing.
//
// # PostgreSQL
//
// Every session is set up by parameters of the connection, before its first statement: READ COMMITTED, UTC,
// synchronous_commit on, and the timeouts of [Config]. The search path is the server's own. Transactions on Read are read
// only. The URL may carry whatever lib/pq understands; PGHOST, PGPASSWORD and the others of libpq count where it is silent.
// Where it does not give sslmode, connections to this machine (a socket, localhost, a loopback address) are not encrypted,
// and all others must be (sslmode=require, or verify-full if the URL has a sslrootcert): a password never crosses a network
// in the clear by accident. The migrations need a session of their own, and sessions keep statements ([Statement]), so PgBouncer
// must not be in transaction mode.
package database
