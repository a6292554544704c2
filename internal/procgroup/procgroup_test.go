//go:build unix

package procgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/internal/proctest"
)

// TestMain lets the test be the process that is killed.
func TestMain(m *testing.M) {
	if how := os.Getenv("PROCGROUP_HOST"); how != "" {
		host(how)
		return
	}
	goleak.VerifyTestMain(m)
}

// tree is a program whose child outlives it when it alone is killed. The
// child's number is printed.
const tree = `sleep 300 & echo $!; wait`

// host runs a program that leaves something in the background, then two that
// go on, and ends as it is told to. It prints the numbers of all three
// processes that the programs started, and of the watchdog.
func host(how string) {
	ctx := context.Background()
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	left, err := output(ctx, `sleep 300 >/dev/null 2>&1 & echo $!`)
	if err != nil {
		panic(err)
	}
	if how == "end" {
		fmt.Println(left, guard.cmd.Process.Pid)
		return
	}
	first, second := background(ctx), background(ctx)
	one, two := <-first, <-second
	_ = Run(ctx, exec.Command("true"), time.Second) // then the watchdog knows of those
	if how == "orphaned" {                          // a third program finds out that the watchdog is gone
		_ = guard.cmd.Process.Kill()
		_ = guard.cmd.Wait()
		_ = Run(ctx, exec.Command("true"), time.Second)
	}
	fmt.Println(left, one, two, guard.cmd.Process.Pid)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if how == "exit" { // as a worker does whose step does not end
		os.Exit(70)
	}
	select {}
}

func output(ctx context.Context, script string) (string, error) {
	var out strings.Builder
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout = &out
	err := Run(ctx, cmd, time.Second)
	return strings.TrimSpace(out.String()), err
}

// background runs tree and sends the number that it prints.
func background(ctx context.Context) <-chan string {
	printed := make(chan string, 1)
	read, write := io.Pipe()
	cmd := exec.Command("sh", "-c", tree)
	cmd.Stdout = write
	go func() { _ = Run(ctx, cmd, time.Second) }()
	go func() {
		line, _ := bufio.NewReader(read).ReadString('\n')
		printed <- strings.TrimSpace(line)
	}()
	return printed
}

type hosted struct {
	cmd   *exec.Cmd
	stdin io.Closer
	pids  []int
}

func startHost(t *testing.T, how string) hosted {
	t.Helper()
	h := hosted{cmd: exec.CommandContext(t.Context(), os.Args[0])} //nolint:gosec // this test itself
	h.cmd.Env = append(os.Environ(), "PROCGROUP_HOST="+how)
	h.cmd.Stderr = os.Stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.stdin = in
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(line) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatalf("the host said %q", line)
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		h.pids = append(h.pids, pid)
	}
	return h
}

