//go:build !unix

package cli

import "os/exec"

// become runs another program and waits for it: this system cannot replace
// one by another.
func become(cmd *exec.Cmd) error { return cmd.Run() }
