package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// replica is one instance of a service: it starts a process again and again
// until it is retired.
type replica struct {
	service *service
	spec    Spec
	version string
	name    string

	ctx    context.Context // ends when the replica must stop
	cancel context.CancelFunc
	ready  chan error // the first outcome, once
	gone   chan struct{}
	kick   chan struct{} // cuts a pause before a restart short

	mu      sync.Mutex
	status  InstanceStatus
	backend *backend
	output  *tail
}

// restartable bounds: a process that lived this long starts with a fresh
// count of failures.
const livedLong = 10 * time.Second

func newReplica(s *service, spec Spec, name string) *replica {
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{
		service: s, spec: spec, version: spec.version(), name: name,
		ctx: ctx, cancel: cancel, ready: make(chan error, 1), gone: make(chan struct{}), kick: make(chan struct{}, 1),
		output: &tail{limit: 10},
	}
	r.status = InstanceStatus{Name: name, State: Starting, Version: r.version, Since: s.sup.opts.Now()}
	go r.run()
	return r
}

func (r *replica) run() {
	defer close(r.gone)
	if err := r.live(true); err != nil {
		r.ready <- err
		return
	}
	failures := 0
	for r.ctx.Err() == nil {
		if r.service.sup.opts.Now().Sub(r.snapshot().Since) > livedLong {
			failures = 0
		}
		r.pause(failures)
		failures++
		if r.ctx.Err() != nil {
			return
		}
		r.update(func(s *InstanceStatus) { s.Restarts++; s.State = Starting })
		if err := r.live(false); err != nil && r.ctx.Err() == nil {
			r.crashed(err.Error())
		}
	}
}

// pause waits before a restart, longer after each failure.
func (r *replica) pause(failures int) {
	timer := time.NewTimer(r.service.sup.opts.Backoff(failures))
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
	case <-r.kick:
	case <-timer.C:
	}
}

// live is one process's life. The error says why it never served.
func (r *replica) live(first bool) error {
	output := &tail{limit: 10}
	r.mu.Lock()
	r.output = output
	r.mu.Unlock()
	port, err := r.port()
	if err != nil {
		return err
	}
	defer r.service.sup.ports.release(port)
	run, err := r.start(port, output)
	if err != nil {
		return &notReady{reason: "cannot be started", err: err}
	}
	defer run.stop(r.spec.Grace)
	r.update(func(s *InstanceStatus) { s.PID, s.Port = run.pid(), port })
	if err := newProber(r.spec.Ready, port).await(r.ctx, run); err != nil {
		return err
	}
	r.enter(port)
	defer r.leave()
	if first {
		r.ready <- nil
	}
	r.watch(run, port)
	return nil
}

// port chooses where the instance listens; 0 for one that is not proxied.
func (r *replica) port() (int, error) {
	if r.spec.Server != "" {
		return r.service.listenPort(), nil
	}
	if r.spec.Listen == nil {
		return 0, nil
	}
	return r.service.sup.ports.free()
}

func (r *replica) start(port int, output *tail) (runner, error) {
	line := func(text string) {
		output.add(text)
		r.service.log.write(r.name, text)
	}
	sup := r.service.sup
	if r.spec.Server == "" {
		return sup.launch(r.spec, r.command(port), r.environment(port), line)
	}
	serve, ok := sup.opts.Servers[r.spec.Server]
	if !ok {
		return nil, fmt.Errorf("this supervisor has no server %q", r.spec.Server)
	}
	ln, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return nil, portError(port, err)
	}
	return startServer(serve, r.spec.Options, ln, line), nil
}

// lastLines is the end of what the latest process wrote.
func (r *replica) lastLines() []string {
	r.mu.Lock()
	output := r.output
	r.mu.Unlock()
	return output.last()
}

func (r *replica) command(port int) []string {
	if !r.spec.Expand {
		return r.spec.Command
	}
	replace := strings.NewReplacer("{port}", fmt.Sprint(port), "{instance}", r.name)
	out := make([]string, len(r.spec.Command))
	for i, arg := range r.spec.Command {
		out[i] = replace.Replace(arg)
	}
	return out
}

