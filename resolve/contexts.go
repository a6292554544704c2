package resolve

import (
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/kind"
)

// githubNames are the properties of the context `github` that a workflow has
// in its environment, for did-you-mean.
var githubNames = []string{
	"action", "actor", "actor_id", "api_url", "base_ref", "event_name", "graphql_url", "head_ref", "job", "ref", "ref_name",
	"ref_protected", "ref_type", "repository", "repository_id", "repository_owner", "repository_owner_id", "run_attempt",
	"run_id", "run_number", "server_url", "sha", "token", "triggering_actor", "workflow", "workflow_ref", "workflow_sha", "workspace",
}

// makeRoots builds the contexts of expressions.
func (r *resolver) makeRoots() {
	r.roots = map[string]any{
		"project":     r.file.Project,
		"environment": r.env.Name(),
		"env":         context{"env", r.envProperty},
		"github":      context{"github", r.githubProperty},
		"secrets":     context{"secrets", r.secretProperty},
	}
	r.roots["vars"] = context{"vars", r.varProperty}
	r.settleVars()
}

func (r *resolver) envProperty(s *scope, name string) (any, *evalError) {
	if v, ok := r.options.Getenv(name); ok {
		s.secret = s.secret || looksSecret(name)
		return v, nil
	}
	return nil, lacks("the environment variable %s is not set", name).
		withHint("set it, or write env.%s || 'a default'", name)
}

func lacks(format string, args ...any) *evalError { return span{0, 1}.fail(format, args...) }

func (r *resolver) githubProperty(s *scope, name string) (any, *evalError) {
	variable := "GITHUB_" + strings.ToUpper(name)
	if v, ok := r.options.Getenv(variable); ok {
		s.secret = s.secret || strings.EqualFold(name, "token")
		return v, nil
	}
	e := lacks("github.%s is not known: the variable %s is not set", name, variable)
	if !slices.Contains(githubNames, strings.ToLower(name)) {
		if near := kind.Nearest(name, githubNames); near != "" {
			return nil, e.withHint("did you mean github.%s?", near)
		}
		return nil, e.withHint("GitHub Actions sets github.repository, github.sha, github.ref_name, github.actor and more")
	}
	return nil, e.withHint("GitHub Actions sets it; elsewhere set %s yourself", variable)
}

func (r *resolver) secretProperty(s *scope, name string) (any, *evalError) {
	s.secret = true
	r.settleStores()
	v, ok, err := r.options.Secret(r.stores, name)
	switch {
	case err != nil:
		return nil, lacks("the secret %s cannot be read: %v", name, err).withHint("%s", hintOf(err))
	case ok:
		return v, nil
	case len(r.stores) > 0:
		return nil, lacks("the secret %s is in no store", name).withHint("put it into one of `secrets.stores`, or set the environment variable %s", name)
	}
	return nil, lacks("the secret %s is not there", name).withHint("set the environment variable %s", name)
}

// A variable is a value of `vars`.
type variable struct {
	node   *config.Node
	state  int
	value  any
	secret bool
	broken bool // its error was reported
}

// The states of a variable.
const (
	waiting = iota
	running
	settled
)

// settleVars evaluates the variables of the environment. They may use each
// other, and what is known without other nodes.
func (r *resolver) settleVars() {
	r.vars = map[string]*variable{}
	var names []string
	for _, n := range []*config.Node{r.environment.Vars, r.file.Vars} {
		if n == nil {
			continue
		}
		for _, f := range n.Fields {
			if r.vars[f.Name] == nil {
				r.vars[f.Name] = &variable{node: f.Value}
				names = append(names, f.Name)
			}
		}
	}
	for _, name := range names {
		r.settleVar(r.vars[name])
	}
}

func (r *resolver) settleVar(v *variable) {
	if v.state != waiting {
		return
	}
	v.state = running
	s := &scope{contexts: r.roots}
	before := len(r.faults)
	v.value = r.settleNode(v.node, s)
	v.secret, v.broken, v.state = s.secret, len(r.faults) > before, settled
}

func (r *resolver) varProperty(s *scope, name string) (any, *evalError) {
	v := r.vars[name]
	if v == nil {
		return nil, r.noVar(name)
	}
	r.settleVar(v)
	s.secret = s.secret || v.secret
	switch {
	case v.state == running:
		return nil, lacks("vars.%s needs its own value", name).withHint("it stands at %s", v.node.Pos())
	case v.broken:
		return unknown{}, nil // its own error is enough
	case v.value == nil:
		return nil, lacks("vars.%s is null", name)
	}
	return v.value, nil
}

func (r *resolver) noVar(name string) *evalError {
	e := lacks("there is no variable %q in environment %q", name, r.env.Name())
	var names, elsewhere []string
	for n := range r.vars {
		names = append(names, n)
	}
	for _, env := range r.file.Environments {
		if env.Vars.Get(name) != nil {
			elsewhere = append(elsewhere, env.Name)
		}
	}
	switch near := kind.Nearest(name, names); {
	case near != "":
		return e.withHint("did you mean vars.%s?", near)
	case len(elsewhere) > 0:
		return e.withHint("%s has it: give %s one too, or set a default under the top-level `vars:`",
			strings.Join(elsewhere, ", "), r.env.Name())
	case len(names) == 0:
		return e.withHint("declare it under `vars:` of the environment, or at the top of the file")
	}
	return e.withHint("it has %s", strings.Join(sorted(names), ", "))
}

// settleNode evaluates a value in which nothing may stay open.
func (r *resolver) settleNode(n *config.Node, s *scope) any {
	if n.IsNull() {
		return nil
	}
	switch n.Kind {
	case config.Bool:
		return n.Text == "true"
	case config.Number:
		return toNumber(n.Text)
	case config.String:
		return r.settleText(n, s)
	case config.List:
		list := make([]any, len(n.Items))
		for i, item := range n.Items {
			list[i] = r.settleNode(item, s)
		}
		return list
	}
	o := newObject()
	for _, f := range n.Fields {
		o.set(f.Name, r.settleNode(f.Value, s))
	}
	return o
}

// settleText evaluates a string that must be known at once; it is nil after
// an error.
func (r *resolver) settleText(n *config.Node, s *scope) any {
	if !isDynamic(n.Text) {
		return n.Text
	}
	parts, errs := parseTemplate(n.Text, &binder{settled: s})
	if len(errs) == 0 {
		v, err := evalParts(parts, s)
		if err == nil {
			return v
		}
		errs = append(errs, err)
	}
	r.failIn(n, errs...)
	return nil
}

// failIn reports errors at their places in a string.
func (r *resolver) failIn(n *config.Node, errs ...*evalError) {
	for _, e := range errs {
		f := n.FaultIn(e.offset, e.width, "%s", e.message)
		f.Hint = e.hint
		r.faults = append(r.faults, f)
	}
}

// failAt reports an error of a whole value.
func (r *resolver) failAt(n *config.Node, e *evalError) {
	f := n.Fault("%s", e.message)
	f.Hint = e.hint
	r.fail(f)
}
