package command

import "syscall"

// groupAttr also has the kernel end the program when wfctl is killed: a run
// that is resumed begins the step anew, and must not meet its former self.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
