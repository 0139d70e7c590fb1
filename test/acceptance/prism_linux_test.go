package acceptance_test

import "syscall"

// noOrphan ends a process when the thread that started it does, as when `go test` is killed.
func noOrphan() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
