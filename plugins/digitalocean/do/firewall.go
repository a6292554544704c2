package do

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// firewallConfig is the configuration of infra.firewall.
type firewallConfig struct {
	infra.Firewall
	Specific firewallSpecific `json:"provider_specific,omitzero" doc:"what only DigitalOcean has"`
}

type firewallSpecific struct {
	Tags          []string `json:"tags,omitempty" doc:"protect all Droplets that have one of these tags"`
	BlockOutbound bool     `json:"block_outbound,omitempty" doc:"let nothing out; without it everything may leave that no outbound rule is about"`
}

func firewalls() kind {
	return &typed[firewallConfig, godo.Firewall]{
		name: infra.TypeFirewall, what: "firewall", description: "Rules about the traffic of Droplets and of the nodes of clusters.",
		claim: "firewall", idFormat: uuidFormat, nameFormat: wordFormat, nameHint: wordHint, nameMax: 255,
		out:       []sdk.OutputSchema{output("id", "string", "identifier"), changing("name", "string", "name"), changing("droplets", "array", "identifiers of the Droplets that it names")},
		dependsOn: []string{infra.TypeDroplet, infra.TypeK8sCluster, infra.TypeLoadBalancer},
		ignored: map[string]string{
			"region": "a firewall is everywhere", "size": "a firewall costs nothing and has no size", "vpc_ref": "a firewall protects machines, not networks: see targets",
		},
		renames: true,
		limits:  limits{5 * time.Minute, 5 * time.Minute, 5 * time.Minute},
		check:   checkFirewall,
		notes: func(c firewallConfig) []sdk.Diagnostic {
			if len(c.Targets)+len(c.Specific.Tags) == 0 {
				return []sdk.Diagnostic{note("/targets", "targets is not set: the firewall protects nothing")}
			}
			return nil
		},
		canonical: canonicalFirewall,
		api:       firewallDriver{},
	}
}

func checkFirewall(_ string, c firewallConfig) []sdk.Diagnostic {
	list := checkTags(c.Specific.Tags)
	if c.Specific.BlockOutbound && len(c.Outbound) > 0 {
		list = append(list, wrong("/provider_specific/block_outbound", "", "there are outbound rules: what they do not allow is blocked already"))
	}
	if len(c.Specific.Tags) > 4 {
		list = append(list, wrong("/provider_specific/tags", "", "a firewall has at most 4 tags"))
	}
	for at, rules := range map[sdk.Path][]infra.Rule{"/inbound": c.Inbound, "/outbound": c.Outbound} {
		for i, r := range rules {
			list = append(list, checkRule(at.Index(i), at == "/inbound", r)...)
		}
	}
	return list
}

func checkRule(at sdk.Path, inbound bool, r infra.Rule) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if !validPorts(r.Ports) {
		list = append(list, wrong(at.Child("ports"), "one port, a range such as 8000-9000, or all", "%q is no port", r.Ports))
	}
	if r.Protocol == "icmp" && r.Ports != "" && r.Ports != "all" {
		list = append(list, wrong(at.Child("ports"), "take it away", "icmp has no ports"))
	}
	if inbound && len(r.Targets) > 0 {
		list = append(list, wrong(at.Child("targets"), "use the firewall's own targets", "an inbound rule has sources, not targets"))
	}
	if !inbound && len(r.Sources) > 0 {
		list = append(list, wrong(at.Child("sources"), "use targets", "an outbound rule has targets, not sources"))
	}
	return list
}

func validPorts(text string) bool {
	if text == "" || text == "all" {
		return true
	}
	from, to, isRange := strings.Cut(text, "-")
	a, errA := strconv.Atoi(from)
	b, errB := strconv.Atoi(cmp.Or(to, from))
	return errA == nil && errB == nil && a >= 1 && b <= 65535 && a <= b && (!isRange || to != "")
}

