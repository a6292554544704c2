package cli

import "github.com/spf13/cobra"

// componentCommand is how steps of type go run their code: in a process of
// this binary. People have no use for it.
func (a *App) componentCommand() *cobra.Command {
	return &cobra.Command{
		Use: "__component", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.Kinds.Component(cmd.Context()) },
	}
}

// superviseCommand is how provider local starts its supervisor: this binary
// again. People have no use for it.
func (a *App) superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "__supervise", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error { return a.Kinds.Supervise(cmd.Context(), args) },
	}
}
