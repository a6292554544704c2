package wire

import "os/exec"

// noPlugin is a program that prints and ends.
func noPlugin() *exec.Cmd { return exec.Command("cmd", "/c", "echo hello") }

func host() {}
