package procgroup

import "syscall"

// groupAttr also has the kernel end the leader with this process: it may be
// killed before the watchdog has heard of the group, and there may be none.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
