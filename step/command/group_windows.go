package command

import (
	"os/exec"
	"syscall"
)

// ownGroup gives a program a process group of its own, so that ctrl-C reaches
// wfctl alone.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
