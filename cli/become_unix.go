//go:build unix

package cli

import (
	"os/exec"
	"syscall"
)

// become goes on as another program, in this very process.
func become(cmd *exec.Cmd) error {
	return syscall.Exec(cmd.Path, append([]string{cmd.Path}, cmd.Args[1:]...), cmd.Env)
}
