package main

import (
	"context"
	"testing"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/sdktest"
	"github.com/gocodealone/wfctl/sdk/wire"
)

// The plugin keeps to the contract, in process and over the wire.
func TestConformance(t *testing.T) {
	suite := sdktest.Suite{
		Name: providerName,
		New:  func(context.Context) (sdk.Provider, error) { return &provider{}, nil },
	}
	if err := suite.Load("conformance.json"); err != nil {
		t.Fatal(err)
	}
	sdktest.Run(t, suite)
	sdktest.Run(t, suite.Over("over the wire", func(ctx context.Context, p sdk.Provider) (sdk.Provider, error) {
		return wire.Loop(ctx, p, wire.LoopOptions{})
	}))
}
