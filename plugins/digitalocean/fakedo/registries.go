package fakedo

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// RealRegistryHost is what docker credentials of the real service are for.
const RealRegistryHost = "registry.digitalocean.com"

// tiers are the plans of the container registry, by what they allow.
var tiers = []struct {
	slug, name          string
	registries, repos   int
	storageGB, centsPer int
}{{"starter", "Starter", 1, 1, 0, 0}, {"basic", "Basic", 1, 5, 5, 500}, {"professional", "Professional", 10, 0, 100, 2000}}

func (s *Server) registryRoutes() map[string]func(*call) reply {
	routes := map[string]func(*call) reply{
		"POST /v2/registry":                                     s.createRegistry(true),
		"GET /v2/registry":                                      s.onlyRegistry(func(_ *call, o *object) reply { return ok(doc{"registry": s.registryDoc(o, true)}) }),
		"DELETE /v2/registry":                                   s.onlyRegistry(s.deleteRegistry),
		"GET /v2/registry/docker-credentials":                   s.onlyRegistry(s.dockerCredentials),
		"GET /v2/registries":                                    s.listRegistries,
		"POST /v2/registries":                                   s.createRegistry(false),
		"GET /v2/registries/{registry_name}":                    s.onRegistry(func(_ *call, o *object) reply { return ok(doc{"registry": s.registryDoc(o, false)}) }),
		"DELETE /v2/registries/{registry_name}":                 s.onRegistry(s.deleteRegistry),
		"GET /v2/registries/{registry_name}/docker-credentials": s.onRegistry(s.dockerCredentials),
	}
	for _, root := range []string{"/v2/registry", "/v2/registries"} {
		routes["GET "+root+"/options"] = s.registryOptions
		routes["GET "+root+"/subscription"] = func(*call) reply { return ok(doc{"subscription": s.subscription()}) }
		routes["POST "+root+"/subscription"] = s.changeTier
		routes["POST "+root+"/validate-name"] = s.validateRegistryName
		routes["GET "+root+"/{registry_name}/repositoriesV2"] = s.onRegistry(s.listRepositories)
		routes["GET "+root+"/{registry_name}/repositories/{repository_name}/tags"] = s.onRegistry(s.listImageTags)
		routes["GET "+root+"/{registry_name}/repositories/{repository_name}/digests"] = s.onRegistry(s.listImageDigests)
		routes["DELETE "+root+"/{registry_name}/repositories/{repository_name}/tags/{repository_tag}"] = s.onRegistry(s.deleteImage("repository_tag"))
		routes["DELETE "+root+"/{registry_name}/repositories/{repository_name}/digests/{manifest_digest}"] = s.onRegistry(s.deleteImage("manifest_digest"))
		routes["POST "+root+"/{registry_name}/garbage-collection"] = s.onRegistry(s.collectGarbage)
		routes["GET "+root+"/{registry_name}/garbage-collections"] = s.onRegistry(func(_ *call, o *object) reply { return ok(doc{"garbage_collections": anys(o.parts["gc"])}) })
	}
	return routes
}

func (s *Server) onRegistry(do func(*call, *object) reply) func(*call) reply {
	return s.on("registry", "registry_name", do)
}

// onlyRegistry is for the older paths, which name no registry.
func (s *Server) onlyRegistry(do func(*call, *object) reply) func(*call) reply {
	return func(c *call) reply {
		all := s.shelf("registry").objects
		if len(all) > 1 {
			return problem(http.StatusPreconditionFailed, "the account has more than one registry: use /v2/registries")
		}
		if len(all) == 0 || s.read("registry", all[0].id) == nil {
			return notFound()
		}
		return do(c, all[0])
	}
}

func (s *Server) tier() string {
	for _, o := range s.shelf("registry").objects {
		return o.secret["tier"]
	}
	return "starter"
}

func (s *Server) subscription() doc {
	return doc{"tier": tierDoc(s.tier()), "created_at": s.stamp(), "updated_at": s.stamp()}
}