func (r *replica) environment(port int) []string {
	if port == 0 {
		return r.spec.Env
	}
	env := make([]string, 0, len(r.spec.Env)+1)
	for _, kv := range r.spec.Env {
		if !strings.HasPrefix(kv, "PORT=") {
			env = append(env, kv)
		}
	}
	return append(env, fmt.Sprintf("PORT=%d", port))
}

// enter lets the instance serve.
func (r *replica) enter(port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.State, r.status.Since = Serving, r.service.sup.opts.Now()
	if p := r.service.currentProxy(); p != nil && r.backend == nil && r.ctx.Err() == nil {
		r.backend = p.add(loopback(port))
	}
}

// rejoin enters an instance that serves into another proxy.
func (r *replica) rejoin(p *proxy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.backend != nil {
		r.backend = p.add(r.backend.address)
	}
}

// leave takes the instance out of the proxy and returns a channel that is
// closed when its last request is answered.
func (r *replica) leave() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.service.currentProxy()
	if p == nil || r.backend == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	idle := p.remove(r.backend)
	r.backend = nil
	return idle
}

// watch returns when the process has ended or must be.
func (r *replica) watch(run runner, port int) {
	every := r.spec.Ready.Interval
	if live := r.spec.Live; live != nil {
		every = min(every, live.Interval)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	checks := newChecks(r.spec, port)
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-run.done():
			r.crashed(run.exit())
			return
		case <-ticker.C:
		}
		ready, live := checks.ask(r.ctx)
		if !live {
			r.crashed("its liveness check failed")
			return
		}
		r.setHealthy(ready, port)
	}
}

func (r *replica) setHealthy(ok bool, port int) {
	switch state := r.snapshot().State; {
	case ok && state == Failing:
		r.enter(port)
	case !ok && state == Serving:
		r.leave()
		r.update(func(s *InstanceStatus) { s.State = Failing })
		r.service.log.write(r.name, "wfctl: its health check fails; it gets no requests until it passes")
	}
}

func (r *replica) crashed(how string) {
	if r.ctx.Err() != nil {
		return
	}
	r.update(func(s *InstanceStatus) { s.State, s.LastExit, s.PID = Crashed, how, 0 })
	r.service.log.write(r.name, "wfctl: "+how+"; it will be started again")
}

// retire takes the instance out, lets it finish its requests and stops it.
func (r *replica) retire() {
	r.update(func(s *InstanceStatus) { s.State = Stopping })
	drained := r.leave()
	timer := time.NewTimer(r.spec.Grace)
	defer timer.Stop()
	select {
	case <-drained:
	case <-r.gone:
	case <-timer.C:
	}
	r.cancel()
	<-r.gone
}

func (r *replica) update(change func(*InstanceStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

func (r *replica) snapshot() InstanceStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// await waits for the first outcome; on a failure the replica is gone.
func (r *replica) await(ctx context.Context) error {
	var err error
	select {
	case err = <-r.ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		r.cancel()
		<-r.gone
	}
	return err
}

// mend starts a crashed instance now and waits until it serves.
func (r *replica) mend(ctx context.Context) error {
	select {
	case r.kick <- struct{}{}:
	default:
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	restarts := r.snapshot().Restarts
	for {
		s := r.snapshot()
		switch {
		case s.State == Serving:
			return nil
		case s.State == Crashed && s.Restarts > restarts:
			return &notReady{reason: "crashes: " + s.LastExit}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.gone:
			return errors.New("was removed")
		case <-ticker.C:
		}
	}
}

// checks counts failures in a row.
type checks struct {
	ready, live       *prober
	notReady, notLive int
}

func newChecks(spec Spec, port int) *checks {
	c := &checks{}
	if !spec.Ready.isZero() {
		c.ready = newProber(spec.Ready, port)
	}
	if spec.Live != nil && !spec.Live.isZero() {
		c.live = newProber(*spec.Live, port)
	}
	return c
}

func (c *checks) ask(ctx context.Context) (ready, live bool) {
	return count(ctx, c.ready, &c.notReady), count(ctx, c.live, &c.notLive)
}

func count(ctx context.Context, p *prober, failures *int) bool {
	if p == nil {
		return true
	}
	if p.ask(ctx) == nil {
		*failures = 0
		return true
	}
	*failures++
	return *failures < p.probe.Failures
}
