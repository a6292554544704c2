package config

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/robfig/cron/v3"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
)

var fileKeys = []string{
	"version", "project", "imports", "environments", "vars", "modules", "images", "migrations", "gates", "pipelines",
	"moved", "secrets", "schedules", "requires", "registries",
}

// Load reads an application file and its imports. Read opens files by path;
// nil reads them from the disk. The error is a [fault.List] of everything that
// is wrong. Where the file could be read at all, what is right in it is
// returned beside the error, so that `validate` can look for more.
func Load(ctx context.Context, path string, read func(name string) ([]byte, error)) (*File, error) {
	if read == nil {
		read = os.ReadFile
	}
	return load(ctx, path, read, here())
}

// LoadFrom is [Load] where positions are shown as from a folder: a working tree
// that is not where its owner has it.
func LoadFrom(ctx context.Context, path, root string) (*File, error) {
	return load(ctx, path, os.ReadFile, root)
}

func load(ctx context.Context, path string, read func(name string) ([]byte, error), root string) (*File, error) {
	l := &loader{ctx: ctx, read: read, show: relativeTo(root), state: map[string]int{}}
	l.file = &File{Path: path, Dir: filepath.Dir(path)}
	if !l.load(path, nil) {
		return nil, l.faults.Err()
	}
	l.finish()
	return l.file, l.faults.Err()
}

// here is the current folder; "" where there is none.
func here() string {
	wd, _ := os.Getwd()
	return wd
}

// relativeTo shows paths below a folder without it.
func relativeTo(root string) func(string) string {
	return func(path string) string {
		if rel, err := filepath.Rel(root, path); root != "" && err == nil && filepath.IsLocal(rel) {
			return rel
		}
		return path
	}
}

// A loader reads one application file and what it imports.
type loader struct {
	decoder
	ctx  context.Context
	read func(string) ([]byte, error)
	show func(string) string
	file *File
	// state is of each file by path: reading, or done.
	state map[string]int
	// chain are the files from the first to the one being read.
	chain       []string
	project     *Node
	named       bool // a file has `project:`, be it right or wrong
	declares    bool // a file has `environments:` at its top
	overlayEnvs []overlayEnv
}

const (
	reading = iota + 1
	loaded
)

// overlayEnv is an environment that an overlay names.
type overlayEnv struct {
	name  string
	at    Field
	owner owner
}

// load reads one file; by is the import that names it. It is false where the
// file could not be read.
func (l *loader) load(path string, by *Node) bool {
	path = filepath.Clean(path)
	switch l.state[path] {
	case reading:
		l.loop(path, by)
		return true
	case loaded:
		return true
	}
	if err := l.ctx.Err(); err != nil {
		l.fail(fault.Wrap(fault.Interrupted, err, "reading the configuration was interrupted"))
		return false
	}
	data, err := l.read(path)
	if err != nil {
		l.fail(l.unreadable(path, by, err))
		return false
	}
	l.state[path] = reading
	l.chain = append(l.chain, path)
	l.file.Files = append(l.file.Files, path)
	root, faults := parse(l.show(path), data)
	l.faults = append(l.faults, faults...)
	if root != nil {
		l.top(root, filepath.Dir(path))
	}
	l.chain = l.chain[:len(l.chain)-1]
	l.state[path] = loaded
	return root != nil || by != nil
}

func (l *loader) unreadable(path string, by *Node, err error) *fault.Error {
	if by == nil {
		code := fault.Environment
		if errors.Is(err, fs.ErrNotExist) {
			code = fault.NotFound
		}
		return fault.Wrap(code, err, "read the application file").WithHint("name the file with --config")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return by.Fault("the imported file %s does not exist", l.show(path)).
			WithHint("a path under `imports` counts from the folder of the file that names it")
	}
	e := by.Fault("the imported file %s cannot be read", l.show(path))
	e.Err = err
	return e
}

func (l *loader) loop(path string, by *Node) {
	from := slices.Index(l.chain, path)
	var names []string
	for _, p := range append(slices.Clone(l.chain[from:]), path) {
		names = append(names, l.show(p))
	}
	l.fail(by.Fault("import loop: %s", strings.Join(names, " -> ")).WithHint("remove one of these imports"))
}

// top decodes a whole file.
func (l *loader) top(root *Node, dir string) {
	if root.Kind != Map {
		l.named = true // there is nothing to name
	}
	if root.IsNull() {
		l.fail(root.Fault("the file is empty").WithHint("`wfctl init` writes one to begin with"))
		return
	}
	o := owner{"the file", ""}
	l.fields(root, o, fileKeys, func(f Field) bool {
		switch f.Name {
		case "imports":
			l.imports(f, o, dir)
		case "environments":
			l.environments(f)
		case "modules":
			l.items(f, o, func(_ int, n *Node) { l.addModule(n) })
		case "images":
			l.addEntries(f, "image", &l.file.Images)
		case "migrations":
			l.addEntries(f, "migration", &l.file.Migrations)
		case "gates":
			l.addEntries(f, "gate", &l.file.Gates)
		case "pipelines":
			l.addPipelines(f)
		default:
			return l.rest(f, o)
		}
		return true
	})
}

