package do

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// cacheConfig is the configuration of infra.cache.
type cacheConfig struct {
	infra.Cache
	Specific cacheSpecific `json:"provider_specific,omitzero" doc:"what only DigitalOcean has"`
}

type cacheSpecific struct {
	Size      string   `json:"size,omitempty" doc:"a size of DigitalOcean, in the place of xs to xl"`
	NodeCount int      `json:"node_count,omitempty" min:"1" max:"3" doc:"number of its nodes"`
	Tags      []string `json:"tags,omitempty" doc:"more tags; they are given when it is made, and stay"`
	ProjectID string   `json:"project_id,omitempty" wfctl:"immutable" doc:"DigitalOcean's project that it is shown in"`
}

// cluster is the same as a database of the engine Valkey.
func (c cacheConfig) cluster() databaseConfig {
	return databaseConfig{
		Database: infra.Database{
			Common: infra.Common{Region: c.Region, Size: c.Size}, Engine: "valkey", Version: c.Version, NodeCount: c.Specific.NodeCount,
			VPCRef: c.VPCRef, TrustedSources: c.TrustedSources, Maintenance: c.Maintenance,
		},
		Specific: databaseSpecific{Size: c.Specific.Size, Tags: c.Specific.Tags, ProjectID: c.Specific.ProjectID, Eviction: evictionSlug(c.EvictionPolicy)},
	}
}

// evictionSlug takes the words of Redis too, which have hyphens.
func evictionSlug(policy string) string {
	out := []byte(policy)
	for i, b := range out {
		if b == '-' {
			out[i] = '_'
		}
	}
	return string(out)
}

func caches() kind {
	return databaseKind[cacheConfig]{&typed[cacheConfig, godo.Database]{
		name: infra.TypeCache, what: "cache", description: "A managed key-value cache: Valkey, which speaks the protocol of Redis.",
		idFormat: uuidFormat, nameFormat: clusterNames, nameHint: clusterHint, nameMax: 63,
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("urn", "string", "uniform resource name"), output("name", "string", "name"), changing("version", "string", "version of Valkey"),
			output("region", "string", "where it is"), changing("size_slug", "string", "DigitalOcean's word for its size"), changing("vpc_id", "string", "identifier of its VPC"),
			output("host", "string", "public name"), output("port", "integer", "port"), output("private_host", "string", "name within its VPC"),
			kept("password", "string", "password"), kept("connection_url", "string", "rediss://…"), kept("url", "string", "the same"), kept("private_connection_url", "string", "rediss://… within the VPC"),
			output("ca_certificate", "string", "PEM of the authority that signs its certificate"),
		},
		claim: claimCache, tagged: true,
		dependsOn: []string{infra.TypeVPC},
		sizing:    clusterSizes(),
		limits:    limits{40 * time.Minute, 90 * time.Minute, 15 * time.Minute},
		check:     checkCache,
		notes:     noteCache,
		judge: func(path sdk.Path, prior *sdk.Prior, next cacheConfig) (sdk.Action, string) {
			if path == "/engine" {
				return sdk.ActionIgnore, "" // both words mean Valkey
			}
			return judgeDatabase(path, prior, next.cluster())
		},
		canonical: func(c *cacheConfig) {
			c.Engine = "valkey"
			c.EvictionPolicy = cmp.Or(evictionSlug(c.EvictionPolicy), "noeviction")
			c.Specific.NodeCount = cmp.Or(c.Specific.NodeCount, 1)
			slices.Sort(c.TrustedSources)
			slices.Sort(c.Specific.Tags)
			if c.Maintenance != nil {
				c.Maintenance.Hour = hourWord(c.Maintenance.Hour)
			}
		},
		api: cacheDriver{databaseDriver{cache: true}},
	}}
}

func checkCache(name string, c cacheConfig) []sdk.Diagnostic {
	list := checkDatabase(name, c.cluster())
	policies := []string{"", "noeviction", "allkeys_lru", "allkeys_random", "volatile_lru", "volatile_random", "volatile_ttl"}
	if !slices.Contains(policies, evictionSlug(c.EvictionPolicy)) {
		list = append(list, wrong("/eviction_policy", "one of noeviction, allkeys_lru, allkeys_random, volatile_lru, volatile_random, volatile_ttl", "there is no eviction policy %q", c.EvictionPolicy))
	}
	return list
}

func noteCache(c cacheConfig) []sdk.Diagnostic {
	list := noteDatabase(c.cluster())
	if c.Engine == "redis" {
		list = append(list, note("/engine", "DigitalOcean runs Valkey in the place of Redis, which speaks the same protocol"))
	}
	return list
}

// cacheDriver is the driver of database clusters in the words of infra.cache.
type cacheDriver struct{ databaseDriver }

func asCluster(w *work[cacheConfig]) *work[databaseConfig] {
	out := &work[databaseConfig]{account: w.account, name: w.name, owner: w.owner, config: w.config.cluster(), report: w.report, limit: w.limit, fresh: w.fresh}
	if w.prior != nil {
		prior := w.prior.cluster()
		out.prior = &prior
	}
	return out
}

func (r cacheDriver) create(ctx context.Context, w *work[cacheConfig]) (*godo.Database, error) {
	return r.databaseDriver.create(ctx, asCluster(w))
}

func (r cacheDriver) converge(ctx context.Context, w *work[cacheConfig], have *godo.Database) (*godo.Database, error) {
	return r.databaseDriver.converge(ctx, asCluster(w), have)
}

func (r cacheDriver) describe(ctx context.Context, a *account, owner sdk.Ownership, d *godo.Database, want *cacheConfig) (cacheConfig, error) {
	var asked *databaseConfig
	if want != nil {
		cluster := want.cluster()
		asked = &cluster
	}
	c, err := r.databaseDriver.describe(ctx, a, owner, d, asked)
	return cacheConfig{
		Cache: infra.Cache{
			Common: c.Common, Engine: "valkey", Version: c.Version, VPCRef: c.VPCRef, EvictionPolicy: c.Specific.Eviction, TrustedSources: c.TrustedSources, Maintenance: c.Maintenance,
		},
		Specific: cacheSpecific{Size: c.Specific.Size, NodeCount: c.NodeCount, Tags: c.Specific.Tags, ProjectID: c.Specific.ProjectID},
	}, err
}

// outputs are those of a database that a cache has.
func (r cacheDriver) outputs(ctx context.Context, a *account, d *godo.Database) (sdk.Outputs, error) {
	all, err := r.databaseDriver.outputs(ctx, a, d)
	if err != nil {
		return nil, err
	}
	out := sdk.Outputs{"url": all["connection_url"]}
	for _, name := range []string{
		"id", "urn", "name", "version", "region", "size_slug", "vpc_id", "host", "port", "private_host", "password", "connection_url", "private_connection_url", "ca_certificate",
	} {
		out[name] = all[name]
	}
	return out, nil
}
