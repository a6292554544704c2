package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
)

// A finding is one line of `wfctl doctor`.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, note, problem
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

func (a *App) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "What is wrong here and how to mend it",
		Long: `Check the tools of this machine, the configuration and the state, and say for
each problem what to do about it. Nothing is changed.

Exit status: 0 no problem; 1 a problem was found.`,
		Example: "  wfctl doctor\n  wfctl doctor --env local",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runDoctor(cmd.Context()) },
	}
}

func (a *App) runDoctor(ctx context.Context) error {
	findings := []finding{
		checkGo(ctx), checkTool(ctx, "docker", []string{"version", "--format", "{{.Server.Version}}"}, "only `runtime: docker` needs it"),
		checkTool(ctx, "git", []string{"--version"}, "only the commit in labels needs it"), a.checkWritable(),
	}
	findings = append(findings, a.checkProject(ctx)...)
	if err := a.printFindings(findings); err != nil {
		return err
	}
	for _, f := range findings {
		if f.Status == "problem" {
			return exitStatus(1)
		}
	}
	return nil
}

func (a *App) printFindings(findings []finding) error {
	if a.flags.json {
		return a.printJSON(findings)
	}
	for _, f := range findings {
		line := fmt.Sprintf("%-8s %-14s %s", f.Status, f.Check, f.Detail)
		if _, err := fmt.Fprintln(a.Stdout, strings.TrimRight(line, " ")); err != nil {
			return err
		}
		if f.Hint != "" {
			_, _ = fmt.Fprintf(a.Stdout, "%24s%s\n", "", f.Hint)
		}
	}
	return nil
}

func checkGo(ctx context.Context) finding {
	f := checkTool(ctx, "go", []string{"version"}, "images of `builder: go` need Go on PATH: https://go.dev/dl")
	if f.Status == "note" {
		f.Status = "problem"
	}
	return f
}

// checkTool runs a tool that answers at once.
func checkTool(ctx context.Context, name string, args []string, missing string) finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	path, err := exec.LookPath(name)
	if err != nil {
		return finding{Check: name, Status: "note", Detail: "not on PATH", Hint: missing}
	}
	out, err := exec.CommandContext(ctx, path, args...).Output()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || first == "" {
		return finding{Check: name, Status: "note", Detail: "there, but does not answer", Hint: missing}
	}
	return finding{Check: name, Status: "ok", Detail: first}
}

// checkWritable tries what every command that keeps state needs.
func (a *App) checkWritable() finding {
	dir := a.inDir(".")
	if a.flags.projectDir != "" {
		dir = a.inDir(a.flags.projectDir)
	}
	probe, err := os.CreateTemp(dir, ".wfctl-doctor-*")
	if err != nil {
		return finding{Check: "folder", Status: "problem", Detail: err.Error(), Hint: "wfctl keeps .wfctl/ here: make the folder writable or use --project-dir"}
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	return finding{Check: "folder", Status: "ok", Detail: "writable"}
}

// checkProject looks at the configuration and, where an environment is
// settled, at its state.
func (a *App) checkProject(ctx context.Context) []finding {
	p, err := engine.Open(ctx, a.Kinds, a.engineOptions())
	if err != nil {
		return []finding{problem("configuration", err)}
	}
	defer p.Close(ctx) //nolint:errcheck // nothing was changed
	findings := []finding{{Check: "configuration", Status: "ok", Detail: p.File.Path + " for " + p.Environment().Name()}}
	if err := p.Validate(ctx); err != nil {
		findings = append(findings, problem("validate", err))
	}
	findings = append(findings, checkIgnored(p.Dir))
	info, err := p.StateInfo(ctx)
	if err != nil {
		return append(findings, problem("state", err))
	}
	detail := fmt.Sprintf("%s: %d resources", info.Backend, info.Resources)
	if info.Pending > 0 {
		return append(findings, finding{Check: "state", Status: "note", Detail: fmt.Sprintf("%s, %d interrupted operations", detail, info.Pending), Hint: "the next apply settles them"})
	}
	return append(findings, finding{Check: "state", Status: "ok", Detail: detail})
}

func problem(check string, err error) finding {
	first, _, _ := strings.Cut(err.Error(), "\n")
	f := finding{Check: check, Status: "problem", Detail: first}
	var fe *fault.Error
	if asFault(err, &fe) {
		f.Hint = fe.Hint
	}
	return f
}

// checkIgnored looks whether git would commit what is private to this machine.
func checkIgnored(dir string) finding {
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		return finding{Check: ".gitignore", Status: "ok", Detail: "not a git repository"}
	}
	text, _ := os.ReadFile(filepath.Join(dir, ".gitignore"))
	if strings.Contains(string(text), ".wfctl/") {
		return finding{Check: ".gitignore", Status: "ok", Detail: "leaves out .wfctl/"}
	}
	return finding{Check: ".gitignore", Status: "problem", Detail: "does not leave out .wfctl/", Hint: "add the line `/.wfctl/`: it holds state and databases of this machine"}
}
