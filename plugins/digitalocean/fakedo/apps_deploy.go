package fakedo

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// How long the phases of a deployment take.
const (
	phaseQueue       = 5 * time.Second
	phaseBuildImage  = 15 * time.Second
	phaseBuildSource = 90 * time.Second
	phaseDeploy      = 45 * time.Second
)

func ended(dep doc) bool {
	switch str(dep, "phase") {
	case "ACTIVE", "SUPERSEDED", "ERROR", "CANCELED":
		return true
	}
	return false
}

// deploy starts a deployment of an app's spec and lets one that is under way
// give way to it.
func (s *Server) deploy(o *object, cause string) doc {
	for _, d := range o.parts["deployments"] {
		if !ended(d) {
			d["phase"] = "SUPERSEDED"
			s.discard(o, d)
		}
	}
	spec := deepCopy(sub(o.doc, "spec"))
	dep := doc{
		"id": s.uuid(), "spec": spec, "cause": cause, "created_at": s.stamp(), "updated_at": s.stamp(), "phase": "PENDING_BUILD",
		"phase_last_updated_at": s.stamp(), "tier_slug": str(o.doc, "tier_slug"),
	}
	build := phaseBuildImage
	for _, k := range componentKinds {
		var parts []any
		for _, c := range docs(spec, k.key) {
			parts = append(parts, doc{"name": str(c, "name")})
			if sub(c, "image") == nil {
				build = phaseBuildSource
			}
		}
		if parts != nil {
			dep[k.key] = parts
		}
	}
	o.parts["deployments"] = append([]doc{dep}, o.parts["deployments"]...)
	o.doc["last_deployment_created_at"] = s.stamp()
	r := &run{s: s, app: o, dep: dep, fault: s.failure(o, spec)}
	if r.fault != nil {
		s.failing[str(dep, "id")] = r.fault
	}
	r.show()
	s.after(phaseQueue, r.to("BUILDING"))
	s.after(phaseQueue+build, r.to("PENDING_DEPLOY"))
	s.after(phaseQueue*2+build, r.to("DEPLOYING"))
	s.after(phaseQueue*2+build+phaseDeploy, r.to("ACTIVE"))
	return dep
}

// failure is why the next deployment of an app will fail, if it will.
func (s *Server) failure(o *object, spec doc) *Fault {
	f := s.deploymentFault(o.name)
	if f == nil {
		f = s.missingImage(spec)
	}
	if f == nil {
		return nil
	}
	out := *f
	if out.Component == "" {
		out.Component = components(spec)[0].name
	}
	if out.Phase == "" {
		out.Phase = "DEPLOYING"
	}
	if out.Code == "" {
		out.Code = map[string]string{"BUILDING": "BuildJobExitNonZero", "DEPLOYING": "DeployContainerExitNonZero"}[out.Phase]
	}
	if out.Message == "" {
		out.Message = "Your " + strings.ToLower(strings.TrimSuffix(out.Phase, "ING")) + " failed because of a non-zero exit code."
	}
	return &out
}

func (s *Server) missingImage(spec doc) *Fault {
	if !s.opts.CheckImages {
		return nil
	}
	for _, c := range components(spec) {
		image := sub(c.spec, "image")
		if image == nil || str(image, "registry_type") != "DOCR" {
			continue
		}
		reference := defaultTo(str(image, "digest"), defaultTo(str(image, "tag"), "latest"))
		found := false
		for _, r := range s.shelf("registry").objects {
			found = found || s.hasImage(r.name+"/"+str(image, "repository"), reference)
		}
		if !found {
			return &Fault{Component: c.name, Phase: "BUILDING", Code: "ImageNotFound", Message: "The image " + str(image, "repository") + ":" + reference + " was not found in the registry."}
		}
	}
	return nil
}

// A run is one deployment on its way.
type run struct {
	s     *Server
	app   *object
	dep   doc
	fault *Fault
}