func tierDoc(slug string) doc {
	for _, t := range tiers {
		if t.slug == slug {
			return doc{
				"name": t.name, "slug": t.slug, "included_repositories": t.repos, "included_storage_bytes": t.storageGB << 30, "included_bandwidth_bytes": t.storageGB << 30,
				"allow_storage_overage": t.slug != "starter", "monthly_price_in_cents": t.centsPer, "storage_overage_price_in_cents": 2,
			}
		}
	}
	return doc{}
}

func (s *Server) registryDoc(o *object, plan bool) doc {
	if plan {
		return with(o.doc, doc{"subscription": s.subscription()})
	}
	return o.doc
}

func (s *Server) createRegistry(single bool) func(*call) reply {
	return func(c *call) reply {
		name, tier := str(c.body, "name"), defaultTo(str(c.body, "subscription_tier_slug"), s.tier())
		have := len(s.shelf("registry").objects)
		if single && have > 0 {
			return problem(http.StatusConflict, "registry already exists")
		}
		// Names are one space for all customers.
		if s.named("registry", name) != nil {
			return problem(http.StatusConflict, "name already exists")
		}
		for _, t := range tiers {
			if t.slug == tier && have >= t.registries {
				return problem(http.StatusPreconditionFailed, "the subscription tier "+tier+" has no room for another registry")
			}
		}
		d := doc{"name": name, "region": defaultTo(str(c.body, "region"), "nyc3"), "created_at": s.stamp(), "storage_usage_bytes": 0, "storage_usage_bytes_updated_at": s.stamp()}
		o := s.add(c, &object{kind: "registry", id: name, name: name, doc: d})
		for _, r := range s.shelf("registry").objects {
			r.secret["tier"] = tier
		}
		return created(doc{"registry": s.registryDoc(o, single)})
	}
}

func (s *Server) listRegistries(*call) reply {
	out := []any{}
	for _, o := range s.listed("registry", nil) {
		out = append(out, s.registryDoc(o, true))
	}
	return ok(doc{"registries": out})
}

func (s *Server) deleteRegistry(_ *call, o *object) reply {
	for _, repo := range s.repositories(o.name) {
		for _, tag := range s.imageTags(o.name, repo) {
			s.removeImage(o.name+"/"+repo, tag)
		}
	}
	s.drop(o)
	return gone()
}

func (s *Server) registryOptions(*call) reply {
	plans := []any{}
	for _, t := range tiers {
		plans = append(plans, with(tierDoc(t.slug), doc{"eligible": true}))
	}
	return ok(doc{"options": doc{"available_regions": []any{"nyc3", "sfo3", "ams3", "sgp1", "fra1"}, "subscription_tiers": plans}})
}

func (s *Server) changeTier(c *call) reply {
	for _, o := range s.shelf("registry").objects {
		o.secret["tier"] = str(c.body, "tier_slug")
	}
	return ok(doc{"subscription": s.subscription()})
}

func (s *Server) validateRegistryName(c *call) reply {
	if s.named("registry", str(c.body, "name")) != nil {
		return problem(http.StatusConflict, "registry with name already exists")
	}
	return gone()
}

// dockerCredentials mints a password for the registry: read-only and for
// good, unless the query says otherwise.
func (s *Server) dockerCredentials(c *call, o *object) reply {
	password := "dop_v1_" + s.hex(64)
	g := grant{registry: o.name, write: c.query.Get("read_write") == "true"}
	if seconds := queryInt(c.query, "expiry_seconds", 0); seconds > 0 {
		g.until = s.now.Add(time.Duration(seconds) * time.Second)
	}
	s.registry.grants[password] = g
	auth := base64.StdEncoding.EncodeToString([]byte(password + ":" + password))
	rep := ok(doc{"auths": doc{defaultTo(s.opts.RegistryHost, RealRegistryHost): doc{"auth": auth}}})
	// The description lists the real host only.
	rep.unlistedFine = s.opts.RegistryHost != ""
	return rep
}

// ask sends a request to the data plane and reads its JSON.
func (s *Server) ask(method, path string, into any) int {
	r, err := http.NewRequest(method, "http://registry"+path, http.NoBody)
	if err != nil {
		return http.StatusBadRequest
	}
	w := &memoryAnswer{header: http.Header{}}
	s.registry.images.ServeHTTP(w, r)
	if into != nil && json.Unmarshal([]byte(w.body.String()), into) != nil {
		return http.StatusInternalServerError
	}
	return w.status
}

