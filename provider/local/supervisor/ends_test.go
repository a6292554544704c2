//go:build unix

package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAKilledSupervisorTakesItsChildrenAlong(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	spec := b.app("web", "sleepy", "one")
	st := b.apply(c, spec)
	awaitLine(t, b, "I never listen") // the grandchild is up
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the direct child ends", func() bool {
		return !(Identity{PID: st.Instances[0].PID, Boot: bootID(), Start: mustStart(st.Instances[0].PID)}).Alive()
	})
	if _, err := Dial(t.Context(), b.cfg.Dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Dial says %v", err)
	}
	if len(processesWith(b.cfg.Dir)) == 0 {
		t.Fatal("the grandchild should be left: the test proves nothing")
	}
	spec.Listen.Port = st.Port
	again := b.apply(b.connect(), spec)
	if again.Port != st.Port {
		t.Errorf("the port was not taken over: %+v", again)
	}
	eventually(t, "one supervisor with one service and its child is left", func() bool { return len(processesWith(b.cfg.Dir)) == 3 })
}

func awaitLine(t *testing.T, b *bench, text string) {
	t.Helper()
	eventually(t, "the log has "+text, func() bool {
		found := false
		_ = ReadLog(t.Context(), b.cfg.Dir, "web", LogQuery{}, func(l LogLine) error {
			found = found || l.Text == text
			return nil
		})
		return found
	})
}

func mustStart(pid int) string {
	s, _ := startTime(pid)
	return s
}

func TestReapWithoutASupervisor(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	b.apply(c, b.app("web", "sleepy", "one"))
	awaitLine(t, b, "I never listen")
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the supervisor is dead", func() bool { return !c.address.Alive() })
	if err := Reap(t.Context(), b.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if left := processesWith(b.cfg.Dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAStrangerWithAnOldNumberIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	me, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	other, reboot := me, me
	other.Start += "1"
	other.Group, other.Pipe = true, 42
	reboot.Boot = "another"
	if err := writeJSON(filepath.Join(dir, "processes.json"), []Identity{other, reboot}); err != nil {
		t.Fatal(err)
	}
	if err := Reap(t.Context(), dir); err != nil { // were it wrong, this process would be killed
		t.Fatal(err)
	}
}

func TestTheFolderIsRemovedUnderASupervisor(t *testing.T) {
	b := newBench(t)
	st := b.apply(b.connect(), b.app("web", "serve", "one"))
	if err := os.RemoveAll(b.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything ends", func() bool { return len(processesWith(b.cfg.Dir)) == 0 })
	if err := CheckPort(st.Port); err != nil {
		t.Error(err)
	}
}

func TestTheSocketIsTidiedAway(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	b.apply(c, b.app("web", "serve", "one"))
	if err := os.RemoveAll(b.cfg.RuntimeDir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the supervisor can be reached again", func() bool {
		again, err := Dial(t.Context(), b.cfg.Dir)
		if err != nil {
			return false
		}
		defer again.Close()
		return again.PID() == c.PID()
	})
}

func TestTerminatingASupervisorStopsItsServices(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	b.apply(c, b.app("web", "serve", "one"))
	if err := syscall.Kill(c.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything has ended", func() bool { return len(processesWith(b.cfg.Dir)) == 0 })
}

func TestASupervisorWithoutServicesEnds(t *testing.T) {
	b := newBench(t, "--idle", "50ms")
	c := b.connect()
	eventually(t, "it ends", func() bool { return !c.address.Alive() })
}

// A supervisor may end between being reached and being asked: it did nothing
// then, and the next one can.
func TestAskedAfterItsEnd(t *testing.T) {
	b := newBench(t)
	c, other := b.connect(), b.connect()
	b.apply(other, b.app("web", "serve", "one"))
	if err := other.Remove(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	_, applied := c.Apply(t.Context(), b.app("web", "serve", "two"), func(Event) {})
	_, listed := c.List(t.Context())
	for what, err := range map[string]error{"apply": applied, "list": listed, "remove": c.Remove(t.Context(), "web"), "job": c.Job(t.Context(), b.app("job", "serve", "one"), func(Event) {})} {
		if !errors.Is(err, ErrEnding) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnInterruptedApplyLeavesNothing(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Apply(ctx, b.app("web", "hang"), func(Event) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually(t, "everything has ended", func() bool { return len(processesWith(b.cfg.Dir)) == 0 })
}

func TestJobs(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	b.apply(c, b.app("web", "serve", "one"))
	var lines []string
	job := Spec{Name: "job", Command: b.app("", "exit").Command}
	err := c.Job(t.Context(), job, func(e Event) { lines = append(lines, e.Log) })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || len(lines) != 1 {
		t.Errorf("got %v, lines %q", err, lines)
	}
	job.Command = []string{"/bin/true"}
	if err := c.Job(t.Context(), job, func(Event) {}); err != nil {
		t.Error(err)
	}
}

func TestAStubbornProcessIsKilled(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	spec := b.app("web", "serve", "one")
	spec.StopSignal, spec.Grace = "SIGWINCH", 50*time.Millisecond // which it does not heed
	b.apply(c, spec)
	if err := c.Remove(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if left := processesWith(b.cfg.Dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestBadNamesAndSignals(t *testing.T) {
	b := newBench(t)
	c := b.connect()
	for _, name := range []string{"", "../up", "/abs", "a\nb"} {
		if _, err := c.Apply(t.Context(), Spec{Name: name}, func(Event) {}); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	spec := b.app("web", "serve")
	spec.StopSignal = "SIGNONSENSE"
	if _, err := b.connect().Apply(t.Context(), spec, func(Event) {}); err == nil || !strings.Contains(err.Error(), "SIGNONSENSE") {
		t.Errorf("got %v", err)
	}
}
