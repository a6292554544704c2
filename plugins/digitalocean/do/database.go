package do

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// databaseConfig is the configuration of infra.database.
type databaseConfig struct {
	infra.Database
	Specific databaseSpecific `json:"provider_specific,omitzero" doc:"what only DigitalOcean has"`
}

type databaseSpecific struct {
	Size      string   `json:"size,omitempty" doc:"a size of DigitalOcean, in the place of xs to xl" example:"gd-2vcpu-8gb"`
	Tags      []string `json:"tags,omitempty" doc:"more tags; they are given when it is made, and stay"`
	ProjectID string   `json:"project_id,omitempty" wfctl:"immutable" doc:"DigitalOcean's project that it is shown in"`
	SQLMode   string   `json:"sql_mode,omitempty" doc:"of mysql: modes with commas between them"`
	Eviction  string   `json:"eviction_policy,omitempty" enum:"noeviction,allkeys_lru,allkeys_random,volatile_lru,volatile_random,volatile_ttl" doc:"of valkey"`
	Pools     []pool   `json:"pools,omitempty" doc:"of postgres: connection pools"`
}

// pool is a connection pool of Postgres.
type pool struct {
	Name     string `json:"name" wfctl:"required"`
	Database string `json:"database" wfctl:"required"`
	Mode     string `json:"mode,omitempty" enum:"transaction,session,statement" default:"transaction"`
	Size     int    `json:"size" wfctl:"required" min:"1"`
	User     string `json:"user,omitempty" doc:"doadmin by default"`
}

// engine is a kind of database that the platform has.
type engine struct {
	slug string
	// nodes is how many there are by default, heavy that the smallest machine
	// is too small.
	nodes int
	heavy bool
	// databases and users say whether it can have more of them.
	databases, users bool
}

func engines() map[string]engine {
	pg := engine{slug: "pg", nodes: 1, databases: true, users: true}
	return map[string]engine{
		"postgres": pg, "postgresql": pg, "pg": pg,
		"mysql":      {slug: "mysql", nodes: 1, databases: true, users: true},
		"valkey":     {slug: "valkey", nodes: 1, users: true},
		"mongodb":    {slug: "mongodb", nodes: 1, databases: true, users: true},
		"kafka":      {slug: "kafka", nodes: 3, heavy: true, users: true},
		"opensearch": {slug: "opensearch", nodes: 1, heavy: true, users: true},
	}
}

// engineWord is how a configuration calls an engine.
func engineWord(slug string) string {
	if slug == "pg" {
		return "postgres"
	}
	return slug
}

// clusterSizes are the sizes of database clusters.
func clusterSizes() map[string]string {
	return map[string]string{"xs": "db-s-1vcpu-1gb", "s": "db-s-1vcpu-2gb", "m": "db-s-2vcpu-4gb", "l": "db-s-4vcpu-8gb", "xl": "db-s-8vcpu-32gb"}
}

// sizing are the sizes of the configuration's engine: Kafka and OpenSearch do
// not run on the smallest.
func (c databaseConfig) sizing() map[string]string {
	sizes := clusterSizes()
	if engines()[c.Engine].heavy {
		sizes["xs"], sizes["s"], sizes["m"], sizes["l"] = sizes["s"], sizes["m"], sizes["l"], "db-s-6vcpu-16gb"
	}
	return sizes
}

const clusterSize = "xs"

func (c databaseConfig) slug() string {
	return sized(c.sizing(), c.Specific.Size, c.Size, clusterSize)
}

func (c databaseConfig) nodes() int { return cmp.Or(c.NodeCount, engines()[c.Engine].nodes, 1) }

// clusterNames: the platform is strict.
const (
	clusterNames = "^[a-z]([a-z0-9-]*[a-z0-9])?$"
	clusterHint  = "it has small letters, digits and hyphens, and begins with a letter"
)

