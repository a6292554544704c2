// Package infra holds the portable resource types: the configuration that
// every provider understands alike, as structs for sdk.SchemaFor and
// sdk.Decode. A provider embeds a struct to add keys of its own. What a
// platform cannot honour it says in the plan.
package infra

import (
	"encoding/json"

	"github.com/gocodealone/wfctl/sdk"
)

// The portable types.
const (
	TypeVPC              = "infra.vpc"
	TypeFirewall         = "infra.firewall"
	TypeDatabase         = "infra.database"
	TypeCache            = "infra.cache"
	TypeStorage          = "infra.storage"
	TypeContainerService = "infra.container_service"
	TypeK8sCluster       = "infra.k8s_cluster"
	TypeLoadBalancer     = "infra.load_balancer"
	TypeDNS              = "infra.dns"
	TypeCertificate      = "infra.certificate"
	TypeRegistry         = "infra.registry"
	TypeAPIGateway       = "infra.api_gateway"
	TypeIAMRole          = "infra.iam_role"
	TypeDroplet          = "infra.droplet"
	TypeVolume           = "infra.volume"
	TypeSpacesKey        = "infra.spaces_key"
)

// Types lists them, sorted.
func Types() []string {
	return []string{
		TypeAPIGateway, TypeCache, TypeCertificate, TypeContainerService, TypeDatabase, TypeDNS, TypeDroplet, TypeFirewall,
		TypeIAMRole, TypeK8sCluster, TypeLoadBalancer, TypeRegistry, TypeSpacesKey, TypeStorage, TypeVolume, TypeVPC,
	}
}

// Common are the keys of every type.
type Common struct {
	Region   string          `json:"region,omitempty" wfctl:"immutable,computed" doc:"where it is, in the platform's words"`
	Size     string          `json:"size,omitempty" enum:"xs,s,m,l,xl" doc:"a portable size"`
	Specific json.RawMessage `json:"provider_specific,omitempty" doc:"keys that only this platform knows"`
}

// VPC is a private network.
type VPC struct {
	Common
	IPRange     string `json:"ip_range,omitempty" wfctl:"immutable,computed" doc:"CIDR, such as 10.10.0.0/16"`
	Description string `json:"description,omitempty"`
}

// Rule lets traffic through a firewall.
type Rule struct {
	Protocol string   `json:"protocol" wfctl:"required" enum:"tcp,udp,icmp"`
	Ports    string   `json:"ports,omitempty" doc:"one port, a range such as 8000-9000, or all"`
	Sources  []string `json:"sources,omitempty" doc:"CIDRs or resource names; empty means anywhere"`
	Targets  []string `json:"targets,omitempty"`
}

// Firewall is a set of rules around resources.
type Firewall struct {
	Common
	VPCRef   string   `json:"vpc_ref,omitempty"`
	Inbound  []Rule   `json:"inbound,omitempty"`
	Outbound []Rule   `json:"outbound,omitempty"`
	Targets  []string `json:"targets,omitempty" doc:"names of the resources it protects"`
}

// Database is a managed database.
type Database struct {
	Common
	Engine         string       `json:"engine" wfctl:"required,immutable" doc:"postgres, mysql, sqlite, …"`
	Version        string       `json:"version,omitempty" wfctl:"computed"`
	NodeCount      int          `json:"node_count,omitempty" min:"1"`
	StorageGiB     int          `json:"storage_gib,omitempty" min:"1"`
	VPCRef         string       `json:"vpc_ref,omitempty" wfctl:"immutable"`
	Databases      []string     `json:"databases,omitempty"`
	Users          []string     `json:"users,omitempty"`
	TrustedSources []string     `json:"trusted_sources,omitempty"`
	Maintenance    *Maintenance `json:"maintenance,omitempty"`
}

// Maintenance is when the platform may work on a resource.
type Maintenance struct {
	Day  string `json:"day" wfctl:"required" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday"`
	Hour string `json:"hour" wfctl:"required" doc:"UTC, such as 03:00"`
}

// Cache is a managed key-value cache.
type Cache struct {
	Common
	Engine         string       `json:"engine,omitempty" wfctl:"immutable" enum:"redis,valkey"`
	Version        string       `json:"version,omitempty" wfctl:"computed"`
	VPCRef         string       `json:"vpc_ref,omitempty" wfctl:"immutable"`
	EvictionPolicy string       `json:"eviction_policy,omitempty"`
	TrustedSources []string     `json:"trusted_sources,omitempty"`
	Maintenance    *Maintenance `json:"maintenance,omitempty"`
}

// CORSRule lets browsers read.
type CORSRule struct {
	Origins []string     `json:"origins" wfctl:"required"`
	Methods []string     `json:"methods,omitempty"`
	Headers []string     `json:"headers,omitempty"`
	MaxAge  sdk.Duration `json:"max_age,omitempty"`
}

// Storage is an object store's bucket.
type Storage struct {
	Common
	ACL        string     `json:"acl,omitempty" enum:"private,public-read"`
	Versioning bool       `json:"versioning,omitempty"`
	CORS       []CORSRule `json:"cors,omitempty"`
}

