package pluginhost

import (
	"errors"
	"os/exec"
	"sync"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/wire"
)

// process is one running plugin with the calls that are under way in it.
type process struct {
	plugin Plugin
	env    []string
	tail   *tail
	conn   *wire.Conn

	mu    sync.Mutex
	calls int
	// shared: it has had more than one call at a time, so that none of them
	// is known to be what ended it.
	shared bool
	// end, once set, ends the process when the last call leaves.
	end func()
}

func newProcess(p Plugin, o Options, env []string) *process {
	var log func(string)
	if o.Log != nil {
		log = func(line string) { o.Log(p.Name, line) }
	}
	return &process{plugin: p, env: env, tail: newTail(o.Secrets, log)}
}

func (p *process) command() *exec.Cmd {
	return &exec.Cmd{Path: p.plugin.Executable, Args: []string{p.plugin.Executable}, Env: append([]string{}, p.env...)}
}

func (p *process) ended() bool {
	select {
	case <-p.conn.Ended():
		return true
	default:
		return false
	}
}

// enter is false for a process that takes no more calls.
func (p *process) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		return false
	}
	p.calls++
	p.shared = p.shared || p.calls > 1
	return true
}

func (p *process) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls--; p.calls == 0 && p.end != nil {
		go p.end()
	}
}

func (p *process) wasShared() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shared
}

// retire calls end once, when no call is under way.
func (p *process) retire(end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		return
	}
	p.end = end
	if p.calls == 0 {
		go end()
	}
}

// explain adds the plugin's name and, where the plugin itself failed, its
// last lines. An answer of the provider is passed on as it is.
func (p *process) explain(err error) error {
	if err == nil || !errors.Is(err, wire.ErrPlugin) && sdk.CodeOf(err) != sdk.CodeInternal {
		return err
	}
	f := fault.Wrap(fault.Provider, err, "plugin %s", p.plugin)
	if lines := p.tail.last(); len(lines) > 0 {
		f = f.WithDetail(lines...)
	}
	return f
}
