package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// message is one line of an answer: events, then one with Done.
type message struct {
	Event
	Done   bool     `json:",omitempty"`
	Status *Status  `json:",omitempty"`
	Error  *failure `json:",omitempty"`
	// Ending says that the supervisor ends with this answer.
	Ending bool `json:",omitempty"`
}

// failure is an sdk.Error on its way.
type failure struct {
	Code          sdk.Code
	Message, Hint string
	Ending        bool `json:",omitempty"`
}

func toFailure(err error) *failure {
	if errors.Is(err, ErrEnding) {
		return &failure{Ending: true}
	}
	var known *sdk.Error
	if errors.As(err, &known) {
		return &failure{Code: known.Code, Message: err.Error(), Hint: known.Hint}
	}
	return &failure{Code: sdk.CodeOf(err), Message: err.Error()}
}

func (f *failure) err() error {
	if f.Ending {
		return ErrEnding
	}
	return &sdk.Error{Code: f.Code, Message: f.Message, Hint: f.Hint}
}

// hello identifies the supervisor.
type hello struct {
	Protocol int
	PID      int
	Services []Status
}

const protocolVersion = 1

func (s *Supervisor) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1", s.getStatus)
	mux.HandleFunc("PUT /v1/services", s.change(s.put))
	mux.HandleFunc("POST /v1/jobs", s.change(s.run))
	mux.HandleFunc("DELETE /v1/services", s.change(s.remove))
	mux.HandleFunc("POST /v1/stop", s.stopAll)
	return mux
}

func (s *Supervisor) getStatus(w http.ResponseWriter, _ *http.Request) {
	h := hello{Protocol: protocolVersion, PID: os.Getpid()}
	s.mu.Lock()
	all := make([]*service, 0, len(s.services))
	for _, svc := range s.services {
		all = append(all, svc)
	}
	s.mu.Unlock()
	for _, svc := range all {
		h.Services = append(h.Services, svc.status())
	}
	_ = json.NewEncoder(w).Encode(h)
}

func (s *Supervisor) stopAll(w http.ResponseWriter, _ *http.Request) {
	s.beginClosing()
	_ = json.NewEncoder(w).Encode(message{Done: true, Ending: true})
}

// change wraps what changes something: it is counted, and its events and its
// outcome are the lines of the answer.
func (s *Supervisor) change(do func(context.Context, Spec, func(Event)) (*Status, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var spec Spec
		dec := json.NewDecoder(r.Body)
		if err := dec.Decode(&spec); err != nil || !goodName(spec.Name) {
			http.Error(w, "bad specification", http.StatusBadRequest)
			return
		}
		var mu sync.Mutex
		send := func(m message) {
			mu.Lock()
			defer mu.Unlock()
			_ = json.NewEncoder(w).Encode(m)
			_ = http.NewResponseController(w).Flush()
		}
		if err := s.enter(); err != nil {
			send(message{Done: true, Error: toFailure(err), Ending: true})
			return
		}
		_ = http.NewResponseController(w).Flush() // the client knows from now on that it is being done
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.closed, cancel)()
		last := message{Done: true}
		st, err := do(ctx, spec.withDefaults(), func(e Event) { send(message{Event: e}) })
		if last.Status = st; err != nil {
			last.Error = toFailure(err)
		}
		last.Ending = s.leave()
		send(last)
	}
}

// goodName keeps a service's log inside its folder.
func goodName(name string) bool {
	return name != "" && filepath.IsLocal(name) && !strings.ContainsAny(name, "\\\x00\n")
}

func (s *Supervisor) put(ctx context.Context, spec Spec, emit func(Event)) (*Status, error) {
	for {
		svc, err := s.service(spec.Name, true)
		if err != nil {
			return nil, err
		}
		if err := svc.begin(ctx); err != nil {
			return nil, err
		}
		if !s.owns(svc) { // removed while we waited
			svc.end()
			continue
		}
		defer svc.end()
		err = svc.apply(ctx, spec, emit)
		if len(svc.members()) == 0 {
			svc.close()
			s.forget(svc)
		}
		st := svc.status()
		return &st, err
	}
}

func (s *Supervisor) remove(ctx context.Context, spec Spec, _ func(Event)) (*Status, error) {
	svc, err := s.service(spec.Name, false)
	if err != nil || svc == nil {
		return nil, err
	}
	if err := svc.begin(ctx); err != nil {
		return nil, err
	}
	defer svc.end()
	if s.owns(svc) {
		svc.close() // the port is free before the name is
		s.forget(svc)
	}
	return nil, nil
}

// run performs a job: a process that must end with status 0.
func (s *Supervisor) run(ctx context.Context, spec Spec, emit func(Event)) (*Status, error) {
	log, err := openLog(s.opts.Dir, spec.Name, s.opts.LogSize, s.opts.Now)
	if err != nil {
		return nil, err
	}
	defer log.close()
	output := &tail{limit: 10}
	p, err := s.launch(spec, spec.Command, spec.Env, func(text string) {
		output.add(text)
		log.write(spec.Name, text)
		emit(Event{Log: text})
	})
	if err != nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "%s cannot be started: %v", spec.Name, err)
	}
	return nil, s.awaitJob(ctx, spec, p, output)
}

func (s *Supervisor) awaitJob(ctx context.Context, spec Spec, p *process, output *tail) error {
	timeout := time.NewTimer(spec.Ready.Timeout)
	defer timeout.Stop()
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.stop(spec.Grace)
		return ctx.Err()
	case <-timeout.C:
		p.stop(spec.Grace)
		return sdk.Errorf(sdk.CodeDeadline, "%s did not end within %s", spec.Name, spec.Ready.Timeout)
	}
	if p.cmd.ProcessState != nil && p.cmd.ProcessState.Success() {
		return nil
	}
	return &sdk.Error{
		Code:    sdk.CodeInvalid,
		Message: spec.Name + " failed: " + p.how + "; its last lines:\n  " + strings.Join(output.last(), "\n  "),
		Hint:    "its log is " + LogPath(s.opts.Dir, spec.Name),
	}
}
