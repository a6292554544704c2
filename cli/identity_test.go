package cli

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/secret"
)

// withoutEnvironment are the commands that ask no provider for an environment's
// resources: they work on files, images, the history or a scheduler.
var withoutEnvironment = []string{
	"completion", "docs", "help", "init", "schema", "version", "migrate plugins", "ci generate", "ui", "worker",
	"runs", "schedules",
	"build sbom", "build sign", "build verify",
	"plugin", "registry",
}

// Every command that works on an environment is in the script that renames
// everything and looks at what the provider was asked.
func TestIdentityWalksEveryCommand(t *testing.T) {
	script, err := os.ReadFile("testdata/script/identity.txtar")
	if err != nil {
		t.Fatal(err)
	}
	a := &App{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: os.LookupEnv, Secrets: secret.NewRedactor()}
	for _, path := range leaves(a.root(), "") {
		if slices.ContainsFunc(withoutEnvironment, func(p string) bool { return path == p || strings.HasPrefix(path, p+" ") }) {
			continue
		}
		if !strings.Contains(string(script), "wfctl "+path+" ") {
			t.Errorf("identity.txtar does not run `wfctl %s` (or it belongs into withoutEnvironment)", path)
		}
	}
}

// leaves lists the commands that do something, by the words that call them.
func leaves(cmd *cobra.Command, before string) (paths []string) {
	for _, sub := range cmd.Commands() {
		path := strings.TrimSpace(before + " " + sub.Name())
		switch {
		case sub.Hidden:
		case sub.HasSubCommands():
			paths = append(paths, leaves(sub, path)...)
		default:
			paths = append(paths, path)
		}
	}
	return paths
}
