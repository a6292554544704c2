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
		Short: "Build the images of the application file, and push them",
		Long: `Build the images of the application file into OCI layouts under .wfctl/images
and record their digests. An image whose sources have not changed is not built
again. The same sources give the same digest.

With --push the images go to the registries that they name, in every
environment: blobs to all, manifests to all, and tags last, when every registry
that is not optional has the image. What a registry has is not sent again.
Credentials are those that wfctl.yaml says; a variable that is not set is an
error before anything is built.

Exit status: 0 done; 1 failed; 2 wrong usage; 130 interrupted.`,
		Example: "  wfctl build --env local\n  wfctl build --image web --push --tag v1.2.3 --env staging\n  wfctl build --platform linux/amd64 --platform linux/arm64 --env local",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.plan.Nodes = engine.ImageNodes
			if o.build.push {
				o.plan.Nodes = engine.PushNodes
			}
			o.images = images
			o.finish = a.finishBuild
			return a.change(cmd.Context(), o)
		},
	}
	o.consent.register(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&images, "image", nil, "only the image `NAME` (repeatable)")
	f.BoolVar(&o.build.push, "push", false, "bring the images to their registries")
	f.StringArrayVar(&o.build.tags, "tag", nil, "the tag `T` in place of those in the file (repeatable)")
	f.StringArrayVar(&o.build.platforms, "platform", nil, "the platform `P`, such as linux/arm64, in place of those in the file (repeatable)")
	cmd.AddCommand(a.buildVerify(), a.buildSBOM(), a.buildSign())
	return cmd
}

// buildOptions are what the command line says of images.
type buildOptions struct {
	push            bool
	tags, platforms []string
}

func (b buildOptions) apply(o *engine.Options) {
	o.Push, o.Tags, o.Platforms = b.push, b.tags, b.platforms
}

// imageTargets are the nodes of the images that a command is about, and of
// their pushes where it does those.
func imageTargets(p *engine.Project, o changeOptions) (targets []resource.Address) {
	for _, name := range o.images {
		targets = append(targets, resource.ImagePrefix+resource.Address(name))
		if _, ok := p.Set.Node(resource.Address(resource.PushPrefix + name)); ok && o.plan.Nodes == engine.PushNodes {
			targets = append(targets, resource.Address(resource.PushPrefix+name))
		}
	}
	return targets
}

// finishBuild prints where each image is.
func (a *App) finishBuild(ctx context.Context, _ *engine.Project, w *engine.Work, _ *apply.Summary) error {
	outputs, err := w.Images(ctx, true)
	if err != nil {
		return err
	}
	format := "value"
	if a.flags.json {
		format = "json"
	}
	return ui.Outputs(a.Stdout, a.Stderr, outputValues(outputs), ui.OutputOptions{Format: format})
}
