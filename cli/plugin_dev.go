package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pluginhost"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/sdktest"
)

// The commands for those who write a plugin.

func (a *App) pluginInit() *cobra.Command {
	var o pluginhost.CreateOptions
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Begin a plugin of your own",
		Long: `Make a folder with a plugin that works: one resource type, its fixtures and its
test. Its provider is called as what follows the last hyphen of NAME.

Exit status: 0 done; 1 failed; 2 refused or wrong usage.`,
		Example: "  wfctl plugin init workflow-plugin-acme\n  wfctl plugin init plugin-acme --module github.com/acme/plugin-acme --sdk-dir ../wfctl/sdk",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Name = args[0]
			return a.runPluginInit(o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "into", "", "`FOLDER` to make (default: NAME)")
	f.StringVar(&o.Module, "module", "", "Go module `PATH` (default example.com/NAME)")
	f.StringVar(&o.SDK, "sdk", "", "`VERSION` of the SDK to require")
	f.StringVar(&o.SDKDir, "sdk-dir", "", "`FOLDER` of a clone to take the SDK from")
	return cmd
}

func (a *App) runPluginInit(o pluginhost.CreateOptions) error {
	if o.Dir == "" {
		o.Dir = o.Name
	}
	shown := o.Dir
	o.Dir = a.inDir(o.Dir)
	if o.SDKDir != "" {
		dir, err := filepath.Abs(a.inDir(o.SDKDir))
		if err != nil {
			return fault.Wrap(fault.Environment, err, "find %s", o.SDKDir)
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			return fault.Wrap(fault.NotFound, err, "there is no SDK in %s", o.SDKDir).WithHint("--sdk-dir names the folder sdk of a clone of wfctl")
		}
		o.SDKDir = dir
	}
	files, err := pluginhost.Create(o)
	if err != nil {
		return err
	}
	d := a.plugins()
	return d.print(map[string]any{"folder": shown, "files": files}, func() error {
		return d.say("Made %s:\n  %s\n\nNext: wfctl plugin test %s", shown, strings.Join(files, "\n  "), asPath(shown))
	})
}

// asPath writes a relative folder so that it is not taken for a name.
func asPath(dir string) string {
	if filepath.IsAbs(dir) || strings.HasPrefix(dir, ".") {
		return dir
	}
	return "./" + dir
}

// pluginTrial is what `plugin test` was told.
type pluginTrial struct {
	path, fixtures string
	timeout        time.Duration
}

func (a *App) pluginTest() *cobra.Command {
	var t pluginTrial
	cmd := &cobra.Command{
		Use:   "test PATH",
		Short: "Try a plugin against the contract",
		Long: `Run the conformance suite on a plugin as wfctl would run it: PATH is a folder
with a Go program, which is built, or an executable. What it makes is real, and
is removed again. conformance.json beside the plugin holds the resources to try;
types that it does not name are tried with what their schema suggests.

Exit status: 0 it keeps to the contract; 1 it does not; 2 wrong usage.`,
		Example: "  wfctl plugin test .\n  wfctl plugin test ./my-plugin --fixtures ./staging.json --timeout 10m",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.path = args[0]
			return a.runPluginTest(cmd.Context(), t)
		},
	}
	cmd.Flags().StringVar(&t.fixtures, "fixtures", "", "`FILE` of resources to try (default: "+sdktest.FixtureFile+" beside the plugin)")
	cmd.Flags().DurationVar(&t.timeout, "timeout", time.Minute, "how long one operation may take")
	return cmd
}

func (a *App) runPluginTest(ctx context.Context, t pluginTrial) error {
	report, err := a.tryPlugin(ctx, t)
	if err != nil {
		return err
	}
	d := a.plugins()
	if err := d.print(report, func() error { return report.Write(a.Stdout) }); err != nil {
		return err
	}
	if n := len(report.Failed()); n > 0 {
		return fault.New(fault.Provider, "%s fails %d of %d checks", report.Suite, n, len(report.Results)).
			WithHint("docs/plugins.md says what each method owes")
	}
	return nil
}

func (a *App) tryPlugin(ctx context.Context, t pluginTrial) (report *sdktest.Report, err error) {
	path := a.inDir(t.path)
	plugin, cleanup, err := pluginhost.Build(ctx, path)
	if err != nil {
		return nil, err
	}
	defer cleanup()
	work, err := os.MkdirTemp("", "wfctl-plugin-test-")
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "make a folder to work in")
	}
	defer func() { _ = os.RemoveAll(work) }()
	log := func(string, string) {}
	if a.flags.verbose {
		log = func(_, line string) { a.progress(line) }
	}
	host := pluginhost.New(pluginhost.Options{Getenv: a.Getenv, Version: a.Kinds.Version, Log: log})
	defer func() {
		if failed := host.Close(context.WithoutCancel(ctx)); err == nil {
			err = failed
		}
	}()
	suite := sdktest.Suite{
		Name: plugin.Name, Way: "as a process", Timeout: t.timeout,
		Configure: sdk.ConfigureRequest{WorkDir: work, BaseDir: work},
		New:       func(context.Context) (sdk.Provider, error) { return host.Provider(plugin), nil },
	}
	if err := suite.Load(a.fixtures(path, t.fixtures)); err != nil {
		return nil, fault.Wrap(fault.Config, err, "read the fixtures")
	}
	if report, err = sdktest.Check(ctx, suite); err != nil {
		return nil, fault.Wrap(fault.Provider, err, "%s cannot be tried", plugin.Name)
	}
	return report, nil
}

// fixtures is the file of the resources to try.
func (a *App) fixtures(path, named string) string {
	if named != "" {
		return a.inDir(named)
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	return filepath.Join(path, sdktest.FixtureFile)
}

// pluginDevelopment are the commands for those who write one.
func (a *App) pluginDevelopment() []*cobra.Command {
	return []*cobra.Command{a.pluginInit(), a.pluginTest()}
}
