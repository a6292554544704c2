package do

import (
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
	"github.com/gocodealone/wfctl/sdk/sdktest"
)

func kubernetesFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type: infra.TypeK8sCluster, Config: []byte(`{"version":"1.33","node_pools":[{"name":"main","size":"s","count":2}],"provider_specific":{"tags":["blue"],"pools":{"main":{"labels":{"a":"b"}}}}}`),
		Update: []byte(`{"version":"1.34","auto_upgrade":true,"maintenance":{"day":"sunday","hour":"3:00"},"node_pools":[{"name":"main","size":"s","autoscaling":{"min":1,"max":3}},{"name":"more","size":"xs"}]}`),
	}}
}

func TestKubernetes(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	net := c.make(infra.TypeVPC, "net", `{}`)
	db := c.make(infra.TypeDatabase, "db", `{"engine":"postgres","trusted_sources":["cluster"]}`)
	k := c.make(infra.TypeK8sCluster, "cluster", `{"version":"1.32","vpc_ref":"net","ha":true,"node_pools":[{"name":"main","size":"s","count":2},{"name":"gone"}]}`)
	k.noDrift()
	db.noDrift()
	if !strings.Contains(string(k.outputs["kubeconfig"].Reveal()), "current-context") || k.text("ca_certificate") == "" || k.text("vpc_id") != net.id {
		t.Errorf("outputs %v", k.outputs)
	}
	t.Run("in place", func(t *testing.T) {
		k.name = "cluster-2"
		// Two minor versions, other machines, and one pool less.
		k.change(`{"version":"1.34","vpc_ref":"net","ha":true,"node_pools":[{"name":"main","size":"l","count":3}],"provider_specific":{"registry":true,"surge_upgrade":false}}`)
		k.noDrift()
		now, _, err := c.api.Kubernetes.Get(t.Context(), k.id)
		if err != nil || now.VersionSlug != "1.34.1-do.0" || len(now.NodePools) != 1 || now.NodePools[0].Size != "s-4vcpu-8gb" || !now.RegistryEnabled || now.Name != "cluster-2" {
			t.Errorf("%+v %v", now, err)
		}
	})
	t.Run("drift is seen", func(t *testing.T) {
		now, _, err := c.api.Kubernetes.Get(t.Context(), k.id)
		if err != nil {
			t.Fatal(err)
		}
		a := &account{api: c.api, clock: movingClock{c.fake}}
		if err := a.send(t.Context(), "PUT", "v2/kubernetes/clusters/"+k.id+"/node_pools/"+now.NodePools[0].ID, map[string]any{"name": "main", "count": 1}, nil, "shrink"); err != nil {
			t.Fatal(err)
		}
		k.drifts("node_pools")
		k.change(k.config)
		k.noDrift()
	})
	// The nodes are Droplets, but not of wfctl.
	res, err := c.p.(sdk.Lister).List(t.Context(), &sdk.ListRequest{Type: infra.TypeDroplet, Project: "shop"})
	if err != nil || len(res.Resources) != 0 {
		t.Errorf("%v %v", res, err)
	}
	k.remove()
	db.remove()
	net.remove()
	c.empty()
}

func TestNewest(t *testing.T) {
	have := []string{"1.33.5-do.0", "1.32.9-do.0", "1.34.1-do.0", "1.33.10-do.1"}
	for asked, want := range map[string]string{
		"": "1.34.1-do.0", "latest": "1.34.1-do.0", "1.33": "1.33.10-do.1", "1.33.5": "1.33.5-do.0", "1.32.9-do.0": "1.32.9-do.0", "1.3": "", "1.35": "",
	} {
		if got := newest(have, asked); got != want {
			t.Errorf("%q is %q, not %q", asked, got, want)
		}
	}
}
