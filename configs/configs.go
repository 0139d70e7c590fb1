// Package configs carries the configuration files into the binary, so that it can show what its own version understands.
//
// accession.yaml has every key with its default and a comment; a test of platform/config keeps it so. postgres.yaml and
// kafka.yaml are examples with only what differs.
package configs

import "embed"

// Files are accession.yaml, postgres.yaml and kafka.yaml.
//
//go:embed *.yaml
var Files embed.FS
