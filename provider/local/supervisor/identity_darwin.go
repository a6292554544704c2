package supervisor

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

var errGone = errors.New("no such process")

func bootID() string {
	t, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return strconv.FormatInt(t.Sec, 10)
}

func startTime(pid int) (string, error) {
	const zombie = 5 // SZOMB of <sys/proc.h>
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", err
	}
	if info.Proc.P_stat == zombie || int(info.Proc.P_pid) != pid {
		return "", errGone
	}
	t := info.Proc.P_starttime
	return strconv.FormatInt(t.Sec, 10) + "." + strconv.Itoa(int(t.Usec)), nil
}

// groupMembers: this system does not show who holds a pipe, so a process
// whose leader is gone cannot be proven ours and is left alone.
func groupMembers(int, uint64) []int { return nil }