func databases() kind {
	return databaseKind[databaseConfig]{&typed[databaseConfig, godo.Database]{
		name: infra.TypeDatabase, what: "database cluster", description: "A managed database: postgres, mysql, valkey, mongodb, kafka or opensearch.",
		idFormat: uuidFormat, nameFormat: clusterNames, nameHint: clusterHint, nameMax: 63,
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("urn", "string", "uniform resource name"), output("name", "string", "name of the cluster"), output("engine", "string", "engine"),
			changing("version", "string", "version of the engine"), output("region", "string", "where it is"), changing("size_slug", "string", "DigitalOcean's word for its size"),
			changing("storage_gib", "integer", "size of its disk"), changing("vpc_id", "string", "identifier of its VPC"),
			output("host", "string", "public name"), output("port", "integer", "port"), output("private_host", "string", "name within its VPC"),
			output("user", "string", "the administrator"), kept("password", "string", "the administrator's password"), output("database", "string", "the first database"),
			kept("connection_url", "string", "of the first database, as the administrator"), kept("private_connection_url", "string", "the same within the VPC"),
			hidden("standby_connection_url", "string", "of the read-only node, where there is one"),
			hidden("urls", "object", "connection_url by database"), hidden("private_urls", "object", "private_connection_url by database"),
			hidden("users", "object", "by name: password, connection_url, private_connection_url; of kafka also access_cert and access_key"),
			hidden("pools", "object", "by name: connection_url and private_connection_url"),
			output("ca_certificate", "string", "PEM of the authority that signs its certificate"),
		},
		claim: claimDatabase, tagged: true,
		dependsOn: []string{infra.TypeVPC},
		sizing:    clusterSizes(),
		limits:    limits{40 * time.Minute, 90 * time.Minute, 15 * time.Minute},
		check:     checkDatabase,
		notes:     noteDatabase,
		judge:     judgeDatabase,
		canonical: canonicalDatabase,
		api:       databaseDriver{},
	}}
}

// kept describes a secret that keeps its value when the resource is updated.
func kept(name, typ, description string) sdk.OutputSchema {
	o := hidden(name, typ, description)
	o.Stable = true
	return o
}

var partNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`)

func checkDatabase(_ string, c databaseConfig) []sdk.Diagnostic {
	list := append(checkTags(c.Specific.Tags), bothSizes(c.Size, c.Specific.Size)...)
	e, ok := engines()[c.Engine]
	if !ok {
		if c.Engine == "" {
			return list // not known yet
		}
		hint := "use postgres, mysql, valkey, mongodb, kafka or opensearch"
		if c.Engine == "redis" {
			hint = "use valkey, which speaks the same protocol"
		}
		return append(list, wrong("/engine", hint, "DigitalOcean has no %s", c.Engine))
	}
	if len(c.Databases) > 0 && !e.databases {
		list = append(list, wrong("/databases", "take it away", "a %s cluster has no databases to make", c.Engine))
	}
	if c.StorageGiB != 0 && c.StorageGiB < 10 {
		list = append(list, wrong("/storage_gib", "", "a cluster has at least 10 GiB"))
	}
	for key, names := range map[string][]string{"databases": c.Databases, "users": c.Users} {
		for i, name := range names {
			if name != "" && !partNames.MatchString(name) {
				list = append(list, wrong(sdk.Path("").Child(key).Index(i), "", "%q is no name of a database or user", name))
			}
		}
	}
	for key, only := range map[string]string{"sql_mode": "mysql", "eviction_policy": "valkey", "pools": "pg"} {
		set := map[string]bool{"sql_mode": c.Specific.SQLMode != "", "eviction_policy": c.Specific.Eviction != "", "pools": len(c.Specific.Pools) > 0}[key]
		if set && e.slug != only {
			list = append(list, wrong(sdk.Path("/provider_specific").Child(key), "take it away", "%s is for %s only", key, engineWord(only)))
		}
	}
	return append(append(list, checkHour(c.Maintenance)...), checkSources(c.TrustedSources)...)
}

var hours = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$`)

