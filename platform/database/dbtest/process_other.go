//go:build !unix

package dbtest

import "syscall"

// asOther says how to start a process that works in dir.
func asOther(string) (*syscall.SysProcAttr, error) { return nil, nil }
