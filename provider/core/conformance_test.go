//go:build unix

package core

import (
	"context"
	"testing"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/sdktest"
	"github.com/gocodealone/wfctl/sdk/wire"
)

func TestConformance(t *testing.T) {
	file := t.TempDir() + "/a"
	suite := sdktest.Suite{Name: "core", New: func(context.Context) (sdk.Provider, error) { return New(), nil }, Resources: []sdktest.Resource{
		{Type: TypeData, Config: []byte(`{"values": {"a": 1, "b": "two"}}`), Update: []byte(`{"values": {"a": 2}}`)},
		{Type: TypeCommand, Config: []byte(`{"create": ["/usr/bin/touch", "` + file + `"], "read": ["/usr/bin/test", "-e", "` + file + `"], "delete": ["/bin/rm", "-f", "` + file + `"]}`)},
	}}
	sdktest.Run(t, suite)
	sdktest.Run(t, suite.Over("over the wire", func(ctx context.Context, p sdk.Provider) (sdk.Provider, error) {
		return wire.Loop(ctx, p, wire.LoopOptions{})
	}))
}
