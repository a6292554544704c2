package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) secretsCommand() *cobra.Command {
	return group("secrets", "Secrets in their stores: status, sync, rotate", a.secretsStatus(), a.secretsSync(), a.secretsRotate())
}

func (a *App) secretsStatus() *cobra.Command {
	var exitCode bool
	cmd := &cobra.Command{
		Use: "status", Short: "Where each secret is, and whether it is what it should be", Args: cobra.NoArgs,
		Long: `Compare what the stores hold with what they should: every sink of an output and
every generated secret. Values are read and compared by their fingerprints; none
is shown. Nothing is changed.

  delivered   the stores have the value
  pending     it was not brought there yet
  changed     the value, or where it belongs, is another now
  rotated     its provider gives another value than it did
  drifted     a store lost it, or somebody else wrote there

Exit status: 0 done; 1 failed; 2 wrong usage; 3 not all are delivered (with
--exit-code).`,
		Example: "  wfctl infra secrets status --env staging",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.looking(cmd.Context(), func(_ *engine.Project, w *engine.Work) error {
				list, err := w.SecretStatus(cmd.Context())
				if err != nil {
					return err
				}
				if err := a.showSecrets(list); err != nil {
					return err
				}
				for _, s := range list {
					if exitCode && s.State != engine.SecretDelivered {
						return changesPending
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when a secret is not delivered")
	return cmd
}

func (a *App) showSecrets(list []engine.SecretStatus) error {
	if a.flags.json {
		if list == nil {
			list = []engine.SecretStatus{}
		}
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.say("No secrets: no output has `sinks:`, and none are generated.")
		return nil
	}
	rows := [][]string{{"SECRET", "STATE", "STORES", "FINGERPRINT", "SINCE"}}
	for _, s := range list {
		state := s.State
		if s.Reason != "" {
			state += ": " + s.Reason
		}
		since := ""
		if s.Delivered != nil {
			since = s.Delivered.Format(time.RFC3339)
		}
		rows = append(rows, []string{strings.TrimPrefix(string(s.Address), resource.SecretPrefix), state, strings.Join(s.Places, ", "), s.Fingerprint, since})
	}
	return ui.Table(a.Stdout, rows)
}

func (a *App) secretsSync() *cobra.Command {
	var c consent
	var force bool
	cmd := &cobra.Command{
		Use: "sync [SECRET...]", Short: "Bring secrets to their stores",
		Long: `Bring to the stores what they lack: secrets that are pending, that a store lost
or that somebody else wrote over, and values that a provider has rotated. What
has not changed is not written again, unless --force.

Exit status: 0 done; 1 one could not be delivered; 2 refused or wrong usage.`,
		Example: "  wfctl infra secrets sync --env staging\n  wfctl infra secrets sync db.connection_url --force --env staging",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd.Context(), changeOptions{command: "infra secrets sync", consent: c, planner: func(ctx context.Context, w *engine.Work) (*plan.Plan, error) {
				return w.SyncSecrets(ctx, engine.SyncOptions{Addresses: secretAddresses(args), Force: force})
			}})
		},
	}
	c.register(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "write also what has not changed")
	return cmd
}

// secretAddresses lets people leave out what every address begins with.
func secretAddresses(names []string) []resource.Address {
	list := make([]resource.Address, len(names))
	for i, n := range names {
		list[i] = resource.Address(resource.SecretPrefix + strings.TrimPrefix(n, resource.SecretPrefix))
	}
	return list
}

func (a *App) secretsRotate() *cobra.Command {
	var c consent
	cmd := &cobra.Command{
		Use: "rotate KEY", Short: "Make a generated secret anew", Args: cobra.ExactArgs(1),
		Long: `Make another value for a secret of ` + "`secrets.generate`" + ` and bring it to all its
stores. What uses it gets it with the next ` + "`wfctl up`" + `.

Exit status: 0 done; 1 failed; 2 refused or wrong usage.`,
		Example: "  wfctl infra secrets rotate session_key --env staging --approve",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd.Context(), changeOptions{command: "infra secrets rotate", consent: c, always: true, planner: func(ctx context.Context, w *engine.Work) (*plan.Plan, error) {
				pl, err := w.RotateSecret(ctx, strings.TrimPrefix(args[0], resource.SecretPrefix))
				if err == nil && pl.Empty() {
					return pl, fault.New(fault.Refused, "%s was not made yet", args[0]).WithHint("`wfctl infra apply` makes it")
				}
				return pl, err
			}})
		},
	}
	c.register(cmd)
	return cmd
}
