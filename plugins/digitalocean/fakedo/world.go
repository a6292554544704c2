package fakedo

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// World makes real what the API otherwise only describes: clusters that
// answer, apps that run. Calls come one at a time, and the API waits for
// them. Package world has one; without any, addresses lead nowhere.
type World interface {
	// StartDatabase starts the server of a cluster and returns where it
	// listens. Supports tells for which engines it is asked.
	Supports(engine string) bool
	StartDatabase(id string, first Credential, database string) (host string, port int, err error)
	SetUser(id string, user Credential) error
	DropUser(id, name string) error
	AddDatabase(id, name string) error
	DropDatabase(id, name string) error
	StopDatabase(id string)
	// Deploy runs the jobs that come first and starts the components beside
	// those that serve. An error of type *Crash fails the deployment.
	Deploy(d Deployment) error
	// Promote lets a deployment serve, ends the one before it and returns
	// the app's address, which stays the same.
	Promote(app, deployment string) (address string, err error)
	// Discard ends a deployment that does not come to serve.
	Discard(app, deployment string)
	StopApp(app string)
	// Lines is what a component of a deployment has written so far.
	Lines(app, deployment, component string) []string
}

// Credential is a user of a database.
type Credential struct{ Name, Password string }

// Deployment is what an app is to run.
type Deployment struct {
	App, ID    string
	Components []Component
	Routes     []Route
	// Registry serves the images of the account.
	Registry http.Handler
}

// Component is a part of an app that runs an image.
type Component struct {
	// Kind is service, worker or job; Job says when a job runs: PRE_DEPLOY,
	// POST_DEPLOY, FAILED_DEPLOY.
	Kind, Name, Job string
	// Image is NAME/REPOSITORY:TAG or NAME/REPOSITORY@DIGEST in the
	// account's registry; empty where the component has none from there.
	Image   string
	Command string
	// Env has secrets in plain.
	Env        map[string]string
	HealthPath string
	Instances  int
}

// Route sends what comes under a prefix to a component.
type Route struct {
	Prefix, Component, Rewrite string
	Keep                       bool // hands the prefix on
}

// Crash is a component that did not come up.
type Crash struct {
	Component, Message string
	Lines              []string
}

// Error says what happened.
func (c *Crash) Error() string { return "component " + c.Component + ": " + c.Message }

// deployed has the world run a deployment when its time has come; what does
// not run is a fault of the deployment.
func (r *run) deployed() {
	s := r.s
	if s.opts.World == nil || r.fault != nil {
		return
	}
	err := s.opts.World.Deploy(s.realise(r.app, r.dep))
	if err == nil {
		return
	}
	crash := &Crash{Component: components(sub(r.dep, "spec"))[0].name, Message: err.Error()}
	errors.As(err, &crash)
	r.fault = &Fault{Component: crash.Component, Phase: "DEPLOYING", Code: "DeployContainerExitNonZero", Message: crash.Message, Lines: crash.Lines}
	s.failing[str(r.dep, "id")] = r.fault
}

// realise is an app's spec with what only the service knows: the account's
// registry and the secrets.
func (s *Server) realise(o *object, dep doc) Deployment {
	spec := sub(dep, "spec")
	d := Deployment{App: o.id, ID: str(dep, "id"), Registry: s.registry.images}
	for _, c := range components(spec) {
		d.Components = append(d.Components, Component{
			Kind: c.kind, Name: c.name, Job: str(c.spec, "kind"), Image: s.imageName(sub(c.spec, "image")), Command: str(c.spec, "run_command"),
			Env: s.environment(spec, c.spec), HealthPath: str(sub(c.spec, "health_check"), "http_path"), Instances: max(int(num(c.spec, "instance_count")), 1),
		})
	}
	for _, rule := range docs(sub(spec, "ingress"), "rules") {
		to := sub(rule, "component")
		keep := flag(to, "preserve_path_prefix") || str(to, "preserve_path_prefix") == "true"
		d.Routes = append(d.Routes, Route{Prefix: str(sub(sub(rule, "match"), "path"), "prefix"), Component: str(to, "name"), Rewrite: str(to, "rewrite"), Keep: keep})
	}
	return d
}

func (s *Server) imageName(image doc) string {
	if image == nil || str(image, "registry_type") != "DOCR" {
		return ""
	}
	// An app's spec does not say which of the account's registries; the first
	// that has the image is it.
	reference, separator := str(image, "digest"), "@"
	if reference == "" {
		reference, separator = defaultTo(str(image, "tag"), "latest"), ":"
	}
	for _, r := range s.shelf("registry").objects {
		if repository := r.name + "/" + str(image, "repository"); s.hasImage(repository, reference) {
			return repository + separator + reference
		}
	}
	return ""
}

// environment is that of the app with that of the component over it.
func (s *Server) environment(specs ...doc) map[string]string {
	env := map[string]string{}
	for _, spec := range specs {
		for _, e := range docs(spec, "envs") {
			value := str(e, "value")
			if plain, hidden := s.ciphers[value]; hidden {
				value = plain
			}
			env[str(e, "key")] = value
		}
	}
	return env
}

// settle gives an app the address that the world has for it.
func (s *Server) settle(o *object, dep doc) {
	if s.opts.World == nil {
		return
	}
	address, err := s.opts.World.Promote(o.id, str(dep, "id"))
	if err != nil {
		s.violations = append(s.violations, fmt.Sprintf("the world cannot promote %s: %v", o.name, err))
		return
	}
	o.doc["default_ingress"], o.doc["live_url_base"], o.doc["live_url"] = address, address, address
	o.doc["live_domain"] = strings.TrimPrefix(address, "http://")
}

// discard tells the world that a deployment has ended without serving.
func (s *Server) discard(o *object, dep doc) {
	if s.opts.World != nil {
		s.opts.World.Discard(o.id, str(dep, "id"))
	}
}

// real is whether a cluster has a server of its own in the world.
func (s *Server) real(o *object) bool {
	return o.kind == "database" && s.opts.World != nil && s.opts.World.Supports(str(o.doc, "engine"))
}

// startReal starts the server of a new cluster.
func (s *Server) startReal(o *object, e engine) error {
	if !s.real(o) {
		return nil
	}
	host, port, err := s.opts.World.StartDatabase(o.id, Credential{e.user, o.secret["password"]}, e.database)
	if err != nil {
		s.violations = append(s.violations, fmt.Sprintf("the world has no server for %s: %v", o.name, err))
		return err
	}
	o.secret["real host"], o.secret["real port"] = host, strconv.Itoa(port)
	return nil
}

// address is where a cluster answers: a host that the fake makes up, with a
// word before it for each further way in, or the one that the world has.
func (o *object) address(prefix string, e engine) (string, int) {
	if port, err := strconv.Atoi(o.secret["real port"]); err == nil {
		return o.secret["real host"], port
	}
	return prefix + o.secret["host"], e.port
}

// inWorld does something to the server of a cluster that has one.
func (s *Server) inWorld(o *object, do func(World) error) (reply, bool) {
	if !s.real(o) {
		return reply{}, false
	}
	if err := do(s.opts.World); err != nil {
		return problem(http.StatusInternalServerError, err.Error()), true
	}
	return reply{}, false
}

// leave ends what the world runs for something that is gone.
func (s *Server) leave(o *object) {
	switch {
	case s.opts.World == nil:
	case o.kind == "app":
		s.opts.World.StopApp(o.id)
	case s.real(o):
		s.opts.World.StopDatabase(o.id)
	}
}
