package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// record finds a record by address or resource name.
func (w *Work) record(name resource.Address) (resource.Record, error) {
	var known []string
	if rec, ok := w.log.View().Record(resource.Key{Address: name}); ok {
		return rec, nil // a module and its image may have one name
	}
	for _, rec := range w.Records() {
		if rec.Deposed == "" && rec.Name == string(name) {
			return rec, nil
		}
		if rec.Deposed == "" {
			known = append(known, string(rec.Address))
		}
		if rec.Deposed == "" && rec.Name != string(rec.Address) && nodeKind(rec.Address) == "" {
			known = append(known, rec.Name)
		}
	}
	env := w.project.Environment().Name()
	err := fault.New(fault.NotFound, "state of %q has no resource %q", env, name)
	if near := kind.Nearest(string(name), known); near != "" {
		return resource.Record{}, err.WithHint("did you mean %q? It has %s", near, strings.Join(known, ", "))
	}
	if len(known) == 0 {
		return resource.Record{}, err.WithHint("it is empty: `wfctl up --env %s` makes what the configuration says", env)
	}
	return resource.Record{}, err.WithHint("it has %s", strings.Join(known, ", "))
}

// Logs passes on the log of a recorded resource.
func (w *Work) Logs(ctx context.Context, addr resource.Address, req sdk.LogsRequest, line func(sdk.LogLine) error) error {
	rec, err := w.record(addr)
	if err != nil {
		return err
	}
	provider, err := w.project.pool.Provider(ctx, rec.Provider)
	if err != nil {
		return err
	}
	reader, ok := sdk.As[sdk.LogReader](provider)
	if !ok {
		return fault.New(fault.Provider, "provider %q (%s) has no logs", rec.Provider.Address, rec.Provider.Kind)
	}
	req.Type, req.ID, req.Name = rec.Type, rec.ID, rec.Name
	return reader.Logs(ctx, &req, line)
}

// An Output is one output of one resource, ready to be shown.
type Output struct {
	Module, Name, Field string
	// Value is nil for a sensitive output that was not asked for.
	Value     json.RawMessage
	Sensitive bool
}

// OutputOptions narrow outputs.
type OutputOptions struct {
	// Module is an address or a resource name; Field an output.
	Module, Field string
	// Reveal reads sensitive values from their providers.
	Reveal bool
}

// Outputs lists what the resources report, by address and field.
func (w *Work) Outputs(ctx context.Context, o OutputOptions) ([]Output, error) {
	records := w.Records()
	if o.Module != "" {
		rec, err := w.record(resource.Address(o.Module))
		if err != nil {
			return nil, err
		}
		records = []resource.Record{rec}
	}
	desired := map[resource.Address]resource.Desired{}
	for _, d := range w.project.Set.Nodes {
		desired[d.Address()] = d
	}
	var all []Output
	for _, rec := range records {
		if rec.Deposed != "" || (o.Module == "" && nodeKind(rec.Address) != "") {
			continue
		}
		var decls map[string]resource.OutputDecl
		if d, ok := desired[rec.Address]; ok {
			decls = d.Outputs()
		}
		outs, err := w.recordOutputs(ctx, rec, decls, o)
		if err != nil {
			return nil, err
		}
		all = append(all, outs...)
	}
	if o.Field != "" && len(all) == 0 {
		return nil, w.unknownField(records, o)
	}
	return all, nil
}

