package fakedo

import (
	"net/http"
	"slices"
	"strings"
)

func (s *Server) projectRoutes() map[string]func(*call) reply {
	get := func(_ *call, o *object) reply { return ok(doc{"project": o.doc}) }
	return map[string]func(*call) reply{
		"GET /v2/projects":                         func(c *call) reply { return page(c, "projects", s.listed("project", nil), docOf) },
		"POST /v2/projects":                        s.createProject,
		"GET /v2/projects/default":                 s.onDefault(get),
		"PUT /v2/projects/default":                 s.onDefault(s.updateProject),
		"PATCH /v2/projects/default":               s.onDefault(s.updateProject),
		"GET /v2/projects/default/resources":       s.onDefault(s.listProjectResources),
		"POST /v2/projects/default/resources":      s.onDefault(s.assignResources),
		"GET /v2/projects/{project_id}":            s.on("project", "project_id", get),
		"PUT /v2/projects/{project_id}":            s.on("project", "project_id", s.updateProject),
		"PATCH /v2/projects/{project_id}":          s.on("project", "project_id", s.updateProject),
		"DELETE /v2/projects/{project_id}":         s.on("project", "project_id", s.deleteProject),
		"GET /v2/projects/{project_id}/resources":  s.on("project", "project_id", s.listProjectResources),
		"POST /v2/projects/{project_id}/resources": s.on("project", "project_id", s.assignResources),
	}
}

func (s *Server) onDefault(do func(*call, *object) reply) func(*call) reply {
	return func(c *call) reply { return do(c, s.defaultProject()) }
}

func (s *Server) defaultProject() *object {
	for _, o := range s.shelf("project").objects {
		if flag(o.doc, "is_default") {
			return o
		}
	}
	return nil
}

// addDefaultProject is what every account has from the start.
func (s *Server) addDefaultProject() {
	o := s.addProject(nil, doc{"name": "first-project", "purpose": "Just trying out DigitalOcean", "description": "Update your project information under Settings"})
	o.doc["is_default"], o.ours = true, true
}

func (s *Server) addProject(c *call, in doc) *object {
	id := s.uuid()
	d := with(doc{
		"id": id, "owner_uuid": accountID, "owner_id": 258992, "description": "", "environment": "Development",
		"is_default": false, "created_at": s.stamp(), "updated_at": s.stamp(),
	}, in)
	return s.add(c, &object{kind: "project", id: id, name: str(d, "name"), doc: d})
}

func (s *Server) createProject(c *call) reply {
	if s.named("project", str(c.body, "name")) != nil {
		return problem(http.StatusConflict, "name is already in use")
	}
	return created(doc{"project": s.addProject(c, c.body).doc})
}

func (s *Server) updateProject(c *call, o *object) reply {
	if other := s.named("project", str(c.body, "name")); other != nil && other != o {
		return problem(http.StatusConflict, "name is already in use")
	}
	if flag(c.body, "is_default") {
		s.defaultProject().doc["is_default"] = false
	}
	for k, v := range c.body {
		o.doc[k] = v
	}
	o.name, o.doc["updated_at"] = str(o.doc, "name"), s.stamp()
	return ok(doc{"project": o.doc})
}

func (s *Server) deleteProject(_ *call, o *object) reply {
	if flag(o.doc, "is_default") {
		return problem(http.StatusPreconditionFailed, "cannot delete the default project")
	}
	if len(s.inProject(o)) > 0 {
		return problem(http.StatusPreconditionFailed, "cannot delete a project with resources. move or remove the resources first")
	}
	s.drop(o)
	return gone()
}

// projectKinds are the kinds that a project lists. The description's pattern
// for URNs has no apps, so that they are not shown; an app knows its project.
var projectKinds = []string{"database", "domain", "droplet", "load_balancer", "volume", "kubernetes"}

func (s *Server) inProject(p *object) (out []*object) {
	for _, kind := range append(slices.Clone(projectKinds), "app") {
		for _, o := range s.shelf(kind).objects {
			if s.projectOf(o) == p.id {
				out = append(out, o)
			}
		}
	}
	return out
}

func (s *Server) projectOf(o *object) string {
	if o.project != "" {
		return o.project
	}
	return s.defaultProject().id
}

func (s *Server) listProjectResources(c *call, p *object) reply {
	shown := slices.DeleteFunc(s.inProject(p), func(o *object) bool { return o.kind == "app" })
	return page(c, "resources", shown, func(o *object) any { return s.assignment(c, o, "ok") })
}

func (s *Server) assignment(c *call, o *object, status string) doc {
	paths := map[string]string{"database": "databases", "domain": "domains", "droplet": "droplets", "load_balancer": "load_balancers", "volume": "volumes", "kubernetes": "kubernetes/clusters"}
	return doc{"urn": o.urn(), "assigned_at": s.stamp(), "status": status, "links": doc{"self": c.base + "/v2/" + paths[o.kind] + "/" + o.id}}
}

func (s *Server) assignResources(c *call, p *object) reply {
	var out []any
	for _, urn := range texts(c.body, "resources") {
		o := s.byURN(urn)
		if o == nil {
			return problem(http.StatusNotFound, "resource not found: "+urn)
		}
		status := "assigned"
		if s.projectOf(o) == p.id {
			status = "already_assigned"
		}
		o.project = p.id
		if _, has := o.doc["project_id"]; has {
			o.doc["project_id"] = p.id
		}
		out = append(out, s.assignment(c, o, status))
	}
	return ok(doc{"resources": out})
}

func (s *Server) byURN(urn string) *object {
	parts := strings.SplitN(urn, ":", 3)
	if len(parts) != 3 {
		return nil
	}
	for kind, name := range urnKinds {
		if name == parts[1] && kind != "app" {
			return s.find(kind, parts[2])
		}
	}
	return nil
}

// projectFor checks the project that a new resource names.
func (s *Server) projectFor(id string) (string, reply, bool) {
	if id == "" {
		return s.defaultProject().id, reply{}, false
	}
	if s.find("project", id) == nil {
		return "", refused("project " + id + " does not exist"), true
	}
	return id, reply{}, false
}
