// Command wfctl-temporal is wfctl with the client of Temporal in it. wfctl
// starts it for what needs that, and it can be installed in wfctl's place.
package main

import (
	"os"

	"github.com/gocodealone/wfctl/builtin/clustered"
	"github.com/gocodealone/wfctl/cli"
	_ "github.com/gocodealone/wfctl/internal/startup"
)

func main() {
	os.Exit(cli.Main(clustered.Kinds(), os.Args[1:]))
}
