package fakedo_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// A walker sends requests by hand, and keeps values of the answers for the
// paths and bodies that follow.
type walker struct {
	t    *testing.T
	s    *fakedo.Server
	vars map[string]string
}

func newWalker(t *testing.T, o fakedo.Options) *walker {
	return &walker{t, fakedo.Start(t, o), map[string]string{}}
}

// do is "METHOD path [body]", the status that is expected, and then pairs of
// a name and the path of the value in the answer that it is for, "app.id".
func (w *walker) do(request string, status int, keep ...string) any {
	w.t.Helper()
	request = os.Expand(request, func(name string) string { return w.vars[name] })
	parts := strings.SplitN(request, " ", 3)
	body := ""
	if len(parts) == 3 {
		body = parts[2]
	}
	got, text := ask(w.t, w.s, parts[0], parts[1], body, nil)
	if got != status {
		w.t.Fatalf("%s: %d %s", request, got, text)
	}
	var answer any
	if text != "" && json.Unmarshal([]byte(text), &answer) != nil {
		w.t.Fatalf("%s answered %s", request, text)
	}
	for i := 0; i+1 < len(keep); i += 2 {
		w.vars[keep[i]] = textOf(at(answer, keep[i+1]))
	}
	return answer
}

func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	data, _ := json.Marshal(v)
	return string(data)
}

// at is the value at a path such as "nodes.0.id".
func at(v any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			v = x[step[0]-'0']
		}
	}
	return v
}

// Each walk expects of the answers only that the description allows them.

func TestWalkTagsAndNetworks(t *testing.T) {
	w := newWalker(t, fakedo.Options{})
	w.do(`POST /v2/tags {"name":"web"}`, 201)
	w.do(`POST /v2/volumes {"name":"data","region":"fra1","size_gigabytes":10,"tags":["web","db"]}`, 201, "vol", "volume.id")
	w.do(`POST /v2/tags/web/resources {"resources":[{"resource_type":"volume","resource_id":"nothing"}]}`, 404)
	w.do(`DELETE /v2/tags/db/resources {"resources":[{"resource_type":"volume","resource_id":"$vol"}]}`, 204)
	w.do(`POST /v2/tags/db/resources {"resources":[{"resource_type":"volume","resource_id":"$vol"}]}`, 204)
	if n := at(w.do("GET /v2/tags/db", 200), "tag.resources.volumes.count"); n != 1.0 {
		t.Errorf("the tag counts %v", n)
	}
	w.do("DELETE /v2/tags/db", 204)
	if tags := textOf(at(w.do("GET /v2/volumes/$vol", 200), "volume.tags")); tags != `["web"]` {
		t.Errorf("the volume has %s", tags)
	}
	if tags := w.s.Tags(); len(tags) != 1 {
		t.Errorf("there are %v", tags)
	}
	w.do("GET /v2/tags", 200)
	w.do(`POST /v2/vpcs {"name":"net","region":"fra1","ip_range":"8.8.8.0/24"}`, 422)
	w.do(`POST /v2/vpcs {"name":"net","region":"mars1"}`, 422)
	w.do(`POST /v2/vpcs {"name":"net","region":"fra1","description":"one"}`, 201, "vpc", "vpc.id")
	w.do(`POST /v2/vpcs {"name":"net","region":"fra1"}`, 422)
	w.do(`POST /v2/load_balancers {"name":"lb","region":"fra1","tag":"web","vpc_uuid":"$vpc","forwarding_rules":[{"entry_protocol":"http","entry_port":80,"target_protocol":"http","target_port":80}]}`, 202, "lb", "load_balancer.id")
	if m := at(w.do("GET /v2/vpcs/$vpc/members?resource_type=loadbalancer", 200), "members"); len(m.([]any)) != 1 {
		t.Errorf("the members are %v", m)
	}
	w.do("GET /v2/vpcs/$vpc/members?resource_type=droplet", 200)
	w.do(`PATCH /v2/vpcs/$vpc {"default":true}`, 200)
	w.do("DELETE /v2/vpcs/$vpc", 403)
}