// canonicalFirewall writes rules in one form: ports and places that stand for
// everything are left out, lists sorted.
func canonicalFirewall(c *firewallConfig) {
	slices.Sort(c.Targets)
	slices.Sort(c.Specific.Tags)
	for _, rules := range [][]infra.Rule{c.Inbound, c.Outbound} {
		for i := range rules {
			if rules[i].Ports == "all" || rules[i].Ports == "0" {
				rules[i].Ports = ""
			}
			rules[i].Sources, rules[i].Targets = somewhere(rules[i].Sources), somewhere(rules[i].Targets)
		}
		slices.SortFunc(rules, func(a, b infra.Rule) int { return strings.Compare(string(raw(a)), string(raw(b))) })
	}
}

// somewhere is nil for anywhere, else the sorted list.
func somewhere(places []string) []string {
	slices.Sort(places)
	if len(places) == 2 && places[0] == "0.0.0.0/0" && places[1] == "::/0" {
		return nil
	}
	return places
}

func anywhere() []string { return []string{"0.0.0.0/0", "::/0"} }

type firewallDriver struct{}

func (firewallDriver) get(ctx context.Context, a *account, id string) (*godo.Firewall, error) {
	f, _, err := a.api.Firewalls.Get(ctx, id)
	return f, said(err, "read the firewall "+id)
}

func (firewallDriver) all(ctx context.Context, a *account, name string) ([]*godo.Firewall, error) {
	list, err := all(ctx, a.api.Firewalls.List)
	return only(pointers(list), func(f *godo.Firewall) bool { return name == "" || f.Name == name }), said(err, "list firewalls")
}

// request is what the API gets: an update takes the same as a create.
func (r firewallDriver) request(ctx context.Context, w *work[firewallConfig]) (*godo.FirewallRequest, error) {
	dir := w.directory(w.owner)
	req := &godo.FirewallRequest{Name: w.name, DropletIDs: []int{}, Tags: append([]string{}, w.config.Specific.Tags...), InboundRules: []godo.InboundRule{}, OutboundRules: []godo.OutboundRule{}}
	for i, target := range w.config.Targets {
		e, err := dir.find(ctx, sdk.Path("/targets").Index(i), target, refDroplet, refCluster, refTag)
		if err != nil {
			return nil, err
		}
		switch e.kind {
		case refDroplet:
			n, err := dropletID(e.id)
			if err != nil {
				return nil, err
			}
			req.DropletIDs = append(req.DropletIDs, n)
		case refCluster:
			req.Tags = append(req.Tags, "k8s:"+e.id)
		case refTag:
			req.Tags = append(req.Tags, e.id)
		}
	}
	for i, rule := range w.config.Inbound {
		s, err := r.places(ctx, dir, sdk.Path("/inbound").Index(i).Child("sources"), rule.Sources)
		if err != nil {
			return nil, err
		}
		req.InboundRules = append(req.InboundRules, godo.InboundRule{Protocol: rule.Protocol, PortRange: ports(rule), Sources: s})
	}
	for i, rule := range r.outbound(w.config) {
		s, err := r.places(ctx, dir, sdk.Path("/outbound").Index(i).Child("targets"), rule.Targets)
		if err != nil {
			return nil, err
		}
		to := godo.Destinations(*s)
		req.OutboundRules = append(req.OutboundRules, godo.OutboundRule{Protocol: rule.Protocol, PortRange: ports(rule), Destinations: &to})
	}
	return req, nil
}

// outbound are the rules about what leaves: everything may, unless the
// configuration says otherwise. The platform's own default is that nothing
// may.
func (firewallDriver) outbound(c firewallConfig) []infra.Rule {
	if len(c.Outbound) > 0 || c.Specific.BlockOutbound {
		return c.Outbound
	}
	return []infra.Rule{{Protocol: "tcp"}, {Protocol: "udp"}, {Protocol: "icmp"}}
}

func ports(r infra.Rule) string {
	if r.Protocol == "icmp" {
		return "0" // it has none, and the API wants to read that
	}
	return cmp.Or(r.Ports, "all")
}