func (s *Server) repositories(name string) (out []string) {
	var catalog struct{ Repositories []string }
	s.ask(http.MethodGet, "/v2/_catalog", &catalog)
	for _, r := range catalog.Repositories {
		if repo, ours := strings.CutPrefix(r, name+"/"); ours && len(s.imageTags(name, repo)) > 0 {
			out = append(out, repo)
		}
	}
	slices.Sort(out)
	return out
}

func (s *Server) imageTags(name, repo string) []string {
	var tags struct{ Tags []string }
	s.ask(http.MethodGet, "/v2/"+name+"/"+repo+"/tags/list", &tags)
	return tags.Tags
}

func (s *Server) removeImage(repo, reference string) bool {
	status := s.ask(http.MethodDelete, "/v2/"+repo+"/manifests/"+reference, nil)
	return status == http.StatusAccepted || status == http.StatusOK
}

func (s *Server) listRepositories(c *call, o *object) reply {
	return page(c, "repositories", s.repositories(o.name), func(repo string) any {
		tags := s.imageTags(o.name, repo)
		return doc{"registry_name": o.name, "name": repo, "tag_count": len(tags), "manifest_count": len(s.manifests(o.name, repo)), "latest_manifest": s.manifests(o.name, repo)[0]}
	})
}

func (s *Server) digest(repo, tag string) string {
	r, err := http.NewRequest(http.MethodHead, "http://registry/v2/"+repo+"/manifests/"+tag, http.NoBody)
	if err != nil {
		return ""
	}
	w := &memoryAnswer{header: http.Header{}}
	s.registry.images.ServeHTTP(w, r)
	return w.header.Get("Docker-Content-Digest")
}

func (s *Server) listImageTags(c *call, o *object) reply {
	repo := c.param("repository_name")
	return page(c, "tags", s.imageTags(o.name, repo), func(tag string) any {
		return doc{"registry_name": o.name, "repository": repo, "tag": tag, "manifest_digest": s.digest(o.name+"/"+repo, tag), "compressed_size_bytes": 0, "size_bytes": 0, "updated_at": s.stamp()}
	})
}

// manifests are the images of a repository that a tag points to.
func (s *Server) manifests(name, repo string) (out []doc) {
	byDigest := map[string]doc{}
	for _, tag := range s.imageTags(name, repo) {
		if len(tag) == 71 && strings.HasPrefix(tag, "sha256:") {
			continue
		}
		digest := s.digest(name+"/"+repo, tag)
		if d := byDigest[digest]; d != nil {
			d["tags"] = append(list(d, "tags"), tag)
			continue
		}
		d := doc{"registry_name": name, "repository": repo, "digest": digest, "tags": []any{tag}, "compressed_size_bytes": 0, "size_bytes": 0, "updated_at": s.stamp(), "blobs": []any{}}
		byDigest[digest] = d
		out = append(out, d)
	}
	return out
}

func (s *Server) listImageDigests(c *call, o *object) reply {
	return page(c, "manifests", s.manifests(o.name, c.param("repository_name")), func(d doc) any { return d })
}

func (s *Server) deleteImage(param string) func(*call, *object) reply {
	return func(c *call, o *object) reply {
		repo, reference := o.name+"/"+c.param("repository_name"), c.param(param)
		if !s.hasImage(repo, reference) || !s.removeImage(repo, reference) {
			return notFound()
		}
		return gone()
	}
}

func (s *Server) collectGarbage(_ *call, o *object) reply {
	gc := doc{"uuid": s.uuid(), "registry_name": o.name, "status": "requested", "created_at": s.stamp(), "updated_at": s.stamp(), "blobs_deleted": 0, "freed_bytes": 0}
	o.parts["gc"] = append(o.parts["gc"], gc)
	s.after(time.Minute, func(now time.Time) { gc["status"], gc["updated_at"] = "succeeded", stamp(now) })
	return created(doc{"garbage_collection": gc})
}
