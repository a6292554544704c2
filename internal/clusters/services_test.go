//go:build services

package clusters_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/internal/clusters"
	"github.com/gocodealone/wfctl/internal/leakhunt"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "wfctl-clusters-*")
	if err == nil {
		binary = filepath.Join(dir, "wfctl-temporal")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, "github.com/gocodealone/wfctl/cmd/wfctl-temporal").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// project is a folder with an application on a cluster.
type project struct {
	*testing.T
	*clusters.Cluster
	dir string
}

func newProject(t *testing.T, app string) *project {
	t.Helper()
	c, err := clusters.Open(t.Context(), t.TempDir(), binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := &project{t, c, t.TempDir()}
	p.write(app)
	return p
}

func (p *project) write(app string) {
	p.Helper()
	const head = "version: 1\nproject: shop\nenvironments: {prod: {}}\n"
	records := fmt.Sprintf("  - {name: records, type: iac.state, config: {backend: postgres, url: %q, schema: states}}\n", p.Events)
	app = strings.Replace(app, "modules:\n", "modules:\n"+records, 1)
	if err := os.WriteFile(filepath.Join(p.dir, "app.yaml"), []byte(head+app), 0o600); err != nil {
		p.Fatal(err)
	}
}

func (p *project) worker(n int, args ...string) {
	p.Helper()
	if err := p.StartWorker(n, args...); err != nil {
		p.Fatal(err)
	}
}

func (p *project) args(args ...string) []string {
	return append([]string{"-C", p.dir, "--env", "prod", "--no-color"}, args...)
}

// ok runs a command that must succeed and returns what it printed.
func (p *project) ok(args ...string) (stdout, stderr string) {
	p.Helper()
	cmd := p.Command(p.Context(), p.args(args...)...)
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		p.Fatalf("wfctl %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), told.String())
	}
	return out.String(), told.String()
}

// start starts a run that nobody follows.
func (p *project) start(args ...string) string {
	p.Helper()
	out, _ := p.ok(append(args, "--engine", "temporal", "--tree", p.Tree("shop"), "--detach", "--heartbeat", "3s")...)
	return strings.TrimSpace(out)
}

// tags are those of a repository of working trees.
func (p *project) tags(name string) []string {
	p.Helper()
	list, err := crane.ListTags(p.Tree(name), crane.Insecure)
	if err != nil {
		p.Fatal(err)
	}
	return list
}

// until follows a run until an event that ends the wait.
func (p *project) until(run string, ends func(event.Event) bool) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 2*time.Minute)
	defer cancel()
	for rec, err := range p.Store.Follow(ctx, run, 0, true) {
		if err != nil {
			p.Fatal(err)
		}
		if ends(rec.Event) {
			return
		}
	}
	log, _ := os.ReadFile(p.Log(0))
	tl, _ := p.Store.Timeline(context.Background(), run)
	p.Fatalf("the run %s does not get there: %+v\n%s", run, tl, log)
}

func over(e event.Event) bool { _, ok := e.(event.RunFinished); return ok }

func (p *project) timeline(run string) *event.Timeline {
	p.Helper()
	tl, err := p.Store.Timeline(p.Context(), run)
	if err != nil {
		p.Fatal(err)
	}
	return tl
}

const gated = `modules:
  - {name: data, type: core.data, config: {values: {greeting: hello}}}
pipelines:
  release:
    steps:
      - {name: apply, type: infra_apply}
      - {name: gate, type: approval, needs: apply}
      - {name: after, type: jq, needs: gate, with: {query: ".", input: "${{ modules.data.outputs.greeting }}"}}
`

// A run is approved on the page of another machine, which reaches the database
// and nothing else of the cluster. It goes on, on another worker.
func TestApprovedOnAnotherMachine(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("another machine is a network namespace here, and making one needs root")
	}
	p := newProject(t, gated)
	p.worker(0)
	run := p.start("pipeline", "run", "release")
	p.until(run, func(e event.Event) bool { _, ok := e.(event.ApprovalRequested); return ok })
	p.Kill(0)
	p.worker(1)
	m := newMachine(t, p)
	m.approve(run)
	p.until(run, over)
	tl := p.timeline(run)
	if s := tl.Step("", "after"); tl.Run.Status != event.Succeeded || s.Status != event.Succeeded || string(s.Outputs) != `{"result":"hello"}` {
		t.Errorf("%+v", tl)
	}
	if s := tl.Step("", "gate"); s.Attempts != 1 || !strings.Contains(string(s.Outputs), `"via":"page"`) {
		t.Errorf("%+v", s)
	}
}

