package do

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// kubernetesConfig is the configuration of infra.k8s_cluster.
type kubernetesConfig struct {
	infra.K8sCluster
	Specific kubernetesSpecific `json:"provider_specific,omitzero" doc:"what only DigitalOcean has"`
}

type kubernetesSpecific struct {
	Tags         []string                `json:"tags,omitempty" doc:"more tags"`
	Pools        map[string]poolSpecific `json:"pools,omitempty" doc:"more about node pools, by name"`
	SurgeUpgrade *bool                   `json:"surge_upgrade,omitempty" doc:"bring new nodes up before old ones go; true by default"`
	Registry     bool                    `json:"registry,omitempty" doc:"let the cluster pull from the account's container registry"`
	Subnet       string                  `json:"cluster_subnet,omitempty" wfctl:"immutable" doc:"addresses of pods, as CIDR"`
	Services     string                  `json:"service_subnet,omitempty" wfctl:"immutable" doc:"addresses of services, as CIDR"`
}

type poolSpecific struct {
	Size   string            `json:"size,omitempty" doc:"a size of DigitalOcean, in the place of xs to xl" example:"c-2"`
	Labels map[string]string `json:"labels,omitempty"`
	Taints []godo.Taint      `json:"taints,omitempty"`
	Tags   []string          `json:"tags,omitempty" doc:"tags of its nodes"`
}

const nodeSize = "m"

func (c kubernetesConfig) slug(p infra.NodePool) string {
	return sized(machines(), c.Specific.Pools[p.Name].Size, p.Size, nodeSize)
}

func (c kubernetesConfig) surge() bool {
	return c.Specific.SurgeUpgrade == nil || *c.Specific.SurgeUpgrade
}

func kubernetes() kind {
	return &typed[kubernetesConfig, godo.KubernetesCluster]{
		name: infra.TypeK8sCluster, what: "Kubernetes cluster", description: "A managed Kubernetes cluster.",
		idFormat: uuidFormat, nameFormat: wordFormat, nameHint: wordHint, nameMax: 63,
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("urn", "string", "uniform resource name"), changing("name", "string", "name"), changing("version", "string", "version"),
			output("region", "string", "where it is"), output("vpc_id", "string", "identifier of its VPC"), output("endpoint", "string", "address of its API"),
			hidden("kubeconfig", "string", "how the administrator reaches it; it holds for seven days"), output("ca_certificate", "string", "PEM of the authority that signs its API"),
		},
		dependsOn: []string{infra.TypeVPC},
		sizing:    machines(),
		ignored:   map[string]string{"size": "node pools have sizes"},
		renames:   true,
		guest:     refCluster,
		limits:    limits{30 * time.Minute, 60 * time.Minute, 15 * time.Minute},
		check:     checkKubernetes,
		notes:     noteKubernetes,
		judge:     judgeKubernetes,
		canonical: canonicalKubernetes,
		api:       kubernetesDriver{},
	}
}

func checkKubernetes(_ string, c kubernetesConfig) []sdk.Diagnostic {
	list := append(checkTags(c.Specific.Tags), checkHour(c.Maintenance)...)
	if len(c.NodePools) == 0 {
		list = append(list, wrong("/node_pools", "", "a cluster needs a node pool"))
	}
	names := map[string]bool{}
	for i, p := range c.NodePools {
		at := sdk.Path("/node_pools").Index(i)
		if names[p.Name] {
			list = append(list, wrong(at.Child("name"), "", "there are two node pools %q", p.Name))
		}
		names[p.Name] = true
		if a := p.Autoscaling; a != nil && (p.Count != 0 || a.Min > a.Max) {
			list = append(list, wrong(at.Child("autoscaling"), "", "a pool has a count, or autoscaling with min and max"))
		}
		if a := p.Autoscaling; a != nil && a.CPUPercent != 0 {
			list = append(list, wrong(at.Child("autoscaling").Child("cpu_percent"), "take it away", "nodes are added when pods find no room"))
		}
		if p.Size != "" && c.Specific.Pools[p.Name].Size != "" {
			list = append(list, wrong(sdk.Path("/provider_specific/pools").Child(p.Name).Child("size"), "take one of the two away", "the size of the pool %s is given twice", p.Name))
		}
	}
	for name := range c.Specific.Pools {
		if !names[name] && len(c.NodePools) > 0 {
			list = append(list, wrong(sdk.Path("/provider_specific/pools").Child(name), "its pools are "+strings.Join(sortedKeys(names), ", "), "there is no node pool %q", name))
		}
	}
	return list
}

