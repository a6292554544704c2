package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// trial is a provider under test, with one fixture.
type trial struct {
	suite    Suite
	provider sdk.Provider
	report   *Report
	schema   *sdk.Schema
	fixture  Resource
	typ      *sdk.ResourceSchema
	walker   *sdk.Walker

	mu     sync.Mutex
	number int
}

// check runs one check and writes down how it ended. A panic is a failure.
func (t *trial) check(name string, run func(context.Context) error) {
	res := Result{Check: name, Type: t.fixture.Type, Outcome: Pass}
	if why, ok := t.fixture.Skip[name]; ok {
		res.Outcome, res.Detail = Skip, why
		t.report.Results = append(t.report.Results, res)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*t.suite.Timeout)
	defer cancel()
	err := caught(func() error { return run(ctx) })
	var why skipped
	switch {
	case errors.As(err, &why):
		res.Outcome, res.Detail = Skip, string(why)
	case err != nil:
		res.Outcome, res.Detail = Fail, err.Error()
	}
	t.report.Results = append(t.report.Results, res)
}

func caught(run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run()
}

func (t *trial) close(ctx context.Context) error {
	if c, ok := t.provider.(sdk.Closer); ok {
		return caught(func() error { return c.Close(ctx) })
	}
	return nil
}

// name makes a name that no other resource of the trial has.
func (t *trial) name() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	base := t.fixture.Name
	if base == "" {
		base = "conform-" + strings.NewReplacer(".", "-", "_", "-").Replace(t.fixture.Type)
	}
	t.number++
	if t.number > 1 {
		base = fmt.Sprintf("%s-%d", base, t.number)
	}
	return base
}

func (t *trial) owner() sdk.Ownership {
	return sdk.Ownership{Project: t.suite.Configure.Project, Environment: t.suite.Configure.Environment, Module: "conformance"}
}

// config is a configuration as the host would pass it: the sensitive paths of
// the schema are marked.
func (t *trial) config(raw json.RawMessage) sdk.Config {
	return sdk.Config{JSON: raw, Sensitive: t.walker.SensitivePaths(raw)}
}

// thing is a resource that a check has made.
type thing struct {
	t       *trial
	req     *sdk.CreateRequest
	id      string
	outputs sdk.Outputs
}

func (t *trial) request(raw json.RawMessage) *sdk.CreateRequest {
	name := t.name()
	return &sdk.CreateRequest{
		Type: t.fixture.Type, Name: name, Ownership: t.owner(), Config: t.config(raw),
		IdempotencyKey: "conformance-" + name, Deadline: time.Now().Add(t.suite.Timeout),
	}
}

// make creates a resource of the fixture's configuration.
func (t *trial) make(ctx context.Context, report sdk.Reporter) (*thing, error) {
	return t.create(ctx, t.request(t.fixture.Config), report)
}

func (t *trial) create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*thing, error) {
	res, err := t.provider.Create(ctx, req, report)
	switch {
	case err != nil:
		return nil, fmt.Errorf("Create: %w", err)
	case res == nil:
		return nil, errors.New("Create gave neither an answer nor an error")
	case res.ID == "":
		return nil, errors.New("Create gave no identifier")
	}
	return &thing{t: t, req: req, id: res.ID, outputs: res.Outputs}, nil
}

// prior is what the host would have recorded: no secret in it.
func (th *thing) prior() *sdk.Prior {
	outputs := sdk.Outputs{}
	for name, o := range th.outputs {
		if !o.Sensitive() {
			outputs[name] = o
		}
	}
	return &sdk.Prior{ID: th.id, Name: th.req.Name, Config: recorded(th.req.Config), Outputs: outputs}
}

func (th *thing) read(ctx context.Context) (*sdk.ReadResponse, error) {
	res, err := th.t.provider.Read(ctx, &sdk.ReadRequest{
		Type: th.req.Type, ID: th.id, Name: th.req.Name, Ownership: th.req.Ownership, Prior: th.prior(), Config: th.req.Config,
	})
	if err == nil && res == nil {
		return nil, errors.New("Read gave neither an answer nor an error")
	}
	return res, err
}

func (th *thing) remove(ctx context.Context) error {
	res, err := th.t.provider.Delete(ctx, &sdk.DeleteRequest{
		Type: th.req.Type, ID: th.id, Name: th.req.Name, Ownership: th.req.Ownership, Prior: th.prior(), Config: th.req.Config,
		IdempotencyKey: "delete-" + th.req.IdempotencyKey, Deadline: time.Now().Add(th.t.suite.Timeout),
	}, &listener{})
	if err == nil && res == nil {
		return errors.New("Delete gave neither an answer nor an error")
	}
	if err != nil {
		return fmt.Errorf("Delete: %w", err)
	}
	return nil
}

// with makes a resource, hands it to a check and removes it, come what may.
func (t *trial) with(ctx context.Context, do func(*thing) error) error {
	th, err := t.make(ctx, &listener{})
	if err != nil {
		return err
	}
	err = caught(func() error { return do(th) })
	return errors.Join(err, th.remove(ctx))
}

// listener is a Reporter that remembers what it was told.
type listener struct {
	mu       sync.Mutex
	assigned []string
	heard    []string
	// on is called with each event.
	on func()
}

func (l *listener) note(assigned bool, text string) {
	l.mu.Lock()
	if assigned {
		l.assigned = append(l.assigned, text)
	} else {
		l.heard = append(l.heard, text)
	}
	l.mu.Unlock()
	if l.on != nil {
		l.on()
	}
}

// Assigned implements sdk.Reporter.
func (l *listener) Assigned(id string) error { l.note(true, id); return nil }

// Progress implements sdk.Reporter.
func (l *listener) Progress(message string, _ float64) { l.note(false, message) }

// Log implements sdk.Reporter.
func (l *listener) Log(line string) { l.note(false, line) }

// Warn implements sdk.Reporter.
func (l *listener) Warn(d sdk.Diagnostic) { l.note(false, d.Message+" "+d.Hint) }

func (l *listener) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.heard, "\n")
}

func (l *listener) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.assigned...)
}
