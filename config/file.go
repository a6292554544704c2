package config

import (
	"strings"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// File is an application file with everything that it imports.
type File struct {
	// Path and Dir are the file and its folder; relative paths in the
	// configuration count from Dir.
	Path, Dir string
	// Project is the ownership tag of every resource.
	Project string
	// Environments are those the file declares at its top, else those that
	// its modules and other entries name, sorted by name.
	Environments []Environment
	// Vars are for every environment; an environment's own come before them.
	Vars                      *Node
	Modules                   []Module
	Images, Migrations, Gates []Entry
	Pipelines                 []Entry
	Moved                     []Move
	Secrets                   Secrets
	Schedules                 []Schedule
	// Requires and Registries are of the old shape: they belong into the
	// manifest.
	Requires   []Plugin
	Registries []Registry
	Warnings   []*fault.Error
	// Files are all that were read, the application file first.
	Files []string
}

// Environment is one that the file declares.
type Environment struct {
	Name string
	// Vars are its values of the context `vars`, nil for none.
	Vars *Node
	Pos  fault.Position
}

// Module is one named declaration.
type Module struct {
	Name, Type string
	// NameNode and TypeNode are the values of `name:` and `type:`; Node is
	// the whole. They are nil where the file lacks them.
	NameNode, TypeNode, Node *Node
	Part
	Overlays []Overlay
}

// Pos is where the module's name stands.
func (m *Module) Pos() fault.Position {
	if m.NameNode != nil {
		return m.NameNode.Pos()
	}
	return m.Node.Pos()
}

// Part is what a module says, and what an environment may say otherwise.
type Part struct {
	Config, Outputs, Lifecycle, DependsOn, Enabled, Import *Node
}

// Overlay is what a module says for one environment.
type Overlay struct {
	Env string
	Part
	Pos fault.Position
}

// Entry is an image, a migration, a gate or a pipeline.
type Entry struct {
	Name string
	Key  Field
	// Body is the mapping without `environments` and `enabled`.
	Body     *Node
	Enabled  *Node
	Overlays []EntryOverlay
}

// Pos is where the entry's name stands.
func (e *Entry) Pos() fault.Position { return e.Key.Pos() }

// EntryOverlay is what an entry says for one environment.
type EntryOverlay struct {
	Env           string
	Body, Enabled *Node
	Pos           fault.Position
}

// Move says that what state knows under one address is now another.
type Move struct {
	From, To         string
	FromNode, ToNode *Node
}

// Secrets is the top-level `secrets:`.
type Secrets struct {
	Generate []GeneratedSecret
	// Stores are where ${{ secrets.NAME }} is looked for, in order. Each has a
	// type; the rest stays as written.
	Stores []*Node
}

// GeneratedSecret is a secret that wfctl makes.
type GeneratedSecret struct {
	Key, Type string
	Length    int
	// Source is MODULE.OUTPUT for the type infra_output.
	Source     string
	SourceNode *Node
	// Sinks stays as written.
	Sinks *Node
	// Node is the whole entry.
	Node *Node
	Pos  fault.Position
}

// Schedule runs a pipeline at times.
type Schedule struct {
	Name, Pipeline, Env, Cron string
	Node                      *Node
	Pos                       fault.Position
}

// Environment returns a declared environment.
func (f *File) Environment(name string) (Environment, bool) {
	for _, e := range f.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return Environment{}, false
}

// dynamic tells whether a string holds a variable or an expression.
func dynamic(s string) bool { return strings.Contains(s, "${") }

func isDuration(s string) bool {
	d, err := time.ParseDuration(s)
	return err == nil && d >= 0
}

// ValidName tells whether s can name a module: letters, digits, "_" and "-",
// beginning with a letter, a digit or "_".
func ValidName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		case c == '-' && i > 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= 128
}
