//go:build unix && !linux

package soak_test

import "syscall"

func noOrphan() *syscall.SysProcAttr { return nil }
