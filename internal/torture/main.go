// Command torture kills wfctl with SIGKILL at random instants, lets it go on
// until it has converged, and proves each time that no resource was lost, none
// was made twice and the state could be read.
//
// Every resource is a real thing outside the state: a file that is made with
// O_EXCL by a command, so that making it twice is noticed by the thing itself,
// or a folder of provider local. Between rounds the configuration changes:
// modules come, go and change.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/internal/backends"
	"github.com/gocodealone/wfctl/internal/faultproxy"
	"github.com/gocodealone/wfctl/internal/things"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "thing" {
		os.Exit(things.Run(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.wfctl, "wfctl", "bin/wfctl", "the binary to torture")
	flag.IntVar(&o.rounds, "rounds", 100, "how many configurations to converge on")
	flag.IntVar(&o.modules, "modules", 200, "how many modules there are at most")
	flag.BoolVar(&o.folders, "local", true, "use provider local for some of the modules")
	flag.IntVar(&o.kills, "kills", 3, "how often to kill in a round")
	flag.StringVar(&o.backend, "backend", "sqlite", "where the state is kept: one of "+strings.Join(backends.Names(), ", "))
	flag.IntVar(&o.faults, "faults", 0, "let one in so many requests to the backend's server go wrong; 0 for none")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the random choices")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

type options struct {
	wfctl         string
	rounds, kills int
	modules       int
	seed          uint64
	folders       bool
	backend       string
	faults        int
}

// world is the project under torture.
type world struct {
	options
	dir, self string
	place     *backends.Place
	rng       *rand.Rand
	// versions are the modules that are desired now, by number.
	versions map[int]int
	killed   int
	again    int
	// window is how long an undisturbed run takes; kills fall within it.
	window time.Duration
}

func run(ctx context.Context, o options) error {
	var err error
	if o.wfctl, err = filepath.Abs(o.wfctl); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "wfctl-torture-*")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w := &world{options: o, dir: dir, self: self, rng: rand.New(rand.NewPCG(o.seed, 1)), versions: map[int]int{}, window: 2 * time.Second}
	if err := w.open(ctx); err != nil {
		return err
	}
	defer w.place.Close() //nolint:errcheck // what is left over is in the test's own place
	fmt.Printf("torture: %d rounds, up to %d modules, on %s, seed %d, in %s\n", o.rounds, o.modules, o.backend, o.seed, dir)
	for _, sub := range []string{"things", "keys"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	for round := 1; round <= o.rounds; round++ {
		if err := w.round(ctx, round); err != nil {
			return fmt.Errorf("round %d (seed %d, folder %s kept): %w", round, o.seed, dir, err)
		}
	}
	w.versions = map[int]int{}
	if err := w.converge(ctx, "infra", "destroy", "--approve"); err != nil {
		return err
	}
	if err := w.verify(ctx); err != nil {
		return fmt.Errorf("after destroy: %w", err)
	}
	fmt.Printf("torture: %s: %d rounds, %d kills, %d commands that failed and were run again: nothing lost, nothing made twice, state readable every time\n",
		o.backend, o.rounds, w.killed, w.again)
	if w.place.Proxy != nil {
		fmt.Printf("torture: the way to the server: %s\n", w.place.Proxy)
	}
	return os.RemoveAll(dir)
}

// open makes the place of the state.
func (w *world) open(ctx context.Context) (err error) {
	var faults *faultproxy.Options
	if w.faults > 0 {
		faults = &faultproxy.Options{Seed: w.seed, OneIn: w.faults, Jitter: 3 * time.Millisecond}
	}
	w.place, err = backends.Open(ctx, w.backend, w.dir, os.Getenv, faults)
	return err
}

// round changes the configuration, disturbs some applies and lets one finish.
func (w *world) round(ctx context.Context, number int) error {
	w.change()
	if err := w.write(); err != nil {
		return err
	}
	for range w.kills {
		if err := w.disturb(ctx); err != nil {
			return err
		}
		if _, err := w.persist(ctx, "infra", "state", "list"); err != nil {
			return fmt.Errorf("the state cannot be read after a kill: %w", err)
		}
	}
	if err := w.converge(ctx, "infra", "apply", "--approve"); err != nil {
		return err
	}
	if err := w.verify(ctx); err != nil {
		return err
	}
	if number%10 == 0 {
		fmt.Printf("torture: round %d, %d kills so far, %d resources\n", number, w.killed, len(w.versions))
	}
	return nil
}

// change makes modules come, go and change.
func (w *world) change() {
	for i := range w.modules {
		switch {
		case w.versions[i] == 0 && w.rng.IntN(100) < 60:
			w.versions[i] = 1
		case w.versions[i] > 0 && w.rng.IntN(100) < 15:
			delete(w.versions, i)
		case w.versions[i] > 0 && w.rng.IntN(100) < 25:
			w.versions[i]++
		}
	}
}

// isFolder tells which modules are of provider local.
func (w *world) isFolder(i int) bool { return w.folders && i%10 == 9 }

// write writes the application file. Every third module depends on the one
// before it, where that is there.
func (w *world) write() error {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nproject: torture\nenvironments: {local: {}}\nmodules:\n  - {name: records, type: iac.state, config: %s}\n", w.place.Module())
	if w.folders {
		b.WriteString("  - {name: machine, type: iac.provider, config: {provider: local}}\n")
	}
	for _, i := range w.numbers() {
		fmt.Fprintf(&b, "  - name: m%03d\n", i)
		if prev := i - 1; i%3 == 2 && w.versions[prev] > 0 {
			fmt.Fprintf(&b, "    depends_on: [m%03d]\n", prev)
		}
		if w.isFolder(i) {
			b.WriteString("    type: infra.storage\n    config: {provider: machine}\n")
			continue
		}
		version := w.versions[i]
		fmt.Fprintf(&b, "    type: core.command\n    config:\n")
		for _, verb := range []string{"create", "read", "update", "delete"} {
			argv := []string{filepath.ToSlash(w.self), "thing", verb, filepath.ToSlash(w.dir), fmt.Sprintf("m%03d", i)}
			if verb == "create" || verb == "update" {
				argv = append(argv, fmt.Sprint(version))
			}
			fmt.Fprintf(&b, "      %s: [\"%s\"]\n", verb, strings.Join(argv, `", "`))
		}
	}
	return os.WriteFile(filepath.Join(w.dir, "app.yaml"), []byte(b.String()), 0o600)
}

func (w *world) numbers() []int {
	list := make([]int, 0, len(w.versions))
	for i, v := range w.versions {
		if v > 0 {
			list = append(list, i)
		}
	}
	slices.Sort(list)
	return list
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.wfctl, append([]string{"-C", w.dir, "--env", "local", "--no-color"}, args...)...)
	cmd.Env = append(append(os.Environ(), "WFCTL_STATE_KEY_DIR="+filepath.Join(w.dir, "keys")), w.place.Env...)
	return cmd
}

func (w *world) wfctlRun(ctx context.Context, args ...string) (string, error) {
	out, err := w.command(ctx, args...).CombinedOutput()
	return string(out), err
}

// disturb starts an apply and kills it somewhere in the middle.
func (w *world) disturb(ctx context.Context) error {
	cmd := w.command(ctx, "infra", "apply", "--approve")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	timer := time.NewTimer(time.Duration(w.rng.Int64N(int64(w.window))))
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil && w.faults == 0 {
			return fmt.Errorf("an apply that was not killed failed: %w\n%s", err, out.String())
		}
	case <-timer.C:
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-done //nolint:errcheck // it was killed
		w.killed++
	}
	return nil
}

