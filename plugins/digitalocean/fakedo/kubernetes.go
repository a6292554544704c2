package fakedo

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	clusterCreates  = 4 * time.Minute
	nodesStart      = 90 * time.Second
	clusterUpgrades = 6 * time.Minute
)

var kubernetesVersions = []string{"1.32.9-do.0", "1.33.5-do.0", "1.34.1-do.0"}

func (s *Server) kubernetesRoutes() map[string]func(*call) reply {
	on := func(do func(*call, *object) reply) func(*call) reply { return s.on("kubernetes", "cluster_id", do) }
	const one = "/v2/kubernetes/clusters/{cluster_id}"
	const pool = one + "/node_pools/{node_pool_id}"
	return map[string]func(*call) reply{
		"GET /v2/kubernetes/clusters": func(c *call) reply {
			return page(c, "kubernetes_clusters", s.listed("kubernetes", nil), docOf)
		},
		"POST /v2/kubernetes/clusters": s.createCluster,
		"GET /v2/kubernetes/options":   s.kubernetesOptions,
		"GET " + one:                   on(func(_ *call, o *object) reply { return ok(doc{"kubernetes_cluster": o.doc}) }),
		"PUT " + one:                   on(s.updateCluster),
		"DELETE " + one:                on(s.deleteCluster),
		"DELETE " + one + "/destroy_with_associated_resources/dangerous": on(s.deleteCluster),
		"GET " + one + "/destroy_with_associated_resources": on(func(*call, *object) reply {
			return ok(doc{"load_balancers": []any{}, "volumes": []any{}, "volume_snapshots": []any{}})
		}),
		"GET " + one + "/kubeconfig":  on(s.kubeconfig),
		"GET " + one + "/credentials": on(s.clusterCredentials),
		"GET " + one + "/upgrades":    on(s.listUpgrades),
		"POST " + one + "/upgrade":    on(s.upgradeCluster),
		"GET " + one + "/node_pools": on(func(_ *call, o *object) reply {
			return ok(doc{"node_pools": list(o.doc, "node_pools")})
		}),
		"POST " + one + "/node_pools":  on(s.addPoolToCluster),
		"GET " + pool:                  on(s.onPool(func(_ *call, _ *object, p doc) reply { return ok(doc{"node_pool": p}) })),
		"PUT " + pool:                  on(s.onPool(s.updateNodePool)),
		"DELETE " + pool:               on(s.onPool(s.deleteNodePool)),
		"POST /v2/kubernetes/registry": s.joinRegistry(true), "DELETE /v2/kubernetes/registry": s.joinRegistry(false),
	}
}

func (s *Server) kubernetesOptions(*call) reply {
	var regions, sizes, versions []any
	for _, slug := range regionSlugs() {
		regions = append(regions, doc{"slug": slug, "name": regionNames[slug]})
	}
	for _, m := range machines {
		sizes = append(sizes, doc{"slug": m.slug, "name": m.slug})
	}
	for _, v := range slices.Backward(kubernetesVersions) {
		versions = append(versions, versionDoc(v))
	}
	return ok(doc{"options": doc{"regions": regions, "sizes": sizes, "versions": versions}})
}

func versionDoc(v string) doc {
	plain, _, _ := strings.Cut(v, "-")
	return doc{"slug": v, "kubernetes_version": plain, "supported_features": []any{"cluster-autoscaler", "docr-integration", "token-authentication"}}
}

// chooseVersion knows full slugs, and "1.33" and "latest" as the newest of them.
func chooseVersion(asked string) string {
	for _, v := range slices.Backward(kubernetesVersions) {
		if asked == "latest" || v == asked || strings.HasPrefix(v, asked+".") {
			return v
		}
	}
	return ""
}

