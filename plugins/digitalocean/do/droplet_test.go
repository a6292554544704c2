package do

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
	"github.com/gocodealone/wfctl/sdk/sdktest"
)

func dropletFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type: infra.TypeDroplet, Config: []byte(`{"image":"debian-12-x64","size":"xs","user_data":"#!/bin/sh secret words","provider_specific":{"tags":["web"]}}`),
		Update: []byte(`{"image":"debian-12-x64","size":"s","user_data":"#!/bin/sh secret words","backups":true,"provider_specific":{"tags":["web","blue"]}}`),
	}}
}

func volumeFixture() fixture {
	return fixture{Resource: sdktest.Resource{
		Type: infra.TypeVolume, Config: []byte(`{"size_gib":10,"filesystem":"ext4","provider_specific":{"tags":["data"]}}`),
		Update: []byte(`{"size_gib":20,"filesystem":"ext4"}`),
	}}
}

func TestDroplet(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	net := c.make(infra.TypeVPC, "net", `{}`)
	data := c.make(infra.TypeVolume, "data", `{"size":"xs"}`)
	key, _, err := c.api.Keys.Create(t.Context(), &godo.KeyCreateRequest{Name: "me", PublicKey: "ssh-ed25519 AAAA me"})
	if err != nil {
		t.Fatal(err)
	}
	vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64","size":"xs","vpc_ref":"net","volumes":["data"],"ssh_keys":["me"],"backups":true,"ipv6":true}`)
	vm.noDrift()
	if vm.text("vpc_id") != net.id || vm.text("ip") == "" || vm.text("private_ip") == "" {
		t.Errorf("outputs %v", vm.outputs)
	}
	t.Run("a name and a size in place", func(t *testing.T) {
		vm.name = "vm-2"
		vm.change(`{"image":"debian-12-x64","size":"m","vpc_ref":"` + net.id + `","volumes":[],"backups":false,"ipv6":true}`)
		vm.noDrift()
		if got := vm.text("size_slug"); got != "s-2vcpu-4gb" || vm.text("name") != "vm-2" {
			t.Errorf("%s %s", got, vm.text("name"))
		}
	})
	t.Run("drift is seen", func(t *testing.T) {
		n, _ := strconv.Atoi(vm.id)
		if _, _, err := c.api.DropletActions.EnableBackups(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		movingClock{c.fake}.Sleep(t.Context(), 1e11)
		vm.drifts("backups")
		if _, _, err := c.api.DropletActions.PowerOff(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		movingClock{c.fake}.Sleep(t.Context(), 1e11)
		if res := vm.read(); res.Healthy || res.Reason != "it is powered off" {
			t.Errorf("%+v", res)
		}
		vm.change(vm.config)
		if res := vm.read(); !res.Healthy {
			t.Errorf("%+v", res)
		}
		vm.noDrift()
	})
	vm.remove()
	data.remove()
	net.remove()
	if _, err := c.api.Keys.DeleteByID(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	c.empty()
}

// A volume that a Droplet has says so.
func TestVolumeInUse(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	data := c.make(infra.TypeVolume, "data", `{"size_gib":10}`)
	vm := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64","volumes":["data"]}`)
	if err := data.tryRemove(); sdk.CodeOf(err) != sdk.CodeConflict || fmt.Sprint(blockersOf(err)) != "[do:droplet:"+vm.id+"]" {
		t.Errorf("%v %v", err, blockersOf(err))
	}
	vm.remove()
	data.change(`{"size_gib":30}`)
	data.noDrift()
	data.remove()
	c.empty()
}

func TestJudgements(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	for _, test := range []struct {
		typ, before, after string
		outputs            sdk.Outputs
		path               sdk.Path
		action             sdk.Action
	}{
		{infra.TypeDroplet, `{"image":"a","size":"m"}`, `{"image":"a","size":"xs"}`, sdk.Outputs{"disk_gib": sdk.Out(80)}, "/size", sdk.ActionReplace},
		{infra.TypeDroplet, `{"image":"a","size":"xs"}`, `{"image":"a","size":"m"}`, sdk.Outputs{"disk_gib": sdk.Out(25)}, "/size", ""},
		{infra.TypeDroplet, `{"image":"a","ipv6":true}`, `{"image":"a"}`, nil, "/ipv6", sdk.ActionReplace},
		{infra.TypeDroplet, `{"image":"a"}`, `{"image":"a"}`, nil, sdk.NamePath, sdk.ActionUpdate},
		{infra.TypeVolume, `{"size_gib":20}`, `{"size_gib":10}`, sdk.Outputs{"size_gib": sdk.Out(20)}, "/size_gib", sdk.ActionReplace},
		{infra.TypeVolume, `{}`, `{}`, nil, sdk.NamePath, sdk.ActionReplace},
		{infra.TypeVPC, `{}`, `{"region":"nyc3"}`, sdk.Outputs{"region": sdk.Out("nyc3")}, "/region", sdk.ActionIgnore},
		{infra.TypeVPC, `{"region":"nyc3","ip_range":"10.0.0.0/16"}`, `{}`, nil, "/ip_range", sdk.ActionIgnore},
		{infra.TypeDroplet, `{"image":"a","vpc_ref":"net"}`, `{"image":"a"}`, nil, "/vpc_ref", sdk.ActionIgnore},
		{infra.TypeVPC, `{}`, `{"region":"fra1"}`, sdk.Outputs{"region": sdk.Out("nyc3")}, "/region", ""},
	} {
		res, err := c.p.Diff(t.Context(), &sdk.DiffRequest{
			Type: test.typ, Name: "x", Config: c.config(test.typ, test.after), Changed: []sdk.Path{test.path},
			Prior: &sdk.Prior{ID: "1", Name: "x", Config: c.config(test.typ, test.before), Outputs: test.outputs},
		})
		if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != test.action {
			t.Errorf("%s %s: %+v %v", test.typ, test.path, res, err)
		}
	}
}

// What a configuration says wrongly is found before anything is asked.
func TestMistakes(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	for _, test := range mistakes() {
		res, err := c.p.Validate(t.Context(), &sdk.ValidateRequest{Type: test.typ, Name: test.name, Config: c.config(test.typ, test.config)})
		if err != nil || len(res.Diagnostics) == 0 || !strings.Contains(res.Diagnostics[0].Message, test.want) {
			t.Errorf("%s %s %s: %v %v", test.typ, test.name, test.config, res, err)
		}
	}
}

type mistake struct{ typ, name, config, want string }

func mistakes() []mistake {
	return []mistake{
		{infra.TypeVPC, "net", `{"ip_range":"10.0.0.1/16"}`, "no private network"},
		{infra.TypeVPC, "net", `{"ip_range":"8.8.0.0/16"}`, "no private network"},
		{infra.TypeVPC, "my net", `{}`, "no name of a VPC"},
		{infra.TypeVPC, "net", `{"provider_specific":{"color":1}}`, "unknown field provider_specific.color"},
		{infra.TypeDroplet, "vm", `{"image":"a","provider_specific":{"tags":["wfctl-project:other"]}}`, "wfctl's own"},
		{infra.TypeDroplet, "vm", `{"image":"a","provider_specific":{"tags":["a b"]}}`, "is no tag"},
		{infra.TypeDroplet, "vm", `{"image":"a","size":"s","provider_specific":{"size":"c-2"}}`, "twice"},
		{infra.TypeDroplet, "vm", `{"image":"a","provider_specific":{"szie":"c-2"}}`, "unknown field provider_specific.szie"},
		{infra.TypeVolume, "Data", `{}`, "no name of a volume"},
		{infra.TypeVolume, "data", `{"size":"s","size_gib":4}`, "twice"},
		{infra.TypeVolume, "data", `{"size_gib":20000}`, "at most"},
	}
}
