//go:build unix

package wire

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// noPlugin is a program that prints and ends.
func noPlugin() *exec.Cmd { return exec.Command("/bin/echo", "hello") }

func grouped(env ...string) *exec.Cmd {
	cmd := command(env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// alive is false for a zombie that its new parent has not collected yet.
func alive(pid string) bool {
	if raw, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil {
		return !strings.Contains(string(raw), ") Z ")
	}
	n, err := strconv.Atoi(pid)
	return err == nil && !errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
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

// frozen waits until the system has stopped every thread, where it says so.
func frozen(t *testing.T, pid int) {
	t.Helper()
	for t.Context().Err() == nil {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(raw), ") T ") {
			return
		}
	}
}

// host is what TestDiesWithItsHost kills: it starts a plugin, has it start a
// child and prints their identifiers.
func host() {
	ctx, cancel := testContext()
	defer cancel()
	c, err := Dial(ctx, DialOptions{Command: grouped(), SocketDir: os.Getenv("FAKE_HOST")})
	if err != nil {
		panic(err)
	}
	r, err := c.Read(ctx, &sdk.ReadRequest{Type: "x", Name: "a"})
	if err != nil {
		panic(err)
	}
	h := &heard{}
	if _, err := c.Create(ctx, create("child"), h); err != nil {
		panic(err)
	}
	lines := strings.Split(h.all(), "\n")
	fmt.Println(r.Outputs["pid"], strings.TrimPrefix(lines[len(lines)-1], "log "))
	select {}
}

// However the host ends, the plugin and what it started end too, and the
// socket is removed.
func TestDiesWithItsHost(t *testing.T) {
	dir := t.TempDir()
	cmd := command("FAKE_HOST=" + dir)
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
		t.Fatalf("host said %q", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gone(t, pids[0])
	gone(t, pids[1])
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A plugin that is stopped answers nothing, not even that it ends.
func TestFrozenPluginIsKilled(t *testing.T) {
	c, err := Dial(t.Context(), DialOptions{Command: command(), Grace: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Read(t.Context(), &sdk.ReadRequest{Type: "x", Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(r.Outputs["pid"].String())
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	frozen(t, pid)
	if err := c.Close(t.Context()); !errors.Is(err, ErrPlugin) {
		t.Errorf("%v", err)
	}
	gone(t, strconv.Itoa(pid))
}

// A plugin that dies leaves no child behind that holds its streams.
func TestChildOfADeadPlugin(t *testing.T) {
	c, err := Dial(t.Context(), DialOptions{Command: grouped(), Start: func(cmd *exec.Cmd) (func() error, error) {
		err := cmd.Start()
		return func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := &heard{}
	if _, err := c.Create(t.Context(), create("child"), h); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(h.all(), "\n")
	if _, err := c.Create(t.Context(), create("die"), nil); !errors.Is(err, ErrPlugin) {
		t.Errorf("%v", err)
	}
	gone(t, strings.TrimPrefix(lines[len(lines)-1], "log "))
	if err := c.Close(t.Context()); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}
