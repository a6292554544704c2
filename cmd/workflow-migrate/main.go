// Command workflow-migrate brings a database to the schema that a folder of
// migrations describes: the program of the container image of that name.
package main

import (
	"os"

	"github.com/gocodealone/wfctl/migrate/command"
)

// version is set by the release build.
var version = "dev"

func main() {
	os.Exit(command.Main(command.Process{
		Args: os.Args[1:], Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr, Version: version,
	}))
}
