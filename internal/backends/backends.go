// Package backends lists the state backends on the servers that
// scripts/services has started, each as a user would write it, with what its
// storage holds as raw bytes. It is for tests and for the torture program.
package backends

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/internal/faultproxy"
)

// Names are all backends that keep state.
var names = []string{"sqlite", "filesystem", "postgres", "s3", "gcs", "azure"}

// Names returns all backends that keep state.
func Names() []string { return append([]string(nil), names...) }

// Place is a fresh place of a backend.
type Place struct {
	Name string
	// Options are those of the module iac.state, with `backend`.
	Options map[string]any
	// Env is what a command needs in its environment, as NAME=VALUE.
	Env []string
	// Dump reads all that the storage holds at this place, by any name.
	Dump func(context.Context) (map[string][]byte, error)
	// Proxy stands before the server; nil where there is none.
	Proxy *faultproxy.Proxy
	close []func() error
}

// Close ends the proxy and drops what a server keeps apart.
func (p *Place) Close() error {
	for _, fn := range p.close {
		if err := fn(); err != nil {
			return err
		}
	}
	return nil
}

// Module is the options as a value of YAML (JSON is one).
func (p *Place) Module() string {
	raw, err := json.Marshal(p.Options)
	if err != nil {
		panic(err) // strings and booleans
	}
	return string(raw)
}

// Open makes a place of a backend. dir is the project's folder; getenv gives
// the addresses of the servers (WFCTL_TEST_…). With faults, a proxy stands
// before the server; for sqlite and filesystem there is nothing to stand
// before, and faults are an error.
func Open(ctx context.Context, name, dir string, getenv func(string) string, faults *faultproxy.Options) (*Place, error) {
	if name == "sqlite" || name == "filesystem" {
		if faults != nil {
			return nil, fmt.Errorf("%s has no network that could fail", name)
		}
		return local(name, dir), nil
	}
	variable := "WFCTL_TEST_" + strings.ToUpper(name)
	address := getenv(variable)
	if address == "" {
		return nil, fmt.Errorf("%s is not set: make services", variable)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL", variable)
	}
	unique := fmt.Sprintf("t%d", time.Now().UnixNano())
	makers := map[string]func(context.Context, *url.URL, string, *faultproxy.Options) (*Place, error){
		"postgres": openPostgres, "s3": openS3, "gcs": openGCS, "azure": openAzure,
	}
	open, ok := makers[name]
	if !ok {
		return nil, fmt.Errorf("there is no backend %q", name)
	}
	return open(ctx, u, unique, faults)
}

// through puts a proxy before a server that speaks HTTP.
func (p *Place) through(u *url.URL, faults *faultproxy.Options) (string, error) {
	server := &url.URL{Scheme: u.Scheme, Host: u.Host}
	if faults == nil {
		return server.String(), nil
	}
	proxy, err := faultproxy.HTTP(server.String(), *faults)
	if err != nil {
		return "", err
	}
	p.Proxy, p.close = proxy, append(p.close, proxy.Close)
	server.Host = proxy.Addr
	return server.String(), nil
}
