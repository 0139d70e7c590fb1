//go:build unix && !linux

package dbtest

import (
	"os"
	"syscall"
)

// asOther says how to start a process that works in dir. If we are root it is another user, to whom dir is given. A killed
// test binary leaves its server running here: only Linux can do better.
func asOther(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	uid, gid, err := otherUser()
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(dir, uid, gid)
}
