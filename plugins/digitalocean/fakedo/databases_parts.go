package fakedo

import (
	"encoding/base64"
	"net/http"
	"slices"
)

// Users, databases, pools, rules and settings of a cluster.
func (s *Server) databasePartRoutes() map[string]func(*call) reply {
	const one = "/v2/databases/{database_cluster_uuid}"
	users := part{"users", "user", "username"}
	dbs := part{"dbs", "db", "database_name"}
	pools := part{"pools", "pool", "pool_name"}
	return map[string]func(*call) reply{
		"GET " + one + "/users":                        s.onDatabase(users.list),
		"POST " + one + "/users":                       s.onlineOnly(s.addUser),
		"GET " + one + "/users/{username}":             s.onDatabase(users.get),
		"PUT " + one + "/users/{username}":             s.onlineOnly(s.updateUser),
		"DELETE " + one + "/users/{username}":          s.onlineOnly(s.deleteUser),
		"POST " + one + "/users/{username}/reset_auth": s.onlineOnly(s.resetUser),
		"GET " + one + "/dbs":                          s.onDatabase(dbs.list),
		"POST " + one + "/dbs":                         s.onlineOnly(s.addDB),
		"GET " + one + "/dbs/{database_name}":          s.onDatabase(dbs.get),
		"DELETE " + one + "/dbs/{database_name}":       s.onlineOnly(s.deleteDB),
		"GET " + one + "/pools":                        s.onDatabase(pools.list),
		"POST " + one + "/pools":                       s.onlineOnly(s.addPool),
		"GET " + one + "/pools/{pool_name}":            s.onDatabase(pools.get),
		"PUT " + one + "/pools/{pool_name}":            s.onlineOnly(s.updatePool),
		"DELETE " + one + "/pools/{pool_name}":         s.onlineOnly(pools.remove),
		"GET " + one + "/firewall":                     s.onDatabase(s.listRules),
		"PUT " + one + "/firewall":                     s.onDatabase(s.replaceRules),
		"PUT " + one + "/maintenance":                  s.onDatabase(s.setMaintenance),
		"GET " + one + "/eviction_policy":              s.onDatabase(s.getEviction),
		"PUT " + one + "/eviction_policy":              s.onlineOnly(s.setEviction),
		"GET " + one + "/sql_mode":                     s.onDatabase(s.getSQLMode),
		"PUT " + one + "/sql_mode":                     s.onlineOnly(s.setSQLMode),
		"GET " + one + "/config":                       s.onDatabase(s.getConfig),
		"PATCH " + one + "/config":                     s.onlineOnly(s.patchConfig),
	}
}

// A part is a list of named things that a cluster has.
type part struct{ key, single, param string }

func partNamed(o *object, key, name string) doc {
	for _, d := range o.parts[key] {
		if str(d, "name") == name {
			return d
		}
	}
	return nil
}

func (p part) list(_ *call, o *object) reply { return ok(doc{p.key: anys(o.parts[p.key])}) }

func (p part) get(c *call, o *object) reply {
	if d := partNamed(o, p.key, c.param(p.param)); d != nil {
		return ok(doc{p.single: d})
	}
	return notFound()
}

func (p part) remove(c *call, o *object) reply {
	d := partNamed(o, p.key, c.param(p.param))
	if d == nil {
		return notFound()
	}
	o.parts[p.key] = slices.DeleteFunc(o.parts[p.key], func(e doc) bool { return str(e, "name") == str(d, "name") })
	return gone()
}

func (p part) taken(o *object, name string) (reply, bool) {
	if partNamed(o, p.key, name) == nil {
		return reply{}, false
	}
	return problem(http.StatusConflict, p.single+" "+name+" already exists"), true
}

func isCache(o *object) bool {
	return str(o.doc, "engine") == "valkey" || str(o.doc, "engine") == "redis"
}