// to is the step into a phase, which a failure replaces with ERROR when the
// phase that fails would end.
func (r *run) to(phase string) func(time.Time) {
	return func(now time.Time) {
		if ended(r.dep) {
			return
		}
		if str(r.dep, "phase") == "DEPLOYING" {
			r.deployed()
		}
		if r.fault != nil && r.fault.Phase == str(r.dep, "phase") {
			phase = "ERROR"
			r.s.discard(r.app, r.dep)
		}
		if phase == "ACTIVE" {
			if old := r.s.active(r.app); old != nil {
				old["phase"] = "SUPERSEDED"
			}
			r.s.live(r.app, now)
			r.s.settle(r.app, r.dep)
		}
		r.dep["phase"], r.dep["phase_last_updated_at"], r.dep["updated_at"] = phase, stamp(now), stamp(now)
		r.show()
	}
}

// show writes the progress that belongs to the phase.
func (r *run) show() {
	build, deploy := stepStates(str(r.dep, "phase"), r.fault)
	stages := []doc{r.stage("build", build), r.stage("deploy", deploy)}
	count := map[string]int{}
	for _, st := range stages {
		tally(st, count)
	}
	summary := []any{}
	for _, st := range stages {
		summary = append(summary, pick(st, "name", "status", "started_at", "ended_at", "reason"))
	}
	r.dep["progress"] = doc{
		"pending_steps": count["PENDING"], "running_steps": count["RUNNING"], "success_steps": count["SUCCESS"], "error_steps": count["ERROR"],
		"total_steps": count["PENDING"] + count["RUNNING"] + count["SUCCESS"] + count["ERROR"], "steps": anys(stages), "summary_steps": summary,
	}
}

func stepStates(phase string, f *Fault) (build, deploy string) {
	switch phase {
	case "PENDING_BUILD":
		return "PENDING", "PENDING"
	case "BUILDING":
		return "RUNNING", "PENDING"
	case "PENDING_DEPLOY":
		return "SUCCESS", "PENDING"
	case "DEPLOYING":
		return "SUCCESS", "RUNNING"
	case "ERROR":
		if f != nil && f.Phase == "BUILDING" {
			return "ERROR", "PENDING"
		}
		return "SUCCESS", "ERROR"
	}
	return "SUCCESS", "SUCCESS"
}

// stage is the tree of steps of building or deploying.
func (r *run) stage(name, state string) doc {
	var parts []any
	halted := false
	for _, c := range components(sub(r.dep, "spec")) {
		if name == "build" && sub(c.spec, "image") != nil && !(r.fault != nil && r.fault.Component == c.name) {
			continue
		}
		st := state
		failing := state == "ERROR" && r.fault != nil && r.fault.Component == c.name
		if state == "ERROR" && !failing {
			st = "SUCCESS"
			if halted {
				st = "PENDING"
			}
		}
		step := r.step(c.name, st)
		step["component_name"] = c.name
		step["message_base"] = map[string]string{"build": "Building ", "deploy": "Deploying "}[name] + strings.ReplaceAll(c.kind, "_", " ")
		if failing {
			halted = true
			step["reason"] = doc{"code": r.fault.Code, "message": r.fault.Message}
			step["steps"] = []any{with(r.step(name, "ERROR"), doc{"component_name": c.name, "reason": step["reason"]})}
		}
		parts = append(parts, step)
	}
	first := state
	if state != "PENDING" {
		first = "SUCCESS"
	}
	out := r.step(name, state)
	steps := []any{r.step("initialize", first), with(r.step("components", state), doc{"steps": parts})}
	if name == "deploy" {
		last := state
		if state == "RUNNING" || state == "ERROR" {
			last = "PENDING"
		}
		steps = append(steps, r.step("finalize", last))
	}
	out["steps"] = steps
	return out
}

func (r *run) step(name, state string) doc {
	d := doc{"name": name, "status": state}
	if state != "PENDING" {
		d["started_at"] = str(r.dep, "created_at")
	}
	if state == "SUCCESS" || state == "ERROR" {
		d["ended_at"] = str(r.dep, "updated_at")
	}
	return d
}

// tally counts the steps that have none below.
func tally(step doc, count map[string]int) {
	below := docs(step, "steps")
	if len(below) == 0 {
		count[str(step, "status")]++
	}
	for _, b := range below {
		tally(b, count)
	}
}

