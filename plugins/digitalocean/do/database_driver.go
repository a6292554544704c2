package do

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// cacheTag tells a cluster of infra.cache from one of infra.database, which
// may both run Valkey.
const cacheTag = "wfctl-type:cache"

// databaseDriver is the driver of infra.database; cacheDriver borrows it.
type databaseDriver struct{ cache bool }

func decodeOutput(out sdk.Outputs, name string, into any) error {
	return json.Unmarshal(out[name].Reveal(), into)
}

func (databaseDriver) get(ctx context.Context, a *account, id string) (*godo.Database, error) {
	d, _, err := a.api.Databases.Get(ctx, id)
	return d, said(err, "read the database cluster "+id)
}

// all leaves out what the other type has, unless it is in the way by its name.
func (r databaseDriver) all(ctx context.Context, a *account, name string) ([]*godo.Database, error) {
	// The list comes whole, whatever page is asked for.
	list, _, err := a.api.Databases.List(ctx, nil)
	if err != nil {
		return nil, said(err, "list database clusters")
	}
	return only(pointers(list), func(d *godo.Database) bool {
		switch {
		case name != "":
			return d.Name == name
		case r.cache:
			return isCacheEngine(d.EngineSlug)
		}
		return !slices.Contains(d.Tags, cacheTag)
	}), nil
}

// tags are those that a cluster is made with. They cannot be changed later:
// the API tags Droplets, images and volumes only.
func (r databaseDriver) tags(w *work[databaseConfig]) []string {
	tags := append(ownerTags(w.owner), w.config.Specific.Tags...)
	if r.cache {
		tags = append(tags, cacheTag)
	}
	return tags
}

func (r databaseDriver) create(ctx context.Context, w *work[databaseConfig]) (*godo.Database, error) {
	region, err := w.place(w.config.Region)
	if err != nil {
		return nil, err
	}
	vpc, err := w.directory(w.owner).vpc(ctx, w.config.VPCRef)
	if err != nil {
		return nil, err
	}
	rules, _, err := w.rules(ctx, w.owner, w.config.TrustedSources)
	if err != nil {
		return nil, err
	}
	// The rules come with the cluster: it is open to nobody else at any time.
	req := &godo.DatabaseCreateRequest{
		Name: w.name, EngineSlug: engines()[w.config.Engine].slug, Version: w.config.Version, SizeSlug: w.config.slug(), Region: region, NumNodes: w.config.nodes(),
		PrivateNetworkUUID: vpc, Tags: r.tags(w), ProjectID: w.config.Specific.ProjectID, StorageSizeMib: uint64(w.config.StorageGiB) << 10,
		Rules: []*godo.DatabaseCreateFirewallRule{},
	}
	for _, rule := range rules {
		req.Rules = append(req.Rules, &godo.DatabaseCreateFirewallRule{Type: rule.Type, Value: rule.Value})
	}
	d, _, err := w.api.Databases.Create(ctx, req)
	return d, said(err, "create the database cluster "+w.name)
}

// online waits until a cluster has no change under way.
func (r databaseDriver) online(ctx context.Context, w *work[databaseConfig], id string) (d *godo.Database, err error) {
	var status string
	err = w.await(ctx, "wait for the database cluster "+w.name, w.limit, func(ctx context.Context) (bool, error) {
		if d, err = r.get(ctx, w.account, id); err != nil {
			return false, err
		}
		if d.Status != status && d.Status != "online" {
			w.progress("the database cluster " + w.name + " is " + d.Status)
		}
		status = d.Status
		return status == "online", nil
	})
	return d, err
}

// change makes a change that a cluster must be online for. One that is due
// still after it was refused for being busy is asked for again.
func (r databaseDriver) change(ctx context.Context, w *work[databaseConfig], id, what string, due func(*godo.Database) bool, do func() error) (*godo.Database, error) {
	for attempt := 1; ; attempt++ {
		d, err := r.online(ctx, w, id)
		if err != nil || !due(d) {
			return d, err
		}
		w.progress(what + " the database cluster " + w.name)
		err = do()
		if code := sdk.CodeOf(err); err != nil && (code != sdk.CodeConflict && code != sdk.CodeUnavailable || attempt == attempts) {
			return d, err
		}
		if attempt == attempts {
			return d, sdk.Errorf(sdk.CodeInternal, "DigitalOcean took the request to %s the database cluster %s %d times, and it is as it was", what, w.name, attempts)
		}
		if err := w.clock.Sleep(ctx, w.poll); err != nil {
			return d, err
		}
	}
}