// places sorts the sources or destinations of a rule by what they are.
func (firewallDriver) places(ctx context.Context, dir *directory, at sdk.Path, list []string) (*godo.Sources, error) {
	s := &godo.Sources{}
	if len(list) == 0 {
		s.Addresses = anywhere()
		return s, nil
	}
	for i, text := range list {
		if isAddress(text) {
			s.Addresses = append(s.Addresses, text)
			continue
		}
		e, err := dir.find(ctx, at.Index(i), text, refDroplet, refBalancer, refCluster, refTag)
		if err != nil {
			return nil, err
		}
		switch e.kind {
		case refDroplet:
			n, err := dropletID(e.id)
			if err != nil {
				return nil, err
			}
			s.DropletIDs = append(s.DropletIDs, n)
		case refBalancer:
			s.LoadBalancerUIDs = append(s.LoadBalancerUIDs, e.id)
		case refCluster:
			s.KubernetesIDs = append(s.KubernetesIDs, e.id)
		case refTag:
			s.Tags = append(s.Tags, e.id)
		}
	}
	return s, nil
}

func isAddress(text string) bool {
	_, errP := netip.ParsePrefix(text)
	_, errA := netip.ParseAddr(text)
	return errP == nil || errA == nil
}

// ready makes the tags that rules and targets name: the platform refuses
// those that are not there.
func (firewallDriver) ready(ctx context.Context, w *work[firewallConfig], req *godo.FirewallRequest) error {
	tags := slices.Clone(req.Tags)
	for _, rule := range req.InboundRules {
		tags = append(tags, rule.Sources.Tags...)
	}
	for _, rule := range req.OutboundRules {
		tags = append(tags, rule.Destinations.Tags...)
	}
	for _, tag := range tags {
		if err := w.noteTag(ctx, tag); err != nil {
			return err
		}
	}
	return nil
}

