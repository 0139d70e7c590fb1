package main

import (
	"accession/platform/consistency"
	"accession/platform/module"

	"github.com/spf13/cobra"
)

func (c *cli) constraints() *cobra.Command {
	return group("constraints", "The rules that cross aggregates, and how each is kept", "  accession constraints list", c.constraintsList())
}

// listedConstraint is a constraint and the mode that the configuration gives it.
type listedConstraint struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`
	Mode   string   `json:"mode"`
	Scope  string   `json:"scope"`
	Rule   string   `json:"rule"`
	Error  string   `json:"error"`
	Modes  []string `json:"modes"`
	Events []string `json:"events"`
}

func (c *cli) constraintsList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Every constraint with its scope and mode",
		Example: "  accession constraints list\n  accession constraints list --output json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, _, err := c.load()
			if err != nil {
				return err
			}
			set, err := module.Constraints(modules)
			if err != nil {
				return err
			}
			l := c.list(false, "constraint", "mode", "scope", "kind", "can be", "rule")
			for _, d := range set.Describe() {
				row := listedConstraint{
					Name: d.Name, Kind: d.Kind, Mode: cfg.Consistency.Modes[d.Name], Scope: d.Scope, Rule: d.Rule, Error: d.Error, Events: d.Events,
				}
				for _, m := range d.Modes {
					row.Modes = append(row.Modes, m.String())
				}
				if err := l.add(row, d.Name, row.Mode, d.Scope, d.Kind, consistency.Names(d.Modes), d.Rule); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	databaseFlag(cmd)
	return cmd
}
