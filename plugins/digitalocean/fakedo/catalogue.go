package fakedo

import (
	"slices"
	"strings"
)

// What the account may choose from: enough of the real catalogue to refuse
// what does not exist.

var regionNames = map[string]string{
	"nyc1": "New York 1", "nyc2": "New York 2", "nyc3": "New York 3", "sfo2": "San Francisco 2", "sfo3": "San Francisco 3",
	"ams3": "Amsterdam 3", "sgp1": "Singapore 1", "lon1": "London 1", "fra1": "Frankfurt 1", "tor1": "Toronto 1",
	"blr1": "Bangalore 1", "syd1": "Sydney 1", "atl1": "Atlanta 1",
}

// A machine is a size of droplets and of Kubernetes nodes.
type machine struct {
	slug               string
	memory, cpus, disk int
	monthly            float64
}

var machines = []machine{
	{"s-1vcpu-512mb-10gb", 512, 1, 10, 4}, {"s-1vcpu-1gb", 1024, 1, 25, 6}, {"s-1vcpu-2gb", 2048, 1, 50, 12},
	{"s-2vcpu-2gb", 2048, 2, 60, 18}, {"s-2vcpu-4gb", 4096, 2, 80, 24}, {"s-4vcpu-8gb", 8192, 4, 160, 48},
	{"s-8vcpu-16gb", 16384, 8, 320, 96}, {"g-2vcpu-8gb", 8192, 2, 25, 63}, {"g-4vcpu-16gb", 16384, 4, 50, 126},
	{"g-8vcpu-32gb", 32768, 8, 100, 252}, {"g-16vcpu-64gb", 65536, 16, 200, 504}, {"c-2", 4096, 2, 25, 42},
	{"c-4", 8192, 4, 50, 84}, {"c-8", 16384, 8, 100, 168}, {"m-2vcpu-16gb", 16384, 2, 50, 84}, {"m-4vcpu-32gb", 32768, 4, 100, 168},
}

func machineNamed(slug string) (machine, bool) {
	i := slices.IndexFunc(machines, func(m machine) bool { return m.slug == slug })
	if i < 0 {
		return machine{}, false
	}
	return machines[i], true
}

func machineSlugs() (out []string) {
	for _, m := range machines {
		out = append(out, m.slug)
	}
	return out
}

func regionSlugs() (out []string) {
	for slug := range regionNames {
		out = append(out, slug)
	}
	slices.Sort(out)
	return out
}

func regionDoc(slug string) doc {
	return doc{
		"slug": slug, "name": regionNames[slug], "available": true, "sizes": anys(machineSlugs()),
		"features": []any{"backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"},
	}
}

func (m machine) doc() doc {
	return doc{
		"slug": m.slug, "memory": m.memory, "vcpus": m.cpus, "disk": m.disk, "transfer": 1.0, "available": true,
		"price_monthly": m.monthly, "price_hourly": m.monthly / 672, "regions": anys(regionSlugs()), "description": "Basic",
	}
}

// An engine is a kind of database cluster.
type engine struct {
	versions []string
	nodes    []int
	port     int
	// privatePort is where a pool or a second protocol listens.
	poolPort int
	user     string
	database string
	sizes    []string
}

var dbSizes = []string{
	"db-s-1vcpu-1gb", "db-s-1vcpu-2gb", "db-s-2vcpu-4gb", "db-s-4vcpu-8gb", "db-s-6vcpu-16gb", "db-s-8vcpu-32gb", "db-s-16vcpu-64gb",
	"gd-2vcpu-8gb", "gd-4vcpu-16gb", "gd-8vcpu-32gb", "db-amd-1vcpu-1gb", "db-amd-1vcpu-2gb", "db-amd-2vcpu-4gb", "db-amd-4vcpu-8gb", "db-amd-8vcpu-16gb",
	"db-intel-1vcpu-1gb", "db-intel-1vcpu-2gb", "db-intel-2vcpu-4gb", "db-intel-4vcpu-8gb", "db-intel-8vcpu-16gb",
}

var engines = map[string]engine{
	"pg":         {[]string{"14", "15", "16", "17", "18"}, []int{1, 2, 3}, 25060, 25061, "doadmin", "defaultdb", dbSizes},
	"mysql":      {[]string{"8"}, []int{1, 2, 3}, 25060, 25061, "doadmin", "defaultdb", dbSizes},
	"redis":      {[]string{"7"}, []int{1, 2}, 25061, 25061, "default", "", dbSizes},
	"valkey":     {[]string{"8", "9"}, []int{1, 2, 3}, 25061, 25061, "default", "", dbSizes},
	"mongodb":    {[]string{"7.0", "8.0"}, []int{1, 3}, 27017, 27017, "doadmin", "admin", dbSizes},
	"kafka":      {[]string{"3.8", "4.0"}, []int{3, 6, 9}, 25073, 25073, "doadmin", "", kafkaSizes()},
	"opensearch": {[]string{"2", "3"}, []int{1, 3, 6, 9, 15}, 25060, 25060, "doadmin", "", openSearchSizes()},
}

// Kafka and OpenSearch do not run on the smallest machines.
func kafkaSizes() []string {
	return slices.DeleteFunc(slices.Clone(dbSizes), func(s string) bool { return strings.HasSuffix(s, "-1gb") })
}

func openSearchSizes() []string { return kafkaSizes() }

// appSizes are the instance sizes of App Platform.
var appSizes = []struct {
	slug, tier   string
	cpus, mib    int
	dedicated    bool
	single       bool
	monthlyCents int
}{
	{"apps-s-1vcpu-0.5gb", "basic", 1, 512, false, true, 500},
	{"apps-s-1vcpu-1gb-fixed", "basic", 1, 1024, false, true, 1000},
	{"apps-s-1vcpu-1gb", "professional", 1, 1024, false, false, 1200},
	{"apps-s-1vcpu-2gb", "professional", 1, 2048, false, false, 2500},
	{"apps-s-2vcpu-4gb", "professional", 2, 4096, false, false, 5000},
	{"apps-d-1vcpu-0.5gb", "professional", 1, 512, true, false, 2900},
	{"apps-d-1vcpu-1gb", "professional", 1, 1024, true, false, 3400},
	{"apps-d-1vcpu-2gb", "professional", 1, 2048, true, false, 3900},
	{"apps-d-1vcpu-4gb", "professional", 1, 4096, true, false, 4900},
	{"apps-d-2vcpu-4gb", "professional", 2, 4096, true, false, 7800},
	{"apps-d-2vcpu-8gb", "professional", 2, 8192, true, false, 9800},
	{"apps-d-4vcpu-8gb", "professional", 4, 8192, true, false, 15600},
	{"apps-d-4vcpu-16gb", "professional", 4, 16384, true, false, 19600},
	{"apps-d-8vcpu-32gb", "professional", 8, 32768, true, false, 39200},
}

var appRegions = map[string]string{
	"nyc": "nyc3", "sfo": "sfo3", "tor": "tor1", "ams": "ams3", "fra": "fra1", "lon": "lon1", "blr": "blr1", "sgp": "sgp1", "syd": "syd1", "atl": "atl1",
}
