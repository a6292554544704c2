package appspec

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// judge collects what is wrong with a configuration.
type judge struct {
	c    Config
	list []sdk.Diagnostic
}

func (j *judge) wrong(at sdk.Path, hint, format string, args ...any) {
	j.list = append(j.list, sdk.Diagnostic{Severity: sdk.SeverityError, Path: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// Validate finds what is wrong with a configuration beyond what its schema
// says. What is not known yet is absent here; what is said of such a place is
// for the caller to leave out.
func Validate(c Config) []sdk.Diagnostic {
	j := &judge{c: c}
	j.region(c.Region)
	j.names()
	for _, n := range c.components() {
		j.component(n)
	}
	j.check("/health_check", c.HealthCheck, false)
	j.check("/liveness_check", c.LivenessCheck, true)
	j.scale("", c.Component, c.Autoscaling)
	for i, w := range c.Workers {
		j.scale(sdk.Path("/workers").Index(i), w.Component, w.Autoscaling)
		j.check(sdk.Path("/provider_specific/components").Child(w.Name).Child("liveness_check"), c.fields(w.Name).LivenessCheck, true)
	}
	for i, s := range c.Sidecars {
		j.wrong(sdk.Path("/sidecars").Index(i), "make it a worker, which runs beside the service and shares no network with it, or put it into the image",
			"App Platform has no sidecars: %s", s.Name)
	}
	j.routing()
	j.domains()
	j.termination("", c.Termination)
	return j.list
}

func (j *judge) region(region string) {
	if region != "" && regionOf(region) == "" {
		j.wrong("/region", "there are "+strings.Join(regions, ", "), "App Platform has no region %q", region)
	}
}

var componentName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$`)

func (j *judge) names() {
	seen := map[string]bool{}
	for _, n := range j.c.components() {
		at := n.at.Child("name")
		if n.kind == kindService {
			at = "/provider_specific/service/name"
		}
		switch {
		case n.name == "": // not known yet
		case !componentName.MatchString(n.name):
			j.wrong(at, "it has 2 to 32 small letters, digits and hyphens, and begins with a letter", "%q is no name of a component", n.name)
		case seen[n.name]:
			j.wrong(at, "the service itself is called "+j.c.Service()+"; provider_specific.service.name calls it otherwise", "the name %q is there twice", n.name)
		}
		seen[n.name] = true
	}
	if j.c.Specific == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(j.c.Specific.Components)) {
		if !seen[name] || name == j.c.Service() {
			j.wrong(sdk.Path("/provider_specific/components").Child(name), "it is for workers, jobs and static sites; the service has provider_specific.service", "there is no component %q", name)
		}
	}
}

func (j *judge) component(n named) {
	switch {
	case n.kind == kindSite && !n.fields.built():
		j.wrong(n.at, "set provider_specific.components."+n.name+".github or git", "App Platform builds static sites from a repository, and %s names none", n.name)
	case n.kind != kindSite && n.Image == "" && !n.fields.built() && (n.kind == kindService || !j.c.HasService()):
		j.wrong(n.at.Child("image"), "name an image, or a repository in provider_specific", "%s has no image", n.name)
	case n.Image != "":
		j.image(n)
	}
	j.variables(n)
	j.alerts(n)
	j.logs(n)
	if slug := n.fields.InstanceSizeSlug; slug != "" && !knownSlug(slug) {
		j.wrong(j.fieldsAt(n).Child("instance_size_slug"), "known are "+strings.Join(slugs, ", "), "App Platform has no instance size %q", slug)
	}
	if n.kind == kindWorker || n.kind == kindJob {
		j.termination(n.at, n.Termination)
	}
}

func (j *judge) fieldsAt(n named) sdk.Path {
	if n.kind == kindService {
		return "/provider_specific/service"
	}
	return sdk.Path("/provider_specific/components").Child(n.name)
}

func (j *judge) image(n named) {
	if n.fields.built() {
		j.wrong(n.at.Child("image"), "leave one of them out", "%s has both an image and a repository", n.name)
		return
	}
	image, err := parseImage(n.Image)
	if err == nil && n.fields.DeployOnPush && (image.RegistryType != godo.ImageSourceSpecRegistryType_DOCR || image.Digest != "") {
		j.wrong(j.fieldsAt(n).Child("deploy_on_push"), "", "only a tag of a registry of DigitalOcean is watched for new images")
	}
	if err != nil {
		var e *sdk.Error
		hint := ""
		if errors.As(err, &e) {
			hint = e.Hint
		}
		at := n.at.Child("image")
		if n.kind != kindService && n.Image == j.c.Image {
			return // said of the service
		}
		j.wrong(at, hint, "%s", err.Error())
	}
}

func (j *judge) variables(n named) {
	for _, key := range slices.Sorted(maps.Keys(n.EnvVars)) {
		if _, twice := n.EnvVarsSecret[key]; twice {
			j.wrong(n.at.Child("env_vars").Child(key), "leave it out of one of them", "%s is in env_vars and in env_vars_secret", key)
		}
		if !envName.MatchString(key) {
			j.wrong(n.at.Child("env_vars").Child(key), "it has letters, digits and underscores", "%q is no name of a variable", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(n.EnvVarsSecret)) {
		if !envName.MatchString(key) {
			j.wrong(n.at.Child("env_vars_secret").Child(key), "it has letters, digits and underscores", "%q is no name of a variable", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(n.fields.EnvScopes)) {
		if scope := n.fields.EnvScopes[key]; !slices.Contains([]string{"RUN_TIME", "BUILD_TIME", "RUN_AND_BUILD_TIME"}, scope) {
			j.wrong(j.fieldsAt(n).Child("env_scopes").Child(key), "RUN_TIME, BUILD_TIME or RUN_AND_BUILD_TIME", "%q is no scope of a variable", scope)
		}
	}
}

func (j *judge) alerts(n named) {
	for i, a := range n.Alerts {
		at := n.at.Child("alerts").Index(i)
		rule := strings.ToUpper(a.Rule)
		isApp, isComponent := slices.Contains(appRules, rule), slices.Contains(componentRules, rule)
		switch {
		case a.Rule == "":
		case isApp && n.kind != kindService:
			j.wrong(at.Child("rule"), "put it among the alerts of the service", "%s is about the app as a whole", rule)
		case !isApp && !isComponent:
			j.wrong(at.Child("rule"), "known are "+strings.Join(append(slices.Clone(appRules), componentRules...), ", "), "App Platform has no alert %q", a.Rule)
		case isComponent && a.Operator == "" || isComponent && a.Window == "":
			j.wrong(at, "such as {rule: cpu_utilization, operator: \">\", value: 80, window: 5m}", "the alert %s needs operator, value and window", rule)
		}
		if op := operatorOf(a.Operator); a.Operator != "" && !slices.Contains(operators, op) {
			j.wrong(at.Child("operator"), "> or <", "%q is no operator of an alert", a.Operator)
		}
		if w := windowOf(a.Window); a.Window != "" && !slices.Contains(windows, w) {
			j.wrong(at.Child("window"), "5m, 10m, 30m or 1h", "%q is no window of an alert", a.Window)
		}
	}
}

var logName = regexp.MustCompile(`^[A-Za-z0-9()\[\]'"][-A-Za-z0-9_. /()\[\]]{0,40}[A-Za-z0-9()\[\]'"]$`)

func (j *judge) logs(n named) {
	for i, d := range n.LogDestination {
		at := n.at.Child("log_destinations").Index(i)
		if d.Name != "" && !logName.MatchString(d.Name) {
			j.wrong(at.Child("name"), "it has 2 to 42 letters, digits, spaces and simple signs", "%q is no name of a log destination", d.Name)
		}
		t := targetOf(d, n.fields)
		switch {
		case t.Kind == "open_search" && (d.Endpoint == "") == (t.ClusterName == ""):
			j.wrong(at.Child("endpoint"), "the endpoint is https://HOST:PORT; a cluster of this account is provider_specific's cluster_name", "OpenSearch needs an endpoint or a cluster, and not both")
		case t.Kind == "papertrail" && d.Endpoint == "":
			j.wrong(at.Child("endpoint"), "such as logs.papertrailapp.com:12345", "the log destination %s needs an endpoint", d.Name)
		case t.Kind == "logtail" && d.Endpoint != "":
			j.wrong(at.Child("endpoint"), "leave it out", "Logtail takes a token and no endpoint")
		}
	}
}

// check judges a health check by the limits of the platform.
func (j *judge) check(at sdk.Path, c *infra.Check, liveness bool) {
	if c == nil {
		return
	}
	span := func(name string, d sdk.Duration, least, most time.Duration) {
		v := time.Duration(d)
		if v != v.Truncate(time.Second) || v != 0 && (v < least || v > most) {
			j.wrong(at.Child(name), "", "%s is %s; App Platform takes whole seconds from %s to %s", name, v, least, most)
		}
	}
	span("initial_delay", c.Delay, 0, time.Hour)
	span("interval", c.Interval, time.Second, 5*time.Minute)
	span("timeout", c.Timeout, time.Second, 2*time.Minute)
	if c.Failure > 50 {
		j.wrong(at.Child("failure_threshold"), "", "failure_threshold is %d; App Platform takes up to 50", c.Failure)
	}
	if liveness && c.Success > 1 {
		j.wrong(at.Child("success_threshold"), "", "a liveness check succeeds the first time: success_threshold is 1")
	}
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		j.wrong(at.Child("path"), "such as /healthz", "the path %q does not begin with a slash", c.Path)
	}
}

func (j *judge) scale(at sdk.Path, c infra.Component, a *infra.Autoscaling) {
	if a == nil {
		return
	}
	if a.Min > a.Max && a.Max != 0 {
		j.wrong(at.Child("autoscaling").Child("max"), "", "autoscaling from %d to %d: max is below min", a.Min, a.Max)
	}
	if a.Max > 250 {
		j.wrong(at.Child("autoscaling").Child("max"), "take a larger size", "App Platform scales to 250 instances, not to %d", a.Max)
	}
	if c.InstanceCount != 0 {
		j.wrong(at.Child("instance_count"), "leave one of them out", "instance_count and autoscaling exclude each other")
	}
}

func (j *judge) routing() {
	targets := []string{}
	for _, n := range j.c.components() {
		if n.kind == kindService || n.kind == kindSite {
			targets = append(targets, n.name)
		}
	}
	seen := map[string]bool{}
	path := func(at sdk.Path, text string) {
		switch {
		case text == "":
		case !strings.HasPrefix(text, "/"):
			j.wrong(at, "such as /api", "the path %q does not begin with a slash", text)
		case seen[text]:
			j.wrong(at, "", "two routes have the path %s", text)
		}
		seen[text] = true
	}
	for i, r := range j.c.Routes {
		at := sdk.Path("/routes").Index(i)
		path(at.Child("path"), r.Path)
		if r.Component != "" && !slices.Contains(targets, r.Component) {
			j.wrong(at.Child("component"), "there are "+strings.Join(targets, ", "), "there is no service or static site %q to route to", r.Component)
		}
	}
	for i, s := range j.c.StaticSites {
		for k, r := range s.Routes {
			at := sdk.Path("/static_sites").Index(i).Child("routes").Index(k)
			path(at.Child("path"), r.Path)
			if r.Component != "" && r.Component != s.Name {
				j.wrong(at.Child("component"), "leave it out", "a route of %s leads to %s", s.Name, s.Name)
			}
		}
	}
	for i, r := range j.c.app().IngressRules {
		if (r.Component == "") == (r.Redirect == nil) {
			j.wrong(sdk.Path("/provider_specific/app/ingress_rules").Index(i), "", "a rule has a component or a redirect, and not both")
		}
	}
}

var domainName = regexp.MustCompile(`^((xn--)?[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*\.)+[a-zA-Z]{2,}\.?$`)

func (j *judge) domains() {
	primary := 0
	for i, d := range j.c.Domains {
		at := sdk.Path("/domains").Index(i)
		if d.Name != "" && !domainName.MatchString(d.Name) {
			j.wrong(at.Child("name"), "a wildcard is the domain itself with provider_specific.app.domains.NAME.wildcard", "%q is no domain", d.Name)
		}
		if d.Primary {
			primary++
		}
	}
	if primary > 1 {
		j.wrong("/domains", "", "%d domains are primary; one can be", primary)
	}
}

func (j *judge) termination(at sdk.Path, t *infra.Termination) {
	if t == nil {
		return
	}
	within := func(name string, d sdk.Duration, most time.Duration) {
		v := time.Duration(d)
		if v != v.Truncate(time.Second) || v < 0 || v > most {
			j.wrong(at.Child("termination").Child(name), "", "%s is %s; App Platform takes whole seconds up to %s", name, v, most)
		}
	}
	within("drain", t.Drain, 110*time.Second)
	within("grace_period", t.Grace, 10*time.Minute)
}

// Notes are for the plan: the real sizes, and what has no effect here.
func Notes(c Config) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	note := func(at sdk.Path, format string, args ...any) {
		list = append(list, sdk.Diagnostic{Severity: sdk.SeverityNote, Path: at, Message: fmt.Sprintf(format, args...)})
	}
	for _, n := range c.components() {
		if n.kind == kindSite {
			continue
		}
		scaled := n.kind == kindService && c.Autoscaling != nil || n.kind == kindWorker && c.Workers[index(n.at)].Autoscaling != nil
		if text := explainSize(n.name, n.Size, n.fields, needs(n.InstanceCount, scaled)); text != "" {
			note(n.at.Child("size"), "%s", text)
		}
		if n.BuildCommand != "" && n.Image != "" {
			note(n.at.Child("build_command"), "build_command of %s has no effect: an image is built already", n.name)
		}
		if n.kind != kindService && n.Termination != nil && n.Termination.Drain != 0 {
			note(n.at.Child("termination").Child("drain"), "drain of %s has no effect: no requests reach it", n.name)
		}
	}
	for i, j := range c.Jobs {
		if j.Time != 0 {
			note(sdk.Path("/jobs").Index(i).Child("timeout"), "timeout of the job %s has no effect: App Platform ends a job after 30 minutes", j.Name)
		}
	}
	return list
}
