//go:build unix

package procgroup

import (
	"os/exec"
	"syscall"
)

// group is known by the number of its leader, which the system gives to
// nobody else while a member is alive.
type group struct{ id int }

func start(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = groupAttr()
	if err := guard.launch(cmd); err != nil {
		return nil, err
	}
	return &group{cmd.Process.Pid}, nil
}

func (g *group) terminate() bool { return syscall.Kill(-g.id, syscall.SIGTERM) == nil }
func (g *group) kill()           { _ = syscall.Kill(-g.id, syscall.SIGKILL) }
func (g *group) leave()          { guard.drop(g.id) }
