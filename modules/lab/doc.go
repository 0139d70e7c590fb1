// Package lab measures what each consistency mode costs: "measure how likely the failures are, then choose", made a program.
//
// [Run] lets writers run one command again and again, without a pause, in one hot scope and over many, in a [space] of the lab's
// own beside the catalogue's data: a schema in the same PostgreSQL database, a file beside the SQLite one. The modes take turns
// ([Turns]), so that whatever else the machine does is shared, and after each turn the log is read for duplicates and gaps.
//
// Beside the modes runs the yardstick, [SQL]: transactions written by hand, through the same driver, which write the same rows
// into the same tables and indexes for the same command. The only thing it lacks is the log's head: positions are a plain
// identity column. See yardstick.go; a test compares the rows.
//
// A mode can be measured as requests to the API as well ([HTTP]): http.go.
//
// What can be measured is in load.go, a [load] for each constraint. They are the three numbers: rivals for one of them are all
// writers in one scope, for as long as one likes. A unique value can be taken once, so there is nothing to repeat; and a
// reference has no rivals until something is withdrawn.
package lab
