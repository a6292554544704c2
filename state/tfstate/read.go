package tfstate

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// Resource is one instance of a resource that Terraform manages.
type Resource struct {
	// Address is Terraform's: module.app.aws_instance.web[0].
	Address string
	Type    string
	// ID is what its platform calls it; "" where the file does not say.
	ID string
	// Problem is why it cannot be taken over, whatever it maps to; "" for none.
	Problem string

	path   string // of its module
	name   string
	index  string // of the instance: 0, or a key; "" for none
	single bool   // it is the only instance
	label  string // what its platform calls it to people
	engine string
}

// Read reads the resources of a state file, in its order. Data sources, which
// Terraform only reads, are not among them.
func Read(r io.Reader) ([]Resource, error) {
	var doc struct {
		Version       *int            `json:"version"`
		FormatVersion string          `json:"format_version"`
		EncryptedData json.RawMessage `json:"encrypted_data"`
		Resources     []entry         `json:"resources"`
	}
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		// Not the decoder's own words: they may quote what stands there.
		return nil, fault.New(fault.Usage, "this is no Terraform state: it is not JSON of that shape").WithHint(pullHint)
	}
	switch {
	case doc.EncryptedData != nil:
		return nil, fault.New(fault.Usage, "this Terraform state is encrypted").WithHint("`tofu state pull` prints it in the clear: pipe it in, and write - for FILE")
	case doc.FormatVersion != "":
		return nil, fault.New(fault.Usage, "this is what `terraform show -json` prints, not a state").WithHint(pullHint)
	case doc.Version == nil:
		return nil, fault.New(fault.Usage, "this is no Terraform state: it has no version").WithHint(pullHint)
	case *doc.Version != version:
		return nil, fault.New(fault.Usage, "this is no Terraform state of version %d: its version is %d", version, *doc.Version).
			WithHint("Terraform 0.12 and later write version %d: let `terraform apply -refresh-only` write it anew", version)
	}
	var list []Resource
	for _, e := range doc.Resources {
		if e.Mode != "managed" {
			continue
		}
		for _, i := range e.Instances {
			list = append(list, e.resource(i))
		}
	}
	return list, nil
}

const pullHint = "`terraform state pull > FILE` writes one"

func (e entry) resource(i instance) Resource {
	r := Resource{Type: e.Type, path: e.Module, name: e.Name, single: len(e.Instances) == 1, label: i.text("name"), engine: i.text("engine")}
	r.Address = e.Type + "." + e.Name
	if e.Module != "" {
		r.Address = e.Module + "." + r.Address
	}
	if len(i.IndexKey) > 0 {
		r.index = strings.Trim(string(i.IndexKey), `"`)
		r.Address += "[" + string(i.IndexKey) + "]"
	}
	field := idField(e.Type)
	r.ID = i.text(field)
	switch {
	case i.Deposed != "":
		r.Address += " (deposed " + i.Deposed + ")"
		r.Problem = "it is what a replacement has left; let Terraform destroy it first"
	case i.Status == "tainted":
		r.Problem = "it is tainted: let Terraform replace it first, or `terraform untaint` it"
	case i.sensitive(field):
		r.ID, r.Problem = "", "its "+field+" is sensitive"
	case r.ID == "":
		r.Problem = "the file does not say its " + field
	}
	return r
}

// text returns an attribute that is a plain string or number, "" for none.
func (i instance) text(name string) string {
	var text string
	if raw := i.Attributes[name]; json.Unmarshal(raw, &text) != nil {
		var n json.Number
		if json.Unmarshal(raw, &n) == nil {
			return n.String()
		}
	}
	return text
}

func (i instance) sensitive(name string) bool {
	for _, path := range i.SensitiveAttributes {
		var first string
		if len(path) > 0 && json.Unmarshal(path[0].Value, &first) == nil && first == name {
			return true
		}
	}
	return false
}

var modulePart = lazyregexp.New(`module\.([^.\[]+)(?:\[("?)([^\]]*?)"?\])?`)

// names are what a module may be called that takes the resource over, in a
// normal form: its own name, with the key of the instance where there is more
// than one, and with the modules that it is in.
func (r Resource) names() []string {
	var path []string
	for _, m := range modulePart().FindAllStringSubmatch(r.path, -1) {
		path = append(path, m[1])
		if m[3] != "" {
			path = append(path, m[3])
		}
	}
	var names []string
	add := func(parts ...string) { names = append(names, normal(strings.Join(parts, "-"))) }
	for _, before := range [][]string{nil, path} {
		if r.index != "" {
			add(append(append([]string{}, before...), r.name, r.index)...)
		}
		if r.index == "" || r.single {
			add(append(append([]string{}, before...), r.name)...)
		}
	}
	return names
}

var separators = lazyregexp.New(`[^a-z0-9]+`)

// normal makes names equal that differ in case and separators alone.
func normal(name string) string { return separators().ReplaceAllString(strings.ToLower(name), "-") }
