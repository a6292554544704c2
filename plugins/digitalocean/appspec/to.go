package appspec

import (
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

// Opaque stands for a secret whose value is not at hand: one that is known by
// its fingerprint, or that the platform keeps encrypted.
const Opaque = "\x00opaque"

// To makes the spec of the app called name. The variables for which secret
// holds, by their place in the configuration, are kept as secrets. The
// configuration is one without errors, see [Validate]; vpc is the identifier
// of the network that vpc_ref names.
func To(name string, c Config, vpc string, secret func(sdk.Path) bool) (*godo.AppSpec, error) {
	spec := &godo.AppSpec{Name: name, Region: regionOf(c.Region)}
	if vpc != "" {
		spec.Vpc = &godo.AppVpcSpec{ID: vpc}
	}
	for _, n := range c.components() {
		if err := c.add(spec, n, secret); err != nil {
			return nil, err
		}
	}
	for _, d := range c.Domains {
		spec.Domains = append(spec.Domains, c.domain(d))
	}
	if c.HasService() {
		spec.Alerts, _ = splitAlerts(c.Alerts)
	}
	c.addAppFields(spec)
	spec.Ingress = c.ingress()
	return spec, nil
}

// regions are those of App Platform.
var regions = []string{"ams", "atl", "blr", "fra", "lon", "nyc", "sfo", "sgp", "syd", "tor"}

// regionOf is a region of App Platform, which has no data centres: nyc3 is
// nyc. Where it has none, the choice is the platform's.
func regionOf(region string) string {
	if region = strings.TrimRight(region, "0123456789"); slices.Contains(regions, region) {
		return region
	}
	return ""
}

// shared is what services, workers and jobs have in common.
type shared struct {
	source
	envs  []*godo.AppVariableDefinition
	slug  string
	count int64
	logs  []*godo.AppLogDestinationSpec
}

// source is where a component comes from.
type source struct {
	image                 *godo.ImageSourceSpec
	git                   *godo.GitSourceSpec
	github                *godo.GitHubSourceSpec
	gitlab                *godo.GitLabSourceSpec
	bitbucket             *godo.BitbucketSourceSpec
	dockerfile, dir, kind string
}

func (c Config) sourceOf(n named) (s source, err error) {
	f := n.fields
	s.dockerfile, s.dir, s.kind = f.DockerfilePath, f.SourceDir, f.EnvironmentSlug
	switch {
	case f.Git != nil:
		s.git = &godo.GitSourceSpec{RepoCloneURL: f.Git.RepoCloneURL, Branch: f.Git.Branch}
	case f.GitHub != nil:
		s.github = &godo.GitHubSourceSpec{Repo: f.GitHub.Repo, Branch: f.GitHub.Branch, DeployOnPush: f.GitHub.DeployOnPush}
	case f.GitLab != nil:
		s.gitlab = &godo.GitLabSourceSpec{Repo: f.GitLab.Repo, Branch: f.GitLab.Branch, DeployOnPush: f.GitLab.DeployOnPush}
	case f.Bitbucket != nil:
		s.bitbucket = &godo.BitbucketSourceSpec{Repo: f.Bitbucket.Repo, Branch: f.Bitbucket.Branch, DeployOnPush: f.Bitbucket.DeployOnPush}
	case n.Image != "":
		if s.image, err = parseImage(n.Image); err != nil {
			return s, err
		}
		s.image.RegistryCredentials = c.credentials(f, s.image)
		if f.DeployOnPush {
			s.image.DeployOnPush = &godo.ImageSourceSpecDeployOnPush{Enabled: true}
		}
	}
	return s, nil
}

// credentials are those of the component, else those of the app. The
// account's own registry needs none and takes none.
func (c Config) credentials(f ComponentFields, image *godo.ImageSourceSpec) string {
	switch {
	case image.RegistryType == godo.ImageSourceSpecRegistryType_DOCR:
		return ""
	case f.RegistryCredentials != "":
		return f.RegistryCredentials
	case c.Specific != nil:
		return c.Specific.RegistryCredentials
	}
	return ""
}

func (c Config) sharedOf(n named, autoscaled bool, secret func(sdk.Path) bool) (s shared, err error) {
	if s.source, err = c.sourceOf(n); err != nil {
		return s, err
	}
	s.envs = c.envs(n, secret)
	s.slug = slugOf(n.Size, n.fields, needs(n.InstanceCount, autoscaled))
	if !autoscaled {
		s.count = int64(max(n.InstanceCount, 1))
	}
	s.logs = logDestinations(n.LogDestination, n.fields)
	return s, nil
}

// envs are a component's variables in the order of their names: what it
// inherits from the service, below its own.
func (c Config) envs(n named, secret func(sdk.Path) bool) []*godo.AppVariableDefinition {
	byName := map[string]*godo.AppVariableDefinition{}
	put := func(at sdk.Path, vars map[string]string, always bool) {
		for key, value := range vars {
			v := &godo.AppVariableDefinition{Key: key, Value: value, Type: godo.AppVariableType_General, Scope: godo.AppVariableScope(n.fields.EnvScopes[key])}
			if always || value == Opaque || Encrypted(value) || secret(at.Child(key)) {
				v.Type = godo.AppVariableType_Secret
			}
			if v.Scope == "" {
				v.Scope = godo.AppVariableScope_RunAndBuildTime
			}
			byName[key] = v
		}
	}
	if n.kind == kindWorker || n.kind == kindJob {
		put("/env_vars", c.EnvVars, false)
		put("/env_vars_secret", c.EnvVarsSecret, true)
	}
	put(n.at.Child("env_vars"), n.EnvVars, false)
	put(n.at.Child("env_vars_secret"), n.EnvVarsSecret, true)
	var list []*godo.AppVariableDefinition
	for _, key := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, byName[key])
	}
	return list
}

