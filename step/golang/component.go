// Package golang runs Go code of the user's own in a pipeline, by
// traefik/yaegi. What it may import is checked before anything runs, and it
// runs in a process of its own, whose time and memory are bounded: an
// interpreter in our own could be stopped, but its memory not bounded.
package golang

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/traefik/yaegi/interp"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step/golang/symbols"
)

// Source is a component's code, checked.
type Source struct {
	Name    string
	Package string
	Imports []string
	// Hash identifies the text.
	Hash string
	text string
}

// Check reads a component's imports and refuses what is not allowed. Nothing
// of it runs. name is what errors call it.
func Check(name, text string) (*Source, error) {
	// The imports decide; the interpreter parses the rest, once.
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return nil, fault.New(fault.Config, "the Go code cannot be read: %v", err)
	}
	s := &Source{Name: name, Package: file.Name.Name, text: text}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !allowed(path) {
			return nil, refused(name, path, file, spec)
		}
		s.Imports = append(s.Imports, path)
	}
	return s, nil
}

// allowed asks the table without making it.
func allowed(path string) bool {
	switch path {
	case "fmt", "context", "strings", "errors", "encoding/json":
		return true
	}
	return slices.Contains(symbols.Allowed(), path)
}

func refused(name, path string, _ *ast.File, _ *ast.ImportSpec) error {
	err := fault.New(fault.Config, "%s imports %q, which a component may not", name, path)
	switch {
	case path == "C" || path == "unsafe" || strings.HasPrefix(path, "os") || path == "syscall" || strings.HasPrefix(path, "net"):
		return err.WithHint("it would reach outside: use steps of type command or http, and give the component what they return")
	}
	return err.WithHint("allowed are %s", strings.Join(symbols.Allowed(), ", "))
}

// hash is made when it is asked for.
func (s *Source) hash() string {
	if s.Hash == "" {
		sum := sha256.Sum256([]byte(s.text))
		s.Hash = hex.EncodeToString(sum[:8])
	}
	return s.Hash
}

// NewInterpreter makes an interpreter for the packages named, and no others:
// most of the cost of one is its symbols. out takes what the code prints.
func NewInterpreter(out io.Writer, imports ...string) (*interp.Interpreter, error) {
	i := interp.New(interp.Options{Stdin: strings.NewReader(""), Stdout: out, Stderr: out, Args: []string{"component"}, Env: []string{}})
	exports := interp.Exports{}
	for _, path := range imports {
		key, table, ok := symbols.Of(path)
		if !ok {
			return nil, fault.New(fault.Config, "a component may not import %q", path)
		}
		if path == "fmt" {
			key, table = unnoticed, printingTo(out, table)
		}
		exports[key] = table
	}
	return i, i.Use(exports)
}

// unnoticed is the key of package fmt in another spelling. By the usual one
// yaegi notices the standard library and compiles its generic packages, which
// components may not import: that alone takes ten times as long as the rest.
const unnoticed = "fmt//fmt"

// printingTo makes the functions that print write to out.
func printingTo(out io.Writer, table map[string]reflect.Value) map[string]reflect.Value {
	table["Print"] = reflect.ValueOf(func(a ...any) (int, error) { return fmt.Fprint(out, a...) })
	table["Printf"] = reflect.ValueOf(func(f string, a ...any) (int, error) { return fmt.Fprintf(out, f, a...) })
	table["Println"] = reflect.ValueOf(func(a ...any) (int, error) { return fmt.Fprintln(out, a...) })
	for _, name := range []string{"Scan", "Scanf", "Scanln"} {
		delete(table, name) // there is nobody to read from
	}
	return table
}

type (
	executeFunc = func(context.Context, map[string]any) (map[string]any, error)
	contextFunc = func(context.Context) error
)

// Component is loaded code with an interpreter of its own. Its functions are
// called by one goroutine at a time; a [Pool] has several.
type Component struct {
	Source  *Source
	execute executeFunc
	name    func() string
	init    func(map[string]any) error
	start   contextFunc
	stop    contextFunc
}

// Load compiles a component. It must have
//
//	func Execute(ctx context.Context, input map[string]any) (map[string]any, error)
//
// and may have Name() string, Init(map[string]any) error, Start(context.Context)
// error and Stop(context.Context) error.
func Load(s *Source, out io.Writer) (*Component, error) {
	i, err := NewInterpreter(out, s.Imports...)
	if err != nil {
		return nil, err
	}
	c := &Component{Source: s}
	return c, guard(s.Name, func() error { return c.compile(i) })
}

func (c *Component) compile(i *interp.Interpreter) error {
	if _, err := i.Eval(c.Source.text); err != nil {
		return fault.New(fault.Config, "%s cannot be compiled: %v", c.Source.Name, err)
	}
	table := i.Symbols(c.Source.Package)[c.Source.Package]
	for _, f := range []struct {
		name string
		into any
	}{
		{"Execute", &c.execute}, {"Name", &c.name}, {"Init", &c.init}, {"Start", &c.start}, {"Stop", &c.stop},
	} {
		v, ok := table[f.name]
		if !ok {
			continue
		}
		to := reflect.ValueOf(f.into).Elem()
		if !v.Type().AssignableTo(to.Type()) {
			return fault.New(fault.Config, "%s: %s has the type %s, want %s", c.Source.Name, f.name, v.Type(), to.Type())
		}
		to.Set(v)
	}
	if c.execute == nil {
		return fault.New(fault.Config, "%s has no function Execute", c.Source.Name).
			WithHint("func Execute(ctx context.Context, input map[string]any) (map[string]any, error)")
	}
	return nil
}

// guard makes an error of a panic.
func guard(name string, do func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		var inner interp.Panic
		if e, ok := p.(error); ok && errors.As(e, &inner) {
			p = inner.Value
		}
		err = fault.New(fault.Provider, "%s panicked: %v", name, p)
	}()
	return do()
}

// Name is what the component calls itself.
func (c *Component) Name() string {
	name := c.Source.Name
	if c.name != nil {
		_ = guard(name, func() error { name = c.name(); return nil })
	}
	return name
}

// Init gives the component its configuration.
func (c *Component) Init(config map[string]any) error {
	if c.init == nil {
		return nil
	}
	return guard(c.Source.Name, func() error { return c.init(config) })
}

// Start starts it.
func (c *Component) Start(ctx context.Context) error { return c.run(ctx, c.start) }

// Stop stops it.
func (c *Component) Stop(ctx context.Context) error { return c.run(ctx, c.stop) }

func (c *Component) run(ctx context.Context, f contextFunc) error {
	if f == nil {
		return nil
	}
	return guard(c.Source.Name, func() error { return f(ctx) })
}

// Execute calls it.
func (c *Component) Execute(ctx context.Context, input map[string]any) (out map[string]any, err error) {
	err = guard(c.Source.Name, func() (err error) {
		out, err = c.execute(ctx, input)
		return err
	})
	return out, err
}

// String names it with its version.
func (c *Component) String() string { return fmt.Sprintf("%s@%s", c.Source.Name, c.Source.hash()) }

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
