package resolve

import (
	"regexp"
	"strings"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/resource"
)

// Credential is a password that stands in a file as it is, and does not come
// from a variable.
type Credential struct {
	Text string
	Pos  fault.Position
}

// passwords are where a URL, or a line of settings, has one.
var passwords = []func() *regexp.Regexp{
	lazyregexp.New(`://[^/?#@\s:]*:([^/?#@\s]+)@`),
	lazyregexp.New(`(?i)\bpassword\s*=\s*'?([^\s'&;]+)`),
}

// Credentials finds the passwords in the texts of a configuration as the file
// has them.
func Credentials(i resource.Input) []Credential {
	in, ok := i.(*input)
	if !ok {
		return nil
	}
	var found []Credential
	var walk func(*config.Node)
	walk = func(n *config.Node) {
		for _, f := range n.Fields {
			walk(f.Value)
		}
		for _, item := range n.Items {
			walk(item)
		}
		if n.Kind != config.String {
			return
		}
		for _, pattern := range passwords {
			if m := pattern().FindStringSubmatch(n.Text); m != nil && !strings.HasPrefix(m[1], "${") {
				found = append(found, Credential{m[1], n.Pos()})
			}
		}
	}
	walk(in.tree)
	return found
}