func (w *Work) unknownField(records []resource.Record, o OutputOptions) error {
	var known []string
	for _, rec := range records {
		if rec.Deposed != "" || o.Module == "" && nodeKind(rec.Address) != "" {
			continue
		}
		for field := range rec.Outputs {
			known = append(known, field)
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	err := fault.New(fault.NotFound, "no resource has an output %q", o.Field)
	if o.Module != "" {
		err = fault.New(fault.NotFound, "%q has no output %q", o.Module, o.Field)
	}
	if len(known) == 0 {
		return err.WithHint("it has no outputs")
	}
	if near := kind.Nearest(o.Field, known); near != "" {
		return err.WithHint("did you mean %q? The outputs are %s", near, strings.Join(known, ", "))
	}
	return err.WithHint("the outputs are %s", strings.Join(known, ", "))
}

// recordOutputs shows one record's outputs: sensitive by the module's word,
// else by the provider's schema, else as recorded.
func (w *Work) recordOutputs(ctx context.Context, rec resource.Record, decls map[string]resource.OutputDecl, o OutputOptions) ([]Output, error) {
	schema, err := w.project.pool.Schema(rec.Provider, rec.Type)
	if err != nil {
		return nil, err
	}
	var fresh sdk.Outputs
	var outs []Output
	for _, field := range sortedFields(rec.Outputs) {
		if o.Field != "" && field != o.Field {
			continue
		}
		recorded := rec.Outputs[field]
		out := Output{Module: string(rec.Address), Name: rec.Name, Field: field, Value: recorded.Value, Sensitive: sensitive(schema, decls, field, recorded)}
		if out.Sensitive && !o.Reveal {
			out.Value = nil
		} else if recorded.Sealed != nil && w.sealer != nil {
			if out.Value, err = w.sealer.Open(ctx, recorded.Sealed); err != nil {
				return nil, err
			}
		} else if recorded.Value == nil {
			if fresh == nil {
				if fresh, err = w.readOutputs(ctx, rec); err != nil {
					return nil, err
				}
			}
			out.Value = fresh[field].Reveal()
		}
		outs = append(outs, out)
	}
	return outs, nil
}

func sortedFields(outputs map[string]resource.RecordedOutput) []string {
	fields := make([]string, 0, len(outputs))
	for f := range outputs {
		fields = append(fields, f)
	}
	slices.Sort(fields)
	return fields
}

// sensitive decides by the module's declaration, else by the schema; what
// neither declares is sensitive.
func sensitive(schema *sdk.ResourceSchema, decls map[string]resource.OutputDecl, field string, rec resource.RecordedOutput) bool {
	if d, ok := decls[field]; ok && d.Sensitive != nil {
		return *d.Sensitive
	}
	if s := schema.Output(field); s != nil {
		return s.Sensitive || rec.Sensitive
	}
	return true
}

// readOutputs asks the provider for values that state does not keep.
func (w *Work) readOutputs(ctx context.Context, rec resource.Record) (sdk.Outputs, error) {
	obs, err := w.project.read(ctx, rec, w.project.inputOf(rec.Address))
	if err != nil {
		return nil, err
	}
	if obs.Gone {
		return nil, fault.New(fault.NotFound, "%s %q is gone from its platform", rec.Type, rec.Address).
			WithHint("`wfctl infra drift` shows what else is; `wfctl infra apply --refresh` mends it")
	}
	return obs.Read.Outputs, nil
}

// A ResourceStatus is one line of `infra status`.
type ResourceStatus struct {
	Address string           `json:"address"`
	Type    string           `json:"type"`
	Name    string           `json:"name"`
	ID      string           `json:"id"`
	Status  sdk.HealthStatus `json:"status"`
	Reason  string           `json:"reason,omitempty"`
}

// The statuses that no provider reports.
const (
	statusGone    sdk.HealthStatus = "gone"
	statusTainted sdk.HealthStatus = "tainted"
	statusFailed  sdk.HealthStatus = "failed"
	statusUnread  sdk.HealthStatus = Unreadable
)

// Status asks the platforms how the recorded resources are.
func (w *Work) Status(ctx context.Context) ([]ResourceStatus, error) {
	var list []ResourceStatus
	records := w.moduleRecords()
	seen, failed := w.project.survey(ctx, records, true)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, rec := range records {
		s := ResourceStatus{Address: addressOf(rec), Type: rec.Type, Name: rec.Name, ID: rec.ID, Status: sdk.Healthy}
		obs, read := seen[rec.Key()]
		switch {
		case failed[rec.Key()] != nil:
			s.Status, s.Reason = statusUnread, failed[rec.Key()].Error()
		case read && obs.Gone:
			s.Status, s.Reason = statusGone, "not on the platform"
		case rec.Status == resource.Tainted:
			s.Status, s.Reason = statusTainted, "its creation failed; the next apply replaces it"
		case rec.Status == resource.Failed:
			s.Status, s.Reason = statusFailed, "its last update failed; the next apply tries again"
		case read && !obs.Read.Healthy:
			s.Status, s.Reason = sdk.Unhealthy, obs.Read.Reason
		default:
			if err := w.health(ctx, rec, &s); err != nil {
				s.Status, s.Reason = statusUnread, err.Error()
			}
		}
		list = append(list, s)
	}
	return list, nil
}

// health lets the provider judge a resource that is there.
func (w *Work) health(ctx context.Context, rec resource.Record, s *ResourceStatus) error {
	provider, err := w.project.pool.Provider(ctx, rec.Provider)
	if err != nil {
		return err
	}
	checker, ok := sdk.As[sdk.HealthChecker](provider)
	if !ok {
		return nil
	}
	res, err := checker.Health(ctx, &sdk.HealthRequest{Type: rec.Type, ID: rec.ID, Name: rec.Name})
	if sdk.CodeOf(err) == sdk.CodeUnsupported {
		return nil
	}
	if err != nil {
		return fault.Wrap(fault.Provider, err, "ask for the health of %q", rec.Address)
	}
	s.Status, s.Reason = res.Status, res.Reason
	return nil
}

func addressOf(rec resource.Record) string {
	if rec.Deposed != "" {
		return fmt.Sprintf("%s (deposed %s)", rec.Address, rec.Deposed)
	}
	return string(rec.Address)
}
