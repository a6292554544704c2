//go:build unix

package core

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A command dies with wfctl and takes along what it started, however wfctl
// dies: recovery does not wait for it.
func TestCommandDiesWithItsHost(t *testing.T) {
	host := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test itself
	host.Env = append(os.Environ(), "CORE_TEST_CHILD="+t.TempDir())
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	pids := strings.Fields(line)
	if len(pids) != 2 {
		t.Fatalf("the command said %q", line)
	}
	for _, word := range pids {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		gone(t, pid)
	}
}

func gone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for alive(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on", pid)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// alive is false for a zombie that its new parent has not collected yet.
func alive(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	return !strings.Contains(string(raw), ") Z ")
}