func noteKubernetes(c kubernetesConfig) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	for i, p := range c.NodePools {
		list = append(list, note(sdk.Path("/node_pools").Index(i), "the nodes of %s are %s", p.Name, c.slug(p)))
	}
	return list
}

func judgeKubernetes(path sdk.Path, prior *sdk.Prior, next kubernetesConfig) (sdk.Action, string) {
	switch path {
	case "/version":
		var have string
		if err := decodeOutput(prior.Outputs, "version", &have); err == nil && older(next.Version, have) {
			return sdk.ActionReplace, "a cluster cannot go back to an older version"
		}
	case "/ha":
		if !next.HA {
			return sdk.ActionReplace, "a control plane that is highly available stays so"
		}
	}
	return "", ""
}

func canonicalKubernetes(c *kubernetesConfig) {
	slices.Sort(c.Specific.Tags)
	if c.Maintenance != nil {
		c.Maintenance.Hour = hourWord(c.Maintenance.Hour)
	}
	if c.surge() {
		c.Specific.SurgeUpgrade = nil
	}
	for i := range c.NodePools {
		p := &c.NodePools[i]
		if p.Autoscaling == nil {
			p.Count = cmp.Or(p.Count, 1)
		}
		if p.Size == "" && c.Specific.Pools[p.Name].Size == "" {
			p.Size = nodeSize
		}
	}
	slices.SortFunc(c.NodePools, func(a, b infra.NodePool) int { return strings.Compare(a.Name, b.Name) })
	for name, p := range c.Specific.Pools {
		slices.Sort(p.Tags)
		if string(raw(p)) == "{}" {
			delete(c.Specific.Pools, name)
		}
	}
}

type kubernetesDriver struct{}

func (kubernetesDriver) get(ctx context.Context, a *account, id string) (*godo.KubernetesCluster, error) {
	k, _, err := a.api.Kubernetes.Get(ctx, id)
	return k, said(err, "read the Kubernetes cluster "+id)
}

func (kubernetesDriver) all(ctx context.Context, a *account, name string) ([]*godo.KubernetesCluster, error) {
	list, err := all(ctx, a.api.Kubernetes.List)
	return only(list, func(k *godo.KubernetesCluster) bool { return name == "" || k.Name == name }), said(err, "list Kubernetes clusters")
}

// The bodies of the API; godo's have fields that are read-only.
type clusterBody struct {
	Name         string       `json:"name"`
	Region       string       `json:"region,omitempty"`
	Version      string       `json:"version,omitempty"`
	VPC          string       `json:"vpc_uuid,omitempty"`
	Subnet       string       `json:"cluster_subnet,omitempty"`
	Services     string       `json:"service_subnet,omitempty"`
	Tags         []string     `json:"tags"`
	Maintenance  *maintenance `json:"maintenance_policy,omitempty"`
	AutoUpgrade  bool         `json:"auto_upgrade"`
	SurgeUpgrade bool         `json:"surge_upgrade"`
	HA           *bool        `json:"ha,omitempty"`
	Pools        []poolBody   `json:"node_pools,omitempty"`
}

type maintenance struct {
	Day  string `json:"day"`
	Hour string `json:"start_time"`
}

type poolBody struct {
	Name      string            `json:"name"`
	Size      string            `json:"size,omitempty"`
	Count     int               `json:"count"`
	Tags      []string          `json:"tags"`
	Labels    map[string]string `json:"labels,omitempty"`
	Taints    []godo.Taint      `json:"taints"`
	AutoScale bool              `json:"auto_scale"`
	Min       int               `json:"min_nodes,omitempty"`
	Max       int               `json:"max_nodes,omitempty"`
}