func (s *Server) createCluster(c *call) reply {
	name, region := str(c.body, "name"), str(c.body, "region")
	if rep, bad := invalidRegion(region); bad {
		return rep
	}
	version := chooseVersion(str(c.body, "version"))
	if version == "" {
		return refused("invalid version slug " + str(c.body, "version"))
	}
	if rep, bad := s.taken("kubernetes", name, "a cluster with this name already exists"); bad {
		return rep
	}
	if len(docs(c.body, "node_pools")) == 0 {
		return refused("at least one node pool is required")
	}
	if rep, bad := s.full("kubernetes"); bad {
		return rep
	}
	vpc, rep, bad := s.network(str(c.body, "vpc_uuid"), region)
	if bad {
		return rep
	}
	for _, p := range docs(c.body, "node_pools") {
		if rep, bad := badNodePool(p); bad {
			return rep
		}
	}
	id := s.uuid()
	d := with(c.body, doc{
		"id": id, "version": version, "vpc_uuid": vpc, "created_at": s.stamp(), "updated_at": s.stamp(), "status": doc{"state": "provisioning"},
		"cluster_subnet": defaultTo(str(c.body, "cluster_subnet"), "10.244.0.0/16"), "service_subnet": defaultTo(str(c.body, "service_subnet"), "10.245.0.0/16"),
		"endpoint": "", "ipv4": "", "registry_enabled": false, "tags": anys(append(texts(c.body, "tags"), "k8s", "k8s:"+id)),
	})
	defaults(d, doc{"ha": false, "auto_upgrade": false, "surge_upgrade": true, "maintenance_policy": doc{"day": "any", "start_time": "15:00", "duration": "4h0m0s"}})
	o := s.add(c, &object{kind: "kubernetes", id: id, name: name, vpc: vpc, doc: d})
	var pools []any
	for _, p := range docs(c.body, "node_pools") {
		pools = append(pools, s.newNodePool(o, p, clusterCreates))
	}
	d["node_pools"] = pools
	s.after(clusterCreates, func(now time.Time) {
		d["status"], d["updated_at"] = doc{"state": "running"}, stamp(now)
		d["endpoint"], d["ipv4"] = "https://"+id+".k8s.ondigitalocean.com", "203.0.113.9"
	})
	return created(doc{"kubernetes_cluster": d})
}

func badNodePool(p doc) (reply, bool) {
	if _, known := machineNamed(str(p, "size")); !known {
		return refused("invalid size " + str(p, "size")), true
	}
	if int(num(p, "count")) < 1 && !flag(p, "auto_scale") {
		return refused("a node pool needs at least one node"), true
	}
	return reply{}, false
}

func (s *Server) newNodePool(o *object, in doc, ready time.Duration) doc {
	id := s.uuid()
	p := with(in, doc{"id": id, "tags": anys(append(texts(in, "tags"), "k8s", "k8s:"+o.id, "k8s:worker")), "nodes": []any{}})
	defaults(p, doc{"auto_scale": false, "min_nodes": 0, "max_nodes": 0, "labels": nil, "taints": []any{}})
	s.scale(o, p, int(num(in, "count")), ready)
	return p
}

// scale makes or takes nodes, each of which is a droplet of the account that
// nobody made: a lister of droplets sees it.
func (s *Server) scale(o *object, p doc, count int, ready time.Duration) {
	nodes := docs(p, "nodes")
	for len(nodes) > count {
		last := nodes[len(nodes)-1]
		if d := s.find("droplet", str(last, "droplet_id")); d != nil {
			s.removeDroplet(d)
		}
		nodes = nodes[:len(nodes)-1]
	}
	for len(nodes) < count {
		node := doc{"id": s.uuid(), "name": fmt.Sprintf("%s-%s", str(p, "name"), s.hex(5)), "droplet_id": "", "created_at": s.stamp(), "updated_at": s.stamp(), "status": doc{"state": "provisioning"}}
		nodes = append(nodes, node)
		s.after(ready, func(now time.Time) { s.startNode(o, p, node, now) })
	}
	p["nodes"], p["count"] = anys(nodes), count
}

func (s *Server) startNode(o *object, p, node doc, now time.Time) {
	here := slices.ContainsFunc(docs(p, "nodes"), func(n doc) bool { return n["id"] == node["id"] })
	if s.find("kubernetes", o.id) == nil || !here {
		return
	}
	size, _ := machineNamed(str(p, "size"))
	d := s.addDroplet(nil, str(node, "name"), str(o.doc, "region"), o.vpc, size, imageDoc(images[2].slug), texts(p, "tags"))
	d.ours, d.doc["status"], d.doc["locked"] = true, "active", false
	node["droplet_id"], node["status"], node["updated_at"] = d.id, doc{"state": "running"}, stamp(now)
}

func (s *Server) updateCluster(c *call, o *object) reply {
	for k, v := range c.body {
		o.doc[k] = v
	}
	if _, set := c.body["tags"]; set {
		tags := slices.DeleteFunc(texts(c.body, "tags"), func(t string) bool { return t == "k8s" || strings.HasPrefix(t, "k8s:") })
		o.doc["tags"] = anys(append(tags, "k8s", "k8s:"+o.id))
	}
	o.name, o.doc["updated_at"] = str(o.doc, "name"), s.stamp()
	return accepted(doc{"kubernetes_cluster": o.doc})
}

