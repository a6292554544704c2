package fakedo

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

func (s *Server) appRoutes() map[string]func(*call) reply {
	const deployments = "/v2/apps/{app_id}/deployments"
	onApp := func(do func(*call, *object) reply) func(*call) reply { return s.on("app", "app_id", do) }
	return map[string]func(*call) reply{
		"GET /v2/apps":                                    s.listApps,
		"POST /v2/apps":                                   s.createApp,
		"GET /v2/apps/{id}":                               s.on("app", "id", func(_ *call, o *object) reply { return ok(doc{"app": s.appDoc(o)}) }),
		"PUT /v2/apps/{id}":                               s.on("app", "id", s.updateApp),
		"DELETE /v2/apps/{id}":                            s.on("app", "id", s.deleteApp),
		"POST /v2/apps/propose":                           s.proposeApp,
		"GET /v2/apps/regions":                            s.listAppRegions,
		"GET /v2/apps/tiers/instance_sizes":               s.listAppSizes,
		"GET /v2/apps/tiers/instance_sizes/{slug}":        s.getAppSize,
		"GET /v2/apps/{app_id}/instances":                 onApp(s.listInstances),
		"GET /v2/apps/{app_id}/health":                    onApp(s.appHealth),
		"GET /v2/apps/{app_id}/alerts":                    onApp(func(*call, *object) reply { return ok(doc{"alerts": []any{}}) }),
		"POST /v2/apps/{app_id}/restart":                  onApp(s.restartApp),
		"GET " + deployments:                              onApp(s.listDeployments),
		"POST " + deployments:                             onApp(s.createDeployment),
		"GET " + deployments + "/{deployment_id}":         onApp(s.getDeployment),
		"POST " + deployments + "/{deployment_id}/cancel": onApp(s.cancelDeployment),
		"GET " + deployments + "/{deployment_id}/logs":    onApp(s.deploymentLogs),
		"GET " + deployments + "/{deployment_id}/components/{component_name}/logs": onApp(s.deploymentLogs),
		"GET /v2/apps/{app_id}/logs":                             onApp(s.deploymentLogs),
		"GET /v2/apps/{app_id}/components/{component_name}/logs": onApp(s.deploymentLogs),
	}
}

func (s *Server) listApps(c *call) reply {
	withProjects := c.query.Get("with_projects") == "true"
	return page(c, "apps", s.listed("app", nil), func(o *object) any {
		d := s.appDoc(o)
		if !withProjects {
			delete(d, "project_id")
		}
		return d
	})
}

// appDoc shows an app with the deployments that matter now.
func (s *Server) appDoc(o *object) doc {
	d := with(o.doc, doc{"project_id": s.projectOf(o)})
	for _, dep := range o.parts["deployments"] {
		switch str(dep, "phase") {
		case "PENDING_BUILD":
			d["pending_deployment"] = dep
			d["in_progress_deployment"] = dep
		case "BUILDING", "PENDING_DEPLOY", "DEPLOYING":
			d["in_progress_deployment"] = dep
		case "ACTIVE":
			d["active_deployment"] = dep
		}
	}
	return d
}

func (s *Server) createApp(c *call) reply {
	spec := sub(c.body, "spec")
	name := str(spec, "name")
	if s.named("app", name) != nil {
		return problem(http.StatusConflict, "specified app name is not unique")
	}
	if rep, bad := s.full("app"); bad {
		return rep
	}
	project, rep, bad := s.projectFor(str(c.body, "project_id"))
	if bad {
		return rep
	}
	if what := s.checkAppSpec(spec); what != "" {
		return problem(http.StatusBadRequest, what)
	}
	id := s.uuid()
	o := &object{kind: "app", id: id, name: name, project: project, secret: map[string]string{}, doc: doc{
		"id": id, "owner_uuid": accountID, "created_at": s.stamp(), "updated_at": s.stamp(),
	}}
	s.add(c, o)
	s.setSpec(o, spec)
	s.deploy(o, "initial deployment")
	return ok(doc{"app": s.appDoc(o)})
}

// setSpec stores a spec as the service does: completed and with its secrets encrypted.
func (s *Server) setSpec(o *object, spec doc) {
	s.completeSpec(spec)
	o.name = str(spec, "name")
	o.doc["spec"], o.doc["updated_at"] = spec, s.stamp()
	o.doc["tier_slug"] = "basic"
	slug := str(spec, "region")
	o.doc["region"] = appRegion(slug)
	o.vpc = str(sub(spec, "vpc"), "id")
	if o.vpc != "" {
		o.doc["vpc"] = doc{"id": o.vpc}
	}
	domains := []any{}
	for _, d := range docs(spec, "domains") {
		domains = append(domains, doc{"id": s.uuid(), "spec": d, "phase": "PENDING"})
	}
	o.doc["domains"] = domains
}

func appRegion(slug string) doc {
	return doc{"slug": slug, "label": regionNames[appRegions[slug]], "data_centers": []any{appRegions[slug]}, "continent": "Earth", "default": slug == "nyc"}
}

