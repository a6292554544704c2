package do

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/appspec"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// app is an app of App Platform with its newest deployment, by which one
// knows whether it is as its spec says.
type app struct {
	*godo.App
	newest *godo.Deployment
}

const (
	appFormat = "^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
	appHint   = "it has 2 to 32 small letters, digits and hyphens, and begins with a letter"
)

// appLimits: a build from source may take as long as the platform lets it.
var appLimits = limits{40 * time.Minute, 40 * time.Minute, 5 * time.Minute}

func containerServices() kind {
	return appKind[appspec.Config]{&typed[appspec.Config, app]{
		name: infra.TypeContainerService, what: "app", description: "A service on App Platform, with its workers, jobs and static sites.", claim: "app",
		idFormat: uuidFormat, nameFormat: appFormat, nameHint: appHint, nameMax: 32,
		out: append(appOutputs(), changing("image", "string", "the image of the service"),
			changing("digest", "string", "the digest of that image, where it is named by one")),
		dependsOn: []string{infra.TypeVPC, infra.TypeDatabase, infra.TypeCache, infra.TypeRegistry, infra.TypeDNS},
		sizing:    appspec.Sizes(), sizesNoted: true,
		ignored: map[string]string{"maintenance": "App Platform has no time of maintenance"},
		renames: true, guest: refApp, limits: appLimits,
		check: func(_ string, c appspec.Config) []sdk.Diagnostic { return appspec.Validate(c) },
		notes: appspec.Notes,
		promise: func(name string, _ appspec.Config) sdk.Outputs {
			return sdk.Outputs{"name": sdk.Out(name)}
		},
		api: appDriver[appspec.Config]{services{}},
	}}
}

// appOutputs are what all apps report.
func appOutputs() []sdk.OutputSchema {
	return []sdk.OutputSchema{
		output("id", "string", "identifier"), changing("name", "string", "name"),
		changing("url", "string", "where it answers: the primary domain, else the platform's own; null where nothing answers from outside"),
		changing("host", "string", "the host of url"), changing("default_url", "string", "where it answers whatever its domains are"),
		output("region", "string", "the region of App Platform"), changing("deployment_id", "string", "the newest deployment"),
		changing("project_id", "string", "the DigitalOcean project that it is in"),
	}
}

// appType is what tells one type of apps from another.
type appType[C any] interface {
	// spec makes the spec of a configuration.
	spec(ctx context.Context, w *work[C]) (*godo.AppSpec, error)
	// describe is that of driver.
	describe(ctx context.Context, a *account, spec *godo.AppSpec, want *C) (C, error)
	// project is the DigitalOcean project of a new app.
	project(c C) string
	// own are the outputs that only this type has.
	own(spec *godo.AppSpec) sdk.Outputs
}

// appDriver is the driver of all types that are apps.
type appDriver[C any] struct{ appType[C] }

func (d appDriver[C]) get(ctx context.Context, a *account, id string) (*app, error) {
	got, _, err := a.api.Apps.Get(ctx, id)
	if err != nil {
		return nil, said(err, "read the app "+id)
	}
	return d.withNewest(ctx, a, got)
}

func (d appDriver[C]) withNewest(ctx context.Context, a *account, got *godo.App) (*app, error) {
	list, _, err := a.api.Apps.ListDeployments(ctx, got.ID, &godo.ListOptions{Page: 1, PerPage: 1})
	if err != nil {
		return nil, said(err, "list the deployments of the app "+got.Spec.Name)
	}
	out := &app{App: got}
	if len(list) > 0 {
		out.newest = list[0]
	}
	return out, nil
}

func (d appDriver[C]) all(ctx context.Context, a *account, name string) ([]*app, error) {
	list, err := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]*godo.App, *godo.Response, error) {
		o.WithProjects = true
		return a.api.Apps.List(ctx, o)
	})
	if err != nil {
		return nil, said(err, "list apps")
	}
	var out []*app
	for _, got := range list {
		switch {
		case name == "":
			out = append(out, &app{App: got})
		case got.Spec.Name == name:
			found, err := d.withNewest(ctx, a, got)
			if err != nil {
				return nil, err
			}
			out = append(out, found)
		}
	}
	return out, nil
}

