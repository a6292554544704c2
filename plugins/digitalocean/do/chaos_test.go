package do

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// wanted is a resource of the chaos: %d is the round.
type wanted struct{ typ, name, config, change string }

// everything has one resource of each type of the infrastructure, in an order
// in which each finds what it refers to.
func everything() []wanted {
	return []wanted{
		{infra.TypeVPC, "net-%d", `{"description":"round"}`, `{"description":"another"}`},
		{infra.TypeVolume, "data-%d", `{"size":"xs","provider_specific":{"tags":["chaos"]}}`, `{"size":"m","provider_specific":{"tags":["chaos","monkey"]}}`},
		{infra.TypeDatabase, "db-%d", `{"engine":"postgres","vpc_ref":"net-%d","users":["a","b"],"databases":["x","y"],"trusted_sources":["vm-%d","10.0.0.0/8"],"maintenance":{"day":"sunday","hour":"03:00"}}`, `{"engine":"postgres","size":"m","vpc_ref":"net-%d","users":["b","c"],"databases":["x","y","z"],"trusted_sources":["vm-%d"]}`},
		{infra.TypeCache, "cache-%d", `{"vpc_ref":"net-%d","eviction_policy":"allkeys_lru"}`, `{"vpc_ref":"net-%d","size":"s","eviction_policy":"volatile_ttl"}`},
		{infra.TypeDroplet, "vm-%d", `{"image":"debian-12-x64","vpc_ref":"net-%d","volumes":["data-%d"],"backups":true}`, `{"image":"debian-12-x64","size":"m","vpc_ref":"net-%d","volumes":[],"backups":false}`},
		{infra.TypeDNS, "zone-%d", `{"zone":"round%d.example","records":[{"type":"A","name":"@","value":"203.0.113.5"},{"type":"TXT","name":"@","value":"hello"}]}`, `{"zone":"round%d.example","records":[{"type":"A","name":"@","value":"203.0.113.6"},{"type":"MX","name":"@","value":"mail.round%d.example","priority":1}]}`},
		{infra.TypeCertificate, "cert-%d", `{"domains":["www.round%d.example"]}`, ``},
		{infra.TypeLoadBalancer, "lb-%d", `{"vpc_ref":"net-%d","rules":[{"protocol":"https","port":443,"target_port":80,"certificate":"cert-%d"}],"targets":["vm-%d"]}`, `{"vpc_ref":"net-%d","size":"s","rules":[{"protocol":"tcp","port":443,"target_port":80}],"targets":["vm-%d"]}`},
		{infra.TypeFirewall, "fw-%d", `{"targets":["vm-%d"],"inbound":[{"protocol":"tcp","ports":"443","sources":["lb-%d"]}]}`, `{"targets":["vm-%d"],"inbound":[{"protocol":"tcp","ports":"22"}]}`},
		{infra.TypeK8sCluster, "k8s-%d", `{"vpc_ref":"net-%d","node_pools":[{"name":"main","count":2}]}`, `{"vpc_ref":"net-%d","node_pools":[{"name":"main","count":1},{"name":"more","size":"xs"}]}`},
	}
}