func (s *Server) updateApp(c *call, o *object) reply {
	spec := sub(c.body, "spec")
	if other := s.named("app", str(spec, "name")); other != nil && other != o {
		return problem(http.StatusConflict, "specified app name is not unique")
	}
	if what := s.checkAppSpec(spec); what != "" {
		return problem(http.StatusBadRequest, what)
	}
	s.setSpec(o, spec)
	s.deploy(o, "app spec updated")
	return ok(doc{"app": s.appDoc(o)})
}

func (s *Server) deleteApp(_ *call, o *object) reply {
	for _, dep := range o.parts["deployments"] {
		if !ended(dep) {
			dep["phase"] = "CANCELED"
		}
	}
	s.drop(o)
	return ok(doc{"id": o.id})
}

func (s *Server) proposeApp(c *call) reply {
	spec := sub(c.body, "spec")
	if what := s.checkAppSpec(spec); what != "" {
		return problem(http.StatusBadRequest, what)
	}
	other := s.named("app", str(spec, "name"))
	s.completeSpec(spec)
	return ok(doc{
		"app_name_available":  other == nil || other.id == str(c.body, "app_id"),
		"app_name_suggestion": str(spec, "name"), "app_cost": 5, "app_is_static": len(list(spec, "services")) == 0 && len(list(spec, "static_sites")) > 0,
		"spec": spec,
	})
}

func (s *Server) listAppRegions(*call) reply {
	out := []any{}
	for _, slug := range []string{"ams", "atl", "blr", "fra", "lon", "nyc", "sfo", "sgp", "syd", "tor"} {
		out = append(out, appRegion(slug))
	}
	return ok(doc{"regions": out})
}

func appSizeDocs() (out []doc) {
	for _, z := range appSizes {
		cpu := "SHARED"
		if z.dedicated {
			cpu = "DEDICATED"
		}
		out = append(out, doc{
			"name": z.slug, "slug": z.slug, "cpu_type": cpu, "cpus": strconv.Itoa(z.cpus), "memory_bytes": strconv.Itoa(z.mib << 20),
			"tier_slug": z.tier, "single_instance_only": z.single, "scalable": z.dedicated,
			"usd_per_month": fmt.Sprintf("%d.%02d", z.monthlyCents/100, z.monthlyCents%100), "usd_per_second": fmt.Sprintf("%.9f", float64(z.monthlyCents)/100/2_419_200),
		})
	}
	return out
}

func (s *Server) listAppSizes(*call) reply {
	return ok(doc{"instance_sizes": anys(appSizeDocs()), "discount_percent": 0})
}

func (s *Server) getAppSize(c *call) reply {
	for _, d := range appSizeDocs() {
		if d["slug"] == c.param("slug") {
			return ok(doc{"instance_size": d})
		}
	}
	return notFound()
}

func (s *Server) listInstances(_ *call, o *object) reply {
	out := []any{}
	if s.active(o) != nil {
		for _, p := range components(sub(o.doc, "spec")) {
			if p.kind == "service" || p.kind == "worker" {
				kind := map[string]string{"service": "SERVICE", "worker": "WORKER"}[p.kind]
				for i := range max(int(num(p.spec, "instance_count")), 1) {
					out = append(out, doc{"component_name": p.name, "component_type": kind, "instance_name": fmt.Sprintf("%s-%d", p.name, i), "instance_alias": fmt.Sprintf("%s-%d", p.name, i)})
				}
			}
		}
	}
	return ok(doc{"instances": out})
}

func (s *Server) appHealth(_ *call, o *object) reply {
	out := []any{}
	if s.active(o) != nil {
		for _, p := range components(sub(o.doc, "spec")) {
			if p.kind == "service" || p.kind == "worker" {
				n := max(int(num(p.spec, "instance_count")), 1)
				out = append(out, doc{"name": p.name, "cpu_usage_percent": 1.5, "memory_usage_percent": 10.0, "replicas_desired": n, "replicas_ready": n, "state": "HEALTHY"})
			}
		}
	}
	return ok(doc{"app_health": doc{"components": out}})
}

func (s *Server) restartApp(_ *call, o *object) reply {
	if s.active(o) == nil {
		return problem(http.StatusBadRequest, "cannot restart an app without an active deployment")
	}
	return ok(doc{"deployment": s.deploy(o, "restart")})
}

func (s *Server) active(o *object) doc {
	for _, d := range o.parts["deployments"] {
		if str(d, "phase") == "ACTIVE" {
			return d
		}
	}
	return nil
}

// live gives an app its address, the first time that it runs.
func (s *Server) live(o *object, now time.Time) {
	if o.secret["host"] == "" {
		o.secret["host"] = fmt.Sprintf("%s-%s.ondigitalocean.app", trimTo(o.name, 32), s.hex(5))
	}
	host := o.secret["host"]
	o.doc["default_ingress"], o.doc["live_url_base"] = "https://"+host, "https://"+host
	o.doc["live_domain"], o.doc["live_url"] = host, "https://"+host
	for _, d := range docs(o.doc, "domains") {
		d["phase"] = "ACTIVE"
		if str(sub(d, "spec"), "type") == "PRIMARY" {
			o.doc["live_domain"], o.doc["live_url"] = str(sub(d, "spec"), "domain"), "https://"+str(sub(d, "spec"), "domain")
			o.doc["live_url_base"] = o.doc["live_url"]
		}
	}
	o.doc["updated_at"] = stamp(now)
}