func (d appDriver[C]) create(ctx context.Context, w *work[C]) (*app, error) {
	spec, err := d.spec(ctx, w)
	if err != nil {
		return nil, err
	}
	got, _, err := w.api.Apps.Create(ctx, &godo.AppCreateRequest{Spec: spec, ProjectID: d.project(w.config)})
	if err != nil {
		return nil, w.appRefusal(err, "create the app "+w.name)
	}
	return &app{App: got, newest: got.PendingDeployment}, nil
}

// fieldNamed is how the platform names the field of a spec that it refuses.
var fieldNamed = regexp.MustCompile(`(?i)app spec field "([^"]+)"`)

// appRefusal gives an error of App Platform its code. The place that it names
// is one of its spec and not of the configuration, so that it stays in words.
func (w *work[C]) appRefusal(err error, doing string) error {
	err = said(err, doing)
	var e *sdk.Error
	if sdk.CodeOf(err) == sdk.CodeInvalid && errors.As(err, &e) && fieldNamed.MatchString(e.Error()) {
		return e.WithHint("the field is one of App Platform's spec; the configuration's keys are in docs/digitalocean.md")
	}
	return err
}

// converge sends the spec where the app is not known to have it already, and
// waits for its deployment.
func (d appDriver[C]) converge(ctx context.Context, w *work[C], have *app) (*app, error) {
	if !w.fresh && w.asked == "" {
		if err := d.bring(ctx, w, have); err != nil {
			return have, err
		}
	}
	id := w.asked
	switch {
	case id != "":
	case w.fresh && have.newest == nil:
		// It is listed a moment after the app is made.
		var err error
		if id, err = w.newer(ctx, have.ID, ""); err != nil {
			return have, err
		}
	case have.newest != nil:
		id = have.newest.ID
	}
	if err := w.awaitDeployment(ctx, have.ID, id); err != nil {
		return have, err
	}
	return d.reachable(ctx, w, have.ID)
}

// bring makes an app that is there what the configuration says. A spec with
// secrets is sent even where it looks the same: they may differ.
func (d appDriver[C]) bring(ctx context.Context, w *work[C], have *app) error {
	spec, err := d.spec(ctx, w)
	if err != nil {
		return err
	}
	if missing := appspec.KeepSecrets(spec, have.Spec); len(missing) > 0 {
		return sdk.Errorf(sdk.CodeInvalid, "the values of %s are not known, and the app has none", strings.Join(missing, ", "))
	}
	same, err := d.same(ctx, w, spec, have)
	if err != nil {
		return err
	}
	failed := have.newest != nil && slices.Contains([]godo.DeploymentPhase{godo.DeploymentPhase_Error, godo.DeploymentPhase_Canceled}, have.newest.Phase)
	if same && !failed {
		return nil
	}
	if same {
		w.progress(fmt.Sprintf("deploy the app %s again", w.name))
		dep, _, err := w.api.Apps.CreateDeployment(ctx, have.ID, &godo.DeploymentCreateRequest{})
		if err != nil {
			return said(err, "deploy the app "+w.name)
		}
		w.asked = dep.ID
		return nil
	}
	return d.send(ctx, w, spec, have)
}

// same tells whether an app is known to have a spec. What the configuration
// does not say any more shows against the one before only.
func (d appDriver[C]) same(ctx context.Context, w *work[C], spec *godo.AppSpec, have *app) (bool, error) {
	if have.Spec.Name != w.name || appspec.HasSecrets(spec) {
		return false, nil
	}
	if w.prior != nil {
		before := *w
		before.config = *w.prior
		if old, err := d.spec(ctx, &before); err != nil || string(raw(old)) != string(raw(spec)) {
			return false, nil //nolint:nilerr // what made the old spec may be gone
		}
	}
	found, err := d.appType.describe(ctx, w.account, have.Spec, &w.config)
	return string(raw(found)) == string(raw(w.config)), err
}