func (s *Server) addUser(c *call, o *object) reply {
	if isCache(o) && str(o.doc, "engine") == "redis" {
		return refused("users cannot be added to this engine")
	}
	name := str(c.body, "name")
	if rep, bad := (part{"users", "user", ""}).taken(o, name); bad {
		return rep
	}
	u := pick(c.body, "name", "settings", "mysql_settings")
	u["role"], u["password"] = "normal", s.password()
	switch str(o.doc, "engine") {
	case "mysql":
		defaults(u, doc{"mysql_settings": doc{"auth_plugin": "caching_sha2_password"}})
	case "kafka":
		u["access_cert"], u["access_key"] = fakeCA("cert-"+name), fakeCA("key-"+name)
	}
	if rep, bad := s.inWorld(o, func(w World) error { return w.SetUser(o.id, Credential{name, str(u, "password")}) }); bad {
		return rep
	}
	o.parts["users"] = append(o.parts["users"], u)
	return created(doc{"user": u})
}

func (s *Server) updateUser(c *call, o *object) reply {
	u := partNamed(o, "users", c.param("username"))
	if u == nil {
		return notFound()
	}
	u["settings"] = c.body["settings"]
	return created(doc{"user": u})
}

func (s *Server) deleteUser(c *call, o *object) reply {
	name := c.param("username")
	u := partNamed(o, "users", name)
	if u == nil {
		return notFound()
	}
	if str(u, "role") == "primary" {
		return refused("the primary user cannot be deleted")
	}
	if rep, bad := s.inWorld(o, func(w World) error { return w.DropUser(o.id, name) }); bad {
		return rep
	}
	return part{"users", "user", "username"}.remove(c, o)
}

func (s *Server) resetUser(c *call, o *object) reply {
	u := partNamed(o, "users", c.param("username"))
	if u == nil {
		return notFound()
	}
	password := s.password()
	if rep, bad := s.inWorld(o, func(w World) error { return w.SetUser(o.id, Credential{str(u, "name"), password}) }); bad {
		return rep
	}
	u["password"] = password
	if m, set := c.body["mysql_settings"]; set {
		u["mysql_settings"] = m
	}
	if str(u, "role") == "primary" {
		o.secret["password"] = str(u, "password")
		s.connect(o)
	}
	return ok(doc{"user": u})
}

func (s *Server) addDB(c *call, o *object) reply {
	if kind := str(o.doc, "engine"); kind != "pg" && kind != "mysql" && kind != "mongodb" {
		return refused("databases cannot be added to this engine")
	}
	name := str(c.body, "name")
	if rep, bad := (part{"dbs", "db", ""}).taken(o, name); bad {
		return rep
	}
	if rep, bad := s.inWorld(o, func(w World) error { return w.AddDatabase(o.id, name) }); bad {
		return rep
	}
	db := doc{"name": name}
	o.parts["dbs"] = append(o.parts["dbs"], db)
	return created(doc{"db": db})
}

func (s *Server) deleteDB(c *call, o *object) reply {
	name := c.param("database_name")
	if partNamed(o, "dbs", name) == nil {
		return notFound()
	}
	if rep, bad := s.inWorld(o, func(w World) error { return w.DropDatabase(o.id, name) }); bad {
		return rep
	}
	return part{"dbs", "db", "database_name"}.remove(c, o)
}

func (s *Server) addPool(c *call, o *object) reply {
	if str(o.doc, "engine") != "pg" {
		return refused("connection pools are for PostgreSQL only")
	}
	if rep, bad := (part{"pools", "pool", ""}).taken(o, str(c.body, "name")); bad {
		return rep
	}
	p, rep, bad := s.poolDoc(o, str(c.body, "name"), c.body)
	if bad {
		return rep
	}
	o.parts["pools"] = append(o.parts["pools"], p)
	return created(doc{"pool": p})
}

func (s *Server) poolDoc(o *object, name string, in doc) (doc, reply, bool) {
	p := pick(in, "mode", "size", "db", "user")
	p["name"] = name
	if partNamed(o, "dbs", str(p, "db")) == nil {
		return nil, refused("database " + str(p, "db") + " does not exist"), true
	}
	user := str(p, "user")
	if user == "" {
		user = engines["pg"].user
	}
	u := partNamed(o, "users", user)
	if u == nil {
		return nil, refused("user " + user + " does not exist"), true
	}
	if !slices.Contains([]string{"transaction", "session", "statement"}, str(p, "mode")) {
		return nil, refused("mode is none of transaction, session, statement"), true
	}
	for key, prefix := range map[string]string{"connection": "", "private_connection": "private-"} {
		host, port := o.address(prefix, engine{port: engines["pg"].poolPort})
		database := name
		if s.real(o) { // there is no pooler in the world: this goes to the database itself
			database = str(p, "db")
		}
		p[key] = connection("pg", host, port, user, str(u, "password"), database)
	}
	return p, reply{}, false
}