// pool is a node pool as it should be; have is how many nodes it has now, which
// is what stays of a pool that scales by itself.
func (c kubernetesConfig) pool(p infra.NodePool, have int) poolBody {
	more := c.Specific.Pools[p.Name]
	b := poolBody{
		Name: p.Name, Size: c.slug(p), Count: cmp.Or(p.Count, 1), Tags: append([]string{}, more.Tags...), Labels: more.Labels, Taints: append([]godo.Taint{}, more.Taints...),
	}
	if a := p.Autoscaling; a != nil {
		b.AutoScale, b.Min, b.Max = true, a.Min, a.Max
		b.Count = min(max(have, a.Min), a.Max)
	}
	return b
}

func (kubernetesDriver) body(w *work[kubernetesConfig], tags []string) clusterBody {
	c := w.config
	b := clusterBody{Name: w.name, Tags: tags, AutoUpgrade: c.AutoUpgrade, SurgeUpgrade: c.surge()}
	if c.HA {
		b.HA = &c.HA
	}
	if m := c.Maintenance; m != nil {
		b.Maintenance = &maintenance{m.Day, hourWord(m.Hour)}
	}
	return b
}

func (r kubernetesDriver) create(ctx context.Context, w *work[kubernetesConfig]) (*godo.KubernetesCluster, error) {
	c := w.config
	region, err := w.place(c.Region)
	if err != nil {
		return nil, err
	}
	body := r.body(w, append(ownerTags(w.owner), c.Specific.Tags...))
	if body.VPC, err = w.directory(w.owner).vpc(ctx, c.VPCRef); err != nil {
		return nil, err
	}
	if body.Version, err = r.version(ctx, w.account, c.Version); err != nil {
		return nil, err
	}
	body.Region, body.Subnet, body.Services = region, c.Specific.Subnet, c.Specific.Services
	for _, p := range c.NodePools {
		body.Pools = append(body.Pools, c.pool(p, 0))
	}
	var root struct {
		Cluster *godo.KubernetesCluster `json:"kubernetes_cluster"`
	}
	err = w.send(ctx, http.MethodPost, "v2/kubernetes/clusters", body, &root, "create the Kubernetes cluster "+w.name)
	return root.Cluster, err
}

// version finds the newest version of the platform that a configuration means:
// "1.33" means its newest patch, nothing the newest of all.
func (kubernetesDriver) version(ctx context.Context, a *account, asked string) (string, error) {
	options, _, err := a.api.Kubernetes.GetOptions(ctx)
	if err != nil {
		return "", said(err, "list the versions of Kubernetes")
	}
	var have []string
	for _, v := range options.Versions {
		have = append(have, v.Slug)
	}
	if slug := newest(have, asked); slug != "" {
		return slug, nil
	}
	return "", invalid("/version", "DigitalOcean has no Kubernetes %s", asked).WithHint("it has " + strings.Join(have, ", "))
}

// newest is the newest of the versions that one means; "" where there is none.
func newest(have []string, asked string) string {
	found := ""
	for _, slug := range have {
		if isVersion(slug, asked) && (found == "" || older(found, slug)) {
			found = slug
		}
	}
	return found
}

// isVersion tells whether a slug such as 1.33.5-do.0 is the version that a
// configuration asks for.
func isVersion(slug, asked string) bool {
	return asked == "" || asked == "latest" || slug == asked || strings.HasPrefix(slug, asked+".") || strings.HasPrefix(slug, asked+"-")
}

// running waits until a cluster and its nodes are there.
func (r kubernetesDriver) running(ctx context.Context, w *work[kubernetesConfig], id string) (k *godo.KubernetesCluster, err error) {
	said := ""
	err = w.await(ctx, "wait for the Kubernetes cluster "+w.name, w.limit, func(ctx context.Context) (bool, error) {
		if k, err = r.get(ctx, w.account, id); err != nil {
			return false, err
		}
		state := stateOf(k)
		if state == "error" || state == "invalid" || state == "deleted" {
			return false, sdk.Errorf(sdk.CodeInternal, "the Kubernetes cluster %s is in the state %s: %s", w.name, state, k.Status.Message)
		}
		ready, total := nodesOf(k)
		if now := fmt.Sprintf("the Kubernetes cluster %s is %s, %d of %d nodes run", w.name, state, ready, total); now != said {
			w.report.Progress(now, -1)
			said = now
		}
		return state == "running" && ready == total, nil
	})
	return k, err
}

func stateOf(k *godo.KubernetesCluster) string {
	if k.Status == nil {
		return ""
	}
	return string(k.Status.State)
}