// Check asks a running instance whether it works.
type Check struct {
	Path     string       `json:"path,omitempty" doc:"HTTP path; empty means a TCP connection"`
	Port     int          `json:"port,omitempty" min:"1" max:"65535"`
	Delay    sdk.Duration `json:"initial_delay,omitempty"`
	Interval sdk.Duration `json:"interval,omitempty"`
	Timeout  sdk.Duration `json:"timeout,omitempty" doc:"how long until an instance counts as not working"`
	Success  int          `json:"success_threshold,omitempty" min:"1"`
	Failure  int          `json:"failure_threshold,omitempty" min:"1"`
}

// Route sends requests under a path to a component.
type Route struct {
	Path               string `json:"path" wfctl:"required"`
	Component          string `json:"component,omitempty"`
	PreservePathPrefix bool   `json:"preserve_path_prefix,omitempty"`
}

// Domain is a name that a service answers to.
type Domain struct {
	Name    string `json:"name" wfctl:"required"`
	Primary bool   `json:"primary,omitempty"`
	Zone    string `json:"zone,omitempty"`
}

// Autoscaling bounds the number of instances.
type Autoscaling struct {
	Min        int `json:"min" wfctl:"required" min:"1"`
	Max        int `json:"max" wfctl:"required" min:"1"`
	CPUPercent int `json:"cpu_percent,omitempty" min:"1" max:"100"`
}

// Alert tells people when a rule holds.
type Alert struct {
	Rule     string  `json:"rule" wfctl:"required"`
	Operator string  `json:"operator,omitempty"`
	Value    float64 `json:"value,omitempty"`
	Window   string  `json:"window,omitempty"`
	Disabled bool    `json:"disabled,omitempty"`
}

// LogDestination is where logs are sent on to.
type LogDestination struct {
	Name     string `json:"name" wfctl:"required"`
	Endpoint string `json:"endpoint,omitempty"`
	Token    string `json:"token,omitempty" wfctl:"sensitive,writeonly"`
}

// Termination is how an instance is stopped.
type Termination struct {
	Drain sdk.Duration `json:"drain,omitempty"`
	Grace sdk.Duration `json:"grace_period,omitempty"`
}

// Component is what services, workers, jobs and sidecars share.
type Component struct {
	Image          string            `json:"image,omitempty"`
	BuildCommand   string            `json:"build_command,omitempty"`
	RunCommand     string            `json:"run_command,omitempty"`
	Size           string            `json:"size,omitempty" enum:"xs,s,m,l,xl"`
	InstanceCount  int               `json:"instance_count,omitempty" min:"1"`
	EnvVars        map[string]string `json:"env_vars,omitempty"`
	EnvVarsSecret  map[string]string `json:"env_vars_secret,omitempty" wfctl:"sensitive,writeonly"`
	LogDestination []LogDestination  `json:"log_destinations,omitempty"`
	Alerts         []Alert           `json:"alerts,omitempty"`
	Termination    *Termination      `json:"termination,omitempty"`
}

// Worker runs beside a service and serves no requests.
type Worker struct {
	Component
	Name        string       `json:"name" wfctl:"required"`
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`
}

// Job runs to its end.
type Job struct {
	Component
	Name string       `json:"name" wfctl:"required"`
	Kind string       `json:"kind,omitempty" enum:"pre_deploy,post_deploy,failed_deploy" default:"pre_deploy"`
	Time sdk.Duration `json:"timeout,omitempty"`
}

// Sidecar runs in the same place as each instance.
type Sidecar struct {
	Component
	Name string `json:"name" wfctl:"required"`
}

// StaticSite serves files.
type StaticSite struct {
	Name         string  `json:"name" wfctl:"required"`
	BuildCommand string  `json:"build_command,omitempty"`
	OutputDir    string  `json:"output_dir,omitempty"`
	Routes       []Route `json:"routes,omitempty"`
}

// ContainerService is a service that runs an image.
type ContainerService struct {
	Component
	Region        string          `json:"region,omitempty" wfctl:"immutable,computed"`
	Specific      json.RawMessage `json:"provider_specific,omitempty"`
	HTTPPort      int             `json:"http_port,omitempty" min:"1" max:"65535"`
	InternalPorts []int           `json:"internal_ports,omitempty"`
	VPCRef        string          `json:"vpc_ref,omitempty" wfctl:"immutable"`
	Autoscaling   *Autoscaling    `json:"autoscaling,omitempty"`
	Routes        []Route         `json:"routes,omitempty"`
	CORS          *CORSRule       `json:"cors,omitempty"`
	Domains       []Domain        `json:"domains,omitempty"`
	HealthCheck   *Check          `json:"health_check,omitempty"`
	LivenessCheck *Check          `json:"liveness_check,omitempty"`
	Jobs          []Job           `json:"jobs,omitempty"`
	Workers       []Worker        `json:"workers,omitempty"`
	StaticSites   []StaticSite    `json:"static_sites,omitempty"`
	Sidecars      []Sidecar       `json:"sidecars,omitempty"`
	Maintenance   *Maintenance    `json:"maintenance,omitempty"`
}

// NodePool is a group of equal machines of a cluster.
type NodePool struct {
	Name        string       `json:"name" wfctl:"required"`
	Size        string       `json:"size,omitempty" enum:"xs,s,m,l,xl"`
	Count       int          `json:"count,omitempty" min:"1"`
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`
}

