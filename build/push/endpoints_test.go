package push_test

import (
	"testing"

	"github.com/gocodealone/wfctl/build/push"
	"github.com/gocodealone/wfctl/build/push/pushtest"
	"github.com/gocodealone/wfctl/registry"
)

// A registry that is reached elsewhere keeps its name in what is pushed.
func TestARegistryThatIsReachedElsewhere(t *testing.T) {
	r := pushtest.Start(t, &pushtest.Registry{User: "u", Password: "p"})
	p := pusher()
	done(t, p)
	base := p.Transport
	var err error
	if p.Transport, err = registry.Endpoints(base, "registry.example.com="+r.URL+", other.example=https://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	tgt := target(r, "r")
	tgt.Repository = "registry.example.com/acme/app"
	receipts, err := p.Push(t.Context(), push.Job{Content: image(t, layer(t, 1000)), Targets: []push.Target{tgt}, Tags: []string{"x"}})
	if err != nil || receipts[0].Repository != "registry.example.com/acme/app" || len(r.Tags()) != 1 {
		t.Errorf("%+v, %v; tags %v", receipts, err, r.Tags())
	}
	for _, bad := range []string{"x", "x=", "=http://a", "a=ftp://b", "a=http://b/path"} {
		if _, err := registry.Endpoints(base, bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if same, err := registry.Endpoints(base, ""); err != nil || same != base {
		t.Error("an empty list changes something")
	}
	p.Transport = base
}
