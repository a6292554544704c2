package sdk

import (
	"fmt"
	"strconv"
	"strings"
)

// Path is a place in a configuration: an RFC 6901 JSON pointer such as
// "/env_vars/DATABASE_URL" or "/routes/0/path". The empty Path is the whole.
type Path string

// Child returns the path of a field of the object at p.
func (p Path) Child(field string) Path {
	return p + "/" + Path(strings.NewReplacer("~", "~0", "/", "~1").Replace(field))
}

// Index returns the path of an element of the list at p.
func (p Path) Index(i int) Path { return p + Path(fmt.Sprintf("/%d", i)) }

// Segments returns the unescaped parts.
func (p Path) Segments() []string {
	if p == "" {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(string(p), "/"), "/")
	for i, s := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
	}
	return parts
}

// HasPrefix tells whether p is q or lies inside it.
func (p Path) HasPrefix(q Path) bool {
	return p == q || strings.HasPrefix(string(p), string(q)+"/")
}

// Dotted shows the path as people write it: "routes[0].path".
func (p Path) Dotted() string {
	var b strings.Builder
	for _, s := range p.Segments() {
		switch {
		case isIndex(s):
			b.WriteString("[" + s + "]")
		case b.Len() > 0:
			b.WriteString("." + s)
		default:
			b.WriteString(s)
		}
	}
	return b.String()
}

func isIndex(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}

// In finds the place in a document as encoding/json decodes it into an any;
// nil where it is not.
func (p Path) In(doc any) any {
	for _, seg := range p.Segments() {
		switch node := doc.(type) {
		case map[string]any:
			doc = node[seg]
		case []any:
			i, err := strconv.Atoi(seg)
			if err != nil || i < 0 || i >= len(node) {
				return nil
			}
			doc = node[i]
		default:
			return nil
		}
	}
	return doc
}