func TestWalkDatabaseSettings(t *testing.T) {
	w := newWalker(t, fakedo.Options{})
	w.do(`POST /v2/databases {"name":"d","engine":"mysql","size":"db-s-1vcpu-1gb","num_nodes":2,"region":"fra1"}`, 201, "db", "database.id")
	w.do(`POST /v2/databases {"name":"k","engine":"kafka","size":"db-s-2vcpu-4gb","num_nodes":3,"region":"fra1","tags":["x"]}`, 201, "k", "database.id")
	w.do(`PUT /v2/databases/$db/resize {"size":"db-s-1vcpu-2gb","num_nodes":2}`, 412)
	w.s.Advance(time.Hour)
	w.do("GET /v2/databases/$db/users", 200)
	w.do("GET /v2/databases/$db/dbs", 200)
	w.do("GET /v2/databases/$db/dbs/defaultdb", 200)
	w.do("GET /v2/databases/$db/dbs/nothing", 404)
	w.do("GET /v2/databases/$db/pools", 200)
	w.do("GET /v2/databases/$db/sql_mode", 200)
	w.do(`PUT /v2/databases/$db/sql_mode {"sql_mode":"ANSI"}`, 204)
	w.do("GET /v2/databases/$db/config", 200)
	w.do(`PATCH /v2/databases/$db/config {"config":{"connect_timeout":30}}`, 200)
	if n := at(w.do("GET /v2/databases/$db/config", 200), "config.connect_timeout"); n != 30.0 {
		t.Errorf("the timeout is %v", n)
	}
	w.do(`PUT /v2/databases/$db/resize {"size":"huge","num_nodes":2}`, 422)
	w.do(`PUT /v2/databases/$db/resize {"size":"db-s-1vcpu-2gb","num_nodes":2,"storage_size_mib":61440}`, 202)
	w.s.Advance(time.Hour)
	if n := at(w.do("GET /v2/databases/$db", 200), "database.storage_size_mib"); n != 61440.0 {
		t.Errorf("the storage is %v", n)
	}
	w.do("GET /v2/databases/$db/eviction_policy", 422)
	w.do(`POST /v2/databases/$db/users {"name":"app"}`, 201)
	w.do(`PUT /v2/databases/$db/users/app {"settings":{}}`, 201)
	w.do(`POST /v2/databases/$db/users/app/reset_auth {"mysql_settings":{"auth_plugin":"mysql_native_password"}}`, 200)
	w.do(`POST /v2/databases/$db/users/doadmin/reset_auth {}`, 200)
	w.do(`POST /v2/databases/$db/pools {"name":"p","mode":"session","size":1,"db":"defaultdb"}`, 422)
	w.do(`POST /v2/databases/$k/users {"name":"app","settings":{"acl":[{"topic":"*","permission":"consume"}]}}`, 201)
	w.do(`POST /v2/databases/$k/dbs {"name":"app"}`, 422)
	w.do("GET /v2/databases?tag_name=x", 200)
	w.do(`PUT /v2/databases/$db/upgrade {"version":"5"}`, 422)
}

