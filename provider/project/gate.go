package project

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/verify"
)

// gate adapts package verify. Creating and updating it ask the targets;
// there is nothing to delete.
type gate struct {
	place     *place
	redactor  *secret.Redactor
	transport http.RoundTripper
	now       func() time.Time
	sleep     func(context.Context, time.Duration) error
}

func (*gate) doing() string { return "check the gate" }

// gateTimeout bounds a gate in seconds, over what its own timeout says.
const gateTimeout = 3600

const gateSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["targets"],
  "properties": {
    "timeout": {"$ref": "#/$defs/duration", "default": "5m", "description": "How long all targets may take to pass."},
    "interval": {"$ref": "#/$defs/duration", "description": "The pause between two attempts. By default short ones that grow to 2s."},
    "attempt_timeout": {"$ref": "#/$defs/duration", "default": "5s", "description": "How long one attempt may take."},
    "consecutive": {"type": "integer", "minimum": 1, "default": 1, "description": "How many successes in a row count as one."},
    "max_retries": {"type": "integer", "minimum": 1, "description": "How many failures are too many. By default the time decides."},
    "targets": {
      "type": "array", "minItems": 1,
      "items": {
        "type": "object",
        "additionalProperties": false,
        "oneOf": [{"required": ["url"]}, {"required": ["tcp"]}, {"required": ["grpc"]}, {"required": ["dns"]}],
        "properties": {
          "name": {"type": "string", "description": "What reports call it."},
          "url": {"type": "string", "description": "An HTTP address to ask."},
          "tcp": {"type": "string", "description": "HOST:PORT to connect to."},
          "grpc": {"type": "string", "description": "HOST:PORT of a server with grpc.health.v1.Health; with tls where that is set."},
          "grpc_service": {"type": "string", "description": "The service to ask for; by default the server as a whole."},
          "dns": {"type": "string", "description": "A name that must resolve."},
          "method": {"type": "string", "default": "GET"},
          "headers": {"type": "object", "additionalProperties": {"type": "string"}},
          "body": {"type": "string"},
          "follow_redirects": {"type": "integer", "minimum": 0, "default": 0, "description": "How many redirects to follow; by default a redirect is the answer."},
          "expect_status": {"description": "200, \"2xx\", or a list of them; by default 2xx.", "anyOf": [{"$ref": "#/$defs/status"}, {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/status"}}]},
          "expect_body_contains": {"type": "string"},
          "expect_jq": {"type": "string", "description": "A jq expression that must give true of the JSON body."},
          "expect_header": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Headers of the answer with their values: the digest that a service says it runs."},
          "max_latency": {"$ref": "#/$defs/duration", "description": "A slower answer is a failure."},
          "max_body": {"type": "integer", "minimum": 1, "default": 65536, "description": "How many bytes of the body are read."},
          "tls": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
              "verify": {"type": "boolean", "default": true},
              "ca_file": {"type": "string", "description": "The certificates to trust, as PEM; relative to the application file's folder."},
              "server_name": {"type": "string"},
              "min_days": {"type": "integer", "minimum": 0, "description": "Fails a certificate that ends in fewer days."}
            }
          },
          "interval": {"$ref": "#/$defs/duration"},
          "attempt_timeout": {"$ref": "#/$defs/duration"},
          "consecutive": {"type": "integer", "minimum": 1},
          "max_retries": {"type": "integer", "minimum": 1}
        }
      }
    }
  },
  "$defs": {
    "duration": {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"},
    "status": {"anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"}]}
  }
}`

func (g *gate) schema() sdk.ResourceSchema {
	return sdk.ResourceSchema{
		Name:          TypeGate,
		Description:   "Asks services until they work, and fails where they do not in time.",
		Config:        []byte(gateSchema),
		Triggered:     true,
		CreateTimeout: gateTimeout,
		UpdateTimeout: gateTimeout,
	}
}

func (g *gate) config(c sdk.Config) (verify.Config, error) {
	var config verify.Config
	dec := json.NewDecoder(bytes.NewReader(c.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&config); err != nil {
		return config, sdk.Errorf(sdk.CodeInvalid, "the configuration of a gate cannot be used: %v", err)
	}
	return config, nil
}

// validate leaves addresses alone that are not known yet.
func (g *gate) validate(req *sdk.ValidateRequest) []sdk.Diagnostic {
	config, err := g.config(req.Config)
	if err != nil {
		return diagnose(err)
	}
	for i := range config.Targets {
		t := &config.Targets[i]
		path := sdk.Path("/targets").Index(i)
		for name, into := range map[string]*string{"url": &t.URL, "tcp": &t.TCP, "grpc": &t.GRPC, "dns": &t.DNS, "expect_jq": &t.ExpectJQ} {
			if req.Config.IsUnknown(path.Child(name)) {
				*into = map[string]string{"url": "http://unknown"}[name]
			}
		}
	}
	var list fault.List
	if err := config.Check(); !errors.As(err, &list) {
		return diagnose(err)
	}
	var found []sdk.Diagnostic
	for _, f := range list {
		found = append(found, sdk.Diagnostic{Severity: sdk.SeverityError, Path: "/targets", Message: f.Error(), Hint: f.Hint})
	}
	return found
}

func (*gate) diff(context.Context, *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return &sdk.DiffResponse{}, nil
}

func (g *gate) create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if err := g.check(ctx, req.Config, report); err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: req.Name, Outputs: sdk.Outputs{}}, nil
}

func (g *gate) update(ctx context.Context, req *sdk.UpdateRequest, report sdk.Reporter) (*sdk.UpdateResponse, error) {
	if err := g.check(ctx, req.Config, report); err != nil {
		return nil, err
	}
	return &sdk.UpdateResponse{ID: req.ID, Outputs: sdk.Outputs{}}, nil
}

func (g *gate) check(ctx context.Context, c sdk.Config, report sdk.Reporter) error {
	config, err := g.config(c)
	if err != nil {
		return err
	}
	r, err := verify.Run(ctx, config, verify.Options{
		Secrets: c.SensitiveTexts(), Redactor: g.redactor, Transport: g.transport, Dir: g.place.baseDir, Now: g.now, Sleep: g.sleep,
		Progress: func(a verify.Attempt) { report.Progress(a.String(), -1) },
	})
	if err != nil {
		return err
	}
	err = r.Err()
	var f *fault.Error
	if !errors.As(err, &f) {
		return nil
	}
	logDetail(err, report)
	// Not a code that is tried again: the gate has tried, for its whole time.
	return &sdk.Error{Code: sdk.CodeInternal, Message: f.Message, Hint: f.Hint}
}

// read knows no platform to ask: a gate that was passed was passed.
func (*gate) read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if !recorded(req) {
		return nil, sdk.Errorf(sdk.CodeNotFound, "gate %q has not been passed", req.Name)
	}
	return &sdk.ReadResponse{ID: req.Prior.ID, Name: req.Name, Outputs: sdk.Outputs{}, Healthy: true}, nil
}

func (*gate) remove(context.Context, *sdk.DeleteRequest) error { return nil }