// machine is a network namespace with one way out: to the database.
type machine struct {
	*project
	name, events string
}

func newMachine(t *testing.T, p *project) *machine {
	name := fmt.Sprintf("wf%d", os.Getpid())
	m := &machine{project: p, name: name}
	const here, there = "10.213.7.1", "10.213.7.2"
	for _, line := range []string{
		"netns add " + name, "link add " + name + "a type veth peer name " + name + "b", "link set " + name + "b netns " + name,
		"addr add " + here + "/30 dev " + name + "a", "link set " + name + "a up",
		"-n " + name + " addr add " + there + "/30 dev " + name + "b", "-n " + name + " link set " + name + "b up", "-n " + name + " link set lo up",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
		if strings.HasPrefix(line, "netns add") {
			t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
		}
	}
	l, err := net.Listen("tcp", here+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	at := strings.SplitN(strings.SplitN(p.Events, "@", 2)[1], "/", 2)[0]
	go forward(l, at)
	m.events = strings.Replace(p.Events, at, l.Addr().String(), 1)
	return m
}

// forward passes connections on to an address.
func forward(l net.Listener, to string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close() //nolint:errcheck // it is over
			out, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer out.Close() //nolint:errcheck // it is over
			var both sync.WaitGroup
			both.Go(func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() })
			both.Go(func() { _, _ = io.Copy(in, out) })
			both.Wait()
		}()
	}
}

// inside runs a program on the machine. It has none of the cluster's
// variables but the database's address.
func (m *machine) inside(ctx context.Context, events string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", m.name}, argv...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.TempDir(), "WFCTL_EVENTS=" + events}
	return cmd
}

// approve opens the page on the machine and answers there.
func (m *machine) approve(run string) {
	m.Helper()
	ctx, cancel := context.WithCancel(m.Context())
	defer cancel()
	page := m.inside(ctx, m.events, binary, "-C", m.dir, "--env", "prod", "ui", "--port", "8123")
	out, err := page.StdoutPipe()
	if err != nil {
		m.Fatal(err)
	}
	if err := page.Start(); err != nil {
		m.Fatal(err)
	}
	defer func() { cancel(); _ = page.Wait() }()
	var line [256]byte
	n, err := out.Read(line[:])
	if err != nil {
		m.Fatal(err)
	}
	address := strings.TrimSpace(string(line[:n]))
	base, token, _ := strings.Cut(address, "/?token=")
	jar := filepath.Join(m.TempDir(), "cookies")
	curl := func(args ...string) string {
		m.Helper()
		got, err := m.inside(m.Context(), "", append([]string{"curl", "-sS", "-L", "-b", jar, "-c", jar}, args...)...).CombinedOutput()
		if err != nil {
			m.Fatalf("%v\n%s", err, got)
		}
		return string(got)
	}
	curl(address)
	if shown := curl(base + "/runs/" + run); !strings.Contains(shown, "Approve") {
		m.Fatalf("the page shows no approval:\n%s", shown)
	}
	if out, err := m.inside(m.Context(), "", "curl", "-sS", "-m", "2", "http://"+m.Address()).CombinedOutput(); err == nil {
		m.Fatalf("the machine reaches Temporal: %s", out)
	}
	if shown := curl("--data-urlencode", "token="+token, "-d", "step=gate&answer=approve&comment=fine", base+"/runs/"+run+"/approve"); !strings.Contains(shown, "approved") {
		m.Fatalf("the answer was not taken:\n%s", shown)
	}
}

const slow = `modules:
  - {name: data, type: core.data, config: {values: {a: b}}}
pipelines:
  slow:
    steps:
      - {name: one, type: command, with: {run: [sleep, "3"]}}
      - {name: two, type: jq, needs: one, with: {query: ".", input: 2}}
`

// A worker that is told to end finishes what runs and takes nothing new; its
// health says so, and its figures are there.
func TestDrain(t *testing.T) {
	p := newProject(t, slow)
	p.worker(0, "--listen", "127.0.0.1:0")
	run := p.start("pipeline", "run", "slow")
	p.until(run, func(e event.Event) bool { s, ok := e.(event.NodeStarted); return ok && s.Address == "one" })
	log, err := os.ReadFile(p.Log(0))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(log), "http://")
	address, _, _ := strings.Cut(rest, "/healthz")
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": "temporal_"} {
		res, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(raw), want) {
			t.Errorf("%s: %s %.200s %v", path, res.Status, raw, err)
		}
	}
	if status := p.Drain(0); status != 0 {
		t.Errorf("the worker ended with %d", status)
	}
	if one := p.timeline(run).Step("", "one"); one.Status != event.Succeeded || one.Attempts != 1 {
		t.Errorf("what ran was not finished: %+v", one)
	}
	p.worker(1)
	p.until(run, over)
	if tl := p.timeline(run); tl.Run.Status != event.Succeeded {
		t.Errorf("%+v", tl)
	}
}

