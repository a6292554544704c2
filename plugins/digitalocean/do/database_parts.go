package do

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// What a database cluster has within: users, databases, pools, settings.

// furnish makes the parts what the configuration says.
func (r databaseDriver) furnish(ctx context.Context, w *work[databaseConfig], id string) error {
	d, err := r.online(ctx, w, id)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, *work[databaseConfig], *godo.Database) error{r.users, r.dbs, r.pools, r.settings, r.trust} {
		if err := step(ctx, w, d); err != nil {
			return err
		}
	}
	return nil
}

// exists takes "it is there already" for what it is, when a lost answer has
// made a request come twice.
func exists(err error) error {
	if sdk.CodeOf(err) == sdk.CodeAlreadyExists {
		return nil
	}
	return err
}

// users makes users that are missing, and removes those that the configuration
// named before.
func (databaseDriver) users(ctx context.Context, w *work[databaseConfig], d *godo.Database) error {
	if len(w.config.Users) == 0 && w.prior == nil {
		return nil
	}
	have, err := w.databaseUsers(ctx, d)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, u := range have {
		there[u.Name] = true
	}
	for _, name := range w.config.Users {
		if there[name] {
			continue
		}
		w.progress(fmt.Sprintf("create the user %s of %s", name, w.name))
		_, _, err := w.api.Databases.CreateUser(ctx, d.ID, &godo.DatabaseCreateUserRequest{Name: name})
		if err := exists(said(err, "create the user "+name)); err != nil {
			return err
		}
	}
	if w.prior == nil {
		return nil
	}
	for _, name := range w.prior.Users {
		if slices.Contains(w.config.Users, name) || !there[name] || name == administrator {
			continue
		}
		if _, err := w.api.Databases.DeleteUser(ctx, d.ID, name); err != nil {
			if err = said(err, "delete the user "+name); !sdk.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

func (a *account) databaseUsers(ctx context.Context, d *godo.Database) ([]godo.DatabaseUser, error) {
	list, _, err := a.api.Databases.ListUsers(ctx, d.ID, nil)
	return list, said(err, "list the users of "+d.Name)
}

// dbs makes databases that are missing. It drops none: data that nobody asked
// to lose is kept, with a warning.
func (databaseDriver) dbs(ctx context.Context, w *work[databaseConfig], d *godo.Database) error {
	for _, name := range w.config.Databases {
		if slices.Contains(d.DBNames, name) {
			continue
		}
		w.progress(fmt.Sprintf("create the database %s of %s", name, w.name))
		_, _, err := w.api.Databases.CreateDB(ctx, d.ID, &godo.DatabaseCreateDBRequest{Name: name})
		if err := exists(said(err, "create the database "+name)); err != nil {
			return err
		}
	}
	if w.prior == nil {
		return nil
	}
	for _, name := range w.prior.Databases {
		if !slices.Contains(w.config.Databases, name) && slices.Contains(d.DBNames, name) {
			w.warn("/databases", "drop it by hand when its data are not needed any more", fmt.Sprintf("the database %s of %s is not in the configuration any more, and is kept", name, w.name))
		}
	}
	return nil
}

func (databaseDriver) pools(ctx context.Context, w *work[databaseConfig], d *godo.Database) error {
	if len(w.config.Specific.Pools) == 0 && (w.prior == nil || len(w.prior.Specific.Pools) == 0) {
		return nil
	}
	have, err := w.databasePools(ctx, d)
	if err != nil {
		return err
	}
	for _, p := range w.config.Specific.Pools {
		user := cmp.Or(p.User, administrator)
		at := slices.IndexFunc(have, func(h godo.DatabasePool) bool { return h.Name == p.Name })
		switch {
		case at < 0:
			_, _, err = w.api.Databases.CreatePool(ctx, d.ID, &godo.DatabaseCreatePoolRequest{User: user, Name: p.Name, Size: p.Size, Database: p.Database, Mode: p.Mode})
			err = exists(said(err, "create the pool "+p.Name))
		case poolOf(have[at]) != (pool{p.Name, p.Database, p.Mode, p.Size, user}):
			_, err = w.api.Databases.UpdatePool(ctx, d.ID, p.Name, &godo.DatabaseUpdatePoolRequest{User: user, Size: p.Size, Database: p.Database, Mode: p.Mode})
			err = said(err, "change the pool "+p.Name)
		}
		if err != nil {
			return err
		}
	}
	if w.prior == nil {
		return nil
	}
	for _, p := range w.prior.Specific.Pools {
		if slices.ContainsFunc(w.config.Specific.Pools, func(q pool) bool { return q.Name == p.Name }) {
			continue
		}
		if _, err := w.api.Databases.DeletePool(ctx, d.ID, p.Name); err != nil {
			if err = said(err, "delete the pool "+p.Name); !sdk.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

func poolOf(p godo.DatabasePool) pool { return pool{p.Name, p.Database, p.Mode, p.Size, p.User} }

func (a *account) databasePools(ctx context.Context, d *godo.Database) ([]godo.DatabasePool, error) {
	list, _, err := a.api.Databases.ListPools(ctx, d.ID, nil)
	return list, said(err, "list the pools of "+d.Name)
}

// settings are those of the cluster as a whole.
func (r databaseDriver) settings(ctx context.Context, w *work[databaseConfig], d *godo.Database) error {
	if m := w.config.Maintenance; m != nil {
		now := d.MaintenanceWindow
		if now == nil || now.Day != m.Day || hourWord(now.Hour) != hourWord(m.Hour) {
			_, err := w.api.Databases.UpdateMaintenance(ctx, d.ID, &godo.DatabaseUpdateMaintenanceRequest{Day: m.Day, Hour: hourWord(m.Hour)})
			if err != nil {
				return said(err, "set the maintenance of "+w.name)
			}
		}
	}
	if policy := w.config.Specific.Eviction; policy != "" {
		if _, err := w.api.Databases.SetEvictionPolicy(ctx, d.ID, policy); err != nil {
			return said(err, "set the eviction policy of "+w.name)
		}
	}
	if mode := w.config.Specific.SQLMode; mode != "" {
		if _, err := w.api.Databases.SetSQLMode(ctx, d.ID, strings.Split(mode, ",")...); err != nil {
			return said(err, "set the SQL mode of "+w.name)
		}
	}
	return nil
}

// describeParts reads the parts that the configuration is about; for an import
// all that the engine has.
func (r databaseDriver) describeParts(ctx context.Context, a *account, d *godo.Database, want, c *databaseConfig) error {
	every := want == nil
	if every {
		want = &databaseConfig{}
	}
	for _, name := range d.DBNames {
		if slices.Contains(want.Databases, name) || every && name != defaultDatabase(d.EngineSlug) {
			c.Databases = append(c.Databases, name)
		}
	}
	if every || len(want.Users) > 0 {
		users, err := a.databaseUsers(ctx, d)
		if err != nil {
			return err
		}
		for _, u := range users {
			if slices.Contains(want.Users, u.Name) || every && u.Role != "primary" {
				c.Users = append(c.Users, u.Name)
			}
		}
	}
	if d.EngineSlug == "pg" && (every || len(want.Specific.Pools) > 0) {
		pools, err := a.databasePools(ctx, d)
		if err != nil {
			return err
		}
		for _, p := range pools {
			c.Specific.Pools = append(c.Specific.Pools, poolOf(p))
		}
	}
	return describeSettings(ctx, a, d, want, c)
}

func describeSettings(ctx context.Context, a *account, d *godo.Database, want, c *databaseConfig) error {
	if isCacheEngine(d.EngineSlug) {
		policy, _, err := a.api.Databases.GetEvictionPolicy(ctx, d.ID)
		if err != nil {
			return said(err, "read the eviction policy of "+d.Name)
		}
		if policy != "noeviction" || want.Specific.Eviction != "" {
			c.Specific.Eviction = policy
		}
	}
	if d.EngineSlug == "mysql" && want.Specific.SQLMode != "" {
		mode, _, err := a.api.Databases.GetSQLMode(ctx, d.ID)
		if err != nil {
			return said(err, "read the SQL mode of "+d.Name)
		}
		c.Specific.SQLMode = mode
	}
	return nil
}

func isCacheEngine(slug string) bool { return slug == "valkey" || slug == "redis" }

func defaultDatabase(slug string) string {
	switch slug {
	case "pg", "mysql":
		return "defaultdb"
	case "mongodb":
		return "admin"
	}
	return ""
}

// databaseNames lists the databases of a cluster: those that somebody made
// come first, in the order of the platform.
func databaseNames(d *godo.Database) []string {
	standard := defaultDatabase(d.EngineSlug)
	names := slices.DeleteFunc(slices.Clone(d.DBNames), func(n string) bool { return n == standard })
	return append(names, standard)
}

// connectionsOf are the public and the private connection of a cluster.
func connectionsOf(d *godo.Database) (conn, private godo.DatabaseConnection) {
	if d.Connection != nil {
		conn = *d.Connection
	}
	if private = conn; d.PrivateConnection != nil {
		private = *d.PrivateConnection
	}
	return conn, private
}

// connectionURL is what a client of an engine takes.
func connectionURL(slug string, c godo.DatabaseConnection, user, password, database string) string {
	u := &url.URL{Scheme: slug, Host: c.Host + ":" + strconv.Itoa(c.Port)}
	if given, err := url.Parse(c.URI); err == nil && strings.Contains(c.URI, "://") {
		u = given // its host and query are right for the engine
	}
	u.User, u.Path = url.UserPassword(user, password), ""
	switch slug {
	case "pg":
		u.Scheme = "postgres"
		if u.RawQuery == "" {
			u.RawQuery = "sslmode=require"
		}
	case "kafka":
		u.Scheme = "kafka+ssl"
	}
	if database != "" {
		u.Path = "/" + database
	}
	return u.String()
}

// outputParts adds what each user and each pool connects with.
func (databaseDriver) outputParts(ctx context.Context, a *account, d *godo.Database, out sdk.Outputs) error {
	users, err := a.databaseUsers(ctx, d)
	if err != nil {
		return err
	}
	conn, private := connectionsOf(d)
	database := databaseNames(d)[0]
	byUser := map[string]map[string]string{}
	for _, u := range users {
		if u.Role == "primary" {
			continue
		}
		byUser[u.Name] = map[string]string{
			"password": u.Password, "connection_url": connectionURL(d.EngineSlug, conn, u.Name, u.Password, database),
			"private_connection_url": connectionURL(d.EngineSlug, private, u.Name, u.Password, database),
		}
		if u.AccessCert != "" {
			byUser[u.Name]["access_cert"], byUser[u.Name]["access_key"] = u.AccessCert, u.AccessKey
		}
	}
	out["users"] = sdk.SecretOut(byUser)
	byPool := map[string]map[string]string{}
	if d.EngineSlug == "pg" {
		pools, err := a.databasePools(ctx, d)
		if err != nil {
			return err
		}
		for _, p := range pools {
			byPool[p.Name] = map[string]string{}
			for key, c := range map[string]*godo.DatabaseConnection{"connection_url": p.Connection, "private_connection_url": p.PrivateConnection} {
				if c != nil {
					byPool[p.Name][key] = connectionURL(d.EngineSlug, *c, c.User, c.Password, p.Name)
				}
			}
		}
	}
	out["pools"] = sdk.SecretOut(byPool)
	return nil
}
