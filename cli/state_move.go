package cli

import (
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/fault"
)

func (a *App) stateMove() *cobra.Command {
	var c consent
	var to string
	var options []string
	cmd := &cobra.Command{
		Use: "move --to BACKEND", Short: "Move the record to another backend", Args: cobra.NoArgs,
		Long: `Copy the environment's state, its history with it, to another backend, and end
it here: a command that still wants to change things here is told where it
went. The lease is
held all the while. Afterwards change the module iac.state to name the new
backend.

Exit status: 0 done; 1 failed, the old one is still in force; 2 refused or
wrong usage.`,
		Example: "  wfctl infra state move --to sqlite --option path=/srv/state/shop.db --env staging --approve",
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, err := backendOptions(options)
			if err != nil {
				return err
			}
			return a.holding(cmd.Context(), "infra state move", c, func(w *engine.Work) error {
				if err := a.confirm(cmd.Context(), "Move the state to "+to+"?", "infra state move", c); err != nil {
					return err
				}
				if err := w.MoveState(cmd.Context(), to, raw); err != nil {
					return err
				}
				a.say("moved to %s. Now name it in the module iac.state.", to)
				return nil
			})
		},
	}
	c.register(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the `BACKEND` to move to")
	cmd.Flags().StringArrayVar(&options, "option", nil, "an option of it, `KEY=VALUE` (repeatable)")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// backendOptions makes the object of a backend's options: a value that is
// JSON keeps its type.
func backendOptions(pairs []string) (json.RawMessage, error) {
	doc := map[string]any{}
	for _, pair := range pairs {
		key, text, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, fault.New(fault.Usage, "--option %q is not KEY=VALUE", pair)
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			v = text
		}
		doc[key] = v
	}
	return json.Marshal(doc)
}