// A run can be stopped, and goes on; it can be followed from the start by
// somebody who did not start it.
func TestStopAndResume(t *testing.T) {
	p := newProject(t, slow)
	p.worker(0)
	run := p.start("pipeline", "run", "slow")
	p.until(run, func(e event.Event) bool { s, ok := e.(event.NodeStarted); return ok && s.Address == "one" })
	p.ok("runs", "stop", run)
	p.until(run, over)
	tl := p.timeline(run)
	if tl.Run.Status != event.Interrupted || tl.Step("", "one").Status != event.Succeeded || tl.Step("", "two").Status != event.NotStarted {
		t.Fatalf("%+v", tl)
	}
	p.ok("pipeline", "run", "slow", "--engine", "temporal", "--tree", p.Tree("shop"), "--resume", run)
	if tl = p.timeline(run); tl.Run.Status != event.Succeeded || tl.Step("", "one").Attempts != 1 || tl.Step("", "two").Status != event.Succeeded {
		t.Errorf("%+v", tl)
	}
	shown, told := p.ok("runs", "show", run, "--follow")
	if !strings.Contains(shown+told, "two") {
		t.Errorf("who follows later sees\n%s%s", shown, told)
	}
}

// Runs that change one environment do so one after the other, in the order in
// which they came.
func TestEnvironmentQueue(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	p := newProject(t, `modules:
  - name: slow
    type: core.command
    config: {create: [sh, -c, "until [ -e `+gate+` ]; do sleep 0.1; done"], read: [test, -e, `+gate+`]}
pipelines:
  apply:
    steps:
      - {name: apply, type: infra_apply, with: {approve: true}}
`)
	p.worker(0)
	p.worker(1)
	runs := []string{p.start("pipeline", "run", "apply")}
	p.until(runs[0], func(e event.Event) bool { s, ok := e.(event.NodeStarted); return ok && s.Address == "slow" })
	for range 3 {
		runs = append(runs, p.start("pipeline", "run", "apply"))
	}
	for _, run := range runs[1:] {
		p.until(run, func(e event.Event) bool {
			n, ok := e.(event.Notice)
			return ok && strings.Contains(n.Message, "waits for its turn")
		})
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var last time.Time
	for i, run := range runs {
		p.until(run, over)
		s := p.timeline(run).Step("", "apply")
		if s.Status != event.Succeeded || s.Started.Before(last) {
			t.Errorf("run %d is %s, began at %s, and the one before it ended at %s", i, s.Status, s.Started, last)
		}
		last = s.Ended
	}
}

// Schedules are made, changed and removed as the file says, and make runs.
func TestSchedules(t *testing.T) {
	const pipe = `modules:
  - {name: data, type: core.data, config: {values: {a: b}}}
pipelines:
  drift:
    steps:
      - {name: one, type: jq, with: {query: ".", input: 1}}
`
	p := newProject(t, pipe+`schedules:
  - {pipeline: drift, env: prod, cron: "* * * * *"}
  - {name: nightly, pipeline: drift, env: prod, cron: "0 3 * * *"}
`)
	p.worker(0)
	apply := func() string {
		out, _ := p.ok("schedules", "apply", "--tree", p.Tree("shop"), "--json")
		var list []struct{ Name, Action string }
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list)
	}
	if got := apply(); got != "[{drift-prod create} {nightly create}]" {
		t.Errorf("first: %s", got)
	}
	eventually(t, func() bool { return apply() == "[]" })
	p.write(pipe + `schedules:
  - {pipeline: drift, env: prod, cron: "* * * * *"}
`)
	pushed := p.tags("shop")
	if out, _ := p.ok("schedules", "apply", "--tree", p.Tree("shop"), "--json", "--dry-run"); !strings.Contains(out, `"nightly"`) || !strings.Contains(out, `"remove"`) || !strings.Contains(out, `"update"`) {
		t.Errorf("dry: %s", out)
	}
	if now := p.tags("shop"); !slices.Equal(pushed, now) {
		t.Errorf("a dry run pushed: %v, before %v", now, pushed)
	}
	if got := apply(); !strings.Contains(got, "{nightly remove}") {
		t.Errorf("after a removal: %s", got)
	}
	eventually(t, func() bool {
		runs, err := p.Store.Runs(t.Context(), 0)
		return err == nil && len(runs) > 0 && runs[0].Status == event.Succeeded && runs[0].Command == "pipeline run drift"
	})
}