func checkHour(m *infra.Maintenance) []sdk.Diagnostic {
	if m == nil || m.Hour == "" || hours.MatchString(m.Hour) {
		return nil
	}
	return []sdk.Diagnostic{wrong("/maintenance/hour", "UTC, such as 03:00", "%q is no time of day", m.Hour)}
}

// hourWord is a time of day with two digits and no seconds.
func hourWord(text string) string {
	parts := strings.Split(text, ":")
	if len(parts) < 2 {
		return text
	}
	if len(parts[0]) == 1 {
		parts[0] = "0" + parts[0]
	}
	return parts[0] + ":" + parts[1]
}

func noteDatabase(c databaseConfig) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if c.Size == "" && c.Specific.Size == "" {
		list = append(list, note("/size", "size is not set: it is %s", c.slug()))
	} else if c.Size != "" && engines()[c.Engine].heavy {
		list = append(list, note("/size", "for %s, size %s is %s", c.Engine, c.Size, c.slug()))
	}
	return append(list, noteSources(c.TrustedSources)...)
}

func noteSources(sources []string) []sdk.Diagnostic {
	if len(sources) > 0 {
		return nil
	}
	return []sdk.Diagnostic{note("/trusted_sources", "trusted_sources is not set: whoever has the password may connect from anywhere")}
}

// judgeDatabase: what infra calls immutable and this platform can change, and
// the reverse.
func judgeDatabase(path sdk.Path, prior *sdk.Prior, next databaseConfig) (sdk.Action, string) {
	switch path {
	case "/region":
		if next.VPCRef == "" && next.Region != "" {
			return sdk.ActionUpdate, "DigitalOcean moves it, which takes a while"
		}
	case "/storage_gib":
		if have := numberIn(prior.Outputs, "storage_gib"); next.StorageGiB != 0 && have > next.StorageGiB {
			return sdk.ActionReplace, fmt.Sprintf("a disk of %d GiB cannot be made smaller", have)
		}
	case "/version":
		var have string
		if err := decodeOutput(prior.Outputs, "version", &have); err == nil && older(next.Version, have) {
			return sdk.ActionReplace, "an engine cannot go back to an older version"
		}
	case "/engine":
		if before := decodeKnown[databaseConfig](prior.Config); before != nil && engines()[before.Engine].slug == engines()[next.Engine].slug {
			return sdk.ActionIgnore, ""
		}
	}
	return "", ""
}

// older compares versions, number by number; "" is no version.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	if a == "" || b == "" {
		return false
	}
	n := min(len(x), len(y))
	return slices.Compare(x[:n], y[:n]) < 0
}

func numbers(version string) []int {
	var out []int
	for _, part := range strings.FieldsFunc(version, func(r rune) bool { return r == '.' || r == '-' }) {
		var n int
		if _, err := fmt.Sscanf(part, "%d", &n); err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}

func canonicalDatabase(c *databaseConfig) {
	if e, ok := engines()[c.Engine]; ok {
		c.NodeCount = c.nodes()
		c.Engine = engineWord(e.slug)
	}
	slices.Sort(c.Databases)
	slices.Sort(c.Users)
	slices.Sort(c.TrustedSources)
	slices.Sort(c.Specific.Tags)
	if c.Maintenance != nil {
		c.Maintenance.Hour = hourWord(c.Maintenance.Hour)
	}
	for i := range c.Specific.Pools {
		c.Specific.Pools[i].Mode = cmp.Or(c.Specific.Pools[i].Mode, "transaction")
		c.Specific.Pools[i].User = cmp.Or(c.Specific.Pools[i].User, administrator)
	}
	slices.SortFunc(c.Specific.Pools, func(a, b pool) int { return strings.Compare(a.Name, b.Name) })
}

const administrator = "doadmin"
