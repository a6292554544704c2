package state

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// machineID is not known without a private interface; a restart is then
// noticed when the lease expires.
func machineID() string { return "" }

func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

func bootOf(id string) string { return id }

func processStart(pid int) (string, bool) {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(p.Proc.P_pid) != pid {
		return "", false
	}
	t := p.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), true
}