func TestWalkDropletsAndVolumes(t *testing.T) {
	w := newWalker(t, fakedo.Options{})
	w.do(`POST /v2/volumes {"name":"data","region":"fra1","size_gigabytes":10}`, 201, "vol", "volume.id")
	w.do(`POST /v2/volumes {"name":"data","region":"fra1","size_gigabytes":10}`, 409)
	w.do(`POST /v2/volumes {"name":"far","region":"nyc3","size_gigabytes":10}`, 201, "far", "volume.id")
	w.do(`POST /v2/volumes {"name":"big","region":"nyc3","size_gigabytes":20000}`, 422)
	const droplet = `"region":"fra1","size":"s-1vcpu-1gb","image":"debian-12-x64","tags":["web"]`
	w.do(`POST /v2/droplets {"name":"a","region":"fra1","size":"none","image":"debian-12-x64"}`, 422)
	w.do(`POST /v2/droplets {"name":"a","region":"fra1","size":"s-1vcpu-1gb","image":"none"}`, 422)
	w.do(`POST /v2/droplets {"name":"a",`+droplet+`,"ssh_keys":[12]}`, 422)
	w.do(`POST /v2/droplets {"name":"a",`+droplet+`,"volumes":["$far"]}`, 422)
	w.do(`POST /v2/droplets {"name":"a",`+droplet+`,"volumes":["$vol"],"monitoring":true}`, 202, "a", "droplet.id", "act", "links.actions.0.id")
	w.do(`POST /v2/droplets {"names":["b","c"],`+droplet+`}`, 202)
	w.do("GET /v2/actions", 200)
	w.do("GET /v2/actions/$act", 200)
	w.do("GET /v2/actions/1", 404)
	w.s.Advance(time.Minute)
	w.do("GET /v2/droplets/$a/actions", 200)
	w.do("GET /v2/droplets?name=b", 200)
	for _, body := range []string{`{"type":"enable_backups"}`, `{"type":"disable_backups"}`, `{"type":"rebuild","image":"debian-13-x64"}`, `{"type":"power_off"}`, `{"type":"power_on"}`, `{"type":"snapshot","name":"s"}`} {
		w.do("POST /v2/droplets/$a/actions "+body, 201)
		w.do("POST /v2/droplets/$a/actions "+body, 422) // one at a time
		w.s.Advance(time.Minute)
	}
	w.do(`POST /v2/droplets/$a/actions {"type":"resize","size":"s-2vcpu-4gb"}`, 422)
	w.do(`POST /v2/volumes/$vol/actions {"type":"attach","droplet_id":$a}`, 422)
	w.do(`POST /v2/volumes/$far/actions {"type":"attach","droplet_id":$a}`, 422)
	w.do(`POST /v2/volumes/$vol/actions {"type":"detach","droplet_id":$a}`, 202, "act", "action.id")
	w.s.Advance(time.Minute)
	w.do("GET /v2/volumes/$vol/actions/$act", 200)
	w.do("GET /v2/volumes/$vol/actions", 200)
	w.do(`POST /v2/volumes/$vol/actions {"type":"detach","droplet_id":$a}`, 422)
	w.do(`POST /v2/volumes/$vol/actions {"type":"resize","size_gigabytes":5}`, 422)
	w.do(`POST /v2/volumes/$vol/snapshots {"name":"s"}`, 201, "snap", "snapshot.id")
	w.do("GET /v2/volumes/$vol/snapshots", 200)
	w.do("GET /v2/volumes/snapshots/$snap", 200)
	w.do("DELETE /v2/volumes/snapshots/$snap", 204)
	w.do("GET /v2/volumes?name=data&region=fra1", 200)
	w.do("DELETE /v2/volumes?name=data&region=fra1", 204)
	w.do("DELETE /v2/volumes?name=far&region=nyc3", 204)
	w.do("DELETE /v2/droplets?tag_name=web", 204)
	w.do("GET /v2/images/debian-12-x64", 200)
	w.do("GET /v2/images/160003", 200)
	w.do("GET /v2/images/nothing", 404)
	w.do(`POST /v2/account/keys {"name":"k","public_key":"ssh-rsa A"}`, 201, "key", "ssh_key.id")
	w.do(`POST /v2/account/keys {"name":"k","public_key":"ssh-rsa A"}`, 422)
	w.do(`POST /v2/account/keys {"name":"k","public_key":"nonsense"}`, 422)
	w.do(`PUT /v2/account/keys/$key {"name":"other"}`, 200)
	w.do("GET /v2/account/keys", 200)
	w.do("DELETE /v2/account/keys/$key", 204)
	emptied(t, w.s)
}