// K8sCluster is a Kubernetes cluster.
type K8sCluster struct {
	Common
	Version     string       `json:"version,omitempty" wfctl:"computed"`
	VPCRef      string       `json:"vpc_ref,omitempty" wfctl:"immutable"`
	NodePools   []NodePool   `json:"node_pools" wfctl:"required"`
	HA          bool         `json:"ha,omitempty"`
	AutoUpgrade bool         `json:"auto_upgrade,omitempty"`
	Maintenance *Maintenance `json:"maintenance,omitempty"`
}

// ForwardingRule sends what arrives at a port on.
type ForwardingRule struct {
	Protocol       string `json:"protocol" wfctl:"required" enum:"http,https,http2,tcp,udp"`
	Port           int    `json:"port" wfctl:"required" min:"1" max:"65535"`
	TargetProtocol string `json:"target_protocol,omitempty" enum:"http,https,http2,tcp,udp"`
	TargetPort     int    `json:"target_port" wfctl:"required" min:"1" max:"65535"`
	Certificate    string `json:"certificate,omitempty"`
	TLSPassthrough bool   `json:"tls_passthrough,omitempty"`
}

// LoadBalancer spreads connections.
type LoadBalancer struct {
	Common
	VPCRef      string           `json:"vpc_ref,omitempty" wfctl:"immutable"`
	Rules       []ForwardingRule `json:"rules" wfctl:"required"`
	Targets     []string         `json:"targets,omitempty" doc:"names or URLs of what answers"`
	HealthCheck *Check           `json:"health_check,omitempty"`
}

// Record is an entry of a DNS zone.
type Record struct {
	Type     string `json:"type" wfctl:"required" enum:"A,AAAA,CAA,CNAME,MX,NS,SRV,TXT"`
	Name     string `json:"name" wfctl:"required" doc:"relative to the zone; @ is the zone itself"`
	Value    string `json:"value" wfctl:"required"`
	TTL      int    `json:"ttl,omitempty" min:"1"`
	Priority int    `json:"priority,omitempty"`
}

// DNS is a zone with its records.
type DNS struct {
	Common
	Zone    string   `json:"zone" wfctl:"required,immutable"`
	Records []Record `json:"records,omitempty"`
}

// Certificate is a TLS certificate.
type Certificate struct {
	Common
	Kind    string   `json:"kind,omitempty" wfctl:"immutable" enum:"managed,custom"`
	Domains []string `json:"domains" wfctl:"required,immutable"`
	Cert    string   `json:"certificate,omitempty" wfctl:"immutable"`
	Key     string   `json:"private_key,omitempty" wfctl:"immutable,sensitive,writeonly"`
	Chain   string   `json:"chain,omitempty" wfctl:"immutable"`
}

// Registry is a container registry.
type Registry struct {
	Common
	Tier string `json:"tier,omitempty"`
}

// APIGateway routes requests to services.
type APIGateway struct {
	Common
	Routes  []GatewayRoute `json:"routes" wfctl:"required"`
	CORS    *CORSRule      `json:"cors,omitempty"`
	Domains []Domain       `json:"domains,omitempty"`
}

// GatewayRoute sends requests under a path to a URL or service.
type GatewayRoute struct {
	Path               string `json:"path" wfctl:"required"`
	Target             string `json:"target" wfctl:"required"`
	PreservePathPrefix bool   `json:"preserve_path_prefix,omitempty"`
}

// IAMRole is a set of rights.
type IAMRole struct {
	Common
	Description string          `json:"description,omitempty"`
	Trust       json.RawMessage `json:"trust,omitempty"`
	Policies    []string        `json:"policies,omitempty"`
	Policy      json.RawMessage `json:"policy,omitempty"`
}

// Droplet is a virtual machine.
type Droplet struct {
	Common
	Image    string   `json:"image" wfctl:"required,immutable"`
	VPCRef   string   `json:"vpc_ref,omitempty" wfctl:"immutable"`
	SSHKeys  []string `json:"ssh_keys,omitempty" wfctl:"immutable"`
	UserData string   `json:"user_data,omitempty" wfctl:"immutable,sensitive,writeonly"`
	Volumes  []string `json:"volumes,omitempty"`
	Backups  bool     `json:"backups,omitempty"`
	IPv6     bool     `json:"ipv6,omitempty"`
}

// Volume is a block device.
type Volume struct {
	Common
	SizeGiB    int    `json:"size_gib,omitempty" min:"1"`
	Filesystem string `json:"filesystem,omitempty" wfctl:"immutable" enum:"ext4,xfs"`
}

// SpacesKey is a key to object storage.
type SpacesKey struct {
	Common
	Grants []Grant `json:"grants,omitempty"`
}

// Grant is a right on a bucket.
type Grant struct {
	Bucket     string `json:"bucket" wfctl:"required"`
	Permission string `json:"permission" wfctl:"required" enum:"read,readwrite,fullaccess"`
}
