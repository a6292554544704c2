// Program fakecloudplugin is the fake cloud's provider as a plugin, for the
// tests of the command line.
package main

import (
	"github.com/gocodealone/wfctl/internal/fakecloud"
	"github.com/gocodealone/wfctl/sdk/wire"
)

func main() { wire.Serve(fakecloud.New(nil)) }
