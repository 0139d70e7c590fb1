//go:build !linux

package acceptance_test

import "syscall"

func noOrphan() *syscall.SysProcAttr { return nil }