func nodesOf(k *godo.KubernetesCluster) (ready, total int) {
	for _, p := range k.NodePools {
		for _, n := range p.Nodes {
			total++
			if n.Status != nil && n.Status.State == "running" {
				ready++
			}
		}
	}
	return ready, total
}

func (r kubernetesDriver) converge(ctx context.Context, w *work[kubernetesConfig], have *godo.KubernetesCluster) (*godo.KubernetesCluster, error) {
	k, err := r.running(ctx, w, have.ID)
	if err != nil {
		return have, err
	}
	if err := stays(w, "/region", w.config.Region, k.RegionSlug); err != nil {
		return k, err
	}
	if err := inNetwork(ctx, w, w.config.VPCRef, k.VPCUUID); err != nil {
		return k, err
	}
	if !w.fresh {
		if err := r.change(ctx, w, k); err != nil {
			return k, err
		}
	}
	if registry := w.config.Specific.Registry; k.RegistryEnabled != registry && (registry || w.prior != nil && w.prior.Specific.Registry) {
		if err := r.registry(ctx, w, k); err != nil {
			return k, err
		}
	}
	return r.running(ctx, w, k.ID)
}

func (r kubernetesDriver) registry(ctx context.Context, w *work[kubernetesConfig], k *godo.KubernetesCluster) error {
	req := &godo.KubernetesClusterRegistryRequest{ClusterUUIDs: []string{k.ID}}
	if w.config.Specific.Registry {
		return w.insist(ctx, func() error {
			_, err := w.api.Kubernetes.AddRegistry(ctx, req)
			return said(err, "join the registry to "+w.name)
		})
	}
	_, err := w.api.Kubernetes.RemoveRegistry(ctx, req)
	return said(err, "part the registry from "+w.name)
}

// change brings a cluster that is there to its configuration.
func (r kubernetesDriver) change(ctx context.Context, w *work[kubernetesConfig], k *godo.KubernetesCluster) error {
	var before []string
	if w.prior != nil {
		before = w.prior.Specific.Tags
	}
	tags := slices.DeleteFunc(mergedTags(k.Tags, w.owner, w.config.Specific.Tags, before), platforms)
	if err := w.send(ctx, http.MethodPut, "v2/kubernetes/clusters/"+k.ID, r.body(w, tags), nil, "change the Kubernetes cluster "+w.name); err != nil {
		return err
	}
	if err := r.upgrade(ctx, w, k); err != nil {
		return err
	}
	return r.pools(ctx, w, k.ID)
}

// platforms tells whether a tag is one that the platform gives by itself.
func platforms(tag string) bool { return tag == "k8s" || strings.HasPrefix(tag, "k8s:") }

// mostUpgrades bounds the way from version to version.
const mostUpgrades = 12

// upgrade goes from version to version, one minor at a time, as the platform
// wants it.
func (r kubernetesDriver) upgrade(ctx context.Context, w *work[kubernetesConfig], k *godo.KubernetesCluster) error {
	asked := w.config.Version
	for steps := 0; !isVersion(k.VersionSlug, asked); steps++ {
		if steps == mostUpgrades {
			return sdk.Errorf(sdk.CodeInternal, "DigitalOcean took %d upgrades of the Kubernetes cluster %s, and it has version %s still", steps, w.name, k.VersionSlug)
		}
		list, _, err := w.api.Kubernetes.GetUpgrades(ctx, k.ID)
		if err != nil {
			return said(err, "list the upgrades of "+w.name)
		}
		var next string
		for _, v := range list {
			if next == "" || isVersion(v.Slug, asked) || older(next, v.Slug) && !older(asked, v.Slug) {
				next = v.Slug
			}
		}
		if next == "" {
			return invalid("/version", "the Kubernetes cluster %s has version %s and cannot become %s", w.name, k.VersionSlug, asked)
		}
		w.progress(fmt.Sprintf("upgrade the Kubernetes cluster %s to %s", w.name, next))
		_, err = w.api.Kubernetes.Upgrade(ctx, k.ID, &godo.KubernetesClusterUpgradeRequest{VersionSlug: next})
		if err = said(err, "upgrade the Kubernetes cluster "+w.name); err != nil && !ambiguous(err) {
			return err
		}
		if k, err = r.running(ctx, w, k.ID); err != nil {
			return err
		}
	}
	return nil
}

