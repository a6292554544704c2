package cli

import (
	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/engine"
)

// completeEnvironments completes --env from the application file.
func (a *App) completeEnvironments(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	names, err := engine.Environments(cmd.Context(), a.engineOptions())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
