package config

import "github.com/gocodealone/wfctl/fault"

var (
	moduleKeys    = []string{"name", "type", "config", "environments", "outputs", "lifecycle", "depends_on", "enabled", "import"}
	overlayKeys   = []string{"config", "outputs", "lifecycle", "depends_on", "enabled", "import"}
	outputKeys    = []string{"sensitive", "sinks"}
	lifecycleKeys = []string{"prevent_destroy", "create_before_destroy", "ignore_changes"}
)

// module decodes one element of `modules:`.
func (d *decoder) module(n *Node) (Module, bool) {
	m := Module{Node: n}
	if n.Kind != Map {
		d.fail(n.Fault("a module must be a mapping, not %s", n.Kind).WithHint("its keys are %s", oneOf(moduleKeys)))
		return m, false
	}
	m.NameNode, m.TypeNode = n.Get("name"), n.Get("type")
	o := owner{"module", ""}
	if m.NameNode != nil && m.NameNode.Kind == String && m.NameNode.Text != "" {
		o.name = m.NameNode.Text
	} else {
		o.noun = "a module"
	}
	d.fields(n, o, moduleKeys, func(f Field) bool {
		switch f.Name {
		case "name":
			m.Name = d.name(f, o)
		case "type":
			m.Type = d.text(f, o)
		case "environments":
			d.overlays(f, o, &m)
		default:
			return d.part(f, o, &m.Part)
		}
		return true
	})
	d.required(n, o, m.NameNode != nil, "name")
	d.required(n, o, m.TypeNode != nil, "type")
	return m, m.Name != ""
}

// name checks a name that expressions and addresses are made of.
func (d *decoder) name(f Field, o owner) string {
	name := d.text(f, o)
	if name == "" || ValidName(name) {
		return name
	}
	d.fail(f.Value.Fault("%s cannot be a name", quote(name)).
		WithHint("a name has letters, digits, \"_\" and \"-\" only, and does not begin with \"-\""))
	return ""
}

// part decodes a key that both a module and its overlay have.
func (d *decoder) part(f Field, o owner, p *Part) bool {
	switch f.Name {
	case "config":
		d.is(f, o, Map)
		p.Config = mapOnly(f.Value)
	case "outputs":
		d.outputs(f, o)
		p.Outputs = mapOnly(f.Value)
	case "lifecycle":
		d.lifecycle(f, o)
		p.Lifecycle = mapOnly(f.Value)
	case "depends_on":
		d.texts(f, o)
		p.DependsOn = f.Value
	case "enabled":
		p.Enabled = d.enabled(f, o)
	case "import":
		d.imported(f)
		p.Import = mapOnly(f.Value)
	default:
		return false
	}
	return true
}

// mapOnly drops a value that was reported as wrong already.
func mapOnly(n *Node) *Node {
	if n != nil && n.Kind != Map && n.Kind != Null {
		return nil
	}
	return n
}

// enabled is a boolean, or an expression that gives one.
func (d *decoder) enabled(f Field, o owner) *Node {
	if f.Value.IsNull() || (f.Value.Kind == String && dynamic(f.Value.Text)) || d.is(f, o, Bool) {
		return f.Value
	}
	return nil
}

func (d *decoder) imported(f Field) {
	o := owner{"`import`", ""}
	d.fields(f.Value, o, []string{"id"}, func(f Field) bool {
		if f.Name != "id" {
			return false
		}
		d.text(f, o)
		return true
	})
}

func (d *decoder) lifecycle(f Field, o owner) {
	o = owner{"`lifecycle` of " + o.String(), ""}
	d.fields(f.Value, o, lifecycleKeys, func(f Field) bool {
		switch f.Name {
		case "prevent_destroy", "create_before_destroy":
			d.is(f, o, Bool)
		case "ignore_changes":
			d.texts(f, o)
		default:
			return false
		}
		return true
	})
}