func (s *Server) deleteCluster(_ *call, o *object) reply {
	for _, p := range docs(o.doc, "node_pools") {
		s.scale(o, p, 0, 0)
	}
	s.drop(o)
	return gone()
}

func (s *Server) kubeconfig(_ *call, o *object) reply {
	if str(sub(o.doc, "status"), "state") != "running" {
		return notFound()
	}
	name := "do-" + str(o.doc, "region") + "-" + o.name
	text := strings.NewReplacer("NAME", name, "SERVER", str(o.doc, "endpoint"), "CA", fakeCA(o.id), "TOKEN", s.hex(64)).Replace(`apiVersion: v1
kind: Config
clusters:
- name: NAME
  cluster:
    certificate-authority-data: CA
    server: SERVER
contexts:
- name: NAME
  context:
    cluster: NAME
    user: NAME-admin
current-context: NAME
users:
- name: NAME-admin
  user:
    token: TOKEN
`)
	return reply{status: http.StatusOK, body: rawText(text), header: http.Header{"Content-Type": {"application/yaml"}}}
}

func (s *Server) clusterCredentials(_ *call, o *object) reply {
	if str(sub(o.doc, "status"), "state") != "running" {
		return notFound()
	}
	return ok(doc{"server": str(o.doc, "endpoint"), "certificate_authority_data": base64.StdEncoding.EncodeToString([]byte("fakedo " + o.id)), "token": s.hex(64), "expires_at": stamp(s.now.Add(7 * 24 * time.Hour))})
}

func upgradesOf(o *object) []string {
	at := slices.Index(kubernetesVersions, str(o.doc, "version"))
	// One minor version at a time.
	return kubernetesVersions[at+1 : min(at+2, len(kubernetesVersions))]
}

func (s *Server) listUpgrades(_ *call, o *object) reply {
	out := []any{}
	for _, v := range upgradesOf(o) {
		out = append(out, versionDoc(v))
	}
	return ok(doc{"available_upgrade_versions": out})
}

func (s *Server) upgradeCluster(c *call, o *object) reply {
	version := str(c.body, "version")
	if !slices.Contains(upgradesOf(o), version) {
		return refused("the cluster cannot be upgraded to " + version)
	}
	o.doc["status"] = doc{"state": "upgrading"}
	s.after(clusterUpgrades, func(time.Time) { o.doc["version"], o.doc["status"] = version, doc{"state": "running"} })
	return reply{status: http.StatusAccepted}
}

func (s *Server) onPool(do func(*call, *object, doc) reply) func(*call, *object) reply {
	return func(c *call, o *object) reply {
		for _, p := range docs(o.doc, "node_pools") {
			if str(p, "id") == c.param("node_pool_id") {
				return do(c, o, p)
			}
		}
		return notFound()
	}
}

func (s *Server) addPoolToCluster(c *call, o *object) reply {
	if rep, bad := badNodePool(c.body); bad {
		return rep
	}
	p := s.newNodePool(o, c.body, nodesStart)
	o.doc["node_pools"] = append(list(o.doc, "node_pools"), p)
	return created(doc{"node_pool": p})
}

func (s *Server) updateNodePool(c *call, o *object, p doc) reply {
	for k, v := range pick(c.body, "name", "labels", "taints", "auto_scale", "min_nodes", "max_nodes") {
		p[k] = v
	}
	if tags, set := c.body["tags"]; set {
		p["tags"] = tags
	}
	s.scale(o, p, int(num(c.body, "count")), nodesStart)
	return accepted(doc{"node_pool": p})
}

func (s *Server) deleteNodePool(_ *call, o *object, p doc) reply {
	if len(docs(o.doc, "node_pools")) == 1 {
		return refused("the last node pool of a cluster cannot be deleted")
	}
	s.scale(o, p, 0, 0)
	o.doc["node_pools"] = slices.DeleteFunc(list(o.doc, "node_pools"), func(e any) bool { return str(e.(doc), "id") == str(p, "id") })
	return gone()
}

// joinRegistry lets clusters pull from the account's registry.
func (s *Server) joinRegistry(on bool) func(*call) reply {
	return func(c *call) reply {
		for _, id := range texts(c.body, "cluster_uuids") {
			o := s.find("kubernetes", id)
			if o == nil {
				return notFound()
			}
			o.doc["registry_enabled"] = on
		}
		return gone()
	}
}
