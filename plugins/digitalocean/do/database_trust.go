package do

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// Who may connect to a database cluster. A source is an address or CIDR, a
// Droplet, a cluster, an app, or tag:NAME for all Droplets that carry it.
//
// At the first deployment a source may be something that is not there yet: an
// app needs the address of its database first. The cluster is then closed to
// everybody else, and a tag of the account says whom it waits for:
//
//	wfctl-wait::CLUSTER::SOURCE
//
// What is made under that name lets itself in (see introduce).

const (
	waitPrefix = "wfctl-wait::"
	// The claims on clusters that were taken over.
	claimDatabase = "database"
	claimCache    = "cache"
	// nowhere is an address that nobody has (RFC 5737): a cluster without any
	// source would be open to all.
	nowhere = "192.0.2.1"
)

func waitTag(cluster, source string) string {
	return waitPrefix + escape(cluster) + "::" + escape(source)
}

// awaited lists whom clusters wait for: sources by the identifier of the cluster.
func (a *account) awaited(ctx context.Context) (map[string][]string, error) {
	tags, err := all(ctx, a.api.Tags.List)
	if err != nil {
		return nil, said(err, "list the account's tags")
	}
	out := map[string][]string{}
	for _, tag := range tags {
		rest, ok := strings.CutPrefix(strings.ToLower(tag.Name), waitPrefix)
		cluster, source, both := strings.Cut(rest, "::")
		if name, good := unescape(source); ok && both && good {
			out[cluster] = append(out[cluster], name)
		}
	}
	return out, nil
}

// waitFor notes whom a cluster waits for, and nobody else.
func (a *account) waitFor(ctx context.Context, cluster string, before, now []string) error {
	for _, source := range now {
		if slices.Contains(before, source) {
			continue
		}
		if err := a.noteTag(ctx, waitTag(cluster, source)); err != nil {
			return err
		}
	}
	for _, source := range before {
		if slices.Contains(now, source) {
			continue
		}
		if err := a.dropTag(ctx, waitTag(cluster, source)); err != nil {
			return err
		}
	}
	return nil
}

// rule is a trusted source as the API takes it. godo adds fields that are
// read-only.
type rule struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func checkSources(sources []string) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	for i, s := range sources {
		at := sdk.Path("/trusted_sources").Index(i)
		switch {
		case s == "0.0.0.0/0" || s == "::/0":
			list = append(list, wrong(at, "take trusted_sources away, if everybody may connect", "DigitalOcean takes no source that stands for everybody"))
		case len(waitTag(strings.Repeat("x", 36), s)) > tagMax:
			list = append(list, wrong(at, "", "the name is too long"))
		}
	}
	return list
}

// rules resolves sources. Those that name what is not there yet are waiting.
func (a *account) rules(ctx context.Context, owner sdk.Ownership, sources []string) (rules []rule, waiting []string, err error) {
	dir := a.directory(owner)
	for i, source := range sources {
		if isAddress(source) {
			rules = append(rules, rule{"ip_addr", source})
			continue
		}
		e, err := dir.find(ctx, sdk.Path("/trusted_sources").Index(i), source, refDroplet, refCluster, refApp, refTag)
		switch {
		case sdk.IsNotFound(err):
			waiting = append(waiting, source)
		case err != nil:
			return nil, nil, err
		default:
			rules = append(rules, rule{e.kind, e.id})
		}
	}
	if len(rules) == 0 && len(waiting) > 0 {
		rules = []rule{{"ip_addr", nowhere}}
	}
	return rules, waiting, nil
}

// trust makes the sources of a cluster, and its tags, what the configuration
// says.
func (r databaseDriver) trust(ctx context.Context, w *work[databaseConfig], d *godo.Database) error {
	w.trusting.Lock()
	defer w.trusting.Unlock()
	want, waiting, err := w.rules(ctx, w.owner, w.config.TrustedSources)
	if err != nil {
		return err
	}
	for _, name := range waiting {
		w.warn("/trusted_sources", "it is let in when this configuration makes it", fmt.Sprintf("the trusted source %s of %s is not there yet", name, w.name))
	}
	awaited, err := w.awaited(ctx)
	if err != nil {
		return err
	}
	// The note comes first: who is made meanwhile finds it.
	if err := w.waitFor(ctx, d.ID, awaited[d.ID], waiting); err != nil {
		return err
	}
	have, err := w.rulesOf(ctx, d)
	if err != nil {
		return err
	}
	if sameRules(have, want) {
		return nil
	}
	return w.setRules(ctx, d, want)
}

func (a *account) rulesOf(ctx context.Context, d *godo.Database) ([]rule, error) {
	list, _, err := a.api.Databases.GetFirewallRules(ctx, d.ID)
	var out []rule
	for _, r := range list {
		out = append(out, rule{r.Type, r.Value})
	}
	return out, said(err, "read the trusted sources of "+d.Name)
}

func (a *account) setRules(ctx context.Context, d *godo.Database, rules []rule) error {
	if rules == nil {
		rules = []rule{}
	}
	return a.send(ctx, http.MethodPut, "v2/databases/"+d.ID+"/firewall", map[string]any{"rules": rules}, nil, "set the trusted sources of "+d.Name)
}

func sameRules(a, b []rule) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r rule) bool { return !slices.Contains(b, r) })
}