func (d *decoder) outputs(f Field, o owner) {
	d.entries(f.Value, owner{"`outputs` of " + o.String(), ""}, func(f Field) {
		o := owner{"output", f.Name}
		d.fields(f.Value, o, outputKeys, func(f Field) bool {
			switch f.Name {
			case "sensitive":
				d.is(f, o, Bool)
			case "sinks":
				d.items(f, o, func(_ int, n *Node) { d.sink(n) })
			default:
				return false
			}
			return true
		})
	})
}

// sink checks what every sink has; its other keys are its kind's.
func (d *decoder) sink(n *Node) {
	if n.Kind != Map {
		d.fail(n.Fault("a sink must be a mapping, not %s", n.Kind).WithHint("write {type: github_secret, name: …}"))
		return
	}
	o := owner{"a sink", ""}
	for _, name := range []string{"type", "name"} {
		if f, ok := n.Field(name); ok {
			d.text(f, o)
		}
	}
	d.required(n, o, n.Get("type") != nil, "type")
}

func (d *decoder) overlays(f Field, o owner, m *Module) {
	d.entries(f.Value, owner{"`environments` of " + o.String(), ""}, func(env Field) {
		over := Overlay{Env: env.Name, Pos: env.Pos()}
		oo := owner{"environment \"" + env.Name + "\" of module", o.name}
		d.fields(env.Value, oo, overlayKeys, func(f Field) bool { return d.part(f, oo, &over.Part) })
		m.Overlays = append(m.Overlays, over)
	})
}

// entry decodes one member of `images:`, `migrations:`, `gates:`. What its
// keys may be is the schema's matter, but for those that wfctl reads itself.
func (d *decoder) entry(f Field, noun string) (Entry, bool) {
	o := owner{noun, f.Name}
	e := Entry{Name: f.Name, Key: f, Body: f.Value}
	if !ValidName(f.Name) {
		d.fail(f.Fault("%s cannot be a name", quote(f.Name)).
			WithHint("a name has letters, digits, \"_\" and \"-\" only, and does not begin with \"-\""))
		return e, false
	}
	if f.Value.IsNull() {
		e.Body = NewMap(f.Value)
		return e, true
	}
	if f.Value.Kind != Map {
		d.fail(f.Value.Fault("%s must be a mapping, not %s", o, f.Value.Kind))
		return e, false
	}
	e.Body, e.Enabled = d.body(f.Value, o)
	if env, ok := f.Value.Field("environments"); ok {
		d.entries(env.Value, owner{"`environments` of " + o.String(), ""}, func(env Field) {
			e.Overlays = append(e.Overlays, d.entryOverlay(env, o))
		})
	}
	return e, true
}

func (d *decoder) entryOverlay(env Field, o owner) EntryOverlay {
	over := EntryOverlay{Env: env.Name, Pos: env.Pos()}
	if env.Value.IsNull() {
		return over
	}
	oo := owner{"environment \"" + env.Name + "\" of " + o.noun, o.name}
	if env.Value.Kind != Map {
		d.fail(env.Value.Fault("%s must be a mapping, not %s", oo, env.Value.Kind))
		return over
	}
	over.Body, over.Enabled = d.body(env.Value, oo)
	return over
}

// body checks the keys of an entry that are not its kind's.
func (d *decoder) body(n *Node, o owner) (body, enabled *Node) {
	for _, f := range n.Fields {
		switch f.Name {
		case "enabled":
			enabled = d.enabled(f, o)
		case "after", "depends_on":
			d.texts(f, o)
		}
	}
	return n.Without("environments", "enabled"), enabled
}

// place is what an error can point at.
type place interface {
	Pos() fault.Position
	Fault(format string, args ...any) *fault.Error
}

// declare reports a name that is declared twice, in one file or in two.
func (d *decoder) declare(noun, name string, at place) bool {
	if d.names == nil {
		d.names = map[[2]string]place{}
	}
	key := [2]string{noun, name}
	if first, dup := d.names[key]; dup {
		d.fail(at.Fault("%s %q is declared twice", noun, name).
			WithHint("the first is at %s: rename one of them, or remove it", first.Pos()))
		return false
	}
	d.names[key] = at
	return true
}
