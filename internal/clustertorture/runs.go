package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/event"
)

// all has all runs made, in the middle of it all.
func (w *world) all(ctx context.Context) error {
	for n := range w.options.workers {
		if err := w.startWorker(n); err != nil {
			return err
		}
	}
	killing, stop := context.WithCancel(ctx)
	defer stop()
	killer := make(chan error, 1)
	go func() { killer <- w.killWorkers(killing) }()
	var envs sync.WaitGroup
	errs := make(chan error, w.environments)
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	for n := range w.environments {
		e := &environment{world: w, name: fmt.Sprintf("e%d", n), dir: filepath.Join(w.Dir, fmt.Sprintf("e%d", n)), versions: map[int]int{}}
		envs.Go(func() {
			runs := w.runs / w.environments
			if n < w.runs%w.environments {
				runs++
			}
			if err := e.all(working, runs); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	envs.Wait()
	stop()
	if err := <-killer; err != nil {
		return err
	}
	close(errs)
	return <-errs
}

// restart restarts the server when a third and two thirds of the runs are over.
func (w *world) restart() error {
	done := int(w.ended.Add(1))
	if done != w.runs/3 && done != w.runs*2/3 {
		return nil
	}
	w.restarts.Add(1)
	return w.Restart()
}

// environment is one that gets one run after the other.
type environment struct {
	*world
	name, dir string
	// versions are the things that are desired now, by number.
	versions map[int]int
	onCloud  onCloud
}

func (e *environment) all(ctx context.Context, runs int) error {
	if err := os.MkdirAll(filepath.Join(e.dir, "things"), 0o700); err != nil {
		return err
	}
	// Provider local is of one machine: who plans sees what the workers made.
	shared := filepath.Join(e.Work, "projects", "torture")
	if err := os.MkdirAll(shared, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(shared, filepath.Join(e.dir, ".wfctl")); err != nil {
		return err
	}
	if err := e.addPlugin(ctx); err != nil {
		return err
	}
	for n := range runs {
		began := time.Now()
		if err := e.run(ctx, n); err != nil {
			return fmt.Errorf("environment %s, run %d: %w", e.name, n, err)
		}
		if err := e.restart(); err != nil {
			return err
		}
		if done := e.ended.Load(); done%20 == 0 {
			fmt.Printf("clustertorture: %d runs, %d kills; the last took %s\n", done, e.killed.Load(), time.Since(began).Round(time.Millisecond))
		}
	}
	return nil
}

// change makes things come, go and change.
func (e *environment) change() {
	for i := range e.modules {
		switch roll := e.intN(100); {
		case e.versions[i] == 0 && roll < 70:
			e.versions[i] = 1
		case e.versions[i] > 0 && roll < 15:
			delete(e.versions, i)
		case e.versions[i] > 0 && roll < 60:
			e.versions[i]++
		}
	}
}

// write writes the application file.
func (e *environment) write() error {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nproject: torture\nenvironments: {%s: {}}\nmodules:\n", e.name)
	fmt.Fprintf(&b, "  - {name: records, type: iac.state, config: {backend: postgres, url: %q, schema: states}}\n", e.Events)
	b.WriteString("  - {name: machine, type: iac.provider, config: {provider: local}}\n  - {name: folder, type: infra.storage, config: {provider: machine}}\n")
	for _, i := range slices.Sorted(maps.Keys(e.versions)) {
		fmt.Fprintf(&b, "  - name: m%03d\n", i)
		if i%3 == 2 && e.versions[i-1] > 0 {
			fmt.Fprintf(&b, "    depends_on: [m%03d]\n", i-1)
		}
		b.WriteString("    type: core.command\n    config:\n")
		for _, verb := range []string{"create", "read", "update", "delete"} {
			argv := []string{e.self, "thing", verb, e.dir, fmt.Sprintf("m%03d", i)}
			if verb == "create" || verb == "update" {
				argv = append(argv, fmt.Sprint(e.versions[i]), "150")
			}
			fmt.Fprintf(&b, "      %s: [\"%s\"]\n", verb, strings.Join(argv, `", "`))
		}
	}
	b.WriteString(e.cloudModules())
	b.WriteString(`pipelines:
  release:
    steps:
      - {name: before, type: jq, with: {query: ".", input: {n: 1}}}
      - {name: apply, type: infra_apply, needs: before, with: {approve: true}}
      - {name: read, type: infra_outputs, needs: apply}
      - {name: side, type: jq, with: {query: ".n + 1", input: "${{ steps.before.outputs.result }}"}}
      - {name: after, type: jq, needs: [read, side], with: {query: ".", input: {n: 2}}}
    always:
      - {type: publish, with: {topic: release, data: {status: "${{ run.status }}"}}}
`)
	return os.WriteFile(filepath.Join(e.dir, "app.yaml"), []byte(b.String()), 0o600)
}

// run changes the configuration, starts a run and waits for its end.
func (e *environment) run(ctx context.Context, n int) error {
	e.change()
	e.changeCloud()
	if err := e.write(); err != nil {
		return err
	}
	args := []string{"up", "--approve"}
	if n%2 == 1 {
		args = []string{"pipeline", "run", "release"}
	}
	id, err := e.startRun(ctx, args)
	if err != nil {
		return err
	}
	if id == "" { // up had nothing to do
		return e.verify()
	}
	if err := e.await(ctx, id); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return e.verify()
}

// startRun starts a run. While the server restarts, that may take some tries.
func (e *environment) startRun(ctx context.Context, args []string) (string, error) {
	args = append(append([]string{"-C", e.dir, "--env", e.name, "--no-color"}, args...), "--engine", "temporal", "--detach",
		"--heartbeat", e.heartbeat.String(), "--tree", e.Tree(e.name))
	for try := 1; ; try++ {
		var told strings.Builder
		cmd := e.Command(ctx, args...)
		cmd.Stderr = &told
		out, err := cmd.Output()
		switch {
		case err == nil && strings.Contains(told.String(), "No changes"):
			return "", nil
		case err == nil:
			return strings.TrimSpace(string(out)), nil
		case try == 10 || !strings.Contains(told.String(), "reach Temporal"):
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, told.String())
		}
		time.Sleep(time.Second)
	}
}

// runLimit is how long a run may take with all that is done to it.
const runLimit = 4 * time.Minute

// await waits for the end of a run, and looks whether its timeline is whole.
func (e *environment) await(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	last := uint64(0)
	for rec, err := range e.Store.Follow(ctx, id, 0, false) {
		if err != nil {
			return err
		}
		if rec.Seq != last+1 {
			return fmt.Errorf("run %s: event %d came after %d", id, rec.Seq, last)
		}
		last = rec.Seq
	}
	tl, err := e.Store.Timeline(context.WithoutCancel(ctx), id)
	if err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	if tl.Run.Status != event.Succeeded {
		return fmt.Errorf("run %s is %s: %s\n%s", id, tl.Run.Status, tl.Run.Error, shown(tl))
	}
	for _, s := range tl.Steps {
		never := s.Status == event.NotStarted
		if s.Status != event.Succeeded && !never || s.Started.IsZero() && !never || s.Ended.Before(s.Started) {
			return fmt.Errorf("run %s: the timeline is not whole: %s is %s\n%s", id, s.Address, s.Status, shown(tl))
		}
		if s.Attempts > 1 || strings.Contains(s.Reason, "was lost") {
			e.taken.Add(1)
		}
	}
	return nil
}

func shown(tl *event.Timeline) string {
	var b strings.Builder
	for _, s := range tl.Steps {
		fmt.Fprintf(&b, "  %s %s %s x%d %s %s\n", s.Parent, s.Address, s.Status, s.Attempts, s.Error, s.Reason)
	}
	return b.String()
}

// verify compares what is there with what is desired.
func (e *environment) verify() error {
	if raw, err := os.ReadFile(filepath.Join(e.dir, "double")); err == nil {
		return fmt.Errorf("made twice: %s", raw)
	}
	list, err := os.ReadDir(filepath.Join(e.dir, "things"))
	if err != nil {
		return err
	}
	there := map[string]string{}
	for _, t := range list {
		raw, err := os.ReadFile(filepath.Join(e.dir, "things", t.Name()))
		if err != nil {
			return err
		}
		there[t.Name()] = string(raw)
	}
	want := map[string]string{}
	for i, v := range e.versions {
		if v > 0 {
			want[fmt.Sprintf("m%03d", i)] = fmt.Sprint(v)
		}
	}
	if !maps.Equal(there, want) {
		return fmt.Errorf("there is %v, desired is %v", there, want)
	}
	return e.verifyCloud()
}
