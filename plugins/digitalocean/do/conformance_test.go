package do

import (
	"context"
	"maps"
	"testing"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
	"github.com/gocodealone/wfctl/sdk/sdktest"
	"github.com/gocodealone/wfctl/sdk/wire"
)

// fixture is a resource of the conformance suite, with what it needs around it.
type fixture struct {
	sdktest.Resource
	// around is made before, by hand.
	around func(c *cloud)
}

// fixtures has one for each type; a line for each.
func fixtures() []fixture {
	return append([]fixture{
		balancerFixture(),
		cacheFixture(),
		certificateFixture(),
		databaseFixture(),
		dnsFixture(),
		dropletFixture(),
		firewallFixture(),
		kubernetesFixture(),
		volumeFixture(),
		vpcFixture(),
	}, platformFixtures()...)
}

// Every type keeps to the contract, in process and over the wire.
func TestConformance(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	suite := sdktest.Suite{
		Name: Name, Only: true, Configure: *configureFor(c.fake),
		New: func(context.Context) (sdk.Provider, error) { return newProvider(t, c.fake), nil },
	}
	for _, f := range fixtures() {
		if f.around != nil {
			f.around(c)
		}
		suite.Resources = append(suite.Resources, f.once())
	}
	// The suite's request that is not whole has no token.
	suite.Configure.Project, suite.Configure.Environment = "", ""
	sdktest.Run(t, suite)
	sdktest.Run(t, suite.Over("over the wire", func(ctx context.Context, p sdk.Provider) (sdk.Provider, error) {
		return wire.Loop(ctx, p, wire.LoopOptions{})
	}))
}

// once leaves out, for all types but one, the check that takes half the time:
// what it tries is shared.
func (f fixture) once() sdktest.Resource {
	if f.Type == infra.TypeVPC {
		return f.Resource
	}
	skip := map[string]string{"configuration of 8 MiB": "tried with infra.vpc: the same code decodes every type"}
	maps.Copy(skip, f.Skip)
	f.Skip = skip
	return f.Resource
}

// Every type of the table has a fixture.
func TestEveryTypeIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, f := range fixtures() {
		tried[f.Type] = true
	}
	for _, k := range types() {
		if name := k.schema().Name; !tried[name] {
			t.Errorf("%s has no fixture", name)
		}
	}
}
