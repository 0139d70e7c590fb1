package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says which binary this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() build {
	b := build{Version: "dev", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Which binary this is", Example: "  accession version --output json", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := buildVersion()
			return c.object(b, [2]any{"accession", b.Version}, [2]any{"revision", b.Revision}, [2]any{"go", b.Go}, [2]any{"platform", b.Platform})
		},
	}
}
