package fakedo

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How long a cluster takes, as the real ones do.
const (
	databaseCreates  = 5 * time.Minute
	databaseResizes  = 4 * time.Minute
	databaseMigrates = 8 * time.Minute
)

func (s *Server) databaseRoutes() map[string]func(*call) reply {
	const one = "/v2/databases/{database_cluster_uuid}"
	return map[string]func(*call) reply{
		"GET /v2/databases":         s.listDatabases,
		"POST /v2/databases":        s.createDatabase,
		"GET /v2/databases/options": s.databaseOptions,
		"GET " + one:                s.onDatabase(func(_ *call, o *object) reply { return ok(doc{"database": s.databaseDoc(o)}) }),
		"DELETE " + one:             s.onDatabase(s.deleteDatabase),
		"GET " + one + "/ca":        s.onDatabase(s.databaseCA),
		"PUT " + one + "/resize":    s.onlineOnly(s.resizeDatabase),
		"PUT " + one + "/migrate":   s.onlineOnly(s.migrateDatabase),
		"PUT " + one + "/upgrade":   s.onlineOnly(s.upgradeDatabase),
	}
}

func (s *Server) onDatabase(do func(*call, *object) reply) func(*call) reply {
	return s.on("database", "database_cluster_uuid", do)
}

// onlineOnly refuses a change to a cluster that is busy with another.
func (s *Server) onlineOnly(do func(*call, *object) reply) func(*call) reply {
	return s.onDatabase(func(c *call, o *object) reply {
		if status := str(o.doc, "status"); status != "online" {
			return problem(http.StatusPreconditionFailed, "cluster is not online: its status is "+status)
		}
		return do(c, o)
	})
}

func (s *Server) listDatabases(c *call) reply {
	out := []any{}
	for _, o := range s.listed("database", hasTag(c.query.Get("tag_name"))) {
		out = append(out, s.databaseDoc(o))
	}
	return ok(doc{"databases": out})
}

// databaseDoc shows the parts of a cluster with it.
func (s *Server) databaseDoc(o *object) doc {
	d := with(o.doc, doc{"users": anys(o.parts["users"])})
	if names := o.parts["dbs"]; len(names) > 0 {
		shown := []any{}
		for _, db := range names {
			shown = append(shown, db["name"])
		}
		d["db_names"] = shown
	}
	return d
}

func (s *Server) createDatabase(c *call) reply {
	in := c.body
	if rep, bad := invalidRegion(str(in, "region")); bad {
		return rep
	}
	e, version, rep, bad := chooseEngine(in)
	if bad {
		return rep
	}
	if rep, bad := s.taken("database", str(in, "name"), "cluster name is not available"); bad {
		return rep
	}
	if rep, bad := s.full("database"); bad {
		return rep
	}
	vpc, rep, bad := s.network(str(in, "private_network_uuid"), str(in, "region"))
	if bad {
		return rep
	}
	project, rep, bad := s.projectFor(str(in, "project_id"))
	if bad {
		return rep
	}
	id := s.uuid()
	o := &object{kind: "database", id: id, name: str(in, "name"), vpc: vpc, project: project, secret: map[string]string{"password": s.password()}}
	o.doc = pick(in, "name", "engine", "num_nodes", "size", "region", "tags", "storage_size_mib", "do_settings")
	defaults(o.doc, doc{"tags": nil, "storage_size_mib": storageFor(str(in, "size"))})
	for k, v := range (doc{
		"id": id, "status": "creating", "created_at": s.stamp(), "version": version, "semantic_version": version + ".0",
		"private_network_uuid": vpc, "project_id": project, "maintenance_window": doc{"day": "monday", "hour": "04:00:00", "pending": false, "description": []any{}},
	}) {
		o.doc[k] = v
	}
	if err := s.startReal(o, e); err != nil {
		return problem(http.StatusInternalServerError, err.Error())
	}
	s.add(c, o)
	s.furnish(o, e, docs(in, "rules"))
	s.after(databaseCreates, func(time.Time) { o.doc["status"] = "online" })
	return created(doc{"database": s.databaseDoc(o)})
}

// chooseEngine refuses what the service does not offer.
func chooseEngine(in doc) (engine, string, reply, bool) {
	e, offered := engines[str(in, "engine")]
	if !offered {
		return e, "", refused("engine " + str(in, "engine") + " is not available"), true
	}
	version := str(in, "version")
	if version == "" {
		version = e.versions[len(e.versions)-1]
	}
	if !slices.Contains(e.versions, version) {
		return e, "", refused(fmt.Sprintf("version %q is not available; %s has %s", version, str(in, "engine"), strings.Join(e.versions, ", "))), true
	}
	rep, bad := badLayout(e, str(in, "size"), int(num(in, "num_nodes")))
	return e, version, rep, bad
}

func badLayout(e engine, size string, nodes int) (reply, bool) {
	if !slices.Contains(e.sizes, size) {
		return refused("invalid size " + strconv.Quote(size)), true
	}
	if !slices.Contains(e.nodes, nodes) {
		return refused(fmt.Sprintf("invalid number of nodes %d: choose of %v", nodes, e.nodes)), true
	}
	return reply{}, false
}

// storageFor is the smallest disk of a size, in MiB.
func storageFor(size string) int {
	gb := 1
	if i := strings.LastIndex(size, "-"); i >= 0 {
		gb, _ = strconv.Atoi(strings.TrimSuffix(size[i+1:], "gb"))
	}
	return max(gb*20, 10) * 1024
}

