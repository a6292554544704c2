//go:build unix && !linux

package supervisor

import (
	"os/exec"
	"syscall"
)

// sysProcAttr gives a process its own group. This system cannot tie its life
// to the supervisor's: the next supervisor of the folder reaps it.
func sysProcAttr(spec Spec) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if u := spec.User; u != nil {
		attr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
	}
	return attr, nil
}

// awaitExit: waiting without reaping is not to be had here, so the group is
// ended right after its leader was reaped.
func awaitExit(int) {}

type spawner struct{}

func newSpawner() *spawner { return &spawner{} }

func (*spawner) start(cmd *exec.Cmd) error { return cmd.Start() }

func (*spawner) close() {}

func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
