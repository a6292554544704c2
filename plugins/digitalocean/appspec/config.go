package appspec

import (
	"encoding/json"
	"slices"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// ServiceName is what the service's component is called, unless
// provider_specific.service.name says otherwise. It does not follow the
// resource's name, so that a rename keeps the component.
const ServiceName = "web"

// Config is infra.container_service as this platform takes it.
type Config struct {
	infra.ContainerService
	Specific *Specific `json:"provider_specific,omitempty" doc:"what only App Platform knows"`
}

// Specific is provider_specific of an app.
type Specific struct {
	ProjectID           string                     `json:"project_id,omitempty" doc:"the DigitalOcean project that the app is put into when it is made"`
	RegistryCredentials string                     `json:"registry_credentials,omitempty" wfctl:"sensitive,writeonly" doc:"user:token for private images of GHCR and Docker Hub; registries of DigitalOcean need none"`
	App                 *AppFields                 `json:"app,omitempty" doc:"fields of the app's spec"`
	Service             *ComponentFields           `json:"service,omitempty" doc:"fields of the service's component"`
	Components          map[string]ComponentFields `json:"components,omitempty" doc:"fields of workers, jobs and static sites, by their name"`
}

// AppFields are fields of an app's spec that no portable key stands for. They
// are called what App Platform calls them.
type AppFields struct {
	Databases             []Database              `json:"databases,omitempty" doc:"databases whose connection the platform puts into variables such as ${db.DATABASE_URL}"`
	IngressRules          []IngressRule           `json:"ingress_rules,omitempty" doc:"rules beside those of routes: redirects, matches of a host"`
	Domains               map[string]DomainFields `json:"domains,omitempty" doc:"further fields of domains, by name"`
	CORSExposeHeaders     []string                `json:"cors_expose_headers,omitempty"`
	CORSAllowCredentials  bool                    `json:"cors_allow_credentials,omitempty"`
	Egress                string                  `json:"egress,omitempty" enum:"AUTOASSIGN,DEDICATED_IP"`
	Maintenance           *Offline                `json:"maintenance,omitempty" doc:"takes the app off line; it is no time of maintenance"`
	DisableEdgeCache      bool                    `json:"disable_edge_cache,omitempty"`
	DisableEmailObfuscate bool                    `json:"disable_email_obfuscation,omitempty"`
	EnhancedThreatControl bool                    `json:"enhanced_threat_control_enabled,omitempty"`
}

// Database attaches a database to an app.
type Database struct {
	Name        string `json:"name" wfctl:"required" pattern:"^[a-z][a-z0-9-]{0,30}[a-z0-9]$"`
	Engine      string `json:"engine,omitempty" enum:"MYSQL,PG,REDIS,MONGODB,KAFKA,OPENSEARCH,VALKEY"`
	Version     string `json:"version,omitempty"`
	Production  bool   `json:"production,omitempty"`
	ClusterName string `json:"cluster_name,omitempty"`
	DBName      string `json:"db_name,omitempty"`
	DBUser      string `json:"db_user,omitempty"`
}

// IngressRule is a rule of an app's ingress.
type IngressRule struct {
	PathPrefix string    `json:"path_prefix,omitempty"`
	Authority  string    `json:"authority,omitempty" doc:"the host, exactly"`
	Component  string    `json:"component,omitempty"`
	Rewrite    string    `json:"rewrite,omitempty"`
	Redirect   *Redirect `json:"redirect,omitempty"`
}

// Redirect sends a browser elsewhere.
type Redirect struct {
	Authority string `json:"authority,omitempty"`
	Port      int    `json:"port,omitempty" min:"1" max:"65535"`
	Code      int    `json:"redirect_code,omitempty"`
	Scheme    string `json:"scheme,omitempty" enum:"http,https"`
	URI       string `json:"uri,omitempty"`
}

// DomainFields are fields of a domain that no portable key stands for.
type DomainFields struct {
	Wildcard          bool   `json:"wildcard,omitempty"`
	MinimumTLSVersion string `json:"minimum_tls_version,omitempty" enum:"1.2,1.3"`
}

// Offline is the maintenance mode of an app.
type Offline struct {
	Enabled        bool   `json:"enabled,omitempty"`
	Archive        bool   `json:"archive,omitempty"`
	OfflinePageURL string `json:"offline_page_url,omitempty"`
}

// ComponentFields are fields of a component that no portable key stands for.
type ComponentFields struct {
	Name                string               `json:"name,omitempty" pattern:"^[a-z][a-z0-9-]{0,30}[a-z0-9]$" doc:"of the service alone; default: web"`
	InstanceSizeSlug    string               `json:"instance_size_slug,omitempty" example:"apps-d-1vcpu-2gb" doc:"instead of size"`
	Protocol            string               `json:"protocol,omitempty" enum:"HTTP,HTTP2"`
	Git                 *GitSource           `json:"git,omitempty" doc:"build from source instead of running an image"`
	GitHub              *HostedSource        `json:"github,omitempty"`
	GitLab              *HostedSource        `json:"gitlab,omitempty"`
	Bitbucket           *HostedSource        `json:"bitbucket,omitempty"`
	DockerfilePath      string               `json:"dockerfile_path,omitempty"`
	SourceDir           string               `json:"source_dir,omitempty"`
	EnvironmentSlug     string               `json:"environment_slug,omitempty"`
	DeployOnPush        bool                 `json:"deploy_on_push,omitempty" doc:"deploy when a tag of a DigitalOcean registry moves"`
	RequestsPerSecond   int                  `json:"requests_per_second,omitempty" min:"1" doc:"per instance, with autoscaling"`
	RequestDurationP95  int                  `json:"request_duration_p95_milliseconds,omitempty" min:"1" doc:"with autoscaling"`
	LivenessCheck       *infra.Check         `json:"liveness_check,omitempty" doc:"of a worker"`
	EnvScopes           map[string]string    `json:"env_scopes,omitempty" doc:"RUN_TIME, BUILD_TIME or RUN_AND_BUILD_TIME, by variable"`
	LogDestinations     map[string]LogTarget `json:"log_destinations,omitempty" doc:"what log_destinations send to, by name"`
	IndexDocument       string               `json:"index_document,omitempty" doc:"of a static site, as the two below"`
	ErrorDocument       string               `json:"error_document,omitempty"`
	CatchallDocument    string               `json:"catchall_document,omitempty"`
	RegistryCredentials string               `json:"registry_credentials,omitempty" wfctl:"sensitive,writeonly" doc:"user:token for this component's image"`
}

// GitSource is a repository that anybody can clone.
type GitSource struct {
	RepoCloneURL string `json:"repo_clone_url" wfctl:"required"`
	Branch       string `json:"branch,omitempty"`
}

// HostedSource is a repository that the platform has access to.
type HostedSource struct {
	Repo         string `json:"repo" wfctl:"required"`
	Branch       string `json:"branch,omitempty"`
	DeployOnPush bool   `json:"deploy_on_push,omitempty"`
}

// LogTarget says what kind of service a log destination is.
type LogTarget struct {
	Kind        string `json:"kind" wfctl:"required" enum:"papertrail,datadog,logtail,open_search"`
	ClusterName string `json:"cluster_name,omitempty" doc:"an OpenSearch cluster of this account, instead of an endpoint"`
	IndexName   string `json:"index_name,omitempty"`
	User        string `json:"user,omitempty" doc:"of OpenSearch; the token is the password"`
}

// Gateway is infra.api_gateway as this platform takes it.
type Gateway struct {
	infra.APIGateway
	Specific *GatewayFields `json:"provider_specific,omitempty" doc:"what only App Platform knows"`
}

// GatewayFields is provider_specific of a gateway.
type GatewayFields struct {
	ProjectID        string `json:"project_id,omitempty"`
	Image            string `json:"image,omitempty" doc:"an image of Caddy 2"`
	InstanceSizeSlug string `json:"instance_size_slug,omitempty"`
	InstanceCount    int    `json:"instance_count,omitempty" min:"1"`
	VPCRef           string `json:"vpc_ref,omitempty" doc:"a network in which targets answer on private addresses"`
}

// named is the configuration of one component, whatever its kind.
type named struct {
	infra.Component
	name   string
	at     sdk.Path // where the component stands in the configuration
	fields ComponentFields
	kind   string
}

// The kinds of components.
const (
	kindService = "service"
	kindWorker  = "worker"
	kindJob     = "job"
	kindSite    = "static_site"
)

// HasService tells whether the configuration describes a service at all: an
// app may have workers, jobs and static sites alone. An image that is not
// known yet is empty here, so that all else that is a service's counts too.
func (c Config) HasService() bool {
	if c.Image != "" || c.service().built() || len(c.Workers)+len(c.Jobs)+len(c.StaticSites) == 0 {
		return true
	}
	inherits := func(n infra.Component, name string) bool { return n.Image == "" && !c.fields(name).built() }
	return c.HTTPPort != 0 || len(c.InternalPorts)+len(c.Routes) > 0 || c.HealthCheck != nil || c.LivenessCheck != nil || c.RunCommand != "" ||
		slices.ContainsFunc(c.Workers, func(w infra.Worker) bool { return inherits(w.Component, w.Name) }) ||
		slices.ContainsFunc(c.Jobs, func(j infra.Job) bool { return inherits(j.Component, j.Name) })
}

// Service is the name of the service's component.
func (c Config) Service() string {
	if n := c.service().Name; n != "" {
		return n
	}
	return ServiceName
}

func (c Config) service() ComponentFields {
	if c.Specific == nil || c.Specific.Service == nil {
		return ComponentFields{}
	}
	return *c.Specific.Service
}

func (c Config) app() AppFields {
	if c.Specific == nil || c.Specific.App == nil {
		return AppFields{}
	}
	return *c.Specific.App
}

func (c Config) fields(name string) ComponentFields {
	if c.Specific == nil {
		return ComponentFields{}
	}
	return c.Specific.Components[name]
}

// built tells whether a component is built from source.
func (f ComponentFields) built() bool {
	return f.Git != nil || f.GitHub != nil || f.GitLab != nil || f.Bitbucket != nil
}

// components lists all components, workers and jobs with what they inherit
// from the service: its image, where they have no source, and its variables.
func (c Config) components() []named {
	var list []named
	if c.HasService() {
		list = append(list, named{c.Component, c.Service(), "", c.service(), kindService})
	}
	for i, w := range c.Workers {
		list = append(list, c.inherit(named{w.Component, w.Name, sdk.Path("/workers").Index(i), c.fields(w.Name), kindWorker}))
	}
	for i, j := range c.Jobs {
		list = append(list, c.inherit(named{j.Component, j.Name, sdk.Path("/jobs").Index(i), c.fields(j.Name), kindJob}))
	}
	for i, s := range c.StaticSites {
		list = append(list, named{infra.Component{BuildCommand: s.BuildCommand}, s.Name, sdk.Path("/static_sites").Index(i), c.fields(s.Name), kindSite})
	}
	return list
}

func (c Config) inherit(n named) named {
	if n.Image == "" && !n.fields.built() {
		n.Image = c.Image
		if s := c.service(); c.Image == "" && s.built() {
			n.fields.Git, n.fields.GitHub, n.fields.GitLab, n.fields.Bitbucket = s.Git, s.GitHub, s.GitLab, s.Bitbucket
		}
		if n.fields.RegistryCredentials == "" {
			n.fields.RegistryCredentials = c.service().RegistryCredentials
		}
	}
	return n
}

// Decode reads a configuration. What is not known yet is left out.
func Decode(c sdk.Config) (Config, error) { return sdk.Decode[Config](c) }

// object is a configuration as a JSON object.
func object(v any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	return m, json.Unmarshal(raw, &m)
}
