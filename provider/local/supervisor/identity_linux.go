package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

var errGone = errors.New("no such process")

// stat returns the fields of /proc/PID/stat from the third on: the state, the
// parent, the group, the session …
func stat(pid int) ([]string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, err
	}
	i := bytes.LastIndexByte(b, ')') // the name before it may hold anything
	if i < 0 {
		return nil, fmt.Errorf("/proc/%d/stat cannot be understood", pid)
	}
	fields := strings.Fields(string(b[i+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat cannot be understood", pid)
	}
	return fields, nil
}

func startTime(pid int) (string, error) {
	f, err := stat(pid)
	if err != nil {
		return "", err
	}
	if f[0] == "X" || f[0] == "Z" && (f[17] == "0" || f[17] == "1") {
		return "", errGone // with more threads than one it still holds its files and locks
	}
	return f[19], nil
}

// groupMembers lists the living processes of a group that hold the pipe.
func groupMembers(group int, pipe uint64) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var members []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		f, err := stat(pid)
		if err != nil || f[2] != strconv.Itoa(group) || f[0] == "Z" {
			continue
		}
		if holdsPipe(pid, pipe) {
			members = append(members, pid)
		}
	}
	return members
}

func holdsPipe(pid int, pipe uint64) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	want := fmt.Sprintf("pipe:[%d]", pipe)
	for _, e := range entries {
		if link, err := os.Readlink(dir + e.Name()); err == nil && link == want {
			return true
		}
	}
	return false
}
