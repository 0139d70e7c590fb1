package dbtest

import (
	"os"
	"syscall"
)

// asOther says how to start a process that works in dir and ends at once when this test binary does, however that ends. If
// we are root it is another user, to whom dir is given.
func asOther(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	uid, gid, err := otherUser()
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, uid, gid)
}
