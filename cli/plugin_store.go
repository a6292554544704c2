package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/lock"
	"github.com/gocodealone/wfctl/ui"
)

func pluginInstall(d pluginDeps) *cobra.Command {
	var o lock.InstallOptions
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install what the lockfile names",
		Long: `Download, verify and install the plugins of .wfctl-lock.yaml: those and no
others, all of them or none. What is in the store already is verified again.

Exit status: 0 done; 1 failed, and nothing was installed; 2 wrong usage.`,
		Example: "  wfctl plugin install\n  wfctl plugin install --offline\n  wfctl plugin install --platform darwin-arm64",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.runInstall(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.Offline, "offline", false, "use the store alone; what is not in it is an error")
	cmd.Flags().StringSliceVar(&o.Platforms, "platform", nil, "`OS-ARCH` to install for (repeatable; default: this machine's)")
	return cmd
}

func (d pluginDeps) runInstall(ctx context.Context, o lock.InstallOptions) error {
	p, err := d.project()
	if err != nil {
		return err
	}
	list, err := p.Install(ctx, o)
	if err != nil {
		return err
	}
	if list == nil {
		list = []lock.Installed{}
	}
	return d.print(list, func() error {
		if len(list) == 0 {
			return d.say("No plugins.")
		}
		for _, i := range list {
			what := "installed"
			if i.There {
				what = "is installed"
			}
			if err := d.say("%s %s (%s) %s", i.Name, i.Version, i.Platform, what); err != nil {
				return err
			}
		}
		return nil
	})
}

func pluginList(d pluginDeps) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "What is pinned, locked and installed",
		Long: `Show wfctl.yaml and .wfctl-lock.yaml side by side, what is installed, and how
each plugin is trusted: signed, checksum-only (as wfctl.yaml says), or checksums
(not signed, and nobody said that this is known).

Exit status: 0 done; 1 failed.`,
		Example: "  wfctl plugin list\n  wfctl plugin list --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.runList(cmd.Context()) },
	}
}

func (d pluginDeps) runList(ctx context.Context) error {
	p, err := d.project()
	if err != nil {
		return err
	}
	rows, err := p.List(ctx)
	if err != nil {
		return err
	}
	if rows == nil {
		rows = []lock.Row{}
	}
	return d.print(rows, func() error {
		if len(rows) == 0 {
			return d.say("No plugins.")
		}
		table := [][]string{{"NAME", "PINNED", "LOCKED", "INSTALLED", "TRUST", "SOURCE", "NOTE"}}
		for _, r := range rows {
			table = append(table, []string{r.Name, dash(r.Pinned), dash(r.Locked), yesNo(r.Installed), r.Trust, r.Source, r.Note})
		}
		return ui.Table(d.stdout, table)
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func pluginVerify(d pluginDeps) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Prove the installed plugins again",
		Long: `Hash every file of every installed plugin again, and prove its signature again
from what the store keeps. No network is used.

Exit status: 0 all is as it was locked; 1 something is not.`,
		Example: "  wfctl plugin verify",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.runVerify(cmd.Context()) },
	}
}

func (d pluginDeps) runVerify(ctx context.Context) error {
	p, err := d.project()
	if err != nil {
		return err
	}
	verdicts, failed := p.Verify(ctx)
	if verdicts == nil {
		if failed != nil {
			return failed
		}
		verdicts = []lock.Verdict{}
	}
	err = d.print(verdicts, func() error {
		for _, v := range verdicts {
			if v.Problem != "" {
				continue // the error says it
			}
			if err := d.say("%s %s ok (%s)", v.Name, v.Version, strings.TrimSpace(v.Trust+" "+v.Signer)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(failed, err)
}

func pluginWhy(d pluginDeps) *cobra.Command {
	return &cobra.Command{
		Use:   "why NAME",
		Short: "Why a plugin is there, and what exactly it is",
		Long: `Say where a plugin is pinned, which modules of the application file use it, and
what it is locked to.

Exit status: 0 done; 1 there is no such plugin.`,
		Example: "  wfctl plugin why workflow-plugin-digitalocean",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return d.runWhy(cmd.Context(), args[0]) },
	}
}

func (d pluginDeps) runWhy(ctx context.Context, name string) error {
	p, err := d.project()
	if err != nil {
		return err
	}
	r, err := p.Why(ctx, name, d.applications()...)
	if err != nil {
		return err
	}
	return d.print(r, func() error {
		_, err := fmt.Fprint(d.stdout, why(r))
		return err
	})
}

// why tells a plugin's story.
func why(r *lock.Reason) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s %s", r.Name, cmpOr(r.Pinned, r.Locked))
	if !r.Pos.IsZero() {
		line("  pinned at   %s", r.Pos)
	}
	for _, u := range r.UsedBy {
		line("  used by     %s (provider: %s), %s", u.Module, u.Provider, u.Pos)
	}
	if len(r.UsedBy) == 0 {
		line("  used by     no iac.provider of the application file")
	}
	line("  source      %s", r.Source)
	if r.GeneratedAt != "" {
		line("  locked      %s, %s, for %s", r.Locked, r.GeneratedAt, strings.Join(r.Platforms, ", "))
	}
	line("  trust       %s", strings.TrimSpace(r.Trust+" "+r.Signer))
	if r.Artifact != nil {
		line("  archive     %s", r.Artifact.URL)
		line("  sha256      %s", r.Artifact.SHA256)
		line("  executable  %s", r.Artifact.ExecutableSHA256)
	}
	if r.Dir != "" {
		line("  installed   %s", r.Dir)
	}
	if r.Note != "" {
		line("  note        %s", r.Note)
	}
	return b.String()
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
