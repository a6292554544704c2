package config

import (
	"fmt"
	"slices"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
)

// decoder collects what is wrong.
type decoder struct {
	faults fault.List
	// names are the places of what is declared, by noun and name.
	names map[[2]string]place
}

func (d *decoder) fail(f *fault.Error) { d.faults = append(d.faults, f) }

// owner names what a key belongs to: `module "db"`, `the file`.
type owner struct{ noun, name string }

func (o owner) String() string {
	if o.name == "" {
		return o.noun
	}
	return fmt.Sprintf("%s %q", o.noun, o.name)
}

// fields calls each for every member of a mapping; each returns false for a
// key it does not know. Absent and null count as empty.
func (d *decoder) fields(n *Node, o owner, known []string, each func(f Field) bool) {
	if n.IsNull() {
		return
	}
	if n.Kind != Map {
		d.fail(n.Fault("%s must be a mapping, not %s", o, n.Kind).WithHint("its keys are %s", oneOf(known)))
		return
	}
	for _, f := range n.Fields {
		if !each(f) {
			d.unknown(f, o, known)
		}
	}
}

func (d *decoder) unknown(f Field, o owner, known []string) {
	e := f.Fault("unknown key %s in %s", quote(f.Name), o)
	if near := kind.Nearest(f.Name, known); near != "" {
		d.fail(e.WithHint("did you mean %q?", near))
		return
	}
	sorted := slices.Sorted(slices.Values(known))
	d.fail(e.WithHint("the keys are %s", oneOf(sorted)))
}

// entries calls each for every member of a mapping whose keys are names that
// the user chose.
func (d *decoder) entries(n *Node, o owner, each func(f Field)) {
	if n.IsNull() {
		return
	}
	if n.Kind != Map {
		d.fail(n.Fault("%s must be a mapping of names, not %s", o, n.Kind))
		return
	}
	for _, f := range n.Fields {
		each(f)
	}
}

// items calls each for every element of a list.
func (d *decoder) items(f Field, o owner, each func(i int, n *Node)) {
	if f.Value.IsNull() {
		return
	}
	if f.Value.Kind != List {
		d.wrong(f, o, List)
		return
	}
	for i, item := range f.Value.Items {
		each(i, item)
	}
}

// wrong reports a value of the wrong type.
func (d *decoder) wrong(f Field, o owner, want Kind) {
	e := f.Value.Fault("%q of %s must be %s, not %s", f.Name, o, want, f.Value.Kind)
	switch {
	case want == String && (f.Value.Kind == Number || f.Value.Kind == Bool):
		e = e.WithHint("put it in quotes: %s: %q", f.Name, f.Value.Text)
	case want == Bool && f.Value.Kind == String:
		e = e.WithHint("write true or false, without quotes")
	case want == List && f.Value.Kind != Map:
		e = e.WithHint("write [%s]", f.Value.Text)
	}
	d.fail(e)
}

// is checks the type of a value that may be absent.
func (d *decoder) is(f Field, o owner, want Kind) bool {
	if f.Value.IsNull() {
		return false
	}
	if f.Value.Kind != want {
		d.wrong(f, o, want)
		return false
	}
	return true
}

// text returns a string that must not be empty.
func (d *decoder) text(f Field, o owner) string {
	if f.Value.IsNull() {
		d.fail(f.Fault("%q of %s has no value", f.Name, o))
		return ""
	}
	if !d.is(f, o, String) {
		return ""
	}
	if f.Value.Text == "" {
		d.fail(f.Value.Fault("%q of %s is empty", f.Name, o))
	}
	return f.Value.Text
}

// word returns one of a few strings.
func (d *decoder) word(f Field, o owner, words ...string) string {
	s := d.text(f, o)
	if s == "" || slices.Contains(words, s) {
		return s
	}
	e := f.Value.Fault("%q of %s cannot be %s", f.Name, o, quote(s))
	if near := kind.Nearest(s, words); near != "" {
		d.fail(e.WithHint("did you mean %q?", near))
	} else if len(words) == 1 {
		d.fail(e.WithHint("it can only be %s", words[0]))
	} else {
		d.fail(e.WithHint("it is one of %s", oneOf(words)))
	}
	return ""
}

// yes returns a boolean.
func (d *decoder) yes(f Field, o owner) bool {
	return d.is(f, o, Bool) && f.Value.Text == "true"
}

// texts returns a list of strings.
func (d *decoder) texts(f Field, o owner) []string {
	var list []string
	d.items(f, o, func(i int, n *Node) {
		if s := d.text(Field{Name: fmt.Sprintf("%s[%d]", f.Name, i), Value: n}, o); s != "" {
			list = append(list, s)
		}
	})
	return list
}

// duration checks a length of time such as "2m"; the value stays a node, for
// it may hold an expression.
func (d *decoder) duration(f Field, o owner) {
	if !d.is(f, o, String) || dynamic(f.Value.Text) {
		return
	}
	if !isDuration(f.Value.Text) {
		d.fail(f.Value.Fault("%q of %s is not a length of time: %s", f.Name, o, quote(f.Value.Text)).
			WithHint("write a number with its unit: 30s, 5m, 1h30m"))
	}
}

// required reports a key that is missing.
func (d *decoder) required(n *Node, o owner, present bool, name string) {
	if !present && n != nil && n.Kind == Map {
		d.fail(n.Fault("%s has no %q", o, name))
	}
}
