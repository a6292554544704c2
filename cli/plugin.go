package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
	"github.com/gocodealone/wfctl/ui"
)

// pluginDeps is what the commands about plugins need of the program.
type pluginDeps struct {
	stdout, stderr io.Writer
	json           func() bool
	// project opens the project's manifest and lockfile.
	project func() (*lock.Project, error)
	// applications are the application files that exist, the chosen one first.
	applications func() []string
	// confirm asks a person; nil where nobody sits there.
	confirm func(ctx context.Context, question string) (bool, error)
}

// plugins are the dependencies of the commands about plugins.
func (a *App) plugins() pluginDeps {
	d := pluginDeps{
		stdout: a.Stdout, stderr: a.Stderr, json: func() bool { return a.flags.json },
		applications: a.applicationFiles,
		project: func() (*lock.Project, error) {
			return lock.Open(lock.Options{Dir: a.manifestDir(), Getenv: a.Getenv, Warn: a.warn, Progress: a.progress})
		},
	}
	if a.Interactive {
		d.confirm = func(ctx context.Context, question string) (bool, error) {
			return ui.Confirm(ctx, a.Stdin, a.Stderr, question)
		}
	}
	return d
}

// manifestDir is the folder of wfctl.yaml: --project-dir, else that of the
// application file.
func (a *App) manifestDir() string {
	if a.flags.projectDir != "" {
		return a.inDir(a.flags.projectDir)
	}
	if a.flags.config != "" {
		return filepath.Dir(a.inDir(a.flags.config))
	}
	return a.inDir(".")
}

func (a *App) applicationFiles() []string {
	names := []string{"app.yaml", "infra.yaml"}
	if a.flags.config != "" {
		names = []string{a.flags.config}
	}
	var found []string
	for _, name := range names {
		path := a.inDir(name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			found = append(found, path)
		}
	}
	return found
}

func (a *App) warn(f *fault.Error) {
	text := "Warning: " + f.Error()
	if f.Hint != "" {
		text += "\n  " + f.Hint
	}
	_, _ = fmt.Fprintln(a.Stderr, text)
}

func (a *App) progress(text string) {
	if a.flags.verbose && !a.flags.json {
		_, _ = fmt.Fprintln(a.Stderr, text)
	}
}

// pluginCommand holds the commands about plugins; more are those of others.
func pluginCommand(d pluginDeps, more ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Provider plugins: pin, lock, install, verify",
		Long: `Provider plugins are pinned to exact versions in wfctl.yaml. .wfctl-lock.yaml
holds what those versions are, for every platform: the hash of each archive and
executable, and who signed them. What is installed and run is what is locked.
Commit both files.`,
	}
	cmd.AddCommand(
		pluginAdd(d), pluginRemove(d), pluginUpdate(d), pluginLock(d),
		pluginInstall(d), pluginList(d), pluginVerify(d), pluginWhy(d),
	)
	cmd.AddCommand(more...)
	return cmd
}

// print writes a result: as JSON, or as human says.
func (d pluginDeps) print(v any, human func() error) error {
	if !d.json() {
		return human()
	}
	enc := json.NewEncoder(d.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// say writes a line of a result for people.
func (d pluginDeps) say(format string, args ...any) error {
	_, err := fmt.Fprintf(d.stdout, format+"\n", args...)
	return err
}

// changes prints what happened to pins.
func (d pluginDeps) changes(list []lock.Change) error {
	if list == nil {
		list = []lock.Change{}
	}
	return d.print(list, func() error {
		for _, c := range list {
			if err := d.say("%s", describeChange(c)); err != nil {
				return err
			}
		}
		return nil
	})
}

func describeChange(c lock.Change) string {
	switch {
	case c.To == "":
		return fmt.Sprintf("%s %s removed", c.Name, c.From)
	case c.From == c.To:
		return fmt.Sprintf("%s %s is locked", c.Name, c.To)
	}
	text := fmt.Sprintf("%s %s locked", c.Name, c.To)
	if c.From != "" {
		text = fmt.Sprintf("%s %s -> %s locked", c.Name, c.From, c.To)
	}
	if c.Signer != "" {
		text += ", signed by " + c.Signer
	}
	return text
}
