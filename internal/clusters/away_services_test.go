//go:build services

package clusters_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/internal/clusters"
)

func begins(step string) func(event.Event) bool {
	return func(e event.Event) bool { s, ok := e.(event.NodeStarted); return ok && s.Address == step }
}

const endless = `modules:
  - {name: data, type: core.data, config: {values: {a: b}}}
pipelines:
  endless:
    steps:
      - {name: one, type: command, with: {run: [sh, -c, "test -e FOLDER/GO || sleep 1000"]}}
`

// What runs is left to others when the time to drain is over, and at a second
// signal: it begins again there at once, not when its heartbeat stays away.
func TestLeave(t *testing.T) {
	for name, leave := range map[string]func(*project) int{
		"time": func(p *project) int { return p.Drain(0) },
		"signal": func(p *project) int {
			p.Tell(0)
			eventually(p.T, func() bool {
				log, _ := os.ReadFile(p.Log(0))
				return strings.Contains(string(log), "Once more leaves now")
			})
			return p.Drain(0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			p := newProject(t, strings.Replace(endless, "FOLDER", folder, 1))
			drain := map[string]string{"time": "500ms", "signal": "1h"}[name]
			p.worker(0, "--drain", drain)
			out, _ := p.ok("pipeline", "run", "endless", "--engine", "temporal", "--tree", p.Tree("shop"), "--detach", "--heartbeat", "10m")
			run := strings.TrimSpace(out)
			p.until(run, begins("one"))
			if status := leave(p); status != 0 {
				log, _ := os.ReadFile(p.Log(0))
				t.Errorf("the worker ended with %d\n%s", status, log)
			}
			if tl := p.timeline(run); tl.Run.Status != event.Running || tl.Step("", "one").Status != event.Running {
				t.Errorf("%+v", tl)
			}
			if err := os.WriteFile(folder+"/GO", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			p.worker(1)
			p.until(run, over)
			if tl := p.timeline(run); tl.Run.Status != event.Succeeded || tl.Step("", "one").Attempts != 2 {
				t.Errorf("%+v", tl)
			}
		})
	}
}

// gate is a way to a server that can be shut.
type gate struct {
	to string

	mu   sync.Mutex
	at   string
	l    net.Listener
	open []net.Conn
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	g := &gate{to: to, at: "127.0.0.1:0"}
	g.unshut(t)
	t.Cleanup(g.shut)
	return g
}

func (g *gate) unshut(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", g.at)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	g.l, g.at = l, l.Addr().String()
	g.mu.Unlock()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", g.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			g.mu.Lock()
			g.open = append(g.open, in, out)
			g.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }() // until it is shut
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.l.Close()
	for _, c := range g.open {
		_ = c.Close()
	}
	g.open = nil
}

// The record is away in the middle of a run: workers say so, what they do goes
// on, and nothing of it is missing when it is back.
func TestRecordAway(t *testing.T) {
	p := newProject(t, slow)
	u, err := url.Parse(p.Events)
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, u.Host)
	u.Host = g.at
	env := p.Env
	p.Env = append(p.Env[:len(p.Env):len(p.Env)], "WFCTL_EVENTS="+u.String())
	p.worker(0)
	p.Env = env
	run := p.start("pipeline", "run", "slow")
	p.until(run, begins("one"))
	g.shut()
	says := func(text string) {
		t.Helper()
		eventually(t, func() bool { log, _ := os.ReadFile(p.Log(0)); return strings.Contains(string(log), text) })
	}
	says("does not answer")
	if tl := p.timeline(run); tl.Run.Status != event.Running {
		t.Errorf("%+v", tl.Run)
	}
	g.unshut(t)
	says("answers again")
	p.until(run, over)
	if tl := p.timeline(run); tl.Run.Status != event.Succeeded || tl.Step("", "one").Attempts != 1 || tl.Step("", "two").Attempts != 1 {
		t.Errorf("%+v", tl)
	}
}

// A worker that records elsewhere than who starts runs leaves them to others,
// and says so: no record is split.
func TestAnotherDatabase(t *testing.T) {
	p := newProject(t, slow)
	u, err := url.Parse(p.Events)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), p.Events)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+p.Database+"_other WITH (FORCE)")
		if err = errors.Join(err, conn.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+p.Database+"_other"); err != nil {
		t.Fatal(err)
	}
	u.Path += "_other"
	env := p.Env
	p.Env = append(p.Env[:len(p.Env):len(p.Env)], "WFCTL_EVENTS="+u.String())
	p.worker(0)
	if out, _ := p.ok("runs", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("there is %s", out)
	}
	p.Env = env
	run := p.start("pipeline", "run", "slow")
	eventually(t, func() bool {
		log, _ := os.ReadFile(p.Log(0))
		return strings.Contains(string(log), "in another database")
	})
	p.worker(1)
	p.until(run, over)
	if tl := p.timeline(run); tl.Run.Status != event.Succeeded || tl.Step("", "one").Status != event.Succeeded || tl.Step("", "two").Status != event.Succeeded {
		t.Errorf("%+v", tl)
	}
	p.Env = append(p.Env[:len(p.Env):len(p.Env)], "WFCTL_EVENTS="+u.String())
	if out, _ := p.ok("runs", "list", "--all-projects", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("the other database has %s", out)
	}
	p.Env = env
}

// While keys change, who starts a run may have the old one alone, and hears how
// it ended all the same.
func TestWorkersHaveTheNewKeyFirst(t *testing.T) {
	p := newProject(t, slow)
	old := base64.StdEncoding.EncodeToString([]byte(clusters.Key[:32]))
	env := p.Env
	p.Env = append(p.Env[:len(p.Env):len(p.Env)], "WFCTL_TEMPORAL_KEY="+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))+","+old)
	p.worker(0)
	p.Env = env
	_, told := p.ok("pipeline", "run", "slow", "--engine", "temporal", "--tree", p.Tree("shop"))
	if !strings.Contains(told, "Pipeline slow is done: 2 steps") {
		t.Error(told)
	}
}