func TestWalkFirewallsAndBalancers(t *testing.T) {
	w := newWalker(t, fakedo.Options{})
	const rule = `{"protocol":"tcp","ports":"80","sources":{"addresses":["0.0.0.0/0"]}}`
	w.do(`POST /v2/droplets {"name":"a","region":"fra1","size":"s-1vcpu-1gb","image":"debian-12-x64","tags":["web"]}`, 202, "a", "droplet.id")
	w.do(`POST /v2/firewalls {"name":"fw","inbound_rules":[`+rule+`]}`, 202, "fw", "firewall.id")
	w.do(`POST /v2/firewalls {"name":"fw","inbound_rules":[`+rule+`]}`, 409)
	w.do(`POST /v2/firewalls/$fw/droplets {"droplet_ids":[1]}`, 422)
	w.do(`POST /v2/firewalls/$fw/droplets {"droplet_ids":[$a]}`, 204)
	w.do(`POST /v2/firewalls/$fw/tags {"tags":["web"]}`, 204)
	w.do(`POST /v2/firewalls/$fw/rules {"inbound_rules":[{"protocol":"udp","ports":"53","sources":{"tags":["web"]}}]}`, 204)
	w.do("GET /v2/droplets/$a/firewalls", 200)
	fw := w.do("GET /v2/firewalls/$fw", 200)
	if len(at(fw, "firewall.inbound_rules").([]any)) != 2 || textOf(at(fw, "firewall.pending_changes.0.status")) != "waiting" {
		t.Errorf("the firewall is %v", fw)
	}
	w.do(`DELETE /v2/firewalls/$fw/rules {"inbound_rules":[`+rule+`]}`, 204)
	w.do(`DELETE /v2/firewalls/$fw/droplets {"droplet_ids":[$a]}`, 204)
	w.do(`DELETE /v2/firewalls/$fw/tags {"tags":["web"]}`, 204)
	w.do(`PUT /v2/firewalls/$fw {"name":"renamed","inbound_rules":[`+rule+`]}`, 200)
	w.do("GET /v2/firewalls", 200)
	const http = `{"entry_protocol":"http","entry_port":80,"target_protocol":"http","target_port":80}`
	w.do(`POST /v2/load_balancers {"name":"lb","region":"fra1","droplet_ids":[1],"forwarding_rules":[`+http+`]}`, 422)
	w.do(`POST /v2/load_balancers {"name":"lb","region":"fra1","droplet_ids":[],"forwarding_rules":[{"entry_protocol":"https","entry_port":443,"target_protocol":"http","target_port":80}]}`, 422)
	w.do(`POST /v2/load_balancers {"name":"lb","region":"fra1","droplet_ids":[],"forwarding_rules":[`+http+`]}`, 202, "lb", "load_balancer.id")
	w.do(`POST /v2/load_balancers/$lb/droplets {"droplet_ids":[$a]}`, 204)
	w.do(`DELETE /v2/load_balancers/$lb/droplets {"droplet_ids":[$a]}`, 204)
	w.do(`DELETE /v2/load_balancers/$lb/forwarding_rules {"forwarding_rules":[`+http+`]}`, 422)
	w.do(`PUT /v2/load_balancers/$lb {"name":"lb","region":"nyc3","droplet_ids":[],"forwarding_rules":[`+http+`]}`, 422)
	w.do("DELETE /v2/load_balancers/$lb", 204)
	w.do("DELETE /v2/firewalls/$fw", 204)
	w.do("DELETE /v2/droplets/$a", 204)
	emptied(t, w.s)
}

