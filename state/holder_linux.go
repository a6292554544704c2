package state

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

func machineID() string {
	raw, _ := os.ReadFile("/etc/machine-id") // absent in many containers: not known
	return strings.TrimSpace(string(raw))
}

// bootID joins the kernel's boot with the process namespace: in another
// namespace the same number is another process.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	ns, _ := os.Readlink("/proc/self/ns/pid")
	return strings.TrimSpace(string(raw)) + "/" + ns
}

// bootOf is the part of a boot identifier that a restart changes.
func bootOf(id string) string {
	boot, _, _ := strings.Cut(id, "/")
	return boot
}

// processStart reads field 22 of /proc/PID/stat, in clock ticks since boot.
// The second field is a name in parentheses that may hold anything. A zombie
// has ended.
func processStart(pid int) (string, bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" || string(fields[0]) == "X" {
		return "", false
	}
	return string(fields[19]), true
}
