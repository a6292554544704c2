//go:build unix

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

func TestAServiceServesUntilItIsRemoved(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	st := b.apply(c, b.app("web", "serve", "one"))
	if _, body := get(t, st.Port, "/"); body != "one" {
		t.Fatalf("the service answered %q", body)
	}
	if err := c.Remove(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if left := processesWith(b.cfg.Dir); len(left) > 0 {
		t.Errorf("processes stay after the last service was removed: %v", left)
	}
	if err := CheckPort(st.Port); err != nil {
		t.Error(err)
	}
	entries, _ := os.ReadDir(b.cfg.Dir)
	if len(entries) != 1 || entries[0].Name() != "logs" {
		t.Errorf("more than logs stay: %v", entries)
	}
	if _, err := os.Stat(b.cfg.RuntimeDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder for sockets stays: %v", err)
	}
}

func TestAProcessGetsItsEnvironmentAndNoOther(t *testing.T) {
	t.Setenv("SECRET_OF_THE_COMMAND", "s3cr3t")
	b := newBench(t)
	spec := b.app("web", "serve")
	spec.Env = append(spec.Env, "TOKEN=abc")
	spec.Stdin = []byte("through standard input")
	st := b.apply(b.connect(), spec)
	_, env := get(t, st.Port, "/env")
	want := []string{"PORT=" + strconv.Itoa(st.Instances[0].Port), "TOKEN=abc", "WORK=" + b.cfg.Dir}
	got := strings.Split(env, "\n")
	if len(got) != len(want) {
		t.Errorf("environment is %q, want %q", got, want)
	}
	for _, kv := range want {
		if !strings.Contains(env, kv) {
			t.Errorf("environment lacks %s", kv)
		}
	}
	if _, in := get(t, st.Port, "/stdin"); in != "through standard input" {
		t.Errorf("standard input was %q", in)
	}
	assertNowhere(t, b, "abc", "s3cr3t")
}

// assertNowhere looks for secrets in the folder and on command lines.
func assertNowhere(t *testing.T, b *bench, secrets ...string) {
	t.Helper()
	_ = filepath.WalkDir(b.cfg.Dir, func(path string, d os.DirEntry, _ error) error {
		body, _ := os.ReadFile(path)
		for _, s := range secrets {
			if strings.Contains(string(body), s) {
				t.Errorf("%s holds a secret", path)
			}
		}
		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	for _, pid := range processesWith(b.cfg.Dir) {
		for _, s := range secrets {
			if strings.Contains(pid, s) {
				t.Errorf("a command line holds a secret: %s", pid)
			}
		}
	}
}

func TestTwoClientsStartOneSupervisor(t *testing.T) {
	b := newBench(t)
	pids := make([]int, 8)
	var all sync.WaitGroup
	for i := range pids {
		all.Go(func() { pids[i] = b.connect().PID() })
	}
	all.Wait()
	for _, pid := range pids {
		if pid != pids[0] || pid == 0 {
			t.Fatalf("clients reached different supervisors: %v", pids)
		}
	}
}

func TestAProgramThatEndsAtOnceIsExplained(t *testing.T) {
	b := newBench(t)
	_, err := b.connect().Apply(t.Context(), b.app("web", "exit"), func(Event) {})
	for _, want := range []string{"web.1", "exit status 3", "about to fail: no such table"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	var e *sdk.Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, "PORT") {
		t.Errorf("the hint does not help: %+v", e)
	}
}

func TestAProgramThatNeverListensIsExplained(t *testing.T) {
	b := newBench(t)
	spec := b.app("web", "hang")
	spec.Ready.Timeout = time.Second
	_, err := b.connect().Apply(t.Context(), spec, func(Event) {})
	for _, want := range []string{"health check does not pass after 1s", "I never listen"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	b := newBench(t)
	spec := b.app("web", "serve")
	spec.Command = []string{"/nonexistent/program"}
	_, err := b.connect().Apply(t.Context(), spec, func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

func TestAPortInUseNamesItsHolder(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // a test
	port := ln.Addr().(*net.TCPAddr).Port
	b := newBench(t)
	spec := b.app("web", "serve")
	spec.Listen.Port, spec.Listen.Fallback = port, true
	_, err = b.connect().Apply(t.Context(), spec, func(Event) {})
	if sdk.CodeOf(err) != sdk.CodeConflict || !strings.Contains(err.Error(), fmt.Sprintf("port %d is in use by ", port)) ||
		!strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("got %v", err)
	}
}

func TestAPortOfASiblingIsAvoided(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	one := b.apply(c, b.app("one", "serve", "one"))
	spec := b.app("two", "serve", "two")
	spec.Listen = &Listen{Port: one.Port, Fallback: true}
	warned := ""
	two, err := c.Apply(t.Context(), spec, func(e Event) { warned += e.Warning })
	if err != nil {
		t.Fatal(err)
	}
	if two.Port == one.Port || !strings.Contains(warned, strconv.Itoa(two.Port)) {
		t.Errorf("ports %d and %d, warning %q", one.Port, two.Port, warned)
	}
	if again := b.apply(c, spec); again.Port != two.Port {
		t.Errorf("the port moved from %d to %d", two.Port, again.Port)
	}
}

func TestACrashIsMended(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	st := b.apply(c, b.app("web", "serve", "one"))
	_, pid := get(t, st.Port, "/pid")
	for range 3 {
		get(t, st.Port, "/crash")
		eventually(t, "the service answers again", func() bool {
			_, now := get(t, st.Port, "/pid")
			ok := now != pid && len(now) < 10
			if ok {
				pid = now
			}
			return ok
		})
	}
	s, _, err := c.Status(t.Context(), "web")
	if err != nil || s.Instances[0].Restarts != 3 || s.Instances[0].LastExit != "exit status 7" {
		t.Errorf("status is %+v, %v", s, err)
	}
}

func TestACrashOfOneOfManyIsNotSeen(t *testing.T) {
	b := newBench(t)
	spec := b.app("web", "serve", "one")
	spec.Instances = 3
	st := b.apply(b.connect(), spec)
	if st.Serving() != 3 {
		t.Fatalf("%+v", st)
	}
	if err := syscall.Kill(st.Instances[1].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if code, body := get(t, st.Port, "/"); code != 200 {
			t.Fatalf("%d %s", code, body)
		}
	}
}

func TestASickInstanceGetsNoRequests(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	spec := b.app("web", "serve", "one")
	st := b.apply(c, spec)
	get(t, st.Port, "/sick")
	eventually(t, "the instance is taken out", func() bool {
		s, _, _ := c.Status(t.Context(), "web")
		code, _ := get(t, st.Port, "/")
		return s.Instances[0].State == Failing && code == http.StatusServiceUnavailable
	})
	if again := b.apply(c, spec); again.Serving() != 1 || again.Instances[0].PID == st.Instances[0].PID {
		t.Errorf("applying again does not mend it: %+v", again)
	}
}

func TestAFailedLivenessCheckRestarts(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	spec := b.app("web", "serve", "one")
	spec.Ready = Probe{TCP: true, Interval: 20 * time.Millisecond}
	spec.Live = &Probe{HTTP: "/healthz", Interval: 20 * time.Millisecond, Failures: 2}
	st := b.apply(c, spec)
	get(t, st.Port, "/sick")
	eventually(t, "it was started again", func() bool {
		s, _, _ := c.Status(t.Context(), "web")
		return s.Serving() == 1 && s.Instances[0].Restarts == 1 && strings.Contains(s.Instances[0].LastExit, "liveness")
	})
}

// load asks without a pause from several clients until stop; it counts
// failures and what was answered.
func load(t *testing.T, port int) (stop func() (failed, total int64, seen map[string]int)) {
	t.Helper()
	var failures, requests atomic.Int64
	var mu sync.Mutex
	var clients sync.WaitGroup
	seen := map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 8 {
		clients.Go(func() {
			path := []string{"/", "/slow"}[i%2]
			for ctx.Err() == nil {
				code, body := get(t, port, path)
				requests.Add(1)
				if code != 200 {
					failures.Add(1)
					t.Logf("%d %s", code, body)
				}
				mu.Lock()
				seen[body]++
				mu.Unlock()
			}
		})
	}
	return func() (int64, int64, map[string]int) {
		cancel()
		clients.Wait()
		return failures.Load(), requests.Load(), seen
	}
}

func TestARollingUpdateFailsNoRequest(t *testing.T) {
	for _, instances := range []int{1, 3} {
		t.Run(fmt.Sprint(instances), func(t *testing.T) {
			b := newBench(t)
			c := b.connect()
			spec := b.app("web", "serve", "v0")
			spec.Instances = instances
			st := b.apply(c, spec)
			stop := load(t, st.Port)
			fewest := watchServing(t, c, func() {
				for i := 1; i <= 3; i++ {
					spec.Command[len(spec.Command)-1] = fmt.Sprintf("v%d", i)
					b.apply(c, spec)
				}
			})
			failed, total, seen := stop()
			if failed > 0 || total < 100 || seen["v3"] == 0 || seen["v0"] == 0 {
				t.Errorf("%d of %d requests failed; answers %v", failed, total, seen)
			}
			if fewest < instances {
				t.Errorf("only %d of %d instances served at some moment", fewest, instances)
			}
			t.Logf("%d requests, %d failed", total, failed)
		})
	}
}

// watchServing returns the fewest instances that served while do ran.
func watchServing(t *testing.T, c *Client, do func()) int {
	t.Helper()
	done := make(chan struct{})
	result := make(chan int)
	go func() {
		fewest := 1 << 30
		for {
			s, ok, err := c.Status(t.Context(), "web")
			if err == nil && ok {
				fewest = min(fewest, s.Serving())
			}
			select {
			case <-done:
				result <- fewest
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	do()
	close(done)
	return <-result
}

func TestAFailedUpdateLeavesTheOldOneServing(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	st := b.apply(c, b.app("web", "serve", "old"))
	stop := load(t, st.Port)
	if _, err := c.Apply(t.Context(), b.app("web", "exit"), func(Event) {}); err == nil {
		t.Error("the update did not fail")
	}
	if failed, _, seen := stop(); failed > 0 || len(seen) != 1 {
		t.Errorf("%d requests failed; answers %v", failed, seen)
	}
}

func TestScalingRestartsNothing(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	spec := b.app("web", "serve", "one")
	first := b.apply(c, spec).Instances[0].PID
	spec.Instances = 3
	st := b.apply(c, spec)
	if st.Serving() != 3 || st.Instances[0].PID != first {
		t.Fatalf("%+v", st)
	}
	spec.Instances = 1
	if st = b.apply(c, spec); len(st.Instances) != 1 || st.Instances[0].PID != first {
		t.Errorf("%+v", st)
	}
}

func TestAnotherPortIsTakenWithoutARestart(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	spec := b.app("web", "serve", "one")
	before := b.apply(c, spec)
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	spec.Listen = &Listen{Port: port}
	after := b.apply(c, spec)
	if _, body := get(t, port, "/"); body != "one" || after.Instances[0].PID != before.Instances[0].PID {
		t.Errorf("answer %q, %+v", body, after)
	}
	if err := CheckPort(before.Port); err != nil {
		t.Error(err)
	}
}

func TestAServerInsideTheSupervisor(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	spec := Spec{Name: "echo", Server: "echo", Options: []byte(`"hello"`), Listen: &Listen{}, Ready: Probe{TCP: true}}
	st := b.apply(c, spec)
	if _, body := get(t, st.Port, "/"); body != `"hello"` {
		t.Fatalf("answered %q", body)
	}
	get(t, st.Port, "/die")
	eventually(t, "it is started again", func() bool {
		s, _, _ := c.Status(t.Context(), "echo")
		return s.Serving() == 1 && s.Instances[0].Restarts == 1
	})
	spec.Options = []byte(`"other"`)
	if again := b.apply(c, spec); again.Port != st.Port {
		t.Errorf("the port moved: %+v", again)
	}
	if _, body := get(t, st.Port, "/"); body != `"other"` {
		t.Errorf("answered %q", body)
	}
}
