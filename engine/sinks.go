package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/deliver"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resolve"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

func (p *Project) secretHost() secret.Host {
	return secret.Host{BaseDir: p.BaseDir, Getenv: p.options.Getenv, Stdout: p.options.Commands, Redactor: p.secrets.redactor}
}

// sinks are the stores that this project's secrets can be brought to.
func (p *Project) sinks() *deliver.Sinks {
	return &deliver.Sinks{Kinds: p.kinds.Sinks, Plugin: p.pluginSink, Host: p.secretHost(), Fingerprint: func(b []byte) string {
		if p.keyed == nil {
			return ""
		}
		return p.keyed(b)
	}}
}

// sinkOptions checks the keys of a secret's sinks against what each of them
// takes. What a plugin's sink takes, only the plugin knows.
func (v *validation) sinkOptions(d resource.Desired) []*fault.Error {
	if nodeKind(d.Address()) != resource.SecretPrefix {
		return nil
	}
	resolved, err := d.Config().Resolve(unknownScope{})
	if err != nil {
		return nil // said already
	}
	var doc struct {
		Sinks []struct{ Sink string }
	}
	if json.Unmarshal(resolved.Config.Bytes(), &doc) != nil {
		return nil
	}
	items := make([]any, len(doc.Sinks))
	for i, s := range doc.Sinks {
		items[i] = true
		if k, err := v.project.kinds.Sinks.Get(s.Sink); err == nil {
			items[i] = map[string]any{"properties": map[string]any{"options": k.Schema}}
		}
	}
	schema, err := json.Marshal(map[string]any{"properties": map[string]any{"sinks": map[string]any{"prefixItems": items}}})
	if err != nil {
		return []*fault.Error{faultOf(err, d.Pos())}
	}
	faults := v.checker.Check(schema, d)
	for _, f := range faults { // in the file a sink's keys stand beside its type
		f.Message = strings.NewReplacer(".options", "", `of module "secret.`, `of the secret "`).Replace(f.Message)
	}
	return faults
}

// pluginSink finds the provider that has a kind of sink; it is configured when
// something is written.
func (p *Project) pluginSink(ctx context.Context, typ string) (secret.Sink, error) {
	for _, m := range p.Set.Providers {
		id := resource.Provider{Address: m.Address, Kind: m.Kind}
		in, err := p.pool.ready(ctx, id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(in.schema.SecretStores, typ) {
			continue
		}
		return &pluginStore{pool: p.pool, id: id, kind: typ}, nil
	}
	return nil, nil
}

// pluginStore is a store of a plugin. The contract lets it be written alone:
// what it holds is not asked, and what is there stays.
type pluginStore struct {
	pool *pool
	id   resource.Provider
	kind string
}

// Write implements secret.Sink.
func (s *pluginStore) Write(ctx context.Context, req secret.Request) (secret.Receipt, error) {
	provider, err := s.pool.Provider(ctx, s.id)
	if err != nil {
		return secret.Receipt{}, err
	}
	writer, ok := sdk.As[sdk.SecretWriter](provider)
	if !ok {
		return secret.Receipt{}, fault.New(fault.Provider, "provider %q says that it has the sink %q, and does not", s.id.Kind, s.kind)
	}
	res, err := writer.WriteSecret(ctx, &sdk.WriteSecretRequest{
		Store: s.kind, Name: req.Name, Options: sdk.Config{JSON: req.Options}, Value: sdk.NewSensitive(req.Value.Reveal()),
	})
	if err != nil {
		return secret.Receipt{}, fault.Wrap(fault.Provider, err, "the sink %s", s.kind)
	}
	return secret.Receipt{Version: res.Version}, nil
}

// Status implements secret.Sink.
func (s *pluginStore) Status(context.Context, secret.Target) (secret.Status, error) {
	return secret.Status{Exists: true}, nil
}

// Retire implements secret.Sink.
func (s *pluginStore) Retire(context.Context, secret.Target) error { return nil }

// secretFrom looks secrets up in the file's stores, then in the environment.
// Each store is opened when a secret is first looked for.
func (p *Project) secretFrom(ctx context.Context) func([]resolve.Store, string) (string, bool, error) {
	open := map[int]SecretStore{}
	return func(stores []resolve.Store, name string) (string, bool, error) {
		for i, s := range stores {
			if open[i] == nil {
				if p.kinds.Store == nil {
					return "", false, fault.New(fault.Internal, "this build reads no stores of secrets")
				}
				store, err := p.kinds.Store(s.Type, s.Options, p.secretHost())
				if err != nil {
					return "", false, err
				}
				open[i] = store
			}
			v, found, err := open[i].Secret(ctx, name)
			if err != nil {
				return "", false, fmt.Errorf("store %s: %w", s.Type, err)
			}
			if found {
				p.secrets.redactor.Add(v)
				return v.Reveal(), true, nil
			}
		}
		v, ok := p.options.Getenv(name)
		return v, ok, nil
	}
}

// undelivered forgives a run where nothing failed but deliveries: what they
// wait for is done. Each is told, and is pending.
func (w *Work) undelivered(summary *apply.Summary, err error) error {
	if summary == nil || fault.CodeOf(err) != fault.Partial || summary.Skipped > 0 || w.strict {
		return err
	}
	var failed []apply.NodeResult
	for _, n := range summary.Nodes {
		if n.Outcome != event.Failed {
			continue
		}
		if nodeKind(n.Address) != resource.SecretPrefix || n.Action == "delete" {
			return err
		}
		failed = append(failed, n)
	}
	for _, n := range failed {
		hint := "mend the cause, then `wfctl infra secrets sync`; the next apply does it too"
		var f *fault.Error
		if errors.As(n.Err, &f) && f.Hint != "" {
			hint = f.Hint + "; then `wfctl infra secrets sync`"
		}
		w.project.events.Emit(event.Notice{Level: "warning", Message: "NOT DELIVERED: " + n.Err.Error(), Hint: hint})
	}
	return nil
}