// add puts a component into the spec.
func (c Config) add(spec *godo.AppSpec, n named, secret func(sdk.Path) bool) error {
	var err error
	switch n.kind {
	case kindService:
		err = c.addService(spec, n, secret)
	case kindWorker:
		err = c.addWorker(spec, n, secret)
	case kindJob:
		err = c.addJob(spec, n, secret)
	case kindSite:
		err = c.addSite(spec, n, secret)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	return nil
}

func (c Config) addService(spec *godo.AppSpec, n named, secret func(sdk.Path) bool) error {
	s, err := c.sharedOf(n, c.Autoscaling != nil, secret)
	if err != nil {
		return err
	}
	_, alerts := splitAlerts(n.Alerts)
	service := &godo.AppServiceSpec{
		Name: n.name, Image: s.image, Git: s.git, GitHub: s.github, GitLab: s.gitlab, Bitbucket: s.bitbucket,
		DockerfilePath: s.dockerfile, SourceDir: s.dir, EnvironmentSlug: s.kind, BuildCommand: n.BuildCommand, RunCommand: n.RunCommand,
		Envs: s.envs, InstanceSizeSlug: s.slug, InstanceCount: s.count, Autoscaling: autoscaling(c.Autoscaling, n.fields),
		HTTPPort: int64(c.HTTPPort), Protocol: godo.ServingProtocol(n.fields.Protocol), Alerts: alerts, LogDestinations: s.logs,
		HealthCheck: healthCheck(c.HealthCheck), LivenessHealthCheck: livenessCheck(c.LivenessCheck),
	}
	if service.HTTPPort == 0 && len(c.InternalPorts) == 0 {
		service.HTTPPort = defaultPort
	}
	for _, p := range c.InternalPorts {
		service.InternalPorts = append(service.InternalPorts, int64(p))
	}
	if t := n.Termination; t != nil {
		service.Termination = &godo.AppServiceSpecTermination{DrainSeconds: seconds(t.Drain), GracePeriodSeconds: seconds(t.Grace)}
	}
	spec.Services = append(spec.Services, service)
	return nil
}

// defaultPort is where the platform looks for a service that names no port.
const defaultPort = 8080

func (c Config) addWorker(spec *godo.AppSpec, n named, secret func(sdk.Path) bool) error {
	scale := c.Workers[index(n.at)].Autoscaling
	s, err := c.sharedOf(n, scale != nil, secret)
	if err != nil {
		return err
	}
	_, alerts := splitAlerts(n.Alerts)
	worker := &godo.AppWorkerSpec{
		Name: n.name, Image: s.image, Git: s.git, GitHub: s.github, GitLab: s.gitlab, Bitbucket: s.bitbucket,
		DockerfilePath: s.dockerfile, SourceDir: s.dir, EnvironmentSlug: s.kind, BuildCommand: n.BuildCommand, RunCommand: n.RunCommand,
		Envs: s.envs, InstanceSizeSlug: s.slug, InstanceCount: s.count, Autoscaling: autoscaling(scale, n.fields),
		Alerts: alerts, LogDestinations: s.logs, LivenessHealthCheck: livenessCheck(n.fields.LivenessCheck),
	}
	if t := n.Termination; t != nil {
		worker.Termination = &godo.AppWorkerSpecTermination{GracePeriodSeconds: seconds(t.Grace)}
	}
	spec.Workers = append(spec.Workers, worker)
	return nil
}

var jobKinds = map[string]godo.AppJobSpecKind{
	"pre_deploy": godo.AppJobSpecKind_PreDeploy, "post_deploy": godo.AppJobSpecKind_PostDeploy, "failed_deploy": godo.AppJobSpecKind_FailedDeploy,
}

func (c Config) addJob(spec *godo.AppSpec, n named, secret func(sdk.Path) bool) error {
	s, err := c.sharedOf(n, false, secret)
	if err != nil {
		return err
	}
	_, alerts := splitAlerts(n.Alerts)
	job := &godo.AppJobSpec{
		Name: n.name, Image: s.image, Git: s.git, GitHub: s.github, GitLab: s.gitlab, Bitbucket: s.bitbucket,
		DockerfilePath: s.dockerfile, SourceDir: s.dir, EnvironmentSlug: s.kind, BuildCommand: n.BuildCommand, RunCommand: n.RunCommand,
		Envs: s.envs, InstanceSizeSlug: s.slug, InstanceCount: s.count, Kind: jobKinds[kindOf(c.Jobs[index(n.at)])], Alerts: alerts, LogDestinations: s.logs,
	}
	if t := n.Termination; t != nil {
		job.Termination = &godo.AppJobSpecTermination{GracePeriodSeconds: seconds(t.Grace)}
	}
	spec.Jobs = append(spec.Jobs, job)
	return nil
}

func kindOf(j infra.Job) string {
	if j.Kind == "" {
		return "pre_deploy"
	}
	return j.Kind
}

func (c Config) addSite(spec *godo.AppSpec, n named, secret func(sdk.Path) bool) error {
	s, err := c.sourceOf(n)
	if err != nil {
		return err
	}
	f := n.fields
	spec.StaticSites = append(spec.StaticSites, &godo.AppStaticSiteSpec{
		Name: n.name, Git: s.git, GitHub: s.github, GitLab: s.gitlab, Bitbucket: s.bitbucket,
		DockerfilePath: s.dockerfile, SourceDir: s.dir, EnvironmentSlug: s.kind, BuildCommand: n.BuildCommand,
		OutputDir: c.StaticSites[index(n.at)].OutputDir, IndexDocument: f.IndexDocument, ErrorDocument: f.ErrorDocument, CatchallDocument: f.CatchallDocument,
		Envs: c.envs(n, secret),
	})
	return nil
}

// index is the position that a path ends in.
func index(at sdk.Path) (i int) {
	segments := at.Segments()
	_, _ = fmt.Sscan(segments[len(segments)-1], &i) // this package made it
	return i
}

func (c Config) domain(d infra.Domain) *godo.AppDomainSpec {
	more := c.app().Domains[d.Name]
	out := &godo.AppDomainSpec{Domain: d.Name, Type: godo.AppDomainSpecType_Alias, Zone: d.Zone, Wildcard: more.Wildcard, MinimumTLSVersion: more.MinimumTLSVersion}
	if d.Primary {
		out.Type = godo.AppDomainSpecType_Primary
	}
	return out
}

func (c Config) addAppFields(spec *godo.AppSpec) {
	f := c.app()
	for _, d := range f.Databases {
		spec.Databases = append(spec.Databases, &godo.AppDatabaseSpec{
			Name: d.Name, Engine: godo.AppDatabaseSpecEngine(d.Engine), Version: d.Version, Production: d.Production,
			ClusterName: d.ClusterName, DBName: d.DBName, DBUser: d.DBUser,
		})
	}
	if f.Egress != "" {
		spec.Egress = &godo.AppEgressSpec{Type: godo.AppEgressSpecType(f.Egress)}
	}
	if m := f.Maintenance; m != nil {
		spec.Maintenance = &godo.AppMaintenanceSpec{Enabled: m.Enabled, Archive: m.Archive, OfflinePageURL: m.OfflinePageURL}
	}
	spec.DisableEdgeCache, spec.DisableEmailObfuscation = f.DisableEdgeCache, f.DisableEmailObfuscate
	spec.EnhancedThreatControlEnabled = f.EnhancedThreatControl
}

func seconds(d sdk.Duration) int32 { return int32(time.Duration(d) / time.Second) }

// envName is what the platform takes as the name of a variable.
var envName = regexp.MustCompile(`^[_A-Za-z][_A-Za-z0-9]*$`)
