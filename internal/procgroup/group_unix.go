//go:build unix

package procgroup

import (
	"os/exec"
	"syscall"
)

// group is known by the number of its leader, which the system gives to
// nobody else while a member is alive.
type group struct{ id int }

// start wakes the watchdog first, so that there is but a moment in which it
// does not know of the group.
func start(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = groupAttr()
	guard.wake()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	guard.add(cmd.Process.Pid)
	return &group{cmd.Process.Pid}, nil
}

func (g *group) terminate() bool { return syscall.Kill(-g.id, syscall.SIGTERM) == nil }
func (g *group) kill()           { _ = syscall.Kill(-g.id, syscall.SIGKILL) }
func (g *group) leave()          { guard.drop(g.id) }
