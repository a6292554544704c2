// Command workflow-plugin-digitalocean is wfctl's plugin for DigitalOcean.
// wfctl starts it; docs/digitalocean.md is its manual.
package main

import (
	"github.com/gocodealone/wfctl/plugins/digitalocean/do"
	"github.com/gocodealone/wfctl/sdk/wire"
)

// version is set by who builds a release.
var version = "v0.0.0-dev"

func main() { wire.Serve(do.New(do.Options{Version: version})) }
