package cli_test

import (
	"os/exec"
	"strings"
)

// goEnv asks Go for a setting that scripts would lose with their new home.
func goEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
