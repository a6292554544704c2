//go:build unix

package core

import (
	"os/exec"
	"syscall"
)

// processGroup is a command with what it started.
type processGroup struct{ id int }

func startGroup(cmd *exec.Cmd) (*processGroup, error) {
	cmd.SysProcAttr = groupAttr()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &processGroup{cmd.Process.Pid}, nil
}

func (g *processGroup) terminate() { _ = syscall.Kill(-g.id, syscall.SIGTERM) }
func (g *processGroup) kill()      { _ = syscall.Kill(-g.id, syscall.SIGKILL) }
func (g *processGroup) close()     {}