// eventually waits for something that others do.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it did not come to be")
		}
	}
}

// Secrets of every shape go through a run: as private inputs, variables that
// were passed on, options, sensitive outputs and errors. Nothing of them is in
// what Temporal keeps, in the database of the record, or in a log.
func TestNoSecretsInTemporal(t *testing.T) {
	canaries := leakhunt.Canaries(fmt.Sprint(time.Now().UnixNano()))
	finder := leakhunt.NewFinder(canaries)
	var steps, props strings.Builder
	inputs := map[string]string{}
	var pass []string
	p := newProject(t, "modules:\n")
	for i, c := range canaries {
		if c.Name == leakhunt.Short {
			continue
		}
		inputs[c.Name] = c.Value
		fmt.Fprintf(&props, "        %s: {type: string, writeOnly: true}\n", c.Name)
		variable := "CANARY_" + strings.ToUpper(c.Name) + "_TOKEN"
		if !strings.ContainsAny(c.Value, "\x00") && len(c.Value) < 32<<10 {
			p.Env = append(p.Env, variable+"="+c.Value)
			pass = append(pass, "--pass-env", variable)
		}
		fmt.Fprintf(&steps, "      - {name: make%d, type: jq, with: {query: \"{v: .}\", input: \"${{ inputs.%s }}\", output: object}, outputs: {v: \"${{ inputs.%s }}\"}}\n", i, c.Name, c.Name)
		fmt.Fprintf(&steps, "      - {name: use%d, type: jq, needs: make%d, continue_on_error: true, with: {query: \"error(.)\", input: \"${{ steps.make%d.outputs.v }}\"}}\n", i, i, i)
	}
	p.write("modules:\n  - {name: data, type: core.data, config: {values: {a: b}}}\npipelines:\n  leaky:\n    inputs:\n      type: object\n      properties:\n" + props.String() + "    steps:\n" + strings.ReplaceAll(steps.String(), ", output: object", ""))
	raw, err := json.Marshal(inputs)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "inputs.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	p.worker(0)
	run := p.start(append([]string{"pipeline", "run", "leaky", "--inputs", file}, pass...)...)
	p.until(run, over)
	if tl := p.timeline(run); tl.Run.Done != len(inputs) || tl.Run.Failed != len(inputs) {
		t.Fatalf("the steps did not do what they are for: %+v", tl)
	}
	p.Drain(0)
	leaks, err := finder.Files(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range leaks {
		t.Error(leak)
	}
	raw, err = os.ReadFile(p.File())
	if wal, walErr := os.ReadFile(p.File() + "-wal"); walErr == nil {
		raw = append(raw, wal...)
	}
	if err != nil || !bytes.Contains(raw, []byte("binary/wfctl-sealed-1")) {
		t.Errorf("this is not what Temporal keeps: %d bytes, %v", len(raw), err)
	}
	for rec, err := range p.Store.Read(t.Context(), run, 0) {
		if err != nil {
			t.Fatal(err)
		}
		raw, err := event.Encode(rec.Event)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range finder.Find(raw) {
			t.Errorf("%s is in the record: %.200s", name, raw)
		}
	}
}

// A step may run wfctl itself: the run that it is a step of does not keep it
// from the environment.
func TestCommandThatChangesTheEnvironment(t *testing.T) {
	p := newProject(t, fmt.Sprintf(`modules:
  - {name: data, type: core.data, config: {values: {greeting: hello}}}
pipelines:
  nested:
    steps:
      - {name: first, type: infra_apply}
      - {name: inner, type: command, needs: first, timeout: 1m, with: {run: [%[1]q, infra, apply, --env, prod, --approve, --refresh, --lock-timeout, 20s], inherit: [WFCTL_STATE_KEY_DIR, WFCTL_EVENTS]}}
      - {name: last, type: infra_apply, needs: inner}
`, binary))
	p.worker(0)
	run := p.start("pipeline", "run", "nested")
	p.until(run, over)
	tl := p.timeline(run)
	for _, name := range []string{"first", "inner", "last"} {
		if s := tl.Step("", name); s.Status != event.Succeeded {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