// furnish gives a new cluster its first user, its database and its connections.
func (s *Server) furnish(o *object, e engine, rules []doc) {
	o.parts["users"] = []doc{{"name": e.user, "role": "primary", "password": o.secret["password"]}}
	if e.database != "" && str(o.doc, "engine") != "mongodb" {
		o.parts["dbs"] = []doc{{"name": e.database}}
	}
	for _, r := range rules {
		o.parts["rules"] = append(o.parts["rules"], s.ruleDoc(o, r))
	}
	o.secret["host"] = fmt.Sprintf("%s-do-user-%s-0.%s.db.ondigitalocean.com", trimTo(o.name, 40), "258992", s.hex(1))
	s.connect(o)
}

// connect writes the addresses of a cluster.
func (s *Server) connect(o *object) {
	kind, password := str(o.doc, "engine"), o.secret["password"]
	e := engines[kind]
	at := func(prefix string) doc {
		host, port := o.address(prefix, e)
		return connection(kind, host, port, e.user, password, e.database)
	}
	o.doc["connection"], o.doc["private_connection"] = at(""), at("private-")
	if num(o.doc, "num_nodes") > 1 && (kind == "pg" || kind == "mysql") {
		o.doc["standby_connection"], o.doc["standby_private_connection"] = at("replica-"), at("private-replica-")
	}
	if kind == "opensearch" {
		host := o.secret["host"]
		o.doc["ui_connection"] = doc{"uri": "https://" + e.user + ":" + password + "@" + host + ":443", "host": host, "port": 443, "user": e.user, "password": password, "ssl": true}
	}
}

// connection has the scheme that each engine's clients expect.
func connection(kind, host string, port int, user, password, database string) doc {
	u := url.URL{User: url.UserPassword(user, password), Host: host + ":" + strconv.Itoa(port), Path: "/" + database}
	switch kind {
	case "pg":
		u.Scheme, u.RawQuery = "postgresql", "sslmode=require"
	case "mysql":
		u.Scheme, u.RawQuery = "mysql", "ssl-mode=REQUIRED"
	case "redis", "valkey":
		u.Scheme, u.Path = "rediss", ""
	case "mongodb":
		u.Scheme, u.Host, u.RawQuery = "mongodb+srv", host, "tls=true&authSource=admin&replicaSet="+strings.SplitN(host, "-do-user", 2)[0]
	case "opensearch":
		u.Scheme, u.Path = "https", ""
	}
	uri := u.String()
	if kind == "kafka" {
		uri = host + ":" + strconv.Itoa(port)
	}
	return doc{"uri": uri, "database": database, "host": host, "port": port, "user": user, "password": password, "ssl": true}
}

func (s *Server) password() string { return "AVNS_" + s.hex(20) }

func (s *Server) deleteDatabase(_ *call, o *object) reply {
	s.drop(o)
	return gone()
}

func (s *Server) databaseCA(_ *call, o *object) reply {
	return ok(doc{"ca": doc{"certificate": fakeCA(o.id)}})
}

// busy puts a cluster into a state until it is online again.
func (s *Server) busy(o *object, status string, d time.Duration, done func()) {
	o.doc["status"] = status
	s.after(d, func(time.Time) {
		done()
		o.doc["status"] = "online"
	})
}

func (s *Server) resizeDatabase(c *call, o *object) reply {
	size, nodes := str(c.body, "size"), int(num(c.body, "num_nodes"))
	if rep, bad := badLayout(engines[str(o.doc, "engine")], size, nodes); bad {
		return rep
	}
	storage := max(storageFor(size), int(num(o.doc, "storage_size_mib")))
	if asked := int(num(c.body, "storage_size_mib")); asked > 0 {
		if asked < int(num(o.doc, "storage_size_mib")) {
			return refused("storage cannot be made smaller")
		}
		storage = asked
	}
	s.busy(o, "resizing", databaseResizes, func() {
		o.doc["size"], o.doc["num_nodes"], o.doc["storage_size_mib"] = size, nodes, storage
		s.connect(o)
	})
	return reply{status: http.StatusAccepted}
}

func (s *Server) migrateDatabase(c *call, o *object) reply {
	region := str(c.body, "region")
	if rep, bad := invalidRegion(region); bad {
		return rep
	}
	vpc, _, _ := s.network("", region)
	s.busy(o, "migrating", databaseMigrates, func() {
		o.vpc = vpc
		o.doc["region"], o.doc["private_network_uuid"] = region, vpc
	})
	return reply{status: http.StatusAccepted}
}

func (s *Server) upgradeDatabase(c *call, o *object) reply {
	e, version := engines[str(o.doc, "engine")], str(c.body, "version")
	at, from := slices.Index(e.versions, version), slices.Index(e.versions, str(o.doc, "version"))
	if at <= from {
		return refused(fmt.Sprintf("version %q is no upgrade of %s", version, str(o.doc, "version")))
	}
	s.busy(o, "migrating", databaseResizes, func() { o.doc["version"], o.doc["semantic_version"] = version, version+".0" })
	return gone()
}

func (s *Server) databaseOptions(*call) reply {
	options, available := doc{}, doc{}
	for name, e := range engines {
		layouts, versions := []any{}, []any{}
		for _, n := range e.nodes {
			layouts = append(layouts, doc{"num_nodes": n, "sizes": anys(e.sizes)})
		}
		for _, v := range e.versions {
			versions = append(versions, doc{"version": v, "end_of_life": nil, "end_of_availability": nil})
		}
		options[name] = doc{"regions": anys(regionSlugs()), "versions": anys(e.versions), "layouts": layouts}
		available[name] = versions
	}
	return ok(doc{"options": options, "version_availability": available})
}
