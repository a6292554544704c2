package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
)

// The actions that generated workflows use, pinned to commits.
const (
	checkoutAction = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"
	setupAction    = "gocodealone/wfctl/.github/actions/setup-wfctl"
)

const deployWorkflow = `# Made by: wfctl ci generate github
name: deploy
on:
  push: {branches: [main]}
  workflow_dispatch:
concurrency: deploy-%[1]s
permissions: {contents: read, packages: write%[5]s}
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: %[1]s
    timeout-minutes: 60
    steps:
      - uses: %[2]s
      - uses: %[3]s
      - run: wfctl ci run --phase build,migrate,deploy,verify --env %[1]s --approve
        env: {GITHUB_TOKEN: "${{ github.token }}"%[4]s}
`

const teardownWorkflow = `# Made by: wfctl ci generate github
name: teardown
on:
  workflow_dispatch:
    inputs: {confirm: {description: "Write %[1]s to remove it", required: true, type: string}}
concurrency: deploy-%[1]s
permissions: {contents: read}
jobs:
  teardown:
    if: inputs.confirm == '%[1]s'
    runs-on: ubuntu-latest
    environment: %[1]s
    steps:
      - uses: %[2]s
      - uses: %[3]s
      - run: wfctl down --env %[1]s --approve
        env: {GITHUB_TOKEN: "${{ github.token }}"%[4]s}
`

type generateOptions struct {
	out    string
	action string
	force  bool
}

func (a *App) ciGenerate() *cobra.Command {
	var o generateOptions
	github := &cobra.Command{
		Use:   "github",
		Short: "Write a deploy and a teardown workflow for GitHub Actions",
		Long: `Write .github/workflows/deploy-ENV.yml and teardown-ENV.yml, of about 15 lines
each, with pinned actions and the least permissions. The variables that the
application file names come from the secrets of the same name.

Exit status: 0 done; 1 failed; 2 a file is there already, or wrong usage.`,
		Example: "  wfctl ci generate github --env staging",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Only the names of the variables are wanted: a value for each
			// lets the file resolve where they are not set.
			app := *a
			app.Getenv = func(name string) (string, bool) {
				if v, ok := a.Getenv(name); ok || isGiven(name) {
					return v, ok
				}
				return "unknown", true
			}
			return app.opened(cmd.Context(), func(p *engine.Project) error { return a.generateGitHub(p, o) })
		},
	}
	github.Flags().StringVar(&o.out, "output", "", "the `FOLDER` to write to (default: .github/workflows beside the application file)")
	github.Flags().StringVar(&o.action, "setup-action", "", "the `ACTION` that installs wfctl (default: that of this version)")
	github.Flags().BoolVar(&o.force, "force", false, "replace files that are there")
	return group("generate", "Write a CI workflow", github)
}

func (a *App) generateGitHub(p *engine.Project, o generateOptions) error {
	dir := o.out
	if dir == "" {
		dir = filepath.Join(p.Dir, ".github", "workflows")
	} else {
		dir = a.inDir(dir)
	}
	if o.action == "" {
		version := "v" + strings.TrimPrefix(a.Kinds.Version, "v")
		if a.Kinds.Version == "dev" {
			version = "main"
		}
		o.action = setupAction + "@" + version
	}
	env := p.Environment().Name()
	identity, keys, err := p.Signing()
	if err != nil {
		return err
	}
	more := ""
	if identity {
		more = ", id-token: write" // who signs the images is this job
	}
	variables := slices.Clone(p.Variables)
	for _, name := range keys {
		if !slices.Contains(variables, name) {
			variables = append(variables, name)
		}
	}
	for name, text := range map[string]string{"deploy-" + env + ".yml": deployWorkflow, "teardown-" + env + ".yml": teardownWorkflow} {
		path := filepath.Join(dir, name)
		if strings.HasPrefix(name, "deploy-") {
			text = fmt.Sprintf(text, env, checkoutAction, o.action, secretsOf(variables), more)
		} else {
			text = fmt.Sprintf(text, env, checkoutAction, o.action, secretsOf(p.Variables))
		}
		if err := writeNew(path, text, o.force); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.Stdout, path); err != nil {
			return err
		}
	}
	return nil
}

// isGiven is true for a variable that a runner has by itself, or that says
// how wfctl runs and not what the application is.
func isGiven(name string) bool {
	for _, prefix := range []string{"GITHUB_", "RUNNER_", "WFCTL_", "OTEL_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.ToUpper(name) != name
}

// secretsOf passes on what the application file reads from its environment.
func secretsOf(variables []string) string {
	var b strings.Builder
	for _, name := range variables {
		if !isGiven(name) {
			fmt.Fprintf(&b, `, %s: "${{ secrets.%s }}"`, name, name)
		}
	}
	return b.String()
}

func writeNew(path, text string, force bool) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) && !force {
		return fault.New(fault.Refused, "%s is there already", path).WithHint("--force replaces it")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fault.Wrap(fault.Environment, err, "make the folder of the workflow")
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fault.Wrap(fault.Environment, err, "write the workflow")
	}
	return nil
}