// rest decodes the smaller keys of a file.
func (l *loader) rest(f Field, o owner) bool {
	switch f.Name {
	case "version":
		l.version(f)
	case "project":
		l.setProject(f, o)
	case "vars":
		l.vars(f, o)
	case "moved":
		l.items(f, o, func(_ int, n *Node) { l.moved(n) })
	case "secrets":
		l.secrets(f)
	case "schedules":
		l.items(f, o, func(_ int, n *Node) { l.schedule(n) })
	case "requires":
		l.requires(f)
	case "registries":
		l.file.Registries = append(l.file.Registries, l.decoder.registries(f, o)...)
		l.legacy(f, "`registries` in the application file is deprecated: it belongs into wfctl.yaml",
			"move it to wfctl.yaml, which wins where both name a registry")
	default:
		return strings.HasPrefix(f.Name, "x-") // room for anchors
	}
	return true
}

func (l *loader) imports(f Field, o owner, dir string) {
	l.items(f, o, func(_ int, n *Node) {
		if n.Kind != String || n.Text == "" {
			l.fail(n.Fault("an import must be the path of a file, not %s", n.Kind))
			return
		}
		path := filepath.FromSlash(n.Text)
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		l.load(path, n)
	})
}

func (d *decoder) version(f Field) {
	if f.Value.Kind != Number || f.Value.Text != "1" {
		d.fail(f.Value.Fault("version must be 1").WithHint("this wfctl reads version 1 of the file: write `version: 1`"))
	}
}

func (l *loader) setProject(f Field, o owner) {
	l.named = true
	name := l.text(f, o)
	if name == "" {
		return
	}
	if !ValidName(name) || len(name) > 63 {
		l.fail(f.Value.Fault("%s cannot be a project's name", quote(name)).
			WithHint("it becomes a tag of every resource: up to 63 letters, digits, \"_\" and \"-\""))
		return
	}
	if l.project != nil && l.project.Text != name {
		l.fail(f.Value.Fault("the project is called %q here and %q at %s", name, l.project.Text, l.project.Pos()).
			WithHint("all files of a project give it one name; an imported file may leave it out"))
		return
	}
	l.project, l.file.Project = f.Value, name
}

func (l *loader) environments(f Field) {
	l.declares = true
	l.entries(f.Value, owner{"`environments`", ""}, func(env Field) {
		o := owner{"environment", env.Name}
		if !ValidName(env.Name) || len(env.Name) > 63 {
			l.fail(env.Fault("%s cannot be an environment's name", quote(env.Name)).
				WithHint("it becomes part of the state's key: up to 63 letters, digits, \"_\" and \"-\""))
			return
		}
		if !l.declare("environment", env.Name, env) {
			return
		}
		e := Environment{Name: env.Name, Pos: env.Pos()}
		l.fields(env.Value, o, []string{"vars"}, func(f Field) bool {
			if f.Name != "vars" {
				return false
			}
			if l.is(f, o, Map) {
				e.Vars = f.Value
			}
			return true
		})
		l.file.Environments = append(l.file.Environments, e)
	})
}

func (l *loader) vars(f Field, o owner) {
	if !l.is(f, o, Map) {
		return
	}
	for _, v := range f.Value.Fields {
		l.declare("variable", v.Name, v)
	}
	if l.file.Vars == nil {
		l.file.Vars = f.Value
		return
	}
	l.file.Vars = l.file.Vars.WithFields(append(slices.Clone(l.file.Vars.Fields), f.Value.Fields...))
}

func (l *loader) addModule(n *Node) {
	m, ok := l.module(n)
	if !ok {
		return
	}
	if !l.declare("module", m.Name, m.NameNode) {
		return
	}
	for i := range m.Overlays {
		f, _ := n.Get("environments").Field(m.Overlays[i].Env)
		l.overlayEnvs = append(l.overlayEnvs, overlayEnv{f.Name, f, owner{"module", m.Name}})
	}
	l.file.Modules = append(l.file.Modules, m)
}

func (l *loader) addEntries(f Field, noun string, to *[]Entry) {
	l.entries(f.Value, owner{"`" + f.Name + "`", ""}, func(f Field) {
		if e, ok := l.entry(f, noun); ok && l.declare(noun, e.Name, f) {
			l.overlaysOf(f, owner{noun, e.Name})
			*to = append(*to, e)
		}
	})
}

func (l *loader) overlaysOf(f Field, o owner) {
	envs := f.Value.Get("environments")
	if envs == nil || envs.Kind != Map {
		return
	}
	for _, env := range envs.Fields {
		l.overlayEnvs = append(l.overlayEnvs, overlayEnv{env.Name, env, o})
	}
}

