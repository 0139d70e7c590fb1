package main

import (
	"context"
	"time"

	"accession/platform/database"

	"github.com/spf13/cobra"
)

func (c *cli) migrate() *cobra.Command {
	up := &cobra.Command{
		Use: "up", Short: "Bring the tables up to date", Example: "  accession migrate up", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.open(cmd.Context(), write) // which migrates
			if err != nil {
				return err
			}
			location := a.db.Location()
			if err := a.db.Close(); err != nil {
				return err
			}
			return c.object(map[string]string{"database": location}, [2]any{"up to date", location})
		},
	}
	status := &cobra.Command{
		Use: "status", Short: "Which migrations have been applied", Example: "  accession migrate status", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.migrations(cmd.Context()) },
	}
	databaseFlag(up)
	databaseFlag(status)
	return group("migrate", "Bring the database up to date", "  accession migrate status", up, status)
}

func (c *cli) migrations(ctx context.Context) error {
	cfg, _, err := c.load()
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, cfg, look)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing was written
	all, err := database.Status(ctx, db, nil)
	if err != nil {
		return err
	}
	l := c.list(false, "migration", "applied")
	for _, m := range all {
		row := struct {
			Name      string     `json:"name"`
			AppliedAt *time.Time `json:"applied_at"`
			Unknown   bool       `json:"unknown,omitempty"` // a newer accession applied it
		}{Name: m.Name, Unknown: m.Unknown}
		applied := "pending"
		if !m.AppliedAt.IsZero() {
			row.AppliedAt = &m.AppliedAt
			applied = m.AppliedAt.Format(time.RFC3339)
		}
		if m.Unknown {
			applied += ", by a newer accession"
		}
		if err := l.add(row, m.Name, applied); err != nil {
			return err
		}
	}
	return l.end()
}