func TestWalkRegistriesSpacesAndClusters(t *testing.T) {
	w := newWalker(t, fakedo.Options{})
	w.do("GET /v2/registry", 404)
	w.do(`POST /v2/registries {"name":"one","region":"fra1","subscription_tier_slug":"professional"}`, 201)
	w.do(`POST /v2/registry {"name":"two","subscription_tier_slug":"basic"}`, 409)
	w.do(`POST /v2/registries {"name":"two"}`, 201)
	w.do("GET /v2/registry", 412)
	w.do("GET /v2/registries", 200)
	w.do("GET /v2/registries/two", 200)
	w.do("GET /v2/registries/options", 200)
	w.do("GET /v2/registries/subscription", 200)
	w.do(`POST /v2/registries/subscription {"tier_slug":"professional"}`, 200)
	w.do(`POST /v2/registries/validate-name {"name":"one"}`, 409)
	w.do(`POST /v2/registries/validate-name {"name":"free"}`, 204)
	w.do("POST /v2/registries/one/garbage-collection", 201)
	w.do("GET /v2/registries/one/garbage-collections", 200)
	w.do("DELETE /v2/registries/one/repositories/web/tags/1", 404)
	w.do("DELETE /v2/registries/two", 204)
	w.do("DELETE /v2/registry", 204)
	for _, bad := range []string{`{"bucket":"","permission":"read"}`, `{"bucket":"b","permission":"fullaccess"}`, `{"bucket":"b","permission":"everything"}`} {
		w.do(`POST /v2/spaces/keys {"name":"k","grants":[`+bad+`]}`, 400)
	}
	w.do(`POST /v2/spaces/keys {"name":"k"}`, 201, "key", "key.access_key")
	w.do("GET /v2/spaces/keys/$key", 200)
	w.do("GET /v2/spaces/keys?name=k&sort_direction=asc", 200)
	w.do(`PATCH /v2/spaces/keys/$key {"grants":[{"bucket":"b","permission":"read"}]}`, 200)
	w.do("GET /v2/spaces/keys?bucket=b", 200)
	w.do("DELETE /v2/spaces/keys/$key", 204)
	w.do(`POST /v2/kubernetes/clusters {"name":"k","region":"fra1","version":"0.1","node_pools":[{"name":"p","size":"s-2vcpu-4gb","count":1}]}`, 422)
	w.do(`POST /v2/kubernetes/clusters {"name":"k","region":"fra1","version":"latest","node_pools":[{"name":"p","size":"huge","count":1}]}`, 422)
	w.do(`POST /v2/kubernetes/clusters {"name":"k","region":"fra1","version":"latest","node_pools":[{"name":"p","size":"s-2vcpu-4gb","count":1}]}`, 201, "k8s", "kubernetes_cluster.id", "pool", "kubernetes_cluster.node_pools.0.id")
	w.do("GET /v2/kubernetes/clusters/$k8s/credentials", 404)
	w.s.Advance(time.Hour)
	w.do("GET /v2/kubernetes/clusters/$k8s/credentials", 200)
	w.do(`PUT /v2/kubernetes/clusters/$k8s {"name":"k","tags":["mine"]}`, 202)
	w.do("GET /v2/kubernetes/clusters/$k8s/node_pools/$pool", 200)
	w.do("GET /v2/kubernetes/clusters/$k8s/node_pools", 200)
	w.do("GET /v2/kubernetes/clusters/$k8s/destroy_with_associated_resources", 200)
	w.do(`POST /v2/kubernetes/registry {"cluster_uuids":["$k8s"]}`, 204)
	w.do(`DELETE /v2/kubernetes/registry {"cluster_uuids":["$k8s"]}`, 204)
	w.do(`POST /v2/kubernetes/clusters/$k8s/upgrade {"version":"1.0"}`, 422)
	w.do("GET /v2/kubernetes/clusters", 200)
	w.do("DELETE /v2/kubernetes/clusters/$k8s/destroy_with_associated_resources/dangerous", 204)
	emptied(t, w.s)
}