func (r firewallDriver) create(ctx context.Context, w *work[firewallConfig]) (*godo.Firewall, error) {
	req, err := r.request(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := r.ready(ctx, w, req); err != nil {
		return nil, err
	}
	f, _, err := w.api.Firewalls.Create(ctx, req)
	return f, said(err, "create the firewall "+w.name)
}

func (r firewallDriver) converge(ctx context.Context, w *work[firewallConfig], have *godo.Firewall) (*godo.Firewall, error) {
	if !w.fresh {
		req, err := r.request(ctx, w)
		if err != nil {
			return have, err
		}
		if err := r.ready(ctx, w, req); err != nil {
			return have, err
		}
		if _, _, err := w.api.Firewalls.Update(ctx, have.ID, req); err != nil {
			return have, said(err, "change the firewall "+w.name)
		}
	}
	w.progress("wait until the firewall " + w.name + " is in force")
	var now *godo.Firewall
	err := w.await(ctx, "wait for the firewall "+w.name, w.limit, func(ctx context.Context) (done bool, err error) {
		if now, err = r.get(ctx, w.account, have.ID); err != nil {
			return false, err
		}
		if now.Status == "failed" {
			return false, sdk.Errorf(sdk.CodeInternal, "DigitalOcean could not bring the firewall %s into force", w.name)
		}
		return now.Status == "succeeded", nil
	})
	return now, err
}

func (firewallDriver) delete(ctx context.Context, a *account, have *godo.Firewall) error {
	_, err := a.api.Firewalls.Delete(ctx, have.ID)
	return said(err, "delete the firewall "+have.Name)
}

func (firewallDriver) facts(f *godo.Firewall) facts {
	out := facts{id: f.ID, name: f.Name, status: sdk.Healthy}
	switch f.Status {
	case "waiting":
		out.status, out.reason = sdk.Starting, "its rules are being spread"
	case "failed":
		out.status, out.reason = sdk.Unhealthy, "its rules could not be spread"
	}
	return out
}

func (r firewallDriver) describe(ctx context.Context, a *account, owner sdk.Ownership, f *godo.Firewall, want *firewallConfig) (firewallConfig, error) {
	var c, asked firewallConfig
	if want != nil {
		asked = *want
	}
	dir := a.directory(owner)
	for _, id := range f.DropletIDs {
		word, err := dir.word(ctx, asked.Targets, refDroplet, strconv.Itoa(id))
		if err != nil {
			return c, err
		}
		c.Targets = append(c.Targets, word)
	}
	for _, tag := range f.Tags {
		cluster, isCluster := strings.CutPrefix(tag, "k8s:")
		switch {
		case isCluster && uuidForm.MatchString(cluster):
			word, err := dir.word(ctx, asked.Targets, refCluster, cluster)
			if err != nil {
				return c, err
			}
			c.Targets = append(c.Targets, word)
		case slices.Contains(asked.Targets, refTag+":"+tag):
			c.Targets = append(c.Targets, refTag+":"+tag)
		default:
			c.Specific.Tags = append(c.Specific.Tags, tag)
		}
	}
	var before []string
	for _, rule := range asked.Inbound {
		before = append(before, rule.Sources...)
	}
	for _, rule := range f.InboundRules {
		places, err := r.words(ctx, dir, before, rule.Sources)
		if err != nil {
			return c, err
		}
		c.Inbound = append(c.Inbound, infra.Rule{Protocol: rule.Protocol, Ports: portsWord(rule.PortRange), Sources: places})
	}
	before = nil
	for _, rule := range asked.Outbound {
		before = append(before, rule.Targets...)
	}
	for _, rule := range f.OutboundRules {
		var from *godo.Sources
		if rule.Destinations != nil {
			s := godo.Sources(*rule.Destinations)
			from = &s
		}
		places, err := r.words(ctx, dir, before, from)
		if err != nil {
			return c, err
		}
		c.Outbound = append(c.Outbound, infra.Rule{Protocol: rule.Protocol, Ports: portsWord(rule.PortRange), Targets: places})
	}
	return r.outboundWord(c, asked), nil
}

// outboundWord leaves the rules out that stand for none being given.
func (r firewallDriver) outboundWord(c, asked firewallConfig) firewallConfig {
	c.Specific.BlockOutbound = len(c.Outbound) == 0
	if c.Specific.BlockOutbound || len(asked.Outbound) > 0 {
		return c
	}
	open := firewallConfig{Firewall: infra.Firewall{Outbound: r.outbound(firewallConfig{})}}
	have := firewallConfig{Firewall: infra.Firewall{Outbound: slices.Clone(c.Outbound)}}
	canonicalFirewall(&open)
	canonicalFirewall(&have)
	if string(raw(open)) == string(raw(have)) {
		c.Outbound = nil
	}
	return c
}

func portsWord(p string) string {
	if p == "0" || p == "all" {
		return ""
	}
	return p
}

// words are the places of a rule in the words of a configuration.
func (firewallDriver) words(ctx context.Context, dir *directory, before []string, s *godo.Sources) ([]string, error) {
	if s == nil {
		return nil, nil
	}
	out := slices.Clone(s.Addresses)
	add := func(kind, id string) error {
		word, err := dir.word(ctx, before, kind, id)
		out = append(out, word)
		return err
	}
	for _, id := range s.DropletIDs {
		if err := add(refDroplet, strconv.Itoa(id)); err != nil {
			return nil, err
		}
	}
	for _, id := range s.LoadBalancerUIDs {
		if err := add(refBalancer, id); err != nil {
			return nil, err
		}
	}
	for _, id := range s.KubernetesIDs {
		if err := add(refCluster, id); err != nil {
			return nil, err
		}
	}
	for _, tag := range s.Tags {
		if err := add(refTag, tag); err != nil {
			return nil, err
		}
	}
	return somewhere(out), nil
}

func (firewallDriver) outputs(_ context.Context, _ *account, f *godo.Firewall) (sdk.Outputs, error) {
	droplets := []string{}
	for _, id := range f.DropletIDs {
		droplets = append(droplets, strconv.Itoa(id))
	}
	return sdk.Outputs{"id": sdk.Out(f.ID), "name": sdk.Out(f.Name), "droplets": sdk.Out(droplets)}, nil
}
