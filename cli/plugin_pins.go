package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
)

const acceptSignerUsage = "accept that another identity signs than the one that is locked"

func pluginAdd(d pluginDeps) *cobra.Command {
	var o lock.AddOptions
	cmd := &cobra.Command{
		Use:   "add NAME[@VERSION]",
		Short: "Pin a plugin and lock it",
		Long: `Pin a plugin in wfctl.yaml and lock it. Without a version it is the newest.
NAME may be a source itself, and is then called as its last part. A plugin that
is pinned already takes the version or source that is given.

Sources: github.com/OWNER/REPO (releases; github+https://HOST/OWNER/REPO for an
Enterprise server), oci://HOST/REPOSITORY, https://HOST/FOLDER, file:///FOLDER,
./FOLDER. A folder holds one sub-folder per version.

Exit status: 0 done; 1 failed, and nothing was changed; 2 wrong usage, or a
change that needs consent.`,
		Example: `  wfctl plugin add workflow-plugin-digitalocean@v0.7.6
  wfctl plugin add hello --source file:///srv/plugins/hello
  wfctl plugin add oci://ghcr.io/acme/hello@v1.2.0`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name, o.Version = splitVersion(args[0])
			return d.runAdd(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Source, "source", "", "where it is published (default: "+lock.DefaultOwner+"NAME)")
	f.StringVar(&o.TokenEnv, "auth-env", "", "`VARIABLE` that holds a token for a private source")
	f.StringVar(&o.Identity, "identity", "", "who has to have signed it")
	f.StringVar(&o.Issuer, "issuer", "", "who vouches for that identity")
	f.StringVar(&o.Trust, "trust", "", "`checksum-only` accepts it without a signature")
	f.BoolVar(&o.AcceptSignerChange, "accept-signer-change", false, acceptSignerUsage)
	return cmd
}

// splitVersion parts NAME@VERSION; an @ inside of a source is not one.
func splitVersion(arg string) (name, version string) {
	i := strings.LastIndexByte(arg, '@')
	if i <= 0 || strings.Contains(arg[i:], "/") {
		return arg, ""
	}
	return arg[:i], arg[i+1:]
}

func (d pluginDeps) runAdd(ctx context.Context, o lock.AddOptions) error {
	if o.Trust != "" && o.Trust != lock.ChecksumOnly {
		return fault.New(fault.Usage, "--trust %q is not known", o.Trust).WithHint("it is %s or left out", lock.ChecksumOnly)
	}
	p, err := d.project()
	if err != nil {
		return err
	}
	c, err := p.Add(ctx, o)
	if err != nil {
		return err
	}
	return d.changes([]lock.Change{*c})
}

func pluginRemove(d pluginDeps) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME...",
		Aliases: []string{"rm"},
		Short:   "Take plugins out of wfctl.yaml and the lockfile",
		Long: `Take plugins out of wfctl.yaml and .wfctl-lock.yaml. The store keeps them for
other projects.

Exit status: 0 done; 1 failed, and nothing was changed; 2 wrong usage.`,
		Example: "  wfctl plugin remove workflow-plugin-digitalocean",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := d.project()
			if err != nil {
				return err
			}
			changes, err := p.Remove(cmd.Context(), args...)
			if err != nil {
				return err
			}
			return d.changes(changes)
		},
	}
}

func pluginUpdate(d pluginDeps) *cobra.Command {
	var o lock.UpdateOptions
	cmd := &cobra.Command{
		Use:   "update [NAME[@VERSION]...]",
		Short: "Raise pins to the newest release, or to a version",
		Long: `Raise pins in wfctl.yaml to the newest release, or to the version that is named,
and lock them. Without a name it is all of them. Prereleases count only where
the pin is one.

Exit status: 0 done; 1 failed, and nothing was changed; 2 wrong usage, or a
change of the signer, which needs --accept-signer-change.`,
		Example: "  wfctl plugin update\n  wfctl plugin update workflow-plugin-digitalocean@v0.8.0",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Plugins = args
			p, err := d.project()
			if err != nil {
				return err
			}
			changes, err := p.Update(cmd.Context(), o)
			if err != nil {
				return err
			}
			return d.changes(changes)
		},
	}
	cmd.Flags().BoolVar(&o.AcceptSignerChange, "accept-signer-change", false, acceptSignerUsage)
	return cmd
}

func pluginLock(d pluginDeps) *cobra.Command {
	var o lock.LockOptions
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Make the lockfile fit wfctl.yaml",
		Long: `Ask the source of every plugin in wfctl.yaml what its pinned version is, for all
platforms, and write .wfctl-lock.yaml. Where a source does not answer, or a
version is not what it was, nothing is written.

Exit status: 0 done; 1 failed, and nothing was changed; 2 wrong usage, or a
change of the signer, which needs --accept-signer-change.`,
		Example: "  wfctl plugin lock",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := d.project()
			if err != nil {
				return err
			}
			changes, err := p.Lock(cmd.Context(), o)
			if err != nil {
				return err
			}
			return d.changes(changes)
		},
	}
	cmd.Flags().BoolVar(&o.AcceptSignerChange, "accept-signer-change", false, acceptSignerUsage)
	return cmd
}