// send asks for a spec, with a new name where there is one.
func (d appDriver[C]) send(ctx context.Context, w *work[C], spec *godo.AppSpec, have *app) error {
	w.progress(fmt.Sprintf("update the app %s", w.name))
	got, _, err := w.api.Apps.Update(ctx, have.ID, &godo.AppUpdateRequest{Spec: spec})
	if err != nil {
		return w.appRefusal(err, "update the app "+w.name)
	}
	for _, dep := range []*godo.Deployment{got.PendingDeployment, got.InProgressDeployment} {
		if dep != nil && w.asked == "" {
			w.asked = dep.ID
		}
	}
	if w.asked != "" {
		return nil
	}
	// What was there before must not pass for what was asked for.
	before := ""
	if have.newest != nil {
		before = have.newest.ID
	}
	w.asked, err = w.newer(ctx, have.ID, before)
	return err
}

// reachable reads an app once its address is known: it comes a moment after
// the first deployment.
func (d appDriver[C]) reachable(ctx context.Context, w *work[C], id string) (have *app, err error) {
	err = w.await(ctx, "learn the address of the app "+w.name, patience, func(ctx context.Context) (bool, error) {
		have, err = d.get(ctx, w.account, id)
		return err == nil && (have.DefaultIngress != "" || have.Spec.Ingress == nil || len(have.Spec.Ingress.Rules) == 0), err
	})
	if have == nil {
		return nil, err
	}
	for _, domain := range have.Domains {
		if domain.Phase == godo.AppJobSpecKindPHASE_Error {
			w.warn("/domains", "check the zone's records", fmt.Sprintf("the domain %s does not work yet", domain.Spec.Domain))
		}
	}
	return have, nil
}

func (d appDriver[C]) delete(ctx context.Context, a *account, have *app) error {
	_, err := a.api.Apps.Delete(ctx, have.ID)
	return said(err, "delete the app "+have.Spec.Name)
}

func (d appDriver[C]) facts(have *app) facts {
	f := facts{id: have.ID, name: have.Spec.Name, status: sdk.Healthy}
	if have.newest == nil {
		return f
	}
	switch have.newest.Phase {
	case godo.DeploymentPhase_Error:
		f.status, f.reason = sdk.Unhealthy, "its newest deployment failed: "+failureOf(have.newest).brief()
	case godo.DeploymentPhase_Canceled:
		if have.ActiveDeployment == nil {
			f.status, f.reason = sdk.Unhealthy, "its deployment was cancelled"
		}
	case godo.DeploymentPhase_Active, godo.DeploymentPhase_Superseded:
	default:
		f.status, f.reason = sdk.Starting, "a deployment is under way: "+phaseName(have.newest.Phase)
	}
	return f
}

func (d appDriver[C]) describe(ctx context.Context, a *account, _ sdk.Ownership, have *app, want *C) (C, error) {
	return d.appType.describe(ctx, a, have.Spec, want)
}

func (d appDriver[C]) outputs(_ context.Context, _ *account, have *app) (sdk.Outputs, error) {
	text := func(s string) sdk.Output {
		if s == "" {
			return sdk.RawOutput(json.RawMessage("null"), false)
		}
		return sdk.Out(s)
	}
	url := have.LiveURL
	if url == "" {
		url = have.DefaultIngress
	}
	deployment := ""
	if have.newest != nil {
		deployment = have.newest.ID
	}
	region := have.Spec.Region
	if have.Region != nil {
		region = have.Region.Slug
	}
	_, host, _ := strings.Cut(url, "://")
	out := sdk.Outputs{
		"id": sdk.Out(have.ID), "name": sdk.Out(have.Spec.Name), "url": text(url), "host": text(strings.TrimSuffix(host, "/")), "default_url": text(have.DefaultIngress),
		"region": text(region), "deployment_id": text(deployment), "project_id": text(have.ProjectID),
	}
	for name, o := range d.own(have.Spec) {
		out[name] = o
	}
	return out, nil
}
