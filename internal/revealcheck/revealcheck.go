// Package revealcheck holds the tree to the few places that may see a secret
// in plain: an analyzer reports every use of a method that reveals one
// outside of them. `make check` runs it as a vet tool.
package revealcheck

import (
	"go/ast"
	"go/types"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

const module = "github.com/gocodealone/wfctl/"

// revealing are the methods that give the plaintext away.
var revealing = []string{"secret.Value.Reveal", "secret.Value.Use", "sdk.Output.Reveal", "sdk.Sensitive.Reveal"}

// A place may reveal secrets. Name is a package, or a function of one as
// "Func" or "Type.Method"; a package ending in "/*" means all below it.
type place struct{ pkg, name, why string }

// places is the list. A new one needs a reason that is on this list already:
// the request to a platform, a sink, the environment of a child, the person
// who asked for it; or that the value is hashed, sealed or masked there.
var places = []place{
	{"secret", "", "it is the type's own package"},
	{"secret/*", "", "sinks write to stores, stores read from them"},
	{"plugins/*", "", "requests to a platform"},
	{"sdk", "", "it is the types' own package"},
	{"sdk/wire", "", "from the host to the plugin and back"},
	{"sdk/sdktest", "", "looks whether a provider leaks"},
	{"deliver", "", "from outputs to sinks"},
	{"provider/core", "text", "the environment of a command"},
	{"provider/project", "notes", "a version, which is no secret"},
	{"provider/project", "plainOutput", "the reference of an image, which is no secret"},
	{"provider/project", "recordedReceipts", "what a store says of itself, which is no secret"},
	{"provider/project", "writing.to", "an output that is marked as sensitive"},
	{"provider/project", "secrets.read", "an output that is marked as sensitive"},
	{"registry", "authenticator.AuthorizationContext", "requests to a registry"},
	{"registry", "Login", "a sink: Docker's own configuration, asked for"},
	{"registry", "Try", "requests to a registry"},
	{"registry/provider", "driver.Credential", "made known to the redactor"},
	{"resolve", "", "the configuration that a provider is given"},
	{"apply", "tainted", "looks for a secret in what a provider reports"},
	{"apply", "Keeping.output", "hashed or sealed for the record; plain where it is no secret"},
	{"engine", "knowledge.outputs", "made known to the redactor"},
	{"engine", "Project.bootstrapBy", "the person who asked for it"},
	{"engine", "watched.RegistryCredential", "made known to the redactor"},
	{"engine", "Work.rotatedOutputs", "hashed, to compare with the record"},
	{"engine", "pluginStore.Write", "a sink"},
	{"engine", "Project.secretFrom", "made known to the redactor, and to the configuration that asked for it"},
	{"engine", "watched.WriteSecret", "made known to the redactor"},
	{"engine", "Work.recordOutputs", "outputs --show-sensitive"},
	{"example.com/plugin-hello", "", "shows a sink"},
}

// Analyzer reports secrets that are turned into plain text.
var Analyzer = &analysis.Analyzer{
	Name: "revealcheck",
	Doc:  "report secrets that are revealed outside of the few places that must",
	Run:  run,
}

func run(pass *analysis.Pass) (any, error) {
	pkg := strings.TrimPrefix(strings.TrimSuffix(pass.Pkg.Path(), "_test"), module)
	for _, file := range pass.Files {
		if strings.HasSuffix(pass.Fset.File(file.Pos()).Name(), "_test.go") {
			continue
		}
		for _, decl := range file.Decls {
			if name := nameOf(decl); !allowed(pkg, name) {
				inspect(pass, decl, name)
			}
		}
	}
	return nil, nil
}

// inspect reports each mention of a revealing method: called, or taken as
// a value.
func inspect(pass *analysis.Pass, decl ast.Decl, in string) {
	ast.Inspect(decl, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		method, ok := pass.TypesInfo.Uses[sel.Sel].(*types.Func)
		if !ok {
			return true
		}
		if full := methodName(method); slices.Contains(revealing, full) {
			pass.Reportf(sel.Sel.Pos(), "%s reveals a secret in %s, which is not among the places that may (internal/revealcheck lists them)", full, in)
		}
		return true
	})
}

// methodName is "pkg.Type.Method" for a method of this repository.
func methodName(f *types.Func) string {
	recv := f.Signature().Recv()
	if recv == nil || f.Pkg() == nil {
		return ""
	}
	own, ok := strings.CutPrefix(f.Pkg().Path(), module)
	if !ok {
		return ""
	}
	return own + "." + typeName(recv.Type()) + "." + f.Name()
}

func typeName(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := t.(*types.Named); ok {
		return n.Obj().Name()
	}
	return ""
}

// nameOf is "Func" or "Type.Method".
func nameOf(decl ast.Decl) string {
	f, ok := decl.(*ast.FuncDecl)
	if !ok {
		return "a declaration"
	}
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if index, ok := t.(*ast.IndexExpr); ok {
		t = index.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

func allowed(pkg, name string) bool {
	for _, p := range places {
		in := p.pkg == pkg
		if below, ok := strings.CutSuffix(p.pkg, "/*"); ok {
			in = strings.HasPrefix(pkg+"/", path.Clean(below)+"/") && pkg != below
		}
		if in && (p.name == "" || p.name == name) {
			return true
		}
	}
	return false
}
