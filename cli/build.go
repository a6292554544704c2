package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/ui"
)

func (a *App) buildCommand() *cobra.Command {
	o := changeOptions{command: "build"}
	var images []string
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the images of the application file",
		Long: `Build the images of the application file into OCI layouts under .wfctl/images
and record their digests. An image whose sources have not changed is not built
again. The same sources give the same digest.

Exit status: 0 done; 1 failed; 2 wrong usage; 130 interrupted.`,
		Example: "  wfctl build --env local\n  wfctl build --image web",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.plan.Nodes = engine.ImageNodes
			for _, name := range images {
				o.plan.Targets = append(o.plan.Targets, resource.ImagePrefix+resource.Address(name))
			}
			o.finish = a.finishBuild
			return a.change(cmd.Context(), o)
		},
	}
	o.consent.register(cmd)
	cmd.Flags().StringArrayVar(&images, "image", nil, "only the image `NAME` (repeatable)")
	return cmd
}

// finishBuild prints where each image is.
func (a *App) finishBuild(ctx context.Context, _ *engine.Project, w *engine.Work, _ *apply.Summary) error {
	outputs, err := w.Images(ctx)
	if err != nil {
		return err
	}
	format := "value"
	if a.flags.json {
		format = "json"
	}
	return ui.Outputs(a.Stdout, a.Stderr, outputValues(outputs), ui.OutputOptions{Format: format})
}
