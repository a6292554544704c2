// Command wfctl takes an application from one YAML file to running, verified
// and, when asked, gone.
package main

import (
	"os"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/cli"
	_ "github.com/gocodealone/wfctl/internal/startup"
)

func main() {
	os.Exit(cli.Main(builtin.Kinds(), os.Args[1:]))
}
