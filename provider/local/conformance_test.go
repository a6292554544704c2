//go:build unix

package local_test

import (
	"context"
	"os"
	"testing"

	"github.com/gocodealone/wfctl/provider/local"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/sdktest"
	"github.com/gocodealone/wfctl/sdk/wire"
)

func TestConformance(t *testing.T) {
	suite := sdktest.Suite{Name: "local", Only: true, New: func(context.Context) (sdk.Provider, error) {
		return local.New(local.Options{SupervisorCommand: []string{os.Args[0], "__supervise"}}), nil
	}, Resources: []sdktest.Resource{
		{Type: "infra.storage", Config: []byte(`{}`)}, {Type: "infra.database", Config: []byte(`{"engine":"sqlite"}`)},
		{Type: "infra.vpc", Config: []byte(`{"ip_range":"10.0.0.0/16"}`)}, {Type: "infra.dns", Config: []byte(`{"zone":"example.test"}`)},
		{Type: "infra.certificate", Config: []byte(`{"domains":["example.test"]}`)}, {Type: "infra.firewall", Config: []byte(`{}`)},
	}}
	sdktest.Run(t, suite)
	sdktest.Run(t, suite.Over("over the wire", func(ctx context.Context, p sdk.Provider) (sdk.Provider, error) {
		return wire.Loop(ctx, p, wire.LoopOptions{})
	}))
}
