// Package lifecycle scripts a whole life of resources for tests: a cloud in
// memory with a provider over it, a journal that can crash at any write, and
// configurations made of plain Go values. What the tests prove of plan and
// apply together is in lifecycle_test.go.
package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/sdk"
)

// Thing is a resource in the cloud.
type Thing struct {
	ID, Name, Key string
	Owner         sdk.Ownership
	Config        string
}

// Cloud is a platform in memory that remembers everything made in it.
type Cloud struct {
	mu     sync.Mutex
	things map[string]*Thing
	next   int
	// Doubles are creations of a module that was there already.
	Doubles []string
	// Fault, if set, is asked before (effect false) and after (true) each
	// mutation takes effect; an error is what the caller gets.
	Fault func(op, module string, effect bool) error
}

// NewCloud makes an empty one.
func NewCloud() *Cloud { return &Cloud{things: map[string]*Thing{}} }

// Modules lists whose things are there, sorted.
func (c *Cloud) Modules() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, t := range c.things {
		list = append(list, t.Owner.Module)
	}
	slices.Sort(list)
	return list
}

// Vanish removes a module's thing behind everybody's back.
func (c *Cloud) Vanish(module string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, t := range c.things {
		if t.Owner.Module == module {
			delete(c.things, id)
		}
	}
}

// Config returns what a module's thing is configured as; "" without one.
func (c *Cloud) Config(module string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.things {
		if t.Owner.Module == module {
			return t.Config
		}
	}
	return ""
}

func (c *Cloud) fault(op, module string, effect bool) error {
	if c.Fault == nil {
		return nil
	}
	return c.Fault(op, module, effect)
}

// Schema implements sdk.Provider. "kind" is immutable; "password" sensitive.
func (c *Cloud) Schema(context.Context) (*sdk.Schema, error) {
	config := json.RawMessage(`{"type":"object","properties":{
		"kind":{"type":"string","x-immutable":true},"value":{"type":"string"},"password":{"type":"string","x-sensitive":true},"from":{"type":"string"}}}`)
	outputs := []sdk.OutputSchema{{Name: "id", Type: "string", Stable: true}, {Name: "value", Type: "string"}, {Name: "secret", Type: "string", Sensitive: true},
		{Name: "password", Type: "string", Sensitive: true, Once: true, Stable: true}}
	return &sdk.Schema{Name: "cloud", Types: []sdk.ResourceSchema{
		{Name: "thing", Config: config, Outputs: outputs, IDFormat: "^id-[0-9]+$"},
		{Name: "gate", Config: config, Triggered: true, Outputs: outputs},
	}}, nil
}

// Configure implements sdk.Provider.
func (c *Cloud) Configure(context.Context, *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	return &sdk.ConfigureResponse{}, nil
}

// Validate implements sdk.Provider.
func (c *Cloud) Validate(context.Context, *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	return &sdk.ValidateResponse{}, nil
}

// Diff implements sdk.Provider: the schema decides.
func (c *Cloud) Diff(context.Context, *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return &sdk.DiffResponse{}, nil
}

// Create implements sdk.Provider.
func (c *Cloud) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if err := errors.Join(ctx.Err(), c.fault("create", req.Ownership.Module, false)); err != nil {
		return nil, err
	}
	t := c.make(req)
	if err := report.Assigned(t.ID); err != nil {
		return nil, err
	}
	if err := c.fault("create", req.Ownership.Module, true); err != nil {
		return nil, err
	}
	outputs := t.outputs()
	outputs["password"] = sdk.SecretOut("shown once of " + t.ID)
	return &sdk.CreateResponse{ID: t.ID, Outputs: outputs}, nil
}

func (c *Cloud) make(req *sdk.CreateRequest) *Thing {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.things {
		if t.Key == req.IdempotencyKey {
			return t
		}
		if t.Owner == req.Ownership && !strings.Contains(string(req.Config.JSON), "overlap") {
			c.Doubles = append(c.Doubles, req.Ownership.Module)
		}
	}
	c.next++
	t := &Thing{ID: fmt.Sprintf("id-%d", c.next), Name: req.Name, Key: req.IdempotencyKey, Owner: req.Ownership, Config: string(req.Config.JSON)}
	c.things[t.ID] = t
	return t
}

func (t *Thing) outputs() sdk.Outputs {
	return sdk.Outputs{"id": sdk.Out(t.ID), "value": sdk.Out(t.Config), "secret": sdk.SecretOut("s3cret of " + t.ID)}
}

// Read implements sdk.Provider.
func (c *Cloud) Read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.things {
		byKey := req.ID == "" && t.Key == req.IdempotencyKey && t.Key != ""
		byOwner := req.ID == "" && t.Owner == req.Ownership && !slices.Contains(req.Except, t.ID)
		if t.ID == req.ID || byKey || byOwner {
			return &sdk.ReadResponse{ID: t.ID, Name: t.Name, Outputs: t.outputs(), Owner: &t.Owner, Healthy: true}, nil
		}
	}
	return nil, sdk.Errorf(sdk.CodeNotFound, "no such thing")
}

// Update implements sdk.Provider.
func (c *Cloud) Update(_ context.Context, req *sdk.UpdateRequest, _ sdk.Reporter) (*sdk.UpdateResponse, error) {
	if err := c.fault("update", req.Ownership.Module, false); err != nil {
		return nil, err
	}
	c.mu.Lock()
	t, ok := c.things[req.ID]
	if ok {
		t.Config = string(req.Config.JSON)
	}
	c.mu.Unlock()
	if !ok {
		return nil, sdk.Errorf(sdk.CodeNotFound, "no such thing")
	}
	if err := c.fault("update", req.Ownership.Module, true); err != nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: t.ID, Outputs: t.outputs()}, nil
}

// Delete implements sdk.Provider.
func (c *Cloud) Delete(_ context.Context, req *sdk.DeleteRequest, _ sdk.Reporter) (*sdk.DeleteResponse, error) {
	if err := c.fault("delete", req.Ownership.Module, false); err != nil {
		return nil, err
	}
	c.mu.Lock()
	delete(c.things, req.ID)
	c.mu.Unlock()
	return &sdk.DeleteResponse{}, c.fault("delete", req.Ownership.Module, true)
}
