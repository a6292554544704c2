package local

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/gocodealone/wfctl/provider/local/supervisor"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// listening is what is kept of a resource that answers on a port.
type listening struct {
	Port int `json:"port"`
}

func portOutputs() []sdk.OutputSchema {
	return []sdk.OutputSchema{output("id", "string", "identifier"), output("host", "string", "127.0.0.1"), output("port", "integer", "where it answers")}
}

// caches are redis-server where the machine has it, else miniredis inside the
// supervisor.
func (p *provider) caches() kind {
	return &typed[infra.Cache]{
		name: infra.TypeCache, dir: "caches", description: "A Redis-compatible cache: redis-server where it is installed, else one inside the supervisor.",
		out:     append(portOutputs(), output("url", "string", "redis://…"), output("connection_url", "string", "redis://…")),
		ignored: map[string]string{"region": onOneMachine, "size": "it grows as it needs", "version": "it is the one that is installed", "vpc_ref": onOneMachine, "trusted_sources": "only this machine reaches it", "maintenance": "nothing is maintained", "eviction_policy": "it is not limited"},
		slow:    60,
		make:    p.makeCache, find: p.findService, report: reportCache, clear: p.clearService,
	}
}

func (p *provider) makeCache(ctx context.Context, j *job, _ infra.Cache) error {
	spec := supervisor.Spec{Name: j.thing.ID, Server: "redis", Options: []byte("{}"), Listen: &supervisor.Listen{Port: detail[listening](j.thing).Port, Fallback: true}}
	if redis, err := p.opts.LookPath("redis-server"); err == nil {
		if err := os.MkdirAll(j.thing.path("data"), 0o700); err != nil {
			return err
		}
		port := detail[listening](j.thing).Port
		if port == 0 {
			if port, err = supervisor.FreePort(); err != nil {
				return err
			}
		}
		if err := j.thing.keep(listening{port}); err != nil {
			return err
		}
		spec = supervisor.Spec{
			Name: j.thing.ID, Recreate: true, Dir: j.thing.path("data"), Env: []string{"PATH=" + os.Getenv("PATH")},
			Command: []string{redis, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", j.thing.path("data"), "--save", "60 1"},
			Ready:   supervisor.Probe{Address: fmt.Sprintf("127.0.0.1:%d", port)},
		}
		_, err = p.up(ctx, j, spec)
		return err
	}
	st, err := p.up(ctx, j, spec)
	if err != nil {
		return err
	}
	return j.thing.keep(listening{st.Port})
}

// findService judges a resource by the service of its own name.
func (p *provider) findService(ctx context.Context, t *thing) (condition, error) {
	_, c, err := p.serviceStatus(ctx, t.ID)
	return c, err
}

func reportCache(_ context.Context, t *thing) (sdk.Outputs, error) {
	port := detail[listening](t).Port
	url := fmt.Sprintf("redis://127.0.0.1:%d", port)
	return sdk.Outputs{"id": sdk.Out(t.ID), "host": sdk.Out("127.0.0.1"), "port": sdk.Out(port), "url": sdk.Out(url), "connection_url": sdk.Out(url)}, nil
}

// registries are OCI registries inside the supervisor.
func (p *provider) registries() kind {
	return &typed[infra.Registry]{
		name: infra.TypeRegistry, dir: "registries", description: "An OCI registry on this machine, without authentication.",
		out:     append(portOutputs(), output("url", "string", "http://…"), output("repository", "string", "the prefix of image names")),
		ignored: map[string]string{"region": onOneMachine, "size": "it has the size of the disk", "tier": "there is one"},
		slow:    60,
		make:    p.makeRegistry, find: p.findService, report: reportRegistry, clear: p.clearService,
	}
}

func (p *provider) makeRegistry(ctx context.Context, j *job, _ infra.Registry) error {
	options, err := json.Marshal(registryOptions{Dir: j.thing.path("data")})
	if err != nil {
		return err
	}
	st, err := p.up(ctx, j, supervisor.Spec{Name: j.thing.ID, Server: "registry", Options: options, Listen: &supervisor.Listen{Port: detail[listening](j.thing).Port, Fallback: true}})
	if err != nil {
		return err
	}
	return j.thing.keep(listening{st.Port})
}

func reportRegistry(_ context.Context, t *thing) (sdk.Outputs, error) {
	port := detail[listening](t).Port
	host := fmt.Sprintf("127.0.0.1:%d", port)
	return sdk.Outputs{"id": sdk.Out(t.ID), "host": sdk.Out("127.0.0.1"), "port": sdk.Out(port), "url": sdk.Out("http://" + host), "repository": sdk.Out(host + "/" + t.Name)}, nil
}