func (r databaseDriver) converge(ctx context.Context, w *work[databaseConfig], have *godo.Database) (*godo.Database, error) {
	d, err := r.online(ctx, w, have.ID)
	if err != nil {
		return have, err
	}
	if err := r.mayBe(ctx, w, d); err != nil {
		return d, err
	}
	if w.prior != nil && !sameTags(w.prior.Specific.Tags, w.config.Specific.Tags) {
		w.warn("/provider_specific/tags", "change them in DigitalOcean's control panel", "the tags of a database cluster are given when it is made; they are as they were")
	}
	for _, step := range []func(context.Context, *work[databaseConfig], string) error{r.move, r.upgrade, r.resize} {
		if err := step(ctx, w, d.ID); err != nil {
			return d, err
		}
	}
	if err := r.furnish(ctx, w, d.ID); err != nil {
		return d, err
	}
	return r.get(ctx, w.account, d.ID)
}

// mayBe is an error where what is there cannot become what is asked for.
func (databaseDriver) mayBe(ctx context.Context, w *work[databaseConfig], d *godo.Database) error {
	if err := stays(w, "/engine", engines()[w.config.Engine].slug, d.EngineSlug); err != nil {
		return err
	}
	if w.config.VPCRef == "" {
		return nil
	}
	if err := stays(w, "/region", w.config.Region, d.RegionSlug); err != nil {
		return err
	}
	return inNetwork(ctx, w, w.config.VPCRef, d.PrivateNetworkUUID)
}

func (r databaseDriver) move(ctx context.Context, w *work[databaseConfig], id string) error {
	region := w.config.Region
	due := func(d *godo.Database) bool { return region != "" && d.RegionSlug != region }
	_, err := r.change(ctx, w, id, "move", due, func() error {
		return w.send(ctx, http.MethodPut, "v2/databases/"+id+"/migrate", map[string]string{"region": region}, nil, "move the database cluster "+w.name)
	})
	return err
}

func (r databaseDriver) upgrade(ctx context.Context, w *work[databaseConfig], id string) error {
	version := w.config.Version
	due := func(d *godo.Database) bool {
		return !isVersion(d.VersionSlug, version)
	}
	_, err := r.change(ctx, w, id, "upgrade", due, func() error {
		_, err := w.api.Databases.UpgradeMajorVersion(ctx, id, &godo.UpgradeVersionRequest{Version: version})
		return said(err, "upgrade the database cluster "+w.name+" to version "+version)
	})
	return err
}

func (r databaseDriver) resize(ctx context.Context, w *work[databaseConfig], id string) error {
	c := w.config
	storage := uint64(c.StorageGiB) << 10
	// What the configuration does not say, and did not say before, is as
	// somebody made it.
	size, nodes := c.slug(), c.nodes()
	free := func(said func(databaseConfig) bool) bool { return !said(c) && (w.prior == nil || !said(*w.prior)) }
	anySize := free(func(c databaseConfig) bool { return c.Size != "" || c.Specific.Size != "" })
	anyNodes := free(func(c databaseConfig) bool { return c.NodeCount != 0 })
	due := func(d *godo.Database) bool {
		if anySize {
			size = d.SizeSlug
		}
		if anyNodes {
			nodes = d.NumNodes
		}
		return d.SizeSlug != size || d.NumNodes != nodes || storage > d.StorageSizeMib
	}
	_, err := r.change(ctx, w, id, "resize", due, func() error {
		_, err := w.api.Databases.Resize(ctx, id, &godo.DatabaseResizeRequest{SizeSlug: size, NumNodes: nodes, StorageSizeMib: storage})
		return said(err, "resize the database cluster "+w.name)
	})
	return err
}

func (databaseDriver) delete(ctx context.Context, a *account, have *godo.Database) error {
	awaited, err := a.awaited(ctx)
	if err != nil {
		return err
	}
	if err := a.waitFor(ctx, have.ID, awaited[have.ID], nil); err != nil {
		return err
	}
	_, err = a.api.Databases.Delete(ctx, have.ID)
	return said(err, "delete the database cluster "+have.Name)
}

func (r databaseDriver) facts(d *godo.Database) facts {
	f := facts{id: d.ID, name: d.Name, status: sdk.Healthy}
	if slices.Contains(d.Tags, cacheTag) == r.cache {
		f.owner = ownerIn(d.Tags)
	}
	switch d.Status {
	case "online":
	case "creating", "forking":
		f.status, f.reason = sdk.Starting, "it is "+d.Status
	case "resizing", "migrating":
		f.status, f.reason = sdk.Degraded, "it is "+d.Status
	default:
		f.status, f.reason = sdk.Unhealthy, "it is "+d.Status
	}
	return f
}

