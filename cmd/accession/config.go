package main

import "github.com/spf13/cobra"

func (c *cli) configuration() *cobra.Command {
	show := &cobra.Command{
		Use:     "print",
		Short:   "Every key, its value, where that came from, and the variable that sets it",
		Example: "  accession config print\n  ACCESSION_HTTP_ADDR=:9000 accession config print",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, settings, err := c.load()
			if err != nil {
				return err
			}
			l := c.list(false, "key", "value", "from", "variable")
			for _, s := range settings {
				if err := l.add(s, s.Key, s.Value, s.From, s.Variable); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	databaseFlag(show)
	return group("config", "The configuration", "  accession config print", show)
}
