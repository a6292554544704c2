package appspec

import (
	"cmp"
	"slices"
	"strings"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// Hints are what a spec does not say of the configuration behind it.
type Hints struct {
	// Registry is the account's registry of DigitalOcean.
	Registry string
	// Plain gives the value of an ordinary variable of the configuration: on
	// the platform it may be a secret, whose value nobody can read back.
	Plain func(sdk.Path) (string, bool)
	// Import keeps the encrypted values of secrets, which the platform takes
	// in place of the values that nobody can read back.
	Import bool
}

// From is the configuration that makes an app of this spec. Components that
// it cannot express are named in others.
func From(spec *godo.AppSpec, h Hints) (c Config, others []string) {
	r := &reader{Hints: h, c: &c, specific: &Specific{App: &AppFields{}, Service: &ComponentFields{}, Components: map[string]ComponentFields{}}}
	c.Region = spec.Region
	if spec.Vpc != nil {
		c.VPCRef = spec.Vpc.ID
	}
	for i, s := range spec.Services {
		if i > 0 {
			others = append(others, s.Name)
			continue
		}
		r.service(s)
	}
	for _, f := range spec.Functions {
		others = append(others, f.Name)
	}
	for _, w := range spec.Workers {
		r.worker(w)
	}
	for _, j := range spec.Jobs {
		r.job(j)
	}
	for _, s := range spec.StaticSites {
		r.site(s)
	}
	c.Alerts = append(c.Alerts, fromAlerts(spec.Alerts)...)
	r.appFields(spec)
	c.Specific = r.specific
	fromIngress(spec.Ingress, &c, r.specific.App)
	c.Specific = r.specific.pruned()
	return c, others
}

// reader collects a configuration from the components of a spec.
type reader struct {
	Hints
	c        *Config
	specific *Specific
	envs     []*godo.AppVariableDefinition // the service's
}

// instance is what a component of a spec says of itself, whatever its kind.
type instance struct {
	source
	build, run, slug string
	count            int64
	scale            *godo.AppAutoscalingSpec
	envs             []*godo.AppVariableDefinition
	alerts           []*godo.AppAlertSpec
	logs             []*godo.AppLogDestinationSpec
}

// component reads what services, workers and jobs have in common.
func (r *reader) component(at sdk.Path, n instance, f *ComponentFields) (infra.Component, *infra.Autoscaling) {
	out := infra.Component{BuildCommand: n.build, RunCommand: n.run, InstanceCount: int(n.count)}
	if n.image != nil {
		out.Image = formatImage(n.image, cmp.Or(r.Registry, DOCRName(r.c.Image)))
		f.DeployOnPush = n.image.DeployOnPush != nil && n.image.DeployOnPush.Enabled
		if r.Import {
			f.RegistryCredentials = n.image.RegistryCredentials
		}
	}
	r.sourceFields(n.source, f)
	scale := fromAutoscaling(n.scale, f)
	if scale == nil && out.InstanceCount == 0 {
		out.InstanceCount = 1
	}
	slug := cmp.Or(n.slug, sizes["xs"][needOne])
	size, portable := sizeOf(slug, needs(out.InstanceCount, scale != nil))
	switch {
	case !r.Import: // either may be what the configuration says
		out.Size, f.InstanceSizeSlug = cmp.Or(size, slug), slug
	case portable:
		out.Size = size
	default:
		f.InstanceSizeSlug = slug
	}
	r.variables(at, n.envs, &out, f)
	out.Alerts = fromAlerts(n.alerts)
	out.LogDestination = fromLogDestinations(n.logs, f, r.Import)
	if r.Import && out.InstanceCount == 1 {
		out.InstanceCount = 0
	}
	if r.Import && out.Size == "xs" {
		out.Size = ""
	}
	return out, scale
}

func (r *reader) sourceFields(s source, f *ComponentFields) {
	f.DockerfilePath, f.SourceDir, f.EnvironmentSlug = s.dockerfile, s.dir, s.kind
	if s.git != nil {
		f.Git = &GitSource{RepoCloneURL: s.git.RepoCloneURL, Branch: s.git.Branch}
	}
	if s.github != nil {
		f.GitHub = &HostedSource{Repo: s.github.Repo, Branch: s.github.Branch, DeployOnPush: s.github.DeployOnPush}
	}
	if s.gitlab != nil {
		f.GitLab = &HostedSource{Repo: s.gitlab.Repo, Branch: s.gitlab.Branch, DeployOnPush: s.gitlab.DeployOnPush}
	}
	if s.bitbucket != nil {
		f.Bitbucket = &HostedSource{Repo: s.bitbucket.Repo, Branch: s.bitbucket.Branch, DeployOnPush: s.bitbucket.DeployOnPush}
	}
}

// variables sorts what a component has into plain ones and secrets.
func (r *reader) variables(at sdk.Path, envs []*godo.AppVariableDefinition, out *infra.Component, f *ComponentFields) {
	put := func(m *map[string]string, key, value string) {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[key] = value
	}
	for _, e := range envs {
		if scope := e.Scope; scope != "" && scope != godo.AppVariableScope_RunAndBuildTime && scope != godo.AppVariableScope_Unset {
			put(&f.EnvScopes, e.Key, string(scope))
		}
		secret := e.Type == godo.AppVariableType_Secret
		value, plain := r.plain(at, e.Key)
		switch {
		case secret && plain:
			put(&out.EnvVars, e.Key, value)
		case secret && r.Import:
			put(&out.EnvVars, e.Key, e.Value)
		case secret:
			put(&out.EnvVarsSecret, e.Key, Opaque)
		default:
			put(&out.EnvVars, e.Key, e.Value)
		}
	}
}

func (r *reader) plain(at sdk.Path, key string) (string, bool) {
	if r.Plain == nil {
		return "", false
	}
	return r.Plain(at.Child("env_vars").Child(key))
}

// said tells whether the configuration itself gives a component a variable.
func (r *reader) said(at sdk.Path, key string) bool {
	_, ok := r.plain(at, key)
	return ok
}

// own leaves out what a worker or job inherits from the service.
func (r *reader) own(at sdk.Path, envs []*godo.AppVariableDefinition) (list []*godo.AppVariableDefinition) {
	for _, e := range envs {
		i := slices.IndexFunc(r.envs, func(s *godo.AppVariableDefinition) bool { return s.Key == e.Key })
		if i < 0 || !r.same(r.envs[i], e) || r.said(at, e.Key) {
			list = append(list, e)
		}
	}
	return list
}

// same tells whether one variable repeats another. Of encrypted values that
// cannot be told, so that only what is asked for is taken to be inherited.
func (r *reader) same(a, b *godo.AppVariableDefinition) bool {
	if a.Type == godo.AppVariableType_Secret || b.Type == godo.AppVariableType_Secret {
		return a.Type == b.Type && !r.Import
	}
	return a.Value == b.Value
}

// inherited leaves out an image or a source that is the service's.
func (r *reader) inherited(c *infra.Component, f *ComponentFields) {
	s := r.specific.Service
	if c.Image != "" && c.Image == r.c.Image {
		c.Image = ""
	}
	same := func(a, b *HostedSource) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
	git := f.Git == nil && s.Git == nil || f.Git != nil && s.Git != nil && *f.Git == *s.Git
	if git && same(f.GitHub, s.GitHub) && same(f.GitLab, s.GitLab) && same(f.Bitbucket, s.Bitbucket) {
		f.Git, f.GitHub, f.GitLab, f.Bitbucket = nil, nil, nil, nil
	}
}

func (r *reader) service(s *godo.AppServiceSpec) {
	f := r.specific.Service
	if s.Name != ServiceName {
		f.Name = s.Name
	}
	f.Protocol = string(s.Protocol)
	n := instance{
		source{s.Image, s.Git, s.GitHub, s.GitLab, s.Bitbucket, s.DockerfilePath, s.SourceDir, s.EnvironmentSlug},
		s.BuildCommand, s.RunCommand, s.InstanceSizeSlug, s.InstanceCount, s.Autoscaling, s.Envs, s.Alerts, s.LogDestinations,
	}
	r.c.Component, r.c.Autoscaling = r.component("", n, f)
	r.envs = s.Envs
	r.c.HTTPPort = int(s.HTTPPort)
	for _, p := range s.InternalPorts {
		r.c.InternalPorts = append(r.c.InternalPorts, int(p))
	}
	r.c.HealthCheck, r.c.LivenessCheck = fromHealthCheck(s.HealthCheck), fromLivenessCheck(s.LivenessHealthCheck)
	if t := s.Termination; t != nil {
		r.c.Termination = &infra.Termination{Drain: span(t.DrainSeconds), Grace: span(t.GracePeriodSeconds)}
	}
}

func (r *reader) worker(s *godo.AppWorkerSpec) {
	at, f := sdk.Path("/workers").Index(len(r.c.Workers)), ComponentFields{}
	n := instance{
		source{s.Image, s.Git, s.GitHub, s.GitLab, s.Bitbucket, s.DockerfilePath, s.SourceDir, s.EnvironmentSlug},
		s.BuildCommand, s.RunCommand, s.InstanceSizeSlug, s.InstanceCount, s.Autoscaling, r.own(at, s.Envs), s.Alerts, s.LogDestinations,
	}
	w := infra.Worker{Name: s.Name}
	w.Component, w.Autoscaling = r.component(at, n, &f)
	if t := s.Termination; t != nil {
		w.Termination = &infra.Termination{Grace: span(t.GracePeriodSeconds)}
	}
	f.LivenessCheck = fromLivenessCheck(s.LivenessHealthCheck)
	r.inherited(&w.Component, &f)
	r.c.Workers = append(r.c.Workers, w)
	r.specific.Components[s.Name] = f
}

func (r *reader) job(s *godo.AppJobSpec) {
	at, f := sdk.Path("/jobs").Index(len(r.c.Jobs)), ComponentFields{}
	n := instance{
		source{s.Image, s.Git, s.GitHub, s.GitLab, s.Bitbucket, s.DockerfilePath, s.SourceDir, s.EnvironmentSlug},
		s.BuildCommand, s.RunCommand, s.InstanceSizeSlug, s.InstanceCount, nil, r.own(at, s.Envs), s.Alerts, s.LogDestinations,
	}
	j := infra.Job{Name: s.Name, Kind: "post_deploy"} // what the platform makes of a job without a kind
	if s.Kind != "" && s.Kind != godo.AppJobSpecKind_Unspecified {
		j.Kind = strings.ToLower(string(s.Kind))
	}
	j.Component, _ = r.component(at, n, &f)
	if t := s.Termination; t != nil {
		j.Termination = &infra.Termination{Grace: span(t.GracePeriodSeconds)}
	}
	r.inherited(&j.Component, &f)
	r.c.Jobs = append(r.c.Jobs, j)
	r.specific.Components[s.Name] = f
}

func (r *reader) site(s *godo.AppStaticSiteSpec) {
	f := ComponentFields{IndexDocument: s.IndexDocument, ErrorDocument: s.ErrorDocument, CatchallDocument: s.CatchallDocument}
	r.sourceFields(source{nil, s.Git, s.GitHub, s.GitLab, s.Bitbucket, s.DockerfilePath, s.SourceDir, s.EnvironmentSlug}, &f)
	r.c.StaticSites = append(r.c.StaticSites, infra.StaticSite{Name: s.Name, BuildCommand: s.BuildCommand, OutputDir: s.OutputDir})
	r.specific.Components[s.Name] = f
}

func (r *reader) appFields(spec *godo.AppSpec) {
	app := r.specific.App
	for _, d := range spec.Domains {
		if d.Type == godo.AppDomainSpecType_Default {
			continue // the platform's own
		}
		r.c.Domains = append(r.c.Domains, infra.Domain{Name: d.Domain, Primary: d.Type == godo.AppDomainSpecType_Primary, Zone: d.Zone})
		if more := (DomainFields{Wildcard: d.Wildcard, MinimumTLSVersion: d.MinimumTLSVersion}); more != (DomainFields{}) {
			if app.Domains == nil {
				app.Domains = map[string]DomainFields{}
			}
			app.Domains[d.Domain] = more
		}
	}
	for _, d := range spec.Databases {
		app.Databases = append(app.Databases, Database{d.Name, string(d.Engine), d.Version, d.Production, d.ClusterName, d.DBName, d.DBUser})
	}
	if e := spec.Egress; e != nil {
		app.Egress = string(e.Type)
	}
	if m := spec.Maintenance; m != nil {
		app.Maintenance = &Offline{m.Enabled, m.Archive, m.OfflinePageURL}
	}
	app.DisableEdgeCache, app.DisableEmailObfuscate = spec.DisableEdgeCache, spec.DisableEmailObfuscation
	app.EnhancedThreatControl = spec.EnhancedThreatControlEnabled
}

// pruned leaves out what says nothing.
func (s *Specific) pruned() *Specific {
	out := &Specific{ProjectID: s.ProjectID}
	if !empty(s.App) {
		out.App = s.App
	}
	if !empty(s.Service) {
		out.Service = s.Service
	}
	for name, f := range s.Components {
		if !empty(f) {
			if out.Components == nil {
				out.Components = map[string]ComponentFields{}
			}
			out.Components[name] = f
		}
	}
	if empty(out) {
		return nil
	}
	return out
}

// empty tells whether a struct has nothing to write.
func empty(v any) bool {
	m, err := object(v)
	return err == nil && len(m) == 0
}
