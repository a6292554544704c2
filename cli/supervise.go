package cli

import "github.com/spf13/cobra"

// superviseCommand is how provider local starts its supervisor: this binary
// again. People have no use for it.
func (a *App) superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "__supervise", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error { return a.Kinds.Supervise(cmd.Context(), args) },
	}
}
