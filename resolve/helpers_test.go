package resolve

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

const header = "version: 1\nproject: shop\nenvironments: {local: {}, prod: {vars: {domain: shop.example.com, port: 8080, tags: [a, b], deep: {er: [1, {x: y}]}}}}\n"

func mustLoad(t testing.TB, text string) *config.File {
	t.Helper()
	return loadBytes(t, []byte(text))
}

func getenv(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func mustResolve(t testing.TB, text, env string, vars map[string]string) *Set {
	t.Helper()
	set, err := Resolve(mustLoad(t, text), Options{Env: env, Getenv: getenv(vars)})
	if err != nil {
		t.Fatal(render(err))
	}
	return set
}

func nodeOf(t testing.TB, s *Set, addr resource.Address) resource.Desired {
	t.Helper()
	d, ok := s.Node(addr)
	if !ok {
		t.Fatalf("there is no node %s", addr)
	}
	return d
}

// A fakeScope answers from a map; what is not there is unknown.
type fakeScope struct {
	outputs map[resource.Ref]sdk.Output
	// hide gives sensitive values as fingerprints only.
	hide bool
	key  string
}

var errNoOutput = errors.New("there is no such output")

func (s fakeScope) Output(ref resource.Ref) (resource.Known, error) {
	if ref.Output == "never" {
		return resource.Known{}, errNoOutput
	}
	out, ok := s.outputs[ref]
	switch {
	case !ok:
		return resource.Known{Unknown: true}, nil
	case s.hide && out.Sensitive():
		return resource.Known{Fingerprint: s.Fingerprint(out.Reveal())}, nil
	}
	return resource.Known{Value: &out}, nil
}

func (s fakeScope) Fingerprint(value []byte) string {
	h := hmac.New(sha256.New, []byte("key"+s.key))
	h.Write(value)
	return "h1:" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func resolved(t testing.TB, d resource.Desired, s resource.Scope) resource.Resolved {
	t.Helper()
	r, err := d.Config().Resolve(s)
	if err != nil {
		t.Fatal(render(err))
	}
	return r
}