func (s *Server) listDeployments(c *call, o *object) reply {
	return page(c, "deployments", o.parts["deployments"], func(d doc) any { return d })
}

func deployment(o *object, id string) doc {
	for _, d := range o.parts["deployments"] {
		if str(d, "id") == id {
			return d
		}
	}
	return nil
}

func (s *Server) createDeployment(_ *call, o *object) reply {
	return ok(doc{"deployment": s.deploy(o, "manual")})
}

func (s *Server) getDeployment(c *call, o *object) reply {
	if d := deployment(o, c.param("deployment_id")); d != nil {
		return ok(doc{"deployment": d})
	}
	return notFound()
}

func (s *Server) cancelDeployment(c *call, o *object) reply {
	d := deployment(o, c.param("deployment_id"))
	if d == nil {
		return notFound()
	}
	if ended(d) {
		return problem(http.StatusBadRequest, "the deployment has ended")
	}
	d["phase"] = "CANCELED"
	s.discard(o, d)
	return ok(doc{"deployment": d})
}

// deploymentLogs gives addresses under which the fake serves the lines.
func (s *Server) deploymentLogs(c *call, o *object) reply {
	dep := s.active(o)
	if id := c.param("deployment_id"); id != "" {
		dep = deployment(o, id)
	}
	if dep == nil {
		return notFound()
	}
	only := defaultTo(c.param("component_name"), c.query.Get("component_name"))
	var lines []string
	known := only == ""
	for _, p := range components(sub(dep, "spec")) {
		if only == "" || only == p.name {
			known = true
			lines = append(lines, s.lines(o.id, dep, p.name, c.query.Get("type"))...)
		}
	}
	if kind := c.query.Get("type"); c.query.Get("follow") != "true" && (kind == "RUN" || kind == "UNSPECIFIED") && dep["phase"] == "ACTIVE" {
		lines = append(lines, saidBy(o, only)...)
	}
	if !known {
		return notFound()
	}
	if len(lines) == 0 {
		return ok(doc{"historic_urls": []any{}, "live_url": ""})
	}
	if tail := queryInt(c.query, "tail_lines", len(lines)); tail < len(lines) {
		lines = lines[len(lines)-tail:]
	}
	token := s.uuid()
	s.logs[token] = lines
	if c.query.Get("follow") == "true" {
		s.follows[token] = liveLog{o.id, only}
	}
	url := c.base + "/_logs/" + token
	answer := doc{"live_url": url, "historic_urls": []any{}}
	if ended(dep) {
		answer["historic_urls"] = []any{url}
	}
	return ok(answer)
}

// lines is what a component said in a stage of its life.
func (s *Server) lines(app string, dep doc, name, kind string) []string {
	at := func(text string) string { return fmt.Sprintf("%s %s %s", name, str(dep, "updated_at"), text) }
	phase := str(dep, "phase")
	f := s.failing[str(dep, "id")]
	failing := f != nil && f.Component == name && phase == "ERROR"
	built := phase != "PENDING_BUILD" && phase != "BUILDING"
	switch kind {
	case "BUILD":
		if failing && f.Phase == "BUILDING" {
			return each(at, f.Lines, "error: "+f.Message)
		}
		if built {
			return []string{at("build complete")}
		}
	case "DEPLOY":
		if failing && f.Phase == "DEPLOYING" {
			return each(at, f.Lines, "container exited with code 1")
		}
		if phase == "ACTIVE" || phase == "SUPERSEDED" {
			return []string{at("deployed")}
		}
	case "RUN", "UNSPECIFIED", "":
		if s.opts.World != nil && !failing {
			return each(at, s.opts.World.Lines(app, str(dep, "id"), name), "")
		}
		if failing && f.Phase == "DEPLOYING" {
			return each(at, f.Lines, "container exited with code 1")
		}
		if phase == "ACTIVE" || phase == "SUPERSEDED" {
			return []string{at("listening")}
		}
	}
	return nil
}

func each(at func(string) string, lines []string, otherwise string) (out []string) {
	if len(lines) == 0 && otherwise != "" {
		lines = []string{otherwise}
	}
	for _, l := range lines {
		out = append(out, at(l))
	}
	return out
}
