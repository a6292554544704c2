package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/wire"
	"github.com/gocodealone/wfctl/secret"
)

func TestOneProcessForOneConfiguration(t *testing.T) {
	h := newHost(t, Options{})
	a, b := h.Provider(self(t)), h.Provider(self(t))
	configure(t, a, "a")
	configure(t, b, "b")
	var pids []string
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			pid, _, who := read(t, a)
			if who != "a" {
				t.Errorf("a is configured as %q", who)
			}
			mu.Lock()
			defer mu.Unlock()
			pids = append(pids, pid)
		})
	}
	wg.Wait()
	slices.Sort(pids)
	if pids = slices.Compact(pids); len(pids) != 1 {
		t.Errorf("processes %v answered for one configuration", pids)
	}
	if pid, _, who := read(t, b); who != "b" || pid == pids[0] {
		t.Errorf("b is %q in process %s", who, pid)
	}
}

func TestFirstCallsShareAStart(t *testing.T) {
	h := newHost(t, Options{})
	p := h.Provider(self(t))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := p.Validate(t.Context(), &sdk.ValidateRequest{Type: "x"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(h.processes) != 1 {
		t.Errorf("%d processes were started", len(h.processes))
	}
}

func TestNothingRunsBeforeItIsNeeded(t *testing.T) {
	h := newHost(t, Options{})
	h.Provider(Plugin{Name: "never", Executable: "/nonexistent"})
	if len(h.processes) != 0 {
		t.Error("a process was started")
	}
}

func TestEnvironmentIsWhatThePluginDeclares(t *testing.T) {
	h := newHost(t, Options{Getenv: func(name string) (string, bool) {
		v, ok := map[string]string{"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "other", "HOME": "/home/me"}[name]
		return v, ok
	}})
	p := h.Provider(self(t))
	if _, err := p.Schema(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, env, _ := read(t, p)
	if strings.Contains(env, "s3cret") || !strings.Contains(env, "PATH=/bin") {
		t.Errorf("before Configure it has %s", env)
	}
	configure(t, p, "a")
	after, env, _ := read(t, p)
	if !strings.Contains(env, "FAKE_TOKEN=s3cret") || strings.Contains(env, "AWS") || before == after {
		t.Errorf("after Configure it has %s", env)
	}
}

func TestCapabilities(t *testing.T) {
	h := newHost(t, Options{})
	for range 2 { // the second knows from the first
		p := h.Provider(self(t))
		if _, err := p.Schema(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, ok := sdk.As[sdk.HealthChecker](p); !ok {
			t.Error("it has Health")
		}
		if _, ok := sdk.As[sdk.Lister](p); ok {
			t.Error("it has no List")
		}
	}
}

func code(err error) fault.Code {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}

func TestOnlyWhatWasLockedRuns(t *testing.T) {
	h := newHost(t, Options{})
	flipped := self(t)
	raw, err := os.ReadFile(flipped.Executable)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	flipped.Executable = filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(flipped.Executable, raw, 0o700); err != nil {
		t.Fatal(err)
	}
	unlocked := self(t)
	unlocked.SHA256 = ""
	absent := self(t)
	absent.Executable = filepath.Join(t.TempDir(), "absent")
	for name, c := range map[string]struct {
		plugin Plugin
		code   fault.Code
		want   string
	}{
		"one flipped byte": {flipped, fault.Integrity, "plugin fake v1.2.3 is not what was locked; it is not run"},
		"no hash":          {unlocked, fault.Integrity, "plugin fake v1.2.3: there is no hash to check"},
		"not installed":    {absent, fault.Environment, "plugin fake v1.2.3 is not installed"},
	} {
		_, err := h.Provider(c.plugin).Schema(t.Context())
		if code(err) != c.code || !strings.HasPrefix(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(h.processes) != 0 {
		t.Error("something ran")
	}
}

// Failure 7: what a plugin says is wrong is what the user reads.
func TestMissingTokenIsSaid(t *testing.T) {
	h := newHost(t, Options{})
	_, err := h.Provider(self(t)).Configure(t.Context(), &sdk.ConfigureRequest{Project: "no token"})
	var e *sdk.Error
	if !errors.As(err, &e) || e.Code != sdk.CodeUnauthorised || err.Error() != "missing token" || e.Hint != "set FAKE_TOKEN" {
		t.Errorf("answered: %v", err)
	}
	_, err = h.Provider(self(t)).Configure(t.Context(), &sdk.ConfigureRequest{Project: "exit"})
	var f *fault.Error
	if !errors.As(err, &f) || !slices.Contains(f.Detail, "missing token: set FAKE_TOKEN") || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("ended: %v %v", err, f)
	}
}

func TestPluginThatDiesMidCall(t *testing.T) {
	h := newHost(t, Options{})
	p := h.Provider(self(t))
	configure(t, p, "a")
	before, _, _ := read(t, p)
	_, err := p.Read(t.Context(), &sdk.ReadRequest{Type: "x", Name: "die"})
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.Provider || !errors.Is(err, wire.ErrPlugin) || sdk.CodeOf(err) != sdk.CodeInternal {
		t.Fatalf("%v", err)
	}
	if !strings.HasPrefix(err.Error(), "plugin fake v1.2.3: Read: the plugin ended meanwhile (exit status 9)") {
		t.Errorf("%v", err)
	}
	if n := len(f.Detail); n != tailLines || f.Detail[n-1] != "line 49" {
		t.Errorf("its last lines: %q", f.Detail)
	}
	after, env, who := read(t, p)
	if after == before || who != "a" || !strings.Contains(env, "FAKE_TOKEN") {
		t.Errorf("the next process is %s, configured as %q", after, who)
	}
}

// A call that ends the plugin takes no other call with it.
func TestOneCallThatKills(t *testing.T) {
	h := newHost(t, Options{})
	p := h.Provider(self(t))
	configure(t, p, "a")
	killer, innocent := newIDs(), newIDs()
	died, lived := make(chan error, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		_, err := p.Create(ctx, create("wait"), innocent)
		lived <- err
	}()
	<-innocent.got
	go func() {
		_, err := p.Create(t.Context(), create("panic"), killer)
		died <- err
	}()
	var f *fault.Error
	if err := <-died; !errors.As(err, &f) || !errors.Is(err, wire.ErrPlugin) || !slices.Contains(f.Detail, "panic: deep inside") {
		t.Errorf("the call that kills: %v", err)
	}
	select {
	case <-innocent.got: // it has been made again
	case err := <-lived:
		t.Fatalf("the other call ended with it: %v", err)
	}
	stop()
	if err := <-lived; sdk.CodeOf(err) != sdk.CodeCancelled || errors.Is(err, wire.ErrPlugin) {
		t.Errorf("the other call: %v", err)
	}
	if _, _, who := read(t, p); who != "a" {
		t.Errorf("the next process is configured as %q", who)
	}
}

func TestPluginThatKeepsDying(t *testing.T) {
	h := newHost(t, Options{})
	p := h.Provider(self(t))
	for range maxCrashes {
		if _, err := p.Create(t.Context(), create("panic"), nil); !errors.Is(err, wire.ErrPlugin) {
			t.Fatalf("%v", err)
		}
	}
	_, err := p.Create(t.Context(), create("panic"), nil)
	if err == nil || !strings.Contains(err.Error(), "ended 3 times without an answer; it is not started again") {
		t.Errorf("%v", err)
	}
	if len(h.processes) != maxCrashes {
		t.Errorf("%d processes were started", len(h.processes))
	}
}

func TestCrashIsExplained(t *testing.T) {
	var mu sync.Mutex
	var logged []string
	h := newHost(t, Options{Log: func(plugin, line string) {
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, plugin+": "+line)
	}})
	got := newIDs()
	_, err := h.Provider(self(t)).Create(t.Context(), create("panic"), got)
	var f *fault.Error
	if !errors.As(err, &f) || !slices.Contains(f.Detail, "panic: deep inside") || <-got.got != "id-panic" {
		t.Errorf("%v %q", err, f.Detail)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(logged, "fake: panic: deep inside") {
		t.Errorf("the log has %q", logged)
	}
}

// A call that does not stop costs its process, and no other call.
func TestStuckCall(t *testing.T) {
	h := newHost(t, Options{Grace: 50 * time.Millisecond})
	p := h.Provider(self(t))
	configure(t, p, "a")
	before, _, _ := read(t, p)
	other, stop := context.WithCancel(t.Context())
	waiting, done := newIDs(), make(chan error, 1)
	go func() {
		_, err := p.Create(other, create("wait"), waiting)
		done <- err
	}()
	<-waiting.got
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := p.Create(ctx, create("hang"), nil)
	if !errors.Is(err, wire.ErrPlugin) || sdk.CodeOf(err) != sdk.CodeDeadline || !strings.Contains(err.Error(), "did not stop within 50ms") {
		t.Errorf("%v", err)
	}
	if after, _, who := read(t, p); after == before || who != "a" {
		t.Errorf("the next call went to process %s as %q", after, who)
	}
	stop()
	if err := <-done; sdk.CodeOf(err) != sdk.CodeCancelled || errors.Is(err, wire.ErrPlugin) {
		t.Errorf("the other call: %v", err)
	}
}

func TestCallThatHangs(t *testing.T) {
	h := newHost(t, Options{CallTimeout: 2 * time.Second, Grace: 50 * time.Millisecond})
	p := h.Provider(self(t))
	if _, err := p.Schema(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := p.Read(t.Context(), &sdk.ReadRequest{Type: "x", Name: "hang"})
	if !errors.Is(err, wire.ErrPlugin) || !strings.Contains(err.Error(), "Read: no answer within 2s") {
		t.Errorf("%v", err)
	}
}

func TestBugOfAProviderShowsItsLines(t *testing.T) {
	h := newHost(t, Options{})
	_, err := h.Provider(self(t)).Read(t.Context(), &sdk.ReadRequest{Type: "x", Name: "bug"})
	if code(err) != fault.Provider || err.Error() != "plugin fake v1.2.3: index out of range" || errors.Is(err, wire.ErrPlugin) {
		t.Errorf("%v", err)
	}
}

func TestAfterClose(t *testing.T) {
	h := New(Options{})
	p, late := h.Provider(self(t)), h.Provider(self(t))
	configure(t, p, "a")
	if err := errors.Join(h.Close(t.Context()), h.Close(t.Context()), p.(sdk.Closer).Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, p := range []sdk.Provider{p, late} {
		if _, err := p.Diff(t.Context(), &sdk.DiffRequest{Type: "x"}); code(err) != fault.Interrupted {
			t.Errorf("%v", err)
		}
	}
}

func TestCancelledWhileAnotherStarts(t *testing.T) {
	h := newHost(t, Options{})
	p := h.Provider(self(t)).(*provider)
	p.lock <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Diff(ctx, &sdk.DiffRequest{Type: "x"}); sdk.CodeOf(err) != sdk.CodeCancelled {
		t.Errorf("%v", err)
	}
	<-p.lock
}

// A secret longer than a line is kept, and one over two lines, are masked all
// the same.
func TestTailMasks(t *testing.T) {
	long := strings.Repeat("long-secret-", tailWidth)
	secrets := secret.NewRedactor()
	secrets.Add(secret.FromString(long))
	secrets.Add(secret.FromString("first-line\nend"))
	var logged []string
	tail := newTail(secrets, func(line string) { logged = append(logged, line) })
	for _, s := range []string{"token: " + long[:100], long[100:] + "\nfirst-", "line\nend\npanic: " + long + "\n"} {
		if _, err := tail.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"token: " + secret.Mask, secret.Mask, "panic: " + secret.Mask}
	if got := tail.last(); !slices.Equal(got, want) || !slices.Equal(logged, want) {
		t.Errorf("%q, %q", got, logged)
	}
}

func TestTail(t *testing.T) {
	tail := newTail(nil, nil)
	for _, s := range []string{"a\nb", "c\r\n\n", strings.Repeat("x", 2*tailWidth), "y\n", "part"} {
		if _, err := tail.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if got := tail.last(); !slices.Equal(got, []string{"a", "bc", strings.Repeat("x", tailWidth), "part"}) {
		t.Errorf("%q", got)
	}
	_, _ = tail.Write([]byte("\npanic: why\n" + strings.Repeat("frame\n", 40)))
	if got := tail.last(); len(got) != tailLines+2 || got[0] != "panic: why" {
		t.Errorf("%q", got)
	}
}
