//go:build unix

package core

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/internal/proctest"
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
		proctest.Gone(t, pid)
	}
}
