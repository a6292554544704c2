// Package builtin is the table of what ships in the binary: one line per
// provider and state backend. Adding a leaf means adding a line here.
package builtin

import (
	"context"
	"os"
	"path/filepath"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/provider/core"
	"github.com/gocodealone/wfctl/provider/local"
	"github.com/gocodealone/wfctl/provider/project"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/step/golang"
)

// version is set by the release build.
var version = "dev"

// Kinds returns the tables.
func Kinds() engine.Kinds {
	return engine.Kinds{
		Version: version,
		Providers: kind.NewSet("provider", map[string]engine.ProviderFactory{
			"core":    func(engine.Host) sdk.Provider { return core.New() },
			"local":   func(engine.Host) sdk.Provider { return local.New(local.Options{}) },
			"project": newProject,
		}),
		Backends:   backends(),
		Sealing:    sealing(),
		Sinks:      sinks(),
		Registries: registries(),
		Store:      openStore,
		Events:     openEvents,
		Trace:      openTrace,
		Steps:      steps,
		Component:  func(ctx context.Context) error { return golang.Serve(ctx, os.Stdin, os.Stdout) },
		Supervise:  func(ctx context.Context, args []string) error { return local.Supervise(ctx, args, os.Stderr) },
	}
}

func newProject(h engine.Host) sdk.Provider {
	builders := build.Builders(build.Host{Keychain: keychain{h.Registries}})
	return project.New(project.Options{
		Builders: builders, BaseDir: h.BaseDir, ImagesDir: filepath.Join(h.ProjectDir, ".wfctl", "images"),
		Redactor: h.Secrets, Sinks: h.Sinks, Registries: h.Registries, Held: h.Held, Pusher: pusher(), Version: version,
	})
}
