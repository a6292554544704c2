//go:build unix

package command_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/internal/proctest"
	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/step/command"
)

// A worker that is killed leaves nothing of its steps running beside the
// next attempt at them.
func TestDiesWithItsWorker(t *testing.T) {
	host := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test itself
	host.Env = append(os.Environ(), "PROGRAM=worker")
	pipe, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	out, pids := bufio.NewReader(pipe), []int(nil)
	for range 2 {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(line) {
			pid, err := strconv.Atoi(word)
			if err != nil || !proctest.Alive(pid) {
				t.Fatalf("%q: %v", line, err)
			}
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			pids = append(pids, pid)
		}
	}
	if len(pids) != 4 {
		t.Fatal(pids)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	proctest.Gone(t, pids...)
}

// A program that ends well when it is asked to end has not done its work.
func TestStoppedIsNotDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := command.Kind().Prepare(json.RawMessage(`{"run": "trap 'exit 0' TERM; sleep 300 & echo started; wait", "shell": "sh"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Run(ctx, &step.Context{Name: "c", Self: event.SinkFunc(func(event.Event) { cancel() })})
	if err == nil || !strings.Contains(err.Error(), "was stopped") {
		t.Error(err)
	}
}
