//go:build unix

package pluginhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// beHost starts a plugin, has it start a child, says who they are and waits
// for the end.
func beHost() {
	sum, err := Checksum(os.Args[0])
	if err != nil {
		panic(err)
	}
	h := New(Options{SocketDir: os.Getenv("FAKE_HOST")})
	p := h.Provider(Plugin{Name: "fake", Executable: os.Args[0], SHA256: sum})
	r, err := p.Read(context.Background(), &sdk.ReadRequest{Type: "x", Name: "a"})
	if err != nil {
		panic(err)
	}
	child, err := p.Create(context.Background(), create("child"), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Outputs["pid"], child.ID)
	select {}
}

// alive is false for a zombie that its new parent has not collected yet.
func alive(pid string) bool {
	if raw, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil {
		return !strings.Contains(string(raw), ") Z ")
	}
	n, err := strconv.Atoi(pid)
	return err == nil && !errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
}

// frozen waits until the system has stopped every thread, where it says so.
func frozen(t *testing.T, pid string) {
	t.Helper()
	for t.Context().Err() == nil {
		threads, err := filepath.Glob("/proc/" + pid + "/task/*/stat")
		if err != nil || !slices.ContainsFunc(threads, runs) {
			return
		}
	}
}

func runs(stat string) bool {
	raw, err := os.ReadFile(stat)
	return err == nil && !strings.Contains(string(raw), ") T ")
}

func gone(t *testing.T, pid string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for alive(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %s lives on", pid)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// Failure 20: nothing is left running when wfctl is killed.
func TestNoOrphans(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(map[bool]string{false: "running", true: "stopped"}[stopped], func(t *testing.T) { noOrphans(t, stopped) })
	}
}

func noOrphans(t *testing.T, stopped bool) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"FAKE_HOST=" + dir}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pids := strings.Fields(line)
	if len(pids) != 2 || !alive(pids[0]) || !alive(pids[1]) {
		t.Fatalf("the host said %q", line)
	}
	if n, _ := strconv.Atoi(pids[0]); stopped && syscall.Kill(n, syscall.SIGSTOP) != nil {
		t.Fatal("the plugin cannot be stopped")
	}
	if stopped {
		frozen(t, pids[0])
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gone(t, pids[0])
	gone(t, pids[1])
	if left, _ := os.ReadDir(dir); !stopped && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCloseEndsWhatPluginsStarted(t *testing.T) {
	h := New(Options{})
	p := h.Provider(self(t))
	pid, _, _ := read(t, p)
	child, err := p.Create(t.Context(), create("child"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
	gone(t, child.ID)
}

// A plugin that is frozen when its host asks it to end is killed.
func TestFrozenPlugin(t *testing.T) {
	h := New(Options{Grace: 50 * time.Millisecond})
	pid, _, _ := read(t, h.Provider(self(t)))
	n, _ := strconv.Atoi(pid)
	if err := syscall.Kill(n, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_ = h.Close(t.Context()) // it says so, or the plugin was quicker
	gone(t, pid)
}
