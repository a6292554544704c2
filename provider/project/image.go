package project

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
)

// image adapts package build.
type image struct {
	place    *place
	store    *build.Store
	builders map[string]build.Builder
	// held tells whether registries have an image.
	held func(image, digest string) bool
}

func (*image) doing() string { return "build the image" }

// imageCommon are the keys of an image that say what becomes of it, whoever
// builds it.
const imageCommon = `{
  "builder": {"type": "string", "default": "go", "description": "What builds it."},
  "registries": {"type": "array", "items": {"type": "string"}, "uniqueItems": true, "description": "The registries of wfctl.yaml that it is pushed to."},
  "tags": {"type": "array", "items": {"type": "string"}, "description": "The tags that it gets in every registry; by default the environment's name."},
  "sbom": ` + sbomSchema + `,
  "provenance": ` + provenanceSchema + `,
  "sign": ` + signSchema + `
}`

func (i *image) schema() sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name:        TypeImage,
		Description: "A container image that is built from source and kept in an OCI layout.",
		Config:      i.config(),
		Volatile:    true,
		Outputs: []sdk.OutputSchema{
			{Name: "digest", Type: "string", Description: "The digest of the manifest or index: sha256:…"},
			{Name: "ref", Type: "string", Description: "Where the image is: oci-layout:PATH@DIGEST."},
			{Name: "platforms", Type: "array", Description: "What it runs on: linux/amd64."},
			{Name: "source", Type: "string", Description: "The fingerprint of what it was built from."},
		},
	}
}

// config joins the common keys with those of the builders; where several have
// a key, the words are those of the builder `go`.
func (i *image) config() json.RawMessage {
	properties := map[string]json.RawMessage{}
	must(json.Unmarshal([]byte(imageCommon), &properties))
	names := slices.Sorted(maps.Keys(i.builders))
	for _, name := range names {
		var own struct {
			Properties map[string]json.RawMessage `json:"properties"`
		}
		must(json.Unmarshal(i.builders[name].Schema(), &own))
		for key, schema := range own.Properties {
			if _, ok := properties[key]; !ok || name == "go" {
				properties[key] = schema
			}
		}
	}
	enum, err := json.Marshal(names)
	must(err)
	properties["builder"] = json.RawMessage(strings.Replace(string(properties["builder"]), `"type": "string"`, `"type": "string", "enum": `+string(enum), 1))
	schema, err := json.Marshal(map[string]any{"type": "object", "additionalProperties": false, "properties": properties})
	must(err)
	return schema
}

// must holds for schemas that are written in the program.
func must(err error) {
	if err != nil {
		panic("provider/project: " + err.Error())
	}
}

// spec splits an entry into the builder and its own options.
func (i *image) spec(name string, c sdk.Config) (build.Builder, build.Spec, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(c.Bytes(), &members); err != nil {
		return nil, build.Spec{}, sdk.Errorf(sdk.CodeInvalid, "the configuration of image %q is not an object", name)
	}
	kind := "go"
	if raw, ok := members["builder"]; ok && json.Unmarshal(raw, &kind) != nil {
		return nil, build.Spec{}, &sdk.Error{Code: sdk.CodeInvalid, Message: "builder is a name", Path: "/builder"}
	}
	builder, ok := i.builders[kind]
	if !ok {
		return nil, build.Spec{}, &sdk.Error{
			Code: sdk.CodeInvalid, Message: "there is no builder " + kind, Path: "/builder",
			Hint: "take one of: " + strings.Join(slices.Sorted(maps.Keys(i.builders)), ", "),
		}
	}
	for _, common := range []string{"builder", "registries", "tags", "sbom", "provenance", "sign"} {
		delete(members, common)
	}
	options, err := json.Marshal(members)
	return builder, build.Spec{Name: name, BaseDir: i.place.baseDir, Options: options}, err
}

func (i *image) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	builder, spec, err := i.spec(req.Name, req.Config)
	if err == nil && len(req.Config.Unknown) == 0 {
		err = builder.Check(spec)
	}
	return append(diagnose(err), onCommandLines(req.Config)...)
}

// onCommandLines finds secrets in what a compiler or docker can only be told on
// its command line, which every user of the machine can read.
func onCommandLines(c sdk.Config) (found []sdk.Diagnostic) {
	for _, path := range slices.Concat(c.Sensitive, c.Opaque) {
		segments := path.Segments()
		if len(segments) == 0 {
			continue
		}
		key := segments[0]
		if !slices.Contains([]string{"ldflags", "labels", "cache_from", "cache_to", "target", "network"}, key) {
			continue
		}
		found = append(found, sdk.Diagnostic{
			Severity: sdk.SeverityError, Path: path, Message: key + " would put a secret on a command line",
			Hint: "what an image needs while it is built goes into `secrets` of the builder dockerfile; what it needs while it runs into env_vars_secret",
		})
	}
	return found
}