// introduce lets something that was just made into the databases of its
// environment that wait for it, by its module or its name. kind is refApp,
// refDroplet or refCluster.
func (a *account) introduce(ctx context.Context, kind, id, name string, owner sdk.Ownership) error {
	a.trusting.Lock()
	defer a.trusting.Unlock()
	awaited, err := a.awaited(ctx)
	if err != nil || len(awaited) == 0 {
		return err
	}
	list, _, err := a.api.Databases.List(ctx, nil)
	if err != nil {
		return said(err, "list database clusters")
	}
	claims, err := a.clusterClaims(ctx)
	if err != nil {
		return err
	}
	calls := []string{name, owner.Module, kind + ":" + name, kind + ":" + owner.Module}
	for i := range list {
		d := &list[i]
		o := ownerIn(d.Tags)
		if c, ok := claims[d.Name]; ok {
			o = &c
		}
		if o == nil || o.Project != owner.Project || o.Environment != owner.Environment {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(awaited[d.ID]), func(source string) bool { return slices.Contains(calls, source) })
		if len(left) == len(awaited[d.ID]) {
			continue
		}
		if err := a.admit(ctx, d, rule{kind, id}); err != nil {
			return err
		}
		if err := a.waitFor(ctx, d.ID, awaited[d.ID], left); err != nil {
			return err
		}
	}
	return nil
}

// clusterClaims are the owners of clusters that were taken over, by name.
func (a *account) clusterClaims(ctx context.Context) (map[string]sdk.Ownership, error) {
	out := map[string]sdk.Ownership{}
	for _, kind := range []string{claimDatabase, claimCache} {
		claims, err := a.claims(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, c := range claims {
			out[c.key] = c.owner
		}
	}
	return out, nil
}

// admit adds a source to a cluster.
func (a *account) admit(ctx context.Context, d *godo.Database, r rule) error {
	have, err := a.rulesOf(ctx, d)
	if err != nil || slices.Contains(have, r) {
		return err
	}
	have = slices.DeleteFunc(have, func(h rule) bool { return h == rule{"ip_addr", nowhere} })
	if err := a.setRules(ctx, d, append(have, r)); err != nil {
		return err
	}
	// The next one begins with what is read: it must be this.
	return a.await(ctx, "see the trusted sources of "+d.Name+" change", patience, func(ctx context.Context) (bool, error) {
		have, err := a.rulesOf(ctx, d)
		return slices.Contains(have, r), err
	})
}

// sourceWords are the sources of a cluster in the words of a configuration. A
// source that is waited for counts as there.
func (a *account) sourceWords(ctx context.Context, owner sdk.Ownership, d *godo.Database, asked []string) ([]string, error) {
	rules, err := a.rulesOf(ctx, d)
	if err != nil {
		return nil, err
	}
	dir := a.directory(owner)
	var out []string
	for _, r := range rules {
		word := r.Value
		switch {
		case r == rule{"ip_addr", nowhere}:
			continue
		case r.Type != "ip_addr":
			if word, err = dir.word(ctx, asked, r.Type, r.Value); err != nil {
				return nil, err
			}
		}
		out = append(out, word)
	}
	missing := slices.DeleteFunc(slices.Clone(asked), func(source string) bool { return slices.Contains(out, source) })
	if len(missing) == 0 {
		return out, nil
	}
	awaited, err := a.awaited(ctx)
	for _, source := range missing {
		if slices.Contains(awaited[d.ID], source) {
			out = append(out, source)
		}
	}
	return out, err
}

// databaseKind is the type of database clusters, which can say why a
// connection is refused.
type databaseKind[C any] struct{ *typed[C, godo.Database] }

// diagnose says who may connect: failures.md, 15.
func (k databaseKind[C]) diagnose(ctx context.Context, a *account, req *sdk.DiagnoseRequest) ([]sdk.Diagnostic, error) {
	d, err := k.diagnosed(ctx, a, req)
	if err != nil {
		return nil, err
	}
	var list []sdk.Diagnostic
	if f := k.api.facts(d); f.status != sdk.Healthy {
		list = append(list, sdk.Diagnostic{Severity: sdk.SeverityWarning, Message: fmt.Sprintf("the %s %s does not work: %s", k.what, d.Name, f.reason)})
	}
	sources, err := a.sourceWords(ctx, ownership(ownerIn(d.Tags)), d, nil)
	if err != nil {
		return nil, err
	}
	rules, err := a.rulesOf(ctx, d)
	if err != nil || len(rules) == 0 {
		return list, err
	}
	message := fmt.Sprintf("%s takes connections from its trusted sources only: %s", d.Name, strings.Join(sources, ", "))
	if len(sources) == 0 {
		message = d.Name + " takes no connections yet: none of its trusted sources is there"
	}
	return append(list, sdk.Diagnostic{
		Severity: sdk.SeverityNote, Path: "/trusted_sources", Message: message,
		Hint: "a connection from elsewhere, such as a CI runner, times out: run migrations as a job of kind pre_deploy, or add the runner's address to trusted_sources",
	}), nil
}

func (k databaseKind[C]) diagnosed(ctx context.Context, a *account, req *sdk.DiagnoseRequest) (*godo.Database, error) {
	if req.ID != "" {
		return k.api.get(ctx, a, req.ID)
	}
	list, err := k.api.all(ctx, a, req.Name)
	if err != nil {
		return nil, err
	}
	claims, err := k.claimsOf(ctx, a)
	list = slices.DeleteFunc(list, func(d *godo.Database) bool { // one of the name may be somebody else's
		o := k.owned(d, claims).owner
		return o == nil || o.Project != a.project || o.Environment != a.environment
	})
	if err == nil && len(list) == 0 {
		err = notFound(k.what, req.Name)
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}