// persist runs a command. Where the backend is sound, it needs no second try;
// where requests go wrong, a command may fail, and the next one goes on.
func (w *world) persist(ctx context.Context, args ...string) (string, error) {
	for n := 1; ; n++ {
		out, err := w.wfctlRun(ctx, args...)
		if err == nil {
			return out, nil
		}
		if w.faults == 0 || n == 20 || strings.Contains(out, "damaged") || strings.Contains(out, "is gone") || strings.Contains(out, "older copy") {
			return out, fmt.Errorf("wfctl %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		w.again++
	}
}

// converge runs a command to its end.
func (w *world) converge(ctx context.Context, args ...string) error {
	started := time.Now()
	if _, err := w.persist(ctx, args...); err != nil {
		return err
	}
	w.window = max(20*time.Millisecond, time.Since(started))
	return nil
}

// verify compares what is there with what is desired, and with the state.
func (w *world) verify(ctx context.Context) error {
	if raw, err := os.ReadFile(filepath.Join(w.dir, "double")); err == nil {
		return fmt.Errorf("made twice: %s", raw)
	}
	things, err := os.ReadDir(filepath.Join(w.dir, "things"))
	if err != nil {
		return err
	}
	there := map[string]string{}
	for _, t := range things {
		raw, err := os.ReadFile(filepath.Join(w.dir, "things", t.Name()))
		if err != nil {
			return err
		}
		there[t.Name()] = string(raw)
	}
	listed, err := w.persist(ctx, "infra", "state", "list")
	if err != nil {
		return err
	}
	for _, i := range w.numbers() {
		name := fmt.Sprintf("m%03d", i)
		if !strings.Contains(listed, name+" ") {
			return fmt.Errorf("%s is lost from the state", name)
		}
		if w.isFolder(i) {
			continue
		}
		if there[name] != fmt.Sprint(w.versions[i]) {
			return fmt.Errorf("%s is at version %q, desired is %d", name, there[name], w.versions[i])
		}
		delete(there, name)
	}
	if len(there) > 0 {
		return fmt.Errorf("left over: %v", there)
	}
	if lines := strings.Count(strings.TrimSpace(listed), "\n"); lines != len(w.numbers()) {
		return fmt.Errorf("the state lists %d resources, desired are %d\n%s", lines, len(w.numbers()), listed)
	}
	return nil
}