func (r databaseDriver) describe(ctx context.Context, a *account, owner sdk.Ownership, d *godo.Database, want *databaseConfig) (databaseConfig, error) {
	var asked databaseConfig
	if want != nil {
		asked = *want
	}
	engine := engineWord(d.EngineSlug)
	c := databaseConfig{Database: infra.Database{
		Common: infra.Common{Region: d.RegionSlug}, Engine: engine, Version: d.VersionSlug, NodeCount: d.NumNodes, StorageGiB: int(d.StorageSizeMib >> 10),
	}}
	if asked.Version != "" && isVersion(d.VersionSlug, asked.Version) {
		c.Version = asked.Version
	}
	c.Specific.ProjectID = asked.Specific.ProjectID
	sizing := databaseConfig{Database: infra.Database{Engine: engine}}.sizing()
	c.Size, c.Specific.Size = sizeWords(sizing, d.SizeSlug, asked.Size, asked.Specific.Size, clusterSize)
	if asked.StorageGiB > 0 && asked.StorageGiB<<10 == int(d.StorageSizeMib) {
		c.StorageGiB = asked.StorageGiB
	}
	var err error
	if c.VPCRef, err = a.vpcWord(ctx, owner, asked.VPCRef, d.PrivateNetworkUUID); err != nil {
		return c, err
	}
	if m := d.MaintenanceWindow; m != nil {
		c.Maintenance = &infra.Maintenance{Day: m.Day, Hour: hourWord(m.Hour)}
	}
	if c.Specific.Tags = asked.Specific.Tags; want == nil {
		c.Specific.Tags = slices.DeleteFunc(freeTags(d.Tags), func(t string) bool { return t == cacheTag })
	}
	if c.TrustedSources, err = a.sourceWords(ctx, owner, d, asked.TrustedSources); err != nil {
		return c, err
	}
	return c, r.describeParts(ctx, a, d, want, &c)
}

func (r databaseDriver) outputs(ctx context.Context, a *account, d *godo.Database) (sdk.Outputs, error) {
	ca, _, err := a.api.Databases.GetCA(ctx, d.ID)
	if err != nil {
		return nil, said(err, "read the certificate of the database cluster "+d.Name)
	}
	conn, private := connectionsOf(d)
	out := sdk.Outputs{
		"id": sdk.Out(d.ID), "urn": sdk.Out(d.URN()), "name": sdk.Out(d.Name), "engine": sdk.Out(engineWord(d.EngineSlug)), "version": sdk.Out(d.VersionSlug),
		"region": sdk.Out(d.RegionSlug), "size_slug": sdk.Out(d.SizeSlug), "storage_gib": sdk.Out(d.StorageSizeMib >> 10), "vpc_id": sdk.Out(d.PrivateNetworkUUID),
		"host": sdk.Out(conn.Host), "port": sdk.Out(conn.Port), "private_host": sdk.Out(private.Host), "user": sdk.Out(conn.User), "password": sdk.SecretOut(conn.Password),
		"ca_certificate": sdk.Out(string(ca.Certificate)), "standby_connection_url": sdk.SecretOut(nil),
	}
	names := databaseNames(d)
	database := names[0]
	out["database"] = sdk.Out(database)
	out["connection_url"] = sdk.SecretOut(connectionURL(d.EngineSlug, conn, conn.User, conn.Password, database))
	out["private_connection_url"] = sdk.SecretOut(connectionURL(d.EngineSlug, private, private.User, private.Password, database))
	if s := d.StandbyConnection; s != nil {
		out["standby_connection_url"] = sdk.SecretOut(connectionURL(d.EngineSlug, *s, s.User, s.Password, database))
	}
	urls, privateURLs := map[string]string{}, map[string]string{}
	for _, name := range names {
		urls[name] = connectionURL(d.EngineSlug, conn, conn.User, conn.Password, name)
		privateURLs[name] = connectionURL(d.EngineSlug, private, private.User, private.Password, name)
	}
	delete(urls, "")
	delete(privateURLs, "")
	out["urls"], out["private_urls"] = sdk.SecretOut(urls), sdk.SecretOut(privateURLs)
	return out, r.outputParts(ctx, a, d, out)
}
