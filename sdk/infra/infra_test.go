package infra

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/gocodealone/wfctl/sdk"
)

// schemas are those of all portable types.
func schemas() map[string]func() (json.RawMessage, error) {
	return map[string]func() (json.RawMessage, error){
		TypeVPC: sdk.SchemaFor[VPC], TypeFirewall: sdk.SchemaFor[Firewall], TypeDatabase: sdk.SchemaFor[Database], TypeCache: sdk.SchemaFor[Cache],
		TypeStorage: sdk.SchemaFor[Storage], TypeContainerService: sdk.SchemaFor[ContainerService], TypeK8sCluster: sdk.SchemaFor[K8sCluster],
		TypeLoadBalancer: sdk.SchemaFor[LoadBalancer], TypeDNS: sdk.SchemaFor[DNS], TypeCertificate: sdk.SchemaFor[Certificate],
		TypeRegistry: sdk.SchemaFor[Registry], TypeAPIGateway: sdk.SchemaFor[APIGateway], TypeIAMRole: sdk.SchemaFor[IAMRole],
		TypeDroplet: sdk.SchemaFor[Droplet], TypeVolume: sdk.SchemaFor[Volume], TypeSpacesKey: sdk.SchemaFor[SpacesKey],
	}
}

func TestEveryTypeHasASchema(t *testing.T) {
	all := schemas()
	if !slices.IsSorted(Types()) || len(Types()) != 16 || len(all) != 16 {
		t.Errorf("%d types, %d schemas", len(Types()), len(all))
	}
	for _, name := range Types() {
		raw, err := all[name]()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var node struct {
			Properties map[string]any `json:"properties"`
		}
		if err := json.Unmarshal(raw, &node); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"region", "size", "provider_specific"} {
			if node.Properties[key] == nil {
				t.Errorf("%s has no %s", name, key)
			}
		}
	}
}

// The keys that the contract names for a service are all there.
func TestContainerServiceHasTheCommonKeys(t *testing.T) {
	w, err := sdk.SchemaWalker(sdk.MustSchema[ContainerService]())
	if err != nil {
		t.Fatal(err)
	}
	if !w.Sensitive("/env_vars_secret/TOKEN") || w.Sensitive("/env_vars/TOKEN") || !w.Immutable("/vpc_ref") || !w.Immutable("/region") {
		t.Error("a mark is missing")
	}
	var node struct {
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(sdk.MustSchema[ContainerService](), &node); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"region", "size", "image", "http_port", "internal_ports", "instance_count", "env_vars", "env_vars_secret", "vpc_ref", "autoscaling", "routes",
		"cors", "domains", "health_check", "liveness_check", "jobs", "workers", "static_sites", "sidecars", "build_command", "run_command", "alerts",
		"log_destinations", "termination", "maintenance", "provider_specific",
	} {
		if node.Properties[key] == nil {
			t.Errorf("there is no %s", key)
		}
	}
}

func TestPlatformsMustReplace(t *testing.T) {
	for name, c := range map[string]struct {
		schema json.RawMessage
		path   sdk.Path
	}{
		"database engine": {sdk.MustSchema[Database](), "/engine"}, "range of a VPC": {sdk.MustSchema[VPC](), "/ip_range"},
		"zone": {sdk.MustSchema[DNS](), "/zone"}, "image of a droplet": {sdk.MustSchema[Droplet](), "/image"}, "domains of a certificate": {sdk.MustSchema[Certificate](), "/domains"},
	} {
		if w, err := sdk.SchemaWalker(c.schema); err != nil || !w.Immutable(c.path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
