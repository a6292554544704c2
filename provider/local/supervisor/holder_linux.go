package supervisor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// portHolder names the process that listens on a port: "nginx (pid 12)".
func portHolder(port int) string {
	sockets := listening(port)
	if len(sockets) == 0 {
		return ""
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil && holdsSocket(e.Name(), sockets) {
			comm, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(comm)), e.Name())
		}
	}
	return ""
}

// listening returns the inodes of the sockets that listen on a port, in the
// form of a link in /proc/PID/fd.
func listening(port int) map[string]bool {
	const listen = "0A"
	suffix := fmt.Sprintf(":%04X", port)
	found := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], suffix) && f[3] == listen {
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	return found
}

func holdsSocket(pid string, sockets map[string]bool) bool {
	dir := "/proc/" + pid + "/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if link, err := os.Readlink(dir + e.Name()); err == nil && sockets[link] {
			return true
		}
	}
	return false
}
