//go:build !windows

package command

import (
	"os/exec"
	"syscall"
)

// ownGroup gives a program a process group of its own, so that what it starts
// ends with it, and ctrl-C reaches wfctl alone.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = groupAttr()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
