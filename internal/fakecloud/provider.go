package fakecloud

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocodealone/wfctl/sdk"
)

// config is the configuration of every type.
type config struct {
	Region string            `json:"region,omitempty" wfctl:"computed"`
	Engine string            `json:"engine,omitempty" wfctl:"immutable"`
	Size   string            `json:"size,omitempty"`
	Image  string            `json:"image,omitempty"`
	Port   int               `json:"http_port,omitempty"`
	Nodes  int               `json:"nodes,omitempty" default:"1"`
	Env    map[string]string `json:"env_vars,omitempty"`
	Secret string            `json:"password,omitempty" wfctl:"sensitive,writeonly"`
	// VPC and Uses are identifiers, Net is the name of a network.
	VPC  string   `json:"vpc_ref,omitempty"`
	Net  string   `json:"net,omitempty"`
	Uses []string `json:"uses,omitempty"`
	// Protected: it cannot be deleted. Untagged: it carries no tags. Lingers: for
	// how many attempts it counts as a user after it was deleted.
	Protected bool `json:"protected,omitempty"`
	Untagged  bool `json:"untagged,omitempty"`
	Lingers   int  `json:"lingers,omitempty"`
}

// settings are the configuration of the provider.
type settings struct {
	Folder string `json:"folder,omitempty" doc:"where the cloud keeps what it has; relative to the application file"`
	Token  string `json:"token,omitempty" wfctl:"sensitive"`
}

type provider struct {
	cloud *Cloud
	// mine: Configure says where the cloud is.
	mine bool
}

// New makes a provider over a cloud; nil takes the one in the folder that its
// configuration names.
func New(c *Cloud) sdk.Provider {
	if c == nil {
		return &provider{cloud: &Cloud{}, mine: true}
	}
	return &provider{cloud: c}
}

var errNil = sdk.Errorf(sdk.CodeInvalid, "the request is nil")

// types are what there is, with what must outlive it.
var types = []struct {
	name   string
	stands []string
}{
	{"infra.container_service", []string{"infra.database", "infra.vpc"}},
	{"infra.database", []string{"infra.vpc"}},
	{"infra.droplet", []string{"infra.vpc"}},
	{"infra.vpc", nil},
}

// Schema implements sdk.Provider.
func (p *provider) Schema(context.Context) (*sdk.Schema, error) {
	s := &sdk.Schema{Name: "fakecloud", Version: "v0.1.0", Config: sdk.MustSchema[settings](), Capabilities: sdk.Capabilities(p)}
	for _, t := range types {
		_, word, _ := strings.Cut(t.name, ".")
		s.Types = append(s.Types, sdk.ResourceSchema{
			Name: t.name, Config: sdk.MustSchema[config](), DependsOn: t.stands,
			IDFormat: "^" + strings.ReplaceAll(word, "_", "-") + "-[0-9]{4}$",
			Outputs: []sdk.OutputSchema{
				{Name: "id", Type: "string", Stable: true},
				{Name: "url", Type: "string", Stable: true},
				{Name: "connection_url", Type: "string", Sensitive: true, Stable: true},
			},
		})
	}
	return s, nil
}

// Configure implements sdk.Provider.
func (p *provider) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	if req == nil {
		return nil, errNil
	}
	s, err := sdk.Decode[settings](req.Config)
	if err != nil {
		return nil, err
	}
	if p.mine {
		if p.cloud.Dir = cmp.Or(s.Folder, "cloud"); !filepath.IsAbs(p.cloud.Dir) {
			p.cloud.Dir = filepath.Join(req.BaseDir, p.cloud.Dir)
		}
		if err := os.MkdirAll(p.cloud.Dir, 0o700); err != nil {
			return nil, err
		}
	}
	p.cloud.note(Request{Op: "configure", Env: req.Environment})
	return &sdk.ConfigureResponse{}, p.cloud.do(func(c *contents) error { return c.fault("configure", "", false) })
}

// Validate implements sdk.Provider.
func (p *provider) Validate(_ context.Context, req *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	_, err := sdk.Decode[config](req.Config)
	return &sdk.ValidateResponse{}, err
}

// Diff implements sdk.Provider: the schema decides.
func (p *provider) Diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "diff", Type: req.Type, Name: req.Name, Owner: &req.Ownership})
	_, err := sdk.Decode[config](req.Config)
	return &sdk.DiffResponse{}, err
}

// outputs are what a thing reports. A database of the engine sqlite is a file,
// so that migrations can reach it.
func (c *Cloud) outputs(t *Thing) sdk.Outputs {
	url := "db://user:s3cret-of-" + t.ID + "@" + t.Name + "/main"
	if t.Config.Engine == "sqlite" {
		url = "sqlite://" + filepath.ToSlash(filepath.Join(c.Dir, t.Name+".db"))
	}
	return sdk.Outputs{"id": sdk.Out(t.ID), "url": sdk.Out("https://" + t.Name + ".cloud.test"), "connection_url": sdk.SecretOut(url)}
}

