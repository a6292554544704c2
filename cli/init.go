package cli

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/gocodealone/wfctl/fault"
)

// templates holds a folder per template; "gitignore" stands for .gitignore.
//
//go:embed all:templates
var templates embed.FS

type initOptions struct {
	dir, template, project string
	force                  bool
}

func (a *App) initCommand() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make a project that runs",
		Long: `Make a project that runs: an application file, a manifest, a CI workflow and,
with the template "service", a small Go service to go with them. Nothing that
exists is overwritten unless --force is given.

Exit status: 0 done; 1 failed; 2 a file exists already or wrong usage.`,
		Example: "  wfctl init shop\n  wfctl init --template infra .",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.dir = a.inDir(".")
			if len(args) == 1 {
				o.dir = a.inDir(args[0])
			}
			return a.runInit(o)
		},
	}
	cmd.Flags().StringVar(&o.template, "template", "service", "`NAME` of the template: service, infra")
	cmd.Flags().StringVar(&o.project, "project", "", "`NAME` of the project (default: the folder's)")
	cmd.Flags().BoolVar(&o.force, "force", false, "overwrite files that exist")
	return cmd
}

func (a *App) runInit(o initOptions) error {
	root := "templates/" + o.template
	if _, err := fs.Stat(templates, root); err != nil {
		return fault.New(fault.Usage, "there is no template %q", o.template).WithHint("templates: %s", strings.Join(templateNames(), ", "))
	}
	abs, err := filepath.Abs(o.dir)
	if err != nil {
		return fault.Wrap(fault.Environment, err, "find the folder %s", o.dir)
	}
	if o.project == "" {
		o.project = projectName(filepath.Base(abs))
	}
	files, err := renderTemplate(root, o.project)
	if err != nil {
		return err
	}
	if err := refuseExisting(abs, files, o.force); err != nil {
		return err
	}
	for _, name := range sortedKeys(files) {
		path := filepath.Join(abs, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fault.Wrap(fault.Environment, err, "make the folder of %s", name)
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return fault.Wrap(fault.Environment, err, "write %s", name)
		}
		_, _ = fmt.Fprintf(a.Stderr, "wrote %s\n", filepath.Join(o.dir, filepath.FromSlash(name)))
	}
	_, _ = fmt.Fprintf(a.Stderr, "\nNext: wfctl -C %s up --env local\n", o.dir)
	return nil
}

func templateNames() []string {
	entries, err := fs.ReadDir(templates, "templates")
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// renderTemplate returns the files of a template by their final names.
func renderTemplate(root, project string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(templates, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := templates.ReadFile(path)
		if err != nil {
			return err
		}
		t, err := template.New(path).Parse(string(text))
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, struct{ Project string }{project}); err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, root+"/"), ".tmpl")
		if name == "gitignore" {
			name = ".gitignore"
		}
		files[name] = out.Bytes()
		return nil
	})
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "render the template")
	}
	return files, nil
}

func refuseExisting(dir string, files map[string][]byte, force bool) error {
	if force {
		return nil
	}
	var exist []string
	for name := range files {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			exist = append(exist, name)
		}
	}
	if len(exist) == 0 {
		return nil
	}
	slices.Sort(exist)
	return fault.New(fault.Refused, "%s has %s already", dir, strings.Join(exist, ", ")).
		WithHint("nothing was written; --force overwrites, or name another folder")
}

// projectName makes a name that the configuration accepts of a folder's.
func projectName(folder string) string {
	name := regexp.MustCompile(`[^a-z0-9-]+`).ReplaceAllString(strings.ToLower(folder), "-")
	if name = strings.Trim(name, "-"); name == "" || name[0] < 'a' || name[0] > 'z' {
		name = strings.Trim("app-"+name, "-")
	}
	return name
}
