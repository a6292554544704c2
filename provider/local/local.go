package local

import (
	"context"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// Options say what the provider uses of the machine it runs on. The zero
// value is right for wfctl itself.
type Options struct {
	// SupervisorCommand starts the supervisor: a program and its first
	// arguments; what [Supervise] takes is appended. Empty means this
	// executable with the argument "__supervise".
	SupervisorCommand []string
	// RuntimeDir is where sockets live; it should be short. Empty means
	// $XDG_RUNTIME_DIR/wfctl, else a folder of the system's temporary one.
	RuntimeDir string
	// Version is reported in the schema.
	Version string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// LookPath finds programs (redis-server, postgres, docker); nil means
	// exec.LookPath.
	LookPath func(name string) (string, error)
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LookPath == nil {
		o.LookPath = exec.LookPath
	}
	if len(o.SupervisorCommand) == 0 {
		if exe, err := os.Executable(); err == nil {
			o.SupervisorCommand = []string{exe, "__supervise"}
		}
	}
	return o
}

type provider struct{ opts Options }

// New makes the provider.
func New(o Options) sdk.Provider { return &provider{opts: o.withDefaults()} }

var errNotYet = sdk.Errorf(sdk.CodeUnsupported, "provider local is being built")

func (p *provider) Schema(context.Context) (*sdk.Schema, error) {
	return &sdk.Schema{Name: "local", Version: p.opts.Version}, nil
}

func (p *provider) Configure(context.Context, *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	return &sdk.ConfigureResponse{}, nil
}

func (p *provider) Validate(context.Context, *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	return &sdk.ValidateResponse{}, nil
}

func (p *provider) Diff(context.Context, *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return &sdk.DiffResponse{}, nil
}

func (p *provider) Create(context.Context, *sdk.CreateRequest, sdk.Reporter) (*sdk.CreateResponse, error) {
	return nil, errNotYet
}

func (p *provider) Read(context.Context, *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	return nil, errNotYet
}

func (p *provider) Update(context.Context, *sdk.UpdateRequest, sdk.Reporter) (*sdk.UpdateResponse, error) {
	return nil, errNotYet
}

func (p *provider) Delete(context.Context, *sdk.DeleteRequest, sdk.Reporter) (*sdk.DeleteResponse, error) {
	return nil, errNotYet
}

// Supervise is the supervisor's process: it returns when its last service
// was removed, or when ctx ends and everything has been stopped. Its log goes
// to stderr.
func Supervise(ctx context.Context, args []string, stderr io.Writer) error {
	return errNotYet
}
