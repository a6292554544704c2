package pluginhost

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gocodealone/wfctl/fault"
)

// template is examples/plugin-hello; a test holds them equal.
//
//go:embed template
var template embed.FS

const (
	sdkModule      = "github.com/gocodealone/wfctl/sdk"
	exampleName    = "plugin-hello"
	exampleReplace = "replace " + sdkModule + " => ../../sdk\n"
)

// CreateOptions say what plugin to begin.
type CreateOptions struct {
	// Dir is the folder to make; Name the plugin's name, such as
	// workflow-plugin-acme. The provider's name is its last part.
	Dir, Name string
	// Module is the Go module path; "" is example.com/NAME.
	Module string
	// SDK is the version of the SDK to require, such as v1.2.0; "" leaves it
	// to `go mod tidy`. SDKDir is a folder to take the SDK from instead.
	SDK, SDKDir string
}

// Create begins a plugin: a folder with a program that works and its test. It
// changes nothing where the folder exists and is not empty.
func Create(o CreateOptions) ([]string, error) {
	if !regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`).MatchString(o.Name) || len(o.Name) > 60 {
		return nil, fault.New(fault.Usage, "%q is no name for a plugin", o.Name).
			WithHint("a name has lower-case letters, digits and single hyphens: workflow-plugin-acme")
	}
	if left, err := os.ReadDir(o.Dir); err == nil && len(left) > 0 {
		return nil, fault.New(fault.Refused, "%s is not empty", o.Dir).WithHint("name another folder, or empty this one")
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil { //nolint:gosec // source code
		return nil, fault.Wrap(fault.Environment, err, "make %s", o.Dir)
	}
	entries, err := template.ReadDir("template")
	if err != nil {
		return nil, err
	}
	var written []string
	for _, e := range entries {
		raw, err := template.ReadFile("template/" + e.Name())
		if err != nil {
			return nil, err
		}
		name := templateTarget(e.Name())
		if err := os.WriteFile(filepath.Join(o.Dir, name), []byte(o.fill(name, string(raw))), 0o644); err != nil { //nolint:gosec // source code
			return nil, fault.Wrap(fault.Environment, err, "write %s", name)
		}
		written = append(written, name)
	}
	return written, nil
}

// templateTarget is what a file of the template is called in a plugin.
func templateTarget(name string) string {
	name = strings.TrimSuffix(name, ".txt")
	if name == "gitignore" {
		return ".gitignore"
	}
	return name
}

// provider is the name that iac.provider uses.
func (o CreateOptions) provider() string { return o.Name[strings.LastIndexByte(o.Name, '-')+1:] }

// fill makes the example another plugin.
func (o CreateOptions) fill(file, text string) string {
	module := o.Module
	if module == "" {
		module = "example.com/" + o.Name
	}
	if file == "go.mod" {
		text = strings.Replace(text, exampleReplace, o.replace(), 1)
		if o.SDK != "" {
			text = strings.Replace(text, sdkModule+" v0.0.0", sdkModule+" "+o.SDK, 1)
		}
	}
	return strings.NewReplacer(
		"example.com/"+exampleName, module, exampleName, o.Name,
		`"hello"`, fmt.Sprintf("%q", o.provider()), "hello.greeting", o.provider()+".greeting", "Plugin hello", "Plugin "+o.provider(),
	).Replace(text)
}

func (o CreateOptions) replace() string {
	if o.SDKDir == "" {
		return ""
	}
	return "replace " + sdkModule + " => " + filepath.ToSlash(o.SDKDir) + "\n"
}

// errNoPlugin is the reason why a path cannot be tried.
var errNoPlugin = errors.New("it is neither an executable file nor a folder with a Go program")