// readable is what can be read back.
func (t *Thing) readable() sdk.Config {
	c := t.Config
	c.Secret = ""
	c.Region = cmp.Or(c.Region, "fra1")
	raw, err := json.Marshal(c)
	if err != nil {
		return sdk.Config{}
	}
	return sdk.Config{JSON: raw}
}

// Create implements sdk.Provider.
func (p *provider) Create(_ context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "create", Type: req.Type, Name: req.Name, Owner: &req.Ownership, Config: masked(req.Config)})
	conf, err := sdk.Decode[config](req.Config)
	if err != nil {
		return nil, err
	}
	var made Thing
	err = p.cloud.do(func(c *contents) error {
		if err := c.fault("create", req.Name, false); err != nil {
			return err
		}
		t := c.find(req.Type, "", req.IdempotencyKey, req.Name, nil)
		switch {
		case t == nil:
			owner := req.Ownership
			t = &Thing{Type: req.Type, ID: c.id(req.Type), Name: req.Name, Key: req.IdempotencyKey, Owner: &owner, Config: conf}
			if conf.Untagged {
				t.Owner = nil
			}
			c.Things = append(c.Things, t)
		case t.Key != req.IdempotencyKey:
			return sdk.Errorf(sdk.CodeAlreadyExists, "the cloud has %s %q already", req.Type, req.Name)
		}
		made = *t
		return c.fault("create", req.Name, true)
	})
	if made.ID != "" {
		if assigned := report.Assigned(made.ID); assigned != nil {
			return nil, assigned
		}
	}
	if err != nil {
		return nil, err
	}
	return &sdk.CreateResponse{ID: made.ID, Outputs: p.cloud.outputs(&made)}, nil
}

// masked is a configuration as it may be written down.
func masked(c sdk.Config) string {
	if len(c.Sensitive) > 0 {
		return "(holds a secret)"
	}
	return string(c.Bytes())
}

// Read implements sdk.Provider. A thing of the name that is another's is
// reported with its owner.
func (p *provider) Read(_ context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "read", Type: req.Type, ID: req.ID, Name: req.Name, Owner: &req.Ownership})
	var res *sdk.ReadResponse
	err := p.cloud.do(func(c *contents) error {
		if err := c.fault("read", req.Name, false); err != nil {
			return err
		}
		t := c.find(req.Type, req.ID, req.IdempotencyKey, req.Name, req.Except)
		if t == nil {
			return sdk.Errorf(sdk.CodeNotFound, "the cloud has no %s %q", req.Type, cmp.Or(req.ID, req.Name))
		}
		res = &sdk.ReadResponse{ID: t.ID, Name: t.Name, Outputs: p.cloud.outputs(t), Config: t.readable(), Owner: t.Owner, Healthy: t.Sick == "", Reason: t.Sick}
		return nil
	})
	return res, err
}

// Update implements sdk.Provider.
func (p *provider) Update(_ context.Context, req *sdk.UpdateRequest, _ sdk.Reporter) (*sdk.UpdateResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "update", Type: req.Type, ID: req.ID, Name: req.Name, Owner: &req.Ownership, Config: masked(req.Config)})
	conf, err := sdk.Decode[config](req.Config)
	if err != nil {
		return nil, err
	}
	var res *sdk.UpdateResponse
	err = p.cloud.do(func(c *contents) error {
		if err := c.fault("update", req.Name, false); err != nil {
			return err
		}
		t := c.find(req.Type, req.ID, "", "", nil)
		if t == nil {
			return sdk.Errorf(sdk.CodeNotFound, "the cloud has no %s", req.ID)
		}
		owner := req.Ownership
		t.Config, t.Owner, t.Sick = conf, &owner, ""
		if conf.Untagged {
			t.Owner = nil
		}
		res = &sdk.UpdateResponse{ID: t.ID, Outputs: p.cloud.outputs(t)}
		return c.fault("update", req.Name, true)
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// Delete implements sdk.Provider.
func (p *provider) Delete(_ context.Context, req *sdk.DeleteRequest, _ sdk.Reporter) (*sdk.DeleteResponse, error) {
	if req == nil {
		return nil, errNil
	}
	p.cloud.note(Request{Op: "delete", Type: req.Type, ID: req.ID, Name: req.Name, Owner: &req.Ownership})
	err := p.cloud.do(func(c *contents) error {
		if err := c.fault("delete", req.Name, false); err != nil {
			return err
		}
		t := c.find(req.Type, req.ID, "", req.Name, nil)
		if t == nil {
			return nil
		}
		if users := c.users(t); len(users) > 0 {
			return &sdk.Error{Code: sdk.CodeConflict, Message: t.Type + " " + t.Name + " is in use", Blockers: users}
		}
		if t.Config.Protected {
			return sdk.Errorf(sdk.CodeUnauthorised, "%s %s is protected", t.Type, t.Name)
		}
		t.Gone, t.Lasts = true, t.Config.Lingers
		return c.fault("delete", req.Name, true)
	})
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteResponse{}, nil
}
