package core

import "syscall"

// groupAttr puts the command into a group of its own and has the kernel end
// it when wfctl dies, so that recovery need not wait for it.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