// replaced is the end of the name of a pool whose machines are on their way out.
const replaced = "-old"

// isNamed tells whether a pool is one of the configuration, now or before. One
// that somebody else made is left alone: no plan has shown its end.
func isNamed(w *work[kubernetesConfig], pool string) bool {
	pools := slices.Clone(w.config.NodePools)
	if w.prior != nil {
		pools = append(pools, w.prior.NodePools...)
	}
	return slices.ContainsFunc(pools, func(p infra.NodePool) bool { return p.Name == pool || p.Name+replaced == pool })
}

// pools adds, changes and removes node pools. The machines of a pool cannot
// become others: a new pool takes the place of the old one, which goes when the
// new nodes run.
func (r kubernetesDriver) pools(ctx context.Context, w *work[kubernetesConfig], id string) error {
	k, err := r.running(ctx, w, id)
	if err != nil {
		return err
	}
	path := "v2/kubernetes/clusters/" + id + "/node_pools"
	kept := map[string]bool{}
	for _, want := range w.config.NodePools {
		at := slices.IndexFunc(k.NodePools, func(p *godo.KubernetesNodePool) bool { return p.Name == want.Name })
		if at >= 0 && k.NodePools[at].Size != w.config.slug(want) {
			old := k.NodePools[at]
			w.progress(fmt.Sprintf("put new machines in the place of those of %s", old.Name))
			aside := poolBody{Name: old.Name + replaced, Count: old.Count, Tags: slices.DeleteFunc(slices.Clone(old.Tags), platforms), Labels: old.Labels, Taints: append([]godo.Taint{}, old.Taints...)}
			if err := w.send(ctx, http.MethodPut, path+"/"+old.ID, aside, nil, "rename the node pool "+old.Name); err != nil {
				return err
			}
			at = -1
		}
		if at < 0 {
			w.progress("add the node pool " + want.Name)
			var root struct {
				Pool *godo.KubernetesNodePool `json:"node_pool"`
			}
			if err := w.send(ctx, http.MethodPost, path, w.config.pool(want, 0), &root, "add the node pool "+want.Name); err != nil {
				return err
			}
			kept[root.Pool.ID] = true
			continue
		}
		have := k.NodePools[at]
		kept[have.ID] = true
		body := w.config.pool(want, have.Count)
		body.Size = ""
		if err := w.send(ctx, http.MethodPut, path+"/"+have.ID, body, nil, "change the node pool "+want.Name); err != nil {
			return err
		}
	}
	if k, err = r.running(ctx, w, id); err != nil {
		return err
	}
	for _, p := range k.NodePools {
		if kept[p.ID] || !isNamed(w, p.Name) {
			continue
		}
		w.progress("remove the node pool " + p.Name)
		if _, err := w.api.Kubernetes.DeleteNodePool(ctx, id, p.ID); err != nil {
			if err = said(err, "remove the node pool "+p.Name); !sdk.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

func (kubernetesDriver) delete(ctx context.Context, a *account, have *godo.KubernetesCluster) error {
	_, err := a.api.Kubernetes.Delete(ctx, have.ID)
	return said(err, "delete the Kubernetes cluster "+have.Name)
}

func (r kubernetesDriver) own(ctx context.Context, a *account, have *godo.KubernetesCluster, owner sdk.Ownership) error {
	tags := slices.DeleteFunc(append(freeTags(have.Tags), ownerTags(owner)...), platforms)
	body := map[string]any{"name": have.Name, "tags": tags, "auto_upgrade": have.AutoUpgrade, "surge_upgrade": have.SurgeUpgrade}
	return a.send(ctx, http.MethodPut, "v2/kubernetes/clusters/"+have.ID, body, nil, "note the owner of the Kubernetes cluster "+have.Name)
}

func (kubernetesDriver) facts(k *godo.KubernetesCluster) facts {
	f := facts{id: k.ID, name: k.Name, owner: ownerIn(k.Tags), status: sdk.Healthy}
	switch state := stateOf(k); state {
	case "running":
		if ready, total := nodesOf(k); ready < total {
			f.status, f.reason = sdk.Degraded, fmt.Sprintf("%d of %d nodes run", ready, total)
		}
	case "provisioning":
		f.status, f.reason = sdk.Starting, "it is being made"
	case "upgrading", "degraded":
		f.status, f.reason = sdk.Degraded, "it is "+state
	default:
		f.status, f.reason = sdk.Unhealthy, "it is in the state "+state
	}
	return f
}

func (kubernetesDriver) describe(ctx context.Context, a *account, owner sdk.Ownership, k *godo.KubernetesCluster, want *kubernetesConfig) (kubernetesConfig, error) {
	var asked kubernetesConfig
	var tags *[]string
	if want != nil {
		asked, tags = *want, &want.Specific.Tags
	}
	c := kubernetesConfig{K8sCluster: infra.K8sCluster{Common: infra.Common{Region: k.RegionSlug}, Version: k.VersionSlug, HA: k.HA, AutoUpgrade: k.AutoUpgrade}}
	if asked.Version != "" && isVersion(k.VersionSlug, asked.Version) {
		c.Version = asked.Version
	}
	var err error
	if c.VPCRef, err = a.vpcWord(ctx, owner, asked.VPCRef, k.VPCUUID); err != nil {
		return c, err
	}
	if m := k.MaintenancePolicy; m != nil && m.Day.String() != "any" {
		c.Maintenance = &infra.Maintenance{Day: m.Day.String(), Hour: hourWord(m.StartTime)}
	}
	c.Specific = kubernetesSpecific{
		Tags: slices.DeleteFunc(tagWords(k.Tags, tags), platforms), Registry: k.RegistryEnabled, SurgeUpgrade: &k.SurgeUpgrade, Pools: map[string]poolSpecific{},
		Subnet: asked.Specific.Subnet, Services: asked.Specific.Services,
	}
	for _, p := range k.NodePools {
		pool, more := describePool(p, asked)
		c.NodePools = append(c.NodePools, pool)
		c.Specific.Pools[p.Name] = more
	}
	return c, nil
}

// describePool is a node pool in the words of a configuration.
func describePool(p *godo.KubernetesNodePool, asked kubernetesConfig) (infra.NodePool, poolSpecific) {
	var before infra.NodePool
	for _, q := range asked.NodePools {
		if q.Name == p.Name {
			before = q
		}
	}
	out := infra.NodePool{Name: p.Name, Count: p.Count}
	more := poolSpecific{Taints: p.Taints, Tags: slices.DeleteFunc(slices.Clone(p.Tags), platforms)}
	if len(p.Labels) > 0 {
		more.Labels = p.Labels
	}
	out.Size, more.Size = sizeWords(machines(), p.Size, before.Size, asked.Specific.Pools[p.Name].Size, nodeSize)
	if p.AutoScale {
		out.Count, out.Autoscaling = 0, &infra.Autoscaling{Min: p.MinNodes, Max: p.MaxNodes}
	}
	return out, more
}

func (kubernetesDriver) outputs(ctx context.Context, a *account, k *godo.KubernetesCluster) (sdk.Outputs, error) {
	out := sdk.Outputs{
		"id": sdk.Out(k.ID), "urn": sdk.Out(k.URN()), "name": sdk.Out(k.Name), "version": sdk.Out(k.VersionSlug), "region": sdk.Out(k.RegionSlug), "vpc_id": sdk.Out(k.VPCUUID),
		"endpoint": sdk.Out(k.Endpoint), "kubeconfig": sdk.SecretOut(nil), "ca_certificate": sdk.Out(""),
	}
	config, _, err := a.api.Kubernetes.GetKubeConfig(ctx, k.ID, nil)
	if err = said(err, "read how to reach the Kubernetes cluster "+k.Name); sdk.IsNotFound(err) {
		return out, nil // it is not up yet
	}
	if err != nil {
		return nil, err
	}
	out["kubeconfig"] = sdk.SecretOut(string(config.KubeconfigYAML))
	out["ca_certificate"] = sdk.Out(authority(string(config.KubeconfigYAML)))
	return out, nil
}

// authority finds the certificate in a kubeconfig.
func authority(text string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "certificate-authority-data:"); ok {
			if pem, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value)); err == nil {
				return string(pem)
			}
		}
	}
	return ""
}
