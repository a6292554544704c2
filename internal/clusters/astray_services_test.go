//go:build services

package clusters_test

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/gocodealone/wfctl/event"
)

// fails runs a command that must end with a status, and returns what it said.
func (p *project) fails(status int, args ...string) string {
	p.Helper()
	cmd := p.Command(p.Context(), p.args(args...)...)
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &told
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		p.Fatalf("wfctl %s: %v, want status %d\n%s", strings.Join(args, " "), err, status, told.String())
	}
	return told.String()
}

func waits(e event.Event) bool { _, ok := e.(event.ApprovalRequested); return ok }

// Who starts a run that no worker takes is told. It is on record all the same,
// can be ended without a worker, and goes on when there is one.
func TestNobodyWorks(t *testing.T) {
	p := newProject(t, slow)
	out, told := p.ok("pipeline", "run", "slow", "--engine", "temporal", "--tree", p.Tree("shop"), "--detach")
	run := strings.TrimSpace(out)
	if !strings.Contains(told, "No worker takes runs from the queue") {
		t.Errorf("it said %s", told)
	}
	if tl := p.timeline(run); tl.Run.Status != event.Running || tl.Run.Engine != "temporal" || tl.Step("", "one").Status != event.Pending {
		t.Errorf("%+v", tl)
	}
	if out, _ := p.ok("runs", "list"); !strings.Contains(out, run) {
		t.Errorf("the list is %s", out)
	}
	p.ok("runs", "stop", run, "--terminate")
	if tl := p.timeline(run); tl.Run.Status != event.Interrupted || !strings.Contains(tl.Run.Error, "terminated it") {
		t.Errorf("%+v", tl)
	}
	p.fails(1, "runs", "show", run, "--follow") // it ends
	for _, args := range [][]string{{"runs", "stop", run}, {"runs", "stop", run, "--now"}, {"runs", "stop", run, "--terminate"}} {
		if said := p.fails(2, args...); !strings.Contains(said, "is over") {
			t.Errorf("%v: %s", args, said)
		}
	}
	p.worker(0)
	_, told = p.ok("pipeline", "run", "slow", "--engine", "temporal", "--tree", p.Tree("shop"), "--resume", run)
	if strings.Contains(told, "No worker") {
		t.Errorf("it said %s", told)
	}
	if tl := p.timeline(run); tl.Run.Status != event.Succeeded {
		t.Errorf("%+v", tl)
	}
}

// A run that is told to leave at a question was interrupted, and did not fail.
// Nobody can answer the question then; the run goes on, and asks again.
func TestLeftAtAQuestion(t *testing.T) {
	p := newProject(t, gated)
	p.worker(0)
	run := p.start("pipeline", "run", "release")
	p.until(run, waits)
	p.ok("runs", "stop", run, "--now")
	p.until(run, over)
	if tl := p.timeline(run); tl.Run.Status != event.Interrupted {
		t.Errorf("%+v", tl.Run)
	}
	if said := p.fails(2, "runs", "approve", run); !strings.Contains(said, "is not under way") {
		t.Error(said)
	}
	again := p.start("pipeline", "run", "release", "--resume", run)
	if again != run {
		t.Errorf("it goes on as %s", again)
	}
	asked := 0
	p.until(run, func(e event.Event) bool {
		if waits(e) {
			asked++
		}
		return asked == 2
	})
	p.ok("runs", "approve", run)
	p.until(run, func(e event.Event) bool { o, ok := e.(event.RunFinished); return ok && !o.Interrupted })
}

// without takes the tree of a run away from the registry, and returns what
// brings it back.
func (p *project) without() (back func()) {
	p.Helper()
	must := func(err error) {
		p.Helper()
		if err != nil {
			p.Fatal(err)
		}
	}
	tag, kept := p.Tree("shop")+":"+p.tags("shop")[0], p.Tree("kept")+":it"
	digest, err := crane.Digest(tag, crane.Insecure)
	must(err)
	must(crane.Copy(tag, kept, crane.Insecure))
	must(crane.Delete(tag, crane.Insecure))
	must(crane.Delete(p.Tree("shop")+"@"+digest, crane.Insecure))
	return func() { p.Helper(); must(crane.Copy(kept, tag, crane.Insecure)) }
}

func lacksTree(e event.Event) bool {
	n, ok := e.(event.Notice)
	return ok && strings.Contains(n.Message, "cannot begin") && strings.Contains(n.Message, "fetch the working tree")
}

// What a worker lacks is told to who follows the run, and no step fails of it.
func TestWorkerWithoutTheTree(t *testing.T) {
	p := newProject(t, slow)
	run := p.start("pipeline", "run", "slow")
	back := p.without()
	p.worker(0)
	p.until(run, lacksTree)
	back()
	p.until(run, over)
	if tl := p.timeline(run); tl.Run.Status != event.Succeeded || tl.Step("", "one").Attempts != 1 {
		t.Errorf("%+v", tl)
	}
}

// A run that no worker can begin can be told to leave all the same.
func TestLeaveWithoutTheTree(t *testing.T) {
	p := newProject(t, slow)
	run := p.start("pipeline", "run", "slow")
	p.without()
	p.worker(0)
	p.until(run, lacksTree)
	if out, _ := p.ok("runs", "show", run); !strings.Contains(out, "cannot begin") {
		t.Errorf("it shows %s", out)
	}
	p.ok("runs", "stop", run, "--now")
	p.until(run, over)
	if tl := p.timeline(run); tl.Run.Status != event.Interrupted {
		t.Errorf("%+v", tl.Run)
	}
}

// A plan that was agreed to is refused when the state has moved on before any
// worker could begin with it, however often they tried.
func TestAgreedPlanIsOld(t *testing.T) {
	p := newProject(t, "modules:\n  - {name: data, type: core.data, config: {values: {a: b}}}\n")
	run := p.start("up", "--approve")
	back := p.without()
	p.worker(0)
	p.until(run, lacksTree)
	p.ok("up", "--approve")
	back()
	p.until(run, over)
	if tl := p.timeline(run); tl.Run.Status != event.Broken || !strings.Contains(tl.Run.Error, "moved since the plan was agreed to") {
		t.Errorf("%+v", tl.Run)
	}
}

// An error is where its owner has the file, not where a worker has it.
func TestPositionsAreTheOwners(t *testing.T) {
	p := newProject(t, `modules:
  - {name: data, type: core.data, config: {values: {a: b}}}
pipelines:
  wrong:
    steps:
      - {name: one, type: jq, with: {query: ".", input: 1}}
      - {name: two, type: jq, needs: one, with: {query: ".", input: "${{ steps.one.outputs.nothing }}"}}
`)
	p.worker(0)
	said := p.fails(1, "pipeline", "run", "wrong", "--engine", "temporal", "--tree", p.Tree("shop"))
	if !strings.Contains(said, " app.yaml:") || strings.Contains(said, "trees/") {
		t.Error(said)
	}
}
