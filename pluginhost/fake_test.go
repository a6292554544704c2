package pluginhost

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/wire"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv("WFCTL_PLUGIN") != "":
		wire.Serve(&fake{})
	case os.Getenv("FAKE_HOST") != "":
		beHost()
	default:
		goleak.VerifyTestMain(m)
	}
}

// fake is a plugin that does what the name of a resource asks for.
type fake struct{ configured string }

func (f *fake) Schema(context.Context) (*sdk.Schema, error) {
	return &sdk.Schema{
		Name: "fake", Version: "1", Environment: []string{"FAKE_TOKEN"},
		Types: []sdk.ResourceSchema{{Name: "fake.thing", Config: json.RawMessage(`{}`)}},
	}, nil
}

func (f *fake) Configure(_ context.Context, req *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	switch req.Project {
	case "no token":
		return nil, sdk.Errorf(sdk.CodeUnauthorised, "missing token").WithHint("set FAKE_TOKEN")
	case "exit":
		fmt.Fprintln(os.Stderr, "missing token: set FAKE_TOKEN")
		os.Exit(4)
	}
	f.configured = req.Project
	return &sdk.ConfigureResponse{}, nil
}

func (f *fake) Validate(context.Context, *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	return &sdk.ValidateResponse{}, nil
}

func (f *fake) Diff(context.Context, *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	return &sdk.DiffResponse{}, nil
}

func (f *fake) Read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	switch req.Name {
	case "hang":
		select {}
	case "die":
		for i := range 50 {
			fmt.Fprintln(os.Stderr, "line", i)
		}
		os.Exit(9)
	case "bug":
		return nil, fmt.Errorf("index out of range")
	}
	return &sdk.ReadResponse{ID: "x", Outputs: sdk.Outputs{
		"pid": sdk.Out(os.Getpid()), "env": sdk.Out(os.Environ()), "configured": sdk.Out(f.configured),
	}}, nil
}

func (f *fake) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if err := report.Assigned("id-" + req.Name); err != nil {
		return nil, err
	}
	switch req.Name {
	case "hang":
		select {}
	case "wait":
		report.Log("waiting")
		<-ctx.Done()
		return nil, ctx.Err()
	case "panic":
		go func() { panic("deep inside") }()
		select {}
	case "child":
		cmd := exec.Command("/bin/sleep", "60")
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return &sdk.CreateResponse{ID: fmt.Sprint(cmd.Process.Pid)}, nil
	}
	return &sdk.CreateResponse{ID: "id-" + req.Name}, nil
}

func (f *fake) Update(context.Context, *sdk.UpdateRequest, sdk.Reporter) (*sdk.UpdateResponse, error) {
	return &sdk.UpdateResponse{}, nil
}

func (f *fake) Delete(context.Context, *sdk.DeleteRequest, sdk.Reporter) (*sdk.DeleteResponse, error) {
	return &sdk.DeleteResponse{}, nil
}

func (f *fake) Health(context.Context, *sdk.HealthRequest) (*sdk.HealthResponse, error) {
	return &sdk.HealthResponse{Status: sdk.Healthy}, nil
}

// self is this test as a plugin.
func self(t testing.TB) Plugin {
	t.Helper()
	sum, err := Checksum(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return Plugin{Name: "fake", Version: "v1.2.3", Executable: path, SHA256: sum}
}

func newHost(t testing.TB, o Options) *Host {
	t.Helper()
	inner := o.Getenv
	o.Getenv = func(name string) (string, bool) {
		switch {
		case name == "FAKE_TOKEN":
			return "s3cret", true
		case inner != nil:
			return inner(name)
		}
		return "", false
	}
	if o.Grace == 0 {
		o.Grace = 3 * time.Second
	}
	h := New(o)
	t.Cleanup(func() {
		// Under -race an end takes a second: too long for the impatient.
		if err := h.Close(context.Background()); err != nil && o.Grace > time.Second {
			t.Error(err)
		}
	})
	return h
}

func read(t testing.TB, p sdk.Provider) (pid, env, configured string) {
	t.Helper()
	r, err := p.Read(t.Context(), &sdk.ReadRequest{Type: "fake.thing", Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	return r.Outputs["pid"].String(), r.Outputs["env"].String(), strings.Trim(r.Outputs["configured"].String(), `"`)
}

func configure(t testing.TB, p sdk.Provider, project string) {
	t.Helper()
	if _, err := p.Configure(t.Context(), &sdk.ConfigureRequest{Project: project}); err != nil {
		t.Fatal(err)
	}
}

// ids is a Reporter that keeps identifiers.
type ids struct {
	got chan string
}

func (i ids) Assigned(id string) error { i.got <- id; return nil }
func (i ids) Progress(string, float64) {}
func (i ids) Log(string)               {}
func (i ids) Warn(sdk.Diagnostic)      {}
func newIDs() ids                      { return ids{make(chan string, 10)} }
func create(name string) *sdk.CreateRequest {
	return &sdk.CreateRequest{Type: "fake.thing", Name: name}
}