func TestWalkApps(t *testing.T) {
	w := newWalker(t, fakedo.Options{TakeReadOnly: true})
	const image = `"image":{"registry_type":"DOCR","repository":"web"}`
	w.do(`POST /v2/vpcs {"name":"net","region":"fra1"}`, 201, "vpc", "vpc.id")
	w.do(`POST /v2/databases {"name":"main","engine":"pg","size":"db-s-1vcpu-1gb","num_nodes":1,"region":"fra1"}`, 201)
	const rest = `"vpc":{"id":"$vpc"},"databases":[{"name":"db","production":true,"cluster_name":"main","db_name":"defaultdb","db_user":"doadmin"}],"domains":[{"domain":"www.example.com","type":"PRIMARY"}]`
	spec := `{"spec":{"name":"app","services":[{"name":"web",` + image + `,"routes":[{"path":"/a"}],"envs":[{"key":"S","type":"SECRET","value":"hush"}]}],"workers":[{"name":"work",` + image + `}],"static_sites":[{"name":"site","github":{"repo":"a/b","branch":"main"}}],` + rest + `}}`
	w.do("POST /v2/apps/propose "+spec, 200)
	w.do("POST /v2/apps "+spec, 200, "app", "app.id", "dep", "app.pending_deployment.id")
	w.do("POST /v2/apps "+spec, 409)
	for _, bad := range []string{
		`"services":[]`, `"services":[{"name":"web"}]`, `"services":[{"name":"web",` + image + `},{"name":"web",` + image + `}]`,
		`"services":[{"name":"web",` + image + `,"instance_count":2,"instance_size_slug":"basic-xxs"}]`,
		`"services":[{"name":"web",` + image + `,"instance_size_slug":"apps-s-1vcpu-1gb","autoscaling":{"min_instance_count":1,"max_instance_count":2}}]`,
		`"services":[{"name":"web","image":{"registry_type":"DOCR","repository":"web","registry":"acme"}}]`,
		`"services":[{"name":"web","image":{"registry_type":"DOCR","repository":"web","tag":"1","digest":"sha256:0"}}]`,
		`"services":[{"name":"web","image":{"repository":"web"}}]`,
		`"services":[{"name":"web",` + image + `,"envs":[{"key":"S","type":"SECRET","value":"EV[1:strange]"}]}]`,
		`"services":[{"name":"web",` + image + `}],"ingress":{"rules":[{"component":{"name":"nobody"}}]}`,
		`"services":[{"name":"web",` + image + `}],"databases":[{"name":"db","production":true,"cluster_name":"nothing"}]`,
		`"services":[{"name":"web",` + image + `}],"databases":[{"name":"db","production":true,"cluster_name":"main","db_user":"nobody"}]`,
	} {
		w.do(`POST /v2/apps {"spec":{"name":"bad",`+bad+`}}`, 400)
	}
	w.do("POST /v2/apps/$app/restart {}", 400)
	w.do("GET /v2/apps/$app/logs?type=RUN", 404)
	w.do("POST /v2/apps/$app/deployments/$dep/cancel", 200)
	w.do("POST /v2/apps/$app/deployments/$dep/cancel", 400)
	w.do(`POST /v2/apps/$app/deployments {"force_build":true}`, 200, "dep", "deployment.id")
	w.do("GET /v2/apps/$app/deployments/$dep/components/web/logs?type=BUILD", 200)
	w.s.Advance(time.Hour)
	app := w.do("GET /v2/apps/$app", 200, "secret", "app.spec.services.0.envs.0.value")
	if textOf(at(app, "app.live_domain")) != "www.example.com" || textOf(at(app, "app.domains.0.phase")) != "ACTIVE" {
		t.Errorf("the app is %v", app)
	}
	if rules := at(app, "app.spec.ingress.rules").([]any); len(rules) != 2 || textOf(at(rules[0], "match.path.prefix")) != "/a" {
		t.Errorf("the rules are %v", rules)
	}
	for _, kind := range []string{"BUILD", "DEPLOY", "RUN"} {
		w.do("GET /v2/apps/$app/logs?type="+kind, 200)
		w.do("GET /v2/apps/$app/components/web/logs?type="+kind, 200)
	}
	w.do("GET /v2/apps/$app/components/nobody/logs?type=RUN", 404)
	w.do("GET /v2/apps/$app/instances", 200)
	w.do("GET /v2/apps/$app/health", 200)
	w.do("GET /v2/apps/$app/alerts", 200)
	w.do("GET /v2/apps?with_projects=true", 200)
	w.do("GET /v2/apps/tiers/instance_sizes/apps-s-1vcpu-1gb", 200)
	w.do("POST /v2/apps/$app/restart {}", 200)
	// An encrypted secret may be sent back as it was read.
	w.do(`PUT /v2/apps/$app {"spec":{"name":"renamed","services":[{"name":"web",`+image+`,"envs":[{"key":"S","type":"SECRET","value":"$secret"}]}],"vpc":{"id":"$vpc"}}}`, 200)
	w.do("DELETE /v2/vpcs/$vpc", 403)
	w.do("DELETE /v2/apps/$app", 200)
	w.do("GET /v2/apps/$app", 404)
}

func TestWalkProjects(t *testing.T) {
	w := newWalker(t, fakedo.Options{})
	w.do(`POST /v2/projects {"name":"p","purpose":"x"}`, 201, "p", "project.id")
	w.do(`POST /v2/projects {"name":"p","purpose":"x"}`, 409)
	w.do(`POST /v2/domains {"name":"example.com","ip_address":"192.0.2.1"}`, 201)
	w.do(`POST /v2/projects/$p/resources {"resources":["do:domain:example.com"]}`, 200)
	w.do(`POST /v2/projects/$p/resources {"resources":["do:domain:example.org"]}`, 404)
	w.do("GET /v2/projects/default/resources", 200)
	w.do(`PATCH /v2/projects/$p {"is_default":true}`, 200)
	w.do("DELETE /v2/projects/$p", 412)
	w.do("GET /v2/projects", 200)
	w.do(`POST /v2/databases {"name":"d","engine":"pg","size":"db-s-1vcpu-1gb","num_nodes":1,"region":"fra1","project_id":"00000000-0000-4000-a000-000000000000"}`, 422)
	w.do("GET /v2/domains", 200)
	w.do("DELETE /v2/domains/example.com", 204)
	w.do("GET /v2/domains/example.com", 404)
}