// However this process ends, so do its programs with all that they started,
// and the watchdog; only what a program left behind that had ended goes on.
func TestNothingOutlivesThisProcess(t *testing.T) {
	for _, how := range []string{"kill", "exit", "interrupted", "orphaned"} {
		t.Run(how, func(t *testing.T) {
			h := startHost(t, how)
			left, started, watchdog := h.pids[0], h.pids[1:3], h.pids[3]
			for _, pid := range h.pids {
				if !proctest.Alive(pid) {
					t.Fatalf("process %d of %v has ended too early", pid, h.pids)
				}
			}
			switch how {
			case "exit":
				_ = h.stdin.Close()
			case "interrupted": // ctrl-C goes to the whole group
				if err := syscall.Kill(-h.cmd.Process.Pid, syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				fallthrough
			default:
				if err := h.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			_ = h.cmd.Wait()
			proctest.Gone(t, started[0])
			proctest.Gone(t, started[1])
			proctest.Gone(t, watchdog)
			if !proctest.Alive(left) {
				t.Error("what a program left behind was ended")
			}
		})
	}
}

func TestWatchdogEndsAfterAnOrderlyEnd(t *testing.T) {
	h := startHost(t, "end")
	if err := h.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, h.pids[1])
	if !proctest.Alive(h.pids[0]) {
		t.Error("what a program left behind was ended")
	}
}

// What does not heed the request to end is ended, also when its leader does.
func TestStop(t *testing.T) {
	for name, script := range map[string]string{
		"all heed":        tree,
		"the child not":   `(trap '' TERM; sleep 300 & echo $!; wait) & wait`,
		"a silent child":  `(trap '' TERM; sleep 300 >/dev/null & echo $!; exec >/dev/null; wait) & wait`,
		"the program not": `trap '' TERM; sleep 300 & echo $!; while :; do wait; done`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			read, write := io.Pipe()
			cmd := exec.Command("sh", "-c", script)
			cmd.Stdout = write
			grace := 50 * time.Millisecond
			if name == "a silent child" { // it is not for its sake that Run waits
				grace = time.Hour
			}
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, cmd, grace) }()
			line, err := bufio.NewReader(read).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := <-ended; !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
			pid, _ := strconv.Atoi(strings.TrimSpace(line))
			proctest.Gone(t, pid)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := exec.Command("true")
	if err := Run(ctx, cmd, time.Second); !errors.Is(err, ErrStopped) || cmd.Process != nil {
		t.Errorf("a program was started after the end: %v", err)
	}
}

// Without a shell programs run as they do with one.
func TestNoShell(t *testing.T) {
	none := watchdog{shell: "/no/such/shell", live: map[int]bool{}}
	cmd := exec.Command("true")
	cmd.SysProcAttr = groupAttr()
	if err := none.launch(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	none.drop(cmd.Process.Pid)
	if none.pipe != nil || len(none.live) != 0 {
		t.Errorf("%+v", &none) //nolint:govet // it is not in use any more
	}
}

// Programs at once, each to its own end; none of them is kept in mind.
func TestManyAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			var status *exec.ExitError
			if _, err := output(t.Context(), fmt.Sprintf("exit %d", i+1)); !errors.As(err, &status) || status.ExitCode() != i+1 {
				t.Error(i+1, err)
			}
		})
	}
	all.Wait()
	guard.mu.Lock()
	defer guard.mu.Unlock()
	if len(guard.live) > 0 {
		t.Error(guard.live)
	}
}

func TestProgramThatCannotStart(t *testing.T) {
	if err := Run(t.Context(), exec.Command("/no/such/program"), time.Second); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// The watchdog's list, in the shell's own words: it ends exactly the groups
// that were added and not dropped.
func TestScript(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var input strings.Builder
		var live []string
		for range rapid.IntRange(0, 30).Draw(t, "lines") {
			// few numbers, one of which is a part of another
			id := rapid.SampledFrom([]string{"1", "2", "11", "12", "21", "211"}).Draw(t, "id")
			if i := slices.Index(live, id); i >= 0 {
				live = slices.Delete(live, i, i+1)
				fmt.Fprintf(&input, "- %s\n", id)
			} else if rapid.Bool().Draw(t, "known") {
				live = append(live, id)
				fmt.Fprintf(&input, "+ %s\n", id)
			} else {
				fmt.Fprintf(&input, "- %s\n", id)
			}
		}
		cmd := exec.Command("/bin/sh", "-c", "kill() { echo \"$*\"; }\n"+script) //nolint:gosec // the script of this package
		cmd.Stdin = strings.NewReader(input.String())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for _, id := range live {
			fmt.Fprintf(&want, "-KILL -%s\n", id)
		}
		if string(out) != want.String() {
			t.Fatalf("after\n%sit ended\n%sand not\n%s", &input, out, &want)
		}
	})
}

// What asks a service to end, or a terminal that goes, does not end the
// watchdog before the service.
func TestWatchdogStaysUntilTheEnd(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "kill() { echo \"$*\"; }\n"+strings.Replace(script, "while", "echo ready\nwhile", 1)) //nolint:gosec // the script of this package
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(in, "+ 12\n"); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if line, err := out.ReadString('\n'); line != "-KILL -12\n" {
		t.Error(line, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