// finish settles what needs the whole.
func (l *loader) finish() {
	f := l.file
	if !l.named {
		l.noProject()
	}
	if !l.declares {
		l.derive()
	} else {
		l.checkEnvironments()
	}
	l.checkSchedules()
	slices.SortFunc(f.Environments, func(a, b Environment) int { return strings.Compare(a.Name, b.Name) })
}

// noProject is an error: two folders of one name would own each other's
// resources if the folder's name stood in. A file of the old shape has none.
func (l *loader) noProject() {
	f := l.file
	if len(f.Requires)+len(f.Registries) == 0 {
		e := fault.New(fault.Config, "the file has no `project`").At(fault.Position{File: l.show(f.Path), Line: 1, Column: 1})
		l.fail(e.WithHint("add `project: NAME` at the top: it becomes the ownership tag of every resource"))
		return
	}
	name := filepath.Base(f.Dir)
	if abs, err := filepath.Abs(f.Dir); err == nil {
		name = filepath.Base(abs)
	}
	f.Project = strings.Map(func(r rune) rune {
		if r < 0x80 && ValidName("_"+string(r)) {
			return r
		}
		return '-'
	}, name)
	f.Project = strings.TrimLeft(f.Project, "-")
	for _, w := range f.Warnings {
		w.Detail = append(w.Detail, "The file has no `project:` either; the folder's name "+quote(f.Project)+" stands in.")
	}
}

// derive declares the environments that overlays name.
func (l *loader) derive() {
	for _, o := range l.overlayEnvs {
		if !ValidName(o.name) || len(o.name) > 63 {
			l.fail(o.at.Fault("%s cannot be an environment's name", quote(o.name)).
				WithHint("it becomes part of the state's key: up to 63 letters, digits, \"_\" and \"-\""))
			continue
		}
		if _, ok := l.file.Environment(o.name); !ok {
			l.file.Environments = append(l.file.Environments, Environment{Name: o.name, Pos: o.at.Pos()})
		}
	}
}

// checkEnvironments reports overlays for environments that do not exist.
func (l *loader) checkEnvironments() {
	var declared []string
	for _, e := range l.file.Environments {
		declared = append(declared, e.Name)
	}
	for _, o := range l.overlayEnvs {
		if slices.Contains(declared, o.name) {
			continue
		}
		e := o.at.Fault("%s has an overlay for environment %q, which is not declared", o.owner, o.name)
		if near := kind.Nearest(o.name, declared); near != "" {
			l.fail(e.WithHint("did you mean %q?", near))
		} else if len(declared) == 0 {
			l.fail(e.WithHint("`environments:` declares none: add `%s: {}` to it", o.name))
		} else {
			l.fail(e.WithHint("declared are %s", oneOf(declared)))
		}
	}
}

// checkSchedules looks for the pipelines and environments of schedules.
func (l *loader) checkSchedules() {
	var pipelines, environments, names []string
	for _, p := range l.file.Pipelines {
		pipelines = append(pipelines, p.Name)
	}
	for _, e := range l.file.Environments {
		environments = append(environments, e.Name)
	}
	for _, s := range l.file.Schedules {
		l.exists("pipeline", s.Pipeline, s.Node.Get("pipeline"), pipelines)
		l.exists("environment", s.Env, s.Node.Get("env"), environments)
		if err := checkCron(s.Cron); err != nil && s.Cron != "" {
			why, _, _ := strings.Cut(err.Error(), ": strconv.")
			l.fail(s.Node.Get("cron").Fault("%q is no time of a schedule: %s", s.Cron, why).
				WithHint("write five fields, minute, hour, day, month, weekday (\"0 3 * * 1-5\"), or @hourly, @daily, @weekly, @monthly; with CRON_TZ=Europe/Berlin before them they are of that place, else of UTC"))
		}
		if name := cmp.Or(s.Name, s.Pipeline+"-"+s.Env); slices.Contains(names, name) {
			l.fail(s.Node.Fault("two schedules are called %q", name).WithHint("give each a `name` of its own"))
		} else {
			names = append(names, name)
		}
	}
}

func checkCron(spec string) error {
	zoned := strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=")
	if zoned && !strings.Contains(spec, " ") {
		return errors.New("nothing is behind the time zone") // the parser panics
	}
	_, err := cron.ParseStandard(spec)
	return err
}

func (l *loader) exists(noun, name string, at *Node, known []string) {
	if name == "" || slices.Contains(known, name) {
		return
	}
	e := at.Fault("there is no %s %q", noun, name)
	if near := kind.Nearest(name, known); near != "" {
		l.fail(e.WithHint("did you mean %q?", near))
	} else if len(known) == 0 {
		l.fail(e.WithHint("the file declares none"))
	} else {
		l.fail(e.WithHint("there are %s", oneOf(known)))
	}
}

// legacy warns once of what belongs into the manifest.
func (l *loader) legacy(f Field, message, hint string) {
	for _, w := range l.file.Warnings {
		w.Detail = append(w.Detail, f.Pos().String()+": "+message)
		return
	}
	l.file.Warnings = append(l.file.Warnings, f.Fault("%s", message).WithHint("%s", hint))
}