// insistent does what the host does: it repeats what was not answered or came
// too often, with the same key.
func insistent(t *testing.T, what string, do func() error) {
	t.Helper()
	var err error
	for range 20 {
		err = do()
		if code := sdk.CodeOf(err); code != sdk.CodeUnavailable && code != sdk.CodeRateLimited {
			break
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Whatever happens to the connections, nothing is made twice, nothing is left
// over, and everything is as it was asked for.
func TestNothingIsMadeTwice(t *testing.T) {
	const rounds = 20
	for round := range rounds {
		c := newCloud(t, fakedo.Options{Seed: uint64(round)})
		chaos := fakedo.Chaos{Seed: uint64(round), DropAfter: 0.25, DropBefore: 0.05, ServerError: 0.05, RateLimit: 0.05, Reads: round%2 == 1}
		var things []*made
		c.fake.SetChaos(chaos)
		for _, want := range everything() {
			name := fmt.Sprintf(want.name, round)
			m := &made{c: c, typ: want.typ, name: name, module: name, config: strings.ReplaceAll(want.config, "%d", fmt.Sprint(round)), heard: &heard{}}
			insistent(t, "create "+name, func() error {
				res, err := c.p.Create(t.Context(), c.createRequest(m.typ, m.name, m.config), m.heard)
				if err == nil {
					m.id, m.outputs = res.ID, res.Outputs
				}
				return err
			})
			things = append(things, m)
		}
		c.fake.ClearFaults()
		for _, m := range things {
			m.noDrift()
			if ids := slices.Compact(m.heard.ids); len(ids) != 1 || ids[0] != m.id {
				t.Errorf("%s: assigned were %v, made is %s", m.name, m.heard.ids, m.id)
			}
		}
		c.fake.SetChaos(chaos)
		for i, want := range everything() {
			if want.change != "" {
				next := strings.ReplaceAll(want.change, "%d", fmt.Sprint(round))
				insistent(t, "change "+things[i].name, func() error { return things[i].tryChange(next) })
			}
		}
		c.fake.ClearFaults()
		for _, m := range things {
			m.noDrift()
		}
		c.fake.SetChaos(chaos)
		for _, m := range slices.Backward(things) {
			insistent(t, "delete "+m.name, m.tryRemove)
		}
		c.fake.ClearFaults()
		c.empty()
		madeOnce(t, c.fake)
	}
}

// madeOnce says that nothing was ever made twice.
func madeOnce(t *testing.T, fake *fakedo.Server) {
	t.Helper()
	counts := fake.Made()
	maps.DeleteFunc(counts, func(what string, n int) bool {
		return strings.HasPrefix(what, "tag ") || strings.HasPrefix(what, "action ")
	})
	for what, n := range counts {
		if n != 1 && what != "vpc default-"+region {
			t.Errorf("%s was made %d times", what, n)
		}
	}
	if len(counts) < 10 {
		t.Errorf("only %d things were made", len(counts))
	}
}

// A resource that lists do not show yet, because they lag behind, is not made
// again when the answer to its making was lost.
func TestLostAnswerAndLaggingList(t *testing.T) {
	paths := map[string]string{infra.TypeVPC: "/v2/vpcs", infra.TypeVolume: "/v2/volumes", infra.TypeDroplet: "/v2/droplets", infra.TypeDatabase: "/v2/databases"}
	for _, want := range []wanted{
		{typ: infra.TypeVPC, config: `{}`}, {typ: infra.TypeVolume, config: `{}`}, {typ: infra.TypeDatabase, config: `{"engine":"valkey"}`},
		{typ: infra.TypeDroplet, config: `{"image":"debian-12-x64"}`}, // of which the platform would make a second one of the name
	} {
		for _, reads := range []int{1, 3} {
			c := newCloud(t, fakedo.Options{})
			c.fake.Inject(
				fakedo.Fault{Kind: fakedo.FaultLag, Method: http.MethodPost, Path: paths[want.typ], Reads: reads},
				fakedo.Fault{Kind: fakedo.FaultDropAfter, Method: http.MethodPost, Path: paths[want.typ]},
			)
			m := c.make(want.typ, "once", want.config)
			if n := c.fake.Count("POST " + paths[want.typ]); n != 1 {
				t.Errorf("%s was asked for %d times", want.typ, n)
			}
			m.remove()
			c.empty()
		}
	}
}

// Something that is read too early is waited for, and what the platform refuses
// is an error at once.
func TestEarlyAndRefused(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	c.fake.Inject(fakedo.Fault{Kind: fakedo.FaultLag, Method: http.MethodPost, Path: "/v2/droplets", Reads: 4})
	c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64"}`)
	for _, test := range []struct {
		fault fakedo.Fault
		code  sdk.Code
		hint  string
	}{
		{fakedo.Fault{Kind: fakedo.FaultQuota}, sdk.CodeInvalid, "the account's limit is reached"},
		{fakedo.Fault{Kind: fakedo.FaultReject, Message: "bad size"}, sdk.CodeInvalid, ""},
		{fakedo.Fault{Kind: fakedo.FaultReject, Status: 401, Message: "Unable to authenticate you"}, sdk.CodeUnauthorised, "check that the token"},
		{fakedo.Fault{Kind: fakedo.FaultReject, Status: 403, Message: "You are not authorized"}, sdk.CodeUnauthorised, "check that the token"},
		{fakedo.Fault{Kind: fakedo.FaultRateLimit, Delay: fakedo.Duration(36e11)}, sdk.CodeRateLimited, ""},
		{fakedo.Fault{Kind: fakedo.FaultError, Times: 100}, sdk.CodeUnavailable, ""},
	} {
		test.fault.Method, test.fault.Path = http.MethodPost, "/v2/volumes"
		c.fake.Inject(test.fault)
		_, err := c.try(infra.TypeVolume, "data", `{}`)
		var e *sdk.Error
		if !asError(err, &e) || e.Code != test.code || !strings.HasPrefix(e.Hint, test.hint) {
			t.Errorf("%s: %v (%s)", test.fault.Kind, err, sdk.CodeOf(err))
		}
		if test.code == sdk.CodeRateLimited && e.RetryAfter.Hours() != 1 {
			t.Errorf("wait for %s", e.RetryAfter)
		}
		if strings.Contains(fmt.Sprint(err), fakedo.Token) {
			t.Error("the token is in an error")
		}
		c.fake.ClearFaults()
	}
}

// A create-first replacement does not take the old one for the new.
func TestReplacementBesideTheOld(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	old := c.make(infra.TypeDroplet, "vm", `{"image":"debian-12-x64"}`)
	req := c.createRequest(infra.TypeDroplet, "vm", `{"image":"debian-13-x64"}`)
	req.Except = []string{old.id}
	res, err := c.p.Create(t.Context(), req, &heard{})
	if err != nil || res.ID == old.id {
		t.Fatalf("%v %v", res, err)
	}
	read, err := c.p.Read(t.Context(), &sdk.ReadRequest{Type: infra.TypeDroplet, Name: "vm", Ownership: owner("vm"), Except: []string{old.id}})
	if err != nil || read.ID != res.ID {
		t.Errorf("%v %v", read, err)
	}
	again, err := c.p.Create(t.Context(), req, &heard{})
	if err != nil || again.ID != res.ID {
		t.Errorf("again: %v %v", again, err)
	}
	// What cannot have two of a name says so, and names the way out.
	db := c.make(infra.TypeDatabase, "db", `{"engine":"mysql"}`)
	req = c.createRequest(infra.TypeDatabase, "db", `{"engine":"postgres"}`)
	req.Except = []string{db.id}
	if _, err := c.p.Create(t.Context(), req, &heard{}); sdk.CodeOf(err) != sdk.CodeAlreadyExists {
		t.Errorf("%v", err)
	}
}

// What an interrupted run made is adopted, and finished.
func TestAdoption(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	// The cluster was asked for, and the process died.
	d, _, err := c.api.Databases.Create(t.Context(), &godo.DatabaseCreateRequest{
		Name: "db", EngineSlug: "pg", SizeSlug: "db-s-1vcpu-1gb", Region: region, NumNodes: 1, Tags: ownerTags(owner("db")), Rules: []*godo.DatabaseCreateFirewallRule{},
	})
	if err != nil {
		t.Fatal(err)
	}
	db := c.make(infra.TypeDatabase, "db", `{"engine":"postgres","size":"s","users":["app"]}`)
	db.noDrift()
	if db.id != d.ID || !slices.Contains(db.heard.progress, "found the database cluster db, which is there already") {
		t.Errorf("%s is there, %s was made: %v", d.ID, db.id, db.heard.progress)
	}
	if _, err := c.try(infra.TypeDatabase, "db", `{"engine":"mysql"}`); sdk.CodeOf(err) != sdk.CodeConflict {
		t.Errorf("another engine: %v", err)
	}
}
