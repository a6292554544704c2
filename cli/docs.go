package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/gocodealone/wfctl/fault"
)

// docsOptions are those of `wfctl docs`.
type docsOptions struct{ format, out string }

// page writes one command's page.
type page struct {
	ext   string
	write func(cmd *cobra.Command, w io.Writer) error
}

// pages are the formats, by name.
func pages() map[string]page {
	return map[string]page{
		"markdown": {".md", doc.GenMarkdown},
		// No date: the pages of one version are the same whenever they are made.
		"man": {".1", func(cmd *cobra.Command, w io.Writer) error {
			return doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Date: &time.Time{}}, w)
		}},
	}
}

func (a *App) docsCommand() *cobra.Command {
	var o docsOptions
	cmd := &cobra.Command{
		Use:   "docs [COMMAND…]",
		Short: "The reference of every command, as Markdown or man pages",
		Long: `Print the reference of wfctl, or of one command and those below it. With --out
each command gets a file of its own in a folder.

Exit status: 0 done; 2 wrong usage.`,
		Example: "  wfctl docs infra plan\n  wfctl docs --format man --out man1",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runDocs(cmd.Root(), o, args) },
	}
	cmd.Flags().StringVar(&o.format, "format", "markdown", "`FORMAT`: markdown or man")
	cmd.Flags().StringVar(&o.out, "out", "", "write a file per command into `DIR`")
	return cmd
}

func (a *App) runDocs(root *cobra.Command, o docsOptions, args []string) error {
	p, ok := pages()[o.format]
	if !ok {
		return fault.New(fault.Usage, "there is no format %q", o.format).WithHint("take markdown or man")
	}
	top, rest, err := root.Find(args)
	if err != nil || len(rest) > 0 {
		return fault.New(fault.Usage, "there is no command `wfctl %s`", strings.Join(args, " ")).WithHint("`wfctl --help` lists what there is")
	}
	// cobra adds these two when it runs, which may be after this.
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	if o.out == "" {
		return eachCommand(top, func(cmd *cobra.Command) error { return p.write(cmd, a.Stdout) })
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil { //nolint:gosec // it is for everybody
		return fault.Wrap(fault.Environment, err, "make the folder")
	}
	n := 0
	err = eachCommand(top, func(cmd *cobra.Command) error {
		var content bytes.Buffer
		n++
		err := p.write(cmd, &content)
		name := strings.ReplaceAll(cmd.CommandPath(), " ", map[string]string{".md": "_", ".1": "-"}[p.ext]) + p.ext
		return errors.Join(err, os.WriteFile(filepath.Join(o.out, name), content.Bytes(), 0o644)) //nolint:gosec // it is for everybody
	})
	if err != nil {
		return fault.Wrap(fault.Environment, err, "write the pages")
	}
	fmt.Fprintf(a.Stderr, "Wrote %d pages into %s.\n", n, o.out)
	return nil
}

// eachCommand visits a command and those below it that are shown to people.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command) error) error {
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return nil
	}
	cmd.DisableAutoGenTag = true
	if err := visit(cmd); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if err := eachCommand(sub, visit); err != nil {
			return err
		}
	}
	return nil
}
