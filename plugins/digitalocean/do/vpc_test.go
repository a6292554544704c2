package do

import (
	"slices"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
	"github.com/gocodealone/wfctl/sdk/sdktest"
)

func vpcFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type: infra.TypeVPC, Config: []byte(`{"region":"nyc3","description":"the shop"}`), Update: []byte(`{"region":"nyc3","description":"the new shop"}`),
	}}
}

func TestVPC(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	net := c.make(infra.TypeVPC, "net", `{"ip_range":"10.7.0.0/16","description":"the shop"}`)
	net.noDrift()
	if got := net.text("ip_range"); got != "10.7.0.0/16" {
		t.Errorf("ip_range %s", got)
	}
	if _, _, err := c.api.VPCs.Update(t.Context(), net.id, &godo.VPCUpdateRequest{Name: "net", Description: "by hand"}); err != nil {
		t.Fatal(err)
	}
	net.drifts("description")
	net.name = "net-2"
	net.change(`{"ip_range":"10.7.0.0/16","description":"the shop"}`)
	net.noDrift()
	v, _, err := c.api.VPCs.Get(t.Context(), net.id)
	if err != nil || v.Name != "net-2" {
		t.Errorf("renamed: %+v %v", v, err)
	}
	if _, o := ownerOf(v.Description); o == nil || *o != owner("net") {
		t.Errorf("the owner is %v", o)
	}
	net.remove()
	c.empty()
}

// A network that still has a member names it, and goes when that has gone.
func TestVPCWaitsForItsMembers(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	net := c.make(infra.TypeVPC, "net", `{}`)
	d, _, err := c.api.Droplets.Create(t.Context(), &godo.DropletCreateRequest{
		Name: "in-the-way", Region: region, Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "debian-12-x64"}, VPCUUID: net.id, SSHKeys: []godo.DropletCreateSSHKey{},
	})
	if err != nil {
		t.Fatal(err)
	}
	start := c.fake.Clock().Now()
	err = net.tryRemove()
	if sdk.CodeOf(err) != sdk.CodeConflict || len(blockersOf(err)) != 1 {
		t.Errorf("%v, blockers %v", err, blockersOf(err))
	}
	if passed := c.fake.Clock().Now().Sub(start); passed < 5*time.Minute {
		t.Errorf("it gave up after %s", passed)
	}
	if _, err := c.api.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	net.remove() // the address is still held for a while
	c.empty()
}

func blockersOf(err error) []string {
	var e *sdk.Error
	if asError(err, &e) {
		return e.Blockers
	}
	return nil
}

func TestVPCOfSomebodyElse(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	foreign, _, err := c.api.VPCs.Create(t.Context(), &godo.VPCCreateRequest{Name: "net", RegionSlug: region})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.try(infra.TypeVPC, "net", `{}`)
	var e *sdk.Error
	if !asError(err, &e) || e.Code != sdk.CodeAlreadyExists || e.Hint != "take it over with `wfctl infra import net "+foreign.ID+" --env staging`, or give this one another name" {
		t.Errorf("%v", err)
	}
	res, err := c.p.(sdk.Importer).Import(t.Context(), &sdk.ImportRequest{Type: infra.TypeVPC, ID: foreign.ID, Ownership: owner("net")})
	if err != nil || res.Name != "net" {
		t.Fatalf("%v %v", res, err)
	}
	again := c.make(infra.TypeVPC, "net", string(res.Config.JSON))
	again.noDrift()
	if again.id != foreign.ID {
		t.Errorf("%s was made, and %s is there", again.id, foreign.ID)
	}
	listed, err := c.p.(sdk.Lister).List(t.Context(), &sdk.ListRequest{Type: infra.TypeVPC, Project: "shop"})
	if err != nil || !slices.ContainsFunc(listed.Resources, func(r sdk.ListedResource) bool { return r.ID == foreign.ID }) {
		t.Errorf("%v %v", listed, err)
	}
}
