package appspec

import (
	"cmp"
	"slices"
	"strings"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk/infra"
)

// route is a rule of the ingress as the configuration sees it.
type route struct {
	infra.Route
	site bool
}

// routes are all the rules that the configuration means. A service without
// routes has "/"; a static site without them has what is left of that.
func (c Config) routes() []route {
	var list []route
	for _, r := range c.Routes {
		r.Component = cmp.Or(r.Component, c.Service())
		list = append(list, route{r, false})
	}
	for _, s := range c.StaticSites {
		for _, r := range s.Routes {
			r.Component = s.Name
			list = append(list, route{r, true})
		}
	}
	if c.HasService() && len(c.Routes) == 0 && c.public() {
		list = append(list, route{infra.Route{Path: free(list, c.Service()), Component: c.Service()}, false})
	}
	for _, s := range c.StaticSites {
		if len(s.Routes) == 0 {
			list = append(list, route{infra.Route{Path: free(list, s.Name), Component: s.Name}, true})
		}
	}
	return list
}

// public tells whether the service answers requests from outside.
func (c Config) public() bool { return c.HTTPPort != 0 || len(c.InternalPorts) == 0 }

// free is "/", or a path of the component's own where that is taken.
func free(list []route, component string) string {
	if slices.ContainsFunc(list, func(r route) bool { return r.Path == "/" }) {
		return "/" + component
	}
	return "/"
}

func (c Config) ingress() *godo.AppIngressSpec {
	var rules []*godo.AppIngressSpecRule
	for _, r := range c.app().IngressRules {
		rules = append(rules, extraRule(r))
	}
	routes, policy := c.routes(), cors(c.CORS, c.app())
	// The longest path first, whatever the order in the file.
	slices.SortStableFunc(routes, func(a, b route) int { return cmp.Or(len(b.Path)-len(a.Path), strings.Compare(a.Path, b.Path)) })
	for _, r := range routes {
		rule := pathRule(r.Path, r.Component, r.PreservePathPrefix)
		if r.Component == c.Service() {
			rule.CORS = policy
		}
		rules = append(rules, rule)
	}
	if len(rules) == 0 {
		return nil
	}
	return &godo.AppIngressSpec{Rules: rules}
}

// pathRule sends what is under a path to a component. The path is kept by
// rewriting it to itself: the description has preserve_path_prefix as a text,
// the official client as a boolean.
func pathRule(path, component string, keep bool) *godo.AppIngressSpecRule {
	rule := &godo.AppIngressSpecRule{
		Match:     &godo.AppIngressSpecRuleMatch{Path: &godo.AppIngressSpecRuleStringMatch{Prefix: godo.PtrTo(path)}},
		Component: &godo.AppIngressSpecRuleRoutingComponent{Name: component},
	}
	if keep {
		rule.Component.Rewrite = path
	}
	return rule
}

func extraRule(r IngressRule) *godo.AppIngressSpecRule {
	rule := &godo.AppIngressSpecRule{}
	if r.PathPrefix != "" || r.Authority != "" {
		rule.Match = &godo.AppIngressSpecRuleMatch{}
	}
	if r.PathPrefix != "" {
		rule.Match.Path = &godo.AppIngressSpecRuleStringMatch{Prefix: godo.PtrTo(r.PathPrefix)}
	}
	if r.Authority != "" {
		rule.Match.Authority = &godo.AppIngressSpecRuleStringMatch{Exact: godo.PtrTo(r.Authority)}
	}
	if r.Component != "" {
		rule.Component = &godo.AppIngressSpecRuleRoutingComponent{Name: r.Component, Rewrite: r.Rewrite}
	}
	if d := r.Redirect; d != nil {
		rule.Redirect = &godo.AppIngressSpecRuleRoutingRedirect{Authority: d.Authority, Port: int64(d.Port), RedirectCode: int64(d.Code), Scheme: d.Scheme, Uri: d.URI}
	}
	return rule
}

// fromIngress sorts the rules of an app by what they stand for: routes of the
// service, routes of static sites, and the rest.
func fromIngress(in *godo.AppIngressSpec, c *Config, app *AppFields) {
	if in == nil {
		return
	}
	for _, rule := range in.Rules {
		if rule.CORS != nil {
			c.CORS = fromCORS(rule.CORS, app)
		}
		r, plain := plainRoute(rule)
		if !plain {
			app.IngressRules = append(app.IngressRules, fromExtraRule(rule))
			continue
		}
		i := slices.IndexFunc(c.StaticSites, func(s infra.StaticSite) bool { return s.Name == r.Component })
		if i < 0 {
			c.Routes = append(c.Routes, r)
			continue
		}
		r.Component = ""
		c.StaticSites[i].Routes = append(c.StaticSites[i].Routes, r)
	}
	c.dropImpliedRoutes()
}

// plainRoute reads a rule that a portable route can stand for.
func plainRoute(rule *godo.AppIngressSpecRule) (infra.Route, bool) {
	if rule.Component == nil || rule.Redirect != nil || rule.Match == nil || rule.Match.Authority != nil || rule.Match.Path == nil || rule.Match.Path.Prefix == nil {
		return infra.Route{}, false
	}
	r := infra.Route{Path: *rule.Match.Path.Prefix, Component: rule.Component.Name, PreservePathPrefix: rule.Component.PreservePathPrefix}
	switch rule.Component.Rewrite {
	case "":
	case r.Path:
		r.PreservePathPrefix = true
	default:
		return infra.Route{}, false
	}
	return r, true
}

func fromExtraRule(rule *godo.AppIngressSpecRule) IngressRule {
	var r IngressRule
	if m := rule.Match; m != nil {
		if m.Path != nil && m.Path.Prefix != nil {
			r.PathPrefix = *m.Path.Prefix
		}
		if m.Authority != nil && m.Authority.Exact != nil {
			r.Authority = *m.Authority.Exact
		}
	}
	if rule.Component != nil {
		r.Component, r.Rewrite = rule.Component.Name, rule.Component.Rewrite
	}
	if d := rule.Redirect; d != nil {
		r.Redirect = &Redirect{Authority: d.Authority, Port: int(d.Port), Code: int(d.RedirectCode), Scheme: d.Scheme, URI: d.Uri}
	}
	return r
}

// dropImpliedRoutes leaves out routes that are there without being asked for,
// so that they come and go with what they follow from.
func (c *Config) dropImpliedRoutes() {
	bare := *c
	bare.Routes = nil
	bare.StaticSites = slices.Clone(c.StaticSites)
	for i := range bare.StaticSites {
		bare.StaticSites[i].Routes = nil
	}
	have, implied := c.routes(), bare.routes()
	if len(have) == len(implied) && !slices.ContainsFunc(implied, func(r route) bool { return !slices.Contains(have, r) }) {
		c.Routes, c.StaticSites = nil, bare.StaticSites
	}
}