// diagnose makes a diagnostic of an error.
func diagnose(err error) []sdk.Diagnostic {
	if err == nil {
		return nil
	}
	d := sdk.Diagnostic{Severity: sdk.SeverityError, Message: err.Error()}
	var own *sdk.Error
	var f *fault.Error
	switch {
	case errors.As(err, &own):
		d.Path, d.Hint = own.Path, own.Hint
	case errors.As(err, &f):
		d.Hint = f.Hint
	}
	return []sdk.Diagnostic{d}
}

// diff compares what the image would be built from with what it was built
// from. It builds nothing.
func (i *image) diff(ctx context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if len(req.Config.Unknown) > 0 {
		return &sdk.DiffResponse{}, nil
	}
	builder, spec, err := i.spec(req.Name, req.Config)
	if err != nil {
		return nil, err
	}
	source, err := builder.Fingerprint(ctx, spec)
	if err != nil || req.Prior == nil {
		return &sdk.DiffResponse{}, err
	}
	res := &sdk.DiffResponse{Changes: []sdk.FieldChange{}}
	before := outputString(req.Prior.Outputs, "source")
	if before != source {
		res.Changes = append(res.Changes, sdk.FieldChange{
			Path: "/source", Action: sdk.ActionUpdate, Before: quote(before), After: quote(source), Reason: "the source changed",
		})
	}
	for _, path := range req.Changed {
		res.Changes = append(res.Changes, sdk.FieldChange{
			Path: path, Action: sdk.ActionUpdate, Before: lookup(req.Prior.Config, path), After: lookup(req.Config, path),
		})
	}
	if len(res.Changes) == 0 {
		res.Outputs = req.Prior.Outputs
	}
	return res, nil
}

func (i *image) create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	outputs, err := i.make(ctx, req.Name, req.Config, report)
	if err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: req.Name, Outputs: outputs}, nil
}

func (i *image) update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	outputs, err := i.make(ctx, req.Name, req.Config, report)
	if err != nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: req.ID, Outputs: outputs}, nil
}

// make fingerprints before it builds: a file that is saved meanwhile makes
// the next plan build again.
func (i *image) make(ctx context.Context, name string, c sdk.Config, report sdk.Reporter) (sdk.Outputs, error) {
	builder, spec, err := i.spec(name, c)
	if err != nil {
		return nil, err
	}
	source, err := builder.Fingerprint(ctx, spec)
	if err != nil {
		return nil, err
	}
	img, err := build.Make(ctx, builder, i.store, spec, report.Progress)
	if err != nil {
		logDetail(err, report)
		return nil, err
	}
	return imageOutputs(img, source), nil
}

// logDetail passes on the lines of a failure that do not fit into an error.
func logDetail(err error, report sdk.Reporter) {
	var f *fault.Error
	if errors.As(err, &f) {
		for _, line := range f.Detail {
			report.Log(line)
		}
	}
}

func imageOutputs(img build.Image, source string) sdk.Outputs {
	return sdk.Outputs{
		"digest": sdk.Out(img.Digest), "ref": sdk.Out(img.Ref()), "platforms": sdk.Out(img.Platforms), "source": sdk.Out(source),
	}
}

// read looks whether the layout still holds the image that is recorded, or its
// registries do: a machine that builds nothing new needs no layout. An
// image that nothing is recorded of counts as absent: building again gives
// the same.
func (i *image) read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if !recorded(req) {
		return nil, sdk.Errorf(sdk.CodeNotFound, "nothing is recorded of image %q", req.Name)
	}
	digest := outputString(req.Prior.Outputs, "digest")
	img, ok, err := i.store.Find(req.Name, digest)
	if err != nil {
		return nil, err
	}
	if !ok && i.held(req.Name, digest) {
		return &sdk.ReadResponse{ID: req.Prior.ID, Name: req.Name, Healthy: true, Outputs: req.Prior.Outputs}, nil
	}
	if !ok {
		return nil, sdk.Errorf(sdk.CodeNotFound, "image %q is no longer in %s", req.Name, i.store.Path(req.Name))
	}
	return &sdk.ReadResponse{
		ID: req.Prior.ID, Name: req.Name, Healthy: true,
		Outputs: imageOutputs(img, outputString(req.Prior.Outputs, "source")),
	}, nil
}

func (i *image) remove(ctx context.Context, req *sdk.DeleteRequest) error {
	return i.store.Remove(ctx, req.Name)
}

func outputString(outputs sdk.Outputs, name string) string {
	var s string
	if json.Unmarshal(plainOutput(outputs, name), &s) != nil {
		return ""
	}
	return s
}

// plainOutput is an output of an image, which is no secret.
func plainOutput(outputs sdk.Outputs, name string) json.RawMessage { return outputs[name].Reveal() }

func quote(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	must(err)
	return raw
}

// lookup returns the value at a path of an object's first level; deeper ones
// are shown by the host.
func lookup(c sdk.Config, path sdk.Path) json.RawMessage {
	segments := path.Segments()
	if len(segments) != 1 || c.IsSensitive(path) || c.IsOpaque(path) {
		return nil
	}
	var members map[string]json.RawMessage
	if json.NewDecoder(bytes.NewReader(c.Bytes())).Decode(&members) != nil {
		return nil
	}
	return members[segments[0]]
}
