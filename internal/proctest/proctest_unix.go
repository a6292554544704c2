//go:build unix

package proctest

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Alive tells whether a process runs; a zombie that its new parent has not
// collected yet does not.
func Alive(pid int) bool {
	if raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		return !strings.Contains(string(raw), ") Z ")
	}
	return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// patience is far more than any end takes, on a machine that is busy too.
const patience = 30 * time.Second

// Gone waits until processes have ended, and fails the test where one does not.
func Gone(t testing.TB, pids ...int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, pid := range pids {
		for Alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d lives on", pid)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
}
