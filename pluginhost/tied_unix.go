//go:build unix

package pluginhost

import (
	"errors"
	"os/exec"
	"syscall"
)

// startTied starts a plugin in a group of its own: Ctrl-C on the terminal is
// wfctl's to answer, and what the plugin starts can be ended with it. When
// wfctl dies, the plugin notices the end of its standard input and ends its
// group; one that is stopped by then is ended by the system, as is any stopped
// group whose parent is gone.
func startTied(cmd *exec.Cmd) (kill func() error, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	return func() error {
		if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return nil
	}, nil
}
