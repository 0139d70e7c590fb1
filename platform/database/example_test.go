package database_test

import (
	"context"
	"fmt"
	"log"

	"github.com/uptrace/bun"

	"accession/platform/database"
)

func Example() {
	ctx := context.Background()
	db, err := database.Open(ctx, database.Config{URL: "sqlite::memory:"})
	if err != nil {
		log.Fatal(err) // a sentence for people: see package problem
	}
	defer db.Close()
	if err := database.Migrate(ctx, db, nil); err != nil {
		log.Fatal(err)
	}

	err = db.Write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE shelves (room TEXT, number INTEGER, UNIQUE (room, number))")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		_, err := db.Write.ExecContext(ctx, "INSERT INTO shelves VALUES ('reading room', 1)")
		columns, taken := database.UniqueViolation(err)
		fmt.Printf("taken: %t %q\n", taken, columns)
	}
	// Output:
	// taken: false ""
	// taken: true "shelves.room, shelves.number"
}
