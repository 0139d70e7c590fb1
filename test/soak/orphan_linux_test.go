package soak_test

import "syscall"

// noOrphan ends a process when the thread that started it does, as when `go test` is killed or runs out of time.
func noOrphan() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