func (s *Server) updatePool(c *call, o *object) reply {
	at := slices.IndexFunc(o.parts["pools"], func(d doc) bool { return str(d, "name") == c.param("pool_name") })
	if at < 0 {
		return notFound()
	}
	p, rep, bad := s.poolDoc(o, c.param("pool_name"), c.body)
	if bad {
		return rep
	}
	o.parts["pools"][at] = p
	return gone()
}

func (s *Server) ruleDoc(o *object, in doc) doc {
	r := pick(in, "type", "value", "description")
	r["uuid"], r["cluster_uuid"], r["created_at"] = s.uuid(), o.id, s.stamp()
	return r
}

func (s *Server) listRules(_ *call, o *object) reply { return ok(doc{"rules": anys(o.parts["rules"])}) }

// replaceRules takes the whole list, as the real service does; a rule that
// stays keeps its id.
func (s *Server) replaceRules(c *call, o *object) reply {
	var next []doc
	for _, in := range docs(c.body, "rules") {
		if rep, bad := s.badRule(in); bad {
			return rep
		}
		same := slices.IndexFunc(o.parts["rules"], func(r doc) bool { return r["type"] == in["type"] && r["value"] == in["value"] })
		if same >= 0 {
			next = append(next, o.parts["rules"][same])
			continue
		}
		next = append(next, s.ruleDoc(o, in))
	}
	o.parts["rules"] = next
	return gone()
}

// badRule refuses a source that is not there.
func (s *Server) badRule(r doc) (reply, bool) {
	kinds := map[string]string{"droplet": "droplet", "k8s": "kubernetes", "app": "app"}
	kind, isObject := kinds[str(r, "type")]
	if isObject && s.find(kind, str(r, "value")) == nil {
		return refused("trusted source " + str(r, "type") + " " + str(r, "value") + " does not exist"), true
	}
	return reply{}, false
}

func (s *Server) setMaintenance(c *call, o *object) reply {
	o.doc["maintenance_window"] = with(sub(o.doc, "maintenance_window"), pick(c.body, "day", "hour"))
	return gone()
}

func (s *Server) getEviction(_ *call, o *object) reply {
	if !isCache(o) {
		return refused("this engine has no eviction policy")
	}
	policy := o.secret["eviction"]
	if policy == "" {
		policy = "noeviction"
	}
	return ok(doc{"eviction_policy": policy})
}

func (s *Server) setEviction(c *call, o *object) reply {
	if !isCache(o) {
		return refused("this engine has no eviction policy")
	}
	o.secret["eviction"] = str(c.body, "eviction_policy")
	return gone()
}

func (s *Server) getSQLMode(_ *call, o *object) reply {
	return ok(doc{"sql_mode": defaultTo(o.secret["sql_mode"], "ANSI,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE,NO_ZERO_IN_DATE,STRICT_ALL_TABLES")})
}

func (s *Server) setSQLMode(c *call, o *object) reply {
	o.secret["sql_mode"] = str(c.body, "sql_mode")
	return gone()
}

func defaultTo(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (s *Server) getConfig(_ *call, o *object) reply {
	if len(o.parts["config"]) == 0 {
		return ok(doc{"config": doc{}})
	}
	return ok(doc{"config": o.parts["config"][0]})
}

func (s *Server) patchConfig(c *call, o *object) reply {
	now := doc{}
	if len(o.parts["config"]) > 0 {
		now = o.parts["config"][0]
	}
	o.parts["config"] = []doc{with(now, sub(c.body, "config"))}
	return reply{status: http.StatusOK}
}

// fakeCA has the shape of a certificate, and is none: base64 of PEM.
func fakeCA(id string) string {
	pem := "-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString([]byte("fakedo "+id)) + "\n-----END CERTIFICATE-----\n"
	return base64.StdEncoding.EncodeToString([]byte(pem))
}
