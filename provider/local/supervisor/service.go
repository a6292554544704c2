package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/sdk"
)

// service is what a Spec was made into.
type service struct {
	sup  *Supervisor
	name string
	op   chan struct{} // held by whoever changes the service
	log  *logFile

	mu       sync.Mutex
	spec     Spec
	port     int
	proxy    *proxy
	replicas []*replica
}

func newService(sup *Supervisor, name string) (*service, error) {
	log, err := openLog(sup.opts.Dir, name, sup.opts.LogSize, sup.opts.Now)
	if err != nil {
		return nil, err
	}
	return &service{sup: sup, name: name, op: make(chan struct{}, 1), log: log}, nil
}

func (s *service) begin(ctx context.Context) error {
	select {
	case s.op <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *service) end() { <-s.op }

func (s *service) currentProxy() *proxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proxy
}

func (s *service) listenPort() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

func (s *service) members() []*replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.replicas)
}

func (s *service) status() Status {
	s.mu.Lock()
	st := Status{Name: s.name, Wanted: s.spec.Instances, Port: s.port}
	s.mu.Unlock()
	for _, r := range s.members() {
		st.Instances = append(st.Instances, r.snapshot())
	}
	return st
}

// apply makes the service what spec says. The caller holds op.
func (s *service) apply(ctx context.Context, spec Spec, emit func(Event)) error {
	old, err := s.listen(spec, emit)
	if err != nil {
		return err
	}
	err = s.roll(ctx, spec, emit)
	if err == nil {
		s.mu.Lock()
		s.spec = spec
		s.mu.Unlock()
	}
	if old != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), spec.Grace)
		defer cancel()
		old.close(ctx)
	}
	return err
}

// listen opens the port that spec asks for. It returns the proxy of another
// port, to be closed when the new one serves.
func (s *service) listen(spec Spec, emit func(Event)) (*proxy, error) {
	if spec.Listen == nil {
		return nil, nil
	}
	current, proxy := s.listenPort(), s.currentProxy()
	if current != 0 && (spec.Listen.Port == 0 || spec.Listen.Port == current) && (proxy != nil || spec.Server != "") {
		return nil, nil
	}
	ln, err := s.bind(*spec.Listen, emit)
	if err != nil || ln == nil {
		return nil, err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if spec.Server != "" {
		s.setPort(port, nil)
		return nil, ln.Close() // the server opens it itself, each time it starts
	}
	fresh := newProxy(ln, func(text string) { s.log.write(s.name, text) })
	s.setPort(port, fresh)
	for _, r := range s.members() {
		r.rejoin(fresh)
	}
	return proxy, nil
}

func (s *service) setPort(port int, p *proxy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.port, s.proxy = port, p
}

// bind opens the port, or a free one where that is allowed; it returns nil
// where the one that the service has already will do.
func (s *service) bind(l Listen, emit func(Event)) (net.Listener, error) {
	port := l.Port
	if port != 0 {
		ln, err := net.Listen("tcp", loopback(port))
		if err == nil {
			return ln, nil
		}
		if !l.Any && !(l.Fallback && s.sup.ownsPort(port)) {
			return nil, portError(port, err)
		}
		if s.listenPort() != 0 {
			return nil, nil
		}
	}
	free, err := s.sup.ports.free()
	if err != nil {
		return nil, err
	}
	if port != 0 {
		emit(Event{Warning: fmt.Sprintf("port %d is already used; %s answers on %d", port, s.name, free)})
	}
	ln, err := net.Listen("tcp", loopback(free))
	s.sup.ports.release(free)
	if err != nil {
		return nil, portError(free, err)
	}
	return ln, nil
}

// roll brings up what spec wants, one instance after another, and takes an
// old one away for each new one that serves.
func (s *service) roll(ctx context.Context, spec Spec, emit func(Event)) error {
	version := spec.version()
	var keep, old []*replica
	for _, r := range s.members() {
		state := r.snapshot().State
		if r.version == version && len(keep) < spec.Instances && state != Stopping && state != Failing {
			keep = append(keep, r)
		} else {
			old = append(old, r)
		}
	}
	if spec.Recreate {
		s.retire(old)
		old = nil
	}
	for _, r := range keep {
		if err := r.mend(ctx); err != nil {
			return s.explain(r, err)
		}
	}
	for n := len(keep); n < spec.Instances; n++ {
		emit(Event{Message: fmt.Sprintf("starting instance %d of %d", n+1, spec.Instances)})
		if err := s.surge(ctx, spec); err != nil {
			return err
		}
		if n < len(old) {
			s.retire(old[:1])
			old = old[1:]
		}
	}
	s.retire(old)
	return nil
}

// surge adds an instance and waits until it serves.
func (s *service) surge(ctx context.Context, spec Spec) error {
	s.mu.Lock()
	r := newReplica(s, spec, s.freeName())
	s.replicas = append(s.replicas, r)
	s.mu.Unlock()
	err := r.await(ctx)
	if err == nil {
		return nil
	}
	s.drop(r)
	return s.explain(r, err)
}

// freeName is NAME.1, or with the lowest number that no instance has.
func (s *service) freeName() string {
	base := s.name[strings.LastIndexByte(s.name, '/')+1:]
	for i := 1; ; i++ {
		name := fmt.Sprintf("%s.%d", base, i)
		if !slices.ContainsFunc(s.replicas, func(r *replica) bool { return r.name == name }) {
			return name
		}
	}
}

// explain adds the last lines of what the process wrote.
func (s *service) explain(r *replica, err error) error {
	var known *sdk.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	message := fmt.Sprintf("%s %v", r.name, err)
	hint := "see what the program needs to start; its log is " + LogPath(s.sup.opts.Dir, s.name)
	if r.spec.Listen != nil && r.spec.Server == "" {
		hint = "the program must stay up and listen on the port that the variable PORT names; its log is " + LogPath(s.sup.opts.Dir, s.name)
	}
	if lines := r.lastLines(); len(lines) > 0 {
		message += "; its last lines:\n  " + strings.Join(lines, "\n  ")
	} else {
		message += "; it wrote nothing"
	}
	return &sdk.Error{Code: sdk.CodeInvalid, Message: message, Hint: hint}
}

// retire ends replicas, all at once.
func (s *service) retire(list []*replica) {
	var all sync.WaitGroup
	for _, r := range list {
		all.Go(r.retire)
	}
	all.Wait()
	s.drop(list...)
}

func (s *service) drop(list ...*replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = slices.DeleteFunc(s.replicas, func(r *replica) bool { return slices.Contains(list, r) })
}

// close ends the service. The port is free when it returns. The caller holds
// op.
func (s *service) close() {
	if p := s.currentProxy(); p != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.spec.withDefaults().Grace)
		p.close(ctx)
		cancel()
	}
	s.retire(s.members())
	s.log.close()
}
